/*
 * Huffman codes of words, and of pairs of them: each code is of whole bits, which cost a pair no
 * more than they cost a word.
 *
 * Decoding looks up what the next bits begin with, and compares with the first code of each
 * length only where a code is longer than that (A. Moffat and A. Turpin, "On the implementation of
 * minimum redundancy prefix codes", 1997). Codes go to several streams in turn, so that a core
 * works on as many at once.
 */
#include "blocks.h"
#include "canonical.h"
#include "coder.h"

enum {
    RARE = 13,       /* a length that rare words have */
    LOOKED_UP = 11,  /* bits; the table of the codes that they begin with fits into any cache */
    LEAST_COUNT = 2, /* rarer words count as often: what codes lose by that, the table gains */
    MAX_ENCODED = 1 << 15, /* different words, of 2^16 at most: more are as good as noise */
    AT_ONCE = 3,     /* codes for which 56 bits always suffice; a pair has no more */
    SIZES = 2 * (STREAMS - 1), /* bytes: how many each stream has but the last one */

    FREQUENT = 32,   /* words that pairs are made of, */
    ALL_FREQUENT = FREQUENT + 1, /* or this many, if there are no more: of others there are two */
    MAX_PAIRS = (FREQUENT + 1) * (FREQUENT + 1),
    MAX_PAIRED_WEIGHT = 1 << 20, /* of all words, so that no pair's weight is too large */
};

/* --- The encoder's bits */

typedef struct {
    uint64_t held; /* its low bits are still to be written */
    unsigned num_held;
    uint8_t *next;
    const uint8_t *end;
    int overrun;
} bit_sink;

/* A code above its length in the five lowest bits. */
static inline void put_code(bit_sink *s, uint32_t code) {
    s->held = s->held << (code & 31) | code >> 5;
    s->num_held += code & 31;
    if (s->num_held < 32) return;
    if (s->end - s->next < 4) {
        s->overrun = 1;
        return;
    }
    s->num_held -= 32;
    store_u32(s->next, __builtin_bswap32((uint32_t)(s->held >> s->num_held)));
    s->next += 4;
}

/* Returns the first byte after the codes, or NULL if there was no room. */
static inline uint8_t *finish_codes(bit_sink *s) {
    if (s->overrun || s->end - s->next < 4) return NULL;
    for (; s->num_held >= 8; s->num_held -= 8)
        *s->next++ = (uint8_t)(s->held >> (s->num_held - 8));
    if (s->num_held > 0) *s->next++ = (uint8_t)(s->held << (8 - s->num_held));
    return s->next;
}

/* What put_code takes, of each symbol. */
static void list_codes(const canonical_codes *codes, uint32_t *of_symbol) {
    uint32_t index = 0;
    for (int length = 1; length <= MAX_LENGTH; length++)
        for (uint32_t code = codes->first[length]; code < codes->limit[length];
             code += 1u << (MAX_LENGTH - length))
            of_symbol[codes->symbols[index++]] =
                code >> (MAX_LENGTH - length) << 5 | (uint32_t)length;
}

/* --- Codes of pairs: of frequent words, and of what stands for all others */

typedef struct {
    uint32_t num_frequent, num_rare;
    uint32_t side; /* a pair's number is that of its first symbol, times this, plus the second's */
    uint16_t frequent[ALL_FREQUENT]; /* words, by their symbols; the last symbol is any rare word */
    uint16_t rare[NUM_WORDS];        /* words, whose codes follow that of the pair */
    uint16_t lengths[NUM_WORDS];
    canonical_codes of_pairs, of_rare;
} pair_codes;

/*
 * Make the codes that both sides make of the weights, a->values, of which there are two or more.
 * Returns whether they are small enough, and those of rare words no more than half of all.
 */
static int make_pair_codes(const alphabet *a, pair_codes *p, huffman_tree *tree) {
    /* Frequent words are those above a weight, and the first ones that have it. */
    uint32_t having[MAX_WEIGHT + 1] = {0}, least = 0, with_least = 0;
    if (a->size > ALL_FREQUENT) {
        for (uint32_t i = 0; i < a->size; i++) having[a->values[i]]++;
        least = MAX_WEIGHT;
        for (with_least = FREQUENT; having[least] < with_least; least--)
            with_least -= having[least];
    }

    uint64_t weights[ALL_FREQUENT + 1], of_rare = 0, of_all = 0;
    p->num_frequent = p->num_rare = 0;
    for (uint32_t i = 0; i < a->size; i++) {
        const uint64_t square = (uint64_t)a->values[i] * a->values[i];
        of_all += square;
        if (a->values[i] > least || (a->values[i] == least && with_least > 0)) {
            if (a->values[i] == least) with_least--;
            weights[p->num_frequent] = square;
            p->frequent[p->num_frequent++] = a->words[i];
        } else {
            of_rare += square;
            set_leaf(tree, p->num_rare, square);
            p->rare[p->num_rare++] = a->words[i];
        }
    }
    if (of_all > MAX_PAIRED_WEIGHT || of_rare > of_all / 2) return 0;
    if (p->num_rare > 0) {
        make_lengths(tree, p->num_rare, 1 + (of_rare >> 17), p->lengths);
        make_codes(p->lengths, p->num_rare, &p->of_rare);
    }

    p->side = p->num_frequent + (p->num_rare > 0);
    weights[p->num_frequent] = of_rare;
    for (uint32_t i = 0; i < p->side; i++)
        for (uint32_t j = 0; j < p->side; j++)
            set_leaf(tree, i * p->side + j, weights[i] * weights[j]);
    make_lengths(tree, p->side * p->side, 1 + (of_all * of_all >> 17), p->lengths);
    return make_codes(p->lengths, p->side * p->side, &p->of_pairs);
}

/* --- The encoder */

typedef struct {
    huffman_tree tree;
    canonical_codes codes;
    uint32_t of_symbol[NUM_WORDS];
    pair_codes pairs;
    uint32_t of_pair[MAX_PAIRS];
    uint8_t in_pairs[2 * MAX_BLOCK]; /* the block */
} encoder_memory;

/* Put what goes to a stream; returns as finish_codes does. */
typedef uint8_t *(*stream_encoder)(const alphabets *a, const encoder_memory *m,
                                   const uint8_t *words, size_t count, size_t stream,
                                   bit_sink *s);

/* Words number stream, stream + STREAMS, … */
static uint8_t *put_words(const alphabets *a, const encoder_memory *m, const uint8_t *words,
                          size_t count, size_t stream, bit_sink *s) {
    (void)m;
    int group = group_after(0, a->threshold);
    for (size_t i = stream; i < count; i += STREAMS) {
        const uint16_t word = load_u16(words + 2 * i);
        put_code(s, a->groups[group].of[ranked(word)]);
        group = group_after(word, a->threshold);
    }
    return finish_codes(s);
}

/* Pairs of words number stream, stream + STREAMS, …; a last word alone is in one with itself. */
static uint8_t *put_pairs(const alphabets *a, const encoder_memory *m, const uint8_t *words,
                          size_t count, size_t stream, bit_sink *s) {
    for (size_t i = 2 * stream; i < count; i += 2 * STREAMS) {
        const uint16_t first = load_u16(words + 2 * i);
        const uint16_t second = i + 1 < count ? load_u16(words + 2 * i + 2) : first;
        const uint32_t x = a->groups[0].of[ranked(first)], y = a->groups[0].of[ranked(second)];
        put_code(s, m->of_pair[(x & 0xFF) * m->pairs.side + (y & 0xFF)]);
        put_code(s, x >> 8);
        put_code(s, y >> 8);
    }
    return finish_codes(s);
}

static uint8_t *put_streams(const alphabets *a, const encoder_memory *m, stream_encoder put,
                            const uint8_t *words, size_t count, uint8_t *dst, uint8_t *end) {
    if (dst == NULL || end - dst < SIZES) return NULL;
    uint8_t *next = dst + SIZES;
    for (size_t stream = 0; stream < STREAMS; stream++) {
        uint8_t *const begin = next;
        next = put(a, m, words, count, stream, &(bit_sink){.next = begin, .end = end});
        if (next == NULL || next - begin > 0xFFFF) return NULL;
        if (stream < STREAMS - 1) store_u16(dst + 2 * stream, (uint16_t)(next - begin));
    }
    return next;
}

static uint8_t *encode_in_words(alphabets *a, const uint8_t *words, size_t count, uint8_t *dst,
                                uint8_t *end, encoder_memory *m) {
    for (int g = 0; g < num_groups(a->threshold); g++) {
        alphabet *const group = &a->groups[g];
        for (uint32_t i = 0; i < group->size; i++) set_leaf(&m->tree, i, group->counts[i]);
        make_lengths(&m->tree, group->size, LEAST_COUNT, group->values);
        make_codes(group->values, group->size, &m->codes);
        list_codes(&m->codes, m->of_symbol);
        for (uint32_t i = 0; i < group->size; i++)
            group->of[ranked(group->words[i])] = m->of_symbol[i];
    }
    dst = put_tables(a, RARE, dst, end);
    return put_streams(a, m, put_words, words, count, dst, end);
}

/* Of a block in one group. */
static uint8_t *encode_in_pairs(alphabets *a, const uint8_t *words, size_t count, uint8_t *dst,
                                uint8_t *end, encoder_memory *m) {
    alphabet *const all = &a->groups[0];
    const pair_codes *const p = &m->pairs;
    for (uint32_t i = 0; i < all->size; i++) all->values[i] = weight_of(all->counts[i]);
    if (!make_pair_codes(all, &m->pairs, &m->tree)) return NULL;
    /* Of each word its symbol, and above these 8 bits the code behind the pair's, if it is rare. */
    for (uint32_t i = 0; i < p->num_frequent; i++) all->of[ranked(p->frequent[i])] = i;
    if (p->num_rare > 0) list_codes(&p->of_rare, m->of_symbol);
    for (uint32_t i = 0; i < p->num_rare; i++)
        all->of[ranked(p->rare[i])] = m->of_symbol[i] << 8 | p->num_frequent;
    list_codes(&p->of_pairs, m->of_pair);
    a->in_pairs = 1;
    dst = put_tables(a, 1, dst, end);
    return put_streams(a, m, put_pairs, words, count, dst, end);
}

static uint8_t *encode_block(alphabets *a, const uint8_t *words, size_t count, uint8_t *dst,
                             uint8_t *end, void *memory) {
    encoder_memory *const m = memory;
    for (int g = 0; g < num_groups(a->threshold); g++)
        if (a->groups[g].size > MAX_ENCODED) return NULL;
    uint8_t *const next = encode_in_words(a, words, count, dst, end, m);
    if (a->threshold != ONE_GROUP) {
        count_words(&a->groups[0], words, count);
        a->threshold = ONE_GROUP;
    }
    const size_t most = next == NULL ? (size_t)(end - dst) : (size_t)(next - dst);
    const uint8_t *const shorter =
        encode_in_pairs(a, words, count, m->in_pairs, m->in_pairs + most, m);
    if (shorter == NULL) return next;
    memcpy(dst, m->in_pairs, (size_t)(shorter - m->in_pairs));
    return dst + (shorter - m->in_pairs);
}

/* --- The decoder */

typedef struct {
    uint64_t window; /* the next bits, from its most significant one on */
    int num_bits;    /* of them; what is below has not been counted yet */
    int group;
    const uint8_t *next;
} bit_stream;

typedef struct {
    uint32_t looked_up[2][1 << LOOKED_UP]; /* the word, and its length << 16; 0: see `codes` */
    canonical_codes codes[2];
    const uint16_t *words[2]; /* of the codes' symbols */

    uint64_t looked_up_pairs[1 << LOOKED_UP]; /* as `of_pair`, and the length << 48; 0: a long one */
    uint64_t of_pair[MAX_PAIRS]; /* both words, and above them which are rare */
    pair_codes pairs;
    huffman_tree tree;
} decoder_memory;

static const uint64_t FIRST_IS_RARE = 1ull << 32, SECOND_IS_RARE = 1ull << 33; /* in `of_pair` */

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

static inline void take_bits(bit_stream *s, int num_bits) {
    s->window <<= num_bits;
    s->num_bits -= num_bits;
}

/* Returns whether the streams are as long as they say. */
static int open_streams(bit_stream *streams, const uint8_t *src, const uint8_t *end) {
    if (end - src < SIZES) return 0;
    const uint8_t *next = src + SIZES;
    for (int s = 0; s < STREAMS; s++) {
        streams[s] = (bit_stream){.next = next};
        if (s == STREAMS - 1) break;
        if (end - next < load_u16(src + 2 * s)) return 0;
        next += load_u16(src + 2 * s);
    }
    return 1;
}

/* The first byte after the streams that began at src, or NULL if they did not end there. */
static const uint8_t *close_streams(const bit_stream *streams, const uint8_t *src) {
    const uint8_t *next = src + SIZES;
    for (int s = 0; s < STREAMS; s++) {
        const uint8_t *const after = streams[s].next - streams[s].num_bits / 8;
        if (s == STREAMS - 1) return after;
        next += load_u16(src + 2 * s);
        if (after != next) return NULL;
    }
    return NULL;
}

static void look_up_words(const canonical_codes *codes, const uint16_t *words,
                          uint32_t *looked_up) {
    uint32_t index = 0, at = 0;
    for (int length = 1; length <= LOOKED_UP; length++)
        for (uint32_t code = codes->first[length]; code < codes->limit[length];
             code += 1u << (MAX_LENGTH - length), index++)
            for (int i = 0; i < 1 << (LOOKED_UP - length); i++)
                looked_up[at++] = words[codes->symbols[index]] | (uint32_t)length << 16;
    memset(looked_up + at, 0, ((1u << LOOKED_UP) - at) * sizeof *looked_up);
}

static inline uint16_t get_word(const decoder_memory *m, int32_t threshold, bit_stream *s) {
    const int g = s->group;
    uint32_t entry = m->looked_up[g][s->window >> (64 - LOOKED_UP)];
    if (entry == 0) {
        entry = find_code(&m->codes[g], s->window, LOOKED_UP + 1);
        entry = m->words[g][entry & 0xFFFF] | (entry & ~0xFFFFu);
    }
    take_bits(s, (int)(entry >> 16));
    s->group = group_after((uint16_t)entry, threshold);
    return (uint16_t)entry;
}

/* Returns the first byte after the streams, or NULL if they are none. */
static inline const uint8_t *get_words(const decoder_memory *m, int32_t threshold,
                                       const uint8_t *src, const uint8_t *end, uint8_t *words,
                                       size_t count) {
    bit_stream streams[STREAMS];
    if (!open_streams(streams, src, end)) return NULL;
    for (int s = 0; s < STREAMS; s++) streams[s].group = group_after(0, threshold);
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
    return close_streams(streams, src);
}

static void look_up_pairs(decoder_memory *m) {
    const pair_codes *const p = &m->pairs;
    for (uint32_t i = 0; i < p->side; i++)
        for (uint32_t j = 0; j < p->side; j++) {
            const uint64_t first = i < p->num_frequent ? p->frequent[i] : FIRST_IS_RARE;
            const uint64_t second =
                j < p->num_frequent ? (uint64_t)p->frequent[j] << 16 : SECOND_IS_RARE;
            m->of_pair[i * p->side + j] = first | second;
        }
    uint32_t index = 0, at = 0;
    for (int length = 1; length <= LOOKED_UP; length++)
        for (uint32_t code = p->of_pairs.first[length]; code < p->of_pairs.limit[length];
             code += 1u << (MAX_LENGTH - length), index++)
            for (int i = 0; i < 1 << (LOOKED_UP - length); i++)
                m->looked_up_pairs[at++] =
                    m->of_pair[p->of_pairs.symbols[index]] | (uint64_t)length << 48;
    memset(m->looked_up_pairs + at, 0, ((1u << LOOKED_UP) - at) * sizeof *m->looked_up_pairs);
}

static uint16_t get_rare(const pair_codes *p, bit_stream *s) {
    const uint32_t entry = find_code(&p->of_rare, s->window, 1);
    take_bits(s, (int)(entry >> 16));
    return p->rare[entry & 0xFFFF];
}

/* Both words, the first one below the other. */
static inline uint32_t get_pair(const decoder_memory *m, bit_stream *s) {
    uint64_t entry = m->looked_up_pairs[s->window >> (64 - LOOKED_UP)];
    if (entry == 0) {
        const uint32_t found = find_code(&m->pairs.of_pairs, s->window, LOOKED_UP + 1);
        entry = m->of_pair[found & 0xFFFF] | (uint64_t)(found >> 16) << 48;
    }
    take_bits(s, (int)(entry >> 48));
    uint32_t pair = (uint32_t)entry;
    if (entry & FIRST_IS_RARE) pair |= get_rare(&m->pairs, s);
    if (entry & SECOND_IS_RARE) pair |= (uint32_t)get_rare(&m->pairs, s) << 16;
    return pair;
}

/* Returns the first byte after the streams, or NULL if they are none. */
static const uint8_t *get_pairs(const decoder_memory *m, const uint8_t *src, const uint8_t *end,
                                uint8_t *words, size_t count) {
    bit_stream streams[STREAMS];
    if (!open_streams(streams, src, end)) return NULL;
    size_t i = 0;
    for (; i + 2 * STREAMS <= count && can_refill(streams, end); i += 2 * STREAMS) {
        for (int s = 0; s < STREAMS; s++) refill(&streams[s]);
        for (size_t s = 0; s < STREAMS; s++)
            store_u32(words + 2 * i + 4 * s, get_pair(m, &streams[s]));
    }
    for (; i < count; i += 2) {
        bit_stream *const s = &streams[i / 2 % STREAMS];
        refill_near_end(s, end);
        const uint32_t pair = get_pair(m, s);
        store_u16(words + 2 * i, (uint16_t)pair);
        if (i + 1 < count) store_u16(words + 2 * i + 2, (uint16_t)(pair >> 16));
        if (s->num_bits < 0) return NULL;
    }
    return close_streams(streams, src);
}

static const uint8_t *decode_block(const alphabets *a, const uint8_t *src, const uint8_t *end,
                                   uint8_t *words, size_t count, void *memory) {
    decoder_memory *const m = memory;
    if (a->in_pairs) {
        if (!make_pair_codes(&a->groups[0], &m->pairs, &m->tree)) return NULL;
        look_up_pairs(m);
        return get_pairs(m, src, end, words, count);
    }
    for (int g = 0; g < num_groups(a->threshold); g++) {
        const alphabet *const group = &a->groups[g];
        if (!make_codes(group->values, group->size, &m->codes[g])) return NULL;
        m->words[g] = group->words;
        look_up_words(&m->codes[g], group->words, m->looked_up[g]);
    }
    /* The compiler knows that ONE_GROUP needs no comparisons. */
    return a->threshold == ONE_GROUP ? get_words(m, ONE_GROUP, src, end, words, count)
                                     : get_words(m, a->threshold, src, end, words, count);
}

static int64_t encode_words(const uint8_t *words, size_t count, uint8_t *dst) {
    return encode_blocks(words, count, dst, encode_block, sizeof(encoder_memory));
}

static int decode_words(const uint8_t *src, const uint8_t *end, uint8_t *words, size_t count) {
    static const table_values values[NUM_FORMS] = {
        [ONE_TABLE] = {RARE, MAX_LENGTH},
        [TWO_TABLES] = {RARE, MAX_LENGTH},
        [PAIRS] = {1, MAX_WEIGHT},
    };
    return decode_blocks(src, end, words, count, values, decode_block, sizeof(decoder_memory));
}

const simple_codec huffman_codec = {
    .name = "huffman",
    .words = &(const word_coder){encode_words, decode_words, MOST},
    .bound = coder_bound,
    .encode = coder_encode,
    .decoded_size = coder_decoded_size,
    .decode = coder_decode,
};
