/*
 * Any bytes there and back with a simple codec, with any settings.
 *
 * Input: number of the codec; channels less 1; parameter, counted from the least;
 * then the data, of which transforms take whole frames.
 */
#include <string.h>

#include "fuzz.h"

enum { HEAD = 3 };

/* Of a payload cut off nothing comes out, or no more than went in. */
static void check_beginning(const simple_codec *codec, const uint8_t *payload, size_t length,
                            size_t size) {
    uint8_t *const beginning = allocate(length), *const data = allocate(size);
    memcpy(beginning, payload, length);
    CHECK(simple_decoded_size(codec, beginning, length) <= (int64_t)size);
    CHECK(simple_decode(codec, beginning, length, data, size) <= (int64_t)size);
    free(data);
    free(beginning);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t input_size) {
    if (input_size < HEAD) return 0;
    const simple_codec *const codec = numbered_codec(input[0]);
    const simple_settings settings = {
        .num_channels = 1u + input[1],
        .parameter = codec->least + input[2] % (codec->most - codec->least + 1),
    };
    const uint8_t *const data = input + HEAD; /* at an odd address */
    size_t size = input_size - HEAD;
    if (codec->is_transform) size -= size % (2 * settings.num_channels);

    const int64_t bound = simple_bound(codec, size, settings);
    CHECK(bound >= 0);
    const size_t room = (size_t)bound;
    uint8_t *const payload = allocate(room), *const again = allocate(room);
    memset(payload, 0, room);
    memset(again, 0xFF, room);
    const int64_t result = simple_encode(codec, data, size, settings, payload, room);
    CHECK(result >= 0 && result <= bound);
    CHECK(!codec->is_transform || result == (size > 0 ? bound : 0));
    const size_t length = (size_t)result;
    CHECK(simple_encode(codec, data, size, settings, again, room) == result);
    CHECK(memcmp(payload, again, length) == 0);
    CHECK(room == 0 || simple_encode(codec, data, size, settings, again, room - 1) == N1_ERROR_ROOM);
    free(again);

    uint8_t *const buffer = allocate(size + 1), *const decoded = buffer + 1; /* an odd address */
    memset(buffer, 0xFF, size + 1);
    CHECK(simple_decoded_size(codec, payload, length) == (int64_t)size);
    CHECK(simple_decode(codec, payload, length, decoded, size) == (int64_t)size);
    CHECK(memcmp(data, decoded, size) == 0);
    free(buffer);

    for (size_t cut = 1; cut <= length; cut *= 2)
        check_beginning(codec, payload, length - cut, size);
    free(payload);
    return 0;
}
