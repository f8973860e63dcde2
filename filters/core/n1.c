/* The payload's outside: header, checksum, errors. What is in a block: n1_encode.c, n1_decode.c. */
#include "n1.h"

#include <string.h>

#include "bytes.h"
#include "n1_codec.h"
#include "xxh32.h"

enum { VERSION = 1, TWO_DIMENSIONS = 4 };

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

int64_t n1_encode(const void *src, const n1_info *info, int level, const uint8_t *widths,
                  n1_path path, uint8_t *dst, size_t dst_size) {
    if (!is_valid(info) || level < N1_LEVEL_MIN || level > N1_LEVEL_MAX) return N1_ERROR_ARGUMENT;
    if (dst_size < n1_encode_bound(info)) return N1_ERROR_ROOM;
    const n1_kernels *kernels;
    const int error = find_kernels(path, &kernels);
    if (error) return error;

    const size_t raw_size = num_bytes(info);
    uint8_t *p = dst;
    *p++ = 'N', *p++ = '1', *p++ = VERSION;
    *p++ = (uint8_t)(info->dtype | (info->ndim == 2 ? TWO_DIMENSIONS : 0));
    store_u32(p, xxh32(src, raw_size));
    p += 4;
    p += store_varint(p, info->num_samples);
    if (info->ndim == 2) p += store_varint(p, info->num_channels);

    if (raw_size > 0) {
        /* The room for the number of blocks is closed up below. */
        uint64_t num_blocks;
        const int64_t size =
            n1_encode_blocks(src, info, level, widths, kernels, &num_blocks, p + 10, raw_size);
        if (size < 0) return size;
        if (size > 0 && (size_t)size < raw_size) {
            const size_t varint_size = store_varint(p, num_blocks);
            memmove(p + varint_size, p + 10, (size_t)size);
            return p + varint_size + size - dst;
        }
    }
    *p++ = 0;
    memcpy(p, src, raw_size);
    return p + raw_size - dst;
}

static int read_header(const uint8_t **src, const uint8_t *end, n1_info *info, uint32_t *checksum) {
    const uint8_t *p = *src;
    if (end - p < 8) return N1_ERROR_CORRUPT;
    if (p[0] != 'N' || p[1] != '1') return N1_ERROR_FORMAT;
    if (p[2] > VERSION) return N1_ERROR_VERSION;
    if (p[2] != VERSION || p[3] >= 8) return N1_ERROR_CORRUPT;
    *info = (n1_info){.version = p[2], .dtype = p[3] & 3u, .ndim = p[3] & TWO_DIMENSIONS ? 2 : 1};
    *checksum = load_u32(p + 4);
    p += 8;
    size_t size = load_varint(p, end, &info->num_samples);
    if (size == 0) return N1_ERROR_CORRUPT;
    p += size;
    info->num_channels = 1;
    if (info->ndim == 2) {
        size = load_varint(p, end, &info->num_channels);
        if (size == 0) return N1_ERROR_CORRUPT;
        p += size;
    }
    *src = p;
    return is_valid(info) ? N1_OK : N1_ERROR_CORRUPT;
}

int n1_payload_info(const uint8_t *src, size_t src_size, n1_info *info) {
    uint32_t checksum;
    return read_header(&src, src + src_size, info, &checksum);
}

int64_t n1_decode(const uint8_t *src, size_t src_size, const uint8_t *widths, n1_path path,
                  void *dst, size_t dst_size) {
    const uint8_t *const end = src + src_size;
    n1_info info;
    uint32_t checksum;
    const n1_kernels *kernels;
    int error = find_kernels(path, &kernels);
    if (!error) error = read_header(&src, end, &info, &checksum);
    if (error) return error;
    const size_t raw_size = num_bytes(&info);
    if (dst_size < raw_size) return N1_ERROR_ROOM;
    uint64_t num_blocks;
    const size_t varint_size = load_varint(src, end, &num_blocks);
    if (varint_size == 0) return N1_ERROR_CORRUPT;
    src += varint_size;
    if (num_blocks > 0) {
        error = n1_decode_blocks(src, end, &info, num_blocks, widths, kernels, dst);
        if (error) return error;
    } else {
        if ((size_t)(end - src) != raw_size) return N1_ERROR_CORRUPT;
        memcpy(dst, src, raw_size);
    }
    return xxh32(dst, raw_size) == checksum ? (int64_t)raw_size : N1_ERROR_CORRUPT;
}
