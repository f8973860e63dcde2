/* The steps of a block, a strip at a time. */
#include "decoder.h"

#include <string.h>

#include "../common/bytes.h"

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

void roll_strip(strip *s, int previous) {
    if (previous == 0)
        memset(s->y, 0, sizeof(s->y));
    else
        memmove(s->y, s->y + previous, sizeof(s->y[0]) * MAX_ORDER);
    memset(s->rows, 0, sizeof(s->rows));
}

void begin_strip(workspace *w, int rows, const n1_kernels *kernels) {
    const block *b = &w->block;
    lane_decoder *l = &w->lanes;
    if (w->next_step == 0 || b->num_classes > 1) use_classes(w, w->next_step);
    if (l->has_echo) load_echoes(w, rows, kernels);
    if (w->low_bits) read_low_bits(w, w->next_step, rows);
}

void end_strip(workspace *w, int rows, const n1_kernels *kernels) {
    store_strip(w, w->next_step, rows, kernels, w->plane);
    w->next_step += rows;
}

int decode_whole_rows(workspace *w, int row, int rows, const n1_kernels *kernels) {
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

int begin_strips(workspace *w) {
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

int finish_strips(workspace *w, const n1_kernels *kernels) {
    lane_decoder *l = &w->lanes;
    while (w->next_step < num_steps(&w->block))
        if (decode_strip(w, kernels)) return N1_ERROR_CORRUPT;
    if (!is_finished(l) || w->num_escapes > 0) return N1_ERROR_CORRUPT;
    w->next = l->words_behind_lanes ? l->words_behind_lanes : l->words;
    return N1_OK;
}
