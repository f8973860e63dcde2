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

/* What decodes steady steps of one class, made by decoder_tables in decode.c. */
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

typedef struct {
    const block *b;
    predictor predictor;
    uint32_t state[MAX_LANES];
    const uint8_t *words, *words_end;
    const uint8_t *words_behind_lanes; /* where they end, once the tail has begun */

    class_tables tables[MAX_CLASSES];
    const void *table_memory; /* in which they all are */
    span_classes classes;
    const cell *cells; /* width: at each position from first_position to last_position */
    int32_t first_position, last_position;
    int32_t lowest_y, highest_y; /* limits of predictions, and with width of positions */

    int has_echo; /* width: whether predictions are of positions less their echo */
    /* Of the strip; zeros without a reference. */
    int16_t echo[STRIP_ROWS][MAX_LANES];
    /* History of MAX_ORDER rows, then the strip: positions of codes, less their echo. */
    int16_t y[MAX_ORDER + STRIP_ROWS][MAX_LANES];
    /* The strip: codes (integer), where the low bits stand before; or samples (width). */
    uint16_t rows[STRIP_ROWS][MAX_LANES];
} lane_decoder;

#endif
