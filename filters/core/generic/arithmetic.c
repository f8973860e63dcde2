/*
 * Adaptive arithmetic coding of words, by range coders (range_coder.h). There is no table: both
 * sides count the words as they come, and now and then make probabilities of the counts; often in
 * the beginning, when every word teaches much. A word that has none yet is announced by an escape,
 * and coded as its difference to the one before it.
 *
 * Words go to two range coders in turn, so that a core works on two divisions at once.
 */
#include <stdlib.h>

#include "alphabet.h"
#include "coder.h"
#include "range_coder.h"

enum {
    MAX_KNOWN = 1 << 14,   /* words of a group that can have a probability at a time */
    LEAST_BITS = 13,       /* of probabilities */
    MOST_BITS = 16,
    MAX_TOTAL = 6000,      /* counts are halved above that, and forgotten in the end */
    RAREST_BITS = 12,      /* the escape has 2^-12 at least, so that no word is free */
    LEAST_PERIOD = 4,      /* words from one making of probabilities to the next */
    MOST_PERIOD = 1024,
    AFTER_ESCAPE = 16,     /* words from an escape to the next making, so that it is soon known */
    MOST = 1 << 16,        /* bytes of words in a byte: no word has more than 1 - 2^-12 */
    GIVE_UP = 4096,        /* bytes by which the words may have grown, before the rest is tried */
    TRIED = 1 << 16,       /* words that say whether two groups are better than one */
};

/*
 * Differences are 64 times a multiple plus a rest: 64 is the step of 10-bit converters on 16 bits.
 * Of each, folded, plus 1, there are the number of bits that follow its first one, and the upper
 * two of them, which are adaptive, and the others.
 */
typedef struct {
    adaptive_bit num_bits[16], upper[16][4];
} adaptive_part;

/* The words of a group. */
typedef struct {
    uint32_t num_known, num_coded; /* words that occurred, and of them those with a probability */
    uint16_t words[MAX_KNOWN];
    uint32_t counts[MAX_KNOWN];
    uint32_t starts[MAX_KNOWN + 1]; /* slots of the coded words; the escape has those after them */
    uint16_t of_word[NUM_WORDS];    /* which of the known words a word is, plus 1, or 0 */
} known_words;

typedef struct {
    int32_t threshold;
    int num_bits;                /* of probabilities */
    uint32_t recent, recent_new; /* words, and escapes among them, times 256; fading */
    adaptive_part multiples, rests;
    known_words groups[2];
} model;

static void start_part(adaptive_part *a) {
    start_bits(a->num_bits, 16);
    start_bits(a->upper[0], 16 * 4);
}

static void start_model(model *m, int32_t threshold) {
    m->threshold = threshold;
    m->recent = m->recent_new = 0;
    start_part(&m->multiples);
    start_part(&m->rests);
    for (int g = 0; g < num_groups(threshold); g++) {
        m->groups[g].num_known = 0;
        memset(m->groups[g].of_word, 0, sizeof m->groups[g].of_word);
    }
}

/* Of a number, 1 or more; returns how many bits are left of it. */
static int put_upper(range_encoder *e, adaptive_part *a, uint32_t number) {
    const int num_bits = floor_log2(number), upper = num_bits < 2 ? num_bits : 2;
    range_put_bits(e, a->num_bits, (uint32_t)num_bits, 4);
    range_put_bits(e, a->upper[num_bits], number >> (num_bits - upper), upper);
    return num_bits - upper;
}

static void put_difference(range_encoder *e, model *m, int16_t difference) {
    const int32_t multiple = (difference + 32) >> 6;
    const uint32_t high = fold_sign(multiple) + 1, low = fold_sign(difference - 64 * multiple) + 1;
    const int high_bits = put_upper(e, &m->multiples, high);
    const int low_bits = put_upper(e, &m->rests, low);
    const uint32_t left = (high & ((1u << high_bits) - 1)) << low_bits;
    range_put(e, left | (low & ((1u << low_bits) - 1)), 1, high_bits + low_bits);
}

static uint32_t get_upper(range_decoder *d, adaptive_part *a, int *bits_left) {
    const int num_bits = (int)range_get_bits(d, a->num_bits, 4);
    const int upper = num_bits < 2 ? num_bits : 2;
    *bits_left = num_bits - upper;
    return 1u << upper | range_get_bits(d, a->upper[num_bits], upper);
}

static int32_t get_difference(range_decoder *d, model *m) {
    int high_bits, low_bits;
    uint32_t high = get_upper(d, &m->multiples, &high_bits);
    uint32_t low = get_upper(d, &m->rests, &low_bits);
    if (high_bits + low_bits > 16) d->overrun = 1; /* no difference is that long */
    if (d->overrun) return 0;
    const uint32_t left = range_get_plain(d, high_bits + low_bits);
    high = high << high_bits | left >> low_bits;
    low = low << low_bits | (left & ((1u << low_bits) - 1));
    return 64 * unfold_sign(high - 1) + unfold_sign(low - 1);
}

/* A word that was escaped. */
static void learn(known_words *k, uint16_t word) {
    uint32_t i = k->of_word[word];
    if (i == 0) {
        if (k->num_known == MAX_KNOWN) return;
        i = ++k->num_known;
        k->of_word[word] = (uint16_t)i;
        k->words[i - 1] = word;
        k->counts[i - 1] = 0;
    }
    k->counts[i - 1]++;
}

/* Returns their sum. */
static uint32_t halve_counts(known_words *k) {
    uint32_t kept = 0, total = 0;
    for (uint32_t i = 0; i < k->num_known; i++) {
        const uint16_t word = k->words[i];
        const uint32_t count = k->counts[i] / 2;
        k->of_word[word] = count > 0 ? (uint16_t)(kept + 1) : 0;
        if (count == 0) continue;
        k->words[kept] = word;
        k->counts[kept++] = count;
        total += count;
    }
    k->num_known = kept;
    return total;
}

/* Give each known word a slot, and by their counts those that the escape leaves. */
static void share_slots(known_words *k, uint32_t total, uint32_t slots, uint32_t escape) {
    k->num_coded = k->num_known;
    k->starts[0] = 0;
    if (k->num_coded == 0) return;
    const uint64_t share = ((uint64_t)(slots - escape - k->num_coded) << 32) / total;
    uint32_t before = 0;
    for (uint32_t i = 0; i < k->num_coded; i++) {
        before += k->counts[i];
        k->starts[i + 1] = i + 1 + (uint32_t)(before * share >> 32);
    }
}

static void make_probabilities(model *m) {
    uint32_t totals[2] = {0, 0};
    m->num_bits = LEAST_BITS;
    for (int g = 0; g < num_groups(m->threshold); g++) {
        known_words *const k = &m->groups[g];
        for (uint32_t i = 0; i < k->num_known; i++) totals[g] += k->counts[i];
        if (totals[g] > MAX_TOTAL && totals[g] > 8 * k->num_known) totals[g] = halve_counts(k);
        while (1u << m->num_bits < 4 * k->num_known) m->num_bits++;
    }
    const uint32_t slots = 1u << m->num_bits, least = slots >> RAREST_BITS;
    uint32_t escape = (uint32_t)((uint64_t)slots * (m->recent_new + 80) / (m->recent + 256));
    escape = escape < least ? least : escape > slots / 2 ? slots / 2 : escape;
    for (int g = 0; g < num_groups(m->threshold); g++)
        share_slots(&m->groups[g], totals[g], slots, escape);
}

static uint32_t num_known(const model *m) {
    uint32_t known = 0;
    for (int g = 0; g < num_groups(m->threshold); g++) known += m->groups[g].num_known;
    return known;
}

/*
 * Words, a pair or more, that are to be coded with these probabilities, from number i on: many,
 * where there is much to be made anew.
 */
static size_t period(const model *m, size_t i) {
    const size_t known = num_known(m), most = known > MOST_PERIOD ? known : MOST_PERIOD;
    size_t length = i / 16 > LEAST_PERIOD ? i / 16 : LEAST_PERIOD;
    if (length < known / 3) length = known / 3;
    return (length < most ? length : most) & ~(size_t)1;
}

/* Words that are still to be coded with them after an escape. */
static size_t period_after_escape(const model *m) {
    return (AFTER_ESCAPE + num_known(m) / 2) & ~(size_t)1;
}

static void end_period(model *m, uint32_t length, uint32_t escapes) {
    m->recent = m->recent - m->recent / 4 + 256 * length;
    m->recent_new = m->recent_new - m->recent_new / 4 + 256 * escapes;
}

/* A word, the one that it follows, and the one before it. Returns whether it was an escape. */
static inline int put_word(model *m, range_encoder *e, uint16_t word, uint16_t followed,
                           uint16_t before) {
    known_words *const k = &m->groups[group_after(followed, m->threshold)];
    const uint32_t i = k->of_word[word] - 1u;
    if (i < k->num_coded) {
        range_put(e, k->starts[i], k->starts[i + 1] - k->starts[i], m->num_bits);
        k->counts[i]++;
        return 0;
    }
    const uint32_t start = k->starts[k->num_coded];
    range_put(e, start, (1u << m->num_bits) - start, m->num_bits);
    put_difference(e, m, (int16_t)(word - before));
    learn(k, word);
    return 1;
}

/* The threshold that is best for the first words. Returns whether there is memory. */
static int find_threshold(const uint8_t *words, size_t count, int32_t *threshold) {
    alphabets *const a = malloc(sizeof *a);
    if (a == NULL) return 0;
    if (count > TRIED) count = TRIED;
    count_words(&a->groups[0], words, count);
    find_groups(a, words, count);
    *threshold = a->threshold;
    free(a);
    return 1;
}

static int64_t encode_words(const uint8_t *words, size_t count, uint8_t *dst) {
    int32_t threshold;
    if (!find_threshold(words, count, &threshold)) return N1_ERROR_MEMORY;
    model *const m = malloc(sizeof *m + 2 * count);
    if (m == NULL) return N1_ERROR_MEMORY;
    uint8_t *const second = (uint8_t *)(m + 1);
    range_encoder e[STREAMS] = {encode_range_to(dst, dst + 2 * count),
                                encode_range_to(second, second + 2 * count)};
    start_model(m, threshold);
    if (threshold != ONE_GROUP) range_put(&e[0], ranked((uint16_t)threshold), 1, 16);
    uint16_t last[STREAMS] = {0};
    int gives_up = 0;
    for (size_t i = 0; i < count && !gives_up;) {
        make_probabilities(m);
        const size_t begin = i;
        size_t stop = i + period(m, i);
        uint32_t escapes = 0;
        for (; i < stop && i < count; i += STREAMS) {
            uint32_t escaped = 0;
            for (size_t j = 0; j < STREAMS && i + j < count; j++) {
                const uint16_t word = load_u16(words + 2 * (i + j));
                escaped += (uint32_t)put_word(m, &e[j], word, last[j], last[1 - j]);
                last[j] = word;
            }
            if (escaped == 0) continue;
            escapes += escaped;
            const size_t soon = i + STREAMS + period_after_escape(m);
            if (soon < stop) stop = soon;
        }
        end_period(m, (uint32_t)(i - begin), escapes);
        gives_up = (size_t)(e[0].next - dst + (e[1].next - second)) > 2 * i + GIVE_UP;
    }
    const size_t size = (size_t)(finish_range(&e[0]) - dst);
    const size_t size_of_second = (size_t)(finish_range(&e[1]) - second);
    uint8_t varint[10];
    const size_t head = store_varint(varint, 2 * size + (threshold != ONE_GROUP));
    const size_t coded = head + size + size_of_second;
    const int fits = !gives_up && !e[0].overrun && !e[1].overrun && coded < 2 * count;
    if (fits) {
        memmove(dst + head, dst, size);
        memcpy(dst, varint, head);
        memcpy(dst + head + size, second, size_of_second);
    }
    free(m);
    return fits ? (int64_t)coded : 0;
}

typedef struct {
    model m;
    uint16_t of_slot[2][(1 << MOST_BITS) + 16]; /* which of the coded words a slot belongs to */
} decoder_memory;

/* Sixteen slots at once: the next word's take the place of those that were too many. */
static void fill_slots(const known_words *k, int num_bits, uint16_t *of_slot) {
    for (uint32_t i = 0; i <= k->num_coded; i++) {
        const size_t end = i < k->num_coded ? k->starts[i + 1] : 1u << num_bits;
        const uint64_t four = i * 0x0001000100010001u;
        for (size_t slot = k->starts[i]; slot < end; slot += 16)
            for (size_t j = 0; j < 16; j += 4) memcpy(of_slot + slot + j, &four, sizeof four);
    }
}

/* By value, so that decoders whose words have a probability can stay in registers. */
static range_decoder get_escaped(model *m, known_words *k, range_decoder d, uint16_t before,
                                 uint16_t *word) {
    *word = (uint16_t)(before + get_difference(&d, m));
    learn(k, *word);
    return d;
}

/* Puts a word in the place of the one that it follows; returns whether it was an escape. */
static inline int get_word(decoder_memory *memory, range_decoder *d, uint16_t *word,
                           uint16_t before) {
    model *const m = &memory->m;
    const int g = group_after(*word, m->threshold);
    known_words *const k = &m->groups[g];
    const uint32_t i = memory->of_slot[g][range_slot(d, m->num_bits)], start = k->starts[i];
    if (i < k->num_coded) {
        range_take(d, start, k->starts[i + 1] - start, m->num_bits);
        k->counts[i]++;
        *word = k->words[i];
        return 0;
    }
    range_take(d, start, (1u << m->num_bits) - start, m->num_bits);
    *d = get_escaped(m, k, *d, before, word);
    return 1;
}

static int decode_words(const uint8_t *src, const uint8_t *end, uint8_t *words, size_t count) {
    uint64_t size;
    const size_t varint = load_varint(src, end, &size);
    if (varint == 0) return N1_ERROR_CORRUPT;
    const int two_groups = size & 1;
    size >>= 1;
    src += varint;
    if (size > (uint64_t)(end - src)) return N1_ERROR_CORRUPT;
    decoder_memory *const memory = malloc(sizeof *memory);
    if (memory == NULL) return N1_ERROR_MEMORY;
    model *const m = &memory->m;
    range_decoder even = decode_range_from(src, src + size);
    range_decoder odd = decode_range_from(src + size, end);
    start_model(m, two_groups ? (int16_t)ranked((uint16_t)range_get_plain(&even, 16)) : ONE_GROUP);
    uint16_t last_even = 0, last_odd = 0;
    for (size_t i = 0; i < count && !even.overrun && !odd.overrun;) {
        make_probabilities(m);
        for (int g = 0; g < num_groups(m->threshold); g++)
            fill_slots(&m->groups[g], m->num_bits, memory->of_slot[g]);
        const size_t begin = i;
        size_t stop = i + period(m, i);
        uint32_t escapes = 0;
        for (; i < stop && i < count; i += STREAMS) {
            uint32_t escaped = (uint32_t)get_word(memory, &even, &last_even, last_odd);
            store_u16(words + 2 * i, last_even);
            if (i + 1 < count) {
                escaped += (uint32_t)get_word(memory, &odd, &last_odd, last_even);
                store_u16(words + 2 * i + 2, last_odd);
            }
            if (escaped == 0) continue;
            escapes += escaped;
            const size_t soon = i + STREAMS + period_after_escape(m);
            if (soon < stop) stop = soon;
        }
        end_period(m, (uint32_t)(i - begin), escapes);
    }
    free(memory);
    const int whole = finish_range_reading(&even) == src + size && !even.overrun &&
                      finish_range_reading(&odd) == end && !odd.overrun;
    return whole ? N1_OK : N1_ERROR_CORRUPT;
}

const simple_codec arithmetic_codec = {
    .name = "arithmetic",
    .words = &(const word_coder){encode_words, decode_words, MOST},
    .bound = coder_bound,
    .encode = coder_encode,
    .decoded_size = coder_decoded_size,
    .decode = coder_decode,
};
