/* What the kernels with AVX2 have in common, and which of them there are. */
#ifndef N1STORE_N1_AVX2_H
#define N1STORE_N1_AVX2_H

#include "kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#include "../common/bytes.h"

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE __attribute__((target("avx2"), always_inline)) static inline

/*
 * A loop over vectors or blocks, of which there are four at most. Unrolled, the same step of all of
 * them stands together, so that a processor waits for all of them at a time.
 */
#define EACH(i, count) _Pragma("GCC unroll 4") for (int i = 0; i < (count); i++)

/*
 * Look-ups go through general registers, two 32-bit indices in each: on many processors that is
 * faster than a gather, and moving each index alone would take longer than the look-ups. The empty
 * statements keep the compiler from doing that.
 */
#define KEEP(number) __asm__("" : "+r"(number))

typedef struct {
    uint64_t a, b;
} four_indices;

AVX2_INLINE four_indices in_registers(__m128i index) {
    four_indices i = {(uint64_t)_mm_cvtsi128_si64(index), (uint64_t)_mm_extract_epi64(index, 1)};
    KEEP(i.a);
    KEEP(i.b);
    return i;
}

#define INSERT(vector, number, place) _mm_insert_epi16(vector, (int16_t)(number), place)
#define FIRST(two) ((uint32_t)(two))
#define SECOND(two) ((two) >> 32)

AVX2_INLINE __m128i look_up_four_u32(const uint32_t *table, __m128i index) {
    const four_indices i = in_registers(index);
    const __m128i a = _mm_cvtsi32_si128((int)table[FIRST(i.a)]);
    const __m128i b = _mm_cvtsi32_si128((int)table[FIRST(i.b)]);
    return _mm_unpacklo_epi64(_mm_insert_epi32(a, (int)table[SECOND(i.a)], 1),
                              _mm_insert_epi32(b, (int)table[SECOND(i.b)], 1));
}

/* 16-bit numbers in the low halves of the lanes, with zeros above. */
AVX2_INLINE __m128i look_up_four_u16(const uint16_t *table, __m128i index) {
    const four_indices i = in_registers(index);
    __m128i found = _mm_setzero_si128();
    found = INSERT(found, table[FIRST(i.a)], 0);
    found = INSERT(found, table[SECOND(i.a)], 2);
    found = INSERT(found, table[FIRST(i.b)], 4);
    return INSERT(found, table[SECOND(i.b)], 6);
}

/* Two numbers for each lane, at the 16-bit indices in its low and in its high half. */
AVX2_INLINE __m128i look_up_four_pairs(const uint16_t *table, __m128i indices) {
    const four_indices i = in_registers(indices);
    __m128i found = _mm_setzero_si128();
    found = INSERT(found, table[(uint16_t)i.a], 0);
    found = INSERT(found, table[(uint16_t)(i.a >> 16)], 1);
    found = INSERT(found, table[(uint16_t)(i.a >> 32)], 2);
    found = INSERT(found, table[i.a >> 48], 3);
    found = INSERT(found, table[(uint16_t)i.b], 4);
    found = INSERT(found, table[(uint16_t)(i.b >> 16)], 5);
    found = INSERT(found, table[(uint16_t)(i.b >> 32)], 6);
    return INSERT(found, table[i.b >> 48], 7);
}

/* Of eight lanes, or, where the compiler knows of four only, of the first four. */
#define HALVES(look_up, table, index, is_four)                                  \
    _mm256_setr_m128i(look_up(table, _mm256_castsi256_si128(index)),            \
                      is_four ? _mm_setzero_si128()                             \
                              : look_up(table, _mm256_extracti128_si256(index, 1)))

AVX2_INLINE __m256i look_up_u32(const uint32_t *table, __m256i index, int is_four) {
    return HALVES(look_up_four_u32, table, index, is_four);
}

AVX2_INLINE __m256i look_up_u16(const uint16_t *table, __m256i index, int is_four) {
    return HALVES(look_up_four_u16, table, index, is_four);
}

AVX2_INLINE __m256i look_up_pairs(const uint16_t *table, __m256i indices, int is_four) {
    return HALVES(look_up_four_pairs, table, indices, is_four);
}

/* Cells: their edges, and their y with the sample above it. */
AVX2_INLINE void look_up_cells(const cell *cells, __m256i index, int is_four, __m256i *edges,
                               __m256i *rest) {
    const four_indices low = in_registers(_mm256_castsi256_si128(index));
    four_indices high = low;
    if (!is_four) high = in_registers(_mm256_extracti128_si256(index, 1));
#define FIRST_CELL(two) _mm_loadl_epi64((const __m128i *)(const void *)(cells + FIRST(two)))
#define TWO(two)                                                        \
    _mm_castpd_si128(_mm_loadh_pd(_mm_castsi128_pd(FIRST_CELL(two)), \
                                  (const double *)(const void *)(cells + SECOND(two))))
    const __m128i first = TWO(low.a), second = TWO(low.b);
    const __m256 a = _mm256_castsi256_ps(_mm256_setr_m128i(first, is_four ? first : TWO(high.a)));
    const __m256 b = _mm256_castsi256_ps(_mm256_setr_m128i(second, is_four ? second : TWO(high.b)));
#undef TWO
#undef FIRST_CELL
    *edges = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88));
    *rest = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xDD));
}

AVX2_INLINE __m256i limit(__m256i value, __m256i low, __m256i high) {
    return _mm256_min_epi32(_mm256_max_epi32(value, low), high);
}

/* Low halves of 32-bit lanes as 16-bit ones, from one or two vectors. */
AVX2_INLINE void store_row(void *row, const __m256i *lanes, int vectors) {
    const __m256i low = _mm256_set1_epi32(0xFFFF);
    const __m256i first = _mm256_and_si256(lanes[0], low);
    const __m256i second = _mm256_and_si256(lanes[vectors - 1], low);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(first, second), 0xD8);
    if (vectors == 2)
        _mm256_storeu_si256((__m256i *)row, packed);
    else
        _mm_storeu_si128((__m128i *)row, _mm256_castsi256_si128(packed));
}

/* 16-bit numbers in 32-bit lanes, with zeros above. */
AVX2_INLINE __m256i load_row(const void *row) {
    return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)row));
}

/* The same of numbers with a sign. */
AVX2_INLINE __m256i load_signed_row(const void *row) {
    return _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)row));
}

AVX2_INLINE __m256i load_lanes(const void *lanes) {
    return _mm256_loadu_si256((const __m256i *)lanes);
}

/* Numbers in pairs for multiply-add, the first one below, zeros behind the last of them. */
AVX2_INLINE void pair_up(const int16_t *numbers, int count, int num_pairs, __m256i *pairs) {
    for (int j = 0; j < num_pairs; j++) {
        const uint32_t first = 2 * j < count ? (uint16_t)numbers[2 * j] : 0;
        const uint32_t second = 2 * j + 1 < count ? (uint16_t)numbers[2 * j + 1] : 0;
        pairs[j] = _mm256_set1_epi32((int)(first | second << 16));
    }
}

/*
 * Steps of decoding a row, which the loops of decode_rows (avx2_decode.c) and decode_set (avx2_set.c)
 * have in common.
 */

/* A lane's y in the low half, and above it that of the row before: a pair for multiply-add. */
AVX2_INLINE __m256i pair_of_rows(const void *now, const void *before) {
    return _mm256_or_si256(load_row(now), _mm256_slli_epi32(load_row(before), 16));
}

/* The next pair: y, and above it the one that was newest. Of y only the low halves are looked at. */
AVX2_INLINE __m256i pair_with(__m256i y, __m256i newest) {
    return _mm256_blend_epi16(_mm256_slli_epi32(newest, 16), y, 0x55);
}

/* Sums of predictions, but that lanes whose class holds repeat the newest value. */
AVX2_INLINE __m256i hold(__m256i sum, __m256i newest, __m256i holds) {
    const __m256i before = _mm256_srai_epi32(_mm256_slli_epi32(newest, 16), 16);
    return _mm256_blendv_epi8(sum, before, holds);
}

/*
 * The cells of the width kind that distances lead to. A distance is counted from the prediction mu
 * less the reach, and a position from -32768, so that neither has a sign. Positions are limited, so
 * that a cell is found with any input; the cell of position 0 is cells[first_cell]. Returns y, with
 * the sample above it, and finds the edges, in a lane's halves, as the distances to look F up for.
 */
AVX2_INLINE __m256i find_cells_at(__m256i mu, __m256i distance, __m256i reach, __m256i first_position,
                                  __m256i last_position, const cell *cells, __m256i first_cell,
                                  int is_four, __m256i *edges) {
    const __m256i lowest = _mm256_set1_epi16(-32768);
    /* The prediction in both halves, as a cell has two edges. */
    const __m256i both_halves = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13));
    __m256i from = _mm256_xor_si256(_mm256_shuffle_epi8(mu, both_halves), lowest);
    from = _mm256_sub_epi16(from, reach);
    __m256i position = _mm256_adds_epu16(from, distance), y;
    position = _mm256_max_epu16(position, first_position);
    position = _mm256_min_epu16(position, last_position);
    look_up_cells(cells, _mm256_add_epi32(position, first_cell), is_four, edges, &y);
    *edges = _mm256_subs_epu16(*edges, from);
    *edges = _mm256_min_epu16(*edges, _mm256_add_epi16(reach, reach));
    return y;
}

/*
 * The values of the integer kind that symbols (see class_tables) lead to. Where the compiler does
 * not know that all classes are simple, low bits, which the row has already, come below residuals.
 */
AVX2_INLINE __m256i values_of(__m256i mu, __m256i symbol, int is_simple, __m256i low_bits,
                              const void *row, __m256i rounding) {
    __m256i difference = _mm256_and_si256(symbol, _mm256_set1_epi32(255));
    if (!is_simple)
        difference = _mm256_add_epi32(_mm256_sllv_epi32(difference, low_bits), load_row(row));
    return _mm256_add_epi32(mu, _mm256_sub_epi32(difference, rounding));
}

/* The states after symbols whose slots are start .. end - 1; `high` is what is above the slot. */
AVX2_INLINE __m256i states_after(__m256i high, __m256i slot, __m256i start, __m256i end) {
    return _mm256_add_epi32(_mm256_mullo_epi32(_mm256_sub_epi32(end, start), high),
                            _mm256_sub_epi32(slot, start));
}

/* The same of the integer kind, whose symbols hold it all, and whose precision is always 12. */
AVX2_INLINE __m256i states_after_integers(__m256i x, __m256i symbol) {
    const __m256i frequency =
        _mm256_and_si256(_mm256_srli_epi32(symbol, 8), _mm256_set1_epi32(4095));
    return _mm256_add_epi32(_mm256_mullo_epi32(frequency, _mm256_srli_epi32(x, 12)),
                            _mm256_srli_epi32(symbol, 20));
}

/* The lanes whose states are below 2^16, which want a word: all bits set, or none. */
AVX2_INLINE __m256i wants_word(__m256i x) {
    return _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
}

AVX2_INLINE uint32_t mask_of(__m256i lanes) {
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(lanes));
}

/*
 * The states with a word in those that want one. `next` has the next words of each block, from the
 * place of its first lane on, where a block has `lanes` lanes of the vector. They go to the lanes
 * that want one, in order: a lane gets the word behind as many as lanes of its block before it want.
 * These are summed up in registers, in bytes of `next`, which takes no longer than it would to look
 * up an order for the set of lanes.
 */
AVX2_INLINE __m256i refill(__m256i x, __m256i wants, __m128i next, int lanes) {
    /* By bytes: where the first word is, with zeros above it; and what leads a word further on. */
    const __m256i word = _mm256_set1_epi32(0x0202), first_word = _mm256_set1_epi32((int)0x80800100u);
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i first_lane = _mm256_and_si256(lane, _mm256_set1_epi32(-lanes));
    const __m256i one = _mm256_and_si256(wants, word);
    __m256i place = _mm256_add_epi32(first_word, _mm256_mullo_epi32(first_lane, word));
    if (lanes == 2) place = _mm256_add_epi32(place, _mm256_slli_epi64(one, 32));
    if (lanes > 2) {
        const __m256i two = _mm256_add_epi32(one, _mm256_slli_si256(one, 4));
        const __m256i four = _mm256_add_epi32(two, _mm256_slli_si256(two, 8));
        place = _mm256_add_epi32(_mm256_sub_epi32(place, one), four);
        if (lanes == 8) {
            const __m256i of_first_four = _mm256_permute2x128_si256(four, four, 0x08);
            place = _mm256_add_epi32(place, _mm256_shuffle_epi32(of_first_four, 0xFF));
        }
    }
    const __m256i words = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(next), place);
    return _mm256_blendv_epi8(x, _mm256_or_si256(_mm256_slli_epi32(x, 16), words), wants);
}

/* The kernels, each as n1_kernels has it; only for machines with AVX2. */
#define KERNEL(name) __typeof__(*((const n1_kernels *)0)->name) n1_avx2_##name
KERNEL(decode_rows);
KERNEL(can_join);
KERNEL(decode_two);
KERNEL(decode_set);
KERNEL(adc_encode);
KERNEL(adc_decode);
KERNEL(store_columns);
KERNEL(load_columns);
KERNEL(store_frames);
KERNEL(correlate);
KERNEL(filter);
KERNEL(energy);
KERNEL(predict);
KERNEL(find_cells);
KERNEL(code_steps);
#undef KERNEL

#endif

#endif
