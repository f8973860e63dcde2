/* The encoder's choice of a model for a block. */
#ifndef N1STORE_N1_FIT_H
#define N1STORE_N1_FIT_H

#include "n1_kernels.h"

/* Costs are in 1/4096 bit. */
enum { BIT = 4096 };

typedef struct {
    int max_order, grid_order; /* of predictors; the latter with the width kind */
    block_kind grid_kind; /* for samples on the N1's grid */
    int precision;        /* with the width kind */
    int refers;           /* try differences to other channels */
    int lanes_from[5];    /* samples from which there are 1, 2, 4, 8, 16 lanes */
} level_settings;

/* A way to model a block. */
typedef struct {
    int few_values;  /* look for a step or a palette, not for the N1's grid */
    int integers;    /* not the width kind */
    int differences; /* take so many first */
    int predict;     /* from more than the mean */
    int trim;        /* let rare codes far from the others be escapes, which predict nothing */
    int for_grid;    /* like another approach if most samples are off the N1's grid */
} approach;

/* What is chosen, and on what; arrays have an entry for each sample of a block. */
typedef struct {
    const level_settings *level;
    const n1_kernels *kernels;
    int16_t edges[2 * HALF_CODES + 1];
    int own_widths;
    uint32_t widths_hash;
    int off_grid; /* how many of the samples that map_grid saw last */
    int reference, gain; /* what was taken off the samples; see block */

    block block;
    predictor predictor;
    uint8_t class_of_span[MAX_SPANS];
    int16_t *codes, *y, *centred;
    int is_sparse; /* width: few of the codes between lowest and highest occur */
    int16_t *predicted; /* at full order, but where lanes begin or a class holds */
} model;

/*
 * Set the codes to the N1's converter's if at most max_off_grid samples are off it; or return 0.
 * Sets off_grid in any case.
 */
int map_grid(model *m, const int16_t *samples, int n, int max_off_grid);

/* Set the codes to multiples of a step, or to numbers of few values, or to the samples. */
void map_samples(model *m, const int16_t *samples, int n);

/*
 * Fit a model to `n` samples, of which two at least differ, with the given approach. Sets all
 * fields of the block but the tail, and the predictor, codes, y and predicted. Returns what
 * the block will cost, about.
 */
int64_t fit_model(model *m, const int16_t *samples, int n, const approach *how);

/* Whether the fitted model suits the block so badly that others should be tried. */
int is_doubtful(const model *m);

/*
 * Whether no lane but the first begins with an outlier: the decoder would put the mean in its
 * place, and not the value before it, on which predictions here are built.
 */
int suits_lanes(const model *m);

/* Set the predictions that depend on where lanes begin and which classes hold. */
void predict_exceptions(model *m);

/* Residual of sample i in the integer kind, with its low bits and rounded without them. */
static inline uint32_t whole_residual(const model *m, int i, int low_bits) {
    return (uint32_t)(int16_t)(m->y[i] - m->predicted[i]) + (1u << low_bits >> 1);
}

static inline int32_t residual_at(const model *m, int i, int low_bits) {
    return (int32_t)whole_residual(m, i, low_bits) >> low_bits;
}

/* The middle of a cell of the width kind. */
static inline int32_t middle_of_cell(const int16_t *edges, int32_t code) {
    return (edges[code + HALF_CODES] + edges[code + HALF_CODES + 1]) >> 1;
}

#endif
