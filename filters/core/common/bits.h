/*
 * Bit strings: least significant bit first; gamma, Rice and signed codes of filters/format/n1.md.
 *
 * Neither side runs past its end: a writer without room and a reader without bits go on with
 * `overrun` set, which the caller looks at when done.
 */
#ifndef N1STORE_BITS_H
#define N1STORE_BITS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t *next, *end;
    uint64_t held; /* bits not yet written, fewer than 8 between calls */
    int num_held;
    int overrun;
} bit_writer;

typedef struct {
    const uint8_t *next, *end;
    uint64_t held; /* bits read ahead */
    int num_held;
    int overrun;
} bit_reader;

static inline uint32_t fold_sign(int32_t value) {
    return (uint32_t)value << 1 ^ (value < 0 ? 0xFFFFFFFFu : 0);
}

static inline int32_t unfold_sign(uint32_t value) {
    return (int32_t)(value >> 1 ^ (value & 1 ? 0xFFFFFFFFu : 0));
}

static inline int floor_log2(uint32_t value) { return 31 - __builtin_clz(value); }

/* count * log2(count), in 1 / 2^16; the logarithm is off by 0.01 at most. */
static inline int64_t information(uint32_t count) {
    if (count == 0) return 0;
    const int length = floor_log2(count);
    const uint64_t part = ((uint64_t)count << 16 >> length) - (1 << 16);
    const uint64_t curve = (part * ((1 << 16) - part) >> 16) * 22713 >> 16;
    return (int64_t)(count * (((uint64_t)length << 16) + part + curve));
}

static inline bit_writer write_bits_to(uint8_t *dst, uint8_t *end) {
    return (bit_writer){.next = dst, .end = end};
}

/* num_bits: 0 to 32 */
static inline void put_bits(bit_writer *w, uint32_t value, int num_bits) {
    w->held |= (uint64_t)value << w->num_held;
    w->num_held += num_bits;
    for (; w->num_held >= 8; w->num_held -= 8, w->held >>= 8) {
        if (w->next < w->end)
            *w->next++ = (uint8_t)w->held;
        else
            w->overrun = 1;
    }
}

static inline void put_zeros_and_one(bit_writer *w, uint32_t zeros) {
    for (; zeros >= 32; zeros -= 32) put_bits(w, 0, 32);
    put_bits(w, 0, (int)zeros);
    put_bits(w, 1, 1);
}

static inline void put_gamma(bit_writer *w, uint32_t value) {
    const int n = floor_log2(value + 1);
    put_zeros_and_one(w, (uint32_t)n);
    put_bits(w, (value + 1) & ((1u << n) - 1), n);
}

static inline void put_rice(bit_writer *w, uint32_t value, int parameter) {
    put_zeros_and_one(w, value >> parameter);
    put_bits(w, value & ((1u << parameter) - 1), parameter);
}

/* Fill the last byte with zeros; returns the first byte after the string. */
static inline uint8_t *finish_bits(bit_writer *w) {
    put_bits(w, 0, -w->num_held & 7);
    return w->next;
}

static inline bit_reader read_bits_from(const uint8_t *src, const uint8_t *end) {
    return (bit_reader){.next = src, .end = end};
}

/* num_bits: 0 to 32 */
static inline uint32_t get_bits(bit_reader *r, int num_bits) {
    for (; r->num_held < num_bits; r->num_held += 8) {
        if (r->next < r->end)
            r->held |= (uint64_t)*r->next++ << r->num_held;
        else
            r->overrun = 1;
    }
    const uint32_t value = (uint32_t)(r->held & ((1ull << num_bits) - 1));
    r->held >>= num_bits;
    r->num_held -= num_bits;
    return value;
}

/* Count zeros up to the one after them; more than `most` are an overrun. */
static inline uint32_t get_zeros_and_one(bit_reader *r, uint32_t most) {
    for (uint32_t zeros = 0; zeros <= most && !r->overrun; zeros++)
        if (get_bits(r, 1)) return zeros;
    r->overrun = 1;
    return 0;
}

static inline uint32_t get_gamma(bit_reader *r) {
    const int n = (int)get_zeros_and_one(r, 20);
    return ((1u << n) | get_bits(r, n)) - 1;
}

static inline uint32_t get_rice(bit_reader *r, int parameter) {
    const uint32_t high = get_zeros_and_one(r, 1u << 16);
    return high << parameter | get_bits(r, parameter);
}

/* The first byte after the string; the rest of its last byte must be zeros. */
static inline const uint8_t *finish_reading(bit_reader *r) {
    if (r->num_held >= 8 || r->held != 0) r->overrun = 1;
    return r->next;
}

#endif
