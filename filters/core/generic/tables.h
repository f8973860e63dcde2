/*
 * The tables that a block of huffman and rans begins with: which words occur in it, and of each a
 * value, which is a code's length or a weight. They are range-coded, with adaptive contexts.
 */
#ifndef N1STORE_TABLES_H
#define N1STORE_TABLES_H

#include "alphabet.h"

enum { MAX_WEIGHT = 1023 };

/* A block begins with a varint: one of these, or how many words group 0 has, plus CODED. */
enum { AS_IT_IS = 0, HALVED = 1, CODED = 1 };

/* What the tables of a block are, and of each form the values that a codec has in them. */
enum { ONE_TABLE, TWO_TABLES, PAIRS, NUM_FORMS };

typedef struct {
    int32_t rare, most; /* the value of rare words, and the greatest one; 0: there are none */
} table_values;

/* The weight of a word that occurs `count` times, 2^16 at most: about sqrt(count) * 5 / 8. */
uint16_t weight_of(uint32_t count);

/*
 * Write what a coded block begins with, and its tables: the words and values of each group, of
 * which rare words have `rare`. Nothing is written to `end` or beyond.
 *
 * Returns the first byte after them, or NULL if there is no room; then anything may have been
 * written.
 */
uint8_t *put_tables(const alphabets *a, int32_t rare, uint8_t *dst, uint8_t *end);

/*
 * Read the tables of a block of which group 0 has `size` words, 1 or more: sets a->threshold and
 * in_pairs, and each group's size, words and values. If there are two groups, each has two words or
 * more, and the second one `most` at most: tables take time, and a few bytes can hold large ones.
 *
 * forms  NUM_FORMS limits of the values, by the form of the tables
 *
 * Returns the first byte after them, or NULL if they are none.
 */
const uint8_t *get_tables(alphabets *a, uint32_t size, size_t most, const table_values *forms,
                          const uint8_t *src, const uint8_t *end);

#endif
