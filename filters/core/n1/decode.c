/* From a payload's blocks to samples. */
#include <stdlib.h>
#include <string.h>

#include "../common/adc.h"
#include "../common/bytes.h"
#include "../common/xxh64.h"
#include "codec.h"
#include "echo.h"
#include "kernels.h"
#include "widths.h"

/*
 * Entries of a table that are written together. What is too much is overwritten by the next ones,
 * or lies behind the table.
 */
enum { FILL = 8, FILL_SLOTS = 32 /* of a distance */ };

/* 16-bit numbers of tables that a workspace has room for: those of nearly all blocks. */
enum { TABLE_ROOM = MAX_CLASSES * 2 * (4096 + FILL) };

/* Blocks of fewer samples have few lanes, and are decoded several at once. */
enum { SHORT_BLOCK_SAMPLES = 1 << 14 };

/* Working memory of a block that is decoded. */
typedef struct {
    block block;
    lane_decoder lanes;
    strip strip; /* of the lanes, unless they share that of a set */
    const uint8_t *next, *end; /* of its bytes, behind the head */
    int16_t *plane; /* where its samples go; before, with the width kind, their echoes */
    const int16_t *other; /* samples of the reference, if there is one */
    int next_step;  /* of a strip, before which all is decoded and stored */
    uint8_t tail_words[WORD_BYTES * MAX_LANES];
    uint8_t class_of_span[MAX_SPANS];
    /*
     * Of positions from -32768 on: those of the codes first_code .. end_code - 1 are there, none at
     * the beginning, but that the block's outermost cells are in the place of two.
     */
    cell cells[NUM_POSITIONS + FILL];
    int first_code, end_code;
    struct {
        int32_t position;
        cell inner;
    } outermost[2];
    bit_reader escapes;
    uint64_t num_escapes; /* left */
    const uint8_t *low_bits; /* behind them are the states; NULL if no class has any */
    uint64_t low_bits_taken;
    int16_t edges[2 * HALF_CODES + 1];
    int edges_are_own; /* made of the widths that were given, 1, or the built-in ones, 0; or -1 */
    uint32_t tables[TABLE_ROOM / 2]; /* of the block's classes, if they have room there */
    void *large_tables; /* else; grows when a block needs more, and is NULL at the beginning */
    size_t large_size;  /* in 16-bit numbers */
} workspace;

/* Working memory of a call, of which there is no more than was needed. */
typedef struct {
    workspace *workspaces; /* of as many blocks as are decoded at once, at most */
    int num_workspaces;
    int16_t *planes; /* block_samples for each channel of a group */
    lane_set set;
} decoding;

/* Tables: what a slot means at full order. */

/* There is room for FILL entries behind the table. */
static void make_symbols(uint32_t *symbols, const block *b, int class) {
    const distribution d = distribution_of(b, class, 0);
    const int has_histogram = b->histogram_size > 0;
    /* From this residual on, F is 0 or all slots. */
    const int32_t reach = reach_of(&d) < 255 ? (reach_of(&d) + 1) / 2 : 128;
    const int first = has_histogram ? b->histogram_first : -reach;
    const int count = has_histogram ? b->histogram_size : reach < 128 ? 2 * reach + 1 : 256;
    uint32_t slot = has_histogram ? 0 : slots_below(&d, 2 * first - 1);
    memset(symbols, 0, slot * sizeof(*symbols)); /* frequency 0 is no symbol */
    for (int i = 0; i < count; i++) {
        const uint32_t frequency =
            has_histogram ? b->histogram[i] : slots_below(&d, 2 * (first + i) + 1) - slot;
        const uint32_t symbol = (uint32_t)(first + i + 128) | frequency << 8;
        for (uint32_t bias = 0; bias < frequency; bias += FILL)
            for (uint32_t k = 0; k < FILL; k++)
                symbols[slot + bias + k] = symbol | (bias + k) << 20;
        slot += frequency;
    }
    memset(symbols + slot, 0, ((1u << b->precision) - slot) * sizeof(*symbols));
}

/* The slots of the positions begin .. end - 1, the first of which is `slot`; returns the next one. */
static uint32_t fill_distances(uint16_t *distance, uint32_t slot, const uint16_t *below, int32_t reach,
                               int32_t begin, int32_t end) {
    for (int32_t p = begin; p < end; p++) {
        /* Most distances have fewer slots than are written at once: there is no other round. */
        const uint32_t next = below[p + 1];
        const uint16_t from_reach = (uint16_t)(p + reach);
        do {
            for (uint32_t i = 0; i < FILL_SLOTS; i++) distance[slot + i] = from_reach;
            slot += FILL_SLOTS;
        } while (slot < next);
        slot = next;
    }
    return slot;
}

/* Between `steady` and the distance of the last slot there are none. */
static void make_distances(uint16_t *distance, const uint16_t *below, int32_t reach, int32_t steady,
                           int precision) {
    const uint32_t num_slots = 1u << precision;
    uint32_t slot = fill_distances(distance, 0, below, reach, -steady, steady);
    int32_t last = reach;
    while (last > steady && below[last - 1] == below[reach]) last--;
    slot = fill_distances(distance, slot, below, reach, last > steady ? last - 1 : steady, reach);
    for (; slot < num_slots; slot++) distance[slot] = (uint16_t)(2 * reach - 1);
}

static int make_class_tables(workspace *w) {
    const block *b = &w->block;
    const size_t num_slots = (size_t)1 << b->precision;
    size_t size = 0;
    for (int i = 0; i < b->num_classes; i++) {
        class_tables *t = &w->lanes.tables[i];
        const distribution d = distribution_of(b, i, 0);
        t->reach = reach_of(&d);
        size += b->kind == KIND_WIDTH ? num_slots + FILL_SLOTS + 2 * (size_t)t->reach + 2
                                      : 2 * (num_slots + FILL);
    }
    if (size > TABLE_ROOM && size > w->large_size) {
        free(w->large_tables);
        w->large_tables = malloc(size * sizeof(uint16_t));
        w->large_size = w->large_tables ? size : 0;
        if (!w->large_tables) return N1_ERROR_MEMORY;
    }
    uint16_t *next = size > TABLE_ROOM ? w->large_tables : (void *)w->tables;
    w->lanes.table_memory = next;
    for (int i = 0; i < b->num_classes; i++) {
        class_tables *t = &w->lanes.tables[i];
        if (b->kind == KIND_WIDTH) {
            const distribution d = distribution_of(b, i, 0);
            uint16_t *below = next + num_slots + FILL_SLOTS + t->reach;
            const int32_t steady = tabulate(&d, below);
            make_distances(next, below, t->reach, steady, b->precision);
            t->distance = next;
            t->below = below;
            next = below + t->reach + 2;
        } else {
            make_symbols((uint32_t *)(void *)next, b, i);
            t->symbols = (uint32_t *)(void *)next;
            next += 2 * (num_slots + FILL);
        }
    }
    return N1_OK;
}

static int16_t sample_of_code(int32_t code) {
    int16_t sample = (int16_t)code;
    n1_adc_decode(&sample, &sample, 1);
    return sample;
}

static int32_t middle_of_cell(const workspace *w, int32_t code) {
    const int16_t *edge = w->edges + HALF_CODES + code;
    return (edge[0] + edge[1]) >> 1;
}

/* Say which cell the positions of some codes lie in. */
static void fill_cells(workspace *w, int first_code, int end_code) {
    const int16_t *edges = w->edges + HALF_CODES;
    int16_t samples[2 * HALF_CODES];
    const int count = end_code - first_code;
    for (int i = 0; i < count; i++) samples[i] = (int16_t)(first_code + i);
    n1_adc_decode(samples, samples, (size_t)count);
    cell *const cells = w->cells + 32768;
    /* What is written too much belongs to the cells above, and is put back if they are there. */
    cell above[FILL];
    memcpy(above, cells + edges[end_code], sizeof(above));
    for (int i = 0; i < count; i++) {
        const int32_t low = edges[first_code + i], high = edges[first_code + i + 1];
        const cell here = {(uint16_t)(low + 32768), (uint16_t)(high + 32768),
                           (int16_t)middle_of_cell(w, first_code + i), samples[i]};
        for (int32_t p = low; p < high; p += FILL)
            for (int k = 0; k < FILL; k++) cells[p + k] = here;
    }
    memcpy(cells + edges[end_code], above, sizeof(above));
}

/*
 * Which cell each position lies in, over the part of the axis that the block's codes take. Cells
 * of blocks before are there already. The outermost cells reach to the ends of the axis: of these
 * one position is enough, as positions are limited to the table.
 */
static void make_cells(workspace *w) {
    const block *b = &w->block;
    lane_decoder *l = &w->lanes;
    const int16_t *edges = w->edges + HALF_CODES;
    const int first = b->lowest + 1, end = b->highest;
    for (int i = 0; i < 2 && w->first_code < w->end_code; i++)
        w->cells[w->outermost[i].position + 32768] = w->outermost[i].inner;
    if (w->first_code == w->end_code) w->first_code = w->end_code = first;
    if (end > w->end_code) {
        fill_cells(w, w->end_code, end);
        w->end_code = end;
    }
    if (first < w->first_code) {
        fill_cells(w, first, w->first_code);
        w->first_code = first;
    }
    l->first_position = edges[first] - 1;
    l->last_position = edges[end];
    l->cells = w->cells + (l->first_position + 32768);
    const int codes[2] = {b->lowest, b->highest};
    for (int i = 0; i < 2; i++) {
        const int32_t position = i == 0 ? l->first_position : l->last_position;
        cell *const here = w->cells + (position + 32768);
        w->outermost[i].position = position;
        w->outermost[i].inner = *here;
        *here = (cell){(uint16_t)(i == 0 ? 0 : edges[codes[i]] + 32768),
                       (uint16_t)(i == 0 ? edges[codes[i] + 1] + 32768 : 65535),
                       (int16_t)middle_of_cell(w, codes[i]), sample_of_code(codes[i])};
    }
}

/* Decoding symbol by symbol: the beginnings of lanes, and whatever the fast path leaves. */

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

static int take_escape(workspace *w, int lane, int step, int row) {
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

/*
 * Take the escapes of a set's columns, which are those whose bits are set, in a row: sample and
 * position, but not the state. Returns -1 if there are not as many.
 */
static int take_escapes_of_set(lane_set *set, int row, uint32_t columns) {
    for (int column = 0; column < MAX_LANES; column++) {
        workspace *const w = (workspace *)set->owners[column / set->lanes];
        if (columns >> column & 1 && take_escape(w, column % set->lanes, w->next_step + row, row)) return -1;
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

/* Decode step `step` of the lanes first .. end - 1 into a row. */
static int decode_row(workspace *w, int step, int row, int first, int end) {
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

/* Steps that are decoded and stored together, in which no lane's class changes. */
static int strip_steps(const block *b) {
    const int span = 1 << b->log2_span;
    return b->num_classes > 1 && span < STRIP_ROWS ? span : STRIP_ROWS;
}

/* Say of each lane what its class is in the strip from step `first` on. */
static void use_classes(workspace *w, int first) {
    const block *b = &w->block;
    span_classes *c = &w->lanes.classes;
    *c = (span_classes){0};
    for (int lane = 0; lane < num_lanes(b); lane++) {
        const int class = class_at(b, lane, first);
        const class_tables *t = &w->lanes.tables[class];
        const uint32_t low_bits = (uint32_t)b->classes[class].low_bits;
        c->low_bits[lane] = low_bits;
        c->rounding[lane] = (128u << low_bits) + (1u << low_bits >> 1);
        c->holds[lane] = b->classes[class].hold ? UINT32_MAX : 0;
        if (b->kind == KIND_INTEGER) {
            c->table[lane] = (uint32_t)(t->symbols - (const uint32_t *)w->lanes.table_memory);
            continue;
        }
        c->table[lane] = (uint32_t)(t->distance - (const uint16_t *)w->lanes.table_memory);
        c->below[lane] = (uint32_t)(t->below - t->reach - (const uint16_t *)w->lanes.table_memory);
        c->reach[lane] = (uint32_t)t->reach * 0x10001;
    }
}

/*
 * Whether a step's symbols are those of the tables, which are made for full order: from step P on,
 * and before where the lower order makes no difference. There, residuals may be too great for a
 * table, and a class that holds has nothing to hold at step 0.
 */
static int has_tables(const workspace *w, int step) {
    const block *b = &w->block;
    if (step == 0) return b->order == 0 && b->num_classes == 1 && !b->classes[0].hold;
    if (step >= b->order) return 1;
    const int extra_scale = w->lanes.predictor.extra_scale[step];
    if (b->kind == KIND_WIDTH) return extra_scale == 0;
    if (b->histogram_size > 0) return 1;
    for (int i = 0; i < b->num_classes; i++)
        if (w->lanes.tables[i].reach > 255) return 0;
    return extra_scale == 0;
}

/* Put a strip's rows, lane by lane, where they belong. */
static void store_strip(const workspace *w, int first_step, int rows, const n1_kernels *kernels,
                        int16_t *out) {
    const block *b = &w->block;
    const int lanes = num_lanes(b);
    if (first_step + STRIP_ROWS <= lane_length(b, lanes - 1) && rows == STRIP_ROWS) {
        int16_t *columns[MAX_LANES];
        for (int lane = 0; lane < lanes; lane++)
            columns[lane] = out + lane_begin(b, lane) + first_step;
        kernels->store_columns((const uint16_t(*)[MAX_LANES])w->lanes.rows, lanes, columns);
        return;
    }
    for (int lane = 0; lane < lanes; lane++) {
        const int begin = lane_begin(b, lane) + first_step, left = lane_end(b, lane) - begin;
        for (int row = 0; row < rows && row < left; row++)
            out[begin + row] = (int16_t)w->lanes.rows[row][lane];
    }
}

/* How many bits of low bits the block has. */
static uint64_t count_low_bits(const block *b) {
    uint64_t bits = 0;
    for (int lane = 0; lane < num_lanes(b); lane++) {
        const int length = lane_end(b, lane) - lane_begin(b, lane);
        for (int step = 0; step < length;) {
            int end = b->num_classes > 1 ? ((step >> b->log2_span) + 1) << b->log2_span : length;
            if (end > length) end = length;
            bits += (uint64_t)(end - step) * (uint64_t)b->classes[class_at(b, lane, step)].low_bits;
            step = end;
        }
    }
    return bits;
}

/* Low bits of the strip from step `first` on, for the lanes that have such a step. */
static void read_low_bits(workspace *w, int first, int rows) {
    const block *b = &w->block;
    const int lanes = num_lanes(b), whole_steps = lane_length(b, lanes - 1);
    const uint32_t *counts = w->lanes.classes.low_bits;
    uint64_t taken = w->low_bits_taken;
    for (int row = 0; row < rows; row++) {
        const int step = first + row;
        for (int lane = 0; lane < lanes; lane++) {
            if (step >= whole_steps && lane_begin(b, lane) + step >= lane_end(b, lane)) continue;
            /* 16 bits from anywhere in a byte are in four bytes. */
            const uint32_t bits = load_u32(w->low_bits + (taken >> 3)) >> (taken & 7);
            w->lanes.rows[row][lane] = (uint16_t)(bits & ((1u << counts[lane]) - 1));
            taken += counts[lane];
        }
    }
    w->low_bits_taken = taken;
}

/*
 * The lanes are through, and what is left of their states is the tail: the last lane goes on with
 * the state and the words in their low halves.
 */
static int begin_tail(lane_decoder *l, uint8_t *words) {
    const int lanes = num_lanes(l->b);
    for (int i = 0; i < lanes; i++)
        if (l->state[i] >> 16 != 1) return -1;
    for (int i = 0; i < lanes; i++) store_u16(words + WORD_BYTES * i, (uint16_t)l->state[i]);
    l->state[lanes - 1] = load_u32(words);
    if (!(l->state[lanes - 1] >> 16)) return -1;
    l->words_behind_lanes = l->words;
    l->words = words + 2 * WORD_BYTES;
    l->words_end = words + WORD_BYTES * lanes;
    return 0;
}

/* Whether the last state is as the encoder began with it, and no word is left. */
static int is_finished(const lane_decoder *l) {
    const int lanes = num_lanes(l->b);
    if (l->b->tail > 0) {
        for (const uint8_t *p = l->words; p < l->words_end; p++)
            if (*p != 0) return 0;
        return l->state[lanes - 1] == 1u << 16;
    }
    for (int i = 0; i < lanes; i++)
        if (l->state[i] != 1u << 16) return 0;
    return 1;
}

/* Take the echoes of the next strip, of so many rows, from where its samples will be. */
static void load_echoes(workspace *w, int rows, const n1_kernels *kernels) {
    const block *b = &w->block;
    const int lanes = num_lanes(b);
    const int16_t *columns[MAX_LANES];
    for (int lane = 0; lane < lanes; lane++)
        columns[lane] = w->plane + lane_begin(b, lane) + w->next_step;
    if (w->next_step + STRIP_ROWS <= lane_length(b, lanes - 1)) {
        kernels->load_columns(columns, lanes, w->lanes.echo);
        return;
    }
    for (int lane = 0; lane < lanes; lane++) {
        const int left = lane_end(b, lane) - lane_begin(b, lane) - w->next_step;
        for (int row = 0; row < rows && row < left; row++)
            w->lanes.echo[row][lane] = columns[lane][row];
    }
}

/* Let the rows before be history; `previous` of them there were, or 0 at the beginning. */
static void roll_strip(strip *s, int previous) {
    if (previous == 0)
        memset(s->y, 0, sizeof(s->y));
    else
        memmove(s->y, s->y + previous, sizeof(s->y[0]) * MAX_ORDER);
    memset(s->rows, 0, sizeof(s->rows));
}

/* Make a block ready for the next strip, which is rolled, of so many rows. */
static void begin_strip(workspace *w, int rows, const n1_kernels *kernels) {
    const block *b = &w->block;
    lane_decoder *l = &w->lanes;
    if (w->next_step == 0 || b->num_classes > 1) use_classes(w, w->next_step);
    if (l->has_echo) load_echoes(w, rows, kernels);
    if (w->low_bits) read_low_bits(w, w->next_step, rows);
}

static void end_strip(workspace *w, int rows, const n1_kernels *kernels) {
    store_strip(w, w->next_step, rows, kernels, w->plane);
    w->next_step += rows;
}

/*
 * Decode rows of the strip from `row` on, of `rows` in it, in which all lanes have a sample: as many
 * as the kernel takes at once, but at least one. Returns how many, or -1.
 */
static int decode_whole_rows(workspace *w, int row, int rows, const n1_kernels *kernels) {
    const block *b = &w->block;
    const int step = w->next_step + row;
    if (has_tables(w, step)) {
        const int is_full_order = step >= b->order;
        const int done = kernels->decode_rows(&w->lanes, row, is_full_order ? rows - row : 1,
                                              is_full_order ? b->order : step);
        if (done > 0) return done;
    }
    return decode_row(w, step, row, 0, num_lanes(b)) ? -1 : 1;
}

/* Decode the next strip of a block: samples with the width kind, codes with the integer kind. */
static int decode_strip(workspace *w, const n1_kernels *kernels) {
    const block *b = &w->block;
    const int lanes = num_lanes(b), left = num_steps(b) - w->next_step;
    const int rows = left < strip_steps(b) ? left : strip_steps(b);
    const int whole_steps = lane_length(b, lanes - 1), whole = whole_steps - w->next_step;
    const int partial = (b->num_samples - b->tail) % lanes;
    roll_strip(&w->strip, w->next_step > 0 ? strip_steps(b) : 0);
    begin_strip(w, rows, kernels);
    for (int row = 0; row < rows;) {
        if (row < whole) {
            const int done = decode_whole_rows(w, row, whole < rows ? whole : rows, kernels);
            if (done < 0) return -1;
            row += done;
            continue;
        }
        const int step = w->next_step + row;
        if (step == whole_steps) {
            if (decode_row(w, step, row, 0, partial)) return -1;
            if (b->tail > 0 && begin_tail(&w->lanes, w->tail_words)) return -1;
        }
        if (step < whole_steps + b->tail && decode_row(w, step, row, lanes - 1, lanes)) return -1;
        row++;
    }
    end_strip(w, rows, kernels);
    return 0;
}

/* How many blocks like this one can be decoded at once. */
static int at_once(const block *b) { return num_lanes(b) < MAX_LANES ? MAX_LANES / num_lanes(b) : 2; }

/* Whether two blocks can be decoded at once. */
static int can_join(const workspace *a, const workspace *b, const n1_kernels *kernels) {
    const block *const blocks[2] = {&a->block, &b->block};
    for (int k = 0; k < 2; k++) {
        if (strip_steps(blocks[k]) < STRIP_ROWS) return 0;
        if (lane_length(blocks[k], num_lanes(blocks[k]) - 1) < STRIP_ROWS) return 0;
    }
    if (a->lanes.table_memory != a->tables || b->lanes.table_memory != b->tables) return 0;
    return kernels->can_join(&a->lanes, &b->lanes);
}

/* Steps of all lanes that several blocks have, and the highest of their orders. */
static int common_steps(workspace *const *w, int count, int *order) {
    int steps = MAX_BLOCK_SAMPLES;
    *order = 0;
    for (int k = 0; k < count; k++) {
        const block *b = &w[k]->block;
        const int own = lane_length(b, num_lanes(b) - 1);
        if (own < steps) steps = own;
        if (b->order > *order) *order = b->order;
    }
    return steps;
}

/* Decode strips of two blocks of 16 lanes at once, as long as all lanes of both have them. */
static int decode_strips_of_two(workspace *const *w, const n1_kernels *kernels) {
    lane_decoder *const lanes[2] = {&w[0]->lanes, &w[1]->lanes};
    int order;
    const int whole_steps = common_steps(w, 2, &order);
    while (w[0]->next_step + STRIP_ROWS <= whole_steps) {
        const int first = w[0]->next_step;
        for (int k = 0; k < 2; k++) {
            roll_strip(&w[k]->strip, first > 0 ? STRIP_ROWS : 0);
            begin_strip(w[k], STRIP_ROWS, kernels);
        }
        for (int row = 0; row < STRIP_ROWS;) {
            if (first + row >= order) {
                row += kernels->decode_two(lanes, row, STRIP_ROWS - row);
                if (row == STRIP_ROWS) break;
            }
            for (int k = 0; k < 2; k++)
                if (decode_whole_rows(w[k], row, row + 1, kernels) < 0) return -1;
            row++;
        }
        for (int k = 0; k < 2; k++) end_strip(w[k], STRIP_ROWS, kernels);
    }
    return 0;
}

/* Bytes between two places of one allocation. */
static ptrdiff_t distance_between(const void *a, const void *b) {
    return (const char *)b - (const char *)a;
}

/* Say of each column what the class of its lane is in the strip. */
static void use_classes_of_set(lane_set *set) {
    set->is_simple = 1;
    for (int column = 0; column < MAX_LANES; column++) {
        const int k = column / set->lanes, lane = column % set->lanes;
        const lane_decoder *const l = set->blocks[k < set->num_blocks ? k : 0];
        const span_classes *const c = &l->classes;
        const int item = l->b->kind == KIND_INTEGER ? 2 : 1; /* of a table, in 16-bit numbers */
        const uint32_t from = (uint32_t)(distance_between(set->tables, l->table_memory) / 2);
        set->columns.table[column] = c->table[lane] + from / (uint32_t)item;
        set->columns.below[column] = c->below[lane] + from;
        set->columns.reach[column] = c->reach[lane];
        set->columns.low_bits[column] = c->low_bits[lane];
        set->columns.rounding[column] = c->rounding[lane];
        set->columns.holds[column] = c->holds[lane];
        if (c->low_bits[lane] || c->holds[lane]) set->is_simple = 0;
    }
}

/* Make a set of blocks that can be joined, whose workspaces lie behind `memory`. */
static void make_set(lane_set *set, workspace *const *w, int count, const workspace *memory) {
    set->num_blocks = count;
    set->lanes = num_lanes(&w[0]->block);
    set->tables = (const uint16_t *)(const void *)memory->tables;
    set->cells = memory->cells;
    for (int k = 0; k < count; k++) {
        lane_decoder *const l = &w[k]->lanes;
        use_strip(l, &set->strip, k * set->lanes);
        for (int lane = 0; lane < set->lanes; lane++) l->state[lane] = w[k]->strip.state[lane];
        set->blocks[k] = l;
        set->owners[k] = w[k];
    }
    set->take_escapes = take_escapes_of_set;
    memset(set->strip.echo, 0, sizeof(set->strip.echo));
    memset(&set->columns, 0, sizeof(set->columns));
    for (int column = 0; column < MAX_LANES; column++) {
        const int k = column / set->lanes, is_used = k < count;
        const workspace *const own = w[is_used ? k : 0];
        const lane_decoder *const l = &own->lanes;
        const predictor *const p = &l->predictor;
        const int16_t *const a = p->coefficients[p->order];
        if (!is_used) set->strip.state[column] = 1 << 16;
        set->columns.is_used[column] = is_used ? UINT32_MAX : 0;
        for (int j = 0; j < p->order; j++)
            set->columns.coefficients[j / 2][column] |= (uint32_t)(uint16_t)a[j] << (j & 1 ? 16 : 0);
        set->columns.bias[column] = p->bias[p->order];
        set->columns.shift[column] = p->shift[p->order];
        set->columns.lowest_y[column] = l->lowest_y;
        set->columns.highest_y[column] = l->highest_y;
        set->columns.precision[column] = (uint32_t)l->b->precision;
        set->columns.last_slot[column] = (1u << l->b->precision) - 1;
        set->columns.last_symbol[column] = symbol_slots(l->b) - 1;
        if (l->b->kind == KIND_INTEGER) continue;
        set->columns.first_position[column] = (uint32_t)(l->first_position + 32768);
        set->columns.last_position[column] = (uint32_t)(l->last_position + 32768);
        set->columns.cells[column] = (uint32_t)(distance_between(memory, own) / (ptrdiff_t)sizeof(cell));
    }
}

/* Let a block have its strip alone again, after so many rows of the set's. */
static void leave_set(workspace *w, int rows) {
    const lane_decoder in_set = w->lanes;
    use_strip(&w->lanes, &w->strip, 0);
    for (int lane = 0; lane < num_lanes(&w->block); lane++) {
        w->lanes.state[lane] = in_set.state[lane];
        for (int i = 0; i < MAX_ORDER; i++)
            w->lanes.y[STRIP_ROWS + i][lane] = in_set.y[rows + i][lane];
    }
}

/* Put the rows of a set's strip from step `first` on where they belong. */
static void store_set(const lane_set *set, workspace *const *w, int first, int rows,
                      const n1_kernels *kernels) {
    int16_t *columns[MAX_LANES], unused[STRIP_ROWS];
    for (int column = 0; column < MAX_LANES; column++) {
        const int k = column / set->lanes;
        columns[column] = unused;
        if (k < set->num_blocks)
            columns[column] = w[k]->plane + lane_begin(&w[k]->block, column % set->lanes) + first;
    }
    if (rows == STRIP_ROWS) {
        kernels->store_columns(set->strip.rows, MAX_LANES, columns);
        return;
    }
    for (int column = 0; column < MAX_LANES; column++)
        for (int row = 0; row < rows; row++)
            columns[column][row] = (int16_t)set->strip.rows[row][column];
}

/* Decode steps of a set of blocks at once, as long as all lanes of them have them. */
static int decode_strips_of_set(lane_set *set, workspace *const *w, int count,
                                const workspace *memory, const n1_kernels *kernels) {
    const int whole_steps = common_steps(w, count, &set->order);
    int has_classes = 0, rows = STRIP_ROWS;
    make_set(set, w, count, memory);
    for (int k = 0; k < count; k++) has_classes |= w[k]->block.num_classes > 1;
    for (int first = 0; first < whole_steps; first += rows) {
        /* A block's own strips, which go on behind, have to begin with spans of its classes. */
        if (has_classes && whole_steps - first < STRIP_ROWS) break;
        if (whole_steps - first < STRIP_ROWS) rows = whole_steps - first;
        roll_strip(&set->strip, first > 0 ? STRIP_ROWS : 0);
        for (int k = 0; k < count; k++) begin_strip(w[k], rows, kernels);
        if (first == 0 || has_classes) use_classes_of_set(set);
        for (int row = 0; row < rows;) {
            /* At step 0 a class that holds has nothing to hold. */
            if (first + row >= set->order && first + row > 0) {
                const int done = kernels->decode_set(set, row, rows - row);
                if (done < 0) return -1;
                row += done;
                if (row == rows) break;
            }
            /* Kernels of one block would write into columns beside its own. */
            for (int k = 0; k < count; k++)
                if (decode_row(w[k], first + row, row, 0, set->lanes)) return -1;
            row++;
        }
        store_set(set, w, first, rows, kernels);
        for (int k = 0; k < count; k++) w[k]->next_step += rows;
    }
    for (int k = 0; k < count; k++) leave_set(w[k], rows);
    return 0;
}

static int decode_packed(const block *b, const uint8_t **src, const uint8_t *end, int16_t *codes) {
    bit_reader r = read_bits_from(*src, end);
    for (int i = 0; i < b->num_samples; i++)
        codes[i] = (int16_t)(uint16_t)((uint32_t)b->packed_base + get_bits(&r, b->packed_bits));
    *src = finish_reading(&r);
    return r.overrun ? N1_ERROR_CORRUPT : N1_OK;
}

/* Make ready for the strips of a block of the integer or the width kind. */
static int begin_strips(workspace *w) {
    const block *b = &w->block;
    lane_decoder *l = &w->lanes;
    const uint8_t *p = w->next, *const end = w->end;

    uint64_t num_escapes;
    const size_t varint_size = load_varint(p, end, &num_escapes);
    if (varint_size == 0) return N1_ERROR_CORRUPT;
    p += varint_size;
    if (num_escapes > (uint64_t)b->num_samples) return N1_ERROR_CORRUPT;
    const uint64_t escape_size = (num_escapes * (uint64_t)b->escape_bits + 7) / 8;
    if (escape_size > (uint64_t)(end - p)) return N1_ERROR_CORRUPT;
    w->escapes = read_bits_from(p, p + escape_size);
    w->num_escapes = num_escapes;
    p += escape_size;

    const uint64_t low_size = (count_low_bits(b) + 7) / 8;
    if (low_size > (uint64_t)(end - p)) return N1_ERROR_CORRUPT;
    w->low_bits = low_size > 0 ? p : NULL;
    w->low_bits_taken = 0;
    p += low_size;
    if (end - p < 4 * num_lanes(b)) return N1_ERROR_CORRUPT;
    use_strip(l, &w->strip, 0);
    for (int i = 0; i < num_lanes(b); i++, p += 4) {
        l->state[i] = load_u32(p);
        if (!(l->state[i] >> 16)) return N1_ERROR_CORRUPT;
    }
    l->b = b;
    l->words = p;
    l->words_end = end;
    l->words_behind_lanes = NULL;
    l->has_echo = b->kind == KIND_WIDTH && b->reference > 0;
    memset(w->strip.echo, 0, sizeof(w->strip.echo));
    w->next_step = 0;

    int32_t angles[MAX_ORDER], mean_position = b->mean;
    for (int m = 0; m < b->order; m++) angles[m] = block_angle(b, m);
    if (b->kind == KIND_WIDTH) {
        l->lowest_y = middle_of_cell(w, b->lowest);
        l->highest_y = middle_of_cell(w, b->highest);
        mean_position = middle_of_cell(w, b->mean);
        make_cells(w);
    } else {
        l->lowest_y = -32768;
        l->highest_y = 32767;
    }
    if (make_predictor(&l->predictor, angles, b->order, mean_position)) return N1_ERROR_CORRUPT;
    return make_class_tables(w);
}

/* Decode the strips that are left of such a block. */
static int finish_strips(workspace *w, const n1_kernels *kernels) {
    lane_decoder *l = &w->lanes;
    while (w->next_step < num_steps(&w->block))
        if (decode_strip(w, kernels)) return N1_ERROR_CORRUPT;
    if (!is_finished(l) || w->num_escapes > 0) return N1_ERROR_CORRUPT;
    w->next = l->words_behind_lanes ? l->words_behind_lanes : l->words;
    return N1_OK;
}

static void undo_differences(const block *b, int16_t *codes) {
    for (int i = 0; i < b->differences; i++)
        for (int j = 1; j < b->num_samples; j++)
            codes[j] = (int16_t)(uint16_t)((uint32_t)codes[j - 1] + (uint32_t)codes[j]);
}

/* From codes to samples, in place. */
static int undo_map(const block *b, const n1_kernels *kernels, int16_t *codes) {
    if (b->map == MAP_ADC) {
        kernels->adc_decode(codes, codes, (size_t)b->num_samples);
    } else if (b->map == MAP_STEP) {
        for (int i = 0; i < b->num_samples; i++)
            codes[i] = (int16_t)(uint16_t)(b->offset + b->step * (uint32_t)(uint16_t)codes[i]);
    } else if (b->map == MAP_PALETTE) {
        const int16_t *const palette = b->palette;
        const int size = b->palette_size, count = b->num_samples;
        for (int i = 0; i < count; i++) {
            const int index = codes[i] + size / 2;
            if (index < 0 || index >= size) return N1_ERROR_CORRUPT;
            codes[i] = palette[index];
        }
    }
    return N1_OK;
}

/* Read a block's head, and make ready for what is behind it; its samples are to go to `plane`. */
static int begin_block(workspace *w, const uint8_t *src, const uint8_t *end, int reference,
                       int num_samples, size_t plane_size, const uint8_t *widths, int16_t *plane) {
    block *b = &w->block;
    b->num_samples = num_samples;
    b->reference = reference;
    b->differences = 0;
    bit_reader r = read_bits_from(src, end);
    if (read_block(&r, b, w->class_of_span, MAX_SPANS)) return N1_ERROR_CORRUPT;
    w->next = finish_reading(&r);
    w->end = end;
    w->plane = plane;
    w->other = plane - (size_t)reference * plane_size;
    if (r.overrun) return N1_ERROR_CORRUPT;
    if (b->kind == KIND_PACKED) return N1_OK;
    if (b->kind == KIND_WIDTH) {
        if (b->own_widths && (!widths || checksum32(widths, N1_NUM_CODES, 0) != b->widths_hash))
            return N1_ERROR_WIDTHS;
        if (w->edges_are_own != b->own_widths) {
            if (make_edges(b->own_widths ? widths : N1_WIDTHS, w->edges)) return N1_ERROR_ARGUMENT;
            w->edges_are_own = b->own_widths;
            w->first_code = w->end_code = 0;
        }
    }
    return begin_strips(w);
}

/* With the width kind: put the echoes of the reference, which is decoded, into the block's plane. */
static void put_echoes(workspace *w, const n1_kernels *kernels) {
    int16_t middles[2 * HALF_CODES];
    if (!w->lanes.has_echo) return;
    make_middles(w->edges, middles);
    make_echo(&w->block, w->other, middles, kernels, 0, w->block.num_samples, w->plane);
}

/* With the others: add them to the codes. */
static void add_echoes(const workspace *w, const n1_kernels *kernels) {
    enum { PART = 1024 };
    const int n = w->block.num_samples;
    int16_t echo[PART];
    for (int begin = 0; begin < n; begin += PART) {
        const int count = n - begin < PART ? n - begin : PART;
        make_echo(&w->block, w->other, NULL, kernels, begin, count, echo);
        for (int i = 0; i < count; i++)
            w->plane[begin + i] = (int16_t)(uint16_t)(w->plane[begin + i] + echo[i]);
    }
}

/* Decode what is left of a block. */
static int finish_block(workspace *w, const n1_kernels *kernels) {
    const block *b = &w->block;
    int16_t *const plane = w->plane;
    if (b->kind == KIND_WIDTH && w->next_step == 0) put_echoes(w, kernels);
    const int error = b->kind == KIND_PACKED ? decode_packed(b, &w->next, w->end, plane)
                                             : finish_strips(w, kernels);
    if (error) return error;
    if (w->next != w->end) return N1_ERROR_CORRUPT;
    if (b->kind == KIND_WIDTH) return N1_OK;
    undo_differences(b, plane);
    if (b->reference > 0) add_echoes(w, kernels);
    return undo_map(b, kernels, plane);
}

/*
 * Write some samples of neighbouring channels, whose planes are plane_size apart, into rows that
 * are row_bytes apart.
 */
static void interleave(const int16_t *planes, size_t plane_size, int num_channels, size_t num_samples,
                       const n1_info *info, size_t row_bytes, const n1_kernels *kernels,
                       uint8_t *dst) {
    const size_t item = n1_item_size(info);
    const uint16_t flip = n1_sign_flip(info);
    if (item == 2 && row_bytes == 2) { /* one channel, which the compiler turns into vectors */
        for (size_t i = 0; i < num_samples; i++)
            store_u16(dst + 2 * i, (uint16_t)planes[i] ^ flip);
        return;
    }
    /* The kernel leaves what does not fill its vectors. */
    const size_t whole = num_samples / 8 * 8;
    const int done = item < 2 ? 0
                              : kernels->store_frames(planes, plane_size, num_channels, whole, flip,
                                                      dst, row_bytes);
    for (size_t i = done < num_channels ? 0 : whole; i < num_samples; i++) {
        for (int c = i < whole ? done : 0; c < num_channels; c++) {
            const uint16_t sample = (uint16_t)planes[(size_t)c * plane_size + i] ^ flip;
            if (item == 2)
                store_u16(dst + i * row_bytes + 2 * (size_t)c, sample);
            else
                dst[i * row_bytes + (size_t)c] = (uint8_t)sample;
        }
    }
}

/* Whether the plane of a group's only channel that is needed is what dst is to hold. */
static int can_decode_in_place(const n1_info *info, const n1_part *part, const block_group *g,
                               const void *dst) {
    static const uint16_t ONE = 1;
    const int is_little_endian = *(const uint8_t *)&ONE == 1;
    return is_little_endian && g->end - g->begin == g->num_samples && info->dtype == N1_INT16 &&
           part->row_bytes == sizeof(int16_t) && (uintptr_t)dst % sizeof(int16_t) == 0;
}

/* Whether the samples and bytes of block c of a group are what was encoded. */
static int is_intact(const block_layout *layout, const block_group *g, int c, int16_t *plane) {
    const block_entry *const entry = &g->entries[c];
    const uint8_t *const src = layout->blocks + g->offset[c], *const end = src + entry->size;
    const uint32_t samples = samples_checksum(plane, g->num_samples);
    if (!layout->entries)
        return is_checksum(block_checksum(samples, layout->only_from, end, layout->only_seed),
                           entry->checksum);
    return is_checksum(kept_checksum(block_checksum(samples, src, end, 0), layout->number_bytes),
                       entry->checksum);
}

/* Whether all that comes before the strips of w[k] is there; of the blocks before w[first], all is. */
static int is_ready(workspace *const *w, int k, int first) {
    for (int before = first; before < k && w[k]->lanes.has_echo; before++)
        if (w[k]->other == w[before]->plane) return 0;
    return 1;
}

/*
 * Decode strips of the first block, and with it those of as many behind it as can be decoded at
 * once. None of them is wholly decoded yet, but all before them are.
 */
static int decode_together(decoding *d, workspace *const *w, int count, const n1_kernels *kernels) {
    workspace *joined[MAX_LANES];
    int num_joined = 0;
    for (int k = 0; k < count && num_joined < at_once(&w[0]->block); k++) {
        if (w[k]->block.kind == KIND_PACKED || w[k]->next_step > 0 || !is_ready(w, k, 0)) continue;
        if (k > 0 && !can_join(w[0], w[k], kernels)) continue;
        joined[num_joined++] = w[k];
    }
    if (num_joined < 2) return 0;
    for (int k = 0; k < num_joined; k++) put_echoes(joined[k], kernels);
    if (num_lanes(&w[0]->block) == MAX_LANES) return decode_strips_of_two(joined, kernels);
    return decode_strips_of_set(&d->set, joined, num_joined, d->workspaces, kernels);
}

/* Decode blocks of a group, as many as there are workspaces at most, into their planes. */
static int decode_blocks(decoding *d, const block_layout *layout, const block_group *g,
                         const int *channels, int16_t *const *planes, int count,
                         const uint8_t *widths, const n1_kernels *kernels) {
    workspace *w[GROUP_CHANNELS];
    for (int k = 0; k < count; k++) {
        const block_entry *const entry = &g->entries[channels[k]];
        const uint8_t *const src = layout->blocks + g->offset[channels[k]];
        w[k] = d->workspaces + k;
        const int error = begin_block(w[k], src, src + entry->size, (int)entry->reference,
                                      (int)g->num_samples, (size_t)layout->block_samples, widths,
                                      planes[k]);
        if (error) return error;
    }
    for (int k = 0; k < count; k++) {
        if (w[k]->block.kind != KIND_PACKED && w[k]->next_step == 0 &&
            decode_together(d, w + k, count - k, kernels))
            return N1_ERROR_CORRUPT;
        const int error = finish_block(w[k], kernels);
        if (error) return error;
        if (!is_intact(layout, g, channels[k], w[k]->plane)) return N1_ERROR_CORRUPT;
    }
    return N1_OK;
}

static void begin_workspace(workspace *w) {
    w->large_tables = NULL;
    w->large_size = 0;
    w->edges_are_own = -1;
    w->first_code = w->end_code = 0;
}

static void free_workspaces(decoding *d) {
    for (int k = 0; k < d->num_workspaces; k++) free(d->workspaces[k].large_tables);
    free(d->workspaces);
    d->workspaces = NULL;
    d->num_workspaces = 0;
}

/*
 * Have memory for a group: no more than it needs, as fresh memory takes the system's time. One
 * channel that is decoded in place takes one workspace, and no planes.
 */
static int have_memory(decoding *d, const block_layout *layout, int num_needed, int in_place) {
    const int at_most = layout->block_samples < SHORT_BLOCK_SAMPLES ? GROUP_CHANNELS : 2;
    const int count = num_needed < at_most ? num_needed : at_most;
    if (count > d->num_workspaces) {
        free_workspaces(d);
        d->workspaces = malloc((size_t)count * sizeof(*d->workspaces));
        if (!d->workspaces) return N1_ERROR_MEMORY;
        d->num_workspaces = count;
        for (int k = 0; k < count; k++) begin_workspace(&d->workspaces[k]);
    }
    if (!d->planes && !in_place) {
        const size_t channels = layout->num_channels < GROUP_CHANNELS ? (size_t)layout->num_channels
                                                                      : GROUP_CHANNELS;
        d->planes = malloc((size_t)layout->block_samples * channels * sizeof(*d->planes));
        if (!d->planes) return N1_ERROR_MEMORY;
    }
    return N1_OK;
}

/* Decode what a part needs of a group, and write what it has of that to dst. */
static int decode_group(decoding *d, const block_layout *layout, const block_group *g,
                        const n1_info *info, const n1_part *part, const uint8_t *widths,
                        const n1_kernels *kernels, uint8_t *dst) {
    const size_t length = (size_t)layout->block_samples, count = (size_t)(g->end - g->begin);
    const size_t item = n1_item_size(info), row_bytes = (size_t)part->row_bytes;
    dst += (g->begin - part->first_sample) * row_bytes + g->column * item;
    int num_needed = 0;
    for (int c = 0; c < g->num_channels; c++) num_needed += g->is_needed[c];
    const int in_place = num_needed == 1 && can_decode_in_place(info, part, g, dst);
    const int error = have_memory(d, layout, num_needed, in_place);
    if (error) return error;
    int16_t *const planes = d->planes;
    for (int c = 0; c < g->num_channels;) {
        int channels[GROUP_CHANNELS], num = 0;
        int16_t *to[GROUP_CHANNELS];
        for (; c < g->num_channels && num < d->num_workspaces; c++) {
            if (!g->is_needed[c]) continue;
            to[num] = in_place ? (int16_t *)(void *)dst : planes + (size_t)c * length;
            channels[num++] = c;
        }
        const int failed = decode_blocks(d, layout, g, channels, to, num, widths, kernels);
        if (failed) return failed;
    }
    for (int i = 0, run; i < g->num_wanted && !in_place; i += run, dst += (size_t)run * item) {
        for (run = 1; i + run < g->num_wanted; run++)
            if (g->wanted[i + run] != g->wanted[i] + run) break;
        const int16_t *const first = planes + g->wanted[i] * length + (g->begin - g->first_sample);
        interleave(first, length, run, count, info, row_bytes, kernels, dst);
    }
    return N1_OK;
}

int n1_decode_blocks(const block_layout *layout, const n1_info *info, const n1_part *part,
                     const uint8_t *widths, const n1_kernels *kernels, uint8_t *dst) {
    decoding d = {0};
    block_walk walk = {.layout = layout, .part = part};
    block_group g;
    int error;
    while ((error = next_group(&walk, &g)) > 0) {
        error = decode_group(&d, layout, &g, info, part, widths, kernels, dst);
        if (error) break;
    }
    free_workspaces(&d);
    free(d.planes);
    return error;
}
