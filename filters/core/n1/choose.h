/* The encoder's choice between ways to model a block. */
#ifndef N1STORE_N1_CHOOSE_H
#define N1STORE_N1_CHOOSE_H

#include "codec.h"
#include "fit.h"

enum { NUM_APPROACHES = 9 };

/* What approaches did for blocks that the first one does not suit. */
typedef struct {
    int num_blocks;
    int64_t cost;                  /* of all of them, by the first approach */
    int64_t saved[NUM_APPROACHES]; /* of it, by each where it suited best */
} experience;

/* Memory of one call, and what suited the blocks before. Begins as zeros but for what is given. */
typedef struct {
    model *best, *trial; /* given: two models with their memory */
    sample_maps whole;   /* given: room for codes, here and in the one below; of the block */
    sample_maps piece;
    reference other;         /* given: its room; to try */
    int16_t *residuals;      /* given: of a group of channels, what predictors leave */
    size_t plane_size;       /* given: from a channel of the group to the next, in samples */
    int64_t energies[GROUP_CHANNELS]; /* of the residuals, where channels are compared */

    experience with[4]; /* with each map off the grid */
    int num_uncertain;  /* blocks that the first approach does not suit, on the grid */
    int64_t gain;       /* what short blocks would take less for those off it, about */
} chooser;

/*
 * Fit the model that takes least to the samples of a channel of the group, of which those before
 * are done: c->best. It may be one that packs.
 */
void choose_model(chooser *c, const int16_t *planes, int channel, int n);

/* Fit one to the same samples that surely can be coded, whatever they are. */
void choose_safe_model(chooser *c);

#endif
