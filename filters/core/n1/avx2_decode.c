/* Decoding of one long block, or of two at once, with AVX2. */
#include "avx2.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <string.h>

/*
 * Decodes rows of one block, or of two blocks at once, each with its order, eight lanes to a vector.
 * What the compiler knows of them: their lanes, 4, 8 or 16, their kind, how many pairs of
 * coefficients suffice, and whether each is_simple: all its lanes have one class that neither holds
 * nor, with the integer kind, has low bits; and whether it, or one of the two, has_echo.
 *
 * Each look-up waits for the one before it. Going through all vectors step by step lets a processor
 * wait for all of them at a time; that is what two blocks are good for.
 */
AVX2_INLINE int decode_rows(lane_decoder *const *d, int first, int count, const int *orders,
                            int blocks, int lanes, block_kind kind, int num_pairs, int is_simple,
                            int has_echo) {
    const int each = lanes == 16 ? 2 : 1, vectors = blocks * each, is_four = lanes == 4;
    const __m256i zero = _mm256_setzero_si256(), low_half = _mm256_set1_epi32(0xFFFF);

    /* Of each block. Positions are those above -32768, in 16 bits. */
    __m256i coefficients[2][MAX_ORDER / 2], last_slot[2], last_symbol[2], bias[2];
    __m256i lowest_y[2], highest_y[2], first_position[2], last_position[2];
    __m128i shift[2], precision_shift[2];
    const uint16_t *distances[2], *below[2];
    const uint32_t *symbols[2];
    const cell *cells[2];
    const uint8_t *words[2];
    EACH(k, blocks) {
        const predictor *p = &d[k]->predictor;
        const block *b = d[k]->b;
        const span_classes *classes = &d[k]->classes;
        pair_up(p->coefficients[orders[k]], orders[k], num_pairs, coefficients[k]);
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
        EACH(v, vectors) {
            const lane_decoder *of = d[BLOCK(v)];
            PAIRS(at, v) = pair_of_rows(of->y[at] + PART(v), of->y[at - 1] + PART(v));
        }
    }
    __m256i x[4], newest[4], reach[4], table[4], table_below[4];
    __m256i low_shift[4], rounding[4], holds[4];
    EACH(v, vectors) {
        const span_classes *classes = &d[BLOCK(v)]->classes;
        x[v] = load_lanes(d[BLOCK(v)]->state + PART(v));
        if (is_four) x[v] = _mm256_blend_epi32(x[v], zero, 0xF0);
        newest[v] = PAIRS(MAX_ORDER + first - 1, v);
        reach[v] = load_lanes(classes->reach + PART(v));
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
        EACH(k, blocks) has_words &= d[k]->words_end - words[k] >= 16 * each;
        if (!has_words) break;
        __m256i slot[4], mu[4], y[4], value[4], symbol[4], echo[4], escapes = zero;
        EACH(v, vectors) {
            slot[v] = _mm256_and_si256(x[v], last_slot[BLOCK(v)]);
            escapes = _mm256_or_si256(escapes, _mm256_cmpgt_epi32(slot[v], last_symbol[BLOCK(v)]));
        }
        if (!_mm256_testz_si256(escapes, escapes)) break;
        EACH(v, vectors) {
            const __m256i index = is_simple ? slot[v] : _mm256_add_epi32(slot[v], table[v]);
            symbol[v] = kind == KIND_WIDTH ? look_up_u16(distances[BLOCK(v)], index, is_four)
                                           : look_up_u32(symbols[BLOCK(v)], index, is_four);
        }
        EACH(v, vectors) {
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
            if (!is_simple) sum = hold(sum, newest[v], holds[v]);
            if (has_echo) {
                echo[v] = load_signed_row(d[BLOCK(v)]->echo[row] + PART(v));
                sum = _mm256_add_epi32(sum, echo[v]);
            }
            mu[v] = limit(sum, lowest_y[BLOCK(v)], highest_y[BLOCK(v)]);
        }
        if (kind == KIND_WIDTH) {
            __m256i edges[4];
            EACH(v, vectors) {
                const int k = BLOCK(v);
                y[v] = find_cells_at(mu[v], symbol[v], reach[v], first_position[k], last_position[k],
                                     cells[k], zero, is_four, &edges[v]);
                value[v] = _mm256_srli_epi32(y[v], 16);
                if (has_echo) y[v] = _mm256_subs_epi16(y[v], echo[v]);
            }
            EACH(v, vectors) {
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
                const __m256i high = _mm256_srl_epi32(x[v], precision_shift[BLOCK(v)]);
                x[v] = states_after(high, slot[v], start, end);
            }
        } else {
            EACH(v, vectors) {
                const uint16_t *low = d[BLOCK(v)]->rows[row] + PART(v);
                value[v] = y[v] =
                    values_of(mu[v], symbol[v], is_simple, low_shift[v], low, rounding[v]);
                x[v] = states_after_integers(x[v], symbol[v]);
            }
        }
        EACH(v, vectors) {
            __m256i wants = wants_word(x[v]);
            if (is_four) wants = _mm256_blend_epi32(wants, zero, 0xF0);
            const __m128i next = _mm_loadu_si128((const __m128i *)words[BLOCK(v)]);
            words[BLOCK(v)] += WORD_BYTES * (size_t)__builtin_popcount(mask_of(wants));
            x[v] = refill(x[v], wants, next, is_four ? 4 : 8);
            newest[v] = pair_with(y[v], newest[v]);
            PAIRS(at, v) = newest[v];
        }
        EACH(k, blocks) store_row(d[k]->rows[row], value + each * k, each);
    }
    EACH(v, vectors) _mm256_storeu_si256((__m256i *)(d[BLOCK(v)]->state + PART(v)), x[v]);
    EACH(k, blocks) d[k]->words = words[k];
    /* No more than these rows are looked back at. */
    for (int back = row - MAX_ORDER > first ? row - MAX_ORDER : first; back < row; back++) {
        const int at = MAX_ORDER + back;
        EACH(k, blocks) store_row(d[k]->y[at], &PAIRS(at, each * k), each);
    }
#undef PAIRS
#undef PART
#undef BLOCK
    return row - first;
}

/* As decode_rows, of one block, however many of 4, 8 or 16 lanes it has. */
AVX2_INLINE int decode_block(lane_decoder *d, int first, int count, int order, block_kind kind,
                             int num_pairs, int is_simple, int has_echo) {
    switch (num_lanes(d->b)) {
        case 4: return decode_rows(&d, first, count, &order, 1, 4, kind, num_pairs, is_simple, has_echo);
        case 8: return decode_rows(&d, first, count, &order, 1, 8, kind, num_pairs, is_simple, has_echo);
        default: return decode_rows(&d, first, count, &order, 1, 16, kind, num_pairs, is_simple, has_echo);
    }
}

/*
 * The functions that the compiler makes of it, one for each kind, num_pairs, is_simple and has_echo
 * that is worth its code: coefficients beyond a block's order are zeros, and a block that is not
 * simple takes longer anyway.
 */
#define VARIANT(name, ...)                                                       \
    AVX2 static int name(lane_decoder *d, int first, int count, int order) {     \
        return decode_block(d, first, count, order, __VA_ARGS__);                \
    }
VARIANT(integer_by_8, KIND_INTEGER, 4, 0, 0)
VARIANT(integer_by_32, KIND_INTEGER, 16, 0, 0)
VARIANT(simple_integer_by_8, KIND_INTEGER, 4, 1, 0)
VARIANT(simple_integer_by_32, KIND_INTEGER, 16, 1, 0)
VARIANT(width_by_32, KIND_WIDTH, 16, 0, 0)
VARIANT(simple_width_by_16, KIND_WIDTH, 8, 1, 0)
VARIANT(simple_width_by_32, KIND_WIDTH, 16, 1, 0)
VARIANT(echoed_width_by_32, KIND_WIDTH, 16, 0, 1)
VARIANT(simple_echoed_width_by_16, KIND_WIDTH, 8, 1, 1)
VARIANT(simple_echoed_width_by_32, KIND_WIDTH, 16, 1, 1)
#undef VARIANT

/* Sum of four 32-bit numbers. */
AVX2_INLINE uint32_t sum_of(__m128i v) {
    v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4E));
    return (uint32_t)_mm_cvtsi128_si32(_mm_add_epi32(v, _mm_shuffle_epi32(v, 0xB1)));
}

/*
 * Decodes rows of one or two lanes of the integer kind; is_simple says that there is one class that
 * does not hold. Vectors have no lanes to fill here; they have a lane's past instead.
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

/* Rows go to the narrowest variant that takes the block; what has none is for any machine's kernel. */
int n1_avx2_decode_rows(lane_decoder *d, int first, int count, int order) {
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

/* Whether decode_two takes this block of 16 lanes, for which it has the narrow variants only. */
static int is_plain(const lane_decoder *d) {
    const block *b = d->b;
    if (b->num_classes > 1 || b->classes[0].hold) return 0;
    return b->kind == KIND_WIDTH ? b->order <= 16 && has_reach_of_kernel(d)
                                 : b->order <= 8 && b->classes[0].low_bits == 0;
}

/* Blocks of 16 lanes are joined in twos, which need decode_two, and shorter ones in sets. */
int n1_avx2_can_join(const lane_decoder *a, const lane_decoder *b) {
    if (a->b->kind != b->b->kind || num_lanes(a->b) != num_lanes(b->b)) return 0;
    if (num_lanes(a->b) == MAX_LANES) return is_plain(a) && is_plain(b);
    return has_reach_of_kernel(a) && has_reach_of_kernel(b);
}

/* With echo where one of the two has it: the other's strip has zeros. */
AVX2 int n1_avx2_decode_two(lane_decoder *const *d, int first, int count) {
    const int orders[2] = {d[0]->b->order, d[1]->b->order};
    if (d[0]->b->kind == KIND_INTEGER)
        return decode_rows(d, first, count, orders, 2, 16, KIND_INTEGER, 4, 1, 0);
    if (d[0]->has_echo || d[1]->has_echo)
        return decode_rows(d, first, count, orders, 2, 16, KIND_WIDTH, 8, 1, 1);
    return decode_rows(d, first, count, orders, 2, 16, KIND_WIDTH, 8, 1, 0);
}

#endif
