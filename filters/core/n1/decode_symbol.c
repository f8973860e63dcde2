/* Decoding symbol by symbol: the beginnings of lanes, and whatever the kernels leave. */
#include "decoder.h"

#include "../common/bytes.h"

typedef struct {
    uint32_t start, end;
    int32_t value; /* residual, or code */
} symbol;

/* F at the lower edge of a residual (integer), or of a code's cell (width). */
static uint32_t slots_below_value(const workspace *w, const distribution *d, int32_t mu,
                                  int32_t value) {
    const block *b = &w->block;
    if (b->kind == KIND_INTEGER) return slots_below(d, 2 * value - 1);
    const int32_t edge = value <= b->lowest    ? -32768
                         : value > b->highest ? 32767
                                              : w->edges[HALF_CODES + value];
    return slots_below(d, saturate16(edge - mu));
}

/*
 * Find the residual or code of a slot without a table: from a guess on, in steps that double
 * until the slot lies between two values, and by halving what is between them.
 */
static symbol find_value(const workspace *w, const distribution *d, int32_t mu, uint32_t slot,
                         int32_t guess) {
    const block *b = &w->block;
    const int32_t least = b->kind == KIND_WIDTH ? b->lowest : -32768;
    const int32_t most = b->kind == KIND_WIDTH ? b->highest + 1 : 32768;
    int32_t low = clamp(guess, least, most - 1), high = low + 1;
    uint32_t start = slots_below_value(w, d, mu, low), end = slots_below_value(w, d, mu, high);
    for (int32_t step = 1; slot < start && low > least; step *= 2) {
        high = low;
        end = start;
        low = low - step > least ? low - step : least;
        start = slots_below_value(w, d, mu, low);
    }
    for (int32_t step = 1; slot >= end && high < most; step *= 2) {
        low = high;
        start = end;
        high = high + step < most ? high + step : most;
        end = slots_below_value(w, d, mu, high);
    }
    while (high - low > 1) {
        const int32_t middle = (low + high) >> 1;
        const uint32_t below = slots_below_value(w, d, mu, middle);
        if (below <= slot)
            low = middle, start = below;
        else
            high = middle, end = below;
    }
    return (symbol){start, end, low};
}

static symbol look_up_residual(const class_tables *t, uint32_t slot) {
    const uint32_t packed = t->symbols[slot];
    const uint32_t start = slot - (packed >> 20);
    return (symbol){start, start + (packed >> 8 & 4095), (int32_t)(packed & 255) - 128};
}

static cell cell_at(const lane_decoder *l, int32_t position) {
    return l->cells[clamp(position, l->first_position, l->last_position) - l->first_position];
}

static symbol look_up_cell(const lane_decoder *l, const class_tables *t, int32_t mu,
                           uint32_t slot) {
    const int32_t nearest = mu + t->distance[slot] - t->reach;
    const int32_t p = clamp(nearest, l->first_position, l->last_position);
    const cell here = l->cells[p - l->first_position];
    const int32_t last = t->reach < 32767 ? t->reach : 32767; /* of 16 bits */
    return (symbol){t->below[clamp(here.low - (mu + 32768), -t->reach, last)],
                    t->below[clamp(here.high - (mu + 32768), -t->reach, last)], p};
}

int take_escape(workspace *w, int lane, int step, int row) {
    lane_decoder *l = &w->lanes;
    if (w->num_escapes == 0) return -1;
    w->num_escapes--;
    const uint32_t bits = get_bits(&w->escapes, l->b->escape_bits);
    const int32_t code = l->b->escape_bits == 16 ? (int16_t)bits : (int32_t)bits - HALF_CODES;
    if (l->b->kind == KIND_WIDTH) {
        const int16_t sample = sample_of_code(code);
        const int32_t cell_code = sample >> 6; /* of one off the grid, too */
        const int is_outlier = cell_code < l->b->lowest || cell_code > l->b->highest;
        l->rows[row][lane] = (uint16_t)sample;
        const int32_t y = is_outlier ? 0 : middle_of_cell(w, cell_code) - l->echo[row][lane];
        l->y[MAX_ORDER + row][lane] = (int16_t)(!is_outlier ? saturate16(y)
                                                : step > 0  ? l->y[MAX_ORDER + row - 1][lane]
                                                            : middle_of_cell(w, l->b->mean));
    } else {
        l->rows[row][lane] = (uint16_t)code;
        l->y[MAX_ORDER + row][lane] = (int16_t)code;
    }
    return 0;
}

/* Decode one symbol, given its prediction; -1 if no encoder can have written it. */
static int decode_symbol(workspace *w, int lane, int step, int row, int32_t mu) {
    lane_decoder *l = &w->lanes;
    const block *b = l->b;
    const int class = class_at(b, lane, step);
    if (b->classes[class].hold && step > 0) mu = l->y[MAX_ORDER + row - 1][lane];
    if (b->classes[class].hold && step == 0) mu = l->predictor.bias[0] >> l->predictor.shift[0];
    mu = clamp(add_wrapping(mu, l->echo[row][lane]), l->lowest_y, l->highest_y);

    const uint32_t num_slots = 1u << b->precision, escape = symbol_slots(b);
    const uint32_t x = l->state[lane], slot = x & (num_slots - 1);
    symbol s;
    if (slot >= escape) {
        s = (symbol){.start = escape, .end = num_slots};
        if (take_escape(w, lane, step, row)) return -1;
    } else if (b->kind == KIND_INTEGER) {
        if (step < b->order && b->histogram_size == 0) {
            const distribution d = distribution_of(b, class, l->predictor.extra_scale[step]);
            s = find_value(w, &d, mu, slot, look_up_residual(&l->tables[class], slot).value);
        } else {
            s = look_up_residual(&l->tables[class], slot);
        }
        const int low_bits = b->classes[class].low_bits;
        const int32_t middle = 1 << low_bits >> 1;
        const uint32_t residual = ((uint32_t)s.value << low_bits) + l->rows[row][lane];
        const int16_t code = (int16_t)((uint32_t)mu + residual - (uint32_t)middle);
        l->rows[row][lane] = (uint16_t)code;
        l->y[MAX_ORDER + row][lane] = code;
    } else {
        if (step < b->order && l->predictor.extra_scale[step] > 0) {
            const int extra = l->predictor.extra_scale[step];
            const distribution d = distribution_of(b, class, extra);
            /* Distances are about 2^(extra / 16) times those of full order. */
            const class_tables *t = &l->tables[class];
            const int32_t distance = (t->distance[slot] - t->reach) * (16 + extra) / 16;
            s = find_value(w, &d, mu, slot, cell_at(l, mu + distance).sample >> 6);
            /* A position in the cell; that of the lowest code may have no width but what is below. */
            s.value = s.value == b->lowest ? l->first_position
                                           : clamp(w->edges[HALF_CODES + s.value], l->first_position,
                                                   l->last_position);
        } else {
            s = look_up_cell(l, &l->tables[class], mu, slot);
        }
        const cell here = l->cells[s.value - l->first_position];
        l->rows[row][lane] = (uint16_t)here.sample;
        l->y[MAX_ORDER + row][lane] = (int16_t)saturate16(here.y - l->echo[row][lane]);
    }
    if (slot < s.start || slot >= s.end) return -1;
    l->state[lane] = (s.end - s.start) * (x >> b->precision) + slot - s.start;
    if (l->state[lane] >> 16) return 0;
    if (l->words_end - l->words < WORD_BYTES) return -1;
    l->state[lane] = l->state[lane] << 16 | load_u16(l->words);
    l->words += WORD_BYTES;
    return 0;
}

int decode_row(workspace *w, int step, int row, int first, int end) {
    const predictor *p = &w->lanes.predictor;
    const int m = step < p->order ? step : p->order;
    if (end - first <= 2) {
        for (int i = first; i < end; i++) {
            const int32_t mu = predict(p, m, &w->lanes.y[MAX_ORDER + row][i], MAX_LANES);
            if (decode_symbol(w, i, step, row, mu)) return -1;
        }
        return 0;
    }
    uint32_t sums[MAX_LANES];
    for (int i = 0; i < MAX_LANES; i++) sums[i] = (uint32_t)p->bias[m];
    for (int j = 0; j < m; j++) {
        const int16_t *before = w->lanes.y[MAX_ORDER + row - 1 - j];
        const int16_t coefficient = p->coefficients[m][j];
        for (int i = 0; i < MAX_LANES; i++) sums[i] += (uint32_t)(coefficient * before[i]);
    }
    for (int i = first; i < end; i++)
        if (decode_symbol(w, i, step, row, (int32_t)sums[i] >> p->shift[m])) return -1;
    return 0;
}
