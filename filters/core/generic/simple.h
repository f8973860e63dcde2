/*
 * The simple codecs: transforms, which turn samples into numbers that other codecs store in less, as
 * delta does, and coders, which store numbers in less, as rle does.
 * Each is one file, which defines a `simple_codec`, a line of codecs.def, and one section of
 * filters/format/codecs.md.
 *
 * Numbers are 16 bits wide, little-endian, at any address; arithmetic on them wraps around, so
 * that any are lossless. Nothing is kept between calls, so any number of threads may work at once.
 *
 * Buffers belong to the caller. Nothing is read outside the source or written outside the
 * destination, whatever bytes a payload holds; working memory is allocated in a call and freed in it.
 */
#ifndef N1STORE_SIMPLE_H
#define N1STORE_SIMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "../common/errors.h"
#include "../common/export.h"

/* What a codec is given beside the data; a payload is decoded without. */
typedef struct {
    uint32_t num_channels; /* numbers in a frame, 1 or more; the data are whole frames */
    uint32_t parameter;    /* `least` to `most` of the codec; 0 for one that has none */
} simple_settings;

typedef struct simple_codec simple_codec;

/* The functions are given the codec that they are of, so that several can share one. */
struct simple_codec {
    const char *name;
    uint32_t least, most; /* of its parameter */
    /*
     * A transform takes and gives whole frames, of which those it adds in front hold what decoding
     * needs to know (transform.h); its payloads have exactly bound() bytes. The others take and
     * give any bytes, also half a number at the end.
     */
    int is_transform;

    const struct word_coder *words; /* of a coder, what coder.h works with; NULL for a transform */

    /* Bytes that no payload of `size` bytes of data, below 2^47, exceeds. */
    size_t (*bound)(size_t size, simple_settings settings);

    /*
     * data     size bytes, whole frames for a transform
     * payload  room for bound(size, settings) bytes
     *
     * Returns the payload's size or a negative n1_error. The same data and settings give the
     * same payload on every machine. No data give an empty payload.
     */
    int64_t (*encode)(const simple_codec *codec, const uint8_t *data, size_t size,
                      simple_settings settings, uint8_t *payload);

    /*
     * Returns the size of the data that a payload claims to hold, or a negative n1_error. It is
     * below 2^47 and is not believed before decoding.
     */
    int64_t (*decoded_size)(const simple_codec *codec, const uint8_t *payload, size_t size);

    /*
     * data  room for decoded_size(payload, size) bytes
     *
     * Returns N1_OK or a negative n1_error, after which `data` holds anything.
     */
    int (*decode)(const simple_codec *codec, const uint8_t *payload, size_t size, uint8_t *data);
};

/* The codec of that name, or NULL. */
N1_API const simple_codec *simple_codec_named(const char *name);

/* The codec with that number, from 0 on in the order of codecs.def, or NULL behind the last one. */
N1_API const simple_codec *simple_codec_numbered(size_t number);

/*
 * The same for callers that know nothing of `simple_codec`; arguments are checked, and `room`
 * bytes are at `payload` or `data`. Return the size of what is there now, or a negative n1_error.
 */
N1_API int64_t simple_bound(const simple_codec *codec, size_t size, simple_settings settings);
N1_API int64_t simple_encode(const simple_codec *codec, const uint8_t *data, size_t size,
                             simple_settings settings, uint8_t *payload, size_t room);
N1_API int64_t simple_decoded_size(const simple_codec *codec, const uint8_t *payload, size_t size);
N1_API int64_t simple_decode(const simple_codec *codec, const uint8_t *payload, size_t size,
                             uint8_t *data, size_t room);

#endif
