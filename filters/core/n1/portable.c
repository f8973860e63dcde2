/* The kernels in plain C; the loops over a fixed count are left to the compiler's vectors. */
#include <stddef.h>

#include "../common/adc.h"
#include "../common/bytes.h"
#include "kernels.h"

enum { TILE = 16 };

static void store_columns(const uint16_t rows[STRIP_ROWS][MAX_LANES], int lanes,
                          int16_t *const *columns) {
    for (int lane = 0; lane < lanes; lane++)
        for (int row = 0; row < STRIP_ROWS; row++) columns[lane][row] = (int16_t)rows[row][lane];
}

/* Left to the loop behind it. */
static int store_frames(const int16_t *planes, size_t plane_size, int channels, size_t count,
                        uint16_t flip, uint8_t *dst, size_t frame) {
    (void)planes, (void)plane_size, (void)channels, (void)count, (void)flip, (void)dst, (void)frame;
    return 0;
}

static void correlate(const int16_t *a, const int16_t *b, int begin, int end, int max_lag, int64_t *r) {
    for (int lag = 0; lag <= max_lag; lag++) {
        int64_t sum = 0;
        for (int i = begin < lag ? lag : begin; i < end; i++) sum += a[i] * b[i - lag];
        r[lag] = sum;
    }
}

static int64_t energy(const int16_t *y, const int16_t *predicted, int count) {
    int64_t sum = 0;
    for (int i = 0; i < count; i++) {
        const int32_t residual = (int16_t)(y[i] - predicted[i]);
        sum += (uint32_t)(residual * residual);
    }
    return sum;
}

static void load_columns(const int16_t *const *columns, int lanes,
                         int16_t rows[STRIP_ROWS][MAX_LANES]) {
    for (int lane = 0; lane < lanes; lane++)
        for (int row = 0; row < STRIP_ROWS; row++) rows[row][lane] = columns[lane][row];
}

static void filter(const echo_taps *taps, const int16_t *z, int count, int16_t *echo) {
    const int32_t half = 1 << taps->shift >> 1;
    int i = 0;
    for (; i + TILE <= count; i += TILE) {
        int32_t sums[TILE];
        for (int t = 0; t < TILE; t++) sums[t] = half;
        for (int k = 0; k < taps->count; k++) {
            const int16_t tap = taps->taps[k], *const from = z + i + taps->first + k;
            for (int t = 0; t < TILE; t++) sums[t] += tap * from[t];
        }
        for (int t = 0; t < TILE; t++) echo[i + t] = (int16_t)saturate16(sums[t] >> taps->shift);
    }
    for (; i < count; i++) {
        int32_t sum = half;
        for (int k = 0; k < taps->count; k++) sum += taps->taps[k] * z[i + taps->first + k];
        echo[i] = (int16_t)saturate16(sum >> taps->shift);
    }
}

static void predict_all(const predictor *p, const int16_t *y, const int16_t *echo, int begin, int end,
                        int32_t low, int32_t high, int16_t *out) {
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
            out[i + t] = (int16_t)clamp(
                add_wrapping((int32_t)sums[t] >> p->shift[order], echo ? echo[i + t] : 0), low, high);
    }
    for (; i < end; i++)
        out[i] = (int16_t)clamp(
            add_wrapping(predict(p, order, y + i, 1), echo ? echo[i] : 0), low, high);
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

/* Low bits, table, and whatever else makes a lane's next state and value from its prediction. */
static inline uint32_t next_of_width(lane_decoder *d, int row, int lane, uint32_t x, int32_t mu,
                                     int32_t echo) {
    const class_tables *t = &d->tables[0];
    const int precision = d->b->precision, last = t->reach < 32767 ? t->reach : 32767;
    const uint32_t slot = x & ((1u << precision) - 1);
    const int32_t nearest = mu + t->distance[slot] - t->reach;
    const int32_t p = clamp(nearest, d->first_position, d->last_position);
    const cell here = d->cells[p - d->first_position];
    const uint32_t start = t->below[clamp(here.low - (mu + 32768), -t->reach, last)];
    const uint32_t end = t->below[clamp(here.high - (mu + 32768), -t->reach, last)];
    d->y[MAX_ORDER + row][lane] = (int16_t)saturate16(here.y - echo);
    d->rows[row][lane] = (uint16_t)here.sample;
    return (end - start) * (x >> precision) + slot - start;
}

static inline uint32_t next_of_integer(lane_decoder *d, int row, int lane, uint32_t x, int32_t mu) {
    const int precision = d->b->precision, low_bits = d->b->classes[0].low_bits;
    const uint32_t symbol = d->tables[0].symbols[x & ((1u << precision) - 1)];
    const uint32_t residual = (symbol & 255) - 128;
    const uint32_t difference = (residual << low_bits) + d->rows[row][lane] - (1u << low_bits >> 1);
    const uint16_t code = (uint16_t)((uint32_t)mu + difference);
    d->y[MAX_ORDER + row][lane] = (int16_t)code;
    d->rows[row][lane] = code;
    return (symbol >> 8 & 4095) * (x >> precision) + (symbol >> 20);
}

/* With the number of lanes known to the compiler. */
static inline int decode_lanes(lane_decoder *d, int first, int count, int order, int lanes,
                               block_kind kind, int has_echo) {
    const predictor *p = &d->predictor;
    const uint32_t last_slot = (1u << d->b->precision) - 1, escape = symbol_slots(d->b);
    int row = first;
    for (; row < first + count && d->words_end - d->words >= WORD_BYTES * lanes; row++) {
        uint32_t escapes = 0, sums[MAX_LANES];
        for (int i = 0; i < lanes; i++) escapes |= (d->state[i] & last_slot) >= escape;
        if (escapes) break;
        for (int i = 0; i < lanes; i++) sums[i] = (uint32_t)p->bias[order];
        /* Oldest first: the newest values come last into the sum, as they come last at all. */
        for (int j = order - 1; j >= 0; j--) {
            const int16_t coefficient = p->coefficients[order][j];
            const int16_t *before = d->y[MAX_ORDER + row - 1 - j];
            for (int i = 0; i < lanes; i++) sums[i] += (uint32_t)(coefficient * before[i]);
        }
        for (int i = 0; i < lanes; i++) {
            const int32_t echo = has_echo ? d->echo[row][i] : 0;
            const int32_t sum = add_wrapping((int32_t)sums[i] >> p->shift[order], echo);
            const int32_t mu = clamp(sum, d->lowest_y, d->highest_y);
            const uint32_t x = kind == KIND_WIDTH ? next_of_width(d, row, i, d->state[i], mu, echo)
                                            : next_of_integer(d, row, i, d->state[i], mu);
            /* Whether a word is wanted cannot be foreseen, so that a branch would cost. */
            const uint32_t wants = x < 1u << 16;
            d->state[i] = x << 16 * wants | (load_u16(d->words) & -wants);
            d->words += WORD_BYTES * wants;
        }
    }
    return row - first;
}

static int decode_rows(lane_decoder *d, int first, int count, int order) {
    const block_kind kind = d->b->kind;
    if (d->b->num_classes > 1 || d->b->classes[0].hold) return 0;
#define LANES(n) \
    (kind == KIND_INTEGER ? decode_lanes(d, first, count, order, n, KIND_INTEGER, 0) \
     : d->has_echo        ? decode_lanes(d, first, count, order, n, KIND_WIDTH, 1)   \
                          : decode_lanes(d, first, count, order, n, KIND_WIDTH, 0))
    switch (num_lanes(d->b)) {
        case 1: return LANES(1);
        case 2: return LANES(2);
        case 4: return LANES(4);
        case 8: return LANES(8);
        default: return LANES(16);
    }
#undef LANES
}

static int can_join(const lane_decoder *a, const lane_decoder *b) {
    (void)a, (void)b;
    return 0;
}

/* With the number of lanes known to the compiler. */
static inline int code_lanes(const uint32_t *symbols, const int *begin, int lanes, int steps,
                             int precision, uint32_t *state, uint8_t **words) {
    uint32_t x[MAX_LANES];
    const uint32_t *lane[MAX_LANES];
    uint8_t *next = *words;
    for (int i = 0; i < lanes; i++) x[i] = state[i], lane[i] = symbols + begin[i];
    for (; steps > 0; steps--) {
        uint32_t escapes = 0;
        for (int i = 0; i < lanes; i++) escapes |= lane[i][steps - 1] >> 16 == 0;
        if (escapes) break;
        for (int i = lanes - 1; i >= 0; i--) {
            const uint32_t start = lane[i][steps - 1] & 0xFFFF, frequency = lane[i][steps - 1] >> 16;
            const int gives = x[i] >> (32 - precision) >= frequency;
            store_u16(next - 2, (uint16_t)x[i]);
            next -= gives ? 2 : 0;
            x[i] = gives ? x[i] >> 16 : x[i];
            x[i] = (x[i] / frequency << precision) + x[i] % frequency + start;
        }
    }
    for (int i = 0; i < lanes; i++) state[i] = x[i];
    *words = next;
    return steps;
}

static int code_steps(const uint32_t *symbols, const int *begin, int lanes, int steps, int precision,
                      uint32_t *state, uint8_t **words) {
#define LANES(n) code_lanes(symbols, begin, n, steps, precision, state, words)
    switch (lanes) {
        case 1: return LANES(1);
        case 2: return LANES(2);
        case 4: return LANES(4);
        case 8: return LANES(8);
        default: return LANES(16);
    }
#undef LANES
}

const n1_kernels n1_portable_kernels = {
    .decode_rows = decode_rows,
    .can_join = can_join,
    .decode_two = NULL,
    .decode_set = NULL,
    .adc_encode = n1_adc_encode,
    .adc_decode = n1_adc_decode,
    .store_columns = store_columns,
    .load_columns = load_columns,
    .store_frames = store_frames,
    .correlate = correlate,
    .energy = energy,
    .filter = filter,
    .predict = predict_all,
    .find_cells = find_cells,
    .code_steps = code_steps,
};
