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

void check_part(const uint8_t *payload, size_t size, const n1_info *info, const uint8_t *widths,
                n1_path path, uint64_t choice, const uint8_t *samples) {
    uint32_t *const channels = allocate((size_t)info->num_channels * sizeof(*channels));
    const n1_part part = choose_part(info, choice, channels);
    const size_t row = (size_t)part.row_bytes, item = part.num_channels ? row / part.num_channels : 0;
    const size_t room = row * (size_t)part.num_samples;
    uint8_t *const found = allocate(room), *const sparse = allocate(size);
    memcpy(sparse, payload, size);
    const int64_t index_size = n1_index_size(payload, size);
    if (index_size > 0 && (uint64_t)index_size <= size) {
        const uint64_t in_time = (info->num_samples + info->block_samples - 1) / info->block_samples;
        const size_t most = (size_t)(in_time * info->num_channels) + 1;
        n1_range *const ranges = allocate(most * sizeof(*ranges));
        uint8_t *const index = allocate((size_t)index_size);
        memcpy(index, payload, (size_t)index_size);
        const int64_t count = n1_part_ranges(index, (size_t)index_size, &part, ranges, most);
        CHECK(count > 0 || samples == NULL);
        for (int64_t i = 0, end = 0; i <= count && count > 0; i++) {
            const uint64_t begin = i < count ? ranges[i].begin : size;
            if (samples != NULL) CHECK(begin <= size);
            if (begin <= size) memset(sparse + end, 0xA5, (size_t)begin - (size_t)end);
            if (i == count || ranges[i].end > size) break;
            end = (int64_t)ranges[i].end;
        }
        free(index);
        free(ranges);
    }
    const int error = n1_decode_part(sparse, size, widths, path, &part, found, room);
    CHECK(samples == NULL || error == N1_OK);
    for (size_t i = 0; i < part.num_samples && samples != NULL; i++)
        for (size_t c = 0; c < part.num_channels; c++)
            CHECK(memcmp(found + i * row + c * item,
                         samples + ((part.first_sample + i) * info->num_channels + channels[c]) * item, item) == 0);
    free(sparse);
    free(found);
    free(channels);
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

    n1_info found;
    CHECK(n1_payload_info(payload, size < 32 ? (size_t)size : 32, &found) == N1_OK);
    CHECK(found.dtype == info->dtype && found.ndim == info->ndim);
    CHECK(found.num_samples == info->num_samples && found.num_channels == info->num_channels);

    CHECK(info->block_samples == 0 || found.block_samples <= info->block_samples);

    for (int i = 0; i < num_paths(); i++) {
        check_decode(samples, info, widths, PATHS[i], payload, (size_t)size);
        check_part(payload, (size_t)size, &found, widths, PATHS[i], load_u32(payload + 3) * 0x9E3779B97F4A7C15u, samples);
    }
    check_encode(samples, info, level, widths, PATHS[num_paths() - 1], payload, (size_t)size);
    free(payload);
}
