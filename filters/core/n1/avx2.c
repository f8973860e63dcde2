/* The kernels with AVX2, for machines that turn out to have it; see kernels.h. */
#include "avx2.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <string.h>

#include "../common/adc_loops.h"
#include "../common/bytes.h"

/* For each set of lanes that want a word: which of the next eight words each one gets. */
static const uint64_t *word_orders(void);

/* For each set of lanes that give a word: these lanes in order, at the end of eight. */
static const uint64_t *last_orders(void);

/* Refill the states below 2^16 with words, in the order of the lanes. */
AVX2_INLINE __m256i refill(__m256i x, const uint8_t **words, const uint64_t *orders, int is_four) {
    const __m256i wants = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
    size_t mask = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(wants));
    if (is_four) mask &= 15;
    const __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(orders + mask)));
    const __m256i next = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)*words));
    *words += WORD_BYTES * (size_t)__builtin_popcountll(mask);
    const __m256i filled =
        _mm256_or_si256(_mm256_slli_epi32(x, 16), _mm256_permutevar8x32_epi32(next, order));
    return _mm256_blendv_epi8(x, filled, wants);
}

/* Coefficients of an order in pairs for multiply-add, zeros behind them. */
AVX2_INLINE void pair_coefficients(const predictor *p, int order, int num_pairs, __m256i *pairs) {
    const int16_t *a = p->coefficients[order];
    for (int j = 0; j < num_pairs; j++) {
        const uint32_t first = 2 * j < order ? (uint16_t)a[2 * j] : 0;
        const uint32_t second = 2 * j + 1 < order ? (uint16_t)a[2 * j + 1] : 0;
        pairs[j] = _mm256_set1_epi32((int)(first | second << 16));
    }
}

/* For each block, and each vector of eight lanes, unrolled. */
#define EACH_BLOCK(k) _Pragma("GCC unroll 2") for (int k = 0; k < blocks; k++)
#define EACH(v) _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++)

/*
 * Rows of one block, or of two blocks at once, each with its order. What the compiler knows of them:
 * their lanes, 4, 8 or 16, their kind, how many pairs of coefficients suffice, and whether each
 * is_simple: all its lanes have one class that neither holds nor, with the integer kind, has low
 * bits; and whether it, or one of the two, has_echo.
 *
 * Each look-up waits for the one before it. Going through all vectors step by step lets a processor
 * wait for all of them at a time; that is what two blocks are good for.
 */
AVX2_INLINE int decode_rows(lane_decoder *const *d, int first, int count, const int *orders,
                            int blocks, int lanes, block_kind kind, int num_pairs, int is_simple,
                            int has_echo) {
    const int each = lanes == 16 ? 2 : 1, vectors = blocks * each, is_four = lanes == 4;
    const uint64_t *word_places = word_orders();
    const __m256i zero = _mm256_setzero_si256(), low_half = _mm256_set1_epi32(0xFFFF);
    const __m256i lowest = _mm256_set1_epi16(-32768);
    /* A lane's prediction in both of its halves. */
    const __m256i both_halves = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13));

    /* Of each block. Positions are those above -32768, in 16 bits. */
    __m256i coefficients[2][MAX_ORDER / 2], last_slot[2], last_symbol[2], bias[2];
    __m256i lowest_y[2], highest_y[2], first_position[2], last_position[2];
    __m128i shift[2], precision_shift[2];
    const uint16_t *distances[2], *below[2];
    const uint32_t *symbols[2];
    const cell *cells[2];
    const uint8_t *words[2];
    EACH_BLOCK(k) {
        const predictor *p = &d[k]->predictor;
        const block *b = d[k]->b;
        const span_classes *classes = &d[k]->classes;
        pair_coefficients(p, orders[k], num_pairs, coefficients[k]);
        last_slot[k] = _mm256_set1_epi32((1 << b->precision) - 1);
        last_symbol[k] = _mm256_set1_epi32((int)symbol_slots(b) - 1);
        bias[k] = _mm256_set1_epi32(p->bias[orders[k]]);
        shift[k] = _mm_cvtsi32_si128(p->shift[orders[k]]);
        precision_shift[k] = _mm_cvtsi32_si128(b->precision);
        lowest_y[k] = _mm256_set1_epi32(d[k]->lowest_y);
        highest_y[k] = _mm256_set1_epi32(d[k]->highest_y);
        distances[k] = below[k] = d[k]->table_memory;
        symbols[k] = d[k]->table_memory;
        if (kind == KIND_WIDTH) {
            cells[k] = d[k]->cells - (d[k]->first_position + 32768);
            first_position[k] = _mm256_set1_epi32(d[k]->first_position + 32768);
            last_position[k] = _mm256_set1_epi32(d[k]->last_position + 32768);
        }
        if (is_simple) {
            distances[k] += classes->table[0];
            symbols[k] += classes->table[0];
            if (kind == KIND_WIDTH) below[k] += classes->below[0];
        }
        words[k] = d[k]->words;
    }

    /* Of each vector: its block, and where its lanes begin in that. */
#define BLOCK(v) ((v) / each)
#define PART(v) (8 * ((v) % each))
    /* y of a step and of the one before it, as pairs for multiply-add, in strip order. */
    __m256i pairs[4 * (MAX_ORDER + STRIP_ROWS)];
#define PAIRS(at, v) pairs[vectors * (at) + (v)]
    for (int at = MAX_ORDER + first - 2 * num_pairs + 1; at < MAX_ORDER + first; at++) {
        EACH(v) {
            const __m256i now = load_row(d[BLOCK(v)]->y[at] + PART(v));
            const __m256i before = load_row(d[BLOCK(v)]->y[at - 1] + PART(v));
            PAIRS(at, v) = _mm256_or_si256(now, _mm256_slli_epi32(before, 16));
        }
    }
    __m256i x[4], newest[4], reach[4], twice_reach[4], table[4], table_below[4];
    __m256i low_shift[4], rounding[4], holds[4];
    EACH(v) {
        const span_classes *classes = &d[BLOCK(v)]->classes;
        x[v] = load_lanes(d[BLOCK(v)]->state + PART(v));
        if (is_four) x[v] = _mm256_blend_epi32(x[v], zero, 0xF0);
        newest[v] = PAIRS(MAX_ORDER + first - 1, v);
        reach[v] = load_lanes(classes->reach + PART(v));
        twice_reach[v] = _mm256_add_epi16(reach[v], reach[v]);
        table[v] = load_lanes(classes->table + PART(v));
        table_below[v] = load_lanes(classes->below + PART(v));
        low_shift[v] = load_lanes(classes->low_bits + PART(v));
        rounding[v] = load_lanes(classes->rounding + PART(v));
        holds[v] = load_lanes(classes->holds + PART(v));
    }
    int row = first;
    for (; row < first + count; row++) {
        const int at = MAX_ORDER + row;
        int has_words = 1;
        EACH_BLOCK(k) has_words &= d[k]->words_end - words[k] >= 16 * each;
        if (!has_words) break;
        __m256i slot[4], mu[4], y[4], value[4], symbol[4], echo[4], escapes = zero;
        EACH(v) {
            slot[v] = _mm256_and_si256(x[v], last_slot[BLOCK(v)]);
            escapes = _mm256_or_si256(escapes, _mm256_cmpgt_epi32(slot[v], last_symbol[BLOCK(v)]));
        }
        if (!_mm256_testz_si256(escapes, escapes)) break;
        EACH(v) {
            const __m256i index = is_simple ? slot[v] : _mm256_add_epi32(slot[v], table[v]);
            symbol[v] = kind == KIND_WIDTH ? look_up_u16(distances[BLOCK(v)], index, is_four)
                                           : look_up_u32(symbols[BLOCK(v)], index, is_four);
        }
        EACH(v) {
            /* Oldest first: the newest values come last into the sum, as they come last at all. */
            __m256i even = bias[BLOCK(v)], odd = zero;
#pragma GCC unroll 16
            for (int j = num_pairs - 1; j >= 0; j--) {
                const __m256i past = j == 0 ? newest[v] : PAIRS(at - 1 - 2 * j, v);
                const __m256i term = _mm256_madd_epi16(past, coefficients[BLOCK(v)][j]);
                if (j & 1)
                    odd = _mm256_add_epi32(odd, term);
                else
                    even = _mm256_add_epi32(even, term);
            }
            __m256i sum = _mm256_sra_epi32(_mm256_add_epi32(even, odd), shift[BLOCK(v)]);
            if (!is_simple) {
                const __m256i before = _mm256_srai_epi32(_mm256_slli_epi32(newest[v], 16), 16);
                sum = _mm256_blendv_epi8(sum, before, holds[v]);
            }
            if (has_echo) {
                echo[v] = _mm256_cvtepi16_epi32(
                    _mm_loadu_si128((const __m128i *)(d[BLOCK(v)]->echo[row] + PART(v))));
                sum = _mm256_add_epi32(sum, echo[v]);
            }
            mu[v] = limit(sum, lowest_y[BLOCK(v)], highest_y[BLOCK(v)]);
        }
        if (kind == KIND_WIDTH) {
            __m256i edges[4];
            EACH(v) {
                /* What a distance, which begins at -reach, is counted from. */
                __m256i from = _mm256_xor_si256(_mm256_shuffle_epi8(mu[v], both_halves), lowest);
                from = _mm256_sub_epi16(from, reach[v]);
                __m256i position = _mm256_adds_epu16(from, symbol[v]);
                position = _mm256_max_epu16(position, first_position[BLOCK(v)]);
                position = _mm256_min_epu16(position, last_position[BLOCK(v)]);
                look_up_cells(cells[BLOCK(v)], position, is_four, &edges[v], &y[v]);
                value[v] = _mm256_srli_epi32(y[v], 16);
                /* Only the low halves are looked at from here on. */
                if (has_echo) y[v] = _mm256_subs_epi16(y[v], echo[v]);
                edges[v] = _mm256_min_epu16(_mm256_subs_epu16(edges[v], from), twice_reach[v]);
            }
            EACH(v) {
                __m256i start, end;
                if (is_simple) {
                    const __m256i slots = look_up_pairs(below[BLOCK(v)], edges[v], is_four);
                    start = _mm256_and_si256(slots, low_half);
                    end = _mm256_srli_epi32(slots, 16);
                } else {
                    start = _mm256_add_epi32(_mm256_and_si256(edges[v], low_half), table_below[v]);
                    end = _mm256_add_epi32(_mm256_srli_epi32(edges[v], 16), table_below[v]);
                    start = look_up_u16(below[BLOCK(v)], start, is_four);
                    end = look_up_u16(below[BLOCK(v)], end, is_four);
                }
                const __m256i frequency = _mm256_sub_epi32(end, start);
                const __m256i high = _mm256_srl_epi32(x[v], precision_shift[BLOCK(v)]);
                x[v] = _mm256_add_epi32(_mm256_mullo_epi32(frequency, high),
                                        _mm256_sub_epi32(slot[v], start));
            }
        } else {
            EACH(v) {
                const __m256i residual = _mm256_and_si256(symbol[v], _mm256_set1_epi32(255));
                const __m256i frequency =
                    _mm256_and_si256(_mm256_srli_epi32(symbol[v], 8), _mm256_set1_epi32(4095));
                __m256i difference = residual;
                if (!is_simple)
                    difference = _mm256_add_epi32(_mm256_sllv_epi32(residual, low_shift[v]),
                                                  load_row(d[BLOCK(v)]->rows[row] + PART(v)));
                value[v] = y[v] =
                    _mm256_add_epi32(mu[v], _mm256_sub_epi32(difference, rounding[v]));
                const __m256i high = _mm256_srl_epi32(x[v], precision_shift[BLOCK(v)]);
                x[v] = _mm256_add_epi32(_mm256_mullo_epi32(frequency, high),
                                        _mm256_srli_epi32(symbol[v], 20));
            }
        }
        EACH(v) {
            x[v] = refill(x[v], &words[BLOCK(v)], word_places, is_four);
            if (is_four) x[v] = _mm256_blend_epi32(x[v], zero, 0xF0);
            newest[v] = _mm256_blend_epi16(_mm256_slli_epi32(newest[v], 16), y[v], 0x55);
            PAIRS(at, v) = newest[v];
        }
        EACH_BLOCK(k) store_row(d[k]->rows[row], value + each * k, each);
    }
    EACH(v) _mm256_storeu_si256((__m256i *)(d[BLOCK(v)]->state + PART(v)), x[v]);
    EACH_BLOCK(k) d[k]->words = words[k];
    /* No more than these rows are looked back at. */
    for (int back = row - MAX_ORDER > first ? row - MAX_ORDER : first; back < row; back++) {
        const int at = MAX_ORDER + back;
        EACH_BLOCK(k) store_row(d[k]->y[at], &PAIRS(at, each * k), each);
    }
#undef PAIRS
#undef PART
#undef BLOCK
    return row - first;
}

/* For the numbers of lanes that there are. */
#define VARIANTS(name, kind, num_pairs, is_simple, has_echo)                             \
    AVX2 static int name##_4(lane_decoder *d, int first, int count, int order) {         \
        return decode_rows(&d, first, count, &order, 1, 4, kind, num_pairs, is_simple, has_echo); \
    }                                                                                    \
    AVX2 static int name##_8(lane_decoder *d, int first, int count, int order) {         \
        return decode_rows(&d, first, count, &order, 1, 8, kind, num_pairs, is_simple, has_echo); \
    }                                                                                    \
    AVX2 static int name##_16(lane_decoder *d, int first, int count, int order) {        \
        return decode_rows(&d, first, count, &order, 1, 16, kind, num_pairs, is_simple, has_echo); \
    }                                                                                    \
    static int name(lane_decoder *d, int first, int count, int order) {                  \
        const int lanes = num_lanes(d->b);                                               \
        if (lanes == 4) return name##_4(d, first, count, order);                         \
        if (lanes == 8) return name##_8(d, first, count, order);                         \
        return name##_16(d, first, count, order);                                        \
    }
VARIANTS(integer_by_8, KIND_INTEGER, 4, 0, 0)
VARIANTS(integer_by_32, KIND_INTEGER, 16, 0, 0)
VARIANTS(simple_integer_by_8, KIND_INTEGER, 4, 1, 0)
VARIANTS(simple_integer_by_32, KIND_INTEGER, 16, 1, 0)
VARIANTS(width_by_32, KIND_WIDTH, 16, 0, 0)
VARIANTS(simple_width_by_16, KIND_WIDTH, 8, 1, 0)
VARIANTS(simple_width_by_32, KIND_WIDTH, 16, 1, 0)
VARIANTS(echoed_width_by_32, KIND_WIDTH, 16, 0, 1)
VARIANTS(simple_echoed_width_by_16, KIND_WIDTH, 8, 1, 1)
VARIANTS(simple_echoed_width_by_32, KIND_WIDTH, 16, 1, 1)

/* Sum of four 32-bit numbers. */
AVX2_INLINE uint32_t sum_of(__m128i v) {
    v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4E));
    return (uint32_t)_mm_cvtsi128_si32(_mm_add_epi32(v, _mm_shuffle_epi32(v, 0xB1)));
}

/*
 * One or two lanes of the integer kind; is_simple says that there is one class that does not hold.
 * A lane's next value waits for the one before it, with the first coefficient; two are outside of
 * vectors, so that what these give is there before it is needed. `eights` vectors have the
 * coefficients from the third one on.
 */
AVX2_INLINE int decode_few(lane_decoder *d, int first, int count, int order, int lanes, int eights,
                           int is_simple) {
    enum { OUTSIDE = 2 };
    const predictor *p = &d->predictor;
    const span_classes *c = &d->classes;
    const uint32_t *symbols[2];
    const uint32_t escape = symbol_slots(d->b);
    const int shift = p->shift[order];
    const uint32_t bias = (uint32_t)p->bias[order];
    int16_t a[OUTSIDE + MAX_ORDER] = {0}, before[2][MAX_ORDER];
    memcpy(a, p->coefficients[order], (size_t)order * sizeof(*a));
    __m128i coefficients[4], past[2][4]; /* of a lane, newest first */
    uint32_t x[2] = {0};
    int32_t y1[2] = {0}, y2[2] = {0};
    for (int i = 0; i < 8 * eights; i++)
        for (int lane = 0; lane < lanes; lane++) {
            const int row = MAX_ORDER + first - 1 - OUTSIDE - i;
            before[lane][i] = row < 0 ? 0 : d->y[row][lane];
        }
    for (int k = 0; k < eights; k++) {
        coefficients[k] = _mm_loadu_si128((const __m128i *)(a + OUTSIDE + 8 * k));
        for (int lane = 0; lane < lanes; lane++)
            past[lane][k] = _mm_loadu_si128((const __m128i *)(before[lane] + 8 * k));
    }
    for (int lane = 0; lane < lanes; lane++) {
        symbols[lane] = (const uint32_t *)d->table_memory + c->table[lane];
        x[lane] = d->state[lane];
        y1[lane] = d->y[MAX_ORDER + first - 1][lane];
        y2[lane] = d->y[MAX_ORDER + first - 2][lane];
    }
    const uint8_t *words = d->words;
    int row = first;
    for (; row < first + count && d->words_end - words >= WORD_BYTES * lanes; row++) {
        if ((x[0] & 4095) >= escape || (lanes == 2 && (x[1] & 4095) >= escape)) break;
#pragma GCC unroll 2
        for (int lane = 0; lane < lanes; lane++) {
            const uint32_t symbol = symbols[is_simple ? 0 : lane][x[lane] & 4095];
            const uint32_t next = (symbol >> 8 & 4095) * (x[lane] >> 12) + (symbol >> 20);
            /* Whether a word is wanted cannot be foreseen, so that a branch would cost. */
            size_t wants = next < 1u << 16;
            KEEP(wants);
            x[lane] = next << 16 * wants | (load_u16(words) & -(uint32_t)wants);
            words += WORD_BYTES * wants;

            __m128i sums = _mm_madd_epi16(past[lane][0], coefficients[0]);
#pragma GCC unroll 4
            for (int k = 1; k < eights; k++)
                sums = _mm_add_epi32(sums, _mm_madd_epi16(past[lane][k], coefficients[k]));
            const uint32_t older = sum_of(sums) + bias + (uint32_t)(a[1] * y2[lane]);
            int32_t mu = (int32_t)(older + (uint32_t)(a[0] * y1[lane])) >> shift;
            if (__builtin_expect(mu != (int16_t)mu, 0)) mu = saturate16(mu);
            if (!is_simple && c->holds[lane]) mu = y1[lane];
            const int of = is_simple ? 0 : lane;
            const uint32_t difference =
                ((symbol & 255) << c->low_bits[of]) + d->rows[row][lane] - c->rounding[of];
            const int16_t y = (int16_t)((uint32_t)mu + difference);
#pragma GCC unroll 4
            for (int k = eights - 1; k > 0; k--)
                past[lane][k] = _mm_alignr_epi8(past[lane][k], past[lane][k - 1], 14);
            past[lane][0] = INSERT(_mm_slli_si128(past[lane][0], 2), y2[lane], 0);
            y2[lane] = y1[lane];
            y1[lane] = y;
            d->rows[row][lane] = (uint16_t)y;
            d->y[MAX_ORDER + row][lane] = y;
        }
    }
    for (int lane = 0; lane < lanes; lane++) d->state[lane] = x[lane];
    d->words = words;
    return row - first;
}

#define FEW(name, lanes, eights)                                                           \
    AVX2 static int name(lane_decoder *d, int first, int count, int order, int is_simple) { \
        return is_simple ? decode_few(d, first, count, order, lanes, eights, 1)            \
                         : decode_few(d, first, count, order, lanes, eights, 0);           \
    }
FEW(one_by_10, 1, 1)
FEW(one_by_18, 1, 2)
FEW(one_by_34, 1, 4)
FEW(two_by_10, 2, 1)
FEW(two_by_18, 2, 2)
FEW(two_by_34, 2, 4)
#undef FEW

static int decode_few_lanes(lane_decoder *d, int first, int count, int order, int is_simple) {
    const int two = num_lanes(d->b) == 2;
    if (order <= 10) return (two ? two_by_10 : one_by_10)(d, first, count, order, is_simple);
    if (order <= 18) return (two ? two_by_18 : one_by_18)(d, first, count, order, is_simple);
    return (two ? two_by_34 : one_by_34)(d, first, count, order, is_simple);
}

/* Whether distances from any prediction begin at -32768 or above, and end within 16 bits. */
static int has_reach_of_kernel(const lane_decoder *d) {
    for (int i = 0; i < d->b->num_classes && d->b->kind == KIND_WIDTH; i++) {
        const int32_t reach = d->tables[i].reach;
        if (reach > 32767 || d->lowest_y - reach < -32768) return 0;
    }
    return 1;
}

static int decode_rows_of_any(lane_decoder *d, int first, int count, int order) {
    const block *b = d->b;
    const int one_class = b->num_classes == 1 && !b->classes[0].hold;
    if (num_lanes(b) < 4 && b->kind == KIND_INTEGER)
        return decode_few_lanes(d, first, count, order, one_class);
    if (num_lanes(b) < 4 || !has_reach_of_kernel(d))
        return n1_portable_kernels.decode_rows(d, first, count, order);
    if (b->kind == KIND_WIDTH) {
        if (d->has_echo) {
            if (!one_class) return echoed_width_by_32(d, first, count, order);
            return (order <= 16 ? simple_echoed_width_by_16 : simple_echoed_width_by_32)(d, first, count, order);
        }
        if (!one_class) return width_by_32(d, first, count, order);
        return (order <= 16 ? simple_width_by_16 : simple_width_by_32)(d, first, count, order);
    }
    if (one_class && b->classes[0].low_bits == 0)
        return (order <= 8 ? simple_integer_by_8 : simple_integer_by_32)(d, first, count, order);
    return (order <= 8 ? integer_by_8 : integer_by_32)(d, first, count, order);
}

static int is_plain(const lane_decoder *d) {
    const block *b = d->b;
    if (b->num_classes > 1 || b->classes[0].hold) return 0;
    return b->kind == KIND_WIDTH ? b->order <= 16 && has_reach_of_kernel(d)
                                 : b->order <= 8 && b->classes[0].low_bits == 0;
}

static int can_join(const lane_decoder *a, const lane_decoder *b) {
    if (a->b->kind != b->b->kind || num_lanes(a->b) != num_lanes(b->b)) return 0;
    if (num_lanes(a->b) == MAX_LANES) return is_plain(a) && is_plain(b);
    return has_reach_of_kernel(a) && has_reach_of_kernel(b);
}

AVX2 static int decode_two(lane_decoder *const *d, int first, int count) {
    const int orders[2] = {d[0]->b->order, d[1]->b->order};
    if (d[0]->b->kind == KIND_INTEGER)
        return decode_rows(d, first, count, orders, 2, 16, KIND_INTEGER, 4, 1, 0);
    if (d[0]->has_echo || d[1]->has_echo)
        return decode_rows(d, first, count, orders, 2, 16, KIND_WIDTH, 8, 1, 1);
    return decode_rows(d, first, count, orders, 2, 16, KIND_WIDTH, 8, 1, 0);
}

/* Columns of eight rows of eight: each step brings together what lies twice as far apart. */
AVX2_INLINE void transpose_8(__m128i *a) {
    __m128i b[8];
#pragma GCC unroll 3
    for (int step = 0; step < 3; step++) {
        for (int i = 0; i < 4; i++) {
            b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
            b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
        }
        for (int i = 0; i < 8; i++) a[i] = b[i];
    }
}

AVX2 static void load_columns(const int16_t *const *columns, int lanes,
                              int16_t rows[STRIP_ROWS][MAX_LANES]) {
    if (lanes < 8) {
        n1_portable_kernels.load_columns(columns, lanes, rows);
        return;
    }
    for (int lane = 0; lane < lanes; lane += 8) {
        for (int row = 0; row < STRIP_ROWS; row += 8) {
            __m128i a[8];
            for (int i = 0; i < 8; i++)
                a[i] = _mm_loadu_si128((const __m128i *)(columns[lane + i] + row));
            transpose_8(a);
            for (int i = 0; i < 8; i++) _mm_storeu_si128((__m128i *)(rows[row + i] + lane), a[i]);
        }
    }
}

/* The columns of 2, 4 or 8 lanes. */
AVX2_INLINE void store_columns_of(int lanes, const uint16_t (*rows)[MAX_LANES],
                                  int16_t *const *columns) {
    for (int row = 0; row < STRIP_ROWS; row += 8) {
        __m128i a[8];
        for (int i = 0; i < 8; i++) a[i] = _mm_loadu_si128((const __m128i *)rows[row + i]);
        transpose_8(a);
        for (int i = 0; i < lanes; i++) _mm_storeu_si128((__m128i *)(columns[i] + row), a[i]);
    }
}

AVX2 static void store_columns(const uint16_t rows[STRIP_ROWS][MAX_LANES], int lanes,
                               int16_t *const *columns) {
    switch (lanes) {
        case 1: n1_portable_kernels.store_columns(rows, lanes, columns); break;
        case 2: store_columns_of(2, rows, columns); break;
        case 4: store_columns_of(4, rows, columns); break;
        default:
            for (int lane = 0; lane < lanes; lane += 8)
                store_columns_of(8, (const uint16_t(*)[MAX_LANES])(rows[0] + lane), columns + lane);
    }
}

/* Eight frames of four or eight channels. */
AVX2_INLINE void store_eight_frames(int channels, const int16_t *planes, size_t plane_size,
                                    __m128i flips, uint8_t *dst, size_t frame) {
    __m128i a[8];
    for (int c = 0; c < 8; c++)
        a[c] = c < channels ? _mm_loadu_si128((const __m128i *)(planes + (size_t)c * plane_size))
                            : _mm_setzero_si128();
    transpose_8(a);
    for (int k = 0; k < 8; k++, dst += frame) {
        const __m128i samples = _mm_xor_si128(a[k], flips);
        if (channels == 8)
            _mm_storeu_si128((__m128i *)dst, samples);
        else
            _mm_storel_epi64((__m128i *)dst, samples);
    }
}

AVX2 static int store_frames(const int16_t *planes, size_t plane_size, int channels, size_t count,
                             uint16_t flip, uint8_t *dst, size_t frame) {
    const __m128i flips = _mm_set1_epi16((short)flip);
    for (size_t i = 0; i < count; i += 8, planes += 8, dst += 8 * frame) {
        /* Frames are far apart, and longer than what is stored here: these are for later. */
        for (size_t k = 32; k < 40; k++)
            if (i + k < count) _mm_prefetch((const char *)(dst + k * frame), _MM_HINT_T0);
        int c = 0;
        for (; c + 8 <= channels; c += 8)
            store_eight_frames(8, planes + (size_t)c * plane_size, plane_size, flips, dst + 2 * c,
                               frame);
        if (c + 4 <= channels)
            store_eight_frames(4, planes + (size_t)c * plane_size, plane_size, flips, dst + 2 * c,
                               frame);
    }
    return channels / 4 * 4;
}

/* The sum of four 64-bit numbers. */
AVX2_INLINE int64_t sum_of_four(__m256i numbers) {
    int64_t four[4];
    _mm256_storeu_si256((__m256i *)four, numbers);
    return four[0] + four[1] + four[2] + four[3];
}

/* Eight signed 32-bit numbers added to four of 64 bits. */
AVX2_INLINE __m256i widen_and_add(__m256i sum, __m256i numbers) {
    sum = _mm256_add_epi64(sum, _mm256_cvtepi32_epi64(_mm256_castsi256_si128(numbers)));
    return _mm256_add_epi64(sum, _mm256_cvtepi32_epi64(_mm256_extracti128_si256(numbers, 1)));
}

/* Lags first .. first + count - 1; `run` sums of two products each fit into 32 bits. */
AVX2_INLINE void correlate_lags(const int16_t *a, const int16_t *b, int begin, int end, int first,
                                int count, int run, int64_t *r) {
    const int from = begin < first + count - 1 ? first + count - 1 : begin;
    const int whole = end - from < 16 ? from : end - (end - from) % 16;
    __m256i wide[8];
    for (int k = 0; k < count; k++) wide[k] = _mm256_setzero_si256();
    for (int i = from; i < whole;) {
        const int stop = whole - i > 16 * run ? i + 16 * run : whole;
        __m256i sums[8];
        for (int k = 0; k < count; k++) sums[k] = _mm256_setzero_si256();
        for (; i < stop; i += 16) {
            const __m256i now = _mm256_loadu_si256((const __m256i *)(a + i));
#pragma GCC unroll 8
            for (int k = 0; k < count; k++) {
                const __m256i before = _mm256_loadu_si256((const __m256i *)(b + i - first - k));
                sums[k] = _mm256_add_epi32(sums[k], _mm256_madd_epi16(now, before));
            }
        }
        for (int k = 0; k < count; k++) wide[k] = widen_and_add(wide[k], sums[k]);
    }
    for (int k = 0; k < count; k++) {
        const int lag = first + k;
        r[k] = sum_of_four(wide[k]);
        for (int i = begin < lag ? lag : begin; i < from && i < end; i++) r[k] += a[i] * b[i - lag];
        for (int i = whole; i < end; i++) r[k] += a[i] * b[i - lag];
    }
}

AVX2_INLINE int greatest_magnitude(const int16_t *y, int begin, int end) {
    __m256i most = _mm256_setzero_si256();
    int greatest = 0, i = begin;
    for (; i + 16 <= end; i += 16)
        most = _mm256_max_epi16(most, _mm256_abs_epi16(_mm256_loadu_si256((const __m256i *)(y + i))));
    int16_t sixteen[16];
    _mm256_storeu_si256((__m256i *)sixteen, most);
    for (int k = 0; k < 16; k++) greatest = sixteen[k] > greatest ? sixteen[k] : greatest;
    for (; i < end; i++) {
        const int here = y[i] < 0 ? -y[i] : y[i];
        greatest = here > greatest ? here : greatest;
    }
    return greatest;
}

AVX2 static void correlate(const int16_t *a, const int16_t *b, int begin, int end, int max_lag,
                           int64_t *r) {
    const int reach = begin < max_lag ? begin : max_lag;
    const int64_t product = (int64_t)greatest_magnitude(a, begin, end) *
                            greatest_magnitude(b, begin - reach, end);
    const int run = product < 1024 ? 1 << 19 : (int)(INT32_MAX / (2 * product));
    int lag = 0;
    for (; lag + 8 <= max_lag + 1; lag += 8) correlate_lags(a, b, begin, end, lag, 8, run, r + lag);
    for (; lag <= max_lag; lag++) correlate_lags(a, b, begin, end, lag, 1, run, r + lag);
}

AVX2 static int64_t energy(const int16_t *y, const int16_t *predicted, int count) {
    const __m256i zero = _mm256_setzero_si256();
    __m256i sums = zero;
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        const __m256i residual = _mm256_sub_epi16(_mm256_loadu_si256((const __m256i *)(y + i)),
                                                  _mm256_loadu_si256((const __m256i *)(predicted + i)));
        const __m256i squares = _mm256_madd_epi16(residual, residual); /* unsigned, 2^31 at most */
        sums = _mm256_add_epi64(sums, _mm256_unpacklo_epi32(squares, zero));
        sums = _mm256_add_epi64(sums, _mm256_unpackhi_epi32(squares, zero));
    }
    return sum_of_four(sums) + n1_portable_kernels.energy(y + i, predicted + i, count - i);
}

AVX2 static void filter(const echo_taps *taps, const int16_t *z, int count, int16_t *echo) {
    const int num_pairs = (taps->count + 1) / 2;
    const __m256i half = _mm256_set1_epi32(1 << taps->shift >> 1);
    const __m128i shift = _mm_cvtsi32_si128(taps->shift);
    __m256i pairs[MAX_TAPS / 2];
    for (int j = 0; j < num_pairs; j++) {
        const uint32_t first = (uint16_t)taps->taps[2 * j];
        const uint32_t second = 2 * j + 1 < taps->count ? (uint16_t)taps->taps[2 * j + 1] : 0;
        pairs[j] = _mm256_set1_epi32((int)(first | second << 16));
    }
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        const int16_t *const from = z + i + taps->first;
        __m256i low_sum = half, high_sum = half;
        for (int j = 0; j < num_pairs; j++) {
            const __m256i a = _mm256_loadu_si256((const __m256i *)(from + 2 * j));
            const __m256i b = _mm256_loadu_si256((const __m256i *)(from + 2 * j + 1));
            low_sum = _mm256_add_epi32(low_sum, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), pairs[j]));
            high_sum = _mm256_add_epi32(high_sum, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), pairs[j]));
        }
        _mm256_storeu_si256((__m256i *)(echo + i), _mm256_packs_epi32(_mm256_sra_epi32(low_sum, shift),
                                                                      _mm256_sra_epi32(high_sum, shift)));
    }
    n1_portable_kernels.filter(taps, z + i, count - i, echo + i);
}

AVX2_INLINE void predict_with(const predictor *p, const int16_t *y, const int16_t *echo, int begin,
                              int end, int32_t low, int32_t high, int16_t *out, int num_pairs) {
    const int order = p->order;
    __m256i coefficients[MAX_ORDER / 2];
    pair_coefficients(p, order, num_pairs, coefficients);
    const __m256i bias = _mm256_set1_epi32(p->bias[order]);
    const __m128i shift = _mm_cvtsi32_si128(p->shift[order]);
    const __m256i lowest = _mm256_set1_epi16((short)low), highest = _mm256_set1_epi16((short)high);
    int i = begin;
    i = i < 2 * num_pairs ? 2 * num_pairs : i;
    if (i > end) i = end;
    n1_portable_kernels.predict(p, y, echo, begin, i, low, high, out);
    for (; i + 16 <= end; i += 16) {
        __m256i low_sum = bias, high_sum = bias;
#pragma GCC unroll 16
        for (int j = 0; j < num_pairs; j++) {
            const __m256i a = _mm256_loadu_si256((const __m256i *)(y + i - 1 - 2 * j));
            const __m256i b = _mm256_loadu_si256((const __m256i *)(y + i - 2 - 2 * j));
            low_sum = _mm256_add_epi32(
                low_sum, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), coefficients[j]));
            high_sum = _mm256_add_epi32(
                high_sum, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), coefficients[j]));
        }
        low_sum = _mm256_sra_epi32(low_sum, shift);
        high_sum = _mm256_sra_epi32(high_sum, shift);
        if (echo) {
            const __m256i here = _mm256_loadu_si256((const __m256i *)(echo + i));
            low_sum = _mm256_add_epi32(low_sum, _mm256_srai_epi32(_mm256_unpacklo_epi16(here, here), 16));
            high_sum = _mm256_add_epi32(high_sum, _mm256_srai_epi32(_mm256_unpackhi_epi16(here, here), 16));
        }
        /* Saturation to 16 bits comes before limits that lie within them. */
        __m256i sum = _mm256_packs_epi32(low_sum, high_sum);
        sum = _mm256_min_epi16(_mm256_max_epi16(sum, lowest), highest);
        _mm256_storeu_si256((__m256i *)(out + i), sum);
    }
    n1_portable_kernels.predict(p, y, echo, i, end, low, high, out);
}

AVX2 static void predict_all(const predictor *p, const int16_t *y, const int16_t *echo, int begin,
                             int end, int32_t low, int32_t high, int16_t *out) {
    if (p->order <= 8)
        predict_with(p, y, echo, begin, end, low, high, out, 4);
    else if (p->order <= 16)
        predict_with(p, y, echo, begin, end, low, high, out, 8);
    else if (p->order <= 24)
        predict_with(p, y, echo, begin, end, low, high, out, 12);
    else
        predict_with(p, y, echo, begin, end, low, high, out, 16);
}

AVX2 static void find_cells(const cell_symbols *cells, const int16_t *codes,
                            const int16_t *predicted, int count, uint32_t *symbols) {
    const __m256i lowest = _mm256_set1_epi16((short)(cells->lowest - 1));
    const __m256i highest = _mm256_set1_epi16((short)(cells->highest + 1));
    const __m256i first = _mm256_set1_epi16(-HALF_CODES - 1);
    const __m256i reach = _mm256_set1_epi16((short)(cells->reach > 32767 ? 32767 : cells->reach));
    const __m256i minus_reach = _mm256_set1_epi16((short)-cells->reach);
    const uint16_t *below = cells->below - cells->reach;
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        const __m256i code = _mm256_loadu_si256((const __m256i *)(codes + i));
        const __m256i mu = _mm256_loadu_si256((const __m256i *)(predicted + i));
        const __m256i in_range = _mm256_min_epi16(_mm256_max_epi16(code, lowest), highest);
        const __m256i index = _mm256_sub_epi16(in_range, first);
        /* Samples 0 .. 3 and 8 .. 11, and the others, as unpacking in halves takes them. */
        const __m256i indices[2] = {_mm256_unpacklo_epi16(index, _mm256_setzero_si256()),
                                    _mm256_unpackhi_epi16(index, _mm256_setzero_si256())};
        const __m256i mus[2] = {_mm256_unpacklo_epi16(mu, mu), _mm256_unpackhi_epi16(mu, mu)};
        __m256i found[2];
        for (int v = 0; v < 2; v++) {
            const __m256i both =
                look_up_u32((const uint32_t *)(const void *)cells->edges, indices[v], 0);
            __m256i edges = _mm256_subs_epi16(both, mus[v]);
            edges = _mm256_min_epi16(_mm256_max_epi16(edges, minus_reach), reach);
            const __m256i slots = look_up_pairs(below, _mm256_sub_epi16(edges, minus_reach), 0);
            found[v] = _mm256_sub_epi32(slots, _mm256_slli_epi32(slots, 16));
        }
        _mm256_storeu_si256((__m256i *)(symbols + i), _mm256_permute2x128_si256(found[0], found[1], 0x20));
        _mm256_storeu_si256((__m256i *)(symbols + i + 8), _mm256_permute2x128_si256(found[0], found[1], 0x31));
    }
    n1_portable_kernels.find_cells(cells, codes + i, predicted + i, count - i, symbols + i);
}

/* x / divisor, rounded down, of eight lanes; the quotient has less than 31 bits. */
AVX2_INLINE __m256i divide(__m256i x, __m256i divisor) {
    const __m256d half = _mm256_set1_pd(2147483648.0);
    const __m256i signed_x = _mm256_xor_si256(x, _mm256_set1_epi32((int)0x80000000u));
    __m128i quotients[2];
    for (int i = 0; i < 2; i++) {
        const __m128i a = i ? _mm256_extracti128_si256(signed_x, 1) : _mm256_castsi256_si128(signed_x);
        const __m128i b = i ? _mm256_extracti128_si256(divisor, 1) : _mm256_castsi256_si128(divisor);
        /* 53 bits are enough: no quotient that is not whole is so near to a whole number. */
        const __m256d dividend = _mm256_add_pd(_mm256_cvtepi32_pd(a), half);
        quotients[i] = _mm256_cvttpd_epi32(_mm256_div_pd(dividend, _mm256_cvtepi32_pd(b)));
    }
    return _mm256_setr_m128i(quotients[0], quotients[1]);
}

AVX2_INLINE int code_lanes(const uint32_t *symbols, const int *begin, int vectors, int steps,
                           int precision, uint32_t *state, uint8_t **words) {
    const uint64_t *orders = last_orders();
    const __m256i zero = _mm256_setzero_si256(), low_half = _mm256_set1_epi32(0xFFFF);
    const __m128i precision_shift = _mm_cvtsi32_si128(precision);
    const __m128i high_shift = _mm_cvtsi32_si128(32 - precision);
    const uint32_t *lane[16];
    for (int i = 0; i < 8 * vectors; i++) lane[i] = symbols + begin[i];
    __m256i x[2];
    EACH(v) x[v] = _mm256_loadu_si256((const __m256i *)(state + 8 * v));
    uint8_t *next = *words;
    while (steps > 0) {
        const int step = steps - 1;
        __m256i symbol[2], frequency[2];
        int escapes = 0;
        EACH(v) {
#define AT(i) (int)lane[8 * v + i][step]
            symbol[v] = _mm256_setr_epi32(AT(0), AT(1), AT(2), AT(3), AT(4), AT(5), AT(6), AT(7));
#undef AT
            frequency[v] = _mm256_srli_epi32(symbol[v], 16);
            escapes |= _mm256_movemask_epi8(_mm256_cmpeq_epi32(frequency[v], zero));
        }
        if (escapes) break;
#pragma GCC unroll 2
        for (int v = vectors - 1; v >= 0; v--) {
            const __m256i fits = _mm256_cmpgt_epi32(frequency[v], _mm256_srl_epi32(x[v], high_shift));
            const int mask = ~_mm256_movemask_ps(_mm256_castsi256_ps(fits)) & 255;
            const __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(orders + mask)));
            const __m256i word = _mm256_permutevar8x32_epi32(_mm256_and_si256(x[v], low_half), order);
            const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(word, word), 0xD8);
            _mm_storeu_si128((__m128i *)(next - 16), _mm256_castsi256_si128(packed));
            next -= 2 * __builtin_popcount((unsigned)mask);
            x[v] = _mm256_blendv_epi8(_mm256_srli_epi32(x[v], 16), x[v], fits);
        }
        EACH(v) {
            const __m256i quotient = divide(x[v], frequency[v]);
            const __m256i rest = _mm256_sub_epi32(x[v], _mm256_mullo_epi32(quotient, frequency[v]));
            x[v] = _mm256_add_epi32(_mm256_sll_epi32(quotient, precision_shift), rest);
            x[v] = _mm256_add_epi32(x[v], _mm256_and_si256(symbol[v], low_half));
        }
        steps = step;
    }
    EACH(v) _mm256_storeu_si256((__m256i *)(state + 8 * v), x[v]);
    *words = next;
    return steps;
}

AVX2 static int code_steps(const uint32_t *symbols, const int *begin, int lanes, int steps,
                           int precision, uint32_t *state, uint8_t **words) {
    if (lanes < 8)
        return n1_portable_kernels.code_steps(symbols, begin, lanes, steps, precision, state, words);
    return lanes == 16 ? code_lanes(symbols, begin, 2, steps, precision, state, words)
                       : code_lanes(symbols, begin, 1, steps, precision, state, words);
}

AVX2 static void adc_encode(const int16_t *src, int16_t *dst, size_t count) {
    adc_encode_loop(src, dst, count);
}

/*
 * Sixteen codes at a time where all are on the grid: grid(k) = 64 k + (21 k + 10752) / 341, and
 * what is divided has 15 bits, for which 49201 / 2^24 is near enough to 1 / 341.
 */
AVX2 static void adc_decode(const int16_t *src, int16_t *dst, size_t count) {
    const __m256i last = _mm256_set1_epi16(HALF_CODES - 1);
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        const __m256i code = _mm256_loadu_si256((const __m256i *)(src + i));
        const __m256i mask = _mm256_srai_epi16(code, 15), k = _mm256_xor_si256(code, mask);
        const __m256i is_off = _mm256_cmpgt_epi16(k, last);
        if (!_mm256_testz_si256(is_off, is_off)) {
            adc_decode_loop(src + i, dst + i, 16);
            continue;
        }
        const __m256i dividend = _mm256_add_epi16(_mm256_mullo_epi16(k, _mm256_set1_epi16(21)),
                                                  _mm256_set1_epi16(10752));
        const __m256i quotient =
            _mm256_srli_epi16(_mm256_mulhi_epu16(dividend, _mm256_set1_epi16((short)49201)), 8);
        const __m256i u = _mm256_add_epi16(_mm256_slli_epi16(k, 6), quotient);
        _mm256_storeu_si256((__m256i *)(dst + i), _mm256_xor_si256(u, mask));
    }
    adc_decode_loop(src + i, dst + i, count - i);
}

#define FOUR(ONE, mask) ONE(mask), ONE((mask) + 1), ONE((mask) + 2), ONE((mask) + 3)
#define SIXTEEN(ONE, mask) \
    FOUR(ONE, mask), FOUR(ONE, (mask) + 4), FOUR(ONE, (mask) + 8), FOUR(ONE, (mask) + 12)
#define SIXTY_FOUR(ONE, mask) \
    SIXTEEN(ONE, mask), SIXTEEN(ONE, (mask) + 16), SIXTEEN(ONE, (mask) + 32), SIXTEEN(ONE, (mask) + 48)
#define OF_MASKS(ONE) SIXTY_FOUR(ONE, 0), SIXTY_FOUR(ONE, 64), SIXTY_FOUR(ONE, 128), SIXTY_FOUR(ONE, 192)
#define EIGHT_BYTES(BYTE, mask)                                                              \
    (BYTE(mask, 0) | BYTE(mask, 1) | BYTE(mask, 2) | BYTE(mask, 3) | BYTE(mask, 4) | \
     BYTE(mask, 5) | BYTE(mask, 6) | BYTE(mask, 7))
#define IS_IN(mask, lane) ((mask) >> (lane) & 1)
#define RANK(mask, lane) __builtin_popcount((mask) & ((1 << (lane)) - 1))

static const uint64_t *word_orders(void) {
#define BYTE(mask, lane) ((uint64_t)(IS_IN(mask, lane) ? RANK(mask, lane) : 0) << (8 * (lane)))
#define ONE(mask) EIGHT_BYTES(BYTE, mask)
    static const uint64_t ORDERS[256] = {OF_MASKS(ONE)};
#undef ONE
#undef BYTE
    return ORDERS;
}

static const uint64_t *last_orders(void) {
#define BYTE(mask, lane) \
    (IS_IN(mask, lane) ? (uint64_t)(lane) << (8 * (RANK(mask, lane) + 8 - __builtin_popcount(mask))) : 0)
#define ONE(mask) EIGHT_BYTES(BYTE, mask)
    static const uint64_t ORDERS[256] = {OF_MASKS(ONE)};
#undef ONE
#undef BYTE
    return ORDERS;
}

static const n1_kernels avx2_kernels = {
    .decode_rows = decode_rows_of_any,
    .can_join = can_join,
    .decode_two = decode_two,
    .decode_set = n1_avx2_decode_set,
    .adc_encode = adc_encode,
    .adc_decode = adc_decode,
    .store_columns = store_columns,
    .load_columns = load_columns,
    .store_frames = store_frames,
    .correlate = correlate,
    .energy = energy,
    .filter = filter,
    .predict = predict_all,
    .find_cells = find_cells,
    .code_steps = code_steps,
};

const n1_kernels *n1_avx2_kernels(void) {
    return __builtin_cpu_supports("avx2") ? &avx2_kernels : NULL;
}

#else

const n1_kernels *n1_avx2_kernels(void) { return 0; }

#endif
