/* Which model a block gets: its map and its predictor; n1_residuals.c has the rest. */
#include "n1_fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adc.h"
#include "n1_residuals.h"

int map_grid(model *m, const int16_t *samples, int n, int max_off_grid) {
    m->kernels->adc_encode(samples, m->codes, (size_t)n);
    int off_grid = 0;
    for (int i = 0; i < n; i++)
        off_grid += m->codes[i] < -HALF_CODES || m->codes[i] >= HALF_CODES;
    m->off_grid = off_grid;
    if (off_grid > max_off_grid) return 0;
    m->block.map = MAP_ADC;
    return 1;
}

void map_samples(model *m, const int16_t *samples, int n) {
    block *b = &m->block;
    uint8_t occurs[1 << 16];
    int16_t code_of[1 << 16];
    int16_t lowest = samples[0], highest = samples[0];
    for (int i = 1; i < n; i++) {
        if (samples[i] < lowest) lowest = samples[i];
        if (samples[i] > highest) highest = samples[i];
    }
    const int first = lowest + 32768, last = highest + 32768;
    uint32_t step = 0; /* greatest common divisor */
    for (int i = 1; i < n && step != 1; i++) {
        for (uint32_t a = (uint32_t)abs(samples[i] - samples[0]); a != 0;) {
            const uint32_t rest = step % a;
            step = a;
            a = rest;
        }
    }
    const int max_count = n / 8 < MAX_PALETTE ? n / 8 : MAX_PALETTE;
    int count = 0; /* of values, as far as they may be few */
    memset(occurs + first, 0, (size_t)(last + 1 - first));
    for (int i = 0; i < n && count <= max_count; i++) {
        count += !occurs[samples[i] + 32768];
        occurs[samples[i] + 32768] = 1;
    }
    if (count <= max_count && step > 0 && count * 4 < (last - first) / (int)step) {
        b->map = MAP_PALETTE;
        b->palette_size = 0;
        for (int v = first; v <= last; v++) {
            if (!occurs[v]) continue;
            code_of[v] = (int16_t)(b->palette_size - count / 2);
            b->palette[b->palette_size++] = (int16_t)(v - 32768);
        }
        for (int i = 0; i < n; i++) m->codes[i] = code_of[samples[i] + 32768];
    } else if (step > 1) {
        b->map = MAP_STEP;
        b->step = step;
        const int middle = first + (int)step * (((last - first) / (int)step + 1) / 2);
        b->offset = (uint32_t)(middle - 32768) & 0xFFFF;
        for (int i = 0; i < n; i++)
            m->codes[i] = (int16_t)((samples[i] + 32768 - middle) / (int)step);
    } else {
        b->map = MAP_IDENTITY;
        memcpy(m->codes, samples, (size_t)n * sizeof(*samples));
    }
}

/* The value of more than half the codes, if there is one: nothing else predicts it exactly. */
static int find_majority(const int16_t *codes, int n, int32_t *value) {
    int votes = 0;
    int16_t candidate = codes[0];
    for (int i = 0; i < n; i++) {
        if (votes == 0) candidate = codes[i];
        votes += codes[i] == candidate ? 1 : -1;
    }
    int count = 0;
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

/* Positions of the codes, and the same relative to the mean, which is set. */
static void place_codes(model *m, int n, int trim) {
    block *b = &m->block;
    int64_t sum = 0;
    if (b->kind == KIND_INTEGER) {
        b->escape_bits = 16;
        for (int i = 0; i < n; i++) sum += m->codes[i];
        if (!find_majority(m->codes, n, &b->mean)) b->mean = (int32_t)(sum / n);
        memcpy(m->y, m->codes, (size_t)n * sizeof(*m->y));
        for (int i = 0; i < n; i++)
            m->centred[i] = (int16_t)clamp(m->y[i] - b->mean, -32767, 32767);
        return;
    }
    /* Two histograms by turns, so that equal neighbours need not wait for each other. */
    uint32_t counts[2 * HALF_CODES] = {0}, others[2 * HALF_CODES] = {0};
    for (int i = 0; i < n; i++) {
        const uint32_t code = (uint32_t)(m->codes[i] + HALF_CODES);
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
    b->escape_bits = count < n ? 16 : 10;
    b->mean = (int32_t)(sum / count);
    b->lowest = lowest & ~15;
    b->highest = highest | 15;
    const int32_t mean = middle_of_cell(m->edges, b->mean);
    struct {
        int16_t y, centred;
    } places[2 * HALF_CODES], place = {(int16_t)mean, 0};
    for (int code = b->lowest; code <= b->highest; code++) {
        const int32_t y = middle_of_cell(m->edges, code);
        places[code - b->lowest].y = (int16_t)y;
        places[code - b->lowest].centred = (int16_t)clamp(y - mean, -32767, 32767);
    }
    const uint32_t range = (uint32_t)(b->highest - b->lowest);
    for (int i = 0; i < n; i++) {
        uint32_t offset = (uint32_t)(m->codes[i] - b->lowest);
        if (offset > range) offset = (uint32_t)(cell_of(m->codes[i]) - b->lowest);
        /* An outlier predicts nothing: the value before it stands in for it. */
        if (offset <= range) place = places[offset];
        m->y[i] = place.y;
        m->centred[i] = place.centred;
    }
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

/* The angle in 1/1024 radian whose sine is nearest to k from below. */
static int32_t arc_sine(double k) {
    const int64_t target = (int64_t)(fabs(k) * (1 << 30));
    int32_t angle = 0;
    for (int b = 10; b >= 0; b--) {
        const int32_t wider = angle | 1 << b;
        if (wider > MAX_ANGLE) continue;
        int64_t sine, cosine;
        sine_and_cosine(wider, &sine, &cosine);
        if (sine <= target) angle = wider;
    }
    return k < 0 ? -angle : angle;
}

/*
 * Quantise reflection coefficients for a fineness and a prior, cheaply: an angle near the prior
 * is not worth its bits. `exact_angles` are their arc sines. Sets the block's angles, returns the cost of n samples above the best.
 */
static int64_t quantise_angles(block *b, const double *reflections, const int32_t *exact_angles,
                               int n) {
    const int unit = angle_unit(b->fineness);
    double excess = 0;
    for (int m = 0; m < b->order; m++) {
        const int32_t prior = b->use_prior ? prior_angle(m, b->fineness) : 0;
        const int32_t size = (abs(exact_angles[m]) + unit / 2) / unit;
        const int32_t nearest = clamp((exact_angles[m] < 0 ? -size : size) - prior,
                                      -MAX_ANGLE / unit - prior, MAX_ANGLE / unit - prior);
        /* The nearest, or one step nearer to the prior, which takes a bit or two less. */
        double best = INFINITY, best_error = 0;
        const int32_t choices[2] = {nearest, nearest > 0 ? nearest - 1 : nearest < 0 ? nearest + 1 : 0};
        for (int i = 0; i < 2; i++) {
            const int32_t angle = (choices[i] + prior) * unit;
            int64_t sine, cosine;
            sine_and_cosine(abs(angle), &sine, &cosine);
            const double k = (double)(angle < 0 ? -sine : sine) / (1 << 30);
            const double error = (k - reflections[m]) * (k - reflections[m]) /
                                 (1 - reflections[m] * reflections[m]);
            const double cost = n * error * 0.72 + 1.5 * abs(choices[i]);
            if (cost >= best) continue;
            best = cost;
            best_error = error;
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
    int32_t exact_angles[MAX_ORDER];
    for (int i = 0; i < b->order; i++) exact_angles[i] = arc_sine(reflections[i]);
    best = INT64_MAX;
    for (int option = 0; option < 8 && b->order > 0; option++) {
        choice.fineness = option >> 1;
        choice.use_prior = option & 1;
        const int64_t cost = quantise_angles(&choice, reflections, exact_angles, n);
        if (cost >= best) continue;
        best = cost;
        b->fineness = choice.fineness;
        b->use_prior = choice.use_prior;
        memcpy(b->angles, choice.angles, sizeof(b->angles));
    }
}

static void limits_of(const model *m, int32_t *low, int32_t *high) {
    const block *b = &m->block;
    *low = b->kind == KIND_WIDTH ? middle_of_cell(m->edges, b->lowest) : -32768;
    *high = b->kind == KIND_WIDTH ? middle_of_cell(m->edges, b->highest) : 32767;
}

/* Make the predictor from correlations, and predict all samples at full order. */
static void fit_predictor(model *m, const double *r, int max_order) {
    block *b = &m->block;
    choose_angles(m, r, max_order);
    const int32_t mean = b->kind == KIND_WIDTH ? middle_of_cell(m->edges, b->mean) : b->mean;
    int32_t angles[MAX_ORDER], low, high;
    for (int i = 0; i < b->order; i++) angles[i] = block_angle(b, i);
    while (make_predictor(&m->predictor, angles, b->order, mean)) b->order--;
    limits_of(m, &low, &high);
    const predictor *p = &m->predictor;
    for (int i = 0; i < b->order; i++)
        m->predicted[i] = (int16_t)clamp(predict(p, i, m->y + i, 1), low, high);
    m->kernels->predict(p, m->y, b->order, b->num_samples, low, high, m->predicted);
}

int suits_lanes(const model *m) {
    for (int lane = 1; lane < num_lanes(&m->block) && m->block.kind == KIND_WIDTH; lane++)
        if (is_outlier(m, m->codes[lane_begin(&m->block, lane)])) return 0;
    return 1;
}

void predict_exceptions(model *m) {
    const block *b = &m->block;
    const predictor *p = &m->predictor;
    int32_t low, high;
    limits_of(m, &low, &high);
    for (int lane = 0; lane < num_lanes(b); lane++) {
        const int begin = lane_begin(b, lane), end = lane_end(b, lane);
        for (int step = 0; step < b->order && begin + step < end; step++)
            m->predicted[begin + step] =
                (int16_t)clamp(predict(p, step, m->y + begin + step, 1), low, high);
        const uint8_t *const classes = lane_classes(b, lane);
        for (int step = 0; step < end - begin && classes; step++) {
            if (!b->classes[classes[step >> b->log2_span]].hold) continue;
            const int32_t mu = step > 0 ? m->y[begin + step - 1] : p->bias[0] >> p->shift[0];
            m->predicted[begin + step] = (int16_t)clamp(mu, low, high);
        }
    }
}

/* Correlations in which each stretch counts by its information, not by its energy. */
static void weigh_correlations(const model *m, double *r) {
    const int n = m->block.num_samples, stretch = 256;
    for (int lag = 0; lag <= MAX_ORDER; lag++) r[lag] = 0;
    for (int begin = 0; begin < n; begin += stretch) {
        const int end = begin + stretch < n ? begin + stretch : n;
        double energy = m->block.kind == KIND_WIDTH ? 64 * (end - begin) : 0.05 * (end - begin);
        for (int i = begin; i < end; i++) {
            const double residual = (int16_t)(m->y[i] - m->predicted[i]);
            energy += residual * residual;
        }
        int64_t here[MAX_ORDER + 1];
        m->kernels->correlate(m->centred, begin, end, MAX_ORDER, here);
        for (int lag = 0; lag <= MAX_ORDER; lag++) r[lag] += (double)here[lag] / energy * 1e3;
    }
}

/* The whole. */

int64_t fit_model(model *m, const int16_t *samples, int n, const approach *how) {
    block *b = &m->block;
    memset(b, 0, offsetof(block, palette));
    b->num_samples = n;
    b->kind = KIND_INTEGER;
    b->precision = 12;
    b->reference = m->reference;
    b->gain = m->gain;
    b->own_widths = m->own_widths;
    b->widths_hash = m->widths_hash;
    for (int i = 0; i < 5; i++)
        if (n >= m->level->lanes_from[i]) b->log2_lanes = i;
    if (how->integers || how->few_values)
        b->log2_lanes = b->log2_lanes < 2 ? b->log2_lanes : 2; /* rare, so that size counts */
    if (how->few_values || !map_grid(m, samples, n, how->integers ? n / 4 * 3 : n / 64)) {
        map_samples(m, samples, n);
    } else if (!how->integers && m->level->grid_kind == KIND_WIDTH) {
        b->kind = KIND_WIDTH;
        b->precision = m->level->precision;
    }
    b->differences = how->differences;
    for (int i = 0; i < how->differences; i++)
        for (int j = n - 1; j > 0; j--) m->codes[j] = (int16_t)(uint16_t)(m->codes[j] - m->codes[j - 1]);
    place_codes(m, n, how->trim);

    const int level_order =
        b->kind == KIND_WIDTH ? m->level->grid_order : m->level->max_order;
    const int max_order = how->predict ? level_order : 0;
    int64_t sums[MAX_ORDER + 1];
    double r[MAX_ORDER + 1];
    m->kernels->correlate(m->centred, 0, n, max_order, sums);
    for (int lag = 0; lag <= max_order; lag++) r[lag] = (double)sums[lag];
    fit_predictor(m, r, max_order);
    int64_t cost = fit_residuals(m);
    if (b->num_classes > 1 && max_order > 0) {
        weigh_correlations(m, r);
        fit_predictor(m, r, max_order);
        cost = fit_residuals(m);
    }
    if (b->kind == KIND_INTEGER) cost = try_histogram(m, cost);
    return cost + (int64_t)(angle_bits(b) + 32 * num_lanes(b)) * BIT;
}

int is_doubtful(const model *m) {
    const block *b = &m->block;
    if (b->num_classes > 1 || b->classes[0].shape > 1) return 1;
    if (b->histogram_size > 0 && b->map != MAP_ADC) return 1;
    if (b->kind == KIND_WIDTH) return m->is_sparse || b->order < 3; /* recordings are not so white */
    return b->map != MAP_ADC && b->order > 0 && abs(block_angle(b, 0)) > 1500;
}
