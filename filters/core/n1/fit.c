/* Which model a block gets: its map and its predictor; residuals.c has the rest. */
#include "fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../common/adc.h"
#include "echo.h"
#include "residuals.h"

enum { LONG_BLOCK = 8192 /* samples, from which on speed counts more than a few bytes */ };

/* From samples to codes. */

static int is_outside(int16_t code) { return code < -HALF_CODES || code >= HALF_CODES; }

/* Whether so few of some samples from all over the block are on the grid that it cannot suit. */
static int is_far_off_grid(const n1_kernels *kernels, const int16_t *samples, int n) {
    enum { NUM_PROBES = 64 };
    if (n < 8 * NUM_PROBES) return 0;
    int16_t probes[NUM_PROBES];
    for (int i = 0; i < NUM_PROBES; i++) probes[i] = samples[(int64_t)n * i / NUM_PROBES];
    kernels->adc_encode(probes, probes, NUM_PROBES);
    int outside = 0;
    for (int i = 0; i < NUM_PROBES; i++) outside += is_outside(probes[i]);
    return outside > NUM_PROBES / 8 * 7;
}

static void find_range(mapping *map, int n) {
    const int16_t *const codes = map->codes;
    int16_t lowest = codes[0], highest = codes[0];
    for (int i = 1; i < n; i++) {
        lowest = codes[i] < lowest ? codes[i] : lowest;
        highest = codes[i] > highest ? codes[i] : highest;
    }
    map->lowest = lowest;
    map->highest = highest;
}

void set_samples(sample_maps *maps, const n1_kernels *kernels, const int16_t *samples, int n) {
    maps->samples = samples;
    maps->num_samples = n;
    maps->has_plain = 0;
    maps->has_grid = !is_far_off_grid(kernels, samples, n);
    maps->off_grid = n;
    if (!maps->has_grid) return;
    mapping *const grid = &maps->grid;
    kernels->adc_encode(samples, grid->room, (size_t)n);
    maps->off_grid = 0;
    for (int i = 0; i < n; i++) maps->off_grid += is_outside(grid->room[i]);
    grid->map = MAP_ADC;
    grid->codes = grid->room;
    grid->cost = 0;
    find_range(grid, n);
}

/* The greatest common divisor of the distances between samples. */
static uint32_t find_step(const int16_t *samples, int n) {
    uint32_t step = 0;
    for (int i = 1; i < n && step != 1; i++) {
        uint32_t a = (uint32_t)abs(samples[i] - samples[0]);
        if (step > 0 && a % step == 0) continue;
        while (a != 0) {
            const uint32_t rest = step % a;
            step = a;
            a = rest;
        }
    }
    return step;
}

/* Number the values that occur if they are few. Returns whether they are. */
static int map_palette(mapping *map, const int16_t *samples, int n, int step) {
    uint8_t occurs[1 << 16];
    int16_t code_of[1 << 16];
    const int first = map->lowest + 32768, last = map->highest + 32768;
    int most = ((last - first) / step - 1) / 4; /* of the values that the steps allow, */
    if (most > n / 8) most = n / 8;             /* and of what samples can pay for */
    if (most > MAX_PALETTE) most = MAX_PALETTE;
    int count = 0;
    memset(occurs + first, 0, (size_t)(last + 1 - first));
    for (int i = 0; i < n && count <= most; i++) {
        count += !occurs[samples[i] + 32768];
        occurs[samples[i] + 32768] = 1;
    }
    if (count > most) return 0;
    map->map = MAP_PALETTE;
    map->palette_size = 0;
    for (int v = first; v <= last; v++) {
        /* Most values do not occur: eight at a time are passed over. */
        uint64_t eight;
        while (last - v >= 8 && (memcpy(&eight, occurs + v, 8), eight == 0)) v += 8;
        if (!occurs[v]) continue;
        code_of[v] = (int16_t)(map->palette_size - count / 2);
        map->palette[map->palette_size++] = (int16_t)(v - 32768);
    }
    for (int i = 0; i < n; i++) map->room[i] = code_of[samples[i] + 32768];
    const int gaps = count - 1;
    map->cost = 40 * BIT + (int64_t)gaps * (log2_of((double)(last - first) / gaps) + BIT);
    return 1;
}

static void map_steps(mapping *map, const int16_t *samples, int n, int step) {
    const int first = map->lowest, middle = first + step * (((map->highest - first) / step + 1) / 2);
    map->map = MAP_STEP;
    map->step = (uint32_t)step;
    map->offset = (uint32_t)middle & 0xFFFF;
    for (int i = 0; i < n; i++) map->room[i] = (int16_t)((samples[i] - middle) / step);
    map->cost = 32 * BIT;
}

/* The samples as multiples of a step, or as numbers of few values, or as they are. */
static const mapping *plain_map(sample_maps *maps) {
    const int16_t *const samples = maps->samples;
    mapping *const map = &maps->plain;
    const int n = maps->num_samples;
    if (maps->has_plain) return map;
    maps->has_plain = 1;
    map->map = MAP_IDENTITY;
    map->codes = samples;
    map->cost = 0;
    find_range(map, n);
    const int step = (int)find_step(samples, n);
    if (step == 0) return map;
    if (!map_palette(map, samples, n, step)) {
        if (step == 1) return map;
        map_steps(map, samples, n, step);
    }
    map->codes = map->room;
    find_range(map, n);
    return map;
}

/* The map that suits an approach. */
static const mapping *map_for(sample_maps *maps, const approach *how) {
    if (how->few_values) return plain_map(maps);
    if (how->integers) return is_off_grid(maps) ? plain_map(maps) : &maps->grid;
    return maps->off_grid > maps->num_samples / 64 ? plain_map(maps) : &maps->grid;
}

/* The value of more than half the codes, if there is one: nothing else predicts it exactly. */
static int find_majority(const int16_t *codes, int n, int32_t *value) {
    int votes = 0, count = 0;
    int16_t candidate = codes[0];
    /* Of a few from all over the block it would be many. */
    const int stride = n / 64 + 1, num_probes = (n + stride - 1) / stride;
    for (int i = 0; i < n; i += stride) {
        if (votes == 0) candidate = codes[i];
        votes += codes[i] == candidate ? 1 : -1;
    }
    for (int i = 0; i < n; i += stride) count += codes[i] == candidate;
    if (count < num_probes / 4) return 0;
    votes = count = 0;
    for (int i = 0; i < n; i++) {
        if (votes == 0) candidate = codes[i];
        votes += codes[i] == candidate ? 1 : -1;
    }
    for (int i = 0; i < n && votes > 0; i++) count += codes[i] == candidate;
    *value = candidate;
    return count > n / 2;
}

/* Narrow a range to twice that of the middle 99 %. */
static void trim_range(const uint32_t *counts, int count, int *lowest, int *highest) {
    int low = *lowest, high = *highest;
    for (int left = count / 200; left >= 0 && low < high;) left -= (int)counts[low++ + HALF_CODES];
    for (int left = count / 200; left >= 0 && low < high;) left -= (int)counts[high-- + HALF_CODES];
    const int margin = (high - low) / 2 + 8;
    if (low - margin > *lowest) *lowest = low - margin;
    if (high + margin < *highest) *highest = high + margin;
}

/* The cell that a code lies in, also if it is off the grid. */
static int cell_of(int code) {
    if (code >= -HALF_CODES && code < HALF_CODES) return code;
    int16_t sample = (int16_t)code;
    n1_adc_decode(&sample, &sample, 1);
    return sample >> 6;
}

static int is_outlier(const model *m, int code) {
    const int in_range = cell_of(code);
    return in_range < m->block.lowest || in_range > m->block.highest;
}

static int32_t mean_of(const int16_t *values, int n) {
    int64_t sum = 0;
    for (int i = 0; i < n; i++) sum += values[i];
    return (int32_t)(sum / n);
}

/* The code in whose cell a position lies, or the nearest one. */
static int cell_at(const model *m, int32_t position) {
    int code = -HALF_CODES;
    while (code + 1 < HALF_CODES && m->edges[code + 1 + HALF_CODES] <= position) code++;
    return code;
}

/* Positions less their echoes; with the width kind. */
static void take_echo_off_positions(model *m, int16_t *u, int n, int32_t mean) {
    for (int i = 0; i < n; i++) u[i] = (int16_t)saturate16(m->y[i] - m->echo[i]);
    for (int i = 0; i < n && m->has_outliers; i++)
        if (is_outlier(m, m->codes[i])) u[i] = (int16_t)(i > 0 ? u[i - 1] : mean);
    m->u = u;
}

/*
 * Positions of the codes, with the width kind also less their echoes, and the same relative to the
 * mean, which is set.
 */
static void place_codes(model *m, int n, int trim, const reference *other) {
    block *b = &m->block;
    int64_t sum = 0;
    m->width_gain = 0;
    if (b->kind == KIND_INTEGER) {
        b->escape_bits = 16;
        for (int i = 0; i < n; i++) sum += m->codes[i];
        if (!find_majority(m->codes, n, &b->mean)) b->mean = (int32_t)(sum / n);
        m->y = m->u = m->codes;
        for (int i = 0; i < n; i++)
            m->centred[i] = (int16_t)clamp(m->y[i] - b->mean, -32767, 32767);
        return;
    }
    /* Two histograms by turns, so that equal neighbours need not wait for each other. */
    const int16_t *const codes = m->codes;
    uint32_t counts[2 * HALF_CODES] = {0}, others[2 * HALF_CODES] = {0};
    for (int i = 0; i < n; i++) {
        const uint32_t code = (uint32_t)(codes[i] + HALF_CODES);
        if (code < 2 * HALF_CODES) (i & 1 ? counts : others)[code]++;
    }
    int lowest = HALF_CODES - 1, highest = -HALF_CODES, count = 0, values = 0;
    for (int code = -HALF_CODES; code < HALF_CODES; code++) {
        const int here = (int)(counts[code + HALF_CODES] += others[code + HALF_CODES]);
        if (here == 0) continue;
        if (code < lowest) lowest = code;
        highest = code;
        sum += (int64_t)code * here;
        count += here;
        values++;
    }
    m->is_sparse = values * 3 < highest - lowest;
    if (trim) trim_range(counts, count, &lowest, &highest);
    /*
     * Of cells that differ in width, the wide ones come more often than costs are reckoned with. The
     * ends hold all that is beyond them, and nothing is known of these.
     */
    for (int code = lowest; code <= highest; code++) {
        if (code == -HALF_CODES || code == HALF_CODES - 1) continue;
        const int width = m->edges[code + HALF_CODES + 1] - m->edges[code + HALF_CODES];
        if (counts[code + HALF_CODES] > 0 && width > 0)
            m->width_gain += (int64_t)counts[code + HALF_CODES] * (log2_of(width) - 5 * BIT);
    }
    const int64_t most_gain = (int64_t)n * BIT / 8;
    if (m->width_gain > most_gain) m->width_gain = most_gain;
    b->escape_bits = count < n ? 16 : 10;
    b->lowest = lowest & ~15;
    b->highest = highest | 15;
    b->mean = (int32_t)(sum / count);
    if (other) b->mean = cell_at(m, middle_of_cell(m, b->mean) - mean_of(m->echo, n));
    const int32_t mean = middle_of_cell(m, b->mean);
    int16_t places[2 * HALF_CODES];
    int16_t *const y = m->y_room;
    m->y = m->u = y;
    for (int code = b->lowest; code <= b->highest; code++)
        places[code + HALF_CODES] = (int16_t)middle_of_cell(m, code);
    m->has_outliers = b->escape_bits == 16 || trim;
    if (!m->has_outliers) {
        for (int i = 0; i < n; i++) y[i] = places[codes[i] + HALF_CODES];
    } else {
        int16_t place = (int16_t)mean;
        for (int i = 0; i < n; i++) {
            const int code = cell_of(codes[i]);
            /* An outlier predicts nothing: the value before it stands in for it. */
            if (code >= b->lowest && code <= b->highest) place = places[code + HALF_CODES];
            y[i] = place;
        }
    }
    if (other) take_echo_off_positions(m, other->u, n, mean);
    for (int i = 0; i < n; i++) m->centred[i] = (int16_t)clamp(m->u[i] - mean, -32767, 32767);
}

/* The predictor. */

/* Reflection coefficients by Levinson's recursion, and the error energy of each order. */
static void reflect(const double *r, int max_order, double *reflections, double *energies) {
    double a[MAX_ORDER], previous[MAX_ORDER];
    /* A little noise keeps the recursion stable on signals that are wholly predictable. */
    energies[0] = r[0] * (1 + 1e-9) + 1e-3;
    for (int m = 0; m < max_order; m++) {
        double sum = r[m + 1];
        for (int i = 0; i < m; i++) sum -= a[i] * r[m - i];
        double k = sum / energies[m];
        if (!(fabs(k) < 1)) k = k < 0 ? -0.99999 : 0.99999;
        reflections[m] = k;
        memcpy(previous, a, sizeof(a));
        for (int i = 0; i < m; i++) a[i] = previous[i] - k * previous[m - 1 - i];
        a[m] = k;
        energies[m + 1] = energies[m] * (1 - k * k);
    }
}

/* An angle in 1/1024 radian, and what it takes to know how much worse another one predicts. */
typedef struct {
    double exact;   /* of the sine that is wanted */
    double tangent; /* the same as a slope, per 1/1024 radian */
} wanted_angle;

/* The angle whose sine is k, from the nearest below in whole 1/1024 radian on. */
static wanted_angle arc_sine(double k) {
    const double target = fabs(k) * (1 << 30);
    int32_t angle = 0;
    int64_t sine = 0, cosine = 1 << 30;
    for (int b = 10; b >= 0; b--) {
        const int32_t wider = angle | 1 << b;
        if (wider > MAX_ANGLE) continue;
        int64_t its_sine, its_cosine;
        sine_and_cosine(wider, &its_sine, &its_cosine);
        if ((double)its_sine > target) continue;
        angle = wider, sine = its_sine, cosine = its_cosine;
    }
    const double rest = (target - (double)sine) / (double)cosine; /* radian, as far as it is small */
    const double exact = angle + (rest < 1.0 / 1024 ? rest * 1024 : 1);
    const double tangent = (double)sine / (double)cosine / 1024;
    return (wanted_angle){k < 0 ? -exact : exact, k < 0 ? -tangent : tangent};
}

/*
 * Quantise angles for a fineness and a prior, cheaply: one near the prior is not worth its bits.
 * Sets the block's angles, returns the cost of n samples above the best.
 */
static int64_t quantise_angles(block *b, const wanted_angle *wanted, int n) {
    const int unit = angle_unit(b->fineness);
    double excess = 0;
    for (int m = 0; m < b->order; m++) {
        const int32_t prior = b->use_prior ? prior_angle(m, b->fineness) : 0;
        const double exact = wanted[m].exact;
        const int32_t size = (int32_t)(fabs(exact) / unit + 0.5);
        const int32_t nearest = clamp((exact < 0 ? -size : size) - prior, -MAX_ANGLE / unit - prior,
                                      MAX_ANGLE / unit - prior);
        /* The nearest, or one step nearer to the prior, which takes a bit or two less. */
        double best = INFINITY, best_error = 0;
        const int32_t choices[2] = {nearest, nearest > 0 ? nearest - 1 : nearest < 0 ? nearest + 1 : 0};
        for (int i = 0; i < 2; i++) {
            /* The difference of the sines by the cosine, to the second order. */
            const double turn = (choices[i] + prior) * unit - exact;
            const double error = (turn - turn * turn * wanted[m].tangent / 2) / 1024;
            /* Half of log2(e), and a little for what few bits of probability leave. */
            const double cost = n * error * error * 0.76 + 1.5 * abs(choices[i]);
            if (cost >= best) continue;
            best = cost;
            best_error = error * error;
            b->angles[m] = choices[i];
        }
        excess += best_error;
    }
    return (int64_t)n * log2_of(1 + excess) / 2 + (int64_t)angle_bits(b) * BIT;
}

/* Choose the order, and the angles and how finely they are sent. */
static void choose_angles(model *m, const double *r, int max_order) {
    block *b = &m->block;
    const int n = b->num_samples;
    double reflections[MAX_ORDER], energies[MAX_ORDER + 1];
    max_order = max_order < n / 4 ? max_order : n / 4;
    reflect(r, max_order, reflections, energies);
    int64_t best = INT64_MAX;
    block choice = {0};
    for (int order = 0; order <= max_order; order++) {
        const int64_t cost = (int64_t)n * log2_of(energies[order]) / 2 + 2 * BIT * order;
        if (cost < best) best = cost, choice.order = order;
    }
    b->order = choice.order;
    wanted_angle wanted[MAX_ORDER];
    for (int i = 0; i < b->order; i++) wanted[i] = arc_sine(reflections[i]);
    best = INT64_MAX;
    for (int option = 0; option < 8 && b->order > 0; option++) {
        choice.fineness = option >> 1;
        choice.use_prior = option & 1;
        const int64_t cost = quantise_angles(&choice, wanted, n);
        if (cost >= best) continue;
        best = cost;
        b->fineness = choice.fineness;
        b->use_prior = choice.use_prior;
        memcpy(b->angles, choice.angles, sizeof(b->angles));
    }
}

static void limits_of(const model *m, int32_t *low, int32_t *high) {
    const block *b = &m->block;
    *low = b->kind == KIND_WIDTH ? middle_of_cell(m, b->lowest) : -32768;
    *high = b->kind == KIND_WIDTH ? middle_of_cell(m, b->highest) : 32767;
}

/* Predict sample i with an order, or where that is -1 as a class that holds does. */
static void predict_one(model *m, int i, int order) {
    int32_t low, high;
    limits_of(m, &low, &high);
    const int32_t u = order < 0 ? m->u[i - 1] : predict(&m->predictor, order, m->u + i, 1);
    m->predicted[i] = (int16_t)clamp(add_wrapping(u, m->echo ? m->echo[i] : 0), low, high);
}

/* Make the predictor from correlations, and predict all samples at full order. */
static void fit_predictor(model *m, const double *r, int max_order) {
    block *b = &m->block;
    choose_angles(m, r, max_order);
    const int32_t mean = b->kind == KIND_WIDTH ? middle_of_cell(m, b->mean) : b->mean;
    int32_t angles[MAX_ORDER], low, high;
    for (int i = 0; i < b->order; i++) angles[i] = block_angle(b, i);
    while (make_predictor(&m->predictor, angles, b->order, mean)) b->order--;
    limits_of(m, &low, &high);
    const predictor *p = &m->predictor;
    for (int i = 0; i < b->order; i++) predict_one(m, i, i);
    m->kernels->predict(p, m->u, m->echo, b->order, b->num_samples, low, high, m->predicted);
}

int suits_lanes(const model *m) {
    for (int lane = 1; lane < num_lanes(&m->block) && m->block.kind == KIND_WIDTH; lane++)
        if (is_outlier(m, m->codes[lane_begin(&m->block, lane)])) return 0;
    return 1;
}

void predict_exceptions(model *m) {
    const block *b = &m->block;
    for (int lane = 0; lane < num_lanes(b); lane++) {
        const int begin = lane_begin(b, lane), end = lane_end(b, lane);
        for (int step = 0; step < b->order && begin + step < end; step++)
            predict_one(m, begin + step, step);
        const uint8_t *const classes = lane_classes(b, lane);
        for (int step = 0; step < end - begin && classes; step++) {
            if (!b->classes[classes[step >> b->log2_span]].hold) continue;
            predict_one(m, begin + step, step > 0 ? -1 : 0);
        }
    }
}

/* Correlations in which each stretch counts by its information, not by its energy. */
static void weigh_correlations(const model *m, double *r, int max_order) {
    const int n = m->block.num_samples, stretch = 256;
    for (int lag = 0; lag <= max_order; lag++) r[lag] = 0;
    for (int begin = 0; begin < n; begin += stretch) {
        const int end = begin + stretch < n ? begin + stretch : n;
        double energy = m->block.kind == KIND_WIDTH ? 64 * (end - begin) : 0.05 * (end - begin);
        energy += (double)m->kernels->energy(m->y + begin, m->predicted + begin, end - begin);
        int64_t here[MAX_ORDER + 1];
        m->kernels->correlate(m->centred, m->centred, begin, end, max_order, here);
        for (int lag = 0; lag <= max_order; lag++) r[lag] += (double)here[lag] / energy * 1e3;
    }
}

int64_t rough_cost(const model *m) {
    enum { WINDOW = 64 };
    const double least = m->block.kind == KIND_WIDTH ? 64 * WINDOW : 0.05 * WINDOW;
    int64_t cost = 0;
    for (int begin = 0; begin + WINDOW <= m->block.num_samples; begin += WINDOW)
        cost += log2_of(least + (double)m->kernels->energy(m->y + begin, m->predicted + begin, WINDOW));
    return cost * WINDOW / 2;
}

/* The whole. */

/* Bits for each code when they are packed. */
static int bits_of_range(int lowest, int highest) {
    return lowest == highest ? 0 : floor_log2((uint32_t)(highest - lowest)) + 1;
}

static int packed_bits(const mapping *map) { return bits_of_range(map->lowest, map->highest); }

/* Fields of the block that say what its samples are. */
static void begin_block(const model *m, const reference *other, const mapping *map, int n, block *b) {
    memset(b, 0, offsetof(block, palette));
    b->num_samples = n;
    b->reference = other ? other->distance : 0;
    b->taps = other ? other->taps : (echo_taps){0};
    b->own_widths = m->own_widths;
    b->widths_hash = m->widths_hash;
    b->map = map->map;
    b->step = map->step;
    b->offset = map->offset;
    if (b->map != MAP_PALETTE) return;
    b->palette_size = map->palette_size;
    memcpy(b->palette, map->palette, (size_t)map->palette_size * sizeof(*b->palette));
}

/* Codes less their echoes, with the integer kind; what is left may take more bits or fewer. */
static void take_echo_off_codes(model *m, const int16_t *echo, int n) {
    int16_t lowest = 32767, highest = -32768;
    for (int i = 0; i < n; i++) {
        const int16_t u = (int16_t)(uint16_t)(m->codes[i] - echo[i]);
        m->code_room[i] = u;
        lowest = u < lowest ? u : lowest;
        highest = u > highest ? u : highest;
    }
    m->codes = m->code_room;
    m->code_bits = bits_of_range(lowest, highest);
}

void begin_model(model *m, sample_maps *maps, int begin, int n, const approach *how,
                 const reference *other) {
    block *b = &m->block;
    const mapping *const map = map_for(maps, how);
    begin_block(m, other, map, n, b);
    b->kind = map->map == MAP_ADC && !how->integers ? m->level->grid_kind : KIND_INTEGER;
    b->precision = b->kind == KIND_WIDTH ? m->level->precision : 12;
    for (int i = 0; i < 5; i++)
        if (n >= m->level->lanes_from[i]) b->log2_lanes = i;
    if ((how->integers || how->few_values) && (n < LONG_BLOCK || !is_off_grid(maps)))
        b->log2_lanes = b->log2_lanes < 2 ? b->log2_lanes : 2; /* rare, so that size counts */
    m->codes = map->codes + begin;
    m->code_bits = packed_bits(map);
    m->map_cost = map->cost;
    b->differences = how->differences;
    m->echo = NULL;
    if (other) {
        make_echo(b, other->samples, b->kind == KIND_WIDTH ? m->middles : NULL, m->kernels, 0, n, other->echo);
        if (b->kind == KIND_WIDTH)
            m->echo = other->echo;
        else
            take_echo_off_codes(m, other->echo, n);
    }
    if (how->differences > 0) {
        memmove(m->code_room, m->codes, (size_t)n * sizeof(*m->code_room));
        m->codes = m->code_room;
        for (int i = 0; i < how->differences; i++)
            for (int j = n - 1; j > 0; j--)
                m->code_room[j] = (int16_t)(uint16_t)(m->code_room[j] - m->code_room[j - 1]);
    }
    place_codes(m, n, how->trim, m->echo ? other : NULL);

    const int level_order =
        b->kind == KIND_WIDTH ? m->level->grid_order : m->level->max_order;
    m->max_order = how->predict ? level_order : 0;
    int64_t sums[MAX_ORDER + 1];
    double r[MAX_ORDER + 1];
    m->kernels->correlate(m->centred, m->centred, 0, n, m->max_order, sums);
    for (int lag = 0; lag <= m->max_order; lag++) r[lag] = (double)sums[lag];
    fit_predictor(m, r, m->max_order);
}

int64_t finish_model(model *m) {
    block *b = &m->block;
    int64_t cost = fit_residuals(m);
    if (b->num_classes > 1 && m->max_order > 0) {
        double r[MAX_ORDER + 1];
        weigh_correlations(m, r, m->max_order);
        fit_predictor(m, r, m->max_order);
        cost = fit_residuals(m);
    }
    if (b->kind == KIND_INTEGER) cost = try_histogram(m, cost);
    if (b->reference > 0) cost += (int64_t)tap_bits(&b->taps) * BIT;
    return cost - m->width_gain + m->map_cost + (int64_t)(angle_bits(b) + 32 * num_lanes(b)) * BIT;
}

int64_t fit_packed(model *m, sample_maps *maps) {
    const mapping *map = plain_map(maps);
    const int n = maps->num_samples;
    if (maps->off_grid <= n / 64 && packed_bits(&maps->grid) < packed_bits(map)) map = &maps->grid;
    block *b = &m->block;
    begin_block(m, NULL, map, n, b);
    b->kind = KIND_PACKED;
    b->packed_bits = packed_bits(map);
    b->packed_base = map->lowest;
    m->codes = map->codes;
    return map->cost + (int64_t)(n * b->packed_bits + 30) * BIT;
}

void fit_same(model *m, sample_maps *maps, int distance) {
    const mapping identity = {.map = MAP_IDENTITY};
    const reference other = {.distance = distance, .taps = {.count = 1, .taps = {1}}};
    begin_block(m, &other, &identity, maps->num_samples, &m->block);
    m->block.kind = KIND_PACKED;
    m->block.packed_bits = m->block.packed_base = 0;
    m->codes = maps->samples;
}

int varies_slowly(const model *m) {
    const int n = m->block.num_samples, length = 4096;
    double sum = 0;
    int64_t sum_of_logs = 0;
    for (int begin = 0; begin + length <= n; begin += length) {
        const double here = 1 + (double)m->kernels->energy(m->y + begin, m->predicted + begin, length);
        sum += here;
        sum_of_logs += log2_of(here);
    }
    const int count = n / length;
    return count > 1 && (log2_of(sum / count) - sum_of_logs / count) / 2 > BIT / 16;
}

int is_steep(const model *m) {
    const block *b = &m->block;
    return b->map != MAP_ADC && b->order > 0 && abs(block_angle(b, 0)) > 1500;
}

int is_doubtful(const model *m, int64_t cost) {
    const block *b = &m->block;
    if (cost >= (int64_t)b->num_samples * m->code_bits * BIT) return 1;
    if (b->num_classes > 1 || b->classes[0].shape > 1) return 1;
    if (b->histogram_size > 0 && b->map != MAP_ADC) return 1;
    if (b->kind == KIND_WIDTH) return m->is_sparse || b->order < 3; /* recordings are not so white */
    return is_steep(m);
}
