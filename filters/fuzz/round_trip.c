#include <string.h>

#include "fuzz.h"

/* The same payload again, and none where there is too little room for it. */
static void check_encode(const void *samples, const n1_info *info, int level,
                         const uint8_t *widths, n1_path path, const uint8_t *payload, size_t size) {
    const size_t bound = n1_encode_bound(info);
    uint8_t *const again = allocate(bound);
    CHECK(n1_encode(samples, info, level, widths, path, again, bound) == (int64_t)size);
    CHECK(memcmp(again, payload, size) == 0);
    free(again);

    /* By one byte, and by some number that the checksum draws. */
    const size_t rooms[] = {size - 1, payload[4] * size / 256};
    for (int i = 0; i < 2; i++) {
        uint8_t *const narrow = allocate(rooms[i]);
        CHECK(n1_encode(samples, info, level, widths, path, narrow, rooms[i]) == N1_ERROR_ROOM);
        free(narrow);
    }
}

static void check_decode(const void *samples, const n1_info *info, const uint8_t *widths,
                         n1_path path, const uint8_t *payload, size_t size) {
    const size_t bytes = num_bytes(info);
    uint8_t *const buffer = allocate(bytes + 1), *const decoded = buffer + 1; /* an odd address */
    CHECK(n1_decode(payload, size, widths, path, decoded, bytes) == (int64_t)bytes);
    CHECK(memcmp(decoded, samples, bytes) == 0);

    const size_t length = payload[5] * size / 256;
    uint8_t *const beginning = allocate(length);
    memcpy(beginning, payload, length);
    CHECK(n1_decode(beginning, length, widths, path, decoded, bytes) < 0);
    free(beginning);
    free(buffer);
}

void check_round_trip(const void *samples, const n1_info *info, int level, const uint8_t *widths) {
    const size_t bound = n1_encode_bound(info);
    CHECK(bound > 0);
    uint8_t *const dst = allocate(bound);
    const int64_t size = n1_encode(samples, info, level, widths, PATHS[0], dst, bound);
    if (size == N1_ERROR_ARGUMENT && widths != NULL) { /* a table that cannot be used */
        free(dst);
        return;
    }
    CHECK(size > 0 && (uint64_t)size <= bound);
    CHECK((uint64_t)size <= num_bytes(info) + 16 + num_bytes(info) / 1000);
    uint8_t *const payload = allocate((size_t)size);
    memcpy(payload, dst, (size_t)size);
    free(dst);

    CHECK(load_u32(payload + CHECKSUM_AT) == checksum_of(samples, info, payload, (size_t)size));

    n1_info found;
    CHECK(n1_payload_info(payload, size < 32 ? (size_t)size : 32, &found) == N1_OK);
    CHECK(found.dtype == info->dtype && found.ndim == info->ndim);
    CHECK(found.num_samples == info->num_samples && found.num_channels == info->num_channels);

    for (int i = 0; i < num_paths(); i++)
        check_decode(samples, info, widths, PATHS[i], payload, (size_t)size);
    check_encode(samples, info, level, widths, PATHS[num_paths() - 1], payload, (size_t)size);
    free(payload);
}
