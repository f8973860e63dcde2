/* XXH64, of which checksums are the low half (Collet, "xxHash fast digest algorithm"). */
#ifndef N1STORE_XXH64_H
#define N1STORE_XXH64_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of size bytes at src, of any alignment; those of different seeds differ. */
uint32_t checksum32(const void *src, size_t size, uint64_t seed);

#endif
