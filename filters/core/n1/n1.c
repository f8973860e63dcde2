/* What n1.h declares but for inspection. What is in a block: encode.c, decode.c. */
#include "n1.h"

#include <stdlib.h>
#include <string.h>

#include "codec.h"

/* That many rows at the end which are the same are only counted. */
enum { MIN_REPEATED = 64 };

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
        case N1_ERROR_OLD:
            return "an n1 payload from before the first release, which only the n1store that wrote it reads";
        case N1_ERROR_PATH: return "this machine cannot run the requested path";
        default: return "unknown error";
    }
}

size_t n1_encode_bound(const n1_info *info) { return n1_is_valid(info) ? n1_num_bytes(info) + 64 : 0; }

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

/* Blocks of a payload as they are encoded. */
typedef struct {
    uint64_t num_blocks; /* of a channel */
    block_entry *entries;
    int64_t size; /* of the blocks; 0 if there is not room enough */
} encoded;

/* An entry's bytes but for its checksum: as few as the largest block needs. */
static int number_bytes_of(const encoded *e, uint64_t num_entries) {
    uint32_t largest = 0;
    for (uint64_t i = 0; i < num_entries; i++)
        if (e->entries[i].size > largest) largest = e->entries[i].size;
    int bytes = 2;
    while (bytes < 4 && largest >> (8 * bytes - REFERENCE_BITS)) bytes++;
    return bytes;
}

/* What index and blocks take together. */
static int64_t total_size(const encoded *e, uint64_t num_channels) {
    const uint64_t num_entries = e->num_blocks * num_channels;
    if (num_entries == 1) return e->size;
    const int number_bytes = number_bytes_of(e, num_entries);
    return e->size + (int64_t)num_entries * (number_bytes + entry_checksum_bytes(number_bytes)) + 1;
}

/* Encode as so many blocks a channel, for which *e has no entries yet. */
static int encode_as(const void *src, const n1_info *info, int level, const uint8_t *widths,
                     const n1_kernels *kernels, uint64_t num_blocks, int *is_doubtful, uint8_t *dst,
                     size_t dst_size, encoded *e) {
    e->num_blocks = num_blocks;
    e->entries = malloc((size_t)(num_blocks * info->num_channels) * sizeof(*e->entries));
    if (!e->entries) return N1_ERROR_MEMORY;
    e->size = n1_encode_blocks(src, info, level, widths, kernels, num_blocks, e->entries,
                               is_doubtful, dst, dst_size);
    return e->size < 0 ? (int)e->size : N1_OK;
}

/* Encode as few blocks, and if these suit badly, as many short ones; keep what is smaller. */
static int encode_blocks(const void *src, const n1_info *info, int level, const uint8_t *widths,
                         const n1_kernels *kernels, uint8_t *dst, size_t dst_size, encoded *e) {
    int is_doubtful;
    uint64_t num_blocks = n1_least_blocks(info->num_samples);
    if (info->block_samples > 0 && blocks_of(info->num_samples, info->block_samples) > num_blocks)
        num_blocks = blocks_of(info->num_samples, info->block_samples);
    /* No block is empty. */
    num_blocks = blocks_of(info->num_samples, blocks_of(info->num_samples, num_blocks));
    int error = encode_as(src, info, level, widths, kernels, num_blocks, &is_doubtful, dst, dst_size, e);
    const uint64_t many = blocks_of(info->num_samples, SHORT_BLOCK);
    if (error || e->size == 0 || !is_doubtful || many <= num_blocks) return error;
    uint8_t *const trial = malloc((size_t)e->size);
    if (!trial) return N1_ERROR_MEMORY;
    encoded other = {0};
    error = encode_as(src, info, level, widths, kernels, many, &is_doubtful, trial, (size_t)e->size - 1, &other);
    if (!error && other.size > 0 &&
        total_size(&other, info->num_channels) < total_size(e, info->num_channels)) {
        memcpy(dst, trial, (size_t)other.size);
        const encoded swapped = *e;
        *e = other;
        other = swapped;
    }
    free(other.entries);
    free(trial);
    return error;
}

/* Put the index, if there are several blocks, and the blocks at p; and the checksum of it all. */
static uint8_t *put_blocks(const encoded *e, uint64_t num_entries, const uint8_t *blocks, uint8_t *dst,
                           uint8_t *p) {
    p += store_varint(p, e->num_blocks);
    uint32_t of_samples = e->entries[0].checksum;
    const uint8_t *sealed_end = p + e->size;
    if (num_entries > 1) {
        const int number_bytes = number_bytes_of(e, num_entries);
        const uint8_t *bytes = blocks;
        *p++ = (uint8_t)number_bytes;
        for (uint64_t i = 0; i < num_entries; i++) {
            const block_entry *const entry = &e->entries[i];
            store_number(p, number_bytes, entry->size << REFERENCE_BITS | entry->reference);
            store_number(p + number_bytes, entry_checksum_bytes(number_bytes),
                         block_checksum(entry->checksum, bytes, bytes + entry->size, 0));
            p += number_bytes + entry_checksum_bytes(number_bytes);
            bytes += entry->size;
        }
        of_samples = 0;
        sealed_end = p;
    }
    memcpy(p, blocks, (size_t)e->size);
    store_u32(dst + CHECKSUM_AT, block_checksum(of_samples, dst + SEALED_AT, sealed_end, dst[TYPE_AT]));
    return p + e->size;
}

int64_t n1_encode(const void *src, const n1_info *info, int level, const uint8_t *widths,
                  n1_path path, uint8_t *dst, size_t dst_size) {
    if (!n1_is_valid(info) || level < N1_LEVEL_MIN || level > N1_LEVEL_MAX) return N1_ERROR_ARGUMENT;
    if (widths && n1_check_widths(widths)) return N1_ERROR_ARGUMENT;
    if (dst_size < n1_encode_bound(info)) return N1_ERROR_ROOM;
    const n1_kernels *kernels;
    int error = find_kernels(path, &kernels);
    if (error) return error;

    const size_t raw_size = n1_num_bytes(info);
    uint8_t *p = dst;
    *p++ = 'N', *p++ = '1';
    *p++ = (uint8_t)(N1_VERSION << 4 | info->dtype | (info->ndim == 2 ? TWO_DIMENSIONS : 0));
    p += SEALED_AT - CHECKSUM_AT;
    p += store_varint(p, info->num_samples);
    if (info->ndim == 2) p += store_varint(p, info->num_channels);

    n1_info coded = *info; /* but for a repeated end */
    const uint64_t repeated = raw_size > 0 ? count_repeated(src, info) : 0;
    if (repeated >= MIN_REPEATED) coded.num_samples -= repeated;
    uint8_t *const blocks = raw_size > 0 ? malloc(raw_size) : NULL;
    if (raw_size > 0 && !blocks) return N1_ERROR_MEMORY;
    encoded e = {0};
    if (raw_size > 0)
        error = encode_blocks(src, &coded, level, widths, kernels, blocks, raw_size, &e);
    if (!error && e.size > 0 && total_size(&e, info->num_channels) < (int64_t)raw_size) {
        if (repeated >= MIN_REPEATED) {
            dst[TYPE_AT] |= END_REPEATS;
            p += store_varint(p, repeated);
        }
        p = put_blocks(&e, e.num_blocks * info->num_channels, blocks, dst, p);
    } else if (!error) {
        *p++ = 0;
        if (raw_size > 0) memcpy(p, src, raw_size);
        p += raw_size;
        store_u32(dst + CHECKSUM_AT, block_checksum(0, dst + SEALED_AT, p, dst[TYPE_AT]));
    }
    free(e.entries);
    free(blocks);
    return error ? error : p - dst;
}

int n1_payload_info(const uint8_t *src, size_t src_size, n1_info *info) {
    payload_head head;
    const int error = read_head(src, src + src_size, &head);
    if (!error) *info = head.info;
    return error;
}

int64_t n1_index_size(const uint8_t *src, size_t src_size) {
    payload_head head;
    const int error = read_head(src, src + src_size, &head);
    if (error || head.num_entries == 0) return error;
    return head.layout.blocks - src + (int64_t)index_size(&head);
}

/* Whether a payload holds all of a part, and rows of it have room for it. */
static int is_part(const n1_info *info, const n1_part *part) {
    if (part->first_sample > info->num_samples) return 0;
    if (part->num_samples > info->num_samples - part->first_sample) return 0;
    if (!part->channels) return part->num_channels == info->num_channels;
    if (part->num_channels > info->num_channels) return 0;
    for (uint64_t i = 0; i < part->num_channels; i++) {
        if (part->channels[i] >= info->num_channels) return 0;
        if (i > 0 && part->channels[i] <= part->channels[i - 1]) return 0;
    }
    return 1;
}

/* Copy a part of samples that are not coded. */
static void copy_part(const uint8_t *samples, const n1_info *info, const n1_part *part, uint8_t *dst) {
    const size_t item = n1_item_size(info), row = item * (size_t)info->num_channels;
    samples += row * part->first_sample;
    for (uint64_t i = 0; i < part->num_samples; i++, samples += row, dst += part->row_bytes) {
        if (!part->channels)
            memcpy(dst, samples, row);
        else
            for (uint64_t c = 0; c < part->num_channels; c++)
                memcpy(dst + item * c, samples + item * part->channels[c], item);
    }
}

/*
 * The rows of a part that are coded; where it has only such as repeat the last of these, that one.
 * Returns whether the part has any samples.
 */
static int clip_to_coded(const payload_head *head, const n1_part *part, n1_part *coded) {
    const uint64_t num_coded = head->layout.num_samples;
    const uint64_t part_end = part->first_sample + part->num_samples;
    *coded = *part;
    if (part->num_samples == 0 || part->num_channels == 0) return 0;
    if (coded->first_sample >= num_coded) coded->first_sample = num_coded - 1;
    const uint64_t end = part_end < num_coded ? part_end : num_coded;
    coded->num_samples = end - coded->first_sample;
    return 1;
}

/* Decode a part that has samples; *coded are its rows that are coded. */
static int decode_rows(const payload_head *head, const n1_part *part, const n1_part *coded,
                       const uint8_t *widths, const n1_kernels *kernels, uint8_t *dst) {
    const int error = n1_decode_blocks(&head->layout, &head->info, coded, widths, kernels, dst);
    if (error) return error;
    const size_t row = n1_item_size(&head->info) * (size_t)part->num_channels;
    const uint8_t *const last = dst + (coded->num_samples - 1) * part->row_bytes;
    for (uint64_t i = coded->num_samples; i < part->num_samples; i++)
        memcpy(dst + i * part->row_bytes, last, row);
    return N1_OK;
}

int n1_decode_part(const uint8_t *src, size_t src_size, const uint8_t *widths, n1_path path,
                   const n1_part *part, void *dst, size_t dst_size) {
    const uint8_t *const end = src + src_size;
    payload_head head;
    const n1_kernels *kernels;
    int error = find_kernels(path, &kernels);
    if (!error) error = read_head(src, end, &head);
    if (error) return error;
    if (!is_part(&head.info, part)) return N1_ERROR_ARGUMENT;
    const size_t row = n1_item_size(&head.info) * (size_t)part->num_channels;
    n1_part coded;
    const int has_samples = clip_to_coded(&head, part, &coded);
    if (has_samples) {
        if (part->row_bytes < row) return N1_ERROR_ARGUMENT;
        if (dst_size < row || (dst_size - row) / part->row_bytes < part->num_samples - 1)
            return N1_ERROR_ROOM;
    }
    error = read_index(src, &head);
    if (error) return error;
    const block_layout *const l = &head.layout;
    if (sum_of_sizes(&head) != (uint64_t)(end - l->blocks)) return N1_ERROR_CORRUPT;
    if (head.num_blocks == 0) {
        if ((size_t)(end - l->blocks) != n1_num_bytes(&head.info)) return N1_ERROR_CORRUPT;
        if (!is_checksum(block_checksum(0, l->only_from, end, l->only_seed), l->only.checksum))
            return N1_ERROR_CORRUPT;
        if (has_samples) copy_part(l->blocks, &head.info, part, dst);
        return N1_OK;
    }
    return has_samples ? decode_rows(&head, part, &coded, widths, kernels, dst) : N1_OK;
}

int64_t n1_decode(const uint8_t *src, size_t src_size, const uint8_t *widths, n1_path path,
                  void *dst, size_t dst_size) {
    n1_info info;
    int error = n1_payload_info(src, src_size, &info);
    if (error) return error;
    const uint64_t num_channels = info.num_channels;
    const n1_part all = {.num_samples = info.num_samples,
                         .num_channels = num_channels,
                         .row_bytes = n1_item_size(&info) * num_channels};
    if (dst_size < n1_num_bytes(&info)) return N1_ERROR_ROOM;
    error = n1_decode_part(src, src_size, widths, path, &all, dst, dst_size);
    return error ? error : (int64_t)n1_num_bytes(&info);
}

int64_t n1_part_ranges(const uint8_t *src, size_t src_size, const n1_part *part,
                       n1_range *ranges, size_t max_ranges) {
    payload_head head;
    int error = read_head(src, src + src_size, &head);
    if (error) return error;
    if (head.num_entries == 0 || !is_part(&head.info, part)) return N1_ERROR_ARGUMENT;
    error = read_index(src, &head);
    if (error) return error;
    if (max_ranges == 0) return N1_ERROR_ROOM;
    const uint64_t index_end = (uint64_t)(head.layout.blocks - src);
    size_t count = 1;
    ranges[0] = (n1_range){0, index_end};
    n1_part coded;
    if (!clip_to_coded(&head, part, &coded)) return 1;
    block_walk walk = {.layout = &head.layout, .part = &coded};
    block_group g;
    int more;
    while ((more = next_group(&walk, &g)) > 0) {
        for (int c = 0; c < g.num_channels; c++) {
            if (!g.is_needed[c]) continue;
            const uint64_t begin = index_end + g.offset[c];
            if (ranges[count - 1].end != begin) {
                if (count == max_ranges) return N1_ERROR_ROOM;
                ranges[count++].begin = begin;
            }
            ranges[count - 1].end = begin + g.entries[c].size;
        }
    }
    return more < 0 ? more : (int64_t)count;
}
