/* Samples on their way between columns, frames and codes, with AVX2. */
#include "avx2.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include "../common/adc_loops.h"

/* Rows become columns, eight of eight: each step brings together what lies twice as far apart. */
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

/* Loads columns by blocks of eight rows and eight lanes; fewer lanes are not worth it. */
AVX2 void n1_avx2_load_columns(const int16_t *const *columns, int lanes,
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

/* Stores columns by blocks of eight rows and eight lanes. */
AVX2 void n1_avx2_store_columns(const uint16_t rows[STRIP_ROWS][MAX_LANES], int lanes,
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

/* Stores frames eight at a time, of eight channels each, and of four more where there are so many. */
AVX2 int n1_avx2_store_frames(const int16_t *planes, size_t plane_size, int channels, size_t count,
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

/* The loop is the one for any machine, of which the compiler makes vectors by itself. */
AVX2 void n1_avx2_adc_encode(const int16_t *src, int16_t *dst, size_t count) {
    adc_encode_loop(src, dst, count);
}

/*
 * Decodes sixteen codes at a time where all are on the grid: grid(k) = 64 k + (21 k + 10752) / 341, and
 * what is divided has 15 bits, for which 49201 / 2^24 is near enough to 1 / 341.
 */
AVX2 void n1_avx2_adc_decode(const int16_t *src, int16_t *dst, size_t count) {
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

#endif
