/* What is in front in all transforms: how many channels there are, and the parameter. */
#ifndef N1STORE_TRANSFORM_H
#define N1STORE_TRANSFORM_H

#include "../common/bytes.h"
#include "simple.h"

enum { TRANSFORM_HEADER = 3 }; /* numbers: the low and high half of num_channels, the parameter */

/*
 * The fewest whole frames that have a multiple of 8 numbers. What is in front of the data always is
 * a multiple of this, so that a codec behind which takes numbers by eights, such as a bitshuffle,
 * finds as many of them as without the transform.
 */
static inline size_t frames_of_eights(uint32_t num_channels) {
    return num_channels % 8 == 0 ? 1 : num_channels % 4 == 0 ? 2 : num_channels % 2 == 0 ? 4 : 8;
}

static inline size_t header_frames(uint32_t num_channels) {
    return frames_of_eights(num_channels); /* 8 numbers at least, hence room for the header */
}

static inline size_t frame_bytes(uint32_t num_channels) { return 2 * (size_t)num_channels; }

/* Bytes of a payload that has nothing in front but the header. */
static inline size_t transform_bound(size_t size, simple_settings settings) {
    return size + header_frames(settings.num_channels) * frame_bytes(settings.num_channels);
}

/* Returns the first byte after the header. */
static inline uint8_t *store_header(uint8_t *payload, simple_settings settings) {
    const size_t size = header_frames(settings.num_channels) * frame_bytes(settings.num_channels);
    memset(payload, 0, size);
    store_u16(payload, (uint16_t)settings.num_channels);
    store_u16(payload + 2, (uint16_t)(settings.num_channels >> 16));
    store_u16(payload + 4, (uint16_t)settings.parameter);
    return payload + size;
}

/*
 * Returns the size of the header, or a negative n1_error if it is none of this codec, or is not
 * followed by whole frames.
 */
static inline int64_t load_header(const simple_codec *codec, const uint8_t *payload, size_t size,
                                  simple_settings *settings) {
    if (size < 2 * TRANSFORM_HEADER) return N1_ERROR_FORMAT;
    settings->num_channels = load_u16(payload) | (uint32_t)load_u16(payload + 2) << 16;
    settings->parameter = load_u16(payload + 4);
    if (settings->num_channels == 0 || settings->parameter < codec->least ||
        settings->parameter > codec->most)
        return N1_ERROR_FORMAT;
    const size_t frame = frame_bytes(settings->num_channels);
    const size_t header = header_frames(settings->num_channels) * frame;
    return size < header || size % frame != 0 ? N1_ERROR_CORRUPT : (int64_t)header;
}

/* Number i of those at an address, and what it is set to modulo 2^16. */
static inline uint32_t number_at(const uint8_t *numbers, size_t i) {
    return load_u16(numbers + 2 * i);
}

static inline void set_number(uint8_t *numbers, size_t i, uint32_t value) {
    store_u16(numbers + 2 * i, (uint16_t)value);
}

#endif
