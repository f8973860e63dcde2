/*
 * HDF5 filters of the simple codecs, one in each library that is built of this file,
 * with CODEC_NAME and FILTER_ID as CMakeLists.txt finds them in codecs.def.
 */
#include "../core/generic/simple.h"

/* What a transform makes of a chunk is larger, and of use to the filter behind it all the same. */
#define MAY_GROW (simple_codec_named(CODEC_NAME)->is_transform)
#include "plugin.h"

/* A transform must know what is in a chunk; the others have no cd_values. */
static int settings_for(const simple_codec *codec, size_t size, size_t cd_nelmts,
                        const unsigned cd_values[], simple_settings *settings) {
    *settings = (simple_settings){.num_channels = 1};
    if (!codec->is_transform) return cd_nelmts == 0;
    n1_info chunk;
    if (cd_nelmts != CD_SHARED || !describe(cd_values, size, &chunk)) return 0;
    if (item_size(chunk.dtype) != 2) return 0;
    *settings = (simple_settings){.num_channels = (uint32_t)chunk.num_channels,
                                  .parameter = cd_values[CD_LEVEL]};
    return 1;
}

static buffer encode(const uint8_t *data, size_t size, size_t cd_nelmts,
                     const unsigned cd_values[]) {
    const simple_codec *codec = simple_codec_named(CODEC_NAME);
    simple_settings settings;
    if (!settings_for(codec, size, cd_nelmts, cd_values, &settings)) return FAILURE;
    const int64_t bound = simple_bound(codec, size, settings);
    if (bound <= 0) return FAILURE;
    buffer payload = allocate((size_t)bound);
    if (payload.data == NULL) return FAILURE;
    const int64_t encoded =
        simple_encode(codec, data, size, settings, payload.data, payload.capacity);
    if (encoded <= 0) return fail(payload);
    payload.size = (size_t)encoded;
    return payload;
}

static buffer decode(const uint8_t *payload, size_t size, size_t cd_nelmts,
                     const unsigned cd_values[]) {
    (void)cd_nelmts, (void)cd_values;
    const simple_codec *codec = simple_codec_named(CODEC_NAME);
    const int64_t decoded = simple_decoded_size(codec, payload, size);
    if (decoded <= 0) return FAILURE;
    const buffer data = allocate((size_t)decoded);
    if (data.data == NULL) return FAILURE;
    return simple_decode(codec, payload, size, data.data, data.capacity) > 0 ? data : fail(data);
}

PLUGIN(FILTER_ID, CODEC_NAME " (n1store)")
