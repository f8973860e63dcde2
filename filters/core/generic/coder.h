/*
 * What the payloads of rle, packbits10, huffman, arithmetic and rans have in common: a head, and
 * what to do where coding does not pay.
 */
#ifndef N1STORE_CODER_H
#define N1STORE_CODER_H

#include "../common/bytes.h"
#include "simple.h"

enum {
    CODER_VERSION = 1,   /* high half of the first byte */
    CODER_WORDS = 0,     /* low half: the words as they are */
    CODER_CODED = 1,     /* or coded */
    CODER_MAX_HEAD = 9,  /* with the varint of a size below 2^47, and the odd byte */
    CODER_SLACK = 16,    /* bytes that may be written behind as many as the words have */
};

/*
 * Code count words, 1 or more, to dst, where 2 * count + CODER_SLACK bytes may be written.
 *
 * Returns the bytes used, 0 if they are no fewer than the words', or a negative n1_error.
 */
typedef int64_t (*words_encoder)(const uint8_t *words, size_t count, uint8_t *dst);

/*
 * Decode count words, 1 or more, from all that is at src, to `words`, where there is room for
 * 2 * count bytes. Returns N1_OK or a negative n1_error, after which `words` holds anything.
 */
typedef int (*words_decoder)(const uint8_t *src, const uint8_t *end, uint8_t *words, size_t count);

typedef struct {
    int mode;
    uint64_t size;            /* of the data */
    const uint8_t *body, *end;
} coder_payload;

static inline size_t coder_bound(size_t size, simple_settings settings) {
    (void)settings;
    return size + CODER_MAX_HEAD + CODER_SLACK;
}

static inline int64_t coder_encode(const uint8_t *data, size_t size, uint8_t *payload,
                                   words_encoder encode_words) {
    uint8_t *next = payload + 1;
    next += store_varint(next, size);
    const size_t head = (size_t)(next - payload);
    if (size % 2) *next++ = data[size - 1];
    const int64_t coded = size < 2 ? 0 : encode_words(data, size / 2, next);
    if (coded < 0) return coded;
    payload[0] = CODER_VERSION << 4 | (coded > 0 ? CODER_CODED : CODER_WORDS);
    if (coded > 0) return next - payload + coded;
    memcpy(payload + head, data, size);
    return (int64_t)(head + size);
}

/* `most` is how many bytes of words a byte of the body can hold. */
static inline int coder_open(const uint8_t *payload, size_t size, uint64_t most,
                             coder_payload *opened) {
    const uint8_t *const end = payload + size;
    if (size < 2) return N1_ERROR_CORRUPT;
    if (payload[0] >> 4 > CODER_VERSION) return N1_ERROR_VERSION;
    opened->mode = payload[0] & 15;
    if (payload[0] >> 4 == 0 || opened->mode > CODER_CODED) return N1_ERROR_FORMAT;
    const size_t varint = load_varint(payload + 1, end, &opened->size);
    opened->body = payload + 1 + varint;
    opened->end = end;
    if (varint == 0 || opened->size >> 47 != 0) return N1_ERROR_CORRUPT;
    const uint64_t body = (uint64_t)(end - opened->body);
    const int possible = opened->mode == CODER_WORDS
                             ? body == opened->size
                             : opened->size > 1 && opened->size % 2 <= body &&
                                   opened->size / 2 <= (body - opened->size % 2) * (most / 2);
    return possible ? N1_OK : N1_ERROR_CORRUPT;
}

static inline int64_t coder_decoded_size(const uint8_t *payload, size_t size, uint64_t most) {
    coder_payload opened;
    const int error = coder_open(payload, size, most, &opened);
    return error ? error : (int64_t)opened.size;
}

static inline int coder_decode(const uint8_t *payload, size_t size, uint64_t most, uint8_t *data,
                               words_decoder decode_words) {
    coder_payload opened;
    const int error = coder_open(payload, size, most, &opened);
    if (error) return error;
    if (opened.mode == CODER_WORDS) {
        memcpy(data, opened.body, opened.size);
        return N1_OK;
    }
    if (opened.size % 2) data[opened.size - 1] = *opened.body++;
    return decode_words(opened.body, opened.end, data, opened.size / 2);
}

/* The rest of a codec whose file has encode_words, decode_words and MOST, as above. */
#define CODER(symbol, its_name)                                                                   \
    static int64_t encode(const uint8_t *data, size_t size, simple_settings settings,             \
                          uint8_t *payload) {                                                     \
        (void)settings;                                                                           \
        return coder_encode(data, size, payload, encode_words);                                   \
    }                                                                                             \
    static int64_t decoded_size(const uint8_t *payload, size_t size) {                            \
        return coder_decoded_size(payload, size, MOST);                                           \
    }                                                                                             \
    static int decode(const uint8_t *payload, size_t size, uint8_t *data) {                       \
        return coder_decode(payload, size, MOST, data, decode_words);                             \
    }                                                                                             \
    const simple_codec symbol = {                                                                 \
        .name = its_name,                                                                         \
        .bound = coder_bound,                                                                     \
        .encode = encode,                                                                         \
        .decoded_size = decoded_size,                                                             \
        .decode = decode,                                                                         \
    }

#endif
