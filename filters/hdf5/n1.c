/* HDF5 filter 52785: the codec n1. */
#include "plugin.h"

enum { WIDTH_BITS = 7 };
/* Behind those that there always are. */
enum {
    CD_BLOCK_SAMPLES = CD_SHARED,
    CD_WIDTHS,
    CD_END = CD_WIDTHS + N1_NUM_CODES * WIDTH_BITS / 32
};

/*
 * Whether a payload of so many bytes is taken to hold so many samples. A few bytes can rightly
 * stand for any number that are all the same, but a damaged header must not cost all memory.
 */
static int is_plausible(uint64_t num_values, size_t payload_size) {
    return num_values <= 1u << 26 || num_values >> 17 <= payload_size;
}

/* Returns the table of code widths in cd_values, unpacked to `table`; NULL if there is none. */
static const uint8_t *unpack_widths(size_t cd_nelmts, const unsigned cd_values[], uint8_t *table) {
    if (cd_nelmts < CD_END) return NULL;
    const unsigned *next = cd_values + CD_WIDTHS;
    uint64_t bits = 0;
    int count = 0;
    for (int i = 0; i < N1_NUM_CODES; i++) {
        if (count < WIDTH_BITS) {
            bits |= (uint64_t)*next++ << count;
            count += 32;
        }
        table[i] = bits & ((1u << WIDTH_BITS) - 1);
        bits >>= WIDTH_BITS;
        count -= WIDTH_BITS;
    }
    return table;
}

static buffer encode(const uint8_t *samples, size_t size, size_t cd_nelmts,
                     const unsigned cd_values[]) {
    n1_info chunk;
    if (cd_nelmts != CD_SHARED && cd_nelmts != CD_WIDTHS && cd_nelmts != CD_END) return FAILURE;
    if (!describe(cd_values, size, &chunk)) return FAILURE;
    chunk.block_samples = cd_nelmts > CD_BLOCK_SAMPLES ? cd_values[CD_BLOCK_SAMPLES] : 0;
    const size_t bound = n1_encode_bound(&chunk);
    if (bound == 0) return FAILURE;
    buffer payload = allocate(bound);
    if (payload.data == NULL) return FAILURE;
    uint8_t table[N1_NUM_CODES];
    const int level = cd_values[CD_LEVEL] <= N1_LEVEL_MAX ? (int)cd_values[CD_LEVEL] : -1;
    const int64_t encoded = n1_encode(samples, &chunk, level,
                                      unpack_widths(cd_nelmts, cd_values, table), N1_PATH_BEST,
                                      payload.data, payload.capacity);
    if (encoded <= 0 || !is_plausible(chunk.num_samples * chunk.num_channels, (size_t)encoded))
        return fail(payload);
    payload.size = (size_t)encoded;
    return payload;
}

static buffer decode(const uint8_t *payload, size_t size, size_t cd_nelmts,
                     const unsigned cd_values[]) {
    n1_info chunk;
    if (n1_payload_info(payload, size, &chunk) != N1_OK) return FAILURE;
    const uint64_t num_values = chunk.num_samples * chunk.num_channels;
    if (num_values == 0 || !is_plausible(num_values, size)) return FAILURE;
    const buffer samples = allocate((size_t)num_values * item_size(chunk.dtype));
    if (samples.data == NULL) return FAILURE;
    uint8_t table[N1_NUM_CODES];
    const int64_t decoded = n1_decode(payload, size, unpack_widths(cd_nelmts, cd_values, table),
                                      N1_PATH_BEST, samples.data, samples.capacity);
    return decoded > 0 ? samples : fail(samples);
}

PLUGIN(52785, "n1 (n1store)")
