/* Several short blocks at once, with AVX2: what a block of few lanes leaves idle, others fill. */
#include "avx2.h"

#if defined(__x86_64__) && defined(__GNUC__)

enum { LANES_OF_VECTOR = 8, VECTORS = MAX_LANES / LANES_OF_VECTOR };

/* The next words of the blocks of a vector, side by side, of each as many as it has lanes there. */
AVX2_INLINE __m128i next_words(const uint8_t *const *words, int lanes) {
    if (lanes == 8) return _mm_loadu_si128((const __m128i *)words[0]);
    if (lanes == 4)
        return _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)words[0]),
                                  _mm_loadl_epi64((const __m128i *)words[1]));
    if (lanes == 2)
        return _mm_setr_epi32((int)load_u32(words[0]), (int)load_u32(words[1]),
                              (int)load_u32(words[2]), (int)load_u32(words[3]));
    return _mm_setr_epi16((short)load_u16(words[0]), (short)load_u16(words[1]),
                          (short)load_u16(words[2]), (short)load_u16(words[3]),
                          (short)load_u16(words[4]), (short)load_u16(words[5]),
                          (short)load_u16(words[6]), (short)load_u16(words[7]));
}

/* Refill the states that want a word, each block's with its own words. */
AVX2_INLINE __m256i refill_blocks(__m256i x, __m256i is_used, const uint8_t **words, int lanes) {
    const __m256i wants = _mm256_and_si256(wants_word(x), is_used);
    x = refill(x, wants, next_words(words, lanes), lanes);
    const uint32_t mask = mask_of(wants);
#pragma GCC unroll 8
    for (int i = 0; i < LANES_OF_VECTOR / lanes; i++) {
        const uint32_t of_block = mask >> (i * lanes) & ((1u << lanes) - 1);
        words[i] += WORD_BYTES * (size_t)__builtin_popcount(of_block);
    }
    return x;
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
 * Decodes rows of a set as decode_rows of avx2_decode.c does, but that whatever a block has of its
 * own is given for each column. Escapes are taken on the way, as in one or another of so many blocks
 * there often is one. `lanes` is a block's; is_simple says that no column's class holds or has low
 * bits.
 */
AVX2_INLINE int decode_set(lane_set *set, int first, int count, int lanes, block_kind kind,
                           int is_simple) {
    enum { UNROLLED = 4 };
    const int blocks_of_vector = LANES_OF_VECTOR / lanes;
    /* At least some, as there also are the values that classes hold. */
    const int eights = set->order > 0 ? (set->order + 2 * UNROLLED - 1) / (2 * UNROLLED) : 1;
    const int num_pairs = eights * UNROLLED;
    const __m256i zero = _mm256_setzero_si256(), low_half = _mm256_set1_epi32(0xFFFF);
    strip *const s = &set->strip;
    const uint8_t *words[MAX_LANES];
    for (int k = 0; k < MAX_LANES; k++) words[k] = set->blocks[k < set->num_blocks ? k : 0]->words;
#define COLUMNS(field, v) load_lanes(set->columns.field + LANES_OF_VECTOR * (v))

    /* y of a step and of the one before it, as pairs for multiply-add, in strip order. */
    __m256i pairs[VECTORS * (MAX_ORDER + STRIP_ROWS)];
#define PAIRS(at, v) pairs[VECTORS * (at) + (v)]
    for (int at = MAX_ORDER + first - 2 * num_pairs + 1; at < MAX_ORDER + first; at++)
        EACH(v, VECTORS) {
            const int column = LANES_OF_VECTOR * v;
            PAIRS(at, v) = pair_of_rows(s->y[at] + column, s->y[at - 1] + column);
        }
    __m256i x[VECTORS], newest[VECTORS];
    EACH(v, VECTORS) {
        x[v] = load_lanes(s->state + LANES_OF_VECTOR * v);
        newest[v] = PAIRS(MAX_ORDER + first - 1, v);
    }
    int row = first;
    for (int safe = 0; row < first + count; row++, safe--) {
        const int at = MAX_ORDER + row;
        if (safe == 0) safe = rows_with_words(set, words);
        if (safe == 0) break;
        __m256i slot[VECTORS], mu[VECTORS], y[VECTORS], value[VECTORS], symbol[VECTORS], echo[VECTORS];
        __m256i is_escape[VECTORS], any_escape = zero;
        EACH(v, VECTORS) {
            slot[v] = _mm256_and_si256(x[v], COLUMNS(last_slot, v));
            is_escape[v] = _mm256_and_si256(_mm256_cmpgt_epi32(slot[v], COLUMNS(last_symbol, v)),
                                            COLUMNS(is_used, v));
            any_escape = _mm256_or_si256(any_escape, is_escape[v]);
        }
        const int has_escapes = !_mm256_testz_si256(any_escape, any_escape);
        __m256i after_escape[VECTORS];
        if (__builtin_expect(has_escapes, 0)) {
            uint32_t columns = 0;
            EACH(v, VECTORS) {
                columns |= mask_of(is_escape[v]) << (LANES_OF_VECTOR * v);
                const __m256i one = _mm256_set1_epi32(1);
                const __m256i start = _mm256_add_epi32(COLUMNS(last_symbol, v), one);
                const __m256i end = _mm256_add_epi32(COLUMNS(last_slot, v), one);
                const __m256i high = _mm256_srlv_epi32(x[v], COLUMNS(precision, v));
                after_escape[v] = states_after(high, slot[v], start, end);
            }
            /* Some of them have the position before. */
            store_row(s->y[at - 1], &PAIRS(at - 1, 0), VECTORS);
            if (set->take_escapes(set, row, columns)) return -1;
        }
        EACH(v, VECTORS) {
            const __m256i index = _mm256_add_epi32(slot[v], COLUMNS(table, v));
            symbol[v] = kind == KIND_WIDTH ? look_up_u16(set->tables, index, 0)
                                           : look_up_u32((const uint32_t *)set->tables, index, 0);
        }
        EACH(v, VECTORS) {
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
            if (!is_simple) sum = hold(sum, newest[v], COLUMNS(holds, v));
            if (kind == KIND_WIDTH) {
                echo[v] = load_signed_row(s->echo[row] + LANES_OF_VECTOR * v);
                sum = _mm256_add_epi32(sum, echo[v]);
            }
            mu[v] = limit(sum, COLUMNS(lowest_y, v), COLUMNS(highest_y, v));
        }
        if (kind == KIND_WIDTH) {
            __m256i edges[VECTORS];
            EACH(v, VECTORS) {
                y[v] = find_cells_at(mu[v], symbol[v], COLUMNS(reach, v), COLUMNS(first_position, v),
                                     COLUMNS(last_position, v), set->cells, COLUMNS(cells, v), 0,
                                     &edges[v]);
                value[v] = _mm256_srli_epi32(y[v], 16);
                y[v] = _mm256_subs_epi16(y[v], echo[v]);
            }
            EACH(v, VECTORS) {
                const __m256i below = COLUMNS(below, v);
                __m256i start = _mm256_add_epi32(_mm256_and_si256(edges[v], low_half), below);
                __m256i end = _mm256_add_epi32(_mm256_srli_epi32(edges[v], 16), below);
                start = look_up_u16(set->tables, start, 0);
                end = look_up_u16(set->tables, end, 0);
                const __m256i high = _mm256_srlv_epi32(x[v], COLUMNS(precision, v));
                x[v] = states_after(high, slot[v], start, end);
            }
        } else {
            EACH(v, VECTORS) {
                const uint16_t *low = s->rows[row] + LANES_OF_VECTOR * v;
                value[v] = y[v] = values_of(mu[v], symbol[v], is_simple, COLUMNS(low_bits, v), low,
                                            COLUMNS(rounding, v));
                x[v] = states_after_integers(x[v], symbol[v]);
            }
        }
        if (__builtin_expect(has_escapes, 0)) EACH(v, VECTORS) {
            const __m256i its_y = load_row(s->y[at] + LANES_OF_VECTOR * v);
            const __m256i its_value = load_row(s->rows[row] + LANES_OF_VECTOR * v);
            y[v] = _mm256_blendv_epi8(y[v], its_y, is_escape[v]);
            value[v] = _mm256_blendv_epi8(value[v], its_value, is_escape[v]);
            x[v] = _mm256_blendv_epi8(x[v], after_escape[v], is_escape[v]);
        }
        EACH(v, VECTORS) {
            x[v] = refill_blocks(x[v], COLUMNS(is_used, v), words + blocks_of_vector * v, lanes);
            newest[v] = pair_with(y[v], newest[v]);
            PAIRS(at, v) = newest[v];
        }
        store_row(s->rows[row], value, VECTORS);
    }
    EACH(v, VECTORS) _mm256_storeu_si256((__m256i *)(s->state + LANES_OF_VECTOR * v), x[v]);
    for (int k = 0; k < set->num_blocks; k++) set->blocks[k]->words = words[k];
    /* No more than these rows are looked back at. */
    for (int back = row - MAX_ORDER > first ? row - MAX_ORDER : first; back < row; back++)
        store_row(s->y[MAX_ORDER + back], &PAIRS(MAX_ORDER + back, 0), VECTORS);
#undef PAIRS
#undef COLUMNS
    return row - first;
}

/* As decode_set, whatever the kind and the classes are. */
AVX2_INLINE int decode_set_of(lane_set *set, int first, int count, int lanes) {
    if (set->blocks[0]->b->kind == KIND_INTEGER)
        return set->is_simple ? decode_set(set, first, count, lanes, KIND_INTEGER, 1)
                              : decode_set(set, first, count, lanes, KIND_INTEGER, 0);
    return set->is_simple ? decode_set(set, first, count, lanes, KIND_WIDTH, 1)
                          : decode_set(set, first, count, lanes, KIND_WIDTH, 0);
}

/* The functions that the compiler makes of it. */
#define VARIANT(name, lanes)                                      \
    AVX2 static int name(lane_set *set, int first, int count) {   \
        return decode_set_of(set, first, count, lanes);           \
    }
VARIANT(decode_by_1, 1)
VARIANT(decode_by_2, 2)
VARIANT(decode_by_4, 4)
VARIANT(decode_by_8, 8)
#undef VARIANT

int n1_avx2_decode_set(lane_set *set, int first, int count) {
    switch (set->lanes) {
        case 1: return decode_by_1(set, first, count);
        case 2: return decode_by_2(set, first, count);
        case 4: return decode_by_4(set, first, count);
        default: return decode_by_8(set, first, count);
    }
}

#endif
