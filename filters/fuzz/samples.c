/*
 * Any bytes as samples, there and back.
 *
 * Input: dtype (bits 0-1), two dimensions (bit 2), level (bits 3-4), table of widths (bit 5);
 * number of channels, 2 bytes; then the samples, at an odd address.
 */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) return 0;
    n1_info info = {.dtype = data[0] & 3, .ndim = data[0] & 4 ? 2 : 1, .num_channels = 1};
    if (info.ndim == 2) info.num_channels = (uint64_t)(data[1] | data[2] << 8);
    const size_t frame = info.dtype < N1_INT8 ? 2 * info.num_channels : info.num_channels;
    info.num_samples = frame > 0 ? (size - 3) / frame : size;
    const int level = N1_LEVEL_MIN + (data[0] >> 3 & 3) % N1_LEVEL_MAX;
    check_round_trip(data + 3, &info, level, data[0] & 32 ? test_widths() : NULL);
    return 0;
}
