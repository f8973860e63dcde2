/*
 * What huffman and rans have in common: the words are cut into blocks, and a block begins with the
 * tables of the words that occur in it.
 */
#ifndef N1STORE_BLOCKS_H
#define N1STORE_BLOCKS_H

#include "alphabet.h"
#include "coder.h"
#include "range_coder.h"

enum {
    MAX_BLOCK = 1 << 16, /* words */
    /* Bytes of words in a byte: the table of a block takes more than four bytes. */
    MOST = 2 * MAX_BLOCK / 4,
};

static inline size_t block_length(size_t count) {
    const size_t blocks = (count + MAX_BLOCK - 1) / MAX_BLOCK;
    return (count + blocks - 1) / blocks;
}

/* The distance from word to word that more than half of them have, or 1 if there is none. */
static inline uint16_t usual_distance(const alphabet *a) {
    uint16_t usual = 1;
    int32_t votes = 0;
    uint32_t count = 0;
    for (uint32_t i = 1; i < a->size; i++) { /* what most have outvotes all others */
        const uint16_t distance = (uint16_t)(a->words[i] - a->words[i - 1]);
        if (votes == 0) usual = distance;
        votes += distance == usual ? 1 : -1;
    }
    for (uint32_t i = 1; i < a->size; i++)
        count += (uint16_t)(a->words[i] - a->words[i - 1]) == usual;
    return 2 * count >= a->size ? usual : 1;
}

typedef struct {
    adaptive_number usual, distance, change;
} table_numbers;

static inline void start_table(table_numbers *n) {
    start_numbers(&n->usual);
    start_numbers(&n->distance);
    start_numbers(&n->change);
}

/*
 * How many words there are in the first group, as a varint; then a range code of what follows of
 * both. Values are coded as changes from one to the next, and `rare` is what rare words have.
 */
static inline uint8_t *put_tables(const alphabets *a, int32_t rare, uint8_t *dst, uint8_t *end) {
    if (end - dst < 4) return NULL;
    dst += store_varint(dst, a->groups[0].size);
    range_encoder e = encode_range_to(dst, end);
    table_numbers n;
    start_table(&n);
    const uint32_t usual = usual_distance(&a->groups[0]);
    if (a->groups[0].size > 1) {
        range_put_number(&e, &n.usual, usual - 1);
        range_put(&e, num_groups(a->threshold) == 2, 1, 1);
        if (num_groups(a->threshold) == 2) {
            range_put(&e, ranked((uint16_t)a->threshold), 1, 16);
            range_put(&e, a->groups[1].size - 1, 1, 16);
        }
    }
    for (int g = 0; g < num_groups(a->threshold); g++) {
        const alphabet *const group = &a->groups[g];
        int32_t value = rare;
        for (uint32_t i = 0; i < group->size; i++) {
            const uint16_t word = group->words[i];
            if (i == 0) {
                range_put(&e, ranked(word), 1, 16);
            } else {
                const uint32_t distance = (uint16_t)(word - group->words[i - 1]);
                range_put_number(&e, &n.distance,
                                 distance == usual ? 0 : distance - (distance > usual));
            }
            range_put_number(&e, &n.change, fold_sign(group->values[i] - value));
            value = group->values[i];
        }
    }
    dst = finish_range(&e);
    return e.overrun ? NULL : dst;
}

/*
 * Those of `size` words in the first group, 1 or more; if there are two groups, each has two words
 * or more. Values are from 1 to `most`. Returns the first byte after them, or NULL if it is none.
 */
static inline const uint8_t *get_tables(alphabets *a, uint32_t size, int32_t rare, int32_t most,
                                        const uint8_t *src, const uint8_t *end) {
    range_decoder d = decode_range_from(src, end);
    table_numbers n;
    start_table(&n);
    uint32_t usual = 1;
    a->threshold = ONE_GROUP;
    a->groups[0].size = size;
    if (size > 1) {
        usual = range_get_number(&d, &n.usual) + 1;
        if (range_get_plain(&d, 1)) {
            a->threshold = (int16_t)ranked((uint16_t)range_get_plain(&d, 16));
            a->groups[1].size = range_get_plain(&d, 16) + 1;
            if (a->groups[1].size < 2) return NULL;
        }
    }
    for (int g = 0; g < num_groups(a->threshold); g++) {
        alphabet *const group = &a->groups[g];
        uint32_t word = 0; /* ranked */
        int32_t value = rare;
        for (uint32_t i = 0; i < group->size; i++) {
            if (i == 0) {
                word = range_get_plain(&d, 16);
            } else {
                const uint32_t number = range_get_number(&d, &n.distance);
                word += number == 0 ? usual : number + (number >= usual);
            }
            value += unfold_sign(range_get_number(&d, &n.change));
            if (d.overrun || word >= NUM_WORDS || value < 1 || value > most) return NULL;
            group->words[i] = ranked((uint16_t)word);
            group->values[i] = (uint16_t)value;
        }
    }
    src = finish_range_reading(&d);
    return d.overrun ? NULL : src;
}

/*
 * Code one block of two different words or more, which are counted, tables included. Returns the
 * first byte after it, or NULL if there is no room. `memory` is as large as the codec says.
 */
typedef uint8_t *(*block_encoder)(alphabets *a, const uint8_t *words, size_t count, uint8_t *dst,
                                  uint8_t *end, void *memory);

/* Decode it behind its tables. Returns the first byte after the block, or NULL if it is none. */
typedef const uint8_t *(*block_decoder)(const alphabets *a, const uint8_t *src, const uint8_t *end,
                                        uint8_t *words, size_t count, void *memory);

static inline int64_t encode_blocks(const uint8_t *words, size_t count, uint8_t *dst,
                                    block_encoder encode_block, size_t memory_size) {
    alphabets *const a = malloc(sizeof *a + memory_size);
    if (a == NULL) return N1_ERROR_MEMORY;
    uint8_t *const end = dst + 2 * count;
    uint8_t *next = dst;
    const size_t length = block_length(count);
    for (size_t i = 0; i < count && next != NULL; i += length) {
        const uint8_t *const from = words + 2 * i;
        const size_t here = count - i < length ? count - i : length, room = (size_t)(end - next);
        count_words(&a->groups[0], from, here);
        find_groups(a, from, here);
        a->groups[0].values[0] = 1;
        uint8_t *const block = next, *const limit = room < 2 * here ? end : block + 2 * here;
        next = a->groups[0].size == 1 ? put_tables(a, 1, block, limit)
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

/* Values are `rare` for rare words, and at most `most`. */
static inline int decode_blocks(const uint8_t *src, const uint8_t *end, uint8_t *words,
                                size_t count, int32_t rare, int32_t most,
                                block_decoder decode_block, size_t memory_size) {
    alphabets *const a = malloc(sizeof *a + memory_size);
    if (a == NULL) return N1_ERROR_MEMORY;
    const size_t length = block_length(count);
    for (size_t i = 0; i < count && src != NULL; i += length) {
        uint8_t *const to = words + 2 * i;
        const size_t here = count - i < length ? count - i : length;
        uint64_t size;
        const size_t varint = load_varint(src, end, &size);
        src += varint;
        if (varint == 0 || size > NUM_WORDS || (size == 0 && (size_t)(end - src) < 2 * here)) {
            src = NULL;
        } else if (size == 0) {
            memcpy(to, src, 2 * here);
            src += 2 * here;
        } else if (size == 1) {
            src = get_tables(a, 1, 1, 1, src, end);
            for (size_t j = 0; j < here && src != NULL; j++)
                store_u16(to + 2 * j, a->groups[0].words[0]);
        } else {
            src = get_tables(a, (uint32_t)size, rare, most, src, end);
            if (src != NULL) src = decode_block(a, src, end, to, here, a + 1);
        }
    }
    free(a);
    return src == end ? N1_OK : N1_ERROR_CORRUPT;
}

#endif
