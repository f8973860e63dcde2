#include "xxh64.h"

#include "bytes.h"

static const uint64_t XXH64_PRIMES[5] = {0x9E3779B185EBCA87u, 0xC2B2AE3D27D4EB4Fu,
                                         0x165667B19E3779F9u, 0x85EBCA77C2B2AE63u,
                                         0x27D4EB2F165667C5u};

static uint64_t xxh64_rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static uint64_t xxh64_round(uint64_t sum, uint64_t word) {
    return xxh64_rotate(sum + word * XXH64_PRIMES[1], 31) * XXH64_PRIMES[0];
}

uint32_t checksum32(const void *src, size_t size, uint64_t seed) {
    const uint64_t *const prime = XXH64_PRIMES;
    const uint8_t *data = src, *const end = data + size;
    uint64_t hash = seed + prime[4];
    if (size >= 32) {
        uint64_t sums[4] = {seed + prime[0] + prime[1], seed + prime[1], seed, seed - prime[0]};
        for (; end - data >= 32; data += 32)
            for (int i = 0; i < 4; i++) sums[i] = xxh64_round(sums[i], load_u64(data + 8 * i));
        hash = xxh64_rotate(sums[0], 1) + xxh64_rotate(sums[1], 7) + xxh64_rotate(sums[2], 12) +
               xxh64_rotate(sums[3], 18);
        for (int i = 0; i < 4; i++) hash = (hash ^ xxh64_round(0, sums[i])) * prime[0] + prime[3];
    }
    hash += size;
    for (; end - data >= 8; data += 8)
        hash = xxh64_rotate(hash ^ xxh64_round(0, load_u64(data)), 27) * prime[0] + prime[3];
    if (end - data >= 4) {
        hash = xxh64_rotate(hash ^ load_u32(data) * prime[0], 23) * prime[1] + prime[2];
        data += 4;
    }
    for (; data < end; data++) hash = xxh64_rotate(hash ^ *data * prime[4], 11) * prime[0];
    hash = (hash ^ hash >> 33) * prime[1];
    hash = (hash ^ hash >> 29) * prime[2];
    return (uint32_t)(hash ^ hash >> 32);
}
