/*
 * The loops that take the time, once for any machine (portable.c) and once for AVX2: one or two
 * long blocks (avx2_decode.c), several short ones (avx2_set.c), the encoder (avx2_encode.c), and
 * samples in other orders (avx2_samples.c); avx2.c is their table. Both give the same results.
 */
#ifndef N1STORE_N1_KERNELS_H
#define N1STORE_N1_KERNELS_H

#include <stddef.h>

#include "lanes.h"

enum { WORDS_AHEAD = 16 };

/* What gives symbols of the width kind at full order, made by the encoder. */
typedef struct {
    /* Of the codes lowest - 1 .. highest + 1; those outside the range begin where they end. */
    int16_t edges[2 * HALF_CODES + 2][2];
    int32_t lowest, highest;
    const uint16_t *below; /* points to F(0); for distances -reach .. reach */
    int32_t reach;
} cell_symbols;

typedef struct {
    /*
     * Decode rows first .. first + count - 1 of the strip: all lanes, whole, with the predictor of
     * this order and the tables of full order, and with d->classes for all of them. Stops before a
     * row with an escape, and when fewer words are left than a row may need. Returns the number of
     * rows decoded, 0 for a block that the kernel does not take.
     */
    int (*decode_rows)(lane_decoder *d, int first, int count, int order);

    /* Whether these two blocks can be decoded at once: by decode_set, or of 16 lanes, by decode_two. */
    int (*can_join)(const lane_decoder *a, const lane_decoder *b);

    /*
     * As decode_rows, of two blocks at once, each at its full order. Stops where it would for
     * either of them. NULL where can_join never says yes.
     */
    int (*decode_two)(lane_decoder *const *d, int first, int count);

    /*
     * The same for the blocks of a set, from a row on that all have at full order; but it takes
     * escapes. Returns -1 if there are fewer than are wanted.
     */
    int (*decode_set)(lane_set *set, int first, int count);

    /* As n1_adc_encode and n1_adc_decode. */
    void (*adc_encode)(const int16_t *src, int16_t *dst, size_t count);
    void (*adc_decode)(const int16_t *src, int16_t *dst, size_t count);

    /* A whole strip, lane by lane, STRIP_ROWS samples to each of `columns`. */
    void (*store_columns)(const uint16_t rows[STRIP_ROWS][MAX_LANES], int lanes,
                          int16_t *const *columns);

    /* The opposite: STRIP_ROWS numbers from each of `columns` into rows. */
    void (*load_columns)(const int16_t *const *columns, int lanes,
                         int16_t rows[STRIP_ROWS][MAX_LANES]);

    /*
     * Samples of channels that lie in planes, plane_size apart, into frames of `frame` bytes, each
     * sample exclusive or `flip`; `count` is a multiple of 8. Returns for how many of the channels
     * that was done; the others are left.
     */
    int (*store_frames)(const int16_t *planes, size_t plane_size, int channels, size_t count,
                        uint16_t flip, uint8_t *dst, size_t frame);

    /*
     * r[lag] = sum of a[i] * b[i - lag] for begin <= i < end, and i - lag >= 0, lag 0 .. max_lag;
     * neither is ever -32768.
     */
    void (*correlate)(const int16_t *a, const int16_t *b, int begin, int end, int max_lag,
                      int64_t *r);

    /*
     * The echo of z[0 .. count - 1]: the sum of taps * z[i + lag], shifted and rounded, limited to 16
     * bits. z has 8 more numbers on either side.
     */
    void (*filter)(const echo_taps *taps, const int16_t *z, int count, int16_t *echo);

    /* The sum of the squares of y[i] - predicted[i], as 16-bit numbers. */
    int64_t (*energy)(const int16_t *y, const int16_t *predicted, int count);

    /*
     * Predictions out[i] of y[i], begin <= i < end, at full order from the values before them;
     * begin >= order. echo[i] is added where there is one, not NULL. Limited to low .. high.
     */
    void (*predict)(const predictor *p, const int16_t *y, const int16_t *echo, int begin, int end,
                    int32_t low, int32_t high, int16_t *out);

    /*
     * Symbols of codes, given their predictions: start | frequency << 16, frequency 0 for an
     * escape.
     */
    void (*find_cells)(const cell_symbols *cells, const int16_t *codes, const int16_t *predicted,
                       int count, uint32_t *symbols);

    /*
     * Code the steps steps - 1 .. 0 of all lanes, of which each begins at begin[lane] of
     * `symbols`, last one first. Words are put before *words, where WORDS_AHEAD bytes more than
     * they take may be overwritten. Stops before a step with an escape. Returns the number of
     * steps left.
     */
    int (*code_steps)(const uint32_t *symbols, const int *begin, int lanes, int steps, int precision,
                      uint32_t *state, uint8_t **words);
} n1_kernels;

extern const n1_kernels n1_portable_kernels;

/* NULL where the compiler or this machine has no AVX2. */
const n1_kernels *n1_avx2_kernels(void);

#endif
