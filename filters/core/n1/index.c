#include "index.h"

#include <string.h>

#include "block.h"

static const uint64_t MAX_SAMPLES = 1ull << 31;

int n1_is_valid(const n1_info *info) {
    if (info->dtype > N1_UINT8 || (info->ndim != 1 && info->ndim != 2)) return 0;
    if (info->ndim == 1 && info->num_channels != 1) return 0;
    if (info->num_samples > MAX_SAMPLES || info->num_channels > MAX_SAMPLES) return 0;
    return info->num_samples == 0 || info->num_channels <= MAX_SAMPLES / info->num_samples;
}

static const uint8_t *get_varint(const uint8_t *p, const uint8_t *end, uint64_t *value) {
    const size_t size = p ? load_varint(p, end - p > MAX_VARINT ? p + MAX_VARINT : end, value) : 0;
    return size > 0 ? p + size : NULL;
}

int read_head(const uint8_t *src, const uint8_t *end, payload_head *head) {
    if (end - src < SEALED_AT) return N1_ERROR_CORRUPT;
    if (src[0] != 'N' || src[1] != '1') return N1_ERROR_FORMAT;
    const uint32_t version = src[TYPE_AT] >> 4, type = src[TYPE_AT] & 15;
    if (version > N1_VERSION) return N1_ERROR_VERSION;
    if (version < N1_VERSION) return version == 1 ? N1_ERROR_OLD : N1_ERROR_CORRUPT;
    n1_info *const info = &head->info;
    *info = (n1_info){.version = version, .dtype = type & 3, .ndim = type & TWO_DIMENSIONS ? 2 : 1};
    info->num_channels = 1;
    head->repeated = 0;
    const uint8_t *p = get_varint(src + SEALED_AT, end, &info->num_samples);
    if (info->ndim == 2) p = get_varint(p, end, &info->num_channels);
    if (type & END_REPEATS) p = get_varint(p, end, &head->repeated);
    p = get_varint(p, end, &head->num_blocks);
    if (!p || !n1_is_valid(info)) return N1_ERROR_CORRUPT;

    block_layout *const l = &head->layout;
    *l = (block_layout){
        .num_channels = info->num_channels, .num_samples = info->num_samples, .end = end};
    head->num_entries = 0;
    if (head->num_blocks > 0) {
        if (head->repeated >= info->num_samples || info->num_channels == 0) return N1_ERROR_CORRUPT;
        l->num_samples -= head->repeated;
        if (head->num_blocks > l->num_samples) return N1_ERROR_CORRUPT;
        l->block_samples = blocks_of(l->num_samples, head->num_blocks);
        if (l->block_samples > MAX_BLOCK_SAMPLES) return N1_ERROR_CORRUPT;
        if (blocks_of(l->num_samples, l->block_samples) != head->num_blocks) return N1_ERROR_CORRUPT;
        if (head->num_blocks * info->num_channels > 1)
            head->num_entries = head->num_blocks * info->num_channels;
    } else if (head->repeated > 0) {
        return N1_ERROR_CORRUPT;
    }
    if (head->num_entries > 0) {
        if (p == end) return N1_ERROR_CORRUPT;
        l->number_bytes = *p++;
        if (l->number_bytes < 2 || l->number_bytes > 4) return N1_ERROR_CORRUPT;
        l->entries = p;
        info->block_samples = (uint32_t)l->block_samples;
    }
    l->blocks = p;
    return N1_OK;
}

uint64_t index_size(const payload_head *head) {
    return head->num_entries * entry_bytes(&head->layout);
}

int read_index(const uint8_t *payload, payload_head *head) {
    block_layout *const l = &head->layout;
    const uint8_t *const sealed = payload + SEALED_AT;
    const uint32_t checksum = load_u32(payload + CHECKSUM_AT), seed = payload[TYPE_AT];
    if (head->num_entries == 0) {
        l->only = (block_entry){.size = (uint32_t)(l->end - l->blocks), .checksum = checksum};
        l->only_from = sealed;
        l->only_seed = seed;
        if ((uint64_t)(l->end - l->blocks) > UINT32_MAX) return N1_ERROR_CORRUPT;
        return N1_OK;
    }
    if (index_size(head) > (uint64_t)(l->end - l->blocks)) return N1_ERROR_CORRUPT;
    l->blocks += index_size(head);
    return is_checksum(block_checksum(0, sealed, l->blocks, seed), checksum) ? N1_OK : N1_ERROR_CORRUPT;
}

uint64_t sum_of_sizes(const payload_head *head) {
    if (head->num_entries == 0) return head->layout.only.size;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < head->num_entries; i++) sum += entry_at(&head->layout, i).size;
    return sum;
}

block_entry entry_at(const block_layout *layout, uint64_t number) {
    if (!layout->entries) return layout->only;
    const uint8_t *const p = layout->entries + number * entry_bytes(layout);
    const uint32_t value = load_number(p, layout->number_bytes);
    return (block_entry){.size = value >> REFERENCE_BITS,
                         .reference = value & ((1u << REFERENCE_BITS) - 1),
                         .checksum = load_number(p + layout->number_bytes,
                                                 entry_checksum_bytes(layout->number_bytes))};
}

/* The part's channels of a group that begins at channel `first`, from column `column` on. */
static void find_wanted(const n1_part *part, uint64_t first, uint64_t column, block_group *g) {
    g->column = column;
    g->num_wanted = 0;
    memset(g->is_needed, 0, sizeof(g->is_needed));
    for (; column < part->num_channels; column++) {
        const uint64_t channel = part->channels ? part->channels[column] : column;
        if (channel >= first + (uint64_t)g->num_channels) break;
        g->wanted[g->num_wanted++] = (uint8_t)(channel - first);
        g->is_needed[channel - first] = 1;
    }
}

/* Blocks are differences to others of the group, and these to others before them. */
static int find_references(block_group *g) {
    for (int c = g->num_channels - 1; c >= 0; c--) {
        const uint32_t reference = g->entries[c].reference;
        if (!g->is_needed[c] || reference == 0) continue;
        if (reference > (uint32_t)c) return N1_ERROR_CORRUPT;
        g->is_needed[c - (int)reference] = 1;
    }
    return 1;
}

int next_group(block_walk *walk, block_group *g) {
    const block_layout *const l = walk->layout;
    const uint64_t part_end = walk->part->first_sample + walk->part->num_samples;
    while (walk->first_sample < part_end) {
        const uint64_t first = walk->first_sample, samples_left = l->num_samples - first;
        const uint64_t channels_left = l->num_channels - walk->channel;
        g->first_sample = first;
        g->num_samples = (size_t)(samples_left < l->block_samples ? samples_left : l->block_samples);
        g->begin = first < walk->part->first_sample ? walk->part->first_sample : first;
        g->end = first + g->num_samples < part_end ? first + g->num_samples : part_end;
        g->num_channels = channels_left < GROUP_CHANNELS ? (int)channels_left : GROUP_CHANNELS;
        for (int c = 0; c < g->num_channels; c++) {
            g->entries[c] = entry_at(l, walk->entry++);
            g->offset[c] = walk->offset;
            walk->offset += g->entries[c].size;
        }
        find_wanted(walk->part, walk->channel, walk->column, g);
        walk->column += (uint64_t)g->num_wanted;
        walk->channel += (uint64_t)g->num_channels;
        if (walk->channel == l->num_channels) {
            walk->channel = walk->column = 0;
            walk->first_sample += l->block_samples;
        }
        if (g->begin < g->end && g->num_wanted > 0) return find_references(g);
    }
    return 0;
}
