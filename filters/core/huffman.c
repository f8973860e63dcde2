/*
 * Canonical Huffman codes of words (D. A. Huffman, "A method for the construction of minimum-
 * redundancy codes", 1952; E. S. Schwartz and B. Kallick, 1964, for the canonical ones).
 *
 * Decoding looks up what the next bits begin with, and compares with the first code of each
 * length only where a code is longer than that (A. Moffat and A. Turpin, "On the implementation of
 * minimum redundancy prefix codes", 1997). Words go to several streams in turn, so that a core
 * works on as many at once.
 */
#include "blocks.h"

enum {
    MAX_LENGTH = 16,
    RARE = 13,       /* a length that rare words have */
    LOOKED_UP = 11,  /* bits; the table of the words that they begin with fits into any cache */
    LEAST_COUNT = 2, /* rarer words count as often: what codes lose by that, the table gains */
    MAX_ENCODED = 1 << 15, /* different words, of 2^16 at most: more are as good as noise */
    AT_ONCE = 3,     /* words of a stream for which 56 bits always suffice */
    SIZES = 2 * (STREAMS - 1), /* bytes: how many each stream has but the last one */
};

/* Codes as they are at the head of 16 bits, the shorter ones first. */
typedef struct {
    uint32_t first[MAX_LENGTH + 1], limit[MAX_LENGTH + 1]; /* by length: of the codes, past them */
    uint32_t index[MAX_LENGTH + 1];                        /* of the first word, in `words` */
    uint16_t words[NUM_WORDS];                             /* in the order of their codes */
} canonical_codes;

/* Returns whether the lengths, a->values, are those of a code that leaves no bits unused. */
static int make_codes(const alphabet *a, canonical_codes *codes) {
    uint32_t counts[MAX_LENGTH + 1] = {0}, next[MAX_LENGTH + 1], code = 0, index = 0;
    for (uint32_t i = 0; i < a->size; i++) counts[a->values[i]]++;
    for (int length = 1; length <= MAX_LENGTH; length++) {
        codes->first[length] = code;
        codes->index[length] = next[length] = index;
        code += counts[length] << (MAX_LENGTH - length);
        index += counts[length];
        codes->limit[length] = code;
        if (code > 1 << MAX_LENGTH) return 0;
    }
    for (uint32_t i = 0; i < a->size; i++) codes->words[next[a->values[i]]++] = a->words[i];
    return code == 1 << MAX_LENGTH;
}

typedef struct {
    uint64_t leaves[NUM_WORDS]; /* counts, and below them indices, to be sorted */
    uint64_t weights[2 * NUM_WORDS];
    uint32_t parents[2 * NUM_WORDS];
    canonical_codes codes;
} encoder_memory;

static int ascending(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/*
 * Huffman's tree: leaves are sorted, and inner nodes come about in order, so that the next two to
 * be joined are at the heads of two queues. Returns the greatest length.
 */
static uint32_t make_lengths(alphabet *a, uint64_t least_count, encoder_memory *m) {
    const uint32_t leaves = a->size, root = 2 * leaves - 2;
    for (uint32_t i = 0; i < leaves; i++) {
        const uint64_t count = m->leaves[i] >> 16;
        m->weights[i] = count > least_count ? count : least_count;
    }
    for (uint32_t node = leaves, leaf = 0, inner = leaves; node <= root; node++) {
        m->weights[node] = 0;
        for (int child = 0; child < 2; child++) {
            const int is_leaf =
                leaf < leaves && (inner == node || m->weights[leaf] <= m->weights[inner]);
            const uint32_t joined = is_leaf ? leaf++ : inner++;
            m->weights[node] += m->weights[joined];
            m->parents[joined] = node;
        }
    }
    uint32_t greatest = 0;
    uint64_t *const depths = m->weights;
    depths[root] = 0;
    for (uint32_t node = root; node-- > 0;) {
        depths[node] = depths[m->parents[node]] + 1;
        if (node >= leaves) continue;
        a->values[m->leaves[node] & 0xFFFF] = (uint16_t)depths[node];
        if (depths[node] > greatest) greatest = (uint32_t)depths[node];
    }
    return greatest;
}

/* Lengths of 16 at most: where they would be longer, rare words are taken for less rare ones. */
static void limit_lengths(alphabet *a, encoder_memory *m) {
    for (uint32_t i = 0; i < a->size; i++) m->leaves[i] = (uint64_t)a->counts[i] << 16 | i;
    qsort(m->leaves, a->size, sizeof *m->leaves, ascending);
    for (uint64_t least = LEAST_COUNT; make_lengths(a, least, m) > MAX_LENGTH;) least *= 2;
}

/* Each word's code, and its length in the five lowest bits. */
static void list_codes(alphabet *a, const canonical_codes *codes) {
    uint32_t index = 0;
    for (int length = 1; length <= MAX_LENGTH; length++)
        for (uint32_t code = codes->first[length]; code < codes->limit[length];
             code += 1u << (MAX_LENGTH - length))
            a->of[ranked(codes->words[index++])] =
                code >> (MAX_LENGTH - length) << 5 | (uint32_t)length;
}

/* Codes of words number stream, stream + STREAMS, …; returns the first byte after them, or NULL. */
static uint8_t *put_stream(const alphabets *a, const uint8_t *words, size_t count, size_t stream,
                           uint8_t *dst, const uint8_t *end) {
    uint64_t held = 0; /* its low bits are still to be written */
    unsigned num_held = 0;
    int group = group_after(0, a->threshold);
    for (size_t i = stream; i < count; i += STREAMS) {
        const uint16_t word = load_u16(words + 2 * i);
        const uint32_t code = a->groups[group].of[ranked(word)];
        group = group_after(word, a->threshold);
        held = held << (code & 31) | code >> 5;
        num_held += code & 31;
        if (num_held < 32) continue;
        if (end - dst < 4) return NULL;
        num_held -= 32;
        store_u32(dst, __builtin_bswap32((uint32_t)(held >> num_held)));
        dst += 4;
    }
    if (end - dst < 4) return NULL;
    for (; num_held >= 8; num_held -= 8) *dst++ = (uint8_t)(held >> (num_held - 8));
    if (num_held > 0) *dst++ = (uint8_t)(held << (8 - num_held));
    return dst;
}

static uint8_t *encode_block(alphabets *a, const uint8_t *words, size_t count, uint8_t *dst,
                             uint8_t *end, void *memory) {
    encoder_memory *const m = memory;
    for (int g = 0; g < num_groups(a->threshold); g++) {
        if (a->groups[g].size > MAX_ENCODED) return NULL;
        limit_lengths(&a->groups[g], m);
        if (!make_codes(&a->groups[g], &m->codes)) return NULL;
        list_codes(&a->groups[g], &m->codes);
    }
    dst = put_tables(a, RARE, dst, end);
    if (dst == NULL || end - dst < SIZES) return NULL;

    uint8_t *next = dst + SIZES;
    for (size_t stream = 0; stream < STREAMS; stream++) {
        uint8_t *const begin = next;
        next = put_stream(a, words, count, stream, begin, end);
        if (next == NULL || next - begin > 0xFFFF) return NULL;
        if (stream < STREAMS - 1) store_u16(dst + 2 * stream, (uint16_t)(next - begin));
    }
    return next;
}

typedef struct {
    uint64_t window; /* the next bits, from its most significant one on */
    int num_bits;    /* of them; what is below has not been counted yet */
    int group;
    const uint8_t *next;
} bit_stream;

typedef struct {
    uint32_t looked_up[2][1 << LOOKED_UP]; /* the word, and its length << 16; 0: see `codes` */
    canonical_codes codes[2];
} decoder_memory;

static void make_table(uint32_t *looked_up, const canonical_codes *codes) {
    uint32_t index = 0, at = 0;
    for (int length = 1; length <= LOOKED_UP; length++)
        for (uint32_t code = codes->first[length]; code < codes->limit[length];
             code += 1u << (MAX_LENGTH - length), index++)
            for (int i = 0; i < 1 << (LOOKED_UP - length); i++)
                looked_up[at++] = codes->words[index] | (uint32_t)length << 16;
    memset(looked_up + at, 0, ((1u << LOOKED_UP) - at) * sizeof *looked_up);
}

/* The word and the length of a code that is longer than LOOKED_UP. */
static uint32_t long_code(const canonical_codes *codes, uint64_t window) {
    const uint32_t head = (uint32_t)(window >> (64 - MAX_LENGTH));
    int length = LOOKED_UP + 1;
    while (head >= codes->limit[length]) length++; /* the last limit is 2^16 */
    const uint32_t index = (head - codes->first[length]) >> (MAX_LENGTH - length);
    return codes->words[codes->index[length] + index] | (uint32_t)length << 16;
}

static inline uint16_t get_word(const decoder_memory *m, int32_t threshold, bit_stream *s) {
    uint32_t entry = m->looked_up[s->group][s->window >> (64 - LOOKED_UP)];
    if (entry == 0) entry = long_code(&m->codes[s->group], s->window);
    s->window <<= entry >> 16;
    s->num_bits -= (int)(entry >> 16);
    s->group = group_after((uint16_t)entry, threshold);
    return (uint16_t)entry;
}

/* At least 56 bits, of 8 bytes that must be there. */
static inline void refill(bit_stream *s) {
    s->window |= __builtin_bswap64(load_u64(s->next)) >> s->num_bits;
    s->next += (63 - s->num_bits) >> 3;
    s->num_bits |= 56;
}

static inline int can_refill(const bit_stream *streams, const uint8_t *end) {
    int can = 1;
    for (int s = 0; s < STREAMS; s++) can &= end - streams[s].next >= 8;
    return can;
}

static void refill_near_end(bit_stream *s, const uint8_t *end) {
    for (; s->num_bits <= 56 && s->next < end; s->num_bits += 8)
        s->window |= (uint64_t)*s->next++ << (56 - s->num_bits);
}

/* Returns the first byte after the strings, or NULL if they are none. */
static inline const uint8_t *get_words(const decoder_memory *m, int32_t threshold,
                                       const uint8_t *src, const uint8_t *end, uint8_t *words,
                                       size_t count) {
    if (end - src < SIZES) return NULL;
    bit_stream streams[STREAMS];
    const uint8_t *begins[STREAMS + 1];
    begins[0] = src + SIZES;
    for (int s = 0; s < STREAMS; s++) {
        if (s < STREAMS - 1) {
            if (end - begins[s] < load_u16(src + 2 * s)) return NULL;
            begins[s + 1] = begins[s] + load_u16(src + 2 * s);
        }
        streams[s] = (bit_stream){.group = group_after(0, threshold), .next = begins[s]};
    }

    size_t i = 0;
    for (; i + STREAMS * AT_ONCE <= count && can_refill(streams, end); i += STREAMS * AT_ONCE) {
        for (int s = 0; s < STREAMS; s++) refill(&streams[s]);
        for (size_t j = 0; j < AT_ONCE; j++)
            for (size_t s = 0; s < STREAMS; s++)
                store_u16(words + 2 * (i + STREAMS * j + s), get_word(m, threshold, &streams[s]));
    }
    for (; i < count; i++) {
        bit_stream *const s = &streams[i % STREAMS];
        refill_near_end(s, end);
        store_u16(words + 2 * i, get_word(m, threshold, s));
        if (s->num_bits < 0) return NULL;
    }
    for (int s = 0; s < STREAMS; s++) {
        const uint8_t *const after = streams[s].next - streams[s].num_bits / 8;
        if (s == STREAMS - 1) return after;
        if (after != begins[s + 1]) return NULL;
    }
    return NULL;
}

static const uint8_t *decode_block(const alphabets *a, const uint8_t *src, const uint8_t *end,
                                   uint8_t *words, size_t count, void *memory) {
    decoder_memory *const m = memory;
    for (int g = 0; g < num_groups(a->threshold); g++) {
        if (!make_codes(&a->groups[g], &m->codes[g])) return NULL;
        make_table(m->looked_up[g], &m->codes[g]);
    }
    /* The compiler knows that ONE_GROUP needs no comparisons. */
    return a->threshold == ONE_GROUP ? get_words(m, ONE_GROUP, src, end, words, count)
                                     : get_words(m, a->threshold, src, end, words, count);
}

static int64_t encode_words(const uint8_t *words, size_t count, uint8_t *dst) {
    return encode_blocks(words, count, dst, encode_block, sizeof(encoder_memory));
}

static int decode_words(const uint8_t *src, const uint8_t *end, uint8_t *words, size_t count) {
    return decode_blocks(src, end, words, count, RARE, MAX_LENGTH, decode_block,
                         sizeof(decoder_memory));
}

CODER(SIMPLE_HUFFMAN, "huffman");
