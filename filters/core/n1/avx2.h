/* What the kernels with AVX2 are made of. */
#ifndef N1STORE_N1_AVX2_H
#define N1STORE_N1_AVX2_H

#include "kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE __attribute__((target("avx2"), always_inline)) static inline

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

AVX2_INLINE __m256i load_row(const void *row) {
    return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)row));
}

AVX2_INLINE __m256i load_lanes(const void *lanes) {
    return _mm256_loadu_si256((const __m256i *)lanes);
}

/*
 * As decode_set of n1_kernels. Only for machines with AVX2.
 */
int n1_avx2_decode_set(lane_set *set, int first, int count);

#endif

#endif
