/*
 * Decoding of interleaved lanes, a strip of steps at a time. A strip's rows have a column for
 * each of MAX_LANES lanes, used or not, so that loops over lanes have a fixed length.
 */
#ifndef N1STORE_N1_LANES_H
#define N1STORE_N1_LANES_H

#include <stdint.h>

#include "block.h"

enum {
    STRIP_ROWS = 64,
    WORD_BYTES = 2,
    NUM_POSITIONS = 1 << 16,
    NUM_DISTANCES = 65538, /* -32768 .. 32768, and one to keep tables aligned */
};

/* What lies at a position: a code's cell, its place for prediction, and its sample. */
typedef struct {
    uint16_t low, high; /* edges, from -32768 on */
    int16_t y, sample;
} cell;

/* What decodes steady steps of one class, made by make_class_tables. */
typedef struct {
    /* integer: (residual + 128) | frequency << 8 | (slot - start) << 20 for each slot */
    const uint32_t *symbols;
    /* width: distance of each slot from the prediction - reach; F for distances -reach .. reach */
    const uint16_t *distance;
    const uint16_t *below; /* points to F(0) */
    int32_t reach;
} class_tables;

/*
 * What the class of each lane is in the strip that is decoded, with MAX_LANES numbers for each
 * thing, so that kernels look up in the tables of all lanes at once. Tables are given by their
 * places in table_memory.
 */
typedef struct {
    uint32_t table[MAX_LANES]; /* of symbols, in 32-bit numbers, or of distances, in 16-bit ones */
    uint32_t below[MAX_LANES]; /* width: F(-reach), in 16-bit numbers */
    uint32_t reach[MAX_LANES]; /* in both halves */
    uint32_t low_bits[MAX_LANES];
    uint32_t rounding[MAX_LANES]; /* by which residuals of the table, shifted, are too great */
    uint32_t holds[MAX_LANES];    /* all bits set, or none */
} span_classes;

/* What is decoded of some steps, with a column for each of MAX_LANES lanes, used or not. */
typedef struct {
    uint32_t state[MAX_LANES];
    /* History of MAX_ORDER rows, then the strip: positions of codes, less their echo. */
    int16_t y[MAX_ORDER + STRIP_ROWS][MAX_LANES];
    /* The strip: codes (integer), where the low bits stand before; or samples (width). */
    uint16_t rows[STRIP_ROWS][MAX_LANES];
    int16_t echo[STRIP_ROWS][MAX_LANES]; /* zeros without a reference */
} strip;

typedef struct {
    const block *b;
    predictor predictor;
    const uint8_t *words, *words_end;
    const uint8_t *words_behind_lanes; /* where they end, once the tail has begun */

    class_tables tables[MAX_CLASSES];
    const void *table_memory; /* in which they all are */
    span_classes classes;
    const cell *cells; /* width: at each position from first_position to last_position */
    int32_t first_position, last_position;
    int32_t lowest_y, highest_y; /* limits of predictions, and with width of positions */
    int has_echo; /* width: whether predictions are of positions less their echo */

    /* The block's first column in the strip's; the other lanes' are beside it. */
    uint32_t *state;
    int16_t (*y)[MAX_LANES];
    uint16_t (*rows)[MAX_LANES];
    int16_t (*echo)[MAX_LANES];
} lane_decoder;

static inline void use_strip(lane_decoder *l, strip *s, int first_column) {
    l->state = s->state + first_column;
    l->y = (int16_t(*)[MAX_LANES])(void *)(s->y[0] + first_column);
    l->rows = (uint16_t(*)[MAX_LANES])(void *)(s->rows[0] + first_column);
    l->echo = (int16_t(*)[MAX_LANES])(void *)(s->echo[0] + first_column);
}

/*
 * Blocks of the same kind and of equally many lanes, less than MAX_LANES, that share a strip; what
 * is needed of each is given for all columns, so that kernels need not know which block one is of.
 */
typedef struct lane_set {
    strip strip;
    lane_decoder *blocks[MAX_LANES];
    void *owners[MAX_LANES]; /* of the blocks; for take_escapes */
    /*
     * Put the samples of escapes into a row, and their positions, for the columns whose bits are
     * set. Returns 0, or -1 if there are not as many, after which decoding has failed.
     */
    int (*take_escapes)(struct lane_set *set, int row, uint32_t columns);
    int num_blocks, lanes; /* of each block */
    int order;             /* the highest of all */
    int is_simple;         /* no class in the strip holds or has low bits */
    const uint16_t *tables; /* what `table` and `below` are counted from */
    const cell *cells;
    struct {
        uint32_t is_used[MAX_LANES]; /* all bits set, or none */
        uint32_t coefficients[MAX_ORDER / 2][MAX_LANES]; /* in pairs, the first one below */
        int32_t bias[MAX_LANES], shift[MAX_LANES];
        int32_t lowest_y[MAX_LANES], highest_y[MAX_LANES];
        uint32_t precision[MAX_LANES], last_slot[MAX_LANES], last_symbol[MAX_LANES];
        /* width: positions from -32768 on; and where that of -32768 would have its cell */
        uint32_t first_position[MAX_LANES], last_position[MAX_LANES], cells[MAX_LANES];
        /* As in span_classes. */
        uint32_t table[MAX_LANES], below[MAX_LANES], reach[MAX_LANES];
        uint32_t low_bits[MAX_LANES], rounding[MAX_LANES], holds[MAX_LANES];
    } columns;
} lane_set;

#endif
