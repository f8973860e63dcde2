/*
 * Linear prediction: from each sample is taken what those before it in its channel give, weighted
 * with coefficients that are fitted to the data and stored in front, a set for each channel. What
 * is taken keeps to the converter's steps (grain.h).
 *
 * The coefficients are those of least squares over the very samples that are predicted, known as
 * the covariance method: B. S. Atal and S. L. Hanauer, "Speech analysis and synthesis by linear
 * prediction of the speech wave", JASA 50 (1971); J. Makhoul, "Linear prediction: a tutorial
 * review", Proc. IEEE 63 (1975). It needs no window, and here no stable predictors, as residuals
 * are exact. The encoder reckons in IEEE double in a fixed order, so that the same data give the
 * same coefficients everywhere.
 */
#include "grain.h"
#include "simple.h"
#include "transform.h"

enum {
    MAX_ORDER = 32,
    MAX_SHIFT = 15,
    GROUP = 32,  /* channels, which share cache lines, are worked on by turns, */
    STRIP = 256, /* so many samples at a time */
    TILE = 8,    /* samples that are decoded together */
};

typedef struct {
    uint32_t order, shift, grain;
    int16_t coefficients[MAX_ORDER]; /* first that of the sample before; 0 beyond the order */
} predictor;

/* Samples of a channel from MAX_ORDER on; in front those before them. */
typedef int16_t strip[MAX_ORDER + STRIP];

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Numbers of one channel, which are `frame` bytes apart, and back. */
static void gather(const uint8_t *column, size_t frame, size_t count, int16_t *numbers) {
    for (size_t i = 0; i < count; i++) numbers[i] = (int16_t)load_u16(column + i * frame);
}

static void scatter(const int16_t *numbers, size_t count, uint8_t *column, size_t frame) {
    for (size_t i = 0; i < count; i++) store_u16(column + i * frame, (uint16_t)numbers[i]);
}

/* The MAX_ORDER samples before sample `begin`; before the beginning they are 0. */
static void gather_before(const uint8_t *column, size_t frame, size_t begin, strip x) {
    if (begin == 0)
        memset(x, 0, MAX_ORDER * sizeof *x);
    else
        gather(column + (begin - MAX_ORDER) * frame, frame, MAX_ORDER, x);
}

/* --- The encoder's choice of coefficients */

/* Add to products[k] the sum of x[t] x[t - k] over samples `from` .. `count` - 1 of a strip. */
static void correlate(const strip x, size_t from, size_t count, size_t order, double *products) {
    for (size_t k = 0; k <= order; k++) {
        int32_t high = 0, low = 0; /* halves of products, which no strip makes overflow */
        for (size_t t = MAX_ORDER + from; t < MAX_ORDER + count; t++) {
            const int32_t product = x[t] * x[t - k];
            high += product >> 16;
            low += product & 0xFFFF;
        }
        products[k] += high * 65536.0 + low;
    }
}

/*
 * The coefficients that predict sample t from samples t - 1 .. t - order best, for all t from
 * `order` on, of which products[k] is the sum of x[t] x[t - k].
 */
static void solve(const uint8_t *column, size_t frame, size_t num_samples, size_t order,
                  const double *products, double *coefficients) {
    /* a[i][j] is the sum of x[t - i] x[t - j], which takes two samples in and two out. */
    double a[MAX_ORDER + 1][MAX_ORDER + 1];
    int16_t first[MAX_ORDER], last[MAX_ORDER];
    gather(column, frame, order, first);
    gather(column + (num_samples - order) * frame, frame, order, last);
    for (size_t j = 0; j <= order; j++) a[0][j] = products[j];
    for (size_t i = 1; i <= order; i++)
        for (size_t j = i; j <= order; j++)
            a[i][j] = a[i - 1][j - 1] + first[order - i] * first[order - j] -
                      last[order - i] * last[order - j];

    /* About what rounding the coefficients costs; without it some samples have no solution. */
    double trace = 0;
    for (size_t i = 1; i <= order; i++) trace += a[i][i];
    for (size_t i = 1; i <= order; i++) a[i][i] += 1 + trace * 0x1p-32;

    /* Gauss's elimination; the matrix is symmetric, and its upper half is kept. */
    for (size_t i = 1; i <= order; i++)
        for (size_t j = i + 1; j <= order; j++) {
            const double factor = a[i][j] / a[i][i];
            for (size_t k = j; k <= order; k++) a[j][k] -= factor * a[i][k];
            a[0][j] -= factor * a[0][i];
        }
    for (size_t i = order; i >= 1; i--) {
        for (size_t j = i + 1; j <= order; j++) a[0][i] -= a[i][j] * coefficients[j - 1];
        coefficients[i - 1] = a[0][i] / a[i][i];
    }
}

static double magnitude(double value) { return value < 0 ? -value : value; }

/*
 * How precise coefficients are, for samples of this mean square in steps of the grain: what rounding
 * them does to predictions is small beside what rounding these does, by a factor of 4. Small numbers
 * are those that cost the least behind.
 */
static uint32_t shift_for(double power, uint32_t order) {
    uint32_t shift = 0;
    for (double least = 16 * order * power; least > 1 && shift < MAX_SHIFT; least /= 4) shift++;
    return shift;
}

/* What rounding takes from a coefficient the next one is given, so that their sum stays right. */
static predictor quantise(const double *coefficients, uint32_t order, uint32_t shift,
                          uint32_t grain) {
    predictor p = {.order = order, .shift = shift, .grain = grain};
    double largest = 0, rest = 0;
    for (uint32_t k = 0; k < order; k++)
        if (magnitude(coefficients[k]) > largest) largest = magnitude(coefficients[k]);
    while (p.shift > 0 && largest * (double)(1 << p.shift) > 32766) p.shift--;
    for (uint32_t k = 0; k < order; k++) {
        rest += coefficients[k] * (double)(1 << p.shift);
        const double limited = rest < -32767 ? -32767 : rest > 32767 ? 32767 : rest;
        p.coefficients[k] = (int16_t)(limited + (limited < 0 ? -0.5 : 0.5));
        rest -= p.coefficients[k];
    }
    return p;
}

static predictor fit(const uint8_t *column, size_t frame, size_t num_samples, uint32_t order,
                     uint32_t grain, const double *products) {
    double coefficients[MAX_ORDER] = {0};
    if (num_samples > order)
        solve(column, frame, num_samples, order, products, coefficients);
    const double step = (double)(1 << grain), power = products[0] / (double)num_samples;
    return quantise(coefficients, order, shift_for(power / (step * step), order), grain);
}

/*
 * --- Prediction, as the sample before and a change from it, which is a multiple of 2^grain. Sums are
 * 2^shift times the change. They may wrap around: their lowest shift + 16 bits are all that counts.
 */

/* Half a multiple, with which a sum begins, as it is rounded down in the end. */
static inline uint32_t rounding(const predictor *p) { return 1u << (p->shift + p->grain) >> 1; }

/* The coefficient of the sample before, for a change from it. */
static inline uint32_t of_change(const predictor *p) {
    return (uint32_t)p->coefficients[0] - (1u << p->shift);
}

static inline uint32_t times(uint32_t coefficient, int32_t sample) {
    return coefficient * (uint32_t)sample;
}

static inline uint32_t prediction(const predictor *p, uint32_t sum, int16_t before) {
    return (uint32_t)before + (sum >> p->shift & (uint32_t)-1 << p->grain);
}

static void subtract_predictions(const predictor *p, const strip x, size_t count,
                                 int16_t *residuals) {
    uint32_t sums[STRIP];
    const uint32_t half = rounding(p), first = of_change(p);
    for (size_t i = 0; i < count; i++) sums[i] = half + times(first, x[MAX_ORDER + i - 1]);
    for (size_t k = 1; k < p->order; k++) {
        const int16_t coefficient = p->coefficients[k], *const before = x + MAX_ORDER - 1 - k;
        for (size_t i = 0; i < count; i++) sums[i] += (uint32_t)(coefficient * before[i]);
    }
    for (size_t i = MAX_ORDER; i < MAX_ORDER + count; i++) {
        const uint32_t expected = prediction(p, sums[i - MAX_ORDER], x[i - 1]);
        residuals[i - MAX_ORDER] = (int16_t)((uint32_t)x[i] - expected);
    }
}

/*
 * Residuals, from MAX_ORDER on, become samples. What comes from before a tile is added for all of
 * it at once, so that only TILE products are left to be made one after the other.
 */
static void add_predictions(const predictor *p, strip x, size_t count) {
    const uint32_t half = rounding(p), first = of_change(p);
    const int order = (int)p->order;
    for (int16_t *now = x + MAX_ORDER; now < x + MAX_ORDER + count; now += TILE) {
        uint32_t sums[TILE];
        for (int i = 0; i < TILE; i++) sums[i] = half;
        for (int k = TILE; k < order; k++)
            for (int i = 0; i < TILE; i++)
                sums[i] += (uint32_t)(p->coefficients[k] * now[i - 1 - k]);
        for (int i = 0; i < TILE; i++) {
            for (int k = TILE - 1; k > 0; k--)
                sums[i] += (uint32_t)(p->coefficients[k] * now[i - 1 - k]);
            sums[i] += times(first, now[i - 1]);
            now[i] = (int16_t)((uint32_t)now[i] + prediction(p, sums[i], now[i - 1]));
        }
    }
}

/* --- Payloads */

/* The header, a frame of shifts, frames of coefficients, and frames of zeros. */
static size_t bytes_in_front(simple_settings settings) {
    const size_t eights = frames_of_eights(settings.num_channels);
    const size_t parameters = (1 + settings.parameter + eights - 1) / eights * eights;
    return (header_frames(settings.num_channels) + parameters) * frame_bytes(settings.num_channels);
}

static size_t bound(size_t size, simple_settings settings) {
    return size + bytes_in_front(settings);
}

static int64_t encode_with(const uint8_t *data, size_t size, simple_settings settings,
                           uint32_t grain, uint8_t *payload) {
    const uint32_t order = settings.parameter;
    const size_t frame = frame_bytes(settings.num_channels), num_samples = size / frame;
    uint8_t *const parameters = store_header(payload, settings);
    store_grain(payload, grain);
    uint8_t *const residuals = payload + bytes_in_front(settings);
    memset(parameters, 0, (size_t)(residuals - parameters));
    for (size_t group = 0; group < frame; group += 2 * GROUP) {
        const size_t end = smaller(group + 2 * GROUP, frame);
        double products[GROUP][MAX_ORDER + 1] = {{0}};
        predictor predictors[GROUP];
        strip x;
        for (size_t begin = 0; begin < num_samples; begin += STRIP) {
            const size_t count = smaller(STRIP, num_samples - begin);
            for (size_t at = group; at < end; at += 2) {
                gather_before(data + at, frame, begin, x);
                gather(data + at + begin * frame, frame, count, x + MAX_ORDER);
                correlate(x, begin == 0 ? order : 0, count, order, products[(at - group) / 2]);
            }
        }
        for (size_t at = group; at < end; at += 2) {
            predictor *const p = &predictors[(at - group) / 2];
            *p = fit(data + at, frame, num_samples, order, grain, products[(at - group) / 2]);
            store_u16(parameters + at, (uint16_t)p->shift);
            scatter(p->coefficients, order, parameters + frame + at, frame);
        }
        for (size_t begin = 0; begin < num_samples; begin += STRIP) {
            const size_t count = smaller(STRIP, num_samples - begin);
            for (size_t at = group; at < end; at += 2) {
                int16_t differences[STRIP];
                gather_before(data + at, frame, begin, x);
                gather(data + at + begin * frame, frame, count, x + MAX_ORDER);
                subtract_predictions(&predictors[(at - group) / 2], x, count, differences);
                scatter(differences, count, residuals + at + begin * frame, frame);
            }
        }
    }
    return (int64_t)bound(size, settings);
}

static int64_t encode(const simple_codec *codec, const uint8_t *data, size_t size,
                      simple_settings settings, uint8_t *payload) {
    (void)codec;
    return encode_on_grain(data, size, settings, encode_with, payload);
}

static int64_t decoded_size(const simple_codec *codec, const uint8_t *payload, size_t size) {
    simple_settings settings;
    const int64_t header = load_header(codec, payload, size, &settings);
    if (header < 0) return header;
    const size_t front = bytes_in_front(settings);
    return size < front ? N1_ERROR_CORRUPT : (int64_t)(size - front);
}

static int decode(const simple_codec *codec, const uint8_t *payload, size_t size, uint8_t *data) {
    simple_settings settings;
    const int64_t header = load_header(codec, payload, size, &settings);
    if (header < 0) return (int)header;
    uint32_t grain;
    const int error = load_grain(payload, &grain);
    if (error) return error;
    const uint32_t order = settings.parameter;
    const size_t frame = frame_bytes(settings.num_channels), front = bytes_in_front(settings);
    if (size < front) return N1_ERROR_CORRUPT;
    const size_t num_samples = (size - front) / frame;
    const uint8_t *const parameters = payload + header, *const residuals = payload + front;
    for (size_t group = 0; group < frame; group += 2 * GROUP) {
        const size_t end = smaller(group + 2 * GROUP, frame);
        predictor predictors[GROUP] = {{0}};
        strip x = {0};
        for (size_t at = group; at < end; at += 2) {
            predictor *const p = &predictors[(at - group) / 2];
            p->order = order;
            p->grain = grain;
            p->shift = load_u16(parameters + at);
            if (p->shift > MAX_SHIFT) return N1_ERROR_CORRUPT;
            gather(parameters + frame + at, frame, order, p->coefficients);
        }
        for (size_t begin = 0; begin < num_samples; begin += STRIP) {
            const size_t count = smaller(STRIP, num_samples - begin);
            for (size_t at = group; at < end; at += 2) {
                gather_before(data + at, frame, begin, x);
                gather(residuals + at + begin * frame, frame, count, x + MAX_ORDER);
                add_predictions(&predictors[(at - group) / 2], x, count);
                scatter(x + MAX_ORDER, count, data + at + begin * frame, frame);
            }
        }
    }
    return N1_OK;
}

const simple_codec lpc_codec = {
    .name = "lpc",
    .least = 1,
    .most = MAX_ORDER,
    .is_transform = 1,
    .bound = bound,
    .encode = encode,
    .decoded_size = decoded_size,
    .decode = decode,
};
