/*
 * Range coding (G. N. N. Martin, "Range encoding: an algorithm for removing redundancy from a
 * digitised message", 1979), with a carry, as M. Schindler's coder has it; and on top of it
 * adaptive bits.
 *
 * What is coded is one long number below 1, in digits of 16 bits. Each symbol narrows the interval
 * that it is in, of which three digits are at hand. Neither side runs past its end: an encoder
 * without room and a decoder without digits go on with `overrun` set, which the caller looks at.
 *
 * What codes a symbol is inline, as it is done for each word.
 */
#ifndef N1STORE_RANGE_CODER_H
#define N1STORE_RANGE_CODER_H

#include "../common/bits.h"
#include "../common/bytes.h"

typedef struct {
    uint64_t low, range; /* between symbols the range is from 2^32 to 2^48 */
    uint8_t *next, *end;
    int overrun;
} range_encoder;

typedef struct {
    uint64_t code, range; /* where in the interval the number is, and the interval's width */
    const uint8_t *next, *end;
    int num_missing; /* digits beyond the end, which are taken for 0 */
    int overrun;
} range_decoder;

/* An encoder that writes from dst on, and nothing to `end` or beyond. */
static inline range_encoder encode_range_to(uint8_t *dst, uint8_t *end) {
    return (range_encoder){.range = 1ull << 48, .next = dst, .end = end};
}

static inline void range_put_digit(range_encoder *e) {
    if (e->end - e->next < 2) e->overrun = 1;
    if (!e->overrun) {
        if (e->low >> 48 != 0) {
            uint8_t *p = e->next - 2;
            for (; load_u16(p) == 0xFFFF; p -= 2) store_u16(p, 0);
            store_u16(p, (uint16_t)(load_u16(p) + 1));
        }
        store_u16(e->next, (uint16_t)(e->low >> 32));
        e->next += 2;
    }
    e->low = (e->low & 0xFFFFFFFF) << 16;
}

/* A symbol that has the slots from start to start + freq of 2^num_bits, 16 bits at most. */
static inline void range_put(range_encoder *e, uint32_t start, uint32_t freq, int num_bits) {
    const uint64_t slot = e->range >> num_bits;
    e->low += slot * start;
    e->range = slot * freq;
    if (e->range >> 32 == 0) {
        range_put_digit(e);
        e->range <<= 16;
    }
}

/*
 * Write the last digits, as few as keep the number in the interval whatever follows them. Returns the
 * first byte after them, or anything if `overrun` is set.
 */
uint8_t *finish_range(range_encoder *e);

static inline uint64_t range_get_digit(range_decoder *d) {
    if (d->end - d->next < 2) {
        if (++d->num_missing > 2) d->overrun = 1;
        return 0;
    }
    const uint64_t digit = load_u16(d->next);
    d->next += 2;
    return digit;
}

/* A decoder of the digits from src on, of which none is read at `end` or beyond. */
range_decoder decode_range_from(const uint8_t *src, const uint8_t *end);

static inline void range_narrow(range_decoder *d, uint64_t below, uint64_t range) {
    d->code -= below;
    d->range = range;
    if (d->range >> 32 == 0) {
        d->code = d->code << 16 | range_get_digit(d);
        d->range <<= 16;
    }
}

/* The slot of the next symbol, which range_take must follow. */
static inline uint32_t range_slot(const range_decoder *d, int num_bits) {
    const uint64_t slot = d->code / (d->range >> num_bits), last = (1u << num_bits) - 1;
    return (uint32_t)(slot < last ? slot : last); /* no encoder uses what rounding leaves behind */
}

static inline void range_take(range_decoder *d, uint32_t start, uint32_t freq, int num_bits) {
    const uint64_t slot = d->range >> num_bits;
    range_narrow(d, slot * start, slot * freq);
}

/* A number of num_bits bits, 16 at most, all equally likely; range_put(e, number, 1, num_bits). */
static inline uint32_t range_get_plain(range_decoder *d, int num_bits) {
    const uint32_t number = range_slot(d, num_bits);
    range_take(d, number, 1, num_bits);
    return number;
}

/* Returns the first byte after the last digit; `overrun` is set if that is not there. */
const uint8_t *finish_range_reading(range_decoder *d);

/*
 * A bit whose probability is learned: the mean of what it was, with half a one and half a zero
 * more (R. Krichevsky and V. Trofimov, 1981).
 */
typedef struct {
    uint16_t one;   /* its probability of being 1, of 2^16; never 0 */
    uint16_t count; /* of those that were learned; 253 at most */
} adaptive_bit;

static inline void adapt(adaptive_bit *b, int bit) {
    b->one = (uint16_t)(b->one + ((bit << 16) - b->one) / (b->count + 2));
    if (b->count < 253) b->count++;
}

static inline void range_put_bit(range_encoder *e, adaptive_bit *b, int bit) {
    if (bit)
        range_put(e, 0, b->one, 16);
    else
        range_put(e, b->one, 65536u - b->one, 16);
    adapt(b, bit);
}

static inline int range_get_bit(range_decoder *d, adaptive_bit *b) {
    const uint64_t slot = d->range >> 16, ones = slot * b->one;
    const int bit = d->code < ones;
    if (bit)
        range_narrow(d, 0, ones);
    else
        range_narrow(d, ones, slot * (65536u - b->one));
    adapt(b, bit);
    return bit;
}

/* Set count bits to what they are before anything is learned. */
void start_bits(adaptive_bit *bits, size_t count);

/* The low num_bits of a number, each adaptive and known by those above it: `bits` has 2^num_bits. */
void range_put_bits(range_encoder *e, adaptive_bit *bits, uint32_t number, int num_bits);
uint32_t range_get_bits(range_decoder *d, adaptive_bit *bits, int num_bits);

#endif
