/*
 * Range coding (G. N. N. Martin, "Range encoding: an algorithm for removing redundancy from a
 * digitised message", 1979), with a carry, as M. Schindler's coder has it; and on top of it
 * adaptive bits and numbers.
 *
 * What is coded is one long number below 1, in digits of 16 bits. Each symbol narrows the interval
 * that it is in, of which three digits are at hand. Neither side runs past its end: an encoder
 * without room and a decoder without digits go on with `overrun` set, which the caller looks at.
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

/* The last digits are as few as keep the number in the interval, whatever follows them. */
static inline int range_last_digits(uint64_t range) { return range >> 33 != 0 ? 1 : 2; }

/* Returns the first byte after the last digit. */
static inline uint8_t *finish_range(range_encoder *e) {
    const int digits = range_last_digits(e->range);
    e->low += digits == 1 ? 0xFFFFFFFF : 0xFFFF;
    for (int i = 0; i < digits; i++) range_put_digit(e);
    return e->next;
}

static inline uint64_t range_get_digit(range_decoder *d) {
    if (d->end - d->next < 2) {
        if (++d->num_missing > 2) d->overrun = 1;
        return 0;
    }
    const uint64_t digit = load_u16(d->next);
    d->next += 2;
    return digit;
}

static inline range_decoder decode_range_from(const uint8_t *src, const uint8_t *end) {
    range_decoder d = {.range = 1ull << 48, .next = src, .end = end};
    for (int i = 0; i < 3; i++) d.code = d.code << 16 | range_get_digit(&d);
    return d;
}

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
static inline const uint8_t *finish_range_reading(range_decoder *d) {
    const int ahead = 3 - range_last_digits(d->range);
    if (d->num_missing > ahead) d->overrun = 1;
    return d->overrun ? d->end : d->next - 2 * (ahead - d->num_missing);
}

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

static inline void start_bits(adaptive_bit *bits, size_t count) {
    for (size_t i = 0; i < count; i++) bits[i] = (adaptive_bit){.one = 1 << 15};
}

/* The low num_bits of a number, each adaptive and known by those above it: `bits` has 2^num_bits. */
static inline void range_put_bits(range_encoder *e, adaptive_bit *bits, uint32_t number,
                                  int num_bits) {
    uint32_t known = 1;
    for (int i = num_bits - 1; i >= 0; i--) {
        const int bit = number >> i & 1;
        range_put_bit(e, &bits[known], bit);
        known = known << 1 | (uint32_t)bit;
    }
}

static inline uint32_t range_get_bits(range_decoder *d, adaptive_bit *bits, int num_bits) {
    uint32_t known = 1;
    for (int i = 0; i < num_bits; i++)
        known = known << 1 | (uint32_t)range_get_bit(d, &bits[known]);
    return known - (1u << num_bits);
}

/*
 * Numbers from 0 to 2^16 - 1, of which a few are frequent: of the number plus 1, how many bits
 * follow its first one, and these, each bit adaptive and known by all those before it, as far as
 * there are six.
 */
typedef struct {
    adaptive_bit more[16], bits[17][64];
} adaptive_number;

static inline void start_numbers(adaptive_number *n) {
    start_bits(n->more, 16);
    start_bits(n->bits[0], 17 * 64);
}

static inline void range_put_number(range_encoder *e, adaptive_number *n, uint32_t number) {
    const int length = floor_log2(number + 1);
    for (int i = 0; i < 16; i++) {
        range_put_bit(e, &n->more[i], i < length);
        if (i == length) break;
    }
    for (int i = length - 1; i >= 0; i--) {
        const uint32_t before = (number + 1) >> (i + 1);
        const int bit = (number + 1) >> i & 1;
        if (before < 64)
            range_put_bit(e, &n->bits[length][before], bit);
        else
            range_put(e, (uint32_t)bit, 1, 1);
    }
}

static inline uint32_t range_get_number(range_decoder *d, adaptive_number *n) {
    int length = 0;
    while (length < 16 && range_get_bit(d, &n->more[length])) length++;
    uint32_t number = 1;
    for (int i = 0; i < length; i++) {
        const uint32_t bit = number < 64
                                 ? (uint32_t)range_get_bit(d, &n->bits[length][number])
                                 : range_get_plain(d, 1);
        number = number << 1 | bit;
    }
    return (number - 1) & 0xFFFF;
}

#endif
