#include "grain.h"

#include <stdlib.h>

#include "../common/bits.h"
#include "../common/bytes.h"

enum {
    MAX_GRAIN = 15,
    MAX_GRAIN_FOUND = 8,
    LOOKED_AT = 1 << 10,    /* differences; fewer do not tell */
    PIECES = 4,             /* of the data at most, on which a grain is tried: */
    PIECE = 1 << 9,         /* numbers or more */
    LEAST_SAMPLES = 1 << 8, /* and samples or more, where there are as many */
};

void store_grain(uint8_t *header, uint32_t grain) {
    store_u16(header + 6, (uint16_t)grain);
}

int load_grain(const uint8_t *header, uint32_t *grain) {
    *grain = load_u16(header + 6);
    return *grain <= MAX_GRAIN ? N1_OK : N1_ERROR_FORMAT;
}

/*
 * What a grain is worth, in 1 / 2^16 bits: what those of LOOKED_AT differences that are not smaller
 * tell less in their lowest bits than chance would.
 */
static int64_t worth_of_grain(const int16_t *differences, uint32_t grain) {
    uint32_t counts[1 << MAX_GRAIN_FOUND] = {0}, num_large = 0;
    for (uint32_t i = 0; i < LOOKED_AT; i++) {
        const uint32_t large = (uint32_t)(abs(differences[i]) >> grain != 0);
        counts[differences[i] & ((1 << grain) - 1)] += large;
        num_large += large;
    }
    int64_t known = 0;
    for (uint32_t i = 0; i < 1u << grain; i++) known += information(counts[i]);
    return ((int64_t)num_large * grain << 16) - (information(num_large) - known);
}

/*
 * The grain that numbers of num_channels channels seem to have, 0 where there is none: that which is
 * worth the most, if that is more than half a bit for each difference. Of these all channels have as
 * many, as far as they go, from the data's beginning to its end.
 */
static uint32_t find_grain(const uint8_t *numbers, size_t count, size_t num_channels) {
    if (count < num_channels + LOOKED_AT) return 0;
    int16_t differences[LOOKED_AT];
    const size_t num_differences = count / num_channels - 1; /* of a channel */
    for (size_t i = 0; i < LOOKED_AT; i++) {
        const size_t sample = (size_t)((uint64_t)i * num_differences / LOOKED_AT);
        const size_t channel = i * (num_channels / LOOKED_AT + 1) % num_channels;
        const uint8_t *const number = numbers + 2 * (sample * num_channels + channel);
        differences[i] = (int16_t)(load_u16(number + 2 * num_channels) - load_u16(number));
    }

    uint32_t best = 0;
    int64_t most = (int64_t)LOOKED_AT << 15;
    for (uint32_t grain = 1; grain <= MAX_GRAIN_FOUND; grain++) {
        const int64_t worth = worth_of_grain(differences, grain);
        if (worth > most) {
            most = worth;
            best = grain;
        }
    }
    return best;
}

/* What the frequencies of numbers tell of them, in 1 / 2^16 bits; `counts`, of each, are 0 again. */
static int64_t known_by_frequency(const uint8_t *numbers, size_t count, uint32_t *counts) {
    int64_t known = 0;
    for (size_t i = 0; i < count; i++) counts[load_u16(numbers + 2 * i)]++;
    for (size_t i = 0; i < count; i++) {
        uint32_t *const of_number = &counts[load_u16(numbers + 2 * i)];
        known += information(*of_number);
        *of_number = 0;
    }
    return known;
}

/*
 * The grain to encode data with, or a negative n1_error: that which is found, unless pieces of the
 * data take more bits with it than without, as those of a tone: its differences are few different
 * numbers too, but predictions are off by less than a step. `payload` has the room that `encode`
 * has, and anything may have been written there.
 */
static int64_t choose_grain(const uint8_t *data, size_t size, simple_settings settings,
                                   grain_encoder encode_with, uint8_t *payload) {
    const uint32_t grain = find_grain(data, size / 2, settings.num_channels);
    if (grain == 0) return 0;
    const size_t frame = 2 * (size_t)settings.num_channels, num_samples = size / frame;
    size_t length = PIECE / settings.num_channels;
    if (length < LEAST_SAMPLES) length = LEAST_SAMPLES;
    if (length > num_samples) length = num_samples;
    const size_t room = num_samples / length, num_pieces = room < PIECES ? room : PIECES;
    const size_t apart = num_pieces > 1 ? (num_samples - length) / (num_pieces - 1) : 0;

    uint32_t *const counts = calloc(1 << 16, sizeof *counts);
    if (counts == NULL) return N1_ERROR_MEMORY;
    int64_t coded = 0, gained = 0;
    for (size_t i = 0; i < 2 * num_pieces; i++) {
        const uint8_t *const piece = data + i / 2 * apart * frame;
        coded = encode_with(piece, length * frame, settings, i % 2 ? grain : 0, payload);
        if (coded < 0) break;
        const int64_t known = known_by_frequency(payload, (size_t)coded / 2, counts);
        gained += i % 2 ? known : -known;
    }
    free(counts);
    return coded < 0 ? coded : gained >= 0 ? grain : 0;
}

int64_t encode_on_grain(const uint8_t *data, size_t size, simple_settings settings,
                        grain_encoder encode_with, uint8_t *payload) {
    const int64_t grain = choose_grain(data, size, settings, encode_with, payload);
    if (grain < 0) return grain;
    return encode_with(data, size, settings, (uint32_t)grain, payload);
}
