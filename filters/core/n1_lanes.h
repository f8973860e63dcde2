/*
 * Decoding of interleaved lanes, a strip of steps at a time. A strip's rows have a column for
 * each of MAX_LANES lanes, used or not, so that loops over lanes have a fixed length.
 */
#ifndef N1STORE_N1_LANES_H
#define N1STORE_N1_LANES_H

#include <stdint.h>

#include "n1_block.h"

enum {
    STRIP_ROWS = 64,
    WORD_BYTES = 2,
    NUM_POSITIONS = 1 << 16,
    NUM_DISTANCES = 65538, /* -32768 .. 32768, and one to keep tables aligned */
};

/* What lies at a position: a code's cell, its place for prediction, and its sample. */
typedef struct {
    int16_t low, high, y, sample;
} cell;

/* What decodes steady steps of one class, made by decoder_tables in n1_decode.c. */
typedef struct {
    /* integer: (residual + 128) | frequency << 8 | (slot - start) << 20 for each slot */
    const uint32_t *symbols;
    /* width: distance of each slot from the prediction; F for distances -reach .. reach */
    const int16_t *distance;
    const uint16_t *below; /* points to F(0) */
    int32_t reach;
} class_tables;

typedef struct {
    const block *b;
    predictor predictor;
    uint32_t state[MAX_LANES];
    const uint8_t *words, *words_end;
    const uint8_t *words_behind_lanes; /* where they end, once the tail has begun */

    class_tables tables[MAX_CLASSES];
    const cell *cells; /* width: at each position from first_position to last_position */
    int32_t first_position, last_position;
    int32_t lowest_y, highest_y; /* limits of predictions, and with width of positions */

    /* History of MAX_ORDER rows, then the strip: positions of codes. */
    int16_t y[MAX_ORDER + STRIP_ROWS][MAX_LANES];
    /* The strip: codes (integer), where the low bits stand before; or samples (width). */
    uint16_t rows[STRIP_ROWS][MAX_LANES];
} lane_decoder;

#endif
