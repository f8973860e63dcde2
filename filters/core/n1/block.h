/* What stands at the beginning of a block: its head and parameters, written and read. */
#ifndef N1STORE_N1_BLOCK_H
#define N1STORE_N1_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "../common/bits.h"
#include "model.h"

enum {
    MAX_TAIL = 255,
    MAX_BLOCK_SAMPLES = 1 << 18,
    MAX_LANES = 16,
    MAX_SPANS = MAX_BLOCK_SAMPLES / 32 + MAX_LANES * (2 + MAX_TAIL / 32),
    MAX_CLASSES = 16,
    MAX_PALETTE = 4096,
    MAX_LOG2_ESCAPE = 11,
    MAX_TAPS = 16,   /* of a reference, */
    FIRST_LAG = -8,  /* at lags from this one on, */
    END_LAG = 8,     /* to before this one; */
    MAX_TAP_SUM = 32767, /* and of their sizes, for sums to stay in 32 bits */
};

typedef enum { KIND_PACKED, KIND_INTEGER, KIND_WIDTH } block_kind;

typedef enum { MAP_IDENTITY, MAP_ADC, MAP_STEP, MAP_PALETTE } code_map;

typedef struct {
    int scale, shape, hold;
    int low_bits; /* integer: of a residual, sent as they are */
} residual_class;

/* The filter that makes a reference's echo. */
typedef struct {
    int count, first; /* lags first .. first + count - 1 */
    int shift;
    int16_t taps[MAX_TAPS];
} echo_taps;

typedef struct {
    int num_samples; /* not in the head: what the payload's shape gives */
    block_kind kind;
    code_map map;
    int log2_lanes;
    int tail; /* samples by which the last lane is longer */

    int reference; /* how many channels before this one, 0 for none; in the index, not the head */
    echo_taps taps; /* of the reference; none without one */

    uint32_t step, offset;
    int palette_size;
    int16_t palette[MAX_PALETTE];

    int packed_bits, packed_base;

    int order;
    int fineness, use_prior;
    int32_t angles[MAX_ORDER]; /* in units of fineness, without the prior */
    int32_t mean;
    int num_classes;
    residual_class classes[MAX_CLASSES];
    int log2_span;        /* steps that a class number holds for */
    uint8_t *class_of_span; /* num_spans(block) for each lane; NULL if there is one class */

    int differences; /* integer: how often codes were replaced by those to the code before */
    int histogram_size, histogram_first; /* size 0: none */
    uint16_t histogram[256];
    int precision;   /* n: there are 2^n slots */
    int log2_escape; /* slots of the escape, the last ones */
    int escape_bits; /* of an escaped code: 16, or 10 if all are on the grid */
    int lowest, highest; /* codes */
    int own_widths;
    uint32_t widths_hash;
} block;

static inline int num_lanes(const block *b) { return 1 << b->log2_lanes; }

/* Samples of a lane but for the tail. */
static inline int lane_length(const block *b, int lane) {
    const int lanes = num_lanes(b), count = b->num_samples - b->tail;
    return count / lanes + (lane < count % lanes);
}

static inline int lane_begin(const block *b, int lane) {
    const int lanes = num_lanes(b), count = b->num_samples - b->tail;
    return lane * (count / lanes) + (lane < count % lanes ? lane : count % lanes);
}

/* Steps until the last sample, the tail's included. */
static inline int num_steps(const block *b) {
    const int last = lane_length(b, num_lanes(b) - 1) + b->tail, first = lane_length(b, 0);
    return first > last ? first : last;
}

static inline int num_spans(const block *b) {
    return (num_steps(b) + (1 << b->log2_span) - 1) >> b->log2_span;
}

/* Slots that symbols share; those behind them are the escape's. */
static inline uint32_t symbol_slots(const block *b) {
    return (1u << b->precision) - (1u << b->log2_escape);
}

/* The class numbers of a lane's spans; NULL if there is one class. */
static inline const uint8_t *lane_classes(const block *b, int lane) {
    return b->num_classes > 1 ? b->class_of_span + lane * num_spans(b) : NULL;
}

static inline int class_at(const block *b, int lane, int step) {
    const uint8_t *classes = lane_classes(b, lane);
    return classes ? classes[step >> b->log2_span] : 0;
}

/* Where a lane ends, the last one with its tail. */
static inline int lane_end(const block *b, int lane) {
    return lane + 1 < num_lanes(b) ? lane_begin(b, lane + 1) : b->num_samples;
}

/* The distribution of a class where the predictor is `extra_scale` worse than at full order. */
static inline distribution distribution_of(const block *b, int class, int extra_scale) {
    const residual_class *c = &b->classes[class];
    const int scale = c->scale + (c->hold ? 0 : extra_scale);
    return (distribution){
        .scale = scale < MAX_SCALE ? scale : MAX_SCALE,
        .shape = c->shape,
        .slots = symbol_slots(b),
        .resolution = b->kind == KIND_WIDTH ? 4 : 0,
    };
}

/* Angle m in 1/1024 radian, with the prior. */
int32_t block_angle(const block *b, int m);

/* The prior of angle m in units of `fineness`. */
int32_t prior_angle(int m, int fineness);

static inline int angle_unit(int fineness) { return fineness == 3 ? 1 : 32 >> fineness; }

/* Bits that order, angles and what describes them take. */
int angle_bits(const block *b);

/* Bits that taps and what describes them take. */
int tap_bits(const echo_taps *taps);

/* Write head and parameters. The writer's overrun says if there was no room. */
void write_block(bit_writer *w, const block *b);

/*
 * Read what write_block wrote into *b, whose num_samples and reference are set. `class_of_span` has room for
 * max_spans class numbers. Returns 0, or -1 for what no encoder writes.
 */
int read_block(bit_reader *r, block *b, uint8_t *class_of_span, int max_spans);

#endif
