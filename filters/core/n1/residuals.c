/* Which distribution a block's residuals get: one for all, one for each span, or a histogram. */
#include "residuals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    NUM_BINS = 144,
    WIDTH_UNIT = 3, /* quarter codes */
    SPAN_LOG2 = 6,  /* steps to which a class applies, where there are several */
    NUM_BUCKETS = 33,
    ENOUGH_RESIDUALS = 4096, /* to fit a distribution that all of a block share */
    STATE_SHARE = 100,       /* a lane's state is at most this part of what is coded */
};

/* log2 in 1/4096, from straight lines between the values at 1, 1 + 1/64, … */
static inline int32_t quick_log2(uint32_t value) {
    static const uint16_t LOGS[65] = {
        0,    92,   182,  271,  358,  445,  530,  613,  696,  778,  858,  937,  1016,
        1093, 1169, 1244, 1319, 1392, 1465, 1536, 1607, 1677, 1746, 1814, 1882, 1949,
        2015, 2080, 2145, 2208, 2272, 2334, 2396, 2457, 2518, 2578, 2637, 2696, 2754,
        2812, 2869, 2926, 2982, 3037, 3092, 3146, 3200, 3254, 3307, 3359, 3412, 3463,
        3514, 3565, 3615, 3665, 3715, 3764, 3812, 3861, 3908, 3956, 4003, 4050, 4096};
    const int exponent = floor_log2(value);
    const uint32_t mantissa = value << (31 - exponent) << 1; /* without its leading one */
    const uint16_t *at = LOGS + (mantissa >> 26);
    const uint32_t rest = mantissa >> 16 & 1023;
    return exponent * BIT + at[0] + (int32_t)(((uint32_t)(at[1] - at[0]) * rest) >> 10);
}

int32_t log2_of(double value) {
    int exponent;
    const double mantissa = frexp(value, &exponent);
    return quick_log2((uint32_t)(mantissa * 4294967295.0)) + (exponent - 32) * BIT;
}

/* Sizes of residuals, counted in bins that become wider by the octave. */
typedef struct {
    int unit; /* sizes are in units of 2^unit */
    uint32_t count[NUM_BINS];
    int64_t energy;
    uint32_t total;
} residual_bins;

static inline int bin_of(uint32_t size) {
    /* Both are made, as nobody can guess which one it will be. */
    const int octave = floor_log2(size | 32) - 5;
    const int wide = 32 + octave * 8 + (int)(size >> (octave + 2) & 7);
    return size < 32 ? (int)size : wide;
}

static inline int32_t middle_of_bin(int bin, int unit) {
    if (bin < 32) return (bin << unit) + (1 << unit >> 1);
    const int octave = (bin - 32) / 8 + unit;
    return ((8 + (bin & 7)) << (octave + 2)) + (1 << (octave + 2) >> 1);
}

/* Count every stride-th residual. */
static void count_residuals(const model *m, int begin, int end, int stride, residual_bins *bins) {
    const int16_t *const y = m->y, *const predicted = m->predicted;
    const int unit = m->block.kind == KIND_WIDTH ? WIDTH_UNIT : 0;
    int64_t energy = 0;
    for (int i = begin; i < end; i += stride) {
        const int32_t residual = (int16_t)(y[i] - predicted[i]);
        energy += (uint32_t)(residual * residual);
        bins->count[bin_of((uint32_t)abs(residual) >> unit)]++;
    }
    bins->unit = unit;
    bins->energy += energy;
    bins->total += (uint32_t)((end - begin + stride - 1) / stride);
}

/* log2 of the slots that suit so many escapes among n symbols. */
static int escape_slots(int64_t num_escapes, int n, int precision) {
    const int64_t slots = (num_escapes << precision) / n;
    const int most = precision - 2 < MAX_LOG2_ESCAPE ? precision - 2 : MAX_LOG2_ESCAPE;
    return slots < 2 ? 0 : clamp(floor_log2((uint32_t)slots), 0, most);
}

/* How many residuals lie at which positions. Without their low bits, many are at the same. */
typedef struct {
    int size;
    int32_t position[NUM_BINS]; /* TOO_FAR for all that the integer kind has no symbol for */
    uint32_t count[NUM_BINS];
    int64_t low_bits_cost;
} residual_places;

enum { TOO_FAR = 1 << 17 };

static void place_residuals(const model *m, const residual_bins *bins, int low_bits,
                            residual_places *places) {
    places->size = 0;
    places->low_bits_cost = (int64_t)bins->total * low_bits * BIT;
    for (int i = 0, last = -1; i < NUM_BINS; i++) {
        if (bins->count[i] == 0) continue;
        int32_t p = middle_of_bin(i, bins->unit);
        if (m->block.kind == KIND_INTEGER) {
            p = 2 * ((p + (1 << low_bits >> 1)) >> low_bits);
            if (p > 2 * 127) p = TOO_FAR;
        }
        if (p != last) places->count[places->size++] = 0;
        places->position[places->size - 1] = last = p;
        places->count[places->size - 1] += bins->count[i];
    }
}

/* What a class costs for these residuals, and how many will be escapes. */
static int64_t cost_of(const model *m, const residual_places *places, const residual_class *c,
                       int64_t *num_escapes) {
    const int width = m->block.kind == KIND_WIDTH, precision = m->block.precision;
    *num_escapes = 0;
    const distribution d = {c->scale, c->shape, symbol_slots(&m->block), width ? 4 : 0};
    const int32_t half_cell = width ? 16 : 1;
    const int32_t escape = (precision - m->block.log2_escape + m->block.escape_bits) * BIT;
    int64_t cost = places->low_bits_cost;
    int32_t edge = -half_cell;
    uint32_t below_edge = slots_below(&d, edge);
    for (int i = 0; i < places->size; i++) {
        const int32_t p = places->position[i];
        if (p - half_cell != edge) below_edge = slots_below(&d, p - half_cell);
        edge = p + half_cell;
        const uint32_t below_next = slots_below(&d, edge), slots = below_next - below_edge;
        below_edge = below_next;
        const int escapes = slots == 0 || p == TOO_FAR;
        cost += places->count[i] * (int64_t)(escapes ? escape : precision * BIT - quick_log2(slots));
        if (escapes) *num_escapes += places->count[i];
    }
    return cost;
}

/* log2 of the sigma, in units of y, below which a normal distribution has half its mass. */
static int32_t log2_median(const residual_bins *bins) {
    uint32_t below = 0;
    int i = 0;
    while (below + bins->count[i] <= bins->total / 2) below += bins->count[i++];
    return log2_of(middle_of_bin(i, bins->unit) * 1.4826 + 0.1);
}

/* Choose scale, shape and low bits for these residuals; returns cost and number of escapes. */
static int64_t fit_class(const model *m, const residual_bins *bins, residual_class *c,
                         int64_t *num_escapes) {
    const int width = m->block.kind == KIND_WIDTH;
    const int32_t unit = width ? 5 * BIT : 0; /* log2 of a code */
    const int32_t by_energy = log2_of((double)bins->energy / bins->total + 1e-3) / 2 - unit;
    const int32_t by_median = log2_median(bins) - unit;
    const int32_t lower = by_energy < by_median ? by_energy : by_median;
    const int32_t upper = by_energy < by_median ? by_median : by_energy;
    /* The converter's codes differ in width, which only their own histogram knows. */
    const int32_t kept = m->block.map == MAP_ADC ? 2 * BIT : 3 * BIT / 2; /* log2 of a residual */
    int64_t best = INT64_MAX;
    for (int trial = 0; trial < 2; trial++) {
        residual_class here = {0};
        const int32_t typical = trial ? by_energy : by_median;
        if (!width && typical > kept + BIT) here.low_bits = (typical - kept) / BIT;
        if (trial > 0 && (width || here.low_bits == c->low_bits)) break;
        residual_places places;
        place_residuals(m, bins, here.low_bits, &places);
        const int from = clamp((upper + 4 * BIT) / (BIT / 16) - 16 * here.low_bits, 0, MAX_SCALE);
        const int to = clamp((lower + 4 * BIT) / (BIT / 16) - 16 * here.low_bits, 0, MAX_SCALE);
        int at = (from + to + 1) / 2;
        for (here.shape = 0; here.shape < NUM_SHAPES; here.shape++) {
            /* From what suited the shape before on, as long as it gets better; then finer steps. */
            int64_t escapes, escapes_here;
            int stride = 2;
            here.scale = at;
            int64_t best_here = cost_of(m, &places, &here, &escapes_here);
            /* Residuals of which energy and median disagree may suit far-apart scales. */
            for (here.scale = from; from - to > 16 && here.scale >= to - 8 && here.scale >= 0; here.scale -= 8) {
                const int64_t cost = cost_of(m, &places, &here, &escapes);
                if (cost < best_here) best_here = cost, at = here.scale, escapes_here = escapes;
                stride = 4;
            }
            for (; stride > 0; stride /= 2) {
                for (int side = -1; side <= 1; side += 2) {
                    const int begun_at = at;
                    for (;;) {
                        here.scale = at + side * stride;
                        if (here.scale < 0 || here.scale > MAX_SCALE) break;
                        const int64_t cost = cost_of(m, &places, &here, &escapes);
                        if (cost >= best_here) break;
                        best_here = cost, at = here.scale, escapes_here = escapes;
                    }
                    if (at != begun_at) break; /* the other side is where it came from */
                }
            }
            here.scale = at;
            if (best_here < best) best = best_here, *c = here, *num_escapes = escapes_here;
            if (best_here > best) break; /* heavier tails only get worse */
        }
    }
    const int64_t raw = (int64_t)bins->total * 16 * BIT;
    if (width || best <= raw) return best;
    *c = (residual_class){.low_bits = 16};
    *num_escapes = 0;
    return raw;
}

/* Share num_slots between counts of at most 256 values; each that occurs gets one at least. */
static void share_slots(const uint32_t *counts, int size, uint32_t total, uint32_t num_slots,
                        uint16_t *slots) {
    int left = (int)num_slots, greatest = 0;
    for (int i = 0; i < size; i++) {
        const uint64_t share = (uint64_t)counts[i] * num_slots / total;
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

int64_t try_histogram(model *m, int64_t cost) {
    block *b = &m->block;
    if (!m->may_suit_histogram) return cost;
    const int n = b->num_samples;
    const int16_t *y = m->y, *predicted = m->predicted;
    uint32_t counts[256 + 1] = {0}; /* the last of all that a histogram has no place for */
    for (int i = 0; i < n; i++) {
        const int place = (uint16_t)(y[i] - predicted[i] + 128);
        counts[place < 256 ? place : 256]++;
    }
    const int num_escapes = (int)counts[256];
    const int log2_escape = escape_slots(num_escapes, n, 12);
    int64_t own = (int64_t)num_escapes * (28 - log2_escape) * BIT + 24 * BIT;
    if (num_escapes == n || own >= cost) return cost;
    int first = 0, last = 255;
    while (counts[first] == 0) first++;
    while (counts[last] == 0) last--;
    uint16_t slots[256] = {0};
    const int size = last - first + 1;
    const uint32_t num_slots = (1u << b->precision) - (1u << log2_escape);
    share_slots(counts + first, size, (uint32_t)(n - num_escapes), num_slots, slots);
    for (int i = 0; i < size; i++) {
        own += 3 * BIT + (slots[i] ? 2 * quick_log2(slots[i] + 1u) : 0);
        if (slots[i]) own += counts[first + i] * (int64_t)(12 * BIT - quick_log2(slots[i]));
    }
    if (own >= cost - cost / 64) return cost; /* which is an estimate */
    b->log2_escape = log2_escape;
    b->num_classes = 1;
    b->classes[0] = (residual_class){0};
    b->histogram_size = size;
    b->histogram_first = first - 128;
    memcpy(b->histogram, slots, sizeof(slots));
    return own;
}

/* Classes that change over time. */

/* Half octaves of a span's sigma above 1/16 code, from 1 on; 0 if it only repeats one value. */
static int bucket_of_span(const model *m, int begin, int end, int first_of_lane) {
    int holds = !first_of_lane;
    for (int i = begin; i < end && holds; i++) holds = m->u[i] == m->u[i - 1];
    if (holds) return 0;
    const int64_t energy = m->kernels->energy(m->y + begin, m->predicted + begin, end - begin);
    const int32_t unit = m->block.kind == KIND_WIDTH ? 5 * BIT : 0;
    const int32_t log2_sigma = log2_of((double)energy / (end - begin) + 1e-3) / 2 - unit;
    return clamp((log2_sigma + 4 * BIT + BIT / 4) / (BIT / 2), 0, NUM_BUCKETS - 2) + 1;
}

/* What samples in spans of these buckets take, about: bits by the sigma in a bucket's middle. */
static int64_t cost_of_buckets(const int *samples) {
    int64_t cost = 0;
    for (int i = 1; i < NUM_BUCKETS; i++) {
        const int64_t log2_sigma = (i - 1) * (BIT / 2) - 4 * BIT;
        /* A normal distribution has 2.05 bits more, as long as it is wider than a code. */
        cost += samples[i] * (log2_sigma > -3 * BIT / 2 ? log2_sigma + 2 * BIT : BIT / 2);
    }
    return cost;
}

/* Number the buckets that occur by their width, MAX_CLASSES at most; returns how many there are. */
static int number_buckets(const int *samples, uint8_t *number_of) {
    int count = 0, number = 0;
    for (int i = 0; i < NUM_BUCKETS; i++) count += samples[i] > 0;
    for (int i = 0; i < NUM_BUCKETS; i++) {
        if (samples[i] == 0) continue;
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
    int samples[NUM_BUCKETS] = {0};
    uint8_t number_of[NUM_BUCKETS];
    for (int lane = 0, at = 0; lane < lanes; lane++) {
        for (int span = 0; span < spans; span++, at++) {
            const int begin = lane_begin(b, lane) + (span << SPAN_LOG2), left = lane_end(b, lane) - begin;
            const int end = begin + (left < 1 << SPAN_LOG2 ? left : 1 << SPAN_LOG2);
            /* A lane without this span goes on with the one before. */
            m->class_of_span[at] = (uint8_t)(left > 0 ? bucket_of_span(m, begin, end, span == 0)
                                                      : m->class_of_span[at - 1]);
            if (left > 0) samples[m->class_of_span[at]] += end - begin;
        }
    }
    if (b->map != MAP_ADC && cost_of_buckets(samples) > cost - cost / 64) return cost;
    const int count = number_buckets(samples, number_of);
    if (count < 2 || count > MAX_CLASSES) return cost;
    const int holds = samples[0] > 0;

    residual_bins bins[MAX_CLASSES];
    memset(bins, 0, sizeof(bins));
    int64_t total = 0, num_escapes = 0;
    for (int lane = 0, at = 0; lane < lanes; lane++) {
        for (int span = 0, previous = 0; span < spans; span++, at++) {
            const int number = m->class_of_span[at] = number_of[m->class_of_span[at]];
            const int begin = lane_begin(b, lane) + (span << SPAN_LOG2), left = lane_end(b, lane) - begin;
            const int end = begin + (left < 1 << SPAN_LOG2 ? left : 1 << SPAN_LOG2);
            total += (1 + 2 * floor_log2(fold_sign(number - previous) + 1)) * BIT;
            if (left > 0 && !(holds && number == 0)) count_residuals(m, begin, end, 1, &bins[number]);
            previous = number;
        }
    }
    b->num_classes = count;
    for (int i = 0; i < count; i++) {
        b->classes[i] = (residual_class){.hold = holds && i == 0};
        int64_t escapes = 0;
        if (bins[i].total > 0) total += fit_class(m, &bins[i], &b->classes[i], &escapes);
        num_escapes += escapes;
        total += 16 * BIT;
    }
    if (total < cost - cost / 256) {
        b->log2_escape = escape_slots(num_escapes, b->num_samples, b->precision);
        return total;
    }
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
        const uint64_t here =
            1 + (uint64_t)m->kernels->energy(m->y + begin, m->predicted + begin, window);
        energy += (double)here;
        const int exponent = 63 - __builtin_clzll(here); /* log2(1 + x) is about x */
        sum_of_logs += exponent * BIT + (int64_t)((here << (63 - exponent) & INT64_MAX) >> 51);
    }
    const int windows = n / window;
    return (log2_of(energy / windows) - sum_of_logs / windows) / 2;
}

/* What the residuals would take if each bin's frequency were known, about. */
static int64_t cost_of_bins(const residual_bins *bins) {
    const int32_t log2_total = quick_log2(bins->total);
    int64_t cost = 0;
    for (int i = 0; i < NUM_BINS; i++) {
        if (bins->count[i] == 0) continue;
        const int log2_width = bins->unit + (i < 32 ? 0 : (i - 32) / 8 + 2), has_sign = i > 0;
        cost += bins->count[i] *
                (int64_t)(log2_total - quick_log2(bins->count[i]) + (log2_width + has_sign) * BIT);
    }
    return cost;
}

int64_t fit_residuals(model *m) {
    block *b = &m->block;
    residual_bins bins = {0};
    b->num_classes = 1;
    b->histogram_size = 0;
    /* More of them where codes are not alike, and most where only the residuals say so. */
    const int enough = (b->map == MAP_IDENTITY ? 1 : b->kind == KIND_WIDTH ? 4 : 8) * ENOUGH_RESIDUALS;
    const int n = b->num_samples, stride = (n + enough - 1) / enough;
    count_residuals(m, 0, n, stride, &bins);
    int64_t num_escapes;
    b->log2_escape = 0;
    int64_t cost = fit_class(m, &bins, &b->classes[0], &num_escapes);
    b->log2_escape = escape_slots(num_escapes, (int)bins.total, b->precision);
    if (b->log2_escape > 0) cost = fit_class(m, &bins, &b->classes[0], &num_escapes);
    /* Only where residuals are not spread as any distribution has them. */
    m->may_suit_histogram = b->map != MAP_IDENTITY || cost_of_bins(&bins) < cost - cost / 64;
    cost = cost / bins.total * n;
    while (b->log2_lanes > 0 && cost < (int64_t)STATE_SHARE * 32 * BIT << b->log2_lanes)
        b->log2_lanes--;
    if (gain_of_windows(m) > (b->map == MAP_ADC ? BIT / 12 : BIT / 8)) cost = try_classes(m, cost);
    return cost;
}
