/*
 * Range variant of asymmetric numeral systems (J. Duda, "Asymmetric numeral systems", 2013): a
 * word that has the share p of a block takes log2(1 / p) bits, also parts of bits. States of
 * 32 bits give and take 16 at once, and go around, so that a core works on as many at once
 * (F. Giesen, "Interleaved entropy coders", 2014).
 */
#include "blocks.h"
#include "coder.h"

enum {
    LEAST_STATE = 1 << 16,
    LEAST_BITS = 8, /* of a probability */
    USUAL_BITS = 14, /* with which the table of slots fits into most caches */
    MOST_BITS = 16,
};

typedef struct {
    uint16_t start, freq; /* of 2^num_bits slots */
    uint16_t word;
} symbol;

typedef struct {
    symbol symbols[1 << (MOST_BITS - 1)]; /* of one group after the other */
} encoder_memory;

typedef struct {
    symbol symbols[2][1 << (MOST_BITS - 1)];
    uint16_t of_slot[2][1 << MOST_BITS]; /* which symbol it is that a slot belongs to */
} decoder_memory;

/*
 * Slots of each word: one, and of the others a share that goes with its weight's square. To give
 * squares costs all words, rare or frequent, the same for the same error of their weights, so that
 * small weights do. The sums are rounded, not the shares, and so nothing is left over.
 */
static void share_slots(const alphabet *a, int num_bits, symbol *symbols) {
    uint64_t sum = 0, before = 0;
    for (uint32_t i = 0; i < a->size; i++) sum += (uint64_t)a->values[i] * a->values[i];
    const uint64_t shared = (1u << num_bits) - a->size;
    uint32_t start = 0;
    for (uint32_t i = 0; i < a->size; i++) {
        before += (uint64_t)a->values[i] * a->values[i];
        const uint32_t next = i + 1 + (uint32_t)(before * shared / sum);
        symbols[i] = (symbol){(uint16_t)start, (uint16_t)(next - start), a->words[i]};
        start = next;
    }
}

/* As precise as it is worth: rare words have a slot, which should not be more than is theirs. */
static int bits_for(uint32_t num_symbols, size_t count) {
    int num_bits = LEAST_BITS;
    while (num_bits < USUAL_BITS && 1u << num_bits < count) num_bits++;
    while (num_bits < MOST_BITS && 1u << num_bits < 8 * num_symbols) num_bits++;
    return num_bits;
}

static uint32_t most_symbols(const alphabets *a) {
    uint32_t most = 0;
    for (int g = 0; g < num_groups(a->threshold); g++)
        if (a->groups[g].size > most) most = a->groups[g].size;
    return most;
}

static uint8_t *encode_block(alphabets *a, const uint8_t *words, size_t count, uint8_t *dst,
                             uint8_t *end, void *memory) {
    symbol *const symbols = ((encoder_memory *)memory)->symbols;
    const int num_bits = bits_for(most_symbols(a), count);
    if (most_symbols(a) > 1u << (num_bits - 1)) return NULL;
    for (int g = 0; g < num_groups(a->threshold); g++) {
        alphabet *const group = &a->groups[g];
        for (uint32_t i = 0; i < group->size; i++) group->values[i] = weight_of(group->counts[i]);
        share_slots(group, num_bits, symbols);
        for (uint32_t i = 0; i < group->size; i++)
            group->of[ranked(group->words[i])] =
                (uint32_t)symbols[i].start << 16 | symbols[i].freq;
    }

    dst = put_tables(a, 1, dst, end);
    if (dst == NULL || end - dst < 1 + 4 * STREAMS) return NULL;
    *dst++ = (uint8_t)num_bits;

    /* What is decoded last is encoded first, and its 16 bits written at the end. */
    uint32_t states[STREAMS];
    for (int s = 0; s < STREAMS; s++) states[s] = LEAST_STATE;
    uint8_t *next = end;
    for (size_t i = count; i-- > 0;) {
        uint32_t *const x = &states[i % STREAMS];
        const int g = group_after(followed_by(words, i), a->threshold);
        const uint32_t slots = a->groups[g].of[ranked(load_u16(words + 2 * i))];
        const uint32_t freq = slots & 0xFFFF;
        if (*x >> (32 - num_bits) >= freq) {
            if (next - dst < 2 + 4 * STREAMS) return NULL;
            next -= 2;
            store_u16(next, (uint16_t)*x);
            *x >>= 16;
        }
        *x = (*x / freq << num_bits) + *x % freq + (slots >> 16);
    }
    for (int s = 0; s < STREAMS; s++, dst += 4) store_u32(dst, states[s]);
    memmove(dst, next, (size_t)(end - next));
    return dst + (end - next);
}

static inline uint16_t get_word(const decoder_memory *m, int g, uint32_t *x, int num_bits) {
    const uint32_t slot = *x & ((1u << num_bits) - 1);
    const symbol s = m->symbols[g][m->of_slot[g][slot]];
    *x = s.freq * (*x >> num_bits) + slot - s.start;
    return s.word;
}

/* Returns the first byte after the digits, or NULL if there are not enough. */
static inline const uint8_t *get_words(const decoder_memory *m, int num_bits, int32_t threshold,
                                       const uint8_t *src, const uint8_t *end, uint8_t *words,
                                       size_t count) {
    int groups[STREAMS];
    uint32_t states[STREAMS];
    for (int s = 0; s < STREAMS; s++, src += 4) {
        groups[s] = group_after(0, threshold);
        states[s] = load_u32(src);
        if (states[s] < LEAST_STATE) return NULL;
    }
    size_t i = 0;
    for (; i + STREAMS <= count && end - src >= 2 * STREAMS; i += STREAMS)
        for (size_t s = 0; s < STREAMS; s++) {
            const uint16_t word = get_word(m, groups[s], &states[s], num_bits);
            store_u16(words + 2 * (i + s), word);
            groups[s] = group_after(word, threshold);
            const uint32_t more = states[s] < LEAST_STATE;
            const uint32_t grown = states[s] << 16 | load_u16(src);
            states[s] = more ? grown : states[s];
            src += 2 * more;
        }
    for (; i < count; i++) {
        uint32_t *const x = &states[i % STREAMS];
        const uint16_t word = get_word(m, groups[i % STREAMS], x, num_bits);
        store_u16(words + 2 * i, word);
        groups[i % STREAMS] = group_after(word, threshold);
        if (*x >= LEAST_STATE) continue;
        if (end - src < 2) return NULL;
        *x = *x << 16 | load_u16(src);
        src += 2;
    }
    for (int s = 0; s < STREAMS; s++)
        if (states[s] != LEAST_STATE) return NULL;
    return src;
}

static const uint8_t *decode_block(const alphabets *a, const uint8_t *src, const uint8_t *end,
                                   uint8_t *words, size_t count, void *memory) {
    decoder_memory *const m = memory;
    if (end - src < 1 + 4 * STREAMS) return NULL;
    const int num_bits = *src++;
    if (num_bits < LEAST_BITS || num_bits > MOST_BITS || most_symbols(a) > 1u << (num_bits - 1))
        return NULL;
    for (int g = 0; g < num_groups(a->threshold); g++) {
        const symbol *const symbols = m->symbols[g];
        share_slots(&a->groups[g], num_bits, m->symbols[g]);
        for (uint32_t i = 0; i < a->groups[g].size; i++)
            for (uint32_t j = 0; j < symbols[i].freq; j++)
                m->of_slot[g][symbols[i].start + j] = (uint16_t)i;
    }
    /* The compiler knows that ONE_GROUP needs no comparisons. */
    return a->threshold == ONE_GROUP
               ? get_words(m, num_bits, ONE_GROUP, src, end, words, count)
               : get_words(m, num_bits, a->threshold, src, end, words, count);
}

static int64_t encode_words(const uint8_t *words, size_t count, uint8_t *dst) {
    return encode_blocks(words, count, dst, encode_block, sizeof(encoder_memory));
}

static int decode_words(const uint8_t *src, const uint8_t *end, uint8_t *words, size_t count) {
    static const table_values values[NUM_FORMS] = {
        [ONE_TABLE] = {1, MAX_WEIGHT},
        [TWO_TABLES] = {1, MAX_WEIGHT},
    };
    return decode_blocks(src, end, words, count, values, decode_block, sizeof(decoder_memory));
}

const simple_codec rans_codec = {
    .name = "rans",
    .words = &(const word_coder){encode_words, decode_words, MOST},
    .bound = coder_bound,
    .encode = coder_encode,
    .decoded_size = coder_decoded_size,
    .decode = coder_decode,
};
