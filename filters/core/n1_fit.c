/* Which model a block gets: map, predictor, and the distribution of its residuals. */
#include "n1_fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adc.h"

enum {
    NUM_BINS = 144,
    SPAN_LOG2 = 6,     /* steps to which a class applies, where there are several */
    NUM_BUCKETS = 33,
};

/* log2 in 1/4096; exact arithmetic only, so that every machine chooses alike. */
static int32_t log2_of(double value) {
    int exponent;
    const double mantissa = frexp(value, &exponent);
    return log2_q12((uint32_t)(mantissa * 4294967295.0)) + (exponent - 32) * BIT;
}

int map_grid(model *m, const int16_t *samples, int n) {
    n1_adc_encode(samples, m->codes, (size_t)n);
    int off_grid = 0;
    for (int i = 0; i < n; i++)
        off_grid += m->codes[i] < -HALF_CODES || m->codes[i] >= HALF_CODES;
    if (off_grid > n / 64) return 0;
    m->block.map = MAP_ADC;
    return 1;
}

/* Multiples of a step, or few values at irregular distances, or the samples themselves. */
static void map_samples(model *m, const int16_t *samples, int n) {
    block *b = &m->block;
    uint8_t occurs[1 << 16];
    int16_t code_of[1 << 16];
    memset(occurs, 0, sizeof(occurs));
    for (int i = 0; i < n; i++) occurs[samples[i] + 32768] = 1;
    int count = 0, first = 0, last = 0;
    uint32_t step = 0;
    for (int v = 0; v < 1 << 16; v++) {
        if (!occurs[v]) continue;
        if (count == 0) first = last = v;
        for (uint32_t a = (uint32_t)(v - last); a != 0;) { /* greatest common divisor */
            const uint32_t rest = step % a;
            step = a;
            a = rest;
        }
        last = v;
        count++;
    }
    b->map = MAP_IDENTITY;
    if (step > 1) {
        b->map = MAP_STEP;
        b->step = step;
        const int middle = first + (int)step * (((last - first) / (int)step + 1) / 2);
        b->offset = (uint32_t)(middle - 32768) & 0xFFFF;
        for (int i = 0; i < n; i++)
            m->codes[i] = (int16_t)((samples[i] + 32768 - middle) / (int)step);
    } else if (count <= MAX_PALETTE && count * 4 < last - first) {
        b->map = MAP_PALETTE;
        b->palette_size = 0;
        for (int v = first; v <= last; v++) {
            if (!occurs[v]) continue;
            code_of[v] = (int16_t)(b->palette_size - count / 2);
            b->palette[b->palette_size++] = (int16_t)(v - 32768);
        }
        for (int i = 0; i < n; i++) m->codes[i] = code_of[samples[i] + 32768];
    } else {
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

/* Positions of the codes, and the same relative to the mean, which is set. */
static void place_codes(model *m, int n) {
    block *b = &m->block;
    int64_t sum = 0;
    if (b->kind == KIND_INTEGER) {
        for (int i = 0; i < n; i++) sum += m->codes[i];
        if (!find_majority(m->codes, n, &b->mean)) b->mean = (int32_t)(sum / n);
        memcpy(m->y, m->codes, (size_t)n * sizeof(*m->y));
        for (int i = 0; i < n; i++)
            m->centred[i] = (int16_t)clamp(m->y[i] - b->mean, -32767, 32767);
        return;
    }
    int lowest = HALF_CODES - 1, highest = -HALF_CODES, count = 0;
    for (int i = 0; i < n; i++) {
        const int code = m->codes[i];
        if (code < -HALF_CODES || code >= HALF_CODES) continue;
        if (code < lowest) lowest = code;
        if (code > highest) highest = code;
        sum += code;
        count++;
    }
    b->mean = (int32_t)(sum / count);
    b->lowest = lowest & ~15;
    b->highest = highest | 15;
    const int32_t mean = middle_of_cell(m->edges, b->mean);
    for (int i = 0; i < n; i++) {
        int code = m->codes[i];
        if (code < -HALF_CODES || code >= HALF_CODES) {
            int16_t sample = (int16_t)code;
            n1_adc_decode(&sample, &sample, 1);
            code = sample >> 6;
        }
        m->y[i] = (int16_t)middle_of_cell(m->edges, clamp(code, b->lowest, b->highest));
        m->centred[i] = (int16_t)clamp(m->y[i] - mean, -32767, 32767);
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
 * is not worth its bits. Sets the block's angles, returns the cost of n samples above the best.
 */
static int64_t quantise_angles(block *b, const double *reflections, int n) {
    const int unit = angle_unit(b->fineness);
    double excess = 0;
    for (int m = 0; m < b->order; m++) {
        const int32_t prior = b->use_prior ? prior_angle(m, b->fineness) : 0;
        const int32_t exact = arc_sine(reflections[m]);
        const int32_t size = (abs(exact) + unit / 2) / unit;
        const int32_t nearest = clamp((exact < 0 ? -size : size) - prior, -MAX_ANGLE / unit - prior,
                                      MAX_ANGLE / unit - prior);
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
    best = INT64_MAX;
    for (int option = 0; option < 8 && b->order > 0; option++) {
        choice.fineness = option >> 1;
        choice.use_prior = option & 1;
        const int64_t cost = quantise_angles(&choice, reflections, n);
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
        for (int step = 0; step < end - begin && b->num_classes > 1; step++) {
            if (!b->classes[class_at(b, lane, step)].hold) continue;
            const int32_t mu = step > 0 ? m->y[begin + step - 1] : p->bias[0] >> p->shift[0];
            m->predicted[begin + step] = (int16_t)clamp(mu, low, high);
        }
    }
}

/* The distribution of residuals. */

/* Sizes of residuals, counted in bins that become wider by the octave. */
typedef struct {
    uint32_t count[NUM_BINS];
    double energy;
    uint32_t total;
} residual_bins;

static inline int bin_of(uint32_t size) {
    if (size < 32) return (int)size;
    const int octave = floor_log2(size) - 5;
    return 32 + octave * 8 + (int)(size >> (octave + 2) & 7);
}

static inline int32_t middle_of_bin(int bin) {
    if (bin < 32) return bin;
    const int octave = (bin - 32) / 8;
    return ((8 + (bin & 7)) << (octave + 2)) + (1 << (octave + 2) >> 1);
}

static void count_residuals(const model *m, int begin, int end, residual_bins *bins) {
    const int16_t *y = m->y, *predicted = m->predicted;
    double energy = 0;
    for (int i = begin; i < end; i++) {
        const int32_t residual = (int16_t)(y[i] - predicted[i]);
        energy += (double)residual * residual;
        bins->count[bin_of((uint32_t)abs(residual))]++;
    }
    bins->energy += energy;
    bins->total += (uint32_t)(end - begin);
}

/* What a class costs for these residuals. */
static int64_t cost_of(const model *m, const residual_bins *bins, const residual_class *c) {
    const int width = m->block.kind == KIND_WIDTH, precision = m->block.precision;
    const distribution d = {c->scale, c->shape, precision, width ? 4 : 0};
    const int32_t half_cell = width ? 16 : 1, escape = (precision + 16) * BIT;
    int64_t cost = (int64_t)bins->total * c->low_bits * BIT;
    for (int i = 0; i < NUM_BINS; i++) {
        if (bins->count[i] == 0) continue;
        int32_t p = middle_of_bin(i);
        if (!width) p = 2 * ((p + (1 << c->low_bits >> 1)) >> c->low_bits);
        const uint32_t slots = slots_below(&d, p + half_cell) - slots_below(&d, p - half_cell);
        const int escapes = slots == 0 || (!width && p > 255);
        cost += bins->count[i] * (int64_t)(escapes ? escape : precision * BIT - log2_q12(slots));
    }
    return cost;
}

/* log2 of the sigma, in units of y, below which a normal distribution has half its mass. */
static int32_t log2_median(const residual_bins *bins) {
    uint32_t below = 0;
    int i = 0;
    while (below + bins->count[i] <= bins->total / 2) below += bins->count[i++];
    return log2_of(middle_of_bin(i) * 1.4826 + 0.1);
}

/* Choose scale, shape and low bits for these residuals; returns the cost. */
static int64_t fit_class(const model *m, const residual_bins *bins, residual_class *c) {
    const int width = m->block.kind == KIND_WIDTH;
    const int32_t unit = width ? 5 * BIT : 0; /* log2 of a code */
    const int32_t by_energy = log2_of(bins->energy / bins->total + 1e-3) / 2 - unit;
    const int32_t by_median = log2_median(bins) - unit;
    const int32_t lower = by_energy < by_median ? by_energy : by_median;
    const int32_t upper = by_energy < by_median ? by_median : by_energy;
    int64_t best = INT64_MAX;
    for (int trial = 0; trial < 2; trial++) {
        residual_class here = {0};
        const int32_t typical = trial ? by_energy : by_median;
        if (!width && typical > 4 * BIT + BIT / 2) here.low_bits = (typical - 7 * BIT / 2) / BIT;
        if (trial > 0 && (width || here.low_bits == c->low_bits)) break;
        const int from = clamp((upper + 4 * BIT) / (BIT / 16) - 16 * here.low_bits, 0, MAX_SCALE);
        const int to = clamp((lower + 4 * BIT) / (BIT / 16) - 16 * here.low_bits, 0, MAX_SCALE);
        for (here.shape = 0; here.shape < NUM_SHAPES; here.shape++) {
            /* Coarsely over the range, then around the best. */
            const int stride = from - to > 16 ? 8 : 2;
            int at = from;
            int64_t best_here = INT64_MAX;
            for (here.scale = from + 4; here.scale >= to - 8 && here.scale >= 0; here.scale -= stride) {
                if (here.scale > MAX_SCALE) continue;
                const int64_t cost = cost_of(m, bins, &here);
                if (cost > best_here && stride == 2) break;
                if (cost < best_here) best_here = cost, at = here.scale;
            }
            for (int step = stride / 2; step > 0; step /= 2) {
                const int middle = at;
                for (int side = -1; side <= 1; side += 2) {
                    here.scale = clamp(middle + side * step, 0, MAX_SCALE);
                    const int64_t cost = cost_of(m, bins, &here);
                    if (cost < best_here) best_here = cost, at = here.scale;
                }
            }
            here.scale = at;
            if (best_here < best) best = best_here, *c = here;
            if (best_here > best + best / 64) break; /* heavier tails only get worse */
        }
    }
    return best;
}

/* Frequencies of 4095 in all for counts of at most 256 values; each that occurs gets one at least. */
static void share_slots(const uint32_t *counts, int size, uint32_t total, uint16_t *slots) {
    int left = HISTOGRAM_SLOTS, greatest = 0;
    for (int i = 0; i < size; i++) {
        const uint64_t share = (uint64_t)counts[i] * HISTOGRAM_SLOTS / total;
        slots[i] = (uint16_t)(counts[i] == 0 ? 0 : share == 0 ? 1 : share);
        left -= slots[i];
        if (slots[i] > slots[greatest]) greatest = i;
    }
    /* What rounding left or took is the most frequent value's, or of those that can spare it. */
    for (; left < 0; left++) {
        for (int i = 0; i < size; i++)
            if (slots[i] > slots[greatest]) greatest = i;
        slots[greatest]--;
    }
    slots[greatest] = (uint16_t)(slots[greatest] + left);
}

/* Send the residuals' own histogram if that is cheaper than `cost`. */
static void try_histogram(model *m, int64_t cost) {
    block *b = &m->block;
    const int n = b->num_samples;
    uint32_t counts[256] = {0}, total = 0;
    int first = 255, last = 0;
    for (int i = 0; i < n; i++) {
        const int32_t r = residual_at(m, i, 0);
        if (r < -128 || r > 127) continue;
        counts[r + 128]++;
        total++;
        if (r + 128 < first) first = r + 128;
        if (r + 128 > last) last = r + 128;
    }
    if (total == 0) return;
    uint16_t slots[256] = {0};
    const int size = last - first + 1;
    share_slots(counts + first, size, total, slots);
    int64_t own = (int64_t)(n - (int)total) * 28 * BIT + 24 * BIT;
    for (int i = 0; i < size; i++) {
        own += 3 * BIT + (slots[i] ? 2 * log2_q12(slots[i] + 1u) : 0);
        if (slots[i]) own += counts[first + i] * (int64_t)(12 * BIT - log2_q12(slots[i]));
    }
    if (own >= cost) return;
    b->classes[0].low_bits = 0;
    b->histogram_size = size;
    b->histogram_first = first - 128;
    memcpy(b->histogram, slots, sizeof(slots));
}

/* Classes that change over time. */

/* Half octaves of a span's sigma above 1/16 code, from 1 on; 0 if it only repeats one value. */
static int bucket_of_span(const model *m, int begin, int end, int first_of_lane) {
    double energy = 0;
    int holds = !first_of_lane;
    for (int i = begin; i < end; i++) {
        const int32_t residual = (int16_t)(m->y[i] - m->predicted[i]);
        energy += (double)residual * residual;
        holds &= i > 0 && m->y[i] == m->y[i - 1];
    }
    if (holds) return 0;
    const int32_t unit = m->block.kind == KIND_WIDTH ? 5 * BIT : 0;
    const int32_t log2_sigma = log2_of(energy / (end - begin) + 1e-3) / 2 - unit;
    return clamp((log2_sigma + 4 * BIT + BIT / 4) / (BIT / 2), 0, NUM_BUCKETS - 2) + 1;
}

/* Number the buckets that occur by their width, MAX_CLASSES at most; returns how many there are. */
static int number_buckets(const int *occurs, uint8_t *number_of) {
    int count = 0, number = 0;
    for (int i = 0; i < NUM_BUCKETS; i++) count += occurs[i];
    for (int i = 0; i < NUM_BUCKETS; i++) {
        if (!occurs[i]) continue;
        number_of[i] = (uint8_t)number;
        /* Too many: from the narrowest on, two share a class. The one that holds stays alone. */
        const int shares = count > MAX_CLASSES && i > 0 && number > 0 && (i & 1);
        if (shares)
            count--;
        else
            number++;
    }
    return number;
}

/* Use a class for each span if that is cheaper than `cost`, that of one class. Returns the cost. */
static int64_t try_classes(model *m, int64_t cost) {
    block *b = &m->block;
    const residual_class one = b->classes[0];
    b->log2_span = SPAN_LOG2;
    b->class_of_span = m->class_of_span;
    const int spans = num_spans(b), lanes = num_lanes(b);
    int occurs[NUM_BUCKETS] = {0};
    uint8_t number_of[NUM_BUCKETS];
    for (int lane = 0, at = 0; lane < lanes; lane++) {
        for (int span = 0; span < spans; span++, at++) {
            const int begin = lane_begin(b, lane) + (span << SPAN_LOG2), left = lane_end(b, lane) - begin;
            const int end = begin + (left < 1 << SPAN_LOG2 ? left : 1 << SPAN_LOG2);
            /* A lane without this span goes on with the one before. */
            m->class_of_span[at] = (uint8_t)(left > 0 ? bucket_of_span(m, begin, end, span == 0)
                                                      : m->class_of_span[at - 1]);
            occurs[m->class_of_span[at]] = 1;
        }
    }
    const int count = number_buckets(occurs, number_of);
    if (count < 2 || count > MAX_CLASSES) return cost;
    const int holds = occurs[0];

    residual_bins bins[MAX_CLASSES];
    memset(bins, 0, sizeof(bins));
    int64_t total = 0;
    for (int lane = 0, at = 0; lane < lanes; lane++) {
        for (int span = 0, previous = 0; span < spans; span++, at++) {
            const int number = m->class_of_span[at] = number_of[m->class_of_span[at]];
            const int begin = lane_begin(b, lane) + (span << SPAN_LOG2), left = lane_end(b, lane) - begin;
            const int end = begin + (left < 1 << SPAN_LOG2 ? left : 1 << SPAN_LOG2);
            total += (1 + 2 * floor_log2(fold_sign(number - previous) + 1)) * BIT;
            if (left > 0 && !(holds && number == 0)) count_residuals(m, begin, end, &bins[number]);
            previous = number;
        }
    }
    b->num_classes = count;
    for (int i = 0; i < count; i++) {
        b->classes[i] = (residual_class){.hold = holds && i == 0};
        if (bins[i].total > 0) total += fit_class(m, &bins[i], &b->classes[i]);
        total += 16 * BIT;
    }
    if (total < cost - cost / 256) return total;
    b->num_classes = 1;
    b->classes[0] = one;
    return cost;
}

/* Bits a sample, times 4096, that a sigma for each window would save; rough. */
static int64_t gain_of_windows(const model *m) {
    const int n = m->block.num_samples, window = 1 << SPAN_LOG2;
    if (n < 2 * window) return 0;
    double energy = 0;
    int64_t sum_of_logs = 0;
    for (int begin = 0; begin + window <= n; begin += window) {
        uint64_t here = 1;
        for (int i = begin; i < begin + window; i++) {
            const int64_t residual = (int16_t)(m->y[i] - m->predicted[i]);
            here += (uint64_t)(residual * residual);
        }
        energy += (double)here;
        const int exponent = 63 - __builtin_clzll(here); /* log2(1 + x) is about x */
        sum_of_logs += exponent * BIT + (int64_t)((here << (63 - exponent) & INT64_MAX) >> 51);
    }
    const int windows = n / window;
    return (log2_of(energy / windows) - sum_of_logs / windows) / 2;
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

static int64_t fit_residuals(model *m) {
    block *b = &m->block;
    residual_bins bins = {0};
    b->num_classes = 1;
    b->histogram_size = 0;
    count_residuals(m, 0, b->num_samples, &bins);
    int64_t cost = fit_class(m, &bins, &b->classes[0]);
    if (gain_of_windows(m) > BIT / 32) cost = try_classes(m, cost);
    return cost;
}

/* The whole. */

void fit_model(model *m, const int16_t *samples, int n, const approach *how) {
    block *b = &m->block;
    memset(b, 0, offsetof(block, palette));
    b->num_samples = n;
    b->kind = KIND_INTEGER;
    b->precision = 12;
    b->own_widths = m->own_widths;
    b->widths_hash = m->widths_hash;
    for (int i = 0; i < 5; i++)
        if (n >= m->level->lanes_from[i]) b->log2_lanes = i;
    if (how->few_values || !map_grid(m, samples, n)) {
        map_samples(m, samples, n);
    } else if (!how->integers && m->level->grid_kind == KIND_WIDTH) {
        b->kind = KIND_WIDTH;
        b->precision = m->level->precision;
    }
    b->differences = how->differences;
    for (int i = 0; i < how->differences; i++)
        for (int j = n - 1; j > 0; j--) m->codes[j] = (int16_t)(uint16_t)(m->codes[j] - m->codes[j - 1]);
    place_codes(m, n);

    const int max_order = how->predict ? m->level->max_order : 0;
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
    if (b->kind == KIND_INTEGER && b->num_classes == 1) try_histogram(m, cost);
}

int is_doubtful(const model *m) {
    const block *b = &m->block;
    if (b->num_classes > 1 || b->histogram_size > 0 || b->classes[0].shape > 1) return 1;
    if (b->kind == KIND_WIDTH) return b->order < 3; /* recordings are not so white */
    return b->map != MAP_ADC && b->order > 0 && abs(block_angle(b, 0)) > 1500;
}
