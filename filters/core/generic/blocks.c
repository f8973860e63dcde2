#include "blocks.h"

#include <stdlib.h>

#include "../common/errors.h"

enum {
    LEAST_HALVED = 1 << 10, /* words that may be two blocks rather than one */
    LEAST_SAVED = 512,      /* and save at least this part */
};

/* How many of the words are the first of two blocks'. */
static size_t first_half(size_t count) { return count - count / 2; }

/* Count words and find groups; returns how many bits they take, about, in 1 / 2^16. */
static int64_t weigh_block(alphabets *a, const uint8_t *words, size_t count) {
    count_words(&a->groups[0], words, count);
    return find_groups(a, words, count);
}

/*
 * Whether two blocks take less than one, by so much that it is worth the time. If not, the words of
 * the one are counted and in groups.
 */
static int halves_pay(alphabets *a, const uint8_t *words, size_t count) {
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
static uint8_t *put_blocks(const blocks_encoder *e, const uint8_t *words, size_t count,
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

int64_t encode_blocks(const uint8_t *words, size_t count, uint8_t *dst, block_encoder encode_block,
                      size_t memory_size) {
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
static const uint8_t *get_blocks(const blocks_decoder *d, const uint8_t *src, uint8_t *words,
                                 size_t count) {
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

int decode_blocks(const uint8_t *src, const uint8_t *end, uint8_t *words, size_t count,
                  const table_values *forms, block_decoder decode_block, size_t memory_size) {
    alphabets *const a = malloc(sizeof *a + memory_size);
    if (a == NULL) return N1_ERROR_MEMORY;
    const blocks_decoder d = {decode_block, forms, a, end};
    src = get_blocks(&d, src, words, count);
    free(a);
    return src == end ? N1_OK : N1_ERROR_CORRUPT;
}
