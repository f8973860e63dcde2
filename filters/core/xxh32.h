/* XXH32: the checksum of decoded samples (Collet, "xxHash fast digest algorithm"). */
#ifndef N1STORE_XXH32_H
#define N1STORE_XXH32_H

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

static inline uint32_t xxh32_rotate(uint32_t x, int bits) { return x << bits | x >> (32 - bits); }

static inline uint32_t xxh32_round(uint32_t sum, uint32_t word) {
    return xxh32_rotate(sum + word * 0x85EBCA77u, 13) * 0x9E3779B1u;
}

static inline uint32_t xxh32(const void *src, size_t size, uint32_t seed) {
    const uint8_t *data = src;
    const uint8_t *const end = data + size;
    uint32_t hash = seed + 0x165667B1u;
    if (size >= 16) {
        uint32_t a = seed + 0x24234428u, b = seed + 0x85EBCA77u, c = seed, d = seed - 0x9E3779B1u;
        for (; end - data >= 16; data += 16) {
            a = xxh32_round(a, load_u32(data));
            b = xxh32_round(b, load_u32(data + 4));
            c = xxh32_round(c, load_u32(data + 8));
            d = xxh32_round(d, load_u32(data + 12));
        }
        hash = xxh32_rotate(a, 1) + xxh32_rotate(b, 7) + xxh32_rotate(c, 12) + xxh32_rotate(d, 18);
    }
    hash += (uint32_t)size;
    for (; end - data >= 4; data += 4)
        hash = xxh32_rotate(hash + load_u32(data) * 0xC2B2AE3Du, 17) * 0x27D4EB2Fu;
    for (; data < end; data++) hash = xxh32_rotate(hash + *data * 0x165667B1u, 11) * 0x9E3779B1u;
    hash = (hash ^ hash >> 15) * 0x85EBCA77u;
    hash = (hash ^ hash >> 13) * 0xC2B2AE3Du;
    return hash ^ hash >> 16;
}

#endif
