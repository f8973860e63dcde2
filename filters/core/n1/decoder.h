/*
 * A block that is decoded: its working memory, and the steps from its bytes to samples, in the order
 * in which they follow from each other. decode.c calls them for all blocks of a part.
 *
 * Unless said otherwise they return 0, or -1 for what no encoder writes.
 */
#ifndef N1STORE_N1_DECODER_H
#define N1STORE_N1_DECODER_H

#include "../common/adc.h"
#include "codec.h"
#include "kernels.h"

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

static inline int16_t sample_of_code(int32_t code) {
    int16_t sample = (int16_t)code;
    n1_adc_decode(&sample, &sample, 1);
    return sample;
}

static inline int32_t middle_of_cell(const workspace *w, int32_t code) {
    const int16_t *edge = w->edges + HALF_CODES + code;
    return (edge[0] + edge[1]) >> 1;
}

/* Steps that are decoded and stored together, in which no lane's class changes. */
static inline int strip_steps(const block *b) {
    const int span = 1 << b->log2_span;
    return b->num_classes > 1 && span < STRIP_ROWS ? span : STRIP_ROWS;
}

/* decode_tables.c: what a slot means, and a position */

/* Make the tables of the block's classes. Returns N1_OK or N1_ERROR_MEMORY. */
int make_class_tables(workspace *w);

/*
 * Which cell each position lies in, over the part of the axis that the block's codes take. Cells
 * of blocks before are there already. The outermost cells reach to the ends of the axis: of these
 * one position is enough, as positions are limited to the table.
 */
void make_cells(workspace *w);

/* decode_symbol.c: what kernels leave */

/* Put the next escape's sample and position into a row, for a lane of which it is that step. */
int take_escape(workspace *w, int lane, int step, int row);

/* Decode step `step` of the lanes first .. end - 1 into a row. */
int decode_row(workspace *w, int step, int row, int first, int end);

/* decode_strip.c: the steps of one block */

/* Let the rows before be history; `previous` of them there were, or 0 at the beginning. */
void roll_strip(strip *s, int previous);

/* Make a block ready for the next strip, which is rolled, of so many rows. */
void begin_strip(workspace *w, int rows, const n1_kernels *kernels);

/* Put so many rows of the strip where they belong, and go on to the next. */
void end_strip(workspace *w, int rows, const n1_kernels *kernels);

/*
 * Decode rows of the strip from `row` on, of `rows` in it, in which all lanes have a sample: as many
 * as the kernel takes at once, but at least one. Returns how many, or -1.
 */
int decode_whole_rows(workspace *w, int row, int rows, const n1_kernels *kernels);

/*
 * Make ready for the strips of a block of the integer or the width kind, from what is behind its
 * parameters. Returns N1_OK or a negative n1_error.
 */
int begin_strips(workspace *w);

/* Decode the strips that are left of such a block. Returns N1_OK or N1_ERROR_CORRUPT. */
int finish_strips(workspace *w, const n1_kernels *kernels);

/* decode_set.c: steps of several blocks at once */

/*
 * Decode strips of the first block, and with it those of as many behind it as can be decoded at
 * once; none if there is no other, or if the first one has no strips, or had some with a block
 * before. All blocks before the first one are wholly decoded.
 */
int decode_together(decoding *d, workspace *const *w, int count, const n1_kernels *kernels);

/* decode_block.c: the whole block */

/*
 * Read a block's head, and make ready for what is behind it; its samples are to go to `plane`, and
 * those of the channels before it are plane_size before, each. Returns N1_OK or a negative n1_error.
 */
int begin_block(workspace *w, const uint8_t *src, const uint8_t *end, int reference, int num_samples,
                size_t plane_size, const uint8_t *widths, int16_t *plane);

/* With the width kind: put the echoes of the reference, which is decoded, into the block's plane. */
void put_echoes(workspace *w, const n1_kernels *kernels);

/* Decode what is left of a block. Returns N1_OK or a negative n1_error. */
int finish_block(workspace *w, const n1_kernels *kernels);

#endif
