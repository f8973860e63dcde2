/*
 * What huffman, arithmetic and rans have in common: which words there are, and whether they are
 * coded in two groups.
 */
#ifndef N1STORE_ALPHABET_H
#define N1STORE_ALPHABET_H

#include "../common/bytes.h"

enum {
    NUM_WORDS = 1 << 16, /* values that a word can have */
    STREAMS = 2,         /* that words go to in turn, so that a core works on as many at once */
    ONE_GROUP = 1 << 15, /* a threshold that no word reaches */
};

/* The words that occur, in ascending order as signed numbers. */
typedef struct {
    uint32_t size;
    uint16_t words[NUM_WORDS];
    uint16_t values[NUM_WORDS]; /* what the table says of each: a length or a weight */
    uint32_t counts[NUM_WORDS]; /* how often each occurs, for the encoder */
    uint32_t of[NUM_WORDS];     /* by `ranked` word, for the encoder, anything it needs of a word */
} alphabet;

/* Words in the order of signed numbers; the same function leads back. */
static inline uint16_t ranked(uint16_t word) { return word ^ 0x8000; }

/*
 * Words are coded in one or two groups, with an alphabet each: those that follow a word below the
 * threshold, and the others. Samples wander, and so the second ones are not those that the first
 * ones are. What a word follows is the one STREAMS before it, so that streams need no others.
 */
typedef struct {
    _Alignas(16) int32_t threshold; /* ONE_GROUP, or a word; aligned so that anything can follow */
    int in_pairs;                   /* of one group: `huffman` takes its words two at a time */
    alphabet groups[2];
} alphabets;

static inline int num_groups(int32_t threshold) { return threshold == ONE_GROUP ? 1 : 2; }

/* The group of the words that follow this one; the first ones follow a 0. */
static inline int group_after(uint16_t word, int32_t threshold) {
    return (int16_t)word >= threshold;
}

/* The word that word number i follows. */
static inline uint16_t followed_by(const uint8_t *words, size_t i) {
    return i < STREAMS ? 0 : load_u16(words + 2 * (i - STREAMS));
}

/*
 * Count the words of a block, 1 or more: sets a->size, and of each word that occurs `words` and
 * `counts`; `of` holds anything afterwards.
 */
void count_words(alphabet *a, const uint8_t *words, size_t count);

/*
 * Split the words that are counted in the first group into two at their median, where that takes
 * fewer bits; else there is one. Sets a->threshold and the groups' sizes, words and counts.
 *
 * Returns how many bits they take, about, in 1 / 2^16.
 */
int64_t find_groups(alphabets *a, const uint8_t *words, size_t count);

#endif
