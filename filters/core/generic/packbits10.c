/*
 * Plain 10-bit packing, for the codes that adc makes of N1 samples: no model, no table, only the
 * six bits that they do not need left out. A block with a word that needs more keeps them all.
 */
#include "coder.h"

enum {
    BLOCK = 1024,                 /* words */
    PACKED_BLOCK = BLOCK / 4 * 5, /* bytes */
    MOST = 2,                     /* bytes of words in a byte: 16 bits take 10 */
};

static size_t block_words(size_t count, size_t block) {
    return count - block * BLOCK < BLOCK ? count - block * BLOCK : BLOCK;
}

static size_t packed_bytes(size_t count) { return (10 * count + 7) / 8; }

static int fits(const uint8_t *words, size_t count) {
    unsigned outside = 0;
    for (size_t i = 0; i < count; i++) outside |= (load_u16(words + 2 * i) + 512u) & 0xFC00;
    return outside == 0;
}

/* The low 10 bits of each of four words, next to each other. */
static uint64_t pack_four(uint64_t words) {
    const uint64_t pairs = (words & 0x000003FF000003FF) | (words >> 6 & 0x000FFC00000FFC00);
    return (pairs & 0xFFFFF) | (pairs >> 12 & 0xFFFFF00000);
}

static uint64_t unpack_four(uint64_t bits) {
    const uint64_t pairs = (bits & 0xFFFFF) | (bits & 0xFFFFF00000) << 12;
    const uint64_t words = (pairs & 0x000003FF000003FF) | (pairs & 0x000FFC00000FFC00) << 6;
    const uint64_t negative = words & 0x0200020002000200;
    return words | negative * 0x7E; /* 0x200 becomes 0xFC00 */
}

/* Up to 6 bytes more than packed_bytes(count) are written. */
static void pack(const uint8_t *words, size_t count, uint8_t *dst) {
    size_t i = 0;
    for (; i + 4 <= count; i += 4, dst += 5) store_u64(dst, pack_four(load_u64(words + 2 * i)));
    if (i < count) {
        uint8_t rest[8] = {0};
        memcpy(rest, words + 2 * i, 2 * (count - i));
        store_u64(dst, pack_four(load_u64(rest)));
    }
}

static void unpack(const uint8_t *src, uint8_t *words, size_t count) {
    const uint8_t *const end = src + packed_bytes(count);
    size_t i = 0;
    for (; i + 4 <= count && end - src >= 8; i += 4, src += 5)
        store_u64(words + 2 * i, unpack_four(load_u64(src)));
    for (; i < count; i += 4, src += 5) {
        uint8_t rest[8] = {0};
        memcpy(rest, src, end - src < 5 ? (size_t)(end - src) : 5);
        store_u64(rest, unpack_four(load_u64(rest)));
        memcpy(words + 2 * i, rest, 2 * (count - i < 4 ? count - i : 4));
    }
}

static int64_t encode_words(const uint8_t *words, size_t count, uint8_t *dst) {
    const size_t blocks = (count + BLOCK - 1) / BLOCK, map_bytes = (blocks + 7) / 8;
    if (map_bytes >= 2 * count) return 0;
    uint8_t *next = dst + map_bytes;
    memset(dst, 0, map_bytes);
    for (size_t block = 0; block < blocks; block++) {
        const uint8_t *const from = words + 2 * BLOCK * block;
        const size_t here = block_words(count, block);
        const int packs = fits(from, here);
        const size_t bytes = packs ? packed_bytes(here) : 2 * here;
        if ((size_t)(next - dst) + bytes >= 2 * count) return 0;
        if (packs) {
            pack(from, here, next);
        } else {
            memcpy(next, from, bytes);
            dst[block / 8] |= (uint8_t)(1 << block % 8);
        }
        next += bytes;
    }
    return next - dst;
}

static int decode_words(const uint8_t *src, const uint8_t *end, uint8_t *words, size_t count) {
    const size_t blocks = (count + BLOCK - 1) / BLOCK, map_bytes = (blocks + 7) / 8;
    const uint8_t *const map = src;
    if ((size_t)(end - src) < map_bytes) return N1_ERROR_CORRUPT;
    src += map_bytes;
    for (size_t block = 0; block < blocks; block++) {
        uint8_t *const to = words + 2 * BLOCK * block;
        const size_t here = block_words(count, block);
        const int packed = !(map[block / 8] >> block % 8 & 1);
        const size_t bytes = packed ? packed_bytes(here) : 2 * here;
        if ((size_t)(end - src) < bytes) return N1_ERROR_CORRUPT;
        if (packed)
            unpack(src, to, here);
        else
            memcpy(to, src, bytes);
        src += bytes;
    }
    return src == end ? N1_OK : N1_ERROR_CORRUPT;
}

const simple_codec packbits10_codec = {
    .name = "packbits10",
    .words = &(const word_coder){encode_words, decode_words, MOST},
    .bound = coder_bound,
    .encode = coder_encode,
    .decoded_size = coder_decoded_size,
    .decode = coder_decode,
};
