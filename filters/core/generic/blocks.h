/*
 * What huffman and rans have in common: the words are a block, which is halved again and again
 * where that pays; and a block begins with the tables of the words that occur in it (tables.h).
 */
#ifndef N1STORE_BLOCKS_H
#define N1STORE_BLOCKS_H

#include "alphabet.h"
#include "tables.h"

enum {
    MAX_BLOCK = 1 << 16,      /* words */
    MOST = 2 * MAX_BLOCK / 4, /* bytes of words in a byte: a block takes more than four bytes */
};

/*
 * Code one block of two different words or more, tables included, without writing to `end` or
 * beyond. The words are counted, and are in groups, which it may change. `memory` has the bytes
 * that the codec asked for, aligned for any type and not initialised.
 *
 * Returns the first byte after the block, or NULL if there is no room or the codec has no code for
 * it; then anything may have been written.
 */
typedef uint8_t *(*block_encoder)(alphabets *a, const uint8_t *words, size_t count, uint8_t *dst,
                                  uint8_t *end, void *memory);

/*
 * Decode count words, what is behind the tables of a block, whose values are in the limits that the
 * codec gave, to `words`, where there is room for 2 * count bytes. `memory` is as above.
 *
 * Returns the first byte after the block, or NULL if it is none; then `words` holds anything.
 */
typedef const uint8_t *(*block_decoder)(const alphabets *a, const uint8_t *src, const uint8_t *end,
                                        uint8_t *words, size_t count, void *memory);

/*
 * The functions of a word_coder (coder.h) that works by blocks, under its contract. They allocate
 * memory_size bytes for encode_block or decode_block; `forms` has NUM_FORMS limits of the values in
 * tables.
 */
int64_t encode_blocks(const uint8_t *words, size_t count, uint8_t *dst, block_encoder encode_block,
                      size_t memory_size);
int decode_blocks(const uint8_t *src, const uint8_t *end, uint8_t *words, size_t count,
                  const table_values *forms, block_decoder decode_block, size_t memory_size);

#endif
