#include "canonical.h"

#include <string.h>

int make_codes(const uint16_t *lengths, uint32_t size, canonical_codes *codes) {
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

void make_lengths(huffman_tree *t, uint32_t size, uint64_t least, uint16_t *lengths) {
    sort_leaves(t, size);
    while (join_leaves(t, size, least, lengths) > MAX_LENGTH) least *= 2;
}
