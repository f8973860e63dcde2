/* The integer model that encoder and decoder share; filters/format/n1.md defines every number. */
#ifndef N1STORE_N1_MODEL_H
#define N1STORE_N1_MODEL_H

#include <stdint.h>

enum {
    MAX_ORDER = 32,
    MAX_ANGLE = 1608, /* the last 1/1024 radian before pi/2 */
    MAX_SCALE = 255,
    NUM_SHAPES = 4,
    HALF_CODES = 512, /* codes of the converter: -512 .. 511 */
};

/* Predictors of the orders 0 .. order, the lower ones for the beginning of a lane. */
typedef struct {
    int order;
    int16_t coefficients[MAX_ORDER + 1][MAX_ORDER]; /* of y[i-1], y[i-2], … */
    int32_t bias[MAX_ORDER + 1];                    /* what the mean and rounding add */
    int shift[MAX_ORDER + 1];
    int extra_scale[MAX_ORDER + 1]; /* by how much a lower order's residual is wider */
} predictor;

/*
 * Make the predictors from angles[0 .. order-1] in 1/1024 radian, and the position of the
 * mean. Returns 0, or -1 if the angles give no valid predictor.
 */
int make_predictor(predictor *p, const int32_t *angles, int order, int32_t mean_position);

/* Sine and cosine of angle / 1024, 0 <= angle <= MAX_ANGLE, in 30 fractional bits. */
void sine_and_cosine(int32_t angle, int64_t *sine, int64_t *cosine);

/* log2(value) in 12 fractional bits, rounded down; value > 0. */
int32_t log2_q12(uint32_t value);

static inline int32_t add_wrapping(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

/* Prediction of order m from y[-1], y[-stride], …, before any limit. */
static inline int32_t predict(const predictor *p, int m, const int16_t *y, int stride) {
    uint32_t sum = (uint32_t)p->bias[m];
    for (int j = 0; j < m; j++) sum += (uint32_t)(p->coefficients[m][j] * y[-(j + 1) * stride]);
    return (int32_t)sum >> p->shift[m];
}

/* How probable each distance from the prediction is. */
typedef struct {
    int scale, shape;
    uint32_t slots; /* that all distances share */
    int resolution; /* u: 4 for positions of 1/32 code, 0 for those of 1/2 code */
} distribution;

/* The distance from which on F is 0 or all slots; at most 32768. */
int32_t reach_of(const distribution *d);

/*
 * below[p] = F(p) for -reach_of(d) <= p <= reach_of(d); `below` points at that of 0. Returns the
 * distance from which on F stays the same, but for the last slot, which comes somewhere behind it.
 */
int32_t tabulate(const distribution *d, uint16_t *below);

/* F(p): the slots below position p; p is at most 2^18 in magnitude. */
uint32_t slots_below(const distribution *d, int32_t p);

/* Edges e[0 .. 1024] of the codes -512 .. 511 from their widths; -1 if they leave 16 bits. */
int make_edges(const uint8_t *widths, int16_t *edges);

static inline int32_t clamp(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : value;
}

static inline int32_t saturate16(int32_t value) { return clamp(value, -32768, 32767); }

#endif
