/*
 * Canonical Huffman codes of symbols, which are numbers from 0 on (D. A. Huffman, "A method for the
 * construction of minimum-redundancy codes", 1952; E. S. Schwartz and B. Kallick, 1964, for the
 * canonical ones). Codes are as they are at the head of 16 bits, the shorter ones first.
 */
#ifndef N1STORE_CANONICAL_H
#define N1STORE_CANONICAL_H

#include <string.h>

#include "../common/bits.h"

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
 * Of MAX_SYMBOLS at most. Returns whether the lengths, 1 to 16, are those of a code that leaves no
 * bits unused; others make no codes that could be used.
 */
static int make_codes(const uint16_t *lengths, uint32_t size, canonical_codes *codes) {
    uint32_t counts[MAX_LENGTH + 1] = {0}, next[MAX_LENGTH + 1], code = 0, index = 0;
    for (uint32_t i = 0; i < size; i++) counts[lengths[i]]++;
    for (int length = 1; length <= MAX_LENGTH; length++) {
        codes->first[length] = code;
        codes->index[length] = next[length] = index;
        code += counts[length] << (MAX_LENGTH - length);
        index += counts[length];
        codes->limit[length] = code;
        if (code > 1 << MAX_LENGTH) return 0;
    }
    for (uint32_t i = 0; i < size; i++) codes->symbols[next[lengths[i]]++] = (uint16_t)i;
    return code == 1 << MAX_LENGTH;
}

/*
 * The symbol whose code the window begins with, and the code's length << 16, if that is `length`
 * or more.
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

/* By weight, eight bits of it after the other; of equal ones the order stays. */
static void sort_leaves(huffman_tree *t, uint32_t size) {
    uint64_t *from = t->leaves, *to = t->weights, greatest = 0;
    for (uint32_t i = 0; i < size; i++) greatest |= from[i];
    for (int shift = 16; shift < 64 && greatest >> shift != 0; shift += 8) {
        uint32_t next[256] = {0}, begin = 0;
        for (uint32_t i = 0; i < size; i++) next[from[i] >> shift & 0xFF]++;
        for (int digit = 0; digit < 256; digit++) {
            const uint32_t count = next[digit];
            next[digit] = begin;
            begin += count;
        }
        for (uint32_t i = 0; i < size; i++) to[next[from[i] >> shift & 0xFF]++] = from[i];
        uint64_t *const sorted = to;
        to = from;
        from = sorted;
    }
    if (from != t->leaves) memcpy(t->leaves, from, size * sizeof *from);
}

/*
 * Leaves are sorted, and inner nodes come about in order, so that the next two to be joined are at
 * the heads of two queues. Weights below `least` count as that. Returns the greatest length.
 */
static uint32_t join_leaves(huffman_tree *t, uint32_t size, uint64_t least, uint16_t *lengths) {
    const uint32_t root = 2 * size - 2;
    for (uint32_t i = 0; i < size; i++) {
        const uint64_t weight = t->leaves[i] >> 16;
        t->weights[i] = weight > least ? weight : least;
    }
    for (uint32_t node = size, leaf = 0, inner = size; node <= root; node++) {
        t->weights[node] = 0;
        for (int child = 0; child < 2; child++) {
            const int is_leaf =
                leaf < size && (inner == node || t->weights[leaf] <= t->weights[inner]);
            const uint32_t joined = is_leaf ? leaf++ : inner++;
            t->weights[node] += t->weights[joined];
            t->parents[joined] = node;
        }
    }
    uint32_t greatest = 0;
    uint64_t *const depths = t->weights;
    depths[root] = 0;
    for (uint32_t node = root; node-- > 0;) {
        depths[node] = depths[t->parents[node]] + 1;
        if (node >= size) continue;
        lengths[t->leaves[node] & 0xFFFF] = (uint16_t)depths[node];
        if (depths[node] > greatest) greatest = (uint32_t)depths[node];
    }
    return greatest;
}

/* Lengths of 16 at most, of 2 leaves or more: rare symbols are taken for less rare ones. */
static void make_lengths(huffman_tree *t, uint32_t size, uint64_t least, uint16_t *lengths) {
    sort_leaves(t, size);
    while (join_leaves(t, size, least, lengths) > MAX_LENGTH) least *= 2;
}

#endif
