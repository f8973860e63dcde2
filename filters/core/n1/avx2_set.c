/* Several short blocks at once, with AVX2: what a block of few lanes leaves idle, others fill. */
#include "avx2.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include "../common/bytes.h"

enum { LANES_OF_VECTOR = 8, VECTORS = MAX_LANES / LANES_OF_VECTOR };

#define EACH(v) _Pragma("GCC unroll 2") for (int v = 0; v < VECTORS; v++)

AVX2_INLINE uint32_t two_words(const uint8_t *words) {
    uint32_t two;
    __builtin_memcpy(&two, words, sizeof(two));
    return two;
}

/* The next words of each block of a vector, as many as it has lanes there, one in each column. */
AVX2_INLINE __m256i next_words(const uint8_t *const *words, int lanes) {
    __m128i next = _mm_setzero_si128();
    if (lanes == 8) next = _mm_loadu_si128((const __m128i *)words[0]);
    if (lanes == 4)
        next = _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)words[0]),
                                  _mm_loadl_epi64((const __m128i *)words[1]));
    if (lanes == 2)
        next = _mm_setr_epi32((int)two_words(words[0]), (int)two_words(words[1]),
                              (int)two_words(words[2]), (int)two_words(words[3]));
    if (lanes == 1)
        next = _mm_setr_epi16((short)load_u16(words[0]), (short)load_u16(words[1]),
                              (short)load_u16(words[2]), (short)load_u16(words[3]),
                              (short)load_u16(words[4]), (short)load_u16(words[5]),
                              (short)load_u16(words[6]), (short)load_u16(words[7]));
    return _mm256_cvtepu16_epi32(next);
}

/* Refill the states below 2^16, each block's with its own words in the order of its lanes. */
AVX2_INLINE __m256i refill(__m256i x, __m256i is_used, const uint8_t **words, int lanes) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i wants =
        _mm256_and_si256(_mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), zero), is_used);
    /* Which of its block's words a lane gets: as many as lanes before it want one, counted as -1. */
    __m256i next = next_words(words, lanes);
    if (lanes > 1) {
        const __m256i column = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        const __m256i begin = _mm256_and_si256(column, _mm256_set1_epi32(-lanes));
        __m256i before = _mm256_slli_si256(wants, 4);
        if (lanes == 2) before = _mm256_blend_epi32(before, zero, 0x55);
        if (lanes > 2) {
            before = _mm256_add_epi32(before, _mm256_slli_si256(wants, 8));
            before = _mm256_add_epi32(before, _mm256_slli_si256(wants, 12));
        }
        if (lanes == 8) {
            const __m256i low = _mm256_add_epi32(before, wants);
            const __m256i sum = _mm256_permutevar8x32_epi32(low, _mm256_set1_epi32(3));
            before = _mm256_add_epi32(before, _mm256_blend_epi32(zero, sum, 0xF0));
        }
        next = _mm256_permutevar8x32_epi32(next, _mm256_sub_epi32(begin, before));
    }
    const uint32_t mask = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(wants));
#pragma GCC unroll 8
    for (int i = 0; i < LANES_OF_VECTOR / lanes; i++) {
        const uint32_t of_block = mask >> (i * lanes) & ((1u << lanes) - 1);
        words[i] += WORD_BYTES * (size_t)__builtin_popcount(of_block);
    }
    return _mm256_blendv_epi8(x, _mm256_or_si256(_mm256_slli_epi32(x, 16), next), wants);
}

/* Rows for which every block has words enough, whatever they turn out to need. */
static int rows_with_words(const lane_set *set, const uint8_t *const *words) {
    ptrdiff_t rows = STRIP_ROWS;
    for (int k = 0; k < set->num_blocks; k++) {
        const ptrdiff_t own = (set->blocks[k]->words_end - words[k]) / (WORD_BYTES * set->lanes);
        if (own < rows) rows = own;
    }
    return (int)rows;
}

/*
 * As decode_rows of avx2.c, but that whatever a block has of its own is given for each column.
 * `lanes` is a block's; is_simple says that no column's class holds or has low bits.
 */
AVX2_INLINE int decode_set(lane_set *set, int first, int count, int lanes, block_kind kind,
                           int is_simple) {
    enum { MAX_PAIRS = MAX_ORDER / 2, UNROLLED = 4 };
    const int blocks_of_vector = LANES_OF_VECTOR / lanes;
    /* At least some, as there also are the values that classes hold. */
    const int eights = set->order > 0 ? (set->order + 2 * UNROLLED - 1) / (2 * UNROLLED) : 1;
    const int num_pairs = eights * UNROLLED;
    const __m256i zero = _mm256_setzero_si256(), low_half = _mm256_set1_epi32(0xFFFF);
    const __m256i lowest = _mm256_set1_epi16(-32768);
    const __m256i both_halves = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13));
    strip *const s = &set->strip;
    const uint8_t *words[MAX_LANES];
    for (int k = 0; k < MAX_LANES; k++) words[k] = set->blocks[k < set->num_blocks ? k : 0]->words;
#define COLUMNS(field, v) load_lanes(set->columns.field + LANES_OF_VECTOR * (v))

    /* y of a step and of the one before it, as pairs for multiply-add, in strip order. */
    __m256i pairs[VECTORS * (MAX_ORDER + STRIP_ROWS)];
#define PAIRS(at, v) pairs[VECTORS * (at) + (v)]
    for (int at = MAX_ORDER + first - 2 * num_pairs + 1; at < MAX_ORDER + first; at++)
        EACH(v) {
            const __m256i now = load_row(s->y[at] + LANES_OF_VECTOR * v);
            const __m256i before = load_row(s->y[at - 1] + LANES_OF_VECTOR * v);
            PAIRS(at, v) = _mm256_or_si256(now, _mm256_slli_epi32(before, 16));
        }
    __m256i x[VECTORS], newest[VECTORS];
    EACH(v) {
        x[v] = load_lanes(s->state + LANES_OF_VECTOR * v);
        newest[v] = PAIRS(MAX_ORDER + first - 1, v);
    }
    int row = first;
    for (int safe = 0; row < first + count; row++, safe--) {
        const int at = MAX_ORDER + row;
        if (safe == 0) safe = rows_with_words(set, words);
        if (safe == 0) break;
        __m256i slot[VECTORS], mu[VECTORS], y[VECTORS], value[VECTORS], symbol[VECTORS];
        __m256i is_escape[VECTORS], any_escape = zero;
        EACH(v) {
            slot[v] = _mm256_and_si256(x[v], COLUMNS(last_slot, v));
            is_escape[v] = _mm256_and_si256(_mm256_cmpgt_epi32(slot[v], COLUMNS(last_symbol, v)),
                                            COLUMNS(is_used, v));
            any_escape = _mm256_or_si256(any_escape, is_escape[v]);
        }
        const int has_escapes = !_mm256_testz_si256(any_escape, any_escape);
        __m256i after_escape[VECTORS];
        if (__builtin_expect(has_escapes, 0)) {
            uint32_t columns = 0;
            EACH(v) {
                const __m256 bits = _mm256_castsi256_ps(is_escape[v]);
                columns |= (uint32_t)_mm256_movemask_ps(bits) << (LANES_OF_VECTOR * v);
                const __m256i start = _mm256_add_epi32(COLUMNS(last_symbol, v), _mm256_set1_epi32(1));
                const __m256i frequency = _mm256_sub_epi32(COLUMNS(last_slot, v), COLUMNS(last_symbol, v));
                const __m256i high = _mm256_srlv_epi32(x[v], COLUMNS(precision, v));
                after_escape[v] = _mm256_add_epi32(_mm256_mullo_epi32(frequency, high),
                                                   _mm256_sub_epi32(slot[v], start));
            }
            /* Some of them have the position before. */
            store_row(s->y[at - 1], &PAIRS(at - 1, 0), VECTORS);
            if (set->take_escapes(set, row, columns)) return -1;
        }
        EACH(v) {
            const __m256i index = _mm256_add_epi32(slot[v], COLUMNS(table, v));
            symbol[v] = kind == KIND_WIDTH ? look_up_u16(set->tables, index, 0)
                                           : look_up_u32((const uint32_t *)set->tables, index, 0);
        }
        EACH(v) {
            __m256i even = COLUMNS(bias, v), odd = zero;
            for (int j = num_pairs - UNROLLED; j >= 0; j -= UNROLLED) {
#pragma GCC unroll 4
                for (int i = UNROLLED - 1; i >= 0; i--) {
                    const __m256i past = i + j == 0 ? newest[v] : PAIRS(at - 1 - 2 * (i + j), v);
                    const __m256i term = _mm256_madd_epi16(past, COLUMNS(coefficients[i + j], v));
                    if (i & 1)
                        odd = _mm256_add_epi32(odd, term);
                    else
                        even = _mm256_add_epi32(even, term);
                }
            }
            __m256i sum = _mm256_srav_epi32(_mm256_add_epi32(even, odd), COLUMNS(shift, v));
            if (!is_simple) {
                const __m256i before = _mm256_srai_epi32(_mm256_slli_epi32(newest[v], 16), 16);
                sum = _mm256_blendv_epi8(sum, before, COLUMNS(holds, v));
            }
            if (kind == KIND_WIDTH) {
                const void *const echo = s->echo[row] + LANES_OF_VECTOR * v;
                sum = _mm256_add_epi32(sum, _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)echo)));
            }
            mu[v] = limit(sum, COLUMNS(lowest_y, v), COLUMNS(highest_y, v));
        }
        if (kind == KIND_WIDTH) {
            __m256i edges[VECTORS];
            EACH(v) {
                __m256i from = _mm256_xor_si256(_mm256_shuffle_epi8(mu[v], both_halves), lowest);
                const __m256i reach = COLUMNS(reach, v);
                from = _mm256_sub_epi16(from, reach);
                __m256i position = _mm256_adds_epu16(from, symbol[v]);
                position = _mm256_max_epu16(position, COLUMNS(first_position, v));
                position = _mm256_min_epu16(position, COLUMNS(last_position, v));
                position = _mm256_add_epi32(position, COLUMNS(cells, v));
                look_up_cells(set->cells, position, 0, &edges[v], &y[v]);
                value[v] = _mm256_srli_epi32(y[v], 16);
                const void *const echo = s->echo[row] + LANES_OF_VECTOR * v;
                y[v] = _mm256_subs_epi16(y[v], _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)echo)));
                edges[v] = _mm256_min_epu16(_mm256_subs_epu16(edges[v], from), _mm256_add_epi16(reach, reach));
            }
            EACH(v) {
                const __m256i below = COLUMNS(below, v);
                __m256i start = _mm256_add_epi32(_mm256_and_si256(edges[v], low_half), below);
                __m256i end = _mm256_add_epi32(_mm256_srli_epi32(edges[v], 16), below);
                start = look_up_u16(set->tables, start, 0);
                end = look_up_u16(set->tables, end, 0);
                const __m256i high = _mm256_srlv_epi32(x[v], COLUMNS(precision, v));
                x[v] = _mm256_add_epi32(_mm256_mullo_epi32(_mm256_sub_epi32(end, start), high),
                                        _mm256_sub_epi32(slot[v], start));
            }
        } else {
            EACH(v) {
                const __m256i frequency =
                    _mm256_and_si256(_mm256_srli_epi32(symbol[v], 8), _mm256_set1_epi32(4095));
                __m256i difference = _mm256_and_si256(symbol[v], _mm256_set1_epi32(255));
                if (!is_simple)
                    difference = _mm256_add_epi32(_mm256_sllv_epi32(difference, COLUMNS(low_bits, v)),
                                                  load_row(s->rows[row] + LANES_OF_VECTOR * v));
                value[v] = y[v] =
                    _mm256_add_epi32(mu[v], _mm256_sub_epi32(difference, COLUMNS(rounding, v)));
                x[v] = _mm256_add_epi32(_mm256_mullo_epi32(frequency, _mm256_srli_epi32(x[v], 12)),
                                        _mm256_srli_epi32(symbol[v], 20));
            }
        }
        if (__builtin_expect(has_escapes, 0)) EACH(v) {
            const __m256i its_y = load_row(s->y[at] + LANES_OF_VECTOR * v);
            const __m256i its_value = load_row(s->rows[row] + LANES_OF_VECTOR * v);
            y[v] = _mm256_blendv_epi8(y[v], its_y, is_escape[v]);
            value[v] = _mm256_blendv_epi8(value[v], its_value, is_escape[v]);
            x[v] = _mm256_blendv_epi8(x[v], after_escape[v], is_escape[v]);
        }
        EACH(v) {
            x[v] = refill(x[v], COLUMNS(is_used, v), words + blocks_of_vector * v, lanes);
            newest[v] = _mm256_blend_epi16(_mm256_slli_epi32(newest[v], 16), y[v], 0x55);
            PAIRS(at, v) = newest[v];
        }
        store_row(s->rows[row], value, VECTORS);
    }
    EACH(v) _mm256_storeu_si256((__m256i *)(s->state + LANES_OF_VECTOR * v), x[v]);
    for (int k = 0; k < set->num_blocks; k++) set->blocks[k]->words = words[k];
    /* No more than these rows are looked back at. */
    for (int back = row - MAX_ORDER > first ? row - MAX_ORDER : first; back < row; back++)
        store_row(s->y[MAX_ORDER + back], &PAIRS(MAX_ORDER + back, 0), VECTORS);
#undef PAIRS
#undef COLUMNS
    return row - first;
}

#define VARIANTS(lanes)                                                                            \
    AVX2 static int integer_##lanes(lane_set *set, int first, int count) {                         \
        return decode_set(set, first, count, lanes, KIND_INTEGER, 0);                              \
    }                                                                                              \
    AVX2 static int simple_integer_##lanes(lane_set *set, int first, int count) {                  \
        return decode_set(set, first, count, lanes, KIND_INTEGER, 1);                              \
    }                                                                                              \
    AVX2 static int width_##lanes(lane_set *set, int first, int count) {                           \
        return decode_set(set, first, count, lanes, KIND_WIDTH, 0);                                \
    }                                                                                              \
    AVX2 static int simple_width_##lanes(lane_set *set, int first, int count) {                    \
        return decode_set(set, first, count, lanes, KIND_WIDTH, 1);                                \
    }                                                                                              \
    static int decode_by_##lanes(lane_set *set, int first, int count) {                            \
        const int is_integer = set->blocks[0]->b->kind == KIND_INTEGER;                            \
        if (set->is_simple) return (is_integer ? simple_integer_##lanes : simple_width_##lanes)(set, first, count); \
        return (is_integer ? integer_##lanes : width_##lanes)(set, first, count);                  \
    }
VARIANTS(1)
VARIANTS(2)
VARIANTS(4)
VARIANTS(8)

int n1_avx2_decode_set(lane_set *set, int first, int count) {
    switch (set->lanes) {
        case 1: return decode_by_1(set, first, count);
        case 2: return decode_by_2(set, first, count);
        case 4: return decode_by_4(set, first, count);
        default: return decode_by_8(set, first, count);
    }
}

#endif
