/*
 * Signals from a short description, there and back: what recordings, generators and broken
 * electrodes give, in any order, on any grid of values.
 *
 * Input, all numbers being bytes: a head of 8, then stretches of 4, over and over until all
 * samples are made. Without any, and where the input ends, all bytes count as 0.
 *
 *     head       dtype (bits 0-1), two dimensions (bit 2), level (bits 3-4), widths (bits 5-6)
 *                channels, of CHANNELS
 *                length, low and high byte
 *                bits taken from the length
 *                grid
 *                step of the grid
 *                seed
 *     stretch    shape, log2 of the amplitude, offset, log2 of the length
 */
#include <string.h>

#include "../core/common/adc.h"
#include "fuzz.h"

enum { MAX_CHANNELS = 33, MAX_SAMPLES = 1 << 14 }; /* samples of all channels */

static const uint8_t CHANNELS[] = {1, 2, 3, 4, 5, 8, 15, 16, 17, MAX_CHANNELS};

enum { NUM_CHANNELS = sizeof CHANNELS };

enum { IDENTITY, N1_GRID, STEPS, IRREGULAR_STEPS, NUM_GRIDS };

enum { CONSTANT, WALK, NOISE, RAMP, SQUARE, SPIKES, ALIKE, BYTES, NUM_SHAPES };

typedef struct {
    const uint8_t *data;
    size_t size;
    uint32_t random;
    int32_t walk[MAX_CHANNELS];
} signal;

static uint8_t byte_at(const signal *s, size_t i) { return i < s->size ? s->data[i] : 0; }

/* Uniform in -amplitude .. amplitude - 1. */
static int32_t noise(signal *s, int32_t amplitude) {
    s->random = s->random * 1664525u + 1013904223u;
    return (int32_t)((uint64_t)(s->random >> 1) * (uint32_t)(2 * amplitude) >> 31) - amplitude;
}

/* Sums of noise that tend back to 0, as recordings do. */
static int32_t walk(signal *s, size_t channel, int32_t amplitude) {
    s->walk[channel] += noise(s, amplitude) + noise(s, amplitude) - s->walk[channel] / 8;
    return s->walk[channel];
}

static int32_t value_at(signal *s, size_t i, size_t channel, unsigned shape, int32_t amplitude) {
    switch (shape) {
        case WALK: return walk(s, channel, amplitude);
        case NOISE: return noise(s, amplitude);
        case RAMP: return (int32_t)(i % 65536) * amplitude / 16;
        case SQUARE: return i & 8 ? amplitude : -amplitude;
        case SPIKES: return noise(s, 32) == 0 ? 65536 : walk(s, channel, amplitude);
        case ALIKE: return channel == 0 ? walk(s, 0, amplitude) : s->walk[0] + noise(s, 1);
        case BYTES: return (int16_t)(byte_at(s, 2 * i) | byte_at(s, 2 * i + 1) << 8);
        default: return 0;
    }
}

static int32_t clip(int32_t value, unsigned dtype) {
    const int32_t low = dtype < N1_INT8 ? -32768 : -128, high = -1 - low;
    return value < low ? low : value > high ? high : value;
}

/* From any number to one that the dtype has. */
static int32_t on_grid(int32_t value, unsigned grid, int32_t step, unsigned dtype) {
    value = clip(value, dtype);
    const int32_t unequal = (int32_t)((uint32_t)value * 40503u % 7) - 3;
    if (grid == STEPS) return clip(value * step - step / 2, dtype);
    if (grid == IRREGULAR_STEPS) return clip(value * step + unequal, dtype);
    return value;
}

static void store(uint8_t *samples, size_t i, int32_t value, unsigned grid, unsigned dtype) {
    if (dtype >= N1_INT8) {
        samples[i] = (uint8_t)(dtype == N1_INT8 ? value : value + 128);
        return;
    }
    int16_t sample = (int16_t)value;
    if (grid == N1_GRID) n1_adc_decode(&sample, &sample, 1);
    if (dtype == N1_UINT16) sample = (int16_t)(sample ^ -32768);
    memcpy(samples + 2 * i, &sample, 2);
}

static void fill(signal *s, uint8_t *samples, const n1_info *info) {
    const unsigned grid = byte_at(s, 5) % NUM_GRIDS;
    const int32_t step = 1 + (int32_t)byte_at(s, 6);
    const size_t num_stretches = s->size > 8 ? (s->size - 8 + 3) / 4 : 1;
    size_t i = 0;
    for (size_t n = 0; i < info->num_samples; n = (n + 1) % num_stretches) {
        const size_t at = 8 + 4 * n;
        const unsigned shape = byte_at(s, at) % NUM_SHAPES;
        const int32_t amplitude = 1 << byte_at(s, at + 1) % 16;
        const int32_t offset = (int8_t)byte_at(s, at + 2) * (amplitude / 8 + 1);
        size_t end = i + ((size_t)1 << byte_at(s, at + 3) % 20);
        if (end > info->num_samples) end = (size_t)info->num_samples;
        for (; i < end; i++) {
            for (size_t c = 0; c < info->num_channels; c++) {
                const int32_t value = offset + value_at(s, i, c, shape, amplitude);
                store(samples, i * info->num_channels + c,
                      on_grid(value, grid, step, info->dtype), grid, info->dtype);
            }
        }
    }
}

/* None, the test's, or one of the input's own, which may be too wide or too narrow to be used. */
static const uint8_t *widths_of(const signal *s, uint8_t *widths) {
    const int choice = byte_at(s, 0) >> 5 & 3;
    for (size_t k = 0; k < N1_NUM_CODES; k++) widths[k] = byte_at(s, k % (s->size + 1));
    return choice == 3 ? widths : choice == 2 ? test_widths() : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    signal s = {.data = data, .size = size};
    s.random = byte_at(&s, 7);
    const int head = byte_at(&s, 0);
    n1_info info = {.dtype = head & 3, .ndim = head & 4 ? 2 : 1, .num_channels = 1};
    if (info.ndim == 2) info.num_channels = CHANNELS[byte_at(&s, 1) % NUM_CHANNELS];
    const size_t length = (size_t)(byte_at(&s, 2) | byte_at(&s, 3) << 8);
    info.num_samples = length >> byte_at(&s, 4) % 16;
    if (info.num_samples * info.num_channels > MAX_SAMPLES)
        info.num_samples = MAX_SAMPLES / info.num_channels;
    const int level = N1_LEVEL_MIN + (head >> 3 & 3) % N1_LEVEL_MAX;

    uint8_t own_widths[N1_NUM_CODES];
    uint8_t *const samples = allocate(num_bytes(&info));
    fill(&s, samples, &info);
    check_round_trip(samples, &info, level, widths_of(&s, own_widths));
    free(samples);
    return 0;
}
