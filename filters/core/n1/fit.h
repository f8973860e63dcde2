/* The encoder's choice of a model for a block. */
#ifndef N1STORE_N1_FIT_H
#define N1STORE_N1_FIT_H

#include "kernels.h"

/* Costs are in 1/4096 bit. */
enum { BIT = 4096 };

typedef struct {
    int max_order, grid_order; /* of predictors; the latter with the width kind */
    block_kind grid_kind; /* for samples on the N1's grid */
    int precision;        /* with the width kind */
    int refers;           /* taps that a reference to another channel may have */
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

/* Codes that samples are mapped to, one for each. */
typedef struct {
    code_map map;
    uint32_t step, offset;
    int palette_size;
    int16_t palette[MAX_PALETTE];
    int64_t cost; /* of the map's own fields */
    const int16_t *codes;
    int16_t lowest, highest; /* of the codes */
    int16_t *room;           /* for codes that are not the samples themselves */
} mapping;

/* Samples, and both ways to map them, each made when it is asked for and then kept. */
typedef struct {
    const int16_t *samples;
    int num_samples;
    int off_grid;        /* about how many are off the N1's grid */
    int has_grid, has_plain;
    mapping grid, plain;
} sample_maps;

/* Another channel that a block may refer to. */
typedef struct {
    int distance; /* channels before */
    echo_taps taps;
    const int16_t *samples;
    int16_t *echo, *u; /* room for the echoes, and for positions less these */
} reference;

/* What is chosen, and on what; arrays have an entry for each sample of a block. */
typedef struct {
    const level_settings *level;
    const n1_kernels *kernels;
    const int16_t *edges, *middles; /* of the width kind's cells */
    int own_widths;
    uint32_t widths_hash;

    block block;
    predictor predictor;
    uint8_t class_of_span[MAX_SPANS];
    const int16_t *codes, *y; /* codes and their positions */
    const int16_t *echo;      /* width: of the reference; NULL without one */
    const int16_t *u;         /* positions less their echoes, from which others are predicted */
    int code_bits;    /* that the range of codes takes */
    int max_order;    /* of the predictor */
    int64_t map_cost; /* of the map's fields */
    int64_t width_gain; /* what codes take less as they differ in width */
    int may_suit_histogram; /* the residuals */
    int has_outliers; /* width: perhaps; their codes are no positions */
    int is_sparse; /* width: few of the codes between lowest and highest occur */
    int16_t *predicted; /* at full order, but where lanes begin or a class holds */
    int16_t *code_room, *y_room; /* for codes and positions of its own */
    int16_t *centred;            /* positions relative to the mean, while a model is fitted */
} model;

/* Begin with samples. */
void set_samples(sample_maps *maps, const n1_kernels *kernels, const int16_t *samples, int n);

/* Whether most samples are off the N1's grid. */
static inline int is_off_grid(const sample_maps *maps) {
    return maps->off_grid > maps->num_samples / 4 * 3;
}

/*
 * The two halves of fit_model, below: what predicts the samples, and how what that leaves is
 * distributed.
 */
void begin_model(model *m, sample_maps *maps, int begin, int n, const approach *how,
                 const reference *other);
int64_t finish_model(model *m);

/* What a model that is begun will cost, about, above what others of the same kind and map do. */
int64_t rough_cost(const model *m);

/*
 * Fit a model to samples begin .. begin + n - 1, of which two at least differ, with the given
 * approach. Sets all fields of the block but the tail, and the predictor, codes, y, u, echo and
 * predicted. With a reference, which is not NULL, its echo and u are set too.
 * Returns what the block will cost, about.
 */
static inline int64_t fit_model(model *m, sample_maps *maps, int begin, int n, const approach *how) {
    begin_model(m, maps, begin, n, how, NULL);
    return finish_model(m);
}

/* Make the block one that packs samples, or their codes where these take less. Returns its cost. */
int64_t fit_packed(model *m, sample_maps *maps);

/* Make the block one of the same samples as those of the channel so many before. */
void fit_same(model *m, sample_maps *maps, int distance);

/* Whether each sample, off the N1's grid, is nearly the one before, as other approaches may suit. */
int is_steep(const model *m);

/* Whether the fitted model, at its cost, suits the block so badly that others should be tried. */
int is_doubtful(const model *m, int64_t cost);

/*
 * Whether no lane but the first begins with an outlier: the decoder would put the mean in its
 * place, and not the value before it, on which predictions here are built.
 */
int suits_lanes(const model *m);

/* Whether stretches as long as short blocks differ much in how well they are predicted. */
int varies_slowly(const model *m);

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
static inline int32_t middle_of_cell(const model *m, int32_t code) {
    return m->middles[code + HALF_CODES];
}

#endif
