#include "model.h"

#include <stdlib.h>

#include "shapes.h"

/* round(2^30 * sin(2^b / 1024)), and of the cosine */
static const int64_t TURNS[11][2] = {
    {1048576, 1073741312},   {2097151, 1073739776},   {4194293, 1073733632},
    {8388523, 1073709056},   {16776533, 1073610755},  {33548971, 1073217579},
    {67065182, 1071645355},  {133868476, 1065364133}, {265647978, 1040361791},
    {514779252, 942297101},  {903522590, 580145183},
};

static const int64_t HALF_Q30 = 1 << 29;

void sine_and_cosine(int32_t angle, int64_t *sine, int64_t *cosine) {
    int64_t s = 0, c = 1 << 30;
    for (int b = 10; b >= 0; b--) {
        if (!(angle >> b & 1)) continue;
        const int64_t turned = (s * TURNS[b][1] + c * TURNS[b][0] + HALF_Q30) >> 30;
        c = (c * TURNS[b][1] - s * TURNS[b][0] + HALF_Q30) >> 30;
        s = turned;
    }
    *sine = s;
    *cosine = c;
}

int32_t log2_q12(uint32_t value) {
    const int exponent = 31 - __builtin_clz(value);
    uint64_t v = (uint64_t)value << (31 - exponent);
    int32_t result = exponent;
    for (int i = 0; i < 12; i++) {
        v = v * v >> 31;
        const int bit = v >> 32 != 0;
        v >>= bit;
        result = result << 1 | bit;
    }
    return result;
}

/* Round coefficients in 24 fractional bits to the finest 16-bit ones whose sums stay in 32 bits. */
static void use_order(predictor *p, int m, const int64_t *a, int32_t mean_position) {
    int64_t sum_of_sizes = 0;
    for (int i = 0; i < m; i++) sum_of_sizes += llabs(a[i]);
    int s = 15;
    while (s > 0 && sum_of_sizes > (int64_t)32735 << (24 - s)) s--;
    int32_t sum = 0;
    for (int i = 0; i < m; i++) {
        p->coefficients[m][i] = (int16_t)((a[i] + (1 << (23 - s))) >> (24 - s));
        sum += p->coefficients[m][i];
    }
    const int64_t bias = (int64_t)mean_position * ((1 << s) - sum) + (1 << s >> 1);
    p->bias[m] = (int32_t)(uint32_t)(uint64_t)bias;
    p->shift[m] = s;
}

int make_predictor(predictor *p, const int32_t *angles, int order, int32_t mean_position) {
    static const int64_t LIMIT = (int64_t)128 << 24;
    int64_t a[MAX_ORDER], previous[MAX_ORDER];
    int32_t missing = 0; /* 12 fractional bits */
    p->order = order;
    for (int m = order; m >= 0; m--) {
        p->extra_scale[m] = (missing + (1 << 11)) >> 12;
        if (m == 0) break;
        int64_t sine, cosine;
        if (abs(angles[m - 1]) > MAX_ANGLE) return -1;
        sine_and_cosine(abs(angles[m - 1]), &sine, &cosine);
        missing += 16 * ((30 << 12) - log2_q12((uint32_t)cosine));
    }
    use_order(p, 0, a, mean_position);
    for (int m = 1; m <= order; m++) {
        int64_t sine, cosine;
        sine_and_cosine(abs(angles[m - 1]), &sine, &cosine);
        const int64_t k = angles[m - 1] < 0 ? -sine : sine;
        for (int i = 0; i < m - 1; i++) previous[i] = a[i];
        for (int i = 0; i < m - 1; i++) {
            a[i] = previous[i] - ((k * previous[m - 2 - i] + HALF_Q30) >> 30);
            if (llabs(a[i]) >= LIMIT) return -1;
        }
        a[m - 1] = (k + 32) >> 6;
        use_order(p, m, a, mean_position);
    }
    return 0;
}

/* round(2^(16 - j / 16)) */
static const uint32_t RECIPROCALS[16] = {65536, 62757, 60097, 57549, 55109, 52773, 50535, 48393,
                                         46341, 44376, 42495, 40693, 38968, 37316, 35734, 34219};

/* The probability of 0 .. distance, in 24 fractional bits. */
static inline uint32_t half_mass(const distribution *d, uint64_t distance) {
    const uint64_t z = distance * RECIPROCALS[d->scale & 15] >> ((d->scale >> 4) + d->resolution);
    if (z >= 65536) return 1 << 23;
    const uint32_t *entry = N1_SHAPES[d->shape] + (z >> 8);
    return entry[0] + ((entry[1] - entry[0]) * (uint32_t)(z & 255) >> 8);
}

static inline uint32_t slots_of(const distribution *d, uint32_t mass) {
    return (uint32_t)((uint64_t)mass * d->slots >> 24);
}

uint32_t slots_below(const distribution *d, int32_t p) {
    if (p < 0) return slots_of(d, (1 << 23) - half_mass(d, (uint64_t)-(int64_t)p));
    return slots_of(d, (1 << 23) + half_mass(d, (uint64_t)p));
}

int32_t reach_of(const distribution *d) {
    const uint64_t numerator = 65536ull << ((d->scale >> 4) + d->resolution);
    const uint64_t reach = numerator / RECIPROCALS[d->scale & 15] + 1;
    return reach < 32768 ? (int32_t)reach : 32768;
}

static inline void tabulate_at(const distribution *d, int32_t p, uint16_t *below) {
    const uint32_t half = half_mass(d, (uint64_t)p);
    below[p] = (uint16_t)slots_of(d, (1 << 23) + half);
    below[-p] = (uint16_t)slots_of(d, (1 << 23) - half);
}

int32_t tabulate(const distribution *d, uint16_t *below) {
    const int32_t reach = reach_of(d);
    int32_t steady = 0;
    tabulate_at(d, 0, below);
    while (steady < reach && !(below[-steady] == 0 && below[steady] + 1u == d->slots))
        tabulate_at(d, ++steady, below);
    /* From the other end on until F is that of `steady` again, which all between have. */
    int32_t end = reach;
    for (; end > steady; end--) {
        tabulate_at(d, end, below);
        if (below[end] == below[steady] && below[-end] == below[-steady]) break;
    }
    for (int32_t p = steady + 1; p < end; p++) {
        below[p] = below[steady];
        below[-p] = below[-steady];
    }
    return steady;
}

int make_edges(const uint8_t *widths, int16_t *edges) {
    int32_t sum = 0;
    for (int i = 0; i < HALF_CODES; i++) sum -= widths[i];
    if (sum < -32767) return -1;
    for (int i = 0; i < 2 * HALF_CODES; i++) {
        edges[i] = (int16_t)sum;
        sum += widths[i];
    }
    if (sum > 32767) return -1;
    edges[2 * HALF_CODES] = (int16_t)sum;
    return 0;
}
