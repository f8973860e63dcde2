#include "refer.h"

#include <math.h>
#include <string.h>

#include "echo.h"
#include "residuals.h"

enum {
    MAX_DISTANCE = 7,    /* channels; related ones are mostly near */
    LEAST_SAMPLES = 256, /* of a block, for a reference to be looked for */
    STRETCH = 1024,      /* samples, in some of which channels are compared, */
    NUM_STRETCHES = 4,
    LAST_COMPARED = 3,   /* at lags up to this one, */
    NUM_COMPARED = 8,    /* so many in all */
    TAP = 6,             /* bits that a tap takes, about, */
    TAPS = 10,           /* and what stands before the first one */
    MAX_SHIFT = 15,
};

/* The stretches of a block on which channels are compared, all of it if it is short. */
typedef struct {
    int count, length;
    int begin[NUM_STRETCHES];
} stretches;

static stretches choose_stretches(int n) {
    const int first = NUM_COMPARED, end = n - NUM_COMPARED;
    stretches s = {.count = 1, .length = end - first, .begin = {first}};
    if (s.length <= NUM_STRETCHES * STRETCH) return s;
    const int room = end - first - STRETCH;
    s.count = NUM_STRETCHES;
    s.length = STRETCH;
    for (int i = 0; i < NUM_STRETCHES; i++)
        s.begin[i] = first + (int)((int64_t)room * i / (NUM_STRETCHES - 1));
    return s;
}

/* Residuals of samples begin .. end - 1, but never -32768. */
static void take_residuals(const model *m, int begin, int end, int16_t *residuals) {
    /* Of the first samples low orders leave so much that the others would not count. */
    for (; begin < m->block.order; begin++) residuals[begin] = 0;
    for (int i = begin; i < end; i++) {
        const int16_t residual = (int16_t)(uint16_t)(m->y[i] - m->predicted[i]);
        residuals[i] = residual < -32767 ? -32767 : residual;
    }
}

void keep_residuals(chooser *c, int channel, int n) {
    const model *const m = c->best;
    int16_t *const residuals = c->residuals + (size_t)channel * c->plane_size;
    if (n < LEAST_SAMPLES) return;
    const stretches s = choose_stretches(n);
    for (int i = 0; i < s.count; i++) {
        const int begin = s.begin[i] - NUM_COMPARED, end = s.begin[i] + s.length + NUM_COMPARED;
        int64_t energy;
        take_residuals(m, begin, end, residuals);
        m->kernels->correlate(residuals, residuals, s.begin[i], s.begin[i] + s.length, 0, &energy);
        c->energies[channel] += energy;
    }
}

int find_same(const chooser *c, const int16_t *planes, int channel, int n) {
    const int16_t *const own = planes + (size_t)channel * c->plane_size;
    for (int distance = 1; distance <= channel; distance++) {
        const int16_t *const other = own - (size_t)distance * c->plane_size;
        if (memcmp(own, other, (size_t)n * sizeof(*own)) == 0) return distance;
    }
    return 0;
}

/* The share of both energies, multiplied, that sums of products explain, what exceeds `least` of each. */
static double share_of(const double *sums, double energies, double least) {
    double share = 0;
    for (int lag = 0; lag < NUM_COMPARED; lag++) {
        const double here = sums[lag] * sums[lag] / energies;
        if (here > least) share += here - least;
    }
    return share;
}

/* What share of this channel's residuals those of another one explain, about. */
static double share_explained(const chooser *c, int channel, int distance, int n) {
    const int16_t *const own = c->residuals + (size_t)channel * c->plane_size;
    const int16_t *const other = own - (size_t)distance * c->plane_size;
    const double energies =
        (double)c->energies[channel] * (double)c->energies[channel - distance];
    if (!(energies > 0)) return 0;
    const stretches s = choose_stretches(n);
    double sums[NUM_COMPARED] = {0};
    for (int i = 0; i < s.count; i++) {
        int64_t here[NUM_COMPARED];
        c->best->kernels->correlate(own, other + LAST_COMPARED, s.begin[i], s.begin[i] + s.length,
                                    NUM_COMPARED - 1, here);
        for (int lag = 0; lag < NUM_COMPARED; lag++) sums[lag] += (double)here[lag];
        /* Most channels have nothing in common, and the first stretch says so: noise would do as well. */
        const double noise = (NUM_COMPARED + 3.0) / s.length;
        if (i == 0 && share_of(sums, energies / (s.count * s.count), 0) < noise) return 0;
    }
    /* What a lag explains less than this is not worth the bits of a tap. */
    return share_of(sums, energies, 2.0 / 1.44 * TAP / (s.count * s.length));
}

/* Correlations of residuals with what the same predictor leaves of the other channel. */
typedef struct {
    double energy;          /* of the residuals */
    double other[MAX_TAPS]; /* of the other channel with itself */
    double both[MAX_TAPS];  /* of both, at lags from FIRST_LAG on */
} correlations;

static void correlate_with(const chooser *c, const int16_t *samples, int n, correlations *r) {
    const model *const m = c->best;
    const int order = m->block.order;
    /* The model to try is not made yet. */
    int16_t *const z = c->trial->code_room, *const left = c->trial->y_room;
    int16_t *const own = c->trial->predicted;
    take_residuals(m, 0, n, own);
    place_other(samples, m->block.kind == KIND_WIDTH ? m->middles : NULL, n, z);
    m->kernels->predict(&m->predictor, z, NULL, order, n, -32768, 32767, left);
    int64_t sum = 0;
    for (int i = order; i < n; i++) {
        left[i] = (int16_t)(uint16_t)(z[i] - left[i]);
        sum += left[i];
    }
    const int32_t mean = (int32_t)(sum / (n - order));
    for (int i = order; i < n; i++) left[i] = (int16_t)clamp(left[i] - mean, -32767, 32767);
    memset(left, 0, (size_t)order * sizeof(*left));
    int64_t energy, other[MAX_TAPS], both[MAX_TAPS];
    m->kernels->correlate(own, own, 0, n, 0, &energy);
    m->kernels->correlate(left, left, 0, n, MAX_TAPS - 1, other);
    m->kernels->correlate(own, left + END_LAG - 1, MAX_TAPS, n - END_LAG, MAX_TAPS - 1, both);
    r->energy = (double)energy + 1;
    for (int lag = 0; lag < MAX_TAPS; lag++) {
        r->other[lag] = (double)other[lag] + (lag == 0 ? (double)other[0] * 1e-9 + 1e-3 : 0);
        r->both[MAX_TAPS - 1 - lag] = (double)both[lag];
    }
}

/*
 * The taps at lags first .. first + count - 1, counted from FIRST_LAG, that explain most; returns
 * how much of the energy.
 */
static double solve(const correlations *r, int first, int count, double *taps) {
    double l[MAX_TAPS][MAX_TAPS], v[MAX_TAPS], explained = 0; /* Cholesky's factor */
    for (int i = 0; i < count; i++) {
        v[i] = r->both[first + i];
        for (int j = 0; j <= i; j++) {
            double sum = r->other[i - j];
            for (int k = 0; k < j; k++) sum -= l[i][k] * l[j][k];
            l[i][j] = j < i ? sum / l[j][j] : sqrt(sum > 0 ? sum : 1e-3);
            if (j < i) v[i] -= l[i][j] * v[j];
        }
        v[i] /= l[i][i];
        explained += v[i] * v[i];
    }
    for (int i = count - 1; i >= 0; i--) {
        taps[i] = v[i];
        for (int j = i + 1; j < count; j++) taps[i] -= l[j][i] * taps[j];
        taps[i] /= l[i][i];
    }
    return explained < r->energy * (1 - 1e-6) ? explained : r->energy * (1 - 1e-6);
}

/* How much these taps leave of the correlation at another lag; -1 if there is no such lag. */
static double unexplained(const correlations *r, int begin, int end, const double *taps, int lag) {
    if (lag < 0 || lag >= MAX_TAPS) return -1;
    double left = r->both[lag];
    for (int i = begin; i < end; i++) left -= taps[i - begin] * r->other[lag > i ? lag - i : i - lag];
    return fabs(left);
}

/*
 * From the lag that explains most on, one more on either side, and so on; sets the taps that save
 * most, and returns how much of the energy they explain, 0 if none are worth their bits.
 */
static double choose_taps(const correlations *r, int n, int max_taps, int *first, int *count,
                          double *taps) {
    int begin = 0, end;
    *first = *count = 0;
    for (int i = 1; i < MAX_TAPS; i++)
        if (fabs(r->both[i]) > fabs(r->both[begin])) begin = i;
    end = begin + 1;
    double here[MAX_TAPS], best_explained = 0;
    int64_t most = 0;
    for (;;) {
        const double explained = solve(r, begin, end - begin, here);
        const int64_t saved = (int64_t)n * log2_of(r->energy / (r->energy - explained)) / 2 -
                              (int64_t)(TAPS + TAP * (end - begin)) * BIT;
        if (saved > most) {
            most = saved;
            best_explained = explained;
            *first = begin, *count = end - begin;
            memcpy(taps, here, sizeof(here));
        }
        if (end - begin == max_taps) return best_explained;
        if (unexplained(r, begin, end, here, begin - 1) > unexplained(r, begin, end, here, end))
            begin--;
        else
            end++;
    }
}

/* Set whole taps, as fine as pays. Returns 0 if nothing is left of them. */
static int round_taps(const correlations *r, int n, double explained, const double *taps, int first,
                      int count, echo_taps *rounded) {
    /* Where a bit more for each saves as much: the error of a step q is q * q / 12. */
    const double step2 = 12 * (r->energy - explained) / ((double)n * r->other[0]);
    const double scale = -log2_of(step2) / 2.0 / BIT;
    int shift = clamp((int)ceil(scale < 0 ? 0 : scale - 0.5), 0, MAX_SHIFT);
    double sum = count;
    for (int i = 0; i < count; i++) sum += fabs(ldexp(taps[i], shift));
    for (; shift > 0 && sum > MAX_TAP_SUM; shift--) sum /= 2;
    if (sum > MAX_TAP_SUM) return 0;
    *rounded = (echo_taps){.count = count, .first = first + FIRST_LAG, .shift = shift};
    int any = 0;
    for (int i = 0; i < count; i++) {
        rounded->taps[i] = (int16_t)floor(ldexp(taps[i], shift) + 0.5);
        any |= rounded->taps[i];
    }
    if (any == 0) return 0;
    for (; rounded->shift > 0 && !(any & 1); rounded->shift--, any >>= 1)
        for (int i = 0; i < count; i++) rounded->taps[i] /= 2;
    return 1;
}

int find_reference(chooser *c, const int16_t *planes, int channel, int n) {
    double most = 1.0 / 1024;
    int distance = 0;
    for (int d = 1; d <= channel && d <= MAX_DISTANCE; d++) {
        const double share = share_explained(c, channel, d, n);
        if (share > most) most = share, distance = d;
    }
    if (distance == 0) return 0;
    c->other.distance = distance;
    c->other.samples = planes + (size_t)(channel - distance) * c->plane_size;
    correlations r;
    correlate_with(c, c->other.samples, n, &r);
    double taps[MAX_TAPS];
    int first, count;
    const double explained = choose_taps(&r, n, c->best->level->refers, &first, &count, taps);
    if (explained == 0) return 0;
    return round_taps(&r, n, explained, taps, first, count, &c->other.taps);
}
