/* What a slot means at full order, and which cell a position lies in. */
#include "decoder.h"

#include <stdlib.h>
#include <string.h>

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

int make_class_tables(workspace *w) {
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

/* Say which cell the positions of some codes lie in. */
static void fill_cells(workspace *w, int first_code, int end_code) {
    const int16_t *edges = w->edges + HALF_CODES;
    cell *const cells = w->cells + 32768;
    /* What is written too much belongs to the cells above, and is put back if they are there. */
    cell above[FILL];
    memcpy(above, cells + edges[end_code], sizeof(above));
    for (int code = first_code; code < end_code; code++) {
        const int32_t low = edges[code], high = edges[code + 1];
        const cell here = {(uint16_t)(low + 32768), (uint16_t)(high + 32768),
                           (int16_t)middle_of_cell(w, code), sample_of_code(code)};
        for (int32_t p = low; p < high; p += FILL)
            for (int k = 0; k < FILL; k++) cells[p + k] = here;
    }
    memcpy(cells + edges[end_code], above, sizeof(above));
}

void make_cells(workspace *w) {
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
