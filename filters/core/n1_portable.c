/* The kernels in plain C; the loops over a fixed count are left to the compiler's vectors. */
#include <stddef.h>

#include "adc.h"
#include "n1_kernels.h"

enum { TILE = 16 };

static void transpose(const uint16_t rows[STRIP_ROWS][MAX_LANES],
                      int16_t columns[MAX_LANES][STRIP_ROWS]) {
    for (int lane = 0; lane < MAX_LANES; lane++)
        for (int row = 0; row < STRIP_ROWS; row++) columns[lane][row] = (int16_t)rows[row][lane];
}

static void correlate(const int16_t *y, int begin, int end, int max_lag, int64_t *r) {
    for (int lag = 0; lag <= max_lag; lag++) {
        int64_t sum = 0;
        for (int i = begin < lag ? lag : begin; i < end; i++) sum += y[i] * y[i - lag];
        r[lag] = sum;
    }
}

static void predict_all(const predictor *p, const int16_t *y, int begin, int end, int32_t low,
                        int32_t high, int16_t *out) {
    const int order = p->order;
    int i = begin;
    for (; i + TILE <= end; i += TILE) {
        uint32_t sums[TILE];
        for (int t = 0; t < TILE; t++) sums[t] = (uint32_t)p->bias[order];
        for (int j = 0; j < order; j++) {
            const int16_t *before = y + i - 1 - j;
            const int16_t coefficient = p->coefficients[order][j];
            for (int t = 0; t < TILE; t++) sums[t] += (uint32_t)(coefficient * before[t]);
        }
        for (int t = 0; t < TILE; t++)
            out[i + t] = (int16_t)clamp((int32_t)sums[t] >> p->shift[order], low, high);
    }
    for (; i < end; i++) out[i] = (int16_t)clamp(predict(p, order, y + i, 1), low, high);
}

static void find_cells(const cell_symbols *cells, const int16_t *codes, const int16_t *predicted,
                       int count, uint32_t *symbols) {
    const int32_t reach = cells->reach, last = reach < 32767 ? reach : 32767; /* of 16 bits */
    for (int i = 0; i < count; i++) {
        const int32_t code = clamp(codes[i], cells->lowest - 1, cells->highest + 1);
        const int16_t *edges = cells->edges[code + HALF_CODES + 1];
        const uint32_t start = cells->below[clamp(edges[0] - predicted[i], -reach, last)];
        const uint32_t end = cells->below[clamp(edges[1] - predicted[i], -reach, last)];
        symbols[i] = start | (end - start) << 16;
    }
}

const n1_kernels n1_portable_kernels = {
    NULL, n1_adc_encode, n1_adc_decode, transpose, correlate, predict_all, find_cells, NULL};
