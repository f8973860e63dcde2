#include "alphabet.h"

#include "../common/bits.h"

/* Words that are passed over at once where none of them occurs. */
enum { IN_A_ROW = 16 };

void count_words(alphabet *a, const uint8_t *words, size_t count) {
    uint16_t least = ranked(load_u16(words)), most = least;
    for (size_t i = 1; i < count; i++) {
        const uint16_t word = ranked(load_u16(words + 2 * i));
        least = word < least ? word : least;
        most = word > most ? word : most;
    }
    const uint32_t begin = least & ~(IN_A_ROW - 1u), end = (most | (IN_A_ROW - 1u)) + 1;
    memset(a->of + begin, 0, (end - begin) * sizeof *a->of);
    for (size_t i = 0; i < count; i++) a->of[ranked(load_u16(words + 2 * i))]++;
    a->size = 0;
    for (uint32_t first = begin; first < end; first += IN_A_ROW) {
        uint32_t any = 0;
        for (uint32_t i = 0; i < IN_A_ROW; i++) any |= a->of[first + i];
        if (any == 0) continue;
        for (uint32_t word = first; word < first + IN_A_ROW; word++) {
            if (a->of[word] == 0) continue;
            a->words[a->size] = ranked((uint16_t)word);
            a->counts[a->size++] = a->of[word];
        }
    }
}

/* Words that are coded alike: how many, how many different ones, and what their counts say. */
typedef struct {
    uint32_t num_words, size;
    int64_t known; /* the sum of the information of all counts */
} tally;

static void tally_word(tally *t, uint32_t count) {
    t->num_words += count;
    t->size += count > 0;
    t->known += information(count);
}

/*
 * Bits that they take, about, in 1 / 2^16. A table names some of the words that could be there, of
 * which there are 2^range_bits, in half of what it would take by chance, and says three bits of each.
 */
static int64_t bits_of(const tally *t, int range_bits) {
    const int64_t words = (int64_t)t->size << 16;
    const int64_t table = (words * range_bits - information(t->size)) / 2 + 3 * words;
    return information(t->num_words) - t->known + table;
}

int64_t find_groups(alphabets *a, const uint8_t *words, size_t count) {
    alphabet *const low = &a->groups[0], *const high = &a->groups[1];
    uint32_t median = 0;
    for (size_t before = 0; (before += low->counts[median]) <= count / 2;) median++;
    a->threshold = (int16_t)low->words[median];

    const uint16_t least = ranked(low->words[0]), most = ranked(low->words[low->size - 1]);
    memset(high->of + least, 0, (size_t)(most - least + 1) * sizeof *high->of);
    for (size_t i = 0; i < count; i++)
        high->of[ranked(load_u16(words + 2 * i))] +=
            (uint32_t)group_after(followed_by(words, i), a->threshold);

    tally all = {0}, of_low = {0}, of_high = {0};
    for (uint32_t i = 0; i < low->size; i++) {
        const uint32_t after_high = high->of[ranked(low->words[i])];
        tally_word(&all, low->counts[i]);
        tally_word(&of_low, low->counts[i] - after_high);
        tally_word(&of_high, after_high);
    }
    const int range_bits = floor_log2(most - least + 1u);
    const int64_t one = bits_of(&all, range_bits);
    const int64_t two = bits_of(&of_low, range_bits) + bits_of(&of_high, range_bits);
    if (of_low.size < 2 || of_high.size < 2 || one < two) {
        a->threshold = ONE_GROUP;
        return one;
    }

    const uint32_t size = low->size;
    low->size = high->size = 0;
    for (uint32_t i = 0; i < size; i++) {
        const uint16_t word = low->words[i];
        const uint32_t before = low->counts[i], after_high = high->of[ranked(word)];
        if (after_high > 0) {
            high->words[high->size] = word;
            high->counts[high->size++] = after_high;
        }
        if (after_high < before) {
            low->words[low->size] = word;
            low->counts[low->size++] = before - after_high;
        }
    }
    return two;
}
