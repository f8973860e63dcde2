/*
 * Any bytes as a payload: nothing is touched outside the buffers, all paths agree, and so do parts
 * with the whole. Checksums do not count here, as nearly every input would be an error.
 */
#include <string.h>

#include "fuzz.h"

enum { MAX_BYTES = 1 << 20 }; /* a few bytes can rightly claim far more than there is time for */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    n1_info info;
    const int error = n1_payload_info(data, size, &info);
    if (error) {
        uint8_t dst;
        CHECK(error < 0);
        CHECK(n1_decode(data, size, NULL, N1_PATH_BEST, &dst, 1) == error);
        return 0;
    }
    CHECK(n1_encode_bound(&info) > 0);
    const size_t bytes = num_bytes(&info);
    if (bytes > MAX_BYTES) return 0;

    uint8_t *const payload = allocate(size);
    uint8_t *const samples = allocate(bytes), *const others = allocate(bytes);
    memcpy(payload, data, size);
    memset(samples, 0, bytes);

    const uint8_t *widths = NULL;
    int64_t result = n1_decode(payload, size, widths, PATHS[0], samples, bytes);
    if (result == N1_ERROR_WIDTHS) {
        widths = test_widths();
        result = n1_decode(payload, size, widths, PATHS[0], samples, bytes);
    }
    CHECK(result < 0 || (uint64_t)result == bytes);
    for (int i = 1; i < num_paths(); i++) {
        CHECK(n1_decode(payload, size, widths, PATHS[i], others, bytes) == result);
        CHECK(result < 0 || memcmp(samples, others, bytes) == 0);
    }
    free(others);
    for (int i = 0; i < num_paths(); i++)
        for (size_t at = 0; at < size && at < 4; at++)
            check_part(payload, size, &info, widths, PATHS[i], payload[size - 1 - at] * 0x9E3779B97F4A7C15u,
                       result < 0 ? NULL : samples);
    if (bytes > 0) {
        void *const narrow = allocate(bytes - 1);
        CHECK(n1_decode(payload, size, widths, N1_PATH_BEST, narrow, bytes - 1) < 0);
        free(narrow);
    }
    free(samples);
    free(payload);
    return 0;
}
