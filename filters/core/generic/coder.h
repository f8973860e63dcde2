/*
 * What the payloads of rle, packbits10, huffman, arithmetic and rans have in common: a head, and
 * what to do where coding does not pay. Such a codec has a `word_coder`, and these functions for
 * its others.
 */
#ifndef N1STORE_CODER_H
#define N1STORE_CODER_H

#include "../common/bytes.h"
#include "simple.h"

/* Bytes that may be written behind as many as the words have. */
enum { CODER_SLACK = 16 };

typedef struct word_coder {
    /*
     * Code count words, 1 or more, to dst, where 2 * count + CODER_SLACK bytes may be written.
     *
     * Returns the bytes used, 0 if they are no fewer than the words', or a negative n1_error.
     */
    int64_t (*encode)(const uint8_t *words, size_t count, uint8_t *dst);

    /*
     * Decode count words, 1 or more, from all that is at src, to `words`, where there is room for
     * 2 * count bytes. Returns N1_OK or a negative n1_error, after which `words` holds anything.
     */
    int (*decode)(const uint8_t *src, const uint8_t *end, uint8_t *words, size_t count);

    uint64_t most; /* bytes of words that a coded byte can hold, so that sizes can be doubted */
} word_coder;

/* Those of a simple_codec, under its contract. */
size_t coder_bound(size_t size, simple_settings settings);
int64_t coder_encode(const simple_codec *codec, const uint8_t *data, size_t size,
                     simple_settings settings, uint8_t *payload);
int64_t coder_decoded_size(const simple_codec *codec, const uint8_t *payload, size_t size);
int coder_decode(const simple_codec *codec, const uint8_t *payload, size_t size, uint8_t *data);

#endif
