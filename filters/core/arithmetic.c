/*
 * Adaptive arithmetic coding of words, by range coders (range_coder.h). There is no table: both
 * sides count the words as they come, and now and then make probabilities of the counts; often in
 * the beginning, when every word teaches much. A word that has none yet is announced by an escape,
 * and coded as its difference to the one before it.
 *
 * Words go to two range coders in turn, so that a core works on two divisions at once.
 */
#include <stdlib.h>

#include "coder.h"
#include "range_coder.h"

enum {
    NUM_WORDS = 1 << 16,   /* values that a word can have */
    MAX_KNOWN = 1 << 14,   /* words that can have a probability at a time */
    LEAST_BITS = 12,       /* of a probability; of the escape's as well, so that no word is free */
    MOST_BITS = 16,
    MAX_TOTAL = 1 << 13,   /* counts are halved above that, and forgotten in the end */
    LEAST_PERIOD = 16,     /* words from one making of probabilities to the next */
    MOST_PERIOD = 512,
    MOST = 1 << 16,        /* bytes of words in a byte: no word has more than 1 - 2^-12 */
    GIVE_UP = 4096,        /* bytes by which the words may have grown, before the rest is tried */
};

typedef struct {
    uint32_t num_known, num_coded; /* words that occurred, and of them those with a probability */
    int num_bits;
    uint32_t total;                /* of the counts */
    uint32_t recent, recent_new;   /* words, and escapes among them, times 256; fading */
    uint16_t words[MAX_KNOWN];
    uint32_t counts[MAX_KNOWN];
    uint32_t starts[MAX_KNOWN + 1]; /* slots of the coded words; the escape has those after them */
    uint16_t of_word[NUM_WORDS];    /* which of the known words a word is, plus 1, or 0 */
    adaptive_number differences;
} model;

static void start_model(model *m) {
    m->num_known = m->total = m->recent = m->recent_new = 0;
    memset(m->of_word, 0, sizeof m->of_word);
    start_numbers(&m->differences);
}

/* A word that was escaped. One that comes up for the first time is likely to come again soon. */
static void learn(model *m, uint16_t word) {
    uint32_t i = m->of_word[word];
    if (i == 0) {
        if (m->num_known == MAX_KNOWN) return;
        i = ++m->num_known;
        m->of_word[word] = (uint16_t)i;
        m->words[i - 1] = word;
        m->counts[i - 1] = 0;
    }
    m->counts[i - 1] += 2;
}

static void halve_counts(model *m) {
    uint32_t kept = 0;
    m->total = 0;
    for (uint32_t i = 0; i < m->num_known; i++) {
        const uint16_t word = m->words[i];
        const uint32_t count = m->counts[i] / 2;
        m->of_word[word] = count > 0 ? (uint16_t)(kept + 1) : 0;
        if (count == 0) continue;
        m->words[kept] = word;
        m->counts[kept++] = count;
        m->total += count;
    }
    m->num_known = kept;
}

/* Give each known word a slot, and by their counts those that the escape leaves. */
static void make_probabilities(model *m) {
    m->total = 0;
    for (uint32_t i = 0; i < m->num_known; i++) m->total += m->counts[i];
    if (m->total > MAX_TOTAL && m->total > 8 * m->num_known) halve_counts(m);
    m->num_bits = LEAST_BITS;
    while (1u << m->num_bits < 4 * m->num_known) m->num_bits++;
    const uint32_t slots = 1u << m->num_bits, least = slots >> LEAST_BITS;
    uint32_t escape = (uint32_t)((uint64_t)slots * (m->recent_new + 80) / (m->recent + 256));
    escape = escape < least ? least : escape > slots / 2 ? slots / 2 : escape;
    m->num_coded = m->num_known;
    m->starts[0] = 0;
    if (m->num_coded == 0) return;
    const uint64_t share = ((uint64_t)(slots - escape - m->num_coded) << 32) / m->total;
    uint32_t before = 0;
    for (uint32_t i = 0; i < m->num_coded; i++) {
        before += m->counts[i];
        m->starts[i + 1] = i + 1 + (uint32_t)(before * share >> 32);
    }
}

/* Words, a pair or more, that are to be coded with these probabilities, from number i on. */
static size_t period(const model *m, size_t i) {
    const size_t most = m->num_known > MOST_PERIOD ? m->num_known : MOST_PERIOD;
    const size_t length = i / 16 > LEAST_PERIOD ? i / 16 : LEAST_PERIOD;
    return (length < most ? length : most) & ~(size_t)1;
}

/* Words that are still to be coded with them after an escape, so that it is soon known. */
static size_t period_after_escape(const model *m) {
    return (LEAST_PERIOD + m->num_known / 8) & ~(size_t)1;
}

static void end_period(model *m, uint32_t length, uint32_t escapes) {
    m->recent = m->recent - m->recent / 4 + 256 * length;
    m->recent_new = m->recent_new - m->recent_new / 4 + 256 * escapes;
}

/* Returns whether it was an escape. */
static inline int put_word(model *m, range_encoder *e, uint16_t word, uint16_t before) {
    const uint32_t i = m->of_word[word] - 1u;
    if (i < m->num_coded) {
        range_put(e, m->starts[i], m->starts[i + 1] - m->starts[i], m->num_bits);
        m->counts[i]++;
        return 0;
    }
    const uint32_t start = m->starts[m->num_coded];
    range_put(e, start, (1u << m->num_bits) - start, m->num_bits);
    range_put_number(e, &m->differences, fold_sign((int16_t)(word - before)) & 0xFFFF);
    learn(m, word);
    return 1;
}

static int64_t encode_words(const uint8_t *words, size_t count, uint8_t *dst) {
    model *const m = malloc(sizeof *m + 2 * count);
    if (m == NULL) return N1_ERROR_MEMORY;
    uint8_t *const second = (uint8_t *)(m + 1);
    range_encoder e[2] = {encode_range_to(dst, dst + 2 * count),
                          encode_range_to(second, second + 2 * count)};
    start_model(m);
    uint16_t before = 0;
    int gives_up = 0;
    for (size_t i = 0; i < count && !gives_up;) {
        make_probabilities(m);
        const size_t begin = i;
        size_t stop = i + period(m, i);
        uint32_t escapes = 0;
        for (; i < stop && i < count; i += 2) {
            uint32_t escaped = 0;
            for (size_t j = 0; j < 2 && i + j < count; j++) {
                const uint16_t word = load_u16(words + 2 * (i + j));
                escaped += (uint32_t)put_word(m, &e[j], word, before);
                before = word;
            }
            if (escaped == 0) continue;
            escapes += escaped;
            const size_t soon = i + 2 + period_after_escape(m);
            if (soon < stop) stop = soon;
        }
        end_period(m, (uint32_t)(i - begin), escapes);
        gives_up = (size_t)(e[0].next - dst + (e[1].next - second)) > 2 * i + GIVE_UP;
    }
    const size_t size = (size_t)(finish_range(&e[0]) - dst);
    const size_t size_of_second = (size_t)(finish_range(&e[1]) - second);
    uint8_t varint[10];
    const size_t head = store_varint(varint, size);
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
    uint16_t of_slot[(1 << MOST_BITS) + 8]; /* which of the coded words a slot belongs to */
} decoder_memory;

/* Eight slots at once: the next word's take the place of those that were too many. */
static void fill_slots(decoder_memory *memory) {
    const model *const m = &memory->m;
    for (uint32_t i = 0; i <= m->num_coded; i++) {
        const size_t end = i < m->num_coded ? m->starts[i + 1] : 1u << m->num_bits;
        const uint64_t four = i * 0x0001000100010001u, eight[2] = {four, four};
        for (size_t slot = m->starts[i]; slot < end; slot += 8)
            memcpy(memory->of_slot + slot, eight, sizeof eight);
    }
}

/* By value, so that decoders whose words have a probability can stay in registers. */
static range_decoder get_escaped(model *m, range_decoder d, uint16_t *word) {
    *word = (uint16_t)(*word + unfold_sign(range_get_number(&d, &m->differences)));
    learn(m, *word);
    return d;
}

/* Puts a word in the place of the one before it; returns whether it was an escape. */
static inline int get_word(decoder_memory *memory, range_decoder *d, uint16_t *word) {
    model *const m = &memory->m;
    const uint32_t i = memory->of_slot[range_slot(d, m->num_bits)], start = m->starts[i];
    if (i < m->num_coded) {
        range_take(d, start, m->starts[i + 1] - start, m->num_bits);
        m->counts[i]++;
        *word = m->words[i];
        return 0;
    }
    range_take(d, start, (1u << m->num_bits) - start, m->num_bits);
    *d = get_escaped(m, *d, word);
    return 1;
}

static int decode_words(const uint8_t *src, const uint8_t *end, uint8_t *words, size_t count) {
    uint64_t size;
    const size_t varint = load_varint(src, end, &size);
    src += varint;
    if (varint == 0 || size > (uint64_t)(end - src)) return N1_ERROR_CORRUPT;
    decoder_memory *const memory = malloc(sizeof *memory);
    if (memory == NULL) return N1_ERROR_MEMORY;
    model *const m = &memory->m;
    range_decoder even = decode_range_from(src, src + size);
    range_decoder odd = decode_range_from(src + size, end);
    start_model(m);
    uint16_t word = 0;
    for (size_t i = 0; i < count && !even.overrun && !odd.overrun;) {
        make_probabilities(m);
        fill_slots(memory);
        const size_t begin = i;
        size_t stop = i + period(m, i);
        uint32_t escapes = 0;
        for (; i < stop && i < count; i += 2) {
            uint32_t escaped = (uint32_t)get_word(memory, &even, &word);
            store_u16(words + 2 * i, word);
            if (i + 1 < count) {
                escaped += (uint32_t)get_word(memory, &odd, &word);
                store_u16(words + 2 * i + 2, word);
            }
            if (escaped == 0) continue;
            escapes += escaped;
            const size_t soon = i + 2 + period_after_escape(m);
            if (soon < stop) stop = soon;
        }
        end_period(m, (uint32_t)(i - begin), escapes);
    }
    free(memory);
    const int whole = finish_range_reading(&even) == src + size && !even.overrun &&
                      finish_range_reading(&odd) == end && !odd.overrun;
    return whole ? N1_OK : N1_ERROR_CORRUPT;
}

CODER(SIMPLE_ARITHMETIC, "arithmetic");
