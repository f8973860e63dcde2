/*
 * HDF5 filter 52785: the codec n1 as a plugin; cd_values are specified in filters/FORMAT.md.
 *
 * Nothing of libhdf5 is called, so that one library serves every HDF5 that loads it, also those
 * inside Python wheels, whose symbols no plugin can see.
 */
#include <stdint.h>
#include <stdlib.h>

#include "../core/n1.h"

/* What HDF5 has in H5Zpublic.h and H5PLpublic.h, unchanged since its version 1.8. */
typedef size_t (*h5z_filter)(unsigned flags, size_t cd_nelmts, const unsigned cd_values[],
                             size_t nbytes, size_t *buf_size, void **buf);

typedef struct {
    int version;
    int id;
    unsigned encoder_present;
    unsigned decoder_present;
    const char *name;
    void (*can_apply)(void);
    void (*set_local)(void);
    h5z_filter filter;
} h5z_class;

enum { H5Z_CLASS_VERSION = 1, H5Z_FLAG_OPTIONAL = 0x0001, H5Z_FLAG_REVERSE = 0x0100 };
enum { H5PL_TYPE_FILTER = 0 };

enum { FILTER_ID = 52785 };
enum { WIDTH_BITS = 7 };
enum { CD_LEVEL, CD_DTYPE, CD_CHANNELS, CD_WIDTHS, CD_END = CD_WIDTHS + N1_NUM_CODES * WIDTH_BITS / 32 };

/* As many samples as a byte of a payload can stand for. */
static const uint64_t MAX_SAMPLES_PER_BYTE = 1u << 17;

static size_t item_size(uint32_t dtype) { return dtype == N1_INT8 || dtype == N1_UINT8 ? 1 : 2; }

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

static size_t replace(void **buf, size_t *buf_size, void *result, size_t capacity, size_t size) {
    free(*buf);
    *buf = result;
    *buf_size = capacity;
    return size;
}

static size_t encode(int optional, size_t cd_nelmts, const unsigned cd_values[], size_t nbytes,
                     size_t *buf_size, void **buf) {
    if (cd_nelmts != CD_WIDTHS && cd_nelmts != CD_END) return 0;
    const unsigned channels = cd_values[CD_CHANNELS];
    n1_info info = {.dtype = cd_values[CD_DTYPE],
                    .ndim = channels == 0 ? 1 : 2,
                    .num_channels = channels == 0 ? 1 : channels};
    const uint64_t frame_bytes = info.num_channels * item_size(info.dtype);
    if (nbytes % frame_bytes != 0) return 0;
    info.num_samples = nbytes / frame_bytes;
    const size_t capacity = n1_encode_bound(&info);
    if (capacity == 0) return 0;
    uint8_t *payload = malloc(capacity);
    if (payload == NULL) return 0;
    uint8_t table[N1_NUM_CODES];
    const int level = cd_values[CD_LEVEL] <= N1_LEVEL_MAX ? (int)cd_values[CD_LEVEL] : -1;
    const int64_t size = n1_encode(*buf, &info, level, unpack_widths(cd_nelmts, cd_values, table),
                                   N1_PATH_BEST, payload, capacity);
    /* Where the filter is optional, HDF5 then stores the chunk as it is. */
    if (size <= 0 || (optional && (uint64_t)size > nbytes)) {
        free(payload);
        return 0;
    }
    return replace(buf, buf_size, payload, capacity, (size_t)size);
}

static size_t decode(size_t cd_nelmts, const unsigned cd_values[], size_t nbytes,
                     size_t *buf_size, void **buf) {
    n1_info info;
    if (n1_payload_info(*buf, nbytes, &info) != N1_OK) return 0;
    const uint64_t num_samples = info.num_samples * info.num_channels;
    if (num_samples == 0 || num_samples / MAX_SAMPLES_PER_BYTE > nbytes) return 0;
    const size_t capacity = (size_t)num_samples * item_size(info.dtype);
    void *samples = malloc(capacity);
    if (samples == NULL) return 0;
    uint8_t table[N1_NUM_CODES];
    const int64_t size = n1_decode(*buf, nbytes, unpack_widths(cd_nelmts, cd_values, table),
                                   N1_PATH_BEST, samples, capacity);
    if (size <= 0) {
        free(samples);
        return 0;
    }
    return replace(buf, buf_size, samples, capacity, (size_t)size);
}

static size_t filter(unsigned flags, size_t cd_nelmts, const unsigned cd_values[], size_t nbytes,
                     size_t *buf_size, void **buf) {
    if (flags & H5Z_FLAG_REVERSE) return decode(cd_nelmts, cd_values, nbytes, buf_size, buf);
    return encode((flags & H5Z_FLAG_OPTIONAL) != 0, cd_nelmts, cd_values, nbytes, buf_size, buf);
}

static const h5z_class FILTER = {
    .version = H5Z_CLASS_VERSION,
    .id = FILTER_ID,
    .encoder_present = 1,
    .decoder_present = 1,
    .name = "n1: lossless codec for neural recordings (n1store)",
    .filter = filter,
};

/* The two functions by which HDF5 gets to know a plugin. */
N1_API int H5PLget_plugin_type(void);
N1_API const void *H5PLget_plugin_info(void);

int H5PLget_plugin_type(void) { return H5PL_TYPE_FILTER; }

const void *H5PLget_plugin_info(void) { return &FILTER; }
