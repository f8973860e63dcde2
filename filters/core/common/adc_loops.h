/* The loops of `adc`, for each instruction set that they are compiled for; see adc.h. */
#ifndef N1STORE_ADC_LOOPS_H
#define N1STORE_ADC_LOOPS_H

#include "adc.h"

/*
 * The grid is symmetric under the bitwise complement, grid(~k) == ~grid(k), so both
 * directions fold the negative half onto the other one and unfold the result.
 *
 * For k >= 0 the published formula is, in integers,
 *     grid(k) = ((2k + 1) * 65535 - 1023) / 2046 = (21845 k + 10752) / 341,
 * which lies in 64k..64k+63: grid(k) >> 6 == k, and below any u there are (u >> 6) grid
 * values plus one if grid(u >> 6) < u.
 *
 * No branches and no tables: the compiler turns both loops into vector code.
 */
enum { CODES = 512 }; /* codes 0..511, and as many below zero */

/* Inlined, so that they become code for the instruction set of the function around them. */
#define ADC_LOOP __attribute__((always_inline)) static inline

static inline uint32_t grid(uint32_t k) { return (21845 * k + 10752) / 341; }

static inline uint32_t fold_mask(int16_t value) { return value < 0 ? 0xFFFFu : 0u; }

ADC_LOOP void adc_encode_loop(const int16_t *src, int16_t *dst, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const uint32_t mask = fold_mask(src[i]);
        const uint32_t u = (uint16_t)src[i] ^ mask;
        const uint32_t k = u >> 6;
        const uint32_t g = grid(k);
        const uint32_t grid_values_below = k + (g < u);
        const uint32_t code = g == u ? k : CODES + u - grid_values_below;
        dst[i] = (int16_t)(uint16_t)(code ^ mask);
    }
}

/*
 * Off the grid, the value of rank s among the off-grid values u >= 0 is u = s + n, n being
 * the number of grid values below it. grid(j) is below it exactly if grid(j) - j <= s, that
 * is, if (21504 j + 10752) / 341 <= s; counting those j gives n in closed form.
 */
ADC_LOOP void adc_decode_loop(const int16_t *src, int16_t *dst, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const uint32_t mask = fold_mask(src[i]);
        const uint32_t code = (uint16_t)src[i] ^ mask;
        const uint32_t rank = code - CODES; /* meaningful, and used, from code 512 on */
        const uint32_t grid_values_below = (341 * (rank + 1) + 10751) / 21504;
        const uint32_t u = code < CODES ? grid(code) : rank + grid_values_below;
        dst[i] = (int16_t)(uint16_t)(u ^ mask);
    }
}

#endif
