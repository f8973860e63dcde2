/* Differences in time of each channel: of the first order, or of the second (differences of these). */
#include "simple.h"
#include "transform.h"

/* Before the beginning everything is 0. `lag` is the number of channels, `count` that of numbers. */
static void encode_order_1(const uint8_t *restrict x, size_t count, size_t lag,
                           uint8_t *restrict differences) {
    memcpy(differences, x, 2 * lag);
    for (size_t i = lag; i < count; i++)
        set_number(differences, i, number_at(x, i) - number_at(x, i - lag));
}

static void encode_order_2(const uint8_t *restrict x, size_t count, size_t lag,
                           uint8_t *restrict differences) {
    memcpy(differences, x, 2 * lag);
    for (size_t i = lag; i < count && i < 2 * lag; i++)
        set_number(differences, i, number_at(x, i) - 2 * number_at(x, i - lag));
    for (size_t i = 2 * lag; i < count; i++)
        set_number(differences, i,
                   number_at(x, i) - 2 * number_at(x, i - lag) + number_at(x, i - 2 * lag));
}

static int64_t encode(const simple_codec *codec, const uint8_t *data, size_t size,
                      simple_settings settings, uint8_t *payload) {
    (void)codec;
    uint8_t *const differences = store_header(payload, settings);
    (settings.parameter == 1 ? encode_order_1 : encode_order_2)(data, size / 2,
                                                                settings.num_channels, differences);
    return (int64_t)transform_bound(size, settings);
}

/*
 * One channel: sums, eight at a time so that their speed does not depend on where the loop is placed
 * in memory; and sums of sums.
 */
static void decode_channel(const uint8_t *restrict differences, size_t count, uint32_t order,
                           uint8_t *restrict x) {
    uint32_t value = 0, step = 0;
    size_t i = 0;
    if (order == 1) {
        for (; i + 8 <= count; i += 8)
            for (size_t j = i; j < i + 8; j++) set_number(x, j, value += number_at(differences, j));
        for (; i < count; i++) set_number(x, i, value += number_at(differences, i));
    } else {
        for (; i < count; i++) set_number(x, i, value += step += number_at(differences, i));
    }
}

/* A frame, from the one before it, or from the two. */
static void decode_order_1(const uint8_t *restrict differences, const uint8_t *restrict one,
                           size_t num_channels, uint8_t *restrict frame) {
    for (size_t c = 0; c < num_channels; c++)
        set_number(frame, c, number_at(differences, c) + number_at(one, c));
}

static void decode_order_2(const uint8_t *restrict differences, const uint8_t *restrict one,
                           const uint8_t *restrict two, size_t num_channels,
                           uint8_t *restrict frame) {
    for (size_t c = 0; c < num_channels; c++)
        set_number(frame, c, number_at(differences, c) + 2 * number_at(one, c) - number_at(two, c));
}

static int64_t decoded_size(const simple_codec *codec, const uint8_t *payload, size_t size) {
    simple_settings settings;
    const int64_t header = load_header(codec, payload, size, &settings);
    return header < 0 ? header : (int64_t)size - header;
}

static int decode(const simple_codec *codec, const uint8_t *payload, size_t size, uint8_t *data) {
    simple_settings settings;
    const int64_t header = load_header(codec, payload, size, &settings);
    if (header < 0) return (int)header;
    const uint8_t *const differences = payload + header;
    const size_t bytes = size - (size_t)header, frame = frame_bytes(settings.num_channels);
    if (settings.num_channels == 1) {
        decode_channel(differences, bytes / 2, settings.parameter, data);
        return N1_OK;
    }
    memcpy(data, differences, bytes > 0 ? frame : 0);
    for (size_t at = frame; at < bytes; at += frame) {
        const uint8_t *const one = data + at - frame;
        if (settings.parameter == 1)
            decode_order_1(differences + at, one, settings.num_channels, data + at);
        else if (at == frame)
            for (size_t c = 0; c < settings.num_channels; c++)
                set_number(data + at, c, number_at(differences + at, c) + 2 * number_at(one, c));
        else
            decode_order_2(differences + at, one, one - frame, settings.num_channels, data + at);
    }
    return N1_OK;
}

const simple_codec delta_codec = {
    .name = "delta",
    .least = 1,
    .most = 2,
    .is_transform = 1,
    .bound = transform_bound,
    .encode = encode,
    .decoded_size = decoded_size,
    .decode = decode,
};
