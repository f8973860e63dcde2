/* Little-endian numbers at any address, and a reader that never runs past its end. */
#ifndef N1STORE_BYTES_H
#define N1STORE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define N1_LITTLE_16(value) __builtin_bswap16(value)
#define N1_LITTLE_32(value) __builtin_bswap32(value)
#define N1_LITTLE_64(value) __builtin_bswap64(value)
#else
#define N1_LITTLE_16(value) (value)
#define N1_LITTLE_32(value) (value)
#define N1_LITTLE_64(value) (value)
#endif

static inline uint16_t load_u16(const uint8_t *p) {
    uint16_t value;
    memcpy(&value, p, sizeof(value));
    return N1_LITTLE_16(value);
}

static inline uint32_t load_u32(const uint8_t *p) {
    uint32_t value;
    memcpy(&value, p, sizeof(value));
    return N1_LITTLE_32(value);
}

static inline uint64_t load_u64(const uint8_t *p) {
    uint64_t value;
    memcpy(&value, p, sizeof(value));
    return N1_LITTLE_64(value);
}

static inline void store_u16(uint8_t *p, uint16_t value) {
    value = N1_LITTLE_16(value);
    memcpy(p, &value, sizeof(value));
}

static inline void store_u32(uint8_t *p, uint32_t value) {
    value = N1_LITTLE_32(value);
    memcpy(p, &value, sizeof(value));
}

static inline void store_u64(uint8_t *p, uint64_t value) {
    value = N1_LITTLE_64(value);
    memcpy(p, &value, sizeof(value));
}

/* Little-endian numbers of up to 4 bytes. */
static inline uint32_t load_number(const uint8_t *p, int num_bytes) {
    uint32_t value = 0;
    for (int i = 0; i < num_bytes; i++) value |= (uint32_t)p[i] << 8 * i;
    return value;
}

static inline void store_number(uint8_t *p, int num_bytes, uint32_t value) {
    for (int i = 0; i < num_bytes; i++) p[i] = (uint8_t)(value >> 8 * i);
}

/* Turn numbers into the bytes that they are on a little-endian machine, or back. */
static inline void as_little_endian(int16_t *numbers, size_t count) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (size_t i = 0; i < count; i++) numbers[i] = (int16_t)__builtin_bswap16((uint16_t)numbers[i]);
#else
    (void)numbers, (void)count;
#endif
}

/* LEB128: 7 bits a byte, least significant first. Returns the bytes written, 10 at most. */
static inline size_t store_varint(uint8_t *p, uint64_t value) {
    size_t size = 0;
    for (; value >= 0x80; value >>= 7) p[size++] = (uint8_t)(value | 0x80);
    p[size++] = (uint8_t)value;
    return size;
}

/* Returns the bytes read, or 0 if there is no whole varint of up to 63 bits before `end`. */
static inline size_t load_varint(const uint8_t *p, const uint8_t *end, uint64_t *value) {
    uint64_t result = 0;
    for (int i = 0; i < 9 && p + i < end; i++) {
        result |= (uint64_t)(p[i] & 0x7F) << 7 * i;
        if (p[i] < 0x80) {
            *value = result;
            return (size_t)i + 1;
        }
    }
    return 0;
}

#endif
