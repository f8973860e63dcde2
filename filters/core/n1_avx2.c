/* The kernels with AVX2, for machines that turn out to have it; see n1_kernels.h. */
#include "n1_kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <string.h>

#include "adc_loops.h"

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE __attribute__((target("avx2"), always_inline)) static inline

/*
 * Look-ups of eight lanes go through general registers: on many processors that is faster than
 * a gather, and on none much slower.
 */
AVX2_INLINE __m256i look_up_u32(const uint32_t *table, __m256i index) {
    uint32_t i[8];
    _mm256_storeu_si256((__m256i *)i, index);
    return _mm256_setr_epi32((int)table[i[0]], (int)table[i[1]], (int)table[i[2]],
                             (int)table[i[3]], (int)table[i[4]], (int)table[i[5]],
                             (int)table[i[6]], (int)table[i[7]]);
}

AVX2_INLINE __m256i look_up_i16(const int16_t *table, __m256i index) {
    uint32_t i[8];
    _mm256_storeu_si256((__m256i *)i, index);
    return _mm256_setr_epi32(table[i[0]], table[i[1]], table[i[2]], table[i[3]], table[i[4]],
                             table[i[5]], table[i[6]], table[i[7]]);
}

/* Cells of eight lanes: their edges, and their y with the sample above it. */
AVX2_INLINE void look_up_cells(const cell *cells, __m256i index, __m256i *edges, __m256i *rest) {
    uint32_t i[8];
    _mm256_storeu_si256((__m256i *)i, index);
#define TWO(a, b) \
    _mm_castpd_si128(_mm_loadh_pd(_mm_load_sd((const double *)(cells + i[a])), (const double *)(cells + i[b])))
    const __m256 even = _mm256_castsi256_ps(_mm256_setr_m128i(TWO(0, 1), TWO(4, 5)));
    const __m256 odd = _mm256_castsi256_ps(_mm256_setr_m128i(TWO(2, 3), TWO(6, 7)));
#undef TWO
    *edges = _mm256_castps_si256(_mm256_shuffle_ps(even, odd, 0x88));
    *rest = _mm256_castps_si256(_mm256_shuffle_ps(even, odd, 0xDD));
}

/* Two numbers for each lane, at the indices in its low and in its high half. */
AVX2_INLINE __m256i look_up_pairs(const uint16_t *table, __m256i indices) {
    uint16_t i[16];
    _mm256_storeu_si256((__m256i *)i, indices);
#define PAIR(lane) (int)(table[i[2 * lane]] | (uint32_t)table[i[2 * lane + 1]] << 16)
    return _mm256_setr_epi32(PAIR(0), PAIR(1), PAIR(2), PAIR(3), PAIR(4), PAIR(5), PAIR(6), PAIR(7));
#undef PAIR
}

/* For each set of lanes that want a word: which of the next eight words each one gets. */
static const uint64_t *word_orders(void);

/* For each set of lanes that give a word: these lanes in order, at the end of eight. */
static const uint64_t *last_orders(void);

AVX2_INLINE __m256i limit(__m256i value, __m256i low, __m256i high) {
    return _mm256_min_epi32(_mm256_max_epi32(value, low), high);
}

/* Refill the states below 2^16 with words, in the order of the lanes. */
AVX2_INLINE __m256i refill(__m256i x, const uint8_t **words, const uint64_t *orders) {
    const __m256i wants = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
    const int mask = _mm256_movemask_ps(_mm256_castsi256_ps(wants));
    const __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(orders + mask)));
    const __m256i next = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)*words));
    *words += 2 * __builtin_popcount((unsigned)mask);
    const __m256i filled =
        _mm256_or_si256(_mm256_slli_epi32(x, 16), _mm256_permutevar8x32_epi32(next, order));
    return _mm256_blendv_epi8(x, filled, wants);
}

/* Low halves of 32-bit lanes as 16-bit ones, from one or two vectors. */
AVX2_INLINE void store_row(uint16_t *row, const __m256i *lanes, int vectors) {
    const __m256i low = _mm256_set1_epi32(0xFFFF);
    const __m256i first = _mm256_and_si256(lanes[0], low);
    const __m256i second = _mm256_and_si256(lanes[vectors - 1], low);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(first, second), 0xD8);
    if (vectors == 2)
        _mm256_storeu_si256((__m256i *)row, packed);
    else
        _mm_storeu_si128((__m128i *)row, _mm256_castsi256_si128(packed));
}

/* Coefficients of full order in pairs for multiply-add, zeros behind them. */
AVX2_INLINE void pair_coefficients(const predictor *p, int num_pairs, __m256i *pairs) {
    for (int j = 0; j < num_pairs; j++) {
        const int16_t *a = p->coefficients[p->order];
        const uint32_t first = 2 * j < p->order ? (uint16_t)a[2 * j] : 0;
        const uint32_t second = 2 * j + 1 < p->order ? (uint16_t)a[2 * j + 1] : 0;
        pairs[j] = _mm256_set1_epi32((int)(first | second << 16));
    }
}

/* For each vector of eight lanes, unrolled. */
#define EACH(v) _Pragma("GCC unroll 2") for (int v = 0; v < vectors; v++)

AVX2_INLINE int decode_rows(lane_decoder *d, int first, int count, int vectors, block_kind kind,
                            int num_pairs) {
    const predictor *p = &d->predictor;
    const class_tables *tables = &d->tables[0];
    const int order = p->order, precision = d->b->precision;
    const uint64_t *orders = word_orders();
    __m256i coefficients[MAX_ORDER / 2];
    pair_coefficients(p, num_pairs, coefficients);
    /* y of a step and of the one before it, as pairs for multiply-add, in strip order. */
    __m256i pairs[MAX_ORDER + STRIP_ROWS][2];
    for (int row = first - 2 * num_pairs; row < first; row++) {
    EACH(v) {
            const int at = MAX_ORDER + row;
            const __m256i now =
                _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(d->y[at] + 8 * v)));
            const __m256i before =
                at > 0 ? _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(d->y[at - 1] + 8 * v)))
                       : _mm256_setzero_si256();
            pairs[at][v] = _mm256_or_si256(now, _mm256_slli_epi32(before, 16));
        }
    }
    __m256i x[2];
    EACH(v) x[v] = _mm256_loadu_si256((const __m256i *)(d->state + 8 * v));

    const __m256i last_slot = _mm256_set1_epi32((1 << precision) - 1);
    const __m256i last_symbol = _mm256_set1_epi32((int)symbol_slots(d->b) - 1);
    const __m256i bias = _mm256_set1_epi32(p->bias[order]);
    const __m128i shift = _mm_cvtsi32_si128(p->shift[order]);
    const __m128i precision_shift = _mm_cvtsi32_si128(precision);
    const __m256i lowest_y = _mm256_set1_epi32(d->lowest_y);
    const __m256i highest_y = _mm256_set1_epi32(d->highest_y);
    const __m256i first_position = _mm256_set1_epi32(d->first_position);
    const __m256i last_position = _mm256_set1_epi32(d->last_position);
    const __m256i reach = _mm256_set1_epi16((short)(tables->reach > 32767 ? 32767 : tables->reach));
    const __m256i minus_reach = _mm256_set1_epi16((short)-tables->reach);
    const uint16_t *below = kind == KIND_WIDTH ? tables->below - tables->reach : 0;
    const int low_count = d->b->classes[0].low_bits;
    const __m128i low_shift = _mm_cvtsi32_si128(low_count);
    /* Residuals in the table are 128 too great, and then there is the rounding to undo. */
    const __m256i low_middle = _mm256_set1_epi32((1 << low_count >> 1) + (128 << low_count));
    const __m256i zero = _mm256_setzero_si256(), low_half = _mm256_set1_epi32(0xFFFF);

    __m256i newest[2] = {pairs[MAX_ORDER + first - 1][0], pairs[MAX_ORDER + first - 1][vectors - 1]};
    const uint8_t *words = d->words;
    int row = first;
    for (; row < first + count && d->words_end - words >= 16 * vectors; row++) {
        const int at = MAX_ORDER + row;
        __m256i slot[2], mu[2], y[2], value[2], symbol[2];
        int escapes = 0;
        EACH(v) {
            slot[v] = _mm256_and_si256(x[v], last_slot);
            escapes |= _mm256_movemask_epi8(_mm256_cmpgt_epi32(slot[v], last_symbol));
        }
        if (escapes) break;
        /*
         * Each look-up waits for the one before it. Going through both vectors step by step lets
         * a processor wait for both at a time.
         */
        EACH(v) symbol[v] = kind == KIND_WIDTH ? look_up_i16(tables->distance, slot[v])
                                               : look_up_u32(tables->symbols, slot[v]);
        EACH(v) {
            /* Oldest first: the newest values come last into the sum, as they come last at all. */
            __m256i even = bias, odd = zero;
#pragma GCC unroll 16
            for (int j = num_pairs - 1; j >= 0; j--) {
                const __m256i past = j == 0 ? newest[v] : pairs[at - 1 - 2 * j][v];
                const __m256i term = _mm256_madd_epi16(past, coefficients[j]);
                if (j & 1)
                    odd = _mm256_add_epi32(odd, term);
                else
                    even = _mm256_add_epi32(even, term);
            }
            const __m256i sum = _mm256_sra_epi32(_mm256_add_epi32(even, odd), shift);
            mu[v] = limit(sum, lowest_y, highest_y);
        }
        if (kind == KIND_WIDTH) {
            __m256i edges[2];
            EACH(v) {
                const __m256i position =
                    limit(_mm256_add_epi32(mu[v], symbol[v]), first_position, last_position);
                look_up_cells(d->cells, _mm256_sub_epi32(position, first_position), &edges[v], &y[v]);
                value[v] = _mm256_srli_epi32(y[v], 16);
                const __m256i twice_mu =
                    _mm256_or_si256(_mm256_slli_epi32(mu[v], 16), _mm256_and_si256(mu[v], low_half));
                edges[v] = _mm256_subs_epi16(edges[v], twice_mu);
                edges[v] = _mm256_min_epi16(_mm256_max_epi16(edges[v], minus_reach), reach);
                edges[v] = _mm256_sub_epi16(edges[v], minus_reach);
            }
            EACH(v) {
                const __m256i slots = look_up_pairs(below, edges[v]);
                const __m256i start = _mm256_and_si256(slots, low_half);
                const __m256i frequency = _mm256_sub_epi32(_mm256_srli_epi32(slots, 16), start);
                x[v] = _mm256_mullo_epi32(frequency, _mm256_srl_epi32(x[v], precision_shift));
                x[v] = _mm256_add_epi32(x[v], _mm256_sub_epi32(slot[v], start));
            }
        } else {
            EACH(v) {
                const __m256i residual = _mm256_and_si256(symbol[v], _mm256_set1_epi32(255));
                const __m256i frequency =
                    _mm256_and_si256(_mm256_srli_epi32(symbol[v], 8), _mm256_set1_epi32(4095));
                const __m256i low_bits = _mm256_cvtepu16_epi32(
                    _mm_loadu_si128((const __m128i *)(d->rows[row] + 8 * v)));
                const __m256i difference = _mm256_sub_epi32(
                    _mm256_add_epi32(_mm256_sll_epi32(residual, low_shift), low_bits), low_middle);
                value[v] = y[v] = _mm256_add_epi32(mu[v], difference);
                x[v] = _mm256_mullo_epi32(frequency, _mm256_srl_epi32(x[v], precision_shift));
                x[v] = _mm256_add_epi32(x[v], _mm256_srli_epi32(symbol[v], 20));
            }
        }
        EACH(v) {
            x[v] = refill(x[v], &words, orders);
            newest[v] = _mm256_blend_epi16(_mm256_slli_epi32(newest[v], 16), y[v], 0x55);
            pairs[at][v] = newest[v];
        }
        store_row(d->rows[row], value, vectors);
        store_row((uint16_t *)d->y[at], y, vectors);
    }
    EACH(v) _mm256_storeu_si256((__m256i *)(d->state + 8 * v), x[v]);
    d->words = words;
    return row - first;
}

#define VARIANT(name, vectors, kind, num_pairs)                          \
    AVX2 static int name(lane_decoder *d, int first, int count) {        \
        return decode_rows(d, first, count, vectors, kind, num_pairs); \
    }
VARIANT(decode_integer_8_by_8, 1, KIND_INTEGER, 4)
VARIANT(decode_integer_16_by_8, 2, KIND_INTEGER, 4)
VARIANT(decode_integer_8_by_32, 1, KIND_INTEGER, 16)
VARIANT(decode_integer_16_by_32, 2, KIND_INTEGER, 16)
VARIANT(decode_width_8_by_16, 1, KIND_WIDTH, 8)
VARIANT(decode_width_16_by_16, 2, KIND_WIDTH, 8)
VARIANT(decode_width_8_by_32, 1, KIND_WIDTH, 16)
VARIANT(decode_width_16_by_32, 2, KIND_WIDTH, 16)

/* Lanes by order. */
static int decode_rows_of_any(lane_decoder *d, int first, int count) {
    const int order = d->predictor.order, sixteen = num_lanes(d->b) == 16;
    if (num_lanes(d->b) < 8) return n1_portable_kernels.decode_rows(d, first, count);
    if (d->b->kind == KIND_INTEGER) {
        if (order <= 8) return (sixteen ? decode_integer_16_by_8 : decode_integer_8_by_8)(d, first, count);
        return (sixteen ? decode_integer_16_by_32 : decode_integer_8_by_32)(d, first, count);
    }
    if (order <= 16) return (sixteen ? decode_width_16_by_16 : decode_width_8_by_16)(d, first, count);
    return (sixteen ? decode_width_16_by_32 : decode_width_8_by_32)(d, first, count);
}

/* Columns of eight rows: each step brings together what lies twice as far apart. */
AVX2_INLINE void transpose_8(const uint16_t (*rows)[MAX_LANES], int first_lane, int16_t *columns) {
    __m128i a[8], b[8];
    for (int i = 0; i < 8; i++) a[i] = _mm_loadu_si128((const __m128i *)(rows[i] + first_lane));
    for (int i = 0; i < 4; i++) {
        b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
        b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
    }
    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm_unpacklo_epi16(b[i], b[i + 4]);
        a[2 * i + 1] = _mm_unpackhi_epi16(b[i], b[i + 4]);
    }
    for (int i = 0; i < 4; i++) {
        b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
        b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
    }
    for (int i = 0; i < 8; i++)
        _mm_storeu_si128((__m128i *)(columns + (first_lane + i) * STRIP_ROWS), b[i]);
}

AVX2 static void transpose(const uint16_t rows[STRIP_ROWS][MAX_LANES],
                           int16_t columns[MAX_LANES][STRIP_ROWS]) {
    for (int row = 0; row < STRIP_ROWS; row += 8)
        for (int lane = 0; lane < MAX_LANES; lane += 8)
            transpose_8(rows + row, lane, columns[0] + row);
}

AVX2 static void correlate(const int16_t *y, int begin, int end, int max_lag, int64_t *r) {
    for (int lag = 0; lag <= max_lag; lag++) {
        const int from = begin < lag ? lag : begin;
        int64_t sum = 0;
        __m256i sums = _mm256_setzero_si256();
        int i = from;
        for (; i + 16 <= end; i += 16) {
            const __m256i a = _mm256_loadu_si256((const __m256i *)(y + i));
            const __m256i b = _mm256_loadu_si256((const __m256i *)(y + i - lag));
            const __m256i products = _mm256_madd_epi16(a, b);
            sums = _mm256_add_epi64(sums, _mm256_cvtepi32_epi64(_mm256_castsi256_si128(products)));
            sums = _mm256_add_epi64(sums, _mm256_cvtepi32_epi64(_mm256_extracti128_si256(products, 1)));
        }
        int64_t four[4];
        _mm256_storeu_si256((__m256i *)four, sums);
        sum = four[0] + four[1] + four[2] + four[3];
        for (; i < end; i++) sum += y[i] * y[i - lag];
        r[lag] = sum;
    }
}

AVX2_INLINE void predict_with(const predictor *p, const int16_t *y, int begin, int end, int32_t low,
                              int32_t high, int16_t *out, int num_pairs) {
    const int order = p->order;
    __m256i coefficients[MAX_ORDER / 2];
    pair_coefficients(p, num_pairs, coefficients);
    const __m256i bias = _mm256_set1_epi32(p->bias[order]);
    const __m128i shift = _mm_cvtsi32_si128(p->shift[order]);
    const __m256i lowest = _mm256_set1_epi16((short)low), highest = _mm256_set1_epi16((short)high);
    int i = begin;
    for (; i < 2 * num_pairs && i < end; i++)
        out[i] = (int16_t)clamp(predict(p, order, y + i, 1), low, high);
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
        /* Saturation to 16 bits comes before limits that lie within them. */
        __m256i sum = _mm256_packs_epi32(_mm256_sra_epi32(low_sum, shift),
                                         _mm256_sra_epi32(high_sum, shift));
        sum = _mm256_min_epi16(_mm256_max_epi16(sum, lowest), highest);
        _mm256_storeu_si256((__m256i *)(out + i), sum);
    }
    for (; i < end; i++) out[i] = (int16_t)clamp(predict(p, order, y + i, 1), low, high);
}

AVX2 static void predict_all(const predictor *p, const int16_t *y, int begin, int end, int32_t low,
                             int32_t high, int16_t *out) {
    if (p->order <= 8)
        predict_with(p, y, begin, end, low, high, out, 4);
    else if (p->order <= 16)
        predict_with(p, y, begin, end, low, high, out, 8);
    else if (p->order <= 24)
        predict_with(p, y, begin, end, low, high, out, 12);
    else
        predict_with(p, y, begin, end, low, high, out, 16);
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
            const __m256i both = look_up_u32((const uint32_t *)(const void *)cells->edges, indices[v]);
            __m256i edges = _mm256_subs_epi16(both, mus[v]);
            edges = _mm256_min_epi16(_mm256_max_epi16(edges, minus_reach), reach);
            const __m256i slots = look_up_pairs(below, _mm256_sub_epi16(edges, minus_reach));
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
    return lanes == 16 ? code_lanes(symbols, begin, 2, steps, precision, state, words)
                       : code_lanes(symbols, begin, 1, steps, precision, state, words);
}

AVX2 static void adc_encode(const int16_t *src, int16_t *dst, size_t count) {
    adc_encode_loop(src, dst, count);
}

AVX2 static void adc_decode(const int16_t *src, int16_t *dst, size_t count) {
    adc_decode_loop(src, dst, count);
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
    decode_rows_of_any, adc_encode, adc_decode, transpose,
    correlate,          predict_all, find_cells, code_steps};

const n1_kernels *n1_avx2_kernels(void) {
    return __builtin_cpu_supports("avx2") ? &avx2_kernels : NULL;
}

#else

const n1_kernels *n1_avx2_kernels(void) { return 0; }

#endif
