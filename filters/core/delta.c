/* Differences in time of each channel: of the first order, or of the second (differences of these). */
#include "simple.h"
#include "transform.h"

static size_t bound(size_t size, simple_settings settings) {
    return size + header_frames(settings.num_channels) * frame_bytes(settings.num_channels);
}

/* to[i] = from[i] - from[i - lag], where what is before the beginning is 0. */
static void subtract(const uint8_t *from, uint8_t *to, size_t count, size_t lag) {
    for (size_t i = 0; i < lag && i < count; i++) store_u16(to + 2 * i, load_u16(from + 2 * i));
    for (size_t i = lag; i < count; i++)
        store_u16(to + 2 * i, (uint16_t)(load_u16(from + 2 * i) - load_u16(from + 2 * (i - lag))));
}

static void subtract_twice(const uint8_t *from, uint8_t *to, size_t count, size_t lag) {
    for (size_t i = 0; i < count; i++) {
        const unsigned one = i < lag ? 0 : load_u16(from + 2 * (i - lag));
        const unsigned two = i < 2 * lag ? 0 : load_u16(from + 2 * (i - 2 * lag));
        store_u16(to + 2 * i, (uint16_t)(load_u16(from + 2 * i) - 2 * one + two));
    }
}

static int64_t encode(const uint8_t *data, size_t size, simple_settings settings,
                      uint8_t *payload) {
    uint8_t *const differences = store_header(payload, settings);
    (settings.parameter == 1 ? subtract : subtract_twice)(data, differences, size / 2,
                                                          settings.num_channels);
    return (int64_t)bound(size, settings);
}

static int64_t decoded_size(const uint8_t *payload, size_t size) {
    simple_settings settings;
    const int64_t header = load_header(&SIMPLE_DELTA, payload, size, &settings);
    return header < 0 ? header : (int64_t)size - header;
}

static int decode(const uint8_t *payload, size_t size, uint8_t *data) {
    simple_settings settings;
    const int64_t header = load_header(&SIMPLE_DELTA, payload, size, &settings);
    if (header < 0) return (int)header;
    const uint8_t *const differences = payload + header;
    const size_t count = (size - (size_t)header) / 2, lag = settings.num_channels;
    for (size_t i = 0; i < count; i++) {
        const unsigned one = i < lag ? 0 : load_u16(data + 2 * (i - lag));
        const unsigned two = i < 2 * lag ? 0 : load_u16(data + 2 * (i - 2 * lag));
        const unsigned expected = settings.parameter == 1 ? one : 2 * one - two;
        store_u16(data + 2 * i, (uint16_t)(load_u16(differences + 2 * i) + expected));
    }
    return N1_OK;
}

const simple_codec SIMPLE_DELTA = {
    .name = "delta",
    .least = 1,
    .most = 2,
    .is_transform = 1,
    .bound = bound,
    .encode = encode,
    .decoded_size = decoded_size,
    .decode = decode,
};
