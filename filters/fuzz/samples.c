/*
 * Any bytes as samples, there and back.
 *
 * Input: dtype (bits 0-1) and two dimensions (bit 2); number of channels; level (bits 0-1), table of
 * widths (bit 2) and length of blocks (bits 3-7, in units of 32); then the samples, at an odd address.
 */
#include "fuzz.h"

enum { HEAD = 3, MAX_CHANNELS = 40 }; /* each channel takes its time */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < HEAD) return 0;
    n1_info info = {.dtype = data[0] & 3, .ndim = data[0] & 4 ? 2 : 1, .num_channels = 1};
    if (info.ndim == 2) info.num_channels = data[1] % (MAX_CHANNELS + 1);
    const size_t frame = info.dtype < N1_INT8 ? 2 * info.num_channels : info.num_channels;
    info.num_samples = frame > 0 ? (size - HEAD) / frame : size;
    info.block_samples = 32 * (data[2] >> 3u);
    const int level = N1_LEVEL_MIN + (data[2] & 3) % N1_LEVEL_MAX;
    check_round_trip(data + HEAD, &info, level, data[2] & 4 ? test_widths() : NULL);
    return 0;
}
