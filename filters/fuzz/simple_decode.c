/*
 * Any bytes as a payload of a simple codec: nothing is touched outside the buffers, and what comes
 * out is whole and always the same.
 *
 * Input: number of the codec, then the payload.
 */
#include <string.h>

#include "fuzz.h"

enum { MAX_BYTES = 1 << 20 }; /* a few bytes can rightly claim far more than there is time for */

static void check_decode(const simple_codec *codec, const uint8_t *payload, size_t size,
                         size_t claimed) {
    uint8_t *const data = allocate(claimed), *const others = allocate(claimed);
    memset(data, 0, claimed);
    memset(others, 0xFF, claimed); /* so that a byte that is not written shows */
    const int64_t result = simple_decode(codec, payload, size, data, claimed);
    CHECK(result < 0 || (uint64_t)result == claimed);
    CHECK(simple_decode(codec, payload, size, others, claimed) == result);
    CHECK(result < 0 || memcmp(data, others, claimed) == 0);
    free(others);
    free(data);

    if (claimed == 0) return;
    uint8_t *const narrow = allocate(claimed - 1);
    CHECK(simple_decode(codec, payload, size, narrow, claimed - 1) == N1_ERROR_ROOM);
    free(narrow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    const simple_codec *const codec = numbered_codec(data[0]);
    const size_t payload_size = size - 1;
    uint8_t *const payload = allocate(payload_size); /* to the byte, and without that number */
    memcpy(payload, data + 1, payload_size);
    const int64_t claimed = simple_decoded_size(codec, payload, payload_size);
    CHECK(claimed >> 47 <= 0);
    CHECK(!codec->is_transform || claimed <= (int64_t)payload_size);
    if (claimed < 0) {
        uint8_t room;
        CHECK(simple_decode(codec, payload, payload_size, &room, 1) == claimed);
    } else if (claimed <= MAX_BYTES) {
        check_decode(codec, payload, payload_size, (size_t)claimed);
    }
    free(payload);
    return 0;
}
