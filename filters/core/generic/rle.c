/*
 * Run-length coding of words: tokens, each followed by the word of a run, or by the words that
 * are no run. The idea is that of PackBits (Apple, Technical Note TN1023), which does it to bytes.
 */
#include "coder.h"

enum {
    MAX_COUNT = 1 << 13, /* words of a token: twice that is what a varint of two bytes can hold */
    MIN_RUN = 3,         /* shorter ones would save nothing inside of literal words */
    MOST = 4096,         /* a run of MAX_COUNT words takes four bytes */
};

/* Words from i on that are the same as word i. */
static size_t run_length(const uint8_t *words, size_t count, size_t i) {
    const uint16_t word = load_u16(words + 2 * i);
    size_t end = i + 1;
    while (end < count && load_u16(words + 2 * end) == word) end++;
    return end - i;
}

/* Whether word i and the two behind it, MIN_RUN in all, are the same; most often they are not. */
static int begins_run(const uint8_t *words, size_t count, size_t i) {
    if (count - i < MIN_RUN) return 0;
    const uint16_t word = load_u16(words + 2 * i);
    return load_u16(words + 2 * i + 2) == word && load_u16(words + 2 * i + 4) == word;
}

/* Words i to end, as literal ones or as a run; returns where the next token goes, or NULL. */
static uint8_t *put_tokens(const uint8_t *words, size_t i, size_t end, int is_run, uint8_t *next,
                           const uint8_t *limit) {
    while (i < end) {
        const size_t here = end - i < MAX_COUNT ? end - i : MAX_COUNT;
        const size_t bytes = is_run ? 2 : 2 * here;
        if ((size_t)(limit - next) < 2 + bytes) return NULL;
        next += store_varint(next, 2 * (here - 1) + (size_t)is_run);
        memcpy(next, words + 2 * i, bytes);
        next += bytes;
        i += here;
    }
    return next;
}

static int64_t encode_words(const uint8_t *words, size_t count, uint8_t *dst) {
    const uint8_t *const limit = dst + 2 * count + 2;
    uint8_t *next = dst;
    size_t literal = 0; /* the first word that is in no token yet */
    for (size_t i = 0, run; i < count; i += run) {
        run = begins_run(words, count, i) ? run_length(words, count, i) : 1;
        if (run < MIN_RUN) continue;
        next = put_tokens(words, literal, i, 0, next, limit);
        if (next) next = put_tokens(words, i, i + run, 1, next, limit);
        if (!next) return 0;
        literal = i + run;
    }
    next = put_tokens(words, literal, count, 0, next, limit);
    return next && (size_t)(next - dst) < 2 * count ? next - dst : 0;
}

static int decode_words(const uint8_t *src, const uint8_t *end, uint8_t *words, size_t count) {
    for (size_t i = 0; i < count;) {
        uint64_t token;
        const size_t varint = load_varint(src, end, &token);
        if (varint == 0 || varint > 2) return N1_ERROR_CORRUPT;
        src += varint;
        const size_t here = (size_t)(token >> 1) + 1, bytes = token & 1 ? 2 : 2 * here;
        if (here > count - i || (size_t)(end - src) < bytes) return N1_ERROR_CORRUPT;
        if (token & 1) {
            const uint16_t word = load_u16(src);
            for (size_t j = i; j < i + here; j++) store_u16(words + 2 * j, word);
        } else {
            memcpy(words + 2 * i, src, bytes);
        }
        src += bytes;
        i += here;
    }
    return src == end ? N1_OK : N1_ERROR_CORRUPT;
}

const simple_codec rle_codec = {
    .name = "rle",
    .words = &(const word_coder){encode_words, decode_words, MOST},
    .bound = coder_bound,
    .encode = coder_encode,
    .decoded_size = coder_decoded_size,
    .decode = coder_decode,
};
