/* What a payload's blocks are, without decoding their samples. */
#include <stdlib.h>

#include "block.h"
#include "codec.h"

int64_t n1_num_blocks(const uint8_t *src, size_t src_size) {
    payload_head head;
    const int error = read_head(src, src + src_size, &head);
    return error ? error : (int64_t)(head.num_blocks * head.info.num_channels);
}

/* Read a block's parameters, if they are such as an encoder writes. */
static void describe(const uint8_t *bytes, block *b, n1_block_info *info) {
    b->num_samples = (int)info->num_samples;
    b->reference = (int)info->reference;
    bit_reader r = read_bits_from(bytes, bytes + info->size);
    if (read_block(&r, b, (uint8_t *)(b + 1), MAX_SPANS)) return;
    const int is_predicted = b->kind != KIND_PACKED;
    info->is_read = 1;
    info->kind = b->kind;
    info->map = b->map;
    info->order = is_predicted ? (uint32_t)b->order : 0;
    info->num_lanes = is_predicted ? (uint32_t)num_lanes(b) : 0;
    info->num_taps = (uint32_t)b->taps.count;
    info->num_classes = is_predicted ? (uint32_t)b->num_classes : 0;
    info->parameter_bytes = (uint32_t)(finish_reading(&r) - bytes);
}

int n1_inspect(const uint8_t *src, size_t src_size, n1_block_info *blocks, size_t num_blocks) {
    payload_head head;
    int error = read_head(src, src + src_size, &head);
    if (!error) error = read_index(src, &head);
    if (error) return error;
    const block_layout *const l = &head.layout;
    if (num_blocks != head.num_blocks * l->num_channels) return N1_ERROR_ARGUMENT;
    block *const b = calloc(1, sizeof(*b) + MAX_SPANS);
    if (!b) return N1_ERROR_MEMORY;
    uint64_t offset = (uint64_t)(l->blocks - src);
    for (size_t i = 0; i < num_blocks; i++) {
        const uint64_t first = i / l->num_channels * l->block_samples, left = l->num_samples - first;
        const block_entry entry = entry_at(l, i);
        blocks[i] = (n1_block_info){.first_sample = first,
                                    .channel = i % l->num_channels,
                                    .offset = offset,
                                    .size = entry.size,
                                    .reference = entry.reference};
        blocks[i].num_samples = (uint32_t)(left < l->block_samples ? left : l->block_samples);
        if (offset <= src_size && entry.size <= src_size - offset)
            describe(src + offset, b, &blocks[i]);
        offset += entry.size;
    }
    free(b);
    return N1_OK;
}
