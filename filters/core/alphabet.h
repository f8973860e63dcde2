/*
 * What huffman and rans have in common: the words are cut into blocks, and a block begins with the
 * table of those that occur in it.
 */
#ifndef N1STORE_ALPHABET_H
#define N1STORE_ALPHABET_H

#include <stdlib.h>

#include "coder.h"
#include "range_coder.h"

enum {
    MAX_BLOCK = 1 << 16, /* words */
    NUM_WORDS = 1 << 16, /* values that a word can have */
    /* Bytes of words in a byte: the table of a block takes more than four bytes. */
    MOST = 2 * MAX_BLOCK / 4,
};

/* The words that occur in a block, in ascending order as signed numbers. */
typedef struct {
    _Alignas(16) uint32_t size; /* so that anything can follow */
    uint16_t words[NUM_WORDS];
    uint16_t values[NUM_WORDS]; /* what the table says of each: a length or a weight */
    uint32_t counts[NUM_WORDS]; /* how often each occurs, for the encoder */
    uint32_t of[NUM_WORDS];     /* by `ranked` word, for the encoder, anything it needs of a word */
} alphabet;

/* Words in the order of signed numbers; the same function leads back. */
static inline uint16_t ranked(uint16_t word) { return word ^ 0x8000; }

static inline size_t block_length(size_t count) {
    const size_t blocks = (count + MAX_BLOCK - 1) / MAX_BLOCK;
    return (count + blocks - 1) / blocks;
}

static inline void count_words(alphabet *a, const uint8_t *words, size_t count) {
    uint16_t least = ranked(load_u16(words)), most = least;
    for (size_t i = 1; i < count; i++) {
        const uint16_t word = ranked(load_u16(words + 2 * i));
        least = word < least ? word : least;
        most = word > most ? word : most;
    }
    memset(a->of + least, 0, (size_t)(most - least + 1) * sizeof *a->of);
    for (size_t i = 0; i < count; i++) a->of[ranked(load_u16(words + 2 * i))]++;
    a->size = 0;
    for (uint32_t word = least; word <= most; word++) {
        if (a->of[word] == 0) continue;
        a->words[a->size] = ranked((uint16_t)word);
        a->counts[a->size++] = a->of[word];
    }
}

/*
 * How many words there are, as a varint; then a range code of the first one, and of the distances
 * and changes of the values from one to the next. `usual` is what rare words have as a value.
 */
static inline uint8_t *put_table(const alphabet *a, int32_t usual, uint8_t *dst, uint8_t *end) {
    if (end - dst < 4) return NULL;
    dst += store_varint(dst, a->size);
    range_encoder e = encode_range_to(dst, end);
    adaptive_number distance, change;
    start_numbers(&distance);
    start_numbers(&change);
    for (uint32_t i = 0; i < a->size; i++) {
        const uint16_t word = ranked(a->words[i]);
        if (i == 0)
            range_put(&e, word, 1, 16);
        else
            range_put_number(&e, &distance, (uint32_t)(word - ranked(a->words[i - 1]) - 1));
        range_put_number(&e, &change, fold_sign(a->values[i] - usual));
        usual = a->values[i];
    }
    dst = finish_range(&e);
    return e.overrun ? NULL : dst;
}

/* Values are from 1 to `most`. Returns the first byte after the table, or NULL if it is none. */
static inline const uint8_t *get_table(alphabet *a, int32_t usual, int32_t most,
                                       const uint8_t *src, const uint8_t *end) {
    range_decoder d = decode_range_from(src, end);
    adaptive_number distance, change;
    start_numbers(&distance);
    start_numbers(&change);
    uint32_t word = range_slot(&d, 16);
    range_take(&d, word, 1, 16);
    int32_t value = usual;
    for (uint32_t i = 0; i < a->size; i++) {
        if (i > 0) word += range_get_number(&d, &distance) + 1;
        value += unfold_sign(range_get_number(&d, &change));
        if (d.overrun || word >= NUM_WORDS || value < 1 || value > most) return NULL;
        a->words[i] = ranked((uint16_t)word);
        a->values[i] = (uint16_t)value;
    }
    src = finish_range_reading(&d);
    return d.overrun ? NULL : src;
}

/*
 * Code one block of two different words or more, which are counted, table included. Returns the
 * first byte after it, or NULL if there is no room. `memory` is as large as the codec says.
 */
typedef uint8_t *(*block_encoder)(alphabet *a, const uint8_t *words, size_t count, uint8_t *dst,
                                  uint8_t *end, void *memory);

/* The same backwards. Returns the first byte after the block, or NULL if it is none. */
typedef const uint8_t *(*block_decoder)(alphabet *a, const uint8_t *src, const uint8_t *end,
                                        uint8_t *words, size_t count, void *memory);

static inline int64_t encode_blocks(const uint8_t *words, size_t count, uint8_t *dst,
                                    block_encoder encode_block, size_t memory_size) {
    alphabet *const a = malloc(sizeof *a + memory_size);
    if (a == NULL) return N1_ERROR_MEMORY;
    uint8_t *const end = dst + 2 * count;
    uint8_t *next = dst;
    const size_t length = block_length(count);
    for (size_t i = 0; i < count && next != NULL; i += length) {
        const uint8_t *const from = words + 2 * i;
        const size_t here = count - i < length ? count - i : length, room = (size_t)(end - next);
        count_words(a, from, here);
        a->values[0] = 1;
        uint8_t *const block = next, *const limit = room < 2 * here ? end : block + 2 * here;
        next = a->size == 1 ? put_table(a, 1, block, limit)
                            : encode_block(a, from, here, block, limit, a + 1);
        if (next == NULL && room > 2 * here) {
            *block = 0;
            memcpy(block + 1, from, 2 * here);
            next = block + 1 + 2 * here;
        }
    }
    free(a);
    return next != NULL && next < end ? next - dst : 0;
}

static inline int decode_blocks(const uint8_t *src, const uint8_t *end, uint8_t *words,
                                size_t count, block_decoder decode_block, size_t memory_size) {
    alphabet *const a = malloc(sizeof *a + memory_size);
    if (a == NULL) return N1_ERROR_MEMORY;
    const size_t length = block_length(count);
    for (size_t i = 0; i < count && src != NULL; i += length) {
        uint8_t *const to = words + 2 * i;
        const size_t here = count - i < length ? count - i : length;
        uint64_t size;
        const size_t varint = load_varint(src, end, &size);
        src += varint;
        a->size = (uint32_t)size;
        if (varint == 0 || size > NUM_WORDS || (size == 0 && (size_t)(end - src) < 2 * here)) {
            src = NULL;
        } else if (size == 0) {
            memcpy(to, src, 2 * here);
            src += 2 * here;
        } else if (size == 1) {
            src = get_table(a, 1, 1, src, end);
            for (size_t j = 0; j < here && src != NULL; j++) store_u16(to + 2 * j, a->words[0]);
        } else {
            src = decode_block(a, src, end, to, here, a + 1);
        }
    }
    free(a);
    return src == end ? N1_OK : N1_ERROR_CORRUPT;
}

#endif
