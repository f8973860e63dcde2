/* The payload's outside: header, checksum, errors. What is in a block: n1_encode.c, n1_decode.c. */
#include "n1.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "n1_codec.h"
#include "xxh64.h"

/* MIN_REPEATED rows at the end, and they are only counted. */
enum { VERSION = 1, TWO_DIMENSIONS = 4, END_REPEATS = 8, MIN_REPEATED = 64, CHECKSUM_AT = 3, CHECKSUM_SIZE = 4 };

static const uint64_t MAX_SAMPLES = 1ull << 31;

const char *n1_strerror(int error) {
    switch (error) {
        case N1_OK: return "no error";
        case N1_ERROR_ARGUMENT: return "an argument is out of its range";
        case N1_ERROR_MEMORY: return "working memory could not be had";
        case N1_ERROR_ROOM: return "the output buffer is too small";
        case N1_ERROR_FORMAT: return "not an n1 payload";
        case N1_ERROR_VERSION: return "an n1 payload of a newer version; update n1store";
        case N1_ERROR_CORRUPT: return "the n1 payload is damaged or cut off";
        case N1_ERROR_WIDTHS: return "the n1 payload needs the table of code widths it was encoded with";
        case N1_ERROR_PATH: return "this machine cannot run the requested path";
        default: return "unknown error";
    }
}

static size_t num_bytes(const n1_info *info) {
    return (size_t)(info->num_samples * info->num_channels) * n1_item_size(info);
}

static int is_valid(const n1_info *info) {
    if (info->dtype > N1_UINT8 || (info->ndim != 1 && info->ndim != 2)) return 0;
    if (info->ndim == 1 && info->num_channels != 1) return 0;
    if (info->num_samples > MAX_SAMPLES || info->num_channels > MAX_SAMPLES) return 0;
    return info->num_samples == 0 || info->num_channels <= MAX_SAMPLES / info->num_samples;
}

size_t n1_encode_bound(const n1_info *info) { return is_valid(info) ? num_bytes(info) + 64 : 0; }

static int find_kernels(n1_path path, const n1_kernels **kernels) {
    *kernels = path == N1_PATH_PORTABLE ? NULL : n1_avx2_kernels();
    if (path == N1_PATH_AVX2 && !*kernels) return N1_ERROR_PATH;
    if (!*kernels) *kernels = &n1_portable_kernels;
    return path <= N1_PATH_AVX2 ? N1_OK : N1_ERROR_ARGUMENT;
}

int n1_check_widths(const uint8_t *widths) {
    int16_t edges[N1_NUM_CODES + 1];
    return make_edges(widths, edges) ? N1_ERROR_ARGUMENT : N1_OK;
}

/*
 * The checksum of samples. By its seed it knows dtype and shape too, and the bytes between it and
 * the payload's end, so that none of them can change unnoticed, even where the samples stay.
 */
static uint32_t checksum_of(const void *samples, const n1_info *info, const uint8_t *coded,
                            const uint8_t *end) {
    const uint32_t shape = (uint32_t)info->num_channels << 8 | info->ndim << 2 | info->dtype;
    const uint64_t seed = (uint64_t)checksum32(coded, (size_t)(end - coded), 0) << 32 | shape;
    return checksum32(samples, num_bytes(info), seed);
}

/* How many rows at the end are the same as the one before them. */
static uint64_t count_repeated(const uint8_t *src, const n1_info *info) {
    const size_t row = (size_t)info->num_channels * n1_item_size(info);
    uint64_t count = 0;
    while (count + 1 < info->num_samples) {
        const uint8_t *last = src + (size_t)(info->num_samples - 1 - count) * row;
        if (memcmp(last, last - row, row) != 0) break;
        count++;
    }
    return count;
}

/* Encode as few blocks, and if these suit badly, as many short ones; keep what is smaller. */
static int64_t encode_blocks(const void *src, const n1_info *info, int level,
                             const uint8_t *widths, const n1_kernels *kernels,
                             uint64_t *num_blocks, uint8_t *dst, size_t dst_size) {
    int is_doubtful;
    if (dst_size == 0) return 0;
    *num_blocks = n1_least_blocks(info->num_samples);
    const int64_t size = n1_encode_blocks(src, info, level, widths, kernels, *num_blocks,
                                          &is_doubtful, dst, dst_size);
    if (size <= 0 || !is_doubtful || info->num_samples < 2 * SHORT_BLOCK) return size;
    uint8_t *const trial = malloc((size_t)size);
    if (!trial) return N1_ERROR_MEMORY;
    const uint64_t many = (info->num_samples + SHORT_BLOCK - 1) / SHORT_BLOCK;
    const int64_t other = n1_encode_blocks(src, info, level, widths, kernels, many, &is_doubtful,
                                           trial, (size_t)size - 1);
    if (other > 0) {
        memcpy(dst, trial, (size_t)other);
        *num_blocks = many;
    }
    free(trial);
    return other == 0 ? size : other;
}

int64_t n1_encode(const void *src, const n1_info *info, int level, const uint8_t *widths,
                  n1_path path, uint8_t *dst, size_t dst_size) {
    if (!is_valid(info) || level < N1_LEVEL_MIN || level > N1_LEVEL_MAX) return N1_ERROR_ARGUMENT;
    if (widths && n1_check_widths(widths)) return N1_ERROR_ARGUMENT;
    if (dst_size < n1_encode_bound(info)) return N1_ERROR_ROOM;
    const n1_kernels *kernels;
    const int error = find_kernels(path, &kernels);
    if (error) return error;

    const size_t raw_size = num_bytes(info);
    uint8_t *p = dst;
    *p++ = 'N', *p++ = '1';
    uint8_t *const type = p++;
    *type = (uint8_t)(VERSION << 4 | info->dtype | (info->ndim == 2 ? TWO_DIMENSIONS : 0));
    uint8_t *const checksum = p;
    uint8_t *const coded_from = p += CHECKSUM_SIZE;
    p += store_varint(p, info->num_samples);
    if (info->ndim == 2) p += store_varint(p, info->num_channels);

    n1_info coded = *info; /* but for a repeated end */
    const uint64_t repeated = raw_size > 0 ? count_repeated(src, info) : 0;
    if (repeated >= MIN_REPEATED) coded.num_samples -= repeated;
    /* The room for two varints is closed up below. */
    uint64_t num_blocks;
    uint8_t *const blocks = p + 20;
    const int64_t size =
        encode_blocks(src, &coded, level, widths, kernels, &num_blocks, blocks, raw_size);
    if (size < 0) return size;
    if (size > 0 && (size_t)size < raw_size) {
        if (repeated >= MIN_REPEATED) {
            *type |= END_REPEATS;
            p += store_varint(p, repeated);
        }
        p += store_varint(p, num_blocks);
        memmove(p, blocks, (size_t)size);
        p += size;
    } else {
        *p++ = 0;
        if (raw_size > 0) memcpy(p, src, raw_size);
        p += raw_size;
    }
    store_u32(checksum, checksum_of(src, info, coded_from, p));
    return p - dst;
}

/* Read a payload's header; `repeated` are the rows at the end that are not coded. */
static int read_header(const uint8_t **src, const uint8_t *end, n1_info *info, uint32_t *checksum,
                       uint64_t *repeated) {
    const uint8_t *p = *src;
    if (end - p < CHECKSUM_AT + CHECKSUM_SIZE) return N1_ERROR_CORRUPT;
    if (p[0] != 'N' || p[1] != '1') return N1_ERROR_FORMAT;
    const uint32_t version = p[2] >> 4, type = p[2] & 15;
    if (version > VERSION) return N1_ERROR_VERSION;
    if (version < VERSION) return N1_ERROR_CORRUPT;
    *info = (n1_info){.version = version, .dtype = type & 3, .ndim = type & TWO_DIMENSIONS ? 2 : 1};
    *checksum = load_u32(p + CHECKSUM_AT);
    p += CHECKSUM_AT + CHECKSUM_SIZE;
    size_t size = load_varint(p, end, &info->num_samples);
    if (size == 0) return N1_ERROR_CORRUPT;
    p += size;
    info->num_channels = 1;
    if (info->ndim == 2) {
        size = load_varint(p, end, &info->num_channels);
        if (size == 0) return N1_ERROR_CORRUPT;
        p += size;
    }
    *repeated = 0;
    if (type & END_REPEATS) {
        size = load_varint(p, end, repeated);
        if (size == 0 || *repeated >= info->num_samples) return N1_ERROR_CORRUPT;
        p += size;
    }
    *src = p;
    return is_valid(info) ? N1_OK : N1_ERROR_CORRUPT;
}

int n1_payload_info(const uint8_t *src, size_t src_size, n1_info *info) {
    uint32_t checksum;
    uint64_t repeated;
    return read_header(&src, src + src_size, info, &checksum, &repeated);
}

int64_t n1_decode(const uint8_t *src, size_t src_size, const uint8_t *widths, n1_path path,
                  void *dst, size_t dst_size) {
    const uint8_t *const payload = src, *const end = src + src_size;
    n1_info info;
    uint32_t checksum;
    uint64_t repeated;
    const n1_kernels *kernels;
    int error = find_kernels(path, &kernels);
    if (!error) error = read_header(&src, end, &info, &checksum, &repeated);
    if (error) return error;
    const size_t raw_size = num_bytes(&info);
    if (dst_size < raw_size) return N1_ERROR_ROOM;
    uint64_t num_blocks;
    const size_t varint_size = load_varint(src, end, &num_blocks);
    if (varint_size == 0) return N1_ERROR_CORRUPT;
    src += varint_size;
    if (num_blocks > 0) {
        n1_info not_repeated = info;
        not_repeated.num_samples -= repeated;
        error = n1_decode_blocks(src, end, &not_repeated, num_blocks, widths, kernels, dst);
        if (error) return error;
        const size_t row = raw_size / (size_t)info.num_samples;
        uint8_t *const repeats = (uint8_t *)dst + row * (size_t)not_repeated.num_samples;
        for (uint64_t i = 0; i < repeated; i++) memcpy(repeats + i * row, repeats - row, row);
    } else {
        if (repeated > 0 || (size_t)(end - src) != raw_size) return N1_ERROR_CORRUPT;
        if (raw_size > 0) memcpy(dst, src, raw_size);
    }
    const uint8_t *const coded = payload + CHECKSUM_AT + CHECKSUM_SIZE;
    return checksum_of(dst, &info, coded, end) == checksum ? (int64_t)raw_size : N1_ERROR_CORRUPT;
}
