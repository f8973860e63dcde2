/*
 * Canonical Huffman codes of symbols, which are numbers from 0 on (D. A. Huffman, "A method for the
 * construction of minimum-redundancy codes", 1952; E. S. Schwartz and B. Kallick, 1964, for the
 * canonical ones). Codes are as they are at the head of 16 bits, the shorter ones first.
 */
#ifndef N1STORE_CANONICAL_H
#define N1STORE_CANONICAL_H

#include <stdint.h>

enum {
    MAX_LENGTH = 16,
    MAX_SYMBOLS = 1 << 16,
};

typedef struct {
    uint32_t first[MAX_LENGTH + 1], limit[MAX_LENGTH + 1]; /* by length: of the codes, past them */
    uint32_t index[MAX_LENGTH + 1];                        /* of the first one, in `symbols` */
    uint16_t symbols[MAX_SYMBOLS];                         /* in the order of their codes */
} canonical_codes;

/*
 * Make the codes of symbols 0 to size - 1, MAX_SYMBOLS at most, from the length of each, 1 to 16.
 *
 * Returns whether these are lengths of a code that leaves no bits unused; if not, there are no codes
 * that could be used.
 */
int make_codes(const uint16_t *lengths, uint32_t size, canonical_codes *codes);

/*
 * The symbol whose code the window begins with, and the code's length << 16, if that is `length`
 * or more. Inline, as decoders do it for words.
 */
static inline uint32_t find_code(const canonical_codes *codes, uint64_t window, int length) {
    const uint32_t head = (uint32_t)(window >> (64 - MAX_LENGTH));
    while (head >= codes->limit[length]) length++; /* the last limit is 2^16 */
    const uint32_t index = (head - codes->first[length]) >> (MAX_LENGTH - length);
    return codes->symbols[codes->index[length] + index] | (uint32_t)length << 16;
}

/* Huffman's tree of MAX_SYMBOLS at most. Its nodes are the sorted leaves, then those above them. */
typedef struct {
    uint64_t leaves[MAX_SYMBOLS];      /* each a weight, and in the 16 bits below it the symbol */
    uint64_t weights[2 * MAX_SYMBOLS]; /* of the nodes; while leaves are sorted, other leaves */
    uint32_t parents[2 * MAX_SYMBOLS];
} huffman_tree;

/* The weight is below 2^48; all symbols from 0 on are set before they get lengths. */
static inline void set_leaf(huffman_tree *t, uint32_t symbol, uint64_t weight) {
    t->leaves[symbol] = weight << 16 | symbol;
}

/*
 * Set the lengths, 16 at most, of symbols 0 to size - 1, which are 2 or more and have leaves. Rare
 * symbols are taken for less rare ones: weights below `least` count as that, or as more.
 */
void make_lengths(huffman_tree *t, uint32_t size, uint64_t least, uint16_t *lengths);

#endif
