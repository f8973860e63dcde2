/*
 * adc: the implant's 16-bit samples as the 10-bit codes of its converter.
 *
 * The N1's converter gives codes k in -512..511; its recordings hold them stretched over
 * 16 bits, x = trunc((k + 0.5) * 65535 / 1023 - 0.5). Those 1,024 values are the grid.
 *
 * adc is a permutation of all 65,536 int16 values: a grid value goes to its code k, the
 * 64,512 others go, in ascending order, to the values outside -512..511. Hence it loses
 * nothing on any input whatever, and needs neither header nor parameters.
 *
 * The byte-level definition is in filters/format/n1.md.
 */
#ifndef N1STORE_ADC_H
#define N1STORE_ADC_H

#include <stddef.h>
#include <stdint.h>

#include "export.h"

/*
 * Map `count` samples from `src` to `dst`. Both buffers belong to the caller and hold at
 * least `count` values of 2-byte alignment; they are the same buffer or do not overlap.
 * Every input is valid, so there is no error to return. Thread-safe.
 */
N1_API void n1_adc_encode(const int16_t *src, int16_t *dst, size_t count);

/* The inverse of n1_adc_encode, under the same contract. */
N1_API void n1_adc_decode(const int16_t *src, int16_t *dst, size_t count);

#endif
