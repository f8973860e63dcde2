/*
 * What huffman and rans have in common: the words are a block, which is halved again and again
 * where that pays; and a block begins with the tables of the words that occur in it.
 */
#ifndef N1STORE_BLOCKS_H
#define N1STORE_BLOCKS_H

#include "alphabet.h"
#include "coder.h"
#include "range_coder.h"

enum {
    MAX_BLOCK = 1 << 16,      /* words */
    LEAST_HALVED = 1 << 10,   /* words that may be two blocks rather than one */
    LEAST_SAVED = 512,        /* and save at least this part */
    MOST = 2 * MAX_BLOCK / 4, /* bytes of words in a byte: a block takes more than four bytes */
    MAX_WEIGHT = 1023,
};

/* What a block begins with, as a varint; a coded one has how many words group 0 has, plus CODED. */
enum { AS_IT_IS = 0, HALVED = 1, CODED = 1 };

/* How many of the words are the first of two blocks'. */
static inline size_t first_half(size_t count) { return count - count / 2; }

/* The whole number next to sqrt(count) * 5 / 8; 1 for the rarest. */
static uint16_t weight_of(uint32_t count) {
    uint32_t weight = 1; /* (8 w / 5)^2 is nearest: 64 (w + 1/2)^2 > 25 count */
    while (64 * weight * (weight + 1) + 16 <= 25 * count) weight++;
    return (uint16_t)weight;
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

/* What the tables of a block are, and of each form the values that a codec has in them. */
enum { ONE_TABLE, TWO_TABLES, PAIRS, NUM_FORMS };

typedef struct {
    int32_t rare, most; /* the value of rare words, and the greatest one; 0: there are none */
} table_values;

static inline uint32_t form_of(const alphabets *a) {
    return a->in_pairs ? PAIRS : a->threshold == ONE_GROUP ? ONE_TABLE : TWO_TABLES;
}

/*
 * Words of 10-bit converters on 16 bits come in steps, and so do their differences, but for what
 * rounding does to them. What there is a step below says what to expect.
 */
enum { STEP = 64, ZERO = 1 << 15 /* ranked */, DISTANCES = 6, CHANGES = 3 };

/* What is a step above a word of the group, in the order of `ranked` words. */
static inline uint32_t step_above(const alphabet *group, uint32_t i) {
    return (uint32_t)ranked(group->words[i]) + STEP;
}

/* Whether most words have one a step below them, but are few of those that could be there. */
static inline int are_stepped(const alphabets *a) {
    const alphabet *const all = &a->groups[0];
    uint32_t stepped = 0;
    for (uint32_t i = 1, below = 0; i < all->size; i++) {
        while (step_above(all, below) < ranked(all->words[i])) below++;
        stepped += step_above(all, below) == ranked(all->words[i]);
    }
    const uint32_t range = (uint32_t)ranked(all->words[all->size - 1]) - ranked(all->words[0]);
    return 2 * stepped >= all->size && range >= 2 * all->size;
}

/*
 * The numbers of a table, and what is expected of them: by what there is a STEP below, and above 0 by
 * the opposite words, as differences and residuals are as often negative as positive, about.
 */
typedef struct {
    adaptive_number usual, distance[DISTANCES], change[CHANGES];
    int stepped, mirrored;
    uint32_t below;    /* the first of the group's words that can still be a STEP below another */
    uint32_t opposite; /* how many of the group's first words have opposites that can still come */
} table_numbers;

static inline void start_numbers_of_tables(table_numbers *n) {
    start_numbers(&n->usual);
    for (int i = 0; i < DISTANCES; i++) start_numbers(&n->distance[i]);
    for (int i = 0; i < CHANGES; i++) start_numbers(&n->change[i]);
    n->stepped = n->mirrored = 0;
}

static inline void start_table(table_numbers *n) { n->below = n->opposite = 0; }

/* The first opposite of a word of the group that is `least` or more, or 0 if there is none. */
static inline uint32_t next_opposite(table_numbers *n, const alphabet *group, uint32_t least) {
    for (; n->opposite > 0; n->opposite--) {
        const uint32_t opposite = NUM_WORDS - ranked(group->words[n->opposite - 1]);
        if (opposite >= least) return opposite;
    }
    return 0;
}

/* That of the distance from word i - 1 to the next, and what is expected if not what it was. */
static inline adaptive_number *distance_number(table_numbers *n, const alphabet *group, uint32_t i,
                                               uint32_t *expected) {
    const uint32_t word = ranked(group->words[i - 1]);
    uint32_t next = 0;
    if (n->stepped) {
        while (step_above(group, n->below) <= word) n->below++;
        next = step_above(group, n->below);
    }
    if (word < ZERO) n->opposite = i;
    if (n->mirrored && word >= ZERO) {
        const uint32_t opposite = next_opposite(n, group, word + 1);
        if (opposite > 0) next = opposite;
    }
    if (next == 0) return &n->distance[0];
    *expected = next - word;
    return &n->distance[*expected < 4 ? *expected : *expected < STEP - 1 ? 4 : 5];
}

/* That of the change of value of word i from the one that is expected, if not what it was. */
static inline adaptive_number *change_number(table_numbers *n, const alphabet *group, uint32_t i,
                                             int32_t *expected) {
    const uint32_t word = ranked(group->words[i]);
    if (n->mirrored && word > ZERO && next_opposite(n, group, word) == word) {
        *expected = group->values[n->opposite - 1];
        return &n->change[2];
    }
    if (!n->stepped) return &n->change[0];
    while (step_above(group, n->below) < word) n->below++;
    if (step_above(group, n->below) != word) return &n->change[0];
    *expected = group->values[n->below];
    return &n->change[1];
}

/* What the value of word i is expected to be where nothing else is known of it. */
static inline int32_t usual_value(const table_numbers *n, const alphabet *group, uint32_t i,
                                  int32_t rare) {
    return i == 0 || n->stepped ? rare : group->values[i - 1];
}

/* By how much the values of a group are not what is expected, in all. */
static inline uint32_t sum_of_changes(table_numbers *n, const alphabet *group, int32_t rare,
                                      int mirrored) {
    uint32_t sum = 0, distance;
    n->mirrored = mirrored;
    start_table(n);
    for (uint32_t i = 0; i < group->size; i++) {
        int32_t expected = usual_value(n, group, i, rare);
        if (i > 0) distance_number(n, group, i, &distance);
        change_number(n, group, i, &expected);
        sum += (uint32_t)abs(group->values[i] - expected);
    }
    return sum;
}

/*
 * What a block begins with, and the range code of its tables. Values are coded as changes from what
 * is expected of them, and `rare` is what rare words have. Returns the first byte after it, or NULL if
 * there is no room.
 */
static inline uint8_t *put_tables(const alphabets *a, int32_t rare, uint8_t *dst, uint8_t *end) {
    if (end - dst < 4) return NULL;
    dst += store_varint(dst, a->groups[0].size + CODED);
    range_encoder e = encode_range_to(dst, end);
    table_numbers n;
    start_numbers_of_tables(&n);
    const uint32_t usual = usual_distance(&a->groups[0]);
    if (a->groups[0].size > 1) {
        range_put_number(&e, &n.usual, usual - 1);
        const alphabet *const group = &a->groups[0];
        n.stepped = are_stepped(a);
        const uint32_t changes = sum_of_changes(&n, group, rare, 0);
        n.mirrored = sum_of_changes(&n, group, rare, 1) < changes;
        range_put(&e, (uint32_t)n.stepped, 1, 1);
        range_put(&e, (uint32_t)n.mirrored, 1, 1);
        range_put(&e, form_of(a), 1, 2);
        if (form_of(a) == TWO_TABLES) {
            range_put(&e, ranked((uint16_t)a->threshold), 1, 16);
            range_put(&e, a->groups[1].size - 1, 1, 16);
        }
    }
    for (int g = 0; g < num_groups(a->threshold); g++) {
        const alphabet *const group = &a->groups[g];
        start_table(&n);
        for (uint32_t i = 0; i < group->size; i++) {
            const uint16_t word = group->words[i];
            if (i == 0) {
                range_put(&e, ranked(word), 1, 16);
            } else {
                const uint32_t distance = (uint16_t)(word - group->words[i - 1]);
                uint32_t expected = usual;
                adaptive_number *const number = distance_number(&n, group, i, &expected);
                range_put_number(&e, number,
                                 distance == expected ? 0 : distance - (distance > expected));
            }
            int32_t value = usual_value(&n, group, i, rare);
            adaptive_number *const change = change_number(&n, group, i, &value);
            range_put_number(&e, change, fold_sign(group->values[i] - value));
        }
    }
    dst = finish_range(&e);
    return e.overrun ? NULL : dst;
}

/*
 * Those of `size` words in the first group, 1 or more; if there are two groups, each has two words
 * or more, and the second one `most` at most: tables take time, and a few bytes can hold large ones.
 * Returns the first byte after them, or NULL if it is none.
 */
static inline const uint8_t *get_tables(alphabets *a, uint32_t size, size_t most,
                                        const table_values *forms, const uint8_t *src,
                                        const uint8_t *end) {
    range_decoder d = decode_range_from(src, end);
    table_numbers n;
    start_numbers_of_tables(&n);
    uint32_t usual = 1, form = ONE_TABLE;
    a->threshold = ONE_GROUP;
    a->groups[0].size = size;
    if (size > 1) {
        usual = range_get_number(&d, &n.usual) + 1;
        n.stepped = (int)range_get_plain(&d, 1);
        n.mirrored = (int)range_get_plain(&d, 1);
        form = range_get_plain(&d, 2);
        if (form >= NUM_FORMS || forms[form].most == 0) return NULL;
        if (form == TWO_TABLES) {
            a->threshold = (int16_t)ranked((uint16_t)range_get_plain(&d, 16));
            a->groups[1].size = range_get_plain(&d, 16) + 1;
            if (a->groups[1].size < 2 || a->groups[1].size > most) return NULL;
        }
    }
    a->in_pairs = form == PAIRS;
    const table_values of = forms[form];
    for (int g = 0; g < num_groups(a->threshold); g++) {
        alphabet *const group = &a->groups[g];
        uint32_t word = 0; /* ranked */
        start_table(&n);
        for (uint32_t i = 0; i < group->size; i++) {
            if (i == 0) {
                word = range_get_plain(&d, 16);
            } else {
                uint32_t expected = usual;
                adaptive_number *const distance = distance_number(&n, group, i, &expected);
                const uint32_t number = range_get_number(&d, distance);
                word += number == 0 ? expected : number + (number >= expected);
            }
            if (word >= NUM_WORDS) return NULL;
            group->words[i] = ranked((uint16_t)word);
            int32_t value = usual_value(&n, group, i, of.rare);
            adaptive_number *const change = change_number(&n, group, i, &value);
            value += unfold_sign(range_get_number(&d, change));
            if (d.overrun || value < 1 || value > of.most) return NULL;
            group->values[i] = (uint16_t)value;
        }
    }
    src = finish_range_reading(&d);
    return d.overrun ? NULL : src;
}

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
 * Decode all of it that is behind its tables, whose values are in the limits that the codec gave.
 * Returns the first byte after the block, or NULL if it is none.
 */
typedef const uint8_t *(*block_decoder)(const alphabets *a, const uint8_t *src, const uint8_t *end,
                                        uint8_t *words, size_t count, void *memory);

/* Count words and find groups; returns how many bits they take, about, in 1 / 2^16. */
static inline int64_t weigh_block(alphabets *a, const uint8_t *words, size_t count) {
    count_words(&a->groups[0], words, count);
    return find_groups(a, words, count);
}

/* Whether two blocks take less than one, by so much that it is worth the time. If not, that one's words are counted. */
static inline int halves_pay(alphabets *a, const uint8_t *words, size_t count) {
    if (count > MAX_BLOCK) return 1;
    int64_t halves = INT64_MAX;
    if (count >= LEAST_HALVED) {
        const size_t half = first_half(count);
        halves = weigh_block(a, words, half) + weigh_block(a, words + 2 * half, count - half);
    }
    const int64_t whole = weigh_block(a, words, count);
    return halves < whole - whole / LEAST_SAVED;
}

typedef struct {
    block_encoder encode_block;
    alphabets *a;
    uint8_t *end;
} blocks_encoder;

/* One word or more, or nothing where dst is NULL. Returns as block_encoder does. */
static inline uint8_t *put_blocks(const blocks_encoder *e, const uint8_t *words, size_t count,
                                  uint8_t *dst) {
    if (dst == NULL || dst == e->end) return NULL;
    if (halves_pay(e->a, words, count)) {
        const size_t half = first_half(count);
        *dst = HALVED;
        dst = put_blocks(e, words, half, dst + 1);
        return put_blocks(e, words + 2 * half, count - half, dst);
    }
    alphabets *const a = e->a;
    a->in_pairs = 0;
    const size_t room = (size_t)(e->end - dst);
    uint8_t *const limit = room < 2 * count ? e->end : dst + 2 * count;
    a->groups[0].values[0] = 1;
    uint8_t *const next = a->groups[0].size == 1
                              ? put_tables(a, 1, dst, limit)
                              : e->encode_block(a, words, count, dst, limit, a + 1);
    if (next != NULL || room < 1 + 2 * count) return next;
    *dst = AS_IT_IS;
    memcpy(dst + 1, words, 2 * count);
    return dst + 1 + 2 * count;
}

/* As words_encoder in coder.h, and with memory_size bytes for encode_block. */
static inline int64_t encode_blocks(const uint8_t *words, size_t count, uint8_t *dst,
                                    block_encoder encode_block, size_t memory_size) {
    alphabets *const a = malloc(sizeof *a + memory_size);
    if (a == NULL) return N1_ERROR_MEMORY;
    const blocks_encoder e = {encode_block, a, dst + 2 * count};
    const uint8_t *const next = put_blocks(&e, words, count, dst);
    free(a);
    return next != NULL && next < e.end ? next - dst : 0;
}

typedef struct {
    block_decoder decode_block;
    const table_values *forms;
    alphabets *a;
    const uint8_t *end;
} blocks_decoder;

/* One word or more, or nothing where src is NULL. Returns as block_decoder does. */
static inline const uint8_t *get_blocks(const blocks_decoder *d, const uint8_t *src,
                                        uint8_t *words, size_t count) {
    uint64_t head;
    const size_t varint = src == NULL ? 0 : load_varint(src, d->end, &head);
    if (varint == 0) return NULL;
    src += varint;
    if (head == HALVED) {
        if (count < LEAST_HALVED) return NULL;
        const size_t half = first_half(count);
        src = get_blocks(d, src, words, half);
        return get_blocks(d, src, words + 2 * half, count - half);
    }
    if (count > MAX_BLOCK) return NULL;
    if (head == AS_IT_IS) {
        if ((size_t)(d->end - src) < 2 * count) return NULL;
        memcpy(words, src, 2 * count);
        return src + 2 * count;
    }
    const uint64_t size = head - CODED;
    if (size > count) return NULL;
    if (size > 1) {
        src = get_tables(d->a, (uint32_t)size, count, d->forms, src, d->end);
        return src == NULL ? NULL : d->decode_block(d->a, src, d->end, words, count, d->a + 1);
    }
    static const table_values one_word[] = {[ONE_TABLE] = {1, 1}};
    src = get_tables(d->a, 1, 1, one_word, src, d->end);
    for (size_t i = 0; i < count && src != NULL; i++)
        store_u16(words + 2 * i, d->a->groups[0].words[0]);
    return src;
}

/* As words_decoder in coder.h. `forms` has NUM_FORMS; memory_size bytes are for decode_block. */
static inline int decode_blocks(const uint8_t *src, const uint8_t *end, uint8_t *words,
                                size_t count, const table_values *forms,
                                block_decoder decode_block, size_t memory_size) {
    alphabets *const a = malloc(sizeof *a + memory_size);
    if (a == NULL) return N1_ERROR_MEMORY;
    const blocks_decoder d = {decode_block, forms, a, end};
    src = get_blocks(&d, src, words, count);
    free(a);
    return src == end ? N1_OK : N1_ERROR_CORRUPT;
}

#endif
