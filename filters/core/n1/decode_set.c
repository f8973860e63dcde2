/* Several blocks at once, as far as their strips go. */
#include "decoder.h"

#include <string.h>

/*
 * Take the escapes of a set's columns, which are those whose bits are set, in a row: sample and
 * position, but not the state. Returns -1 if there are not as many.
 */
static int take_escapes_of_set(lane_set *set, int row, uint32_t columns) {
    for (int column = 0; column < MAX_LANES; column++) {
        if (!(columns >> column & 1)) continue;
        workspace *const w = set->owners[column / set->lanes];
        if (take_escape(w, column % set->lanes, w->next_step + row, row)) return -1;
    }
    return 0;
}

/* How many blocks like this one can be decoded at once. */
static int at_once(const block *b) {
    return num_lanes(b) < MAX_LANES ? MAX_LANES / num_lanes(b) : 2;
}

/*
 * Whether two blocks can be decoded at once: both have whole strips, and their tables where the
 * kernels can count from, in the workspace.
 */
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
        const ptrdiff_t from = distance_between(memory, own);
        set->columns.cells[column] = (uint32_t)(from / (ptrdiff_t)sizeof(cell));
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

/* Whether no strip of w[k] is decoded yet, but all that comes before them is. */
static int is_ready(workspace *const *w, int k) {
    if (w[k]->block.kind == KIND_PACKED || w[k]->next_step > 0) return 0;
    if (!w[k]->lanes.has_echo) return 1;
    for (int before = 0; before < k; before++)
        if (w[k]->other == w[before]->plane) return 0;
    return 1;
}

int decode_together(decoding *d, workspace *const *w, int count, const n1_kernels *kernels) {
    if (!is_ready(w, 0)) return 0;
    workspace *joined[MAX_LANES] = {w[0]};
    int num_joined = 1;
    for (int k = 1; k < count && num_joined < at_once(&w[0]->block); k++)
        if (is_ready(w, k) && can_join(w[0], w[k], kernels)) joined[num_joined++] = w[k];
    if (num_joined < 2) return 0;
    for (int k = 0; k < num_joined; k++) put_echoes(joined[k], kernels);
    if (num_lanes(&w[0]->block) == MAX_LANES) return decode_strips_of_two(joined, kernels);
    return decode_strips_of_set(&d->set, joined, num_joined, d->workspaces, kernels);
}
