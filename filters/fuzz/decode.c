/*
 * Any bytes as a payload: nothing is touched outside the buffers, and all paths agree.
 *
 * The checksum would make nearly every input an error in the end. So one that fails is tried once
 * more with the checksum of what came out, and on that, too, all paths must agree.
 */
#include <string.h>

#include "fuzz.h"

enum { MAX_BYTES = 1 << 20 }; /* a few bytes can rightly claim far more than there is time for */

static int64_t decode_on_all_paths(const uint8_t *payload, size_t size, const uint8_t *widths,
                                   uint8_t *samples, size_t bytes) {
    const int64_t result = n1_decode(payload, size, widths, PATHS[0], samples, bytes);
    CHECK(result < 0 || (uint64_t)result == bytes);
    uint8_t *const others = allocate(bytes);
    for (int i = 1; i < num_paths(); i++) {
        CHECK(n1_decode(payload, size, widths, PATHS[i], others, bytes) == result);
        CHECK(result < 0 || memcmp(samples, others, bytes) == 0);
    }
    free(others);
    return result;
}

static void check_decode(const uint8_t *payload, size_t size, const uint8_t *widths) {
    n1_info info;
    const int error = n1_payload_info(payload, size, &info);
    if (error) {
        uint8_t dst;
        CHECK(error < 0);
        CHECK(n1_decode(payload, size, widths, N1_PATH_BEST, &dst, 1) == error);
        return;
    }
    CHECK(n1_encode_bound(&info) > 0);
    const size_t bytes = num_bytes(&info);
    if (bytes > MAX_BYTES) return;

    uint8_t *const samples = allocate(bytes);
    memset(samples, 0, bytes);
    const int64_t result = decode_on_all_paths(payload, size, widths, samples, bytes);
    if (result == N1_ERROR_CORRUPT) {
        uint8_t *const repaired = allocate(size);
        memcpy(repaired, payload, size);
        store_u32(repaired + 4, xxh32(samples, bytes));
        decode_on_all_paths(repaired, size, widths, samples, bytes);
        free(repaired);
    }
    free(samples);

    if (bytes > 0) {
        void *const narrow = allocate(bytes - 1);
        CHECK(n1_decode(payload, size, widths, N1_PATH_BEST, narrow, bytes - 1) < 0);
        free(narrow);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check_decode(data, size, NULL);
    check_decode(data, size, test_widths());
    return 0;
}
