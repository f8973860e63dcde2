/*
 * The reversible 5/3 wavelet along time: each level splits what it is given into a smooth half and
 * the details that this lacks, and the next level goes on with the smooth half.
 *
 * The filters are those of D. Le Gall and A. Tabatabai, "Sub-band coding of digital images using
 * symmetric short kernel filters and arithmetic coding techniques" (ICASSP 1988), in the integer
 * lifting steps of A. R. Calderbank, I. Daubechies, W. Sweldens and B.-L. Yeo, "Wavelet transforms
 * that map integers to integers" (1998), as JPEG 2000 has them (ISO/IEC 15444-1, annex F). Here they
 * move numbers by multiples of 2^grain (grain.h), which is 1 where all numbers occur.
 */
#include <stdlib.h>

#include "grain.h"
#include "simple.h"
#include "transform.h"

enum { MAX_LEVELS = 8 };

static inline int32_t signed_at(const uint8_t *numbers, size_t i) {
    return (int16_t)number_at(numbers, i);
}

/* What an odd number is expected to be, halfway between its even neighbours, on the first's grain. */
static inline uint32_t middle(const uint8_t *before, const uint8_t *after, size_t i,
                              uint32_t grain) {
    const int32_t rise = signed_at(after, i) - signed_at(before, i) + (1 << grain) - 1;
    return (uint32_t)signed_at(before, i) + ((uint32_t)(rise >> (grain + 1)) << grain);
}

/* What an even number is moved by, a quarter of the details on both sides. */
static inline uint32_t quarter(const uint8_t *before, const uint8_t *after, size_t i,
                               uint32_t grain) {
    const int32_t sum = signed_at(before, i) + signed_at(after, i) + (2 << grain);
    return (uint32_t)(sum >> (grain + 2)) << grain;
}

/*
 * The lifting steps and their opposites, on `count` even or odd numbers, which are `step` apart:
 * 1 in a frame, 2 in a channel. Smooth numbers and details have no gaps.
 */
static inline void predict(const uint8_t *restrict odd, const uint8_t *restrict before,
                           const uint8_t *restrict after, size_t step, size_t count,
                           uint32_t grain, uint8_t *restrict detail) {
    for (size_t i = 0; i < count; i++)
        set_number(detail, i, number_at(odd, i * step) - middle(before, after, i * step, grain));
}

static inline void update(const uint8_t *restrict even, const uint8_t *restrict before,
                          const uint8_t *restrict after, size_t step, size_t count,
                          uint32_t grain, uint8_t *restrict smooth) {
    for (size_t i = 0; i < count; i++)
        set_number(smooth, i, number_at(even, i * step) + quarter(before, after, i, grain));
}

static inline void undo_update(const uint8_t *restrict smooth, const uint8_t *restrict before,
                               const uint8_t *restrict after, size_t step, size_t count,
                               uint32_t grain, uint8_t *restrict even) {
    for (size_t i = 0; i < count; i++)
        set_number(even, i * step, number_at(smooth, i) - quarter(before, after, i, grain));
}

static inline void undo_predict(const uint8_t *restrict detail, const uint8_t *restrict before,
                                const uint8_t *restrict after, size_t step, size_t count,
                                uint32_t grain, uint8_t *restrict odd) {
    for (size_t i = 0; i < count; i++)
        set_number(odd, i * step, number_at(detail, i) + middle(before, after, i * step, grain));
}

/*
 * Frames 2i and 2i + 1 of x become smooth frame i and detail i. Beyond its ends x is mirrored at
 * its first and its last frame, and so are the details, which this is equal to. A channel's frames
 * but those at the ends are done at once.
 */
static inline void split(const uint8_t *x, size_t num_frames, size_t frame, size_t step,
                         uint32_t grain, uint8_t *smooth, uint8_t *details) {
    const size_t num_details = num_frames / 2, with_next = (num_frames - 1) / 2;
    if (num_details == 0) {
        memcpy(smooth, x, frame);
        return;
    }
    for (size_t i = 0, frames; i < num_frames - num_details; i += frames) {
        frames = step == 2 && i > 0 && i < with_next ? with_next - i : 1;
        const size_t count = frames * frame / 2;
        const uint8_t *const even = x + 2 * i * frame;
        const uint8_t *const next = i < with_next ? even + 2 * frame : even;
        const uint8_t *const before = details + (i > 0 ? i - 1 : 0) * frame;
        uint8_t *const after = details + (i < num_details ? i : i - 1) * frame;
        if (i < num_details) predict(even + frame, even, next, step, count, grain, after);
        update(even, before, after, step, count, grain, smooth + i * frame);
    }
}

static inline void join(const uint8_t *smooth, const uint8_t *details, size_t num_frames,
                        size_t frame, size_t step, uint32_t grain, uint8_t *x) {
    const size_t num_details = num_frames / 2;
    if (num_details == 0) {
        memcpy(x, smooth, frame);
        return;
    }
    for (size_t i = 0, frames; i < num_frames - num_details; i += frames) {
        frames = step == 2 && i > 0 && i < num_details ? num_details - i : 1;
        const size_t count = frames * frame / 2;
        const uint8_t *const before = details + (i > 0 ? i - 1 : 0) * frame;
        const uint8_t *const after = details + (i < num_details ? i : i - 1) * frame;
        uint8_t *const even = x + 2 * i * frame;
        undo_update(smooth + i * frame, before, after, step, count, grain, even);
        if (i > 0) undo_predict(before, even - 2 * frame, even, step, count, grain, even - frame);
    }
    if (num_frames % 2 == 0) {
        const uint8_t *const last = details + (num_details - 1) * frame;
        uint8_t *const odd = x + (num_frames - 1) * frame;
        undo_predict(last, odd - frame, odd - frame, 1, frame / 2, grain, odd);
    }
}

/* Frames that a level leaves smooth. */
static size_t smooth_frames(size_t num_frames) { return num_frames - num_frames / 2; }

static int64_t encode_with(const uint8_t *data, size_t size, simple_settings settings,
                           uint32_t grain, uint8_t *payload) {
    const size_t frame = frame_bytes(settings.num_channels);
    size_t num_frames = size / frame;
    uint8_t *const to = store_header(payload, settings);
    store_grain(payload, grain);
    uint8_t *const smooth = malloc(smooth_frames(num_frames) * frame);
    if (smooth == NULL) return N1_ERROR_MEMORY;
    const uint8_t *x = data;
    for (uint32_t level = 0; level < settings.parameter; level++) {
        const size_t num_smooth = smooth_frames(num_frames);
        if (frame == 2)
            split(x, num_frames, 2, 2, grain, to, to + num_smooth * 2);
        else
            split(x, num_frames, frame, 1, grain, to, to + num_smooth * frame);
        memcpy(smooth, to, num_smooth * frame);
        x = smooth;
        num_frames = num_smooth;
    }
    free(smooth);
    return (int64_t)transform_bound(size, settings);
}

static int64_t encode(const simple_codec *codec, const uint8_t *data, size_t size,
                      simple_settings settings, uint8_t *payload) {
    (void)codec;
    return encode_on_grain(data, size, settings, encode_with, payload);
}

static int64_t decoded_size(const simple_codec *codec, const uint8_t *payload, size_t size) {
    simple_settings settings;
    const int64_t header = load_header(codec, payload, size, &settings);
    return header < 0 ? header : (int64_t)size - header;
}

static int decode(const simple_codec *codec, const uint8_t *payload, size_t size, uint8_t *data) {
    simple_settings settings;
    const int64_t header = load_header(codec, payload, size, &settings);
    if (header < 0) return (int)header;
    uint32_t grain;
    const int error = load_grain(payload, &grain);
    if (error) return error;
    const uint8_t *const from = payload + header;
    const size_t frame = frame_bytes(settings.num_channels);
    size_t num_frames[MAX_LEVELS + 1] = {(size - (size_t)header) / frame};
    if (num_frames[0] == 0) return N1_OK;
    for (uint32_t level = 0; level < settings.parameter; level++)
        num_frames[level + 1] = smooth_frames(num_frames[level]);

    uint8_t *const smooth = malloc(num_frames[1] * frame);
    if (smooth == NULL) return N1_ERROR_MEMORY;
    const uint8_t *coarser = from;
    for (uint32_t level = settings.parameter; level-- > 0;) {
        const size_t num_smooth = num_frames[level + 1];
        memcpy(smooth, coarser, num_smooth * frame);
        if (frame == 2)
            join(smooth, from + num_smooth * 2, num_frames[level], 2, 2, grain, data);
        else
            join(smooth, from + num_smooth * frame, num_frames[level], frame, 1, grain, data);
        coarser = data;
    }
    free(smooth);
    return N1_OK;
}

const simple_codec iwt_codec = {
    .name = "iwt",
    .least = 1,
    .most = MAX_LEVELS,
    .is_transform = 1,
    .bound = transform_bound,
    .encode = encode,
    .decoded_size = decoded_size,
    .decode = decode,
};
