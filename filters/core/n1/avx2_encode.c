/* What the encoder spends its time on, with AVX2. */
#include "avx2.h"

#if defined(__x86_64__) && defined(__GNUC__)

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

/*
 * Correlates at the lags first .. first + count - 1, eight of them or one: sixteen numbers of a are
 * loaded once for all. `run` sums of two products each fit into 32 bits; that often they are added
 * before they go into a sum of 64 bits, which takes longer.
 */
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

/* The greatest magnitude of y[begin .. end - 1], by which is known how long a run may be. */
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

/* Correlates eight lags at a time while there are so many, then each alone. */
AVX2 void n1_avx2_correlate(const int16_t *a, const int16_t *b, int begin, int end, int max_lag,
                           int64_t *r) {
    const int reach = begin < max_lag ? begin : max_lag;
    const int64_t product = (int64_t)greatest_magnitude(a, begin, end) *
                            greatest_magnitude(b, begin - reach, end);
    const int run = product < 1024 ? 1 << 19 : (int)(INT32_MAX / (2 * product));
    int lag = 0;
    for (; lag + 8 <= max_lag + 1; lag += 8) correlate_lags(a, b, begin, end, lag, 8, run, r + lag);
    for (; lag <= max_lag; lag++) correlate_lags(a, b, begin, end, lag, 1, run, r + lag);
}

/* Adds up the squares of sixteen residuals at a time, two by multiply-add, in 64 bits. */
AVX2 int64_t n1_avx2_energy(const int16_t *y, const int16_t *predicted, int count) {
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

/* Filters for sixteen numbers of the echo at a time, by multiply-add with taps in pairs. */
AVX2 void n1_avx2_filter(const echo_taps *taps, const int16_t *z, int count, int16_t *echo) {
    const int num_pairs = (taps->count + 1) / 2;
    const __m256i half = _mm256_set1_epi32(1 << taps->shift >> 1);
    const __m128i shift = _mm_cvtsi32_si128(taps->shift);
    __m256i pairs[MAX_TAPS / 2];
    pair_up(taps->taps, taps->count, num_pairs, pairs);
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

/*
 * Predicts sixteen numbers at a time, by multiply-add with num_pairs pairs of coefficients, those
 * beyond the order zeros. They look back as far as that, so that the first numbers are for any
 * machine's kernel, as are the last ones that are no sixteen.
 */
AVX2_INLINE void predict_with(const predictor *p, const int16_t *y, const int16_t *echo, int begin,
                              int end, int32_t low, int32_t high, int16_t *out, int num_pairs) {
    const int order = p->order;
    __m256i coefficients[MAX_ORDER / 2];
    pair_up(p->coefficients[order], order, num_pairs, coefficients);
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

/* Takes as few pairs as suffice, in fours, so that the compiler can unroll their loop. */
AVX2 void n1_avx2_predict(const predictor *p, const int16_t *y, const int16_t *echo, int begin,
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

/*
 * Finds the slots of sixteen codes at a time. Edges, distances and F are 16-bit numbers and are looked
 * up and limited in pairs, a cell's lower and upper one in the halves of a lane; the difference of
 * its slots is the frequency. A code out of range begins where it ends, so that it has none.
 */
AVX2 void n1_avx2_find_cells(const cell_symbols *cells, const int16_t *codes,
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

/*
 * For each set of four lanes, bit 0 for the first one: which bytes bring the low halves of its lanes
 * to the end of eight bytes, in order. What is before them is overwritten later.
 */
#define LANE(i) 4 * (i), 4 * (i) + 1
#define NONE 0, 0
static const uint8_t LAST_WORDS[16][8] = {
    {NONE, NONE, NONE, NONE},
    {NONE, NONE, NONE, LANE(0)},
    {NONE, NONE, NONE, LANE(1)},
    {NONE, NONE, LANE(0), LANE(1)},
    {NONE, NONE, NONE, LANE(2)},
    {NONE, NONE, LANE(0), LANE(2)},
    {NONE, NONE, LANE(1), LANE(2)},
    {NONE, LANE(0), LANE(1), LANE(2)},
    {NONE, NONE, NONE, LANE(3)},
    {NONE, NONE, LANE(0), LANE(3)},
    {NONE, NONE, LANE(1), LANE(3)},
    {NONE, LANE(0), LANE(1), LANE(3)},
    {NONE, NONE, LANE(2), LANE(3)},
    {NONE, LANE(0), LANE(2), LANE(3)},
    {NONE, LANE(1), LANE(2), LANE(3)},
    {LANE(0), LANE(1), LANE(2), LANE(3)},
};
#undef NONE
#undef LANE

/* Put the low halves of the lanes in `mask` before `words`. Returns where they begin. */
AVX2_INLINE uint8_t *put_words(__m128i lanes, uint32_t mask, uint8_t *words) {
    const __m128i order = _mm_loadl_epi64((const __m128i *)LAST_WORDS[mask]);
    _mm_storel_epi64((__m128i *)(words - 8), _mm_shuffle_epi8(lanes, order));
    return words - WORD_BYTES * __builtin_popcount(mask);
}

/*
 * Codes steps of one or two vectors of eight lanes. States that would become too great give a word
 * first, the last lane first, as the decoder takes them in order. A step of all lanes waits for
 * divisions, which doubles do four at a time.
 */
AVX2_INLINE int code_lanes(const uint32_t *symbols, const int *begin, int vectors, int steps,
                           int precision, uint32_t *state, uint8_t **words) {
    const __m256i zero = _mm256_setzero_si256(), low_half = _mm256_set1_epi32(0xFFFF);
    const __m128i precision_shift = _mm_cvtsi32_si128(precision);
    const __m128i high_shift = _mm_cvtsi32_si128(32 - precision);
    const uint32_t *lane[16];
    for (int i = 0; i < 8 * vectors; i++) lane[i] = symbols + begin[i];
    __m256i x[2];
    EACH(v, vectors) x[v] = _mm256_loadu_si256((const __m256i *)(state + 8 * v));
    uint8_t *next = *words;
    while (steps > 0) {
        const int step = steps - 1;
        __m256i symbol[2], frequency[2];
        int escapes = 0;
        EACH(v, vectors) {
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
            const uint32_t mask = ~mask_of(fits) & 255;
            next = put_words(_mm256_extracti128_si256(x[v], 1), mask >> 4, next);
            next = put_words(_mm256_castsi256_si128(x[v]), mask & 15, next);
            x[v] = _mm256_blendv_epi8(_mm256_srli_epi32(x[v], 16), x[v], fits);
        }
        EACH(v, vectors) {
            const __m256i quotient = divide(x[v], frequency[v]);
            const __m256i rest = _mm256_sub_epi32(x[v], _mm256_mullo_epi32(quotient, frequency[v]));
            x[v] = _mm256_add_epi32(_mm256_sll_epi32(quotient, precision_shift), rest);
            x[v] = _mm256_add_epi32(x[v], _mm256_and_si256(symbol[v], low_half));
        }
        steps = step;
    }
    EACH(v, vectors) _mm256_storeu_si256((__m256i *)(state + 8 * v), x[v]);
    *words = next;
    return steps;
}

/* Fewer than eight lanes fill no vector; they are for any machine's kernel. */
AVX2 int n1_avx2_code_steps(const uint32_t *symbols, const int *begin, int lanes, int steps,
                           int precision, uint32_t *state, uint8_t **words) {
    if (lanes < 8)
        return n1_portable_kernels.code_steps(symbols, begin, lanes, steps, precision, state, words);
    return lanes == 16 ? code_lanes(symbols, begin, 2, steps, precision, state, words)
                       : code_lanes(symbols, begin, 1, steps, precision, state, words);
}

#endif
