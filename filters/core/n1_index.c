#include "n1_index.h"

#include <string.h>

block_entry entry_at(const block_layout *layout, uint64_t number) {
    if (!layout->entries) return layout->only;
    const uint8_t *const p = layout->entries + number * entry_bytes(layout);
    const uint32_t value = load_number(p, layout->number_bytes);
    return (block_entry){.size = value >> REFERENCE_BITS,
                         .reference = value & ((1u << REFERENCE_BITS) - 1),
                         .checksum = load_u32(p + layout->number_bytes)};
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
