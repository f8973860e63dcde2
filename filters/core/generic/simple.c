#include "simple.h"

#include <string.h>

/* Each is defined in its own file. */
#define CODEC(name, filter_id) extern const simple_codec name##_codec;
#include "codecs.def"
#undef CODEC

#define CODEC(name, filter_id) &name##_codec,
static const simple_codec *const CODECS[] = {
#include "codecs.def"
};
#undef CODEC

const simple_codec *simple_codec_numbered(size_t number) {
    return number < sizeof CODECS / sizeof *CODECS ? CODECS[number] : NULL;
}

const simple_codec *simple_codec_named(const char *name) {
    for (size_t i = 0; i < sizeof CODECS / sizeof *CODECS; i++)
        if (strcmp(CODECS[i]->name, name) == 0) return CODECS[i];
    return NULL;
}

int64_t simple_bound(const simple_codec *codec, size_t size, simple_settings settings) {
    const uint64_t frame_size = 2 * (uint64_t)settings.num_channels;
    if (settings.num_channels == 0 || size >> 47 != 0 || settings.parameter < codec->least ||
        settings.parameter > codec->most || (codec->is_transform && size % frame_size != 0))
        return N1_ERROR_ARGUMENT;
    return (int64_t)codec->bound(size, settings);
}

int64_t simple_encode(const simple_codec *codec, const uint8_t *data, size_t size,
                      simple_settings settings, uint8_t *payload, size_t room) {
    const int64_t bound = simple_bound(codec, size, settings);
    if (bound < 0) return bound;
    if ((uint64_t)bound > room) return N1_ERROR_ROOM;
    return size == 0 ? 0 : codec->encode(codec, data, size, settings, payload);
}

int64_t simple_decoded_size(const simple_codec *codec, const uint8_t *payload, size_t size) {
    return size == 0 ? 0 : codec->decoded_size(codec, payload, size);
}

int64_t simple_decode(const simple_codec *codec, const uint8_t *payload, size_t size,
                      uint8_t *data, size_t room) {
    const int64_t decoded = simple_decoded_size(codec, payload, size);
    if (decoded <= 0) return decoded;
    if ((uint64_t)decoded > room) return N1_ERROR_ROOM;
    const int error = codec->decode(codec, payload, size, data);
    return error ? error : decoded;
}
