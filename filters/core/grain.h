/*
 * Samples of a converter with fewer than 16 bits lie 2^grain apart, or nearly so. A prediction that
 * lies a multiple of 2^grain away from a sample leaves residuals that do too, of which there are few
 * different ones; one between them would leave any number.
 */
#ifndef N1STORE_GRAIN_H
#define N1STORE_GRAIN_H

#include <stdlib.h>

#include "bits.h"
#include "bytes.h"
#include "n1.h"

enum {
    MAX_GRAIN = 15,
    MAX_GRAIN_FOUND = 8,
    LOOKED_AT = 1 << 10, /* differences; fewer do not tell */
};

/* Where it is in a transform's header, which is behind those that transform.h stores. */
static inline void store_grain(uint8_t *header, uint32_t grain) {
    store_u16(header + 6, (uint16_t)grain);
}

/* Returns N1_OK or a negative n1_error. */
static inline int load_grain(const uint8_t *header, uint32_t *grain) {
    *grain = load_u16(header + 6);
    return *grain <= MAX_GRAIN ? N1_OK : N1_ERROR_FORMAT;
}

/*
 * What a grain is worth, in 1 / 2^16 bits: what those of LOOKED_AT differences that are not smaller
 * tell less in their lowest bits than chance would.
 */
static inline int64_t worth_of_grain(const int16_t *differences, uint32_t grain) {
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
 * The grain of numbers of which those of a channel are `lag` apart, 0 where there is none: that
 * which is worth the most, if that is more than half a bit for each difference.
 */
static inline uint32_t find_grain(const uint8_t *numbers, size_t count, size_t lag) {
    if (count < lag + LOOKED_AT) return 0;
    int16_t differences[LOOKED_AT];
    for (size_t i = 0, apart = (count - lag) / LOOKED_AT; i < LOOKED_AT; i++) {
        const uint8_t *const number = numbers + 2 * i * apart;
        differences[i] = (int16_t)(load_u16(number + 2 * lag) - load_u16(number));
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

#endif
