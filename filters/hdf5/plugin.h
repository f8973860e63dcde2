/*
 * What the HDF5 plugins share. Each is one file that includes this, defines `encode` and `decode`
 * and ends in PLUGIN; cd_values are specified in filters/format/stores.md.
 *
 * Nothing of libhdf5 is called, so that one library serves every HDF5 that loads it, also those
 * inside Python wheels, whose symbols no plugin can see.
 */
#ifndef N1STORE_PLUGIN_H
#define N1STORE_PLUGIN_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../core/common/export.h"
#include "../core/n1/n1.h"

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

/* Bytes allocated by malloc; no data means failure. */
typedef struct {
    uint8_t *data;
    size_t size;
    size_t capacity;
} buffer;

static const buffer FAILURE = {NULL, 0, 0};

/* A buffer to be filled with `size` bytes. */
static inline buffer allocate(size_t size) {
    return (buffer){.data = malloc(size), .size = size, .capacity = size};
}

static inline buffer fail(buffer unfinished) {
    free(unfinished.data);
    return FAILURE;
}

/* Writes into a buffer from `position` on, which grows as needed. Returns 0 if memory is short. */
static inline int put(buffer *to, size_t position, const void *data, size_t size) {
    const size_t end = position + size;
    if (end > to->capacity) {
        const size_t capacity = 2 * end;
        uint8_t *grown = realloc(to->data, capacity);
        if (grown == NULL) return 0;
        to->data = grown;
        to->capacity = capacity;
    }
    memcpy(to->data + position, data, size);
    if (end > to->size) to->size = end;
    return 1;
}

/* Whether chunks are of use also where they do not become smaller; a plugin may define it before. */
#ifndef MAY_GROW
#define MAY_GROW 0
#endif

/* The first cd_values of filters that must know what is in a chunk. */
enum { CD_LEVEL, CD_DTYPE, CD_CHANNELS, CD_SHARED };

static inline size_t item_size(uint32_t dtype) {
    return dtype == N1_INT8 || dtype == N1_UINT8 ? 1 : 2;
}

/* Says what a chunk of `size` bytes holds, or returns 0 if it cannot be what cd_values say. */
static inline int describe(const unsigned cd_values[], size_t size, n1_info *chunk) {
    const unsigned channels = cd_values[CD_CHANNELS];
    *chunk = (n1_info){.dtype = cd_values[CD_DTYPE],
                       .ndim = channels == 0 ? 1 : 2,
                       .num_channels = channels == 0 ? 1 : channels};
    const uint64_t frame_size = chunk->num_channels * item_size(chunk->dtype);
    chunk->num_samples = size / frame_size;
    return chunk->dtype <= N1_UINT8 && size % frame_size == 0;
}

static buffer encode(const uint8_t *samples, size_t size, size_t cd_nelmts,
                     const unsigned cd_values[]);
static buffer decode(const uint8_t *payload, size_t size, size_t cd_nelmts,
                     const unsigned cd_values[]);

static size_t filter(unsigned flags, size_t cd_nelmts, const unsigned cd_values[], size_t nbytes,
                     size_t *buf_size, void **buf) {
    const int decoding = (flags & H5Z_FLAG_REVERSE) != 0;
    const buffer result = (decoding ? decode : encode)(*buf, nbytes, cd_nelmts, cd_values);
    /* Where the filter is optional, HDF5 stores a chunk that does not become smaller as it is. */
    const int useless =
        !decoding && !MAY_GROW && (flags & H5Z_FLAG_OPTIONAL) && result.size > nbytes;
    if (result.data == NULL || result.size == 0 || useless) {
        free(result.data);
        return 0;
    }
    free(*buf);
    *buf = result.data;
    *buf_size = result.capacity;
    return result.size;
}

/* The two functions by which HDF5 gets to know a plugin. */
N1_API int H5PLget_plugin_type(void);
N1_API const void *H5PLget_plugin_info(void);

#define PLUGIN(filter_id, filter_name)                            \
    static const h5z_class FILTER = {                             \
        .version = H5Z_CLASS_VERSION,                             \
        .id = filter_id,                                          \
        .encoder_present = 1,                                     \
        .decoder_present = 1,                                     \
        .name = filter_name,                                      \
        .filter = filter,                                         \
    };                                                            \
    int H5PLget_plugin_type(void) { return H5PL_TYPE_FILTER; }    \
    const void *H5PLget_plugin_info(void) { return &FILTER; }

#endif
