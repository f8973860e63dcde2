#include "tables.h"

#include <stdlib.h>

#include "range_coder.h"

uint16_t weight_of(uint32_t count) {
    uint32_t weight = 1; /* (8 w / 5)^2 is nearest: 64 (w + 1/2)^2 > 25 count */
    while (64 * weight * (weight + 1) + 16 <= 25 * count) weight++;
    return (uint16_t)weight;
}

/*
 * Numbers from 0 to 2^16 - 1, of which a few are frequent: of the number plus 1, how many bits
 * follow its first one, and these, each bit adaptive and known by all those before it, as far as
 * there are six.
 */
typedef struct {
    adaptive_bit more[16], bits[17][64];
} adaptive_number;

static void start_numbers(adaptive_number *n) {
    start_bits(n->more, 16);
    start_bits(n->bits[0], 17 * 64);
}

static void range_put_number(range_encoder *e, adaptive_number *n, uint32_t number) {
    const int length = floor_log2(number + 1);
    for (int i = 0; i < 16; i++) {
        range_put_bit(e, &n->more[i], i < length);
        if (i == length) break;
    }
    for (int i = length - 1; i >= 0; i--) {
        const uint32_t before = (number + 1) >> (i + 1);
        const int bit = (number + 1) >> i & 1;
        if (before < 64)
            range_put_bit(e, &n->bits[length][before], bit);
        else
            range_put(e, (uint32_t)bit, 1, 1);
    }
}

static uint32_t range_get_number(range_decoder *d, adaptive_number *n) {
    int length = 0;
    while (length < 16 && range_get_bit(d, &n->more[length])) length++;
    uint32_t number = 1;
    for (int i = 0; i < length; i++) {
        const uint32_t bit = number < 64
                                 ? (uint32_t)range_get_bit(d, &n->bits[length][number])
                                 : range_get_plain(d, 1);
        number = number << 1 | bit;
    }
    return (number - 1) & 0xFFFF;
}

/* The distance from word to word that more than half of them have, or 1 if there is none. */
static uint16_t usual_distance(const alphabet *a) {
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

static uint32_t form_of(const alphabets *a) {
    return a->in_pairs ? PAIRS : a->threshold == ONE_GROUP ? ONE_TABLE : TWO_TABLES;
}

/*
 * Words of 10-bit converters on 16 bits come in steps, and so do their differences, but for what
 * rounding does to them. What there is a step below says what to expect.
 */
enum { STEP = 64, ZERO = 1 << 15 /* ranked */, DISTANCES = 6, CHANGES = 3 };

/* What is a step above a word of the group, in the order of `ranked` words. */
static uint32_t step_above(const alphabet *group, uint32_t i) {
    return (uint32_t)ranked(group->words[i]) + STEP;
}

/* Whether most words have one a step below them, but are few of those that could be there. */
static int are_stepped(const alphabets *a) {
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
 * The contexts of a table's numbers, and what predicts these: what is a STEP below, and above 0
 * the opposite words, as differences and residuals are as often negative as positive, about.
 */
typedef struct {
    adaptive_number usual, distance[DISTANCES], change[CHANGES];
    int stepped, mirrored;
    uint32_t below;    /* the first of the group's words that can still be a STEP below another */
    uint32_t opposite; /* how many of the group's first words have opposites that can still come */
} table_contexts;

static void start_contexts(table_contexts *n) {
    start_numbers(&n->usual);
    for (int i = 0; i < DISTANCES; i++) start_numbers(&n->distance[i]);
    for (int i = 0; i < CHANGES; i++) start_numbers(&n->change[i]);
    n->stepped = n->mirrored = 0;
}

static void start_table(table_contexts *n) { n->below = n->opposite = 0; }

/* The first opposite of a word of the group that is `least` or more, or 0 if there is none. */
static uint32_t next_opposite(table_contexts *n, const alphabet *group, uint32_t least) {
    for (; n->opposite > 0; n->opposite--) {
        const uint32_t opposite = NUM_WORDS - ranked(group->words[n->opposite - 1]);
        if (opposite >= least) return opposite;
    }
    return 0;
}

/* The context of the gap between words i - 1 and i; sets *expected if a gap is predicted. */
static adaptive_number *distance_context(table_contexts *n, const alphabet *group, uint32_t i,
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

/* The context of the value of word i, less *expected, which is set if a better one is predicted. */
static adaptive_number *change_context(table_contexts *n, const alphabet *group, uint32_t i,
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

/* The predicted value of word i where change_context knows no better one. */
static int32_t usual_value(const table_contexts *n, const alphabet *group, uint32_t i,
                           int32_t rare) {
    return i == 0 || n->stepped ? rare : group->values[i - 1];
}

/* The sum of the values' absolute prediction errors in a group. */
static uint32_t sum_of_changes(table_contexts *n, const alphabet *group, int32_t rare,
                               int mirrored) {
    uint32_t sum = 0, distance;
    n->mirrored = mirrored;
    start_table(n);
    for (uint32_t i = 0; i < group->size; i++) {
        int32_t expected = usual_value(n, group, i, rare);
        if (i > 0) distance_context(n, group, i, &distance);
        change_context(n, group, i, &expected);
        sum += (uint32_t)abs(group->values[i] - expected);
    }
    return sum;
}

/* Values are coded as changes from what is expected of them. */
uint8_t *put_tables(const alphabets *a, int32_t rare, uint8_t *dst, uint8_t *end) {
    if (end - dst < 4) return NULL;
    dst += store_varint(dst, a->groups[0].size + CODED);
    range_encoder e = encode_range_to(dst, end);
    table_contexts n;
    start_contexts(&n);
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
                adaptive_number *const number = distance_context(&n, group, i, &expected);
                range_put_number(&e, number,
                                 distance == expected ? 0 : distance - (distance > expected));
            }
            int32_t value = usual_value(&n, group, i, rare);
            adaptive_number *const change = change_context(&n, group, i, &value);
            range_put_number(&e, change, fold_sign(group->values[i] - value));
        }
    }
    dst = finish_range(&e);
    return e.overrun ? NULL : dst;
}

const uint8_t *get_tables(alphabets *a, uint32_t size, size_t most, const table_values *forms,
                          const uint8_t *src, const uint8_t *end) {
    range_decoder d = decode_range_from(src, end);
    table_contexts n;
    start_contexts(&n);
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
                adaptive_number *const distance = distance_context(&n, group, i, &expected);
                const uint32_t number = range_get_number(&d, distance);
                word += number == 0 ? expected : number + (number >= expected);
            }
            if (word >= NUM_WORDS) return NULL;
            group->words[i] = ranked((uint16_t)word);
            int32_t value = usual_value(&n, group, i, of.rare);
            adaptive_number *const change = change_context(&n, group, i, &value);
            value += unfold_sign(range_get_number(&d, change));
            if (d.overrun || value < 1 || value > of.most) return NULL;
            group->values[i] = (uint16_t)value;
        }
    }
    src = finish_range_reading(&d);
    return d.overrun ? NULL : src;
}
