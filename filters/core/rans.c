/*
 * Range variant of asymmetric numeral systems (J. Duda, "Asymmetric numeral systems", 2013): a
 * word that has the share p of a block takes log2(1 / p) bits, also parts of bits. States of
 * 32 bits give and take 16 at once, and go around, so that a core works on as many at once
 * (F. Giesen, "Interleaved entropy coders", 2014).
 */
#include "alphabet.h"

enum {
    STATES = 2,
    LEAST_STATE = 1 << 16,
    LEAST_BITS = 8, /* of a probability */
    USUAL_BITS = 14, /* with which the table of slots fits into most caches */
    MOST_BITS = 16,
    MAX_WEIGHT = 1023,
};

typedef struct {
    uint16_t start, freq; /* of 2^num_bits slots */
    uint16_t word;
} symbol;

typedef struct {
    symbol symbols[1 << (MOST_BITS - 1)];
    uint16_t of_slot[1 << MOST_BITS]; /* which symbol it is that a slot belongs to */
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

/* The whole number next to sqrt(count) * 5 / 8; 1 for the rarest. */
static uint16_t weight_of(uint32_t count) {
    uint32_t weight = 1; /* (8 w / 5)^2 is nearest: 64 (w + 1/2)^2 > 25 count */
    while (64 * weight * (weight + 1) + 16 <= 25 * count) weight++;
    return (uint16_t)weight;
}

/* As precise as it is worth: rare words have a slot, which should not be more than is theirs. */
static int bits_for(const alphabet *a, size_t count) {
    int num_bits = LEAST_BITS;
    while (num_bits < USUAL_BITS && 1u << num_bits < count) num_bits++;
    while (num_bits < MOST_BITS && 1u << num_bits < 8 * a->size) num_bits++;
    return num_bits;
}

static uint8_t *encode_block(alphabet *a, const uint8_t *words, size_t count, uint8_t *dst,
                             uint8_t *end, void *memory) {
    symbol *const symbols = memory;
    const int num_bits = bits_for(a, count);
    if (a->size > 1u << (num_bits - 1)) return NULL;
    for (uint32_t i = 0; i < a->size; i++) a->values[i] = weight_of(a->counts[i]);
    share_slots(a, num_bits, symbols);
    for (uint32_t i = 0; i < a->size; i++)
        a->of[ranked(a->words[i])] = (uint32_t)symbols[i].start << 16 | symbols[i].freq;

    dst = put_table(a, 1, dst, end);
    if (dst == NULL || end - dst < 1 + 4 * STATES) return NULL;
    *dst++ = (uint8_t)num_bits;

    /* What is decoded last is encoded first, and its 16 bits written at the end. */
    uint32_t states[STATES];
    for (int s = 0; s < STATES; s++) states[s] = LEAST_STATE;
    uint8_t *next = end;
    for (size_t i = count; i-- > 0;) {
        uint32_t *const x = &states[i % STATES];
        const uint32_t slots = a->of[ranked(load_u16(words + 2 * i))], freq = slots & 0xFFFF;
        if (*x >> (32 - num_bits) >= freq) {
            if (next - dst < 2 + 4 * STATES) return NULL;
            next -= 2;
            store_u16(next, (uint16_t)*x);
            *x >>= 16;
        }
        *x = (*x / freq << num_bits) + *x % freq + (slots >> 16);
    }
    for (int s = 0; s < STATES; s++, dst += 4) store_u32(dst, states[s]);
    memmove(dst, next, (size_t)(end - next));
    return dst + (end - next);
}

static inline uint16_t get_word(const decoder_memory *m, uint32_t *x, int num_bits) {
    const uint32_t slot = *x & ((1u << num_bits) - 1);
    const symbol s = m->symbols[m->of_slot[slot]];
    *x = s.freq * (*x >> num_bits) + slot - s.start;
    return s.word;
}

static const uint8_t *decode_block(alphabet *a, const uint8_t *src, const uint8_t *end,
                                   uint8_t *words, size_t count, void *memory) {
    decoder_memory *const m = memory;
    src = get_table(a, 1, MAX_WEIGHT, src, end);
    if (src == NULL || end - src < 1 + 4 * STATES) return NULL;
    const int num_bits = *src++;
    if (num_bits < LEAST_BITS || num_bits > MOST_BITS || a->size > 1u << (num_bits - 1))
        return NULL;
    share_slots(a, num_bits, m->symbols);
    for (uint32_t i = 0; i < a->size; i++)
        for (uint32_t j = 0; j < m->symbols[i].freq; j++)
            m->of_slot[m->symbols[i].start + j] = (uint16_t)i;

    uint32_t states[STATES];
    for (int s = 0; s < STATES; s++, src += 4) {
        states[s] = load_u32(src);
        if (states[s] < LEAST_STATE) return NULL;
    }
    size_t i = 0;
    for (; i + STATES <= count && end - src >= 2 * STATES; i += STATES)
        for (size_t s = 0; s < STATES; s++) {
            store_u16(words + 2 * (i + s), get_word(m, &states[s], num_bits));
            const uint32_t more = states[s] < LEAST_STATE;
            const uint32_t grown = states[s] << 16 | load_u16(src);
            states[s] = more ? grown : states[s];
            src += 2 * more;
        }
    for (; i < count; i++) {
        uint32_t *const x = &states[i % STATES];
        store_u16(words + 2 * i, get_word(m, x, num_bits));
        if (*x >= LEAST_STATE) continue;
        if (end - src < 2) return NULL;
        *x = *x << 16 | load_u16(src);
        src += 2;
    }
    for (int s = 0; s < STATES; s++)
        if (states[s] != LEAST_STATE) return NULL;
    return src;
}

static int64_t encode_words(const uint8_t *words, size_t count, uint8_t *dst) {
    return encode_blocks(words, count, dst, encode_block, sizeof(decoder_memory));
}

static int decode_words(const uint8_t *src, const uint8_t *end, uint8_t *words, size_t count) {
    return decode_blocks(src, end, words, count, decode_block, sizeof(decoder_memory));
}

CODER(SIMPLE_RANS, "rans");
