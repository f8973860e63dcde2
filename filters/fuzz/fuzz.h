/*
 * What the fuzz targets share. Each of decode.c, samples.c, signals.c, simple_decode.c and
 * simple_samples.c is a program of its own, driven by libFuzzer (`make fuzz`) or by replay.c,
 * which any compiler builds.
 *
 * Buffers are allocated to the byte, so that the address sanitizer sees the first one too many.
 */
#ifndef N1STORE_FUZZ_H
#define N1STORE_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../core/common/bytes.h"
#include "../core/n1/n1.h"
#include "../core/generic/simple.h"
#include "../core/common/xxh64.h"

#define CHECK(condition)                                                     \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);  \
            abort();                                                         \
        }                                                                    \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void *allocate(size_t size) {
    void *const buffer = malloc(size);
    CHECK(buffer != NULL || size == 0);
    return buffer;
}

static inline size_t num_bytes(const n1_info *info) {
    const size_t item_size = info->dtype == N1_INT8 || info->dtype == N1_UINT8 ? 1 : 2;
    return (size_t)(info->num_samples * info->num_channels) * item_size;
}

/* A part of what a payload holds, which `choice` decides: some of its samples and channels. */
static inline n1_part choose_part(const n1_info *info, uint64_t choice, uint32_t *channels) {
    const uint64_t begin = info->num_samples ? choice % info->num_samples : 0;
    n1_part part = {.first_sample = begin};
    part.num_samples = (choice >> 8) % (info->num_samples - begin + 1);
    for (uint64_t c = 0; c < info->num_channels; c++)
        if (choice >> (c % 61) & 1) channels[part.num_channels++] = (uint32_t)c;
    part.channels = channels;
    part.row_bytes = part.num_channels * (num_bytes(info) > 0 ? num_bytes(info) / info->num_samples / info->num_channels : 2);
    return part;
}

/*
 * A part is what it is of all samples, which are NULL if they cannot be had; and also without the
 * bytes that are said not to be needed.
 */
void check_part(const uint8_t *payload, size_t size, const n1_info *info, const uint8_t *widths,
                n1_path path, uint64_t choice, const uint8_t *samples);

/* The best of these is the last that this machine can run. */
static const n1_path PATHS[] = {N1_PATH_PORTABLE, N1_PATH_AVX2};

static inline int num_paths(void) {
    const n1_info nothing = {.ndim = 1, .num_channels = 1};
    uint8_t payload[64];
    return n1_encode(payload, &nothing, 1, NULL, N1_PATH_AVX2, payload, sizeof payload) ==
                   N1_ERROR_PATH ? 1 : 2;
}

/* A table of code widths, half the mean to one and a half; the same as in seeds.py. */
static inline const uint8_t *test_widths(void) {
    static uint8_t widths[N1_NUM_CODES];
    for (unsigned k = 0; k < N1_NUM_CODES; k++) widths[k] = (uint8_t)(16 + k * 13 % 33);
    return widths;
}

/* The simple codec that a number in an input means. */
static inline const simple_codec *numbered_codec(size_t number) {
    size_t count = 0;
    while (simple_codec_numbered(count) != NULL) count++;
    return simple_codec_numbered(number % count);
}

/* round_trip.c: encode and decode on all paths, and check all that n1.h promises. */
void check_round_trip(const void *samples, const n1_info *info, int level, const uint8_t *widths);

#endif
