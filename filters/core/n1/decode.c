/* From a payload's blocks to samples: groups of channels, and what a part has of them. */
#include <stdlib.h>

#include "../common/bytes.h"
#include "decoder.h"

/*
 * Write some samples of neighbouring channels, whose planes are plane_size apart, into rows that
 * are row_bytes apart.
 */
static void interleave(const int16_t *planes, size_t plane_size, int num_channels, size_t num_samples,
                       const n1_info *info, size_t row_bytes, const n1_kernels *kernels,
                       uint8_t *dst) {
    const size_t item = n1_item_size(info);
    const uint16_t flip = n1_sign_flip(info);
    if (item == 2 && row_bytes == 2) { /* one channel, which the compiler turns into vectors */
        for (size_t i = 0; i < num_samples; i++)
            store_u16(dst + 2 * i, (uint16_t)planes[i] ^ flip);
        return;
    }
    /* The kernel leaves what does not fill its vectors. */
    const size_t whole = num_samples / 8 * 8;
    const int done = item < 2 ? 0
                              : kernels->store_frames(planes, plane_size, num_channels, whole, flip,
                                                      dst, row_bytes);
    for (size_t i = done < num_channels ? 0 : whole; i < num_samples; i++) {
        for (int c = i < whole ? done : 0; c < num_channels; c++) {
            const uint16_t sample = (uint16_t)planes[(size_t)c * plane_size + i] ^ flip;
            if (item == 2)
                store_u16(dst + i * row_bytes + 2 * (size_t)c, sample);
            else
                dst[i * row_bytes + (size_t)c] = (uint8_t)sample;
        }
    }
}

/* Whether the plane of a group's only channel that is needed is what dst is to hold. */
static int can_decode_in_place(const n1_info *info, const n1_part *part, const block_group *g,
                               const void *dst) {
    static const uint16_t ONE = 1;
    const int is_little_endian = *(const uint8_t *)&ONE == 1;
    return is_little_endian && g->end - g->begin == g->num_samples && info->dtype == N1_INT16 &&
           part->row_bytes == sizeof(int16_t) && (uintptr_t)dst % sizeof(int16_t) == 0;
}

/* Whether the samples and bytes of block c of a group are what was encoded. */
static int is_intact(const block_layout *layout, const block_group *g, int c, int16_t *plane) {
    const block_entry *const entry = &g->entries[c];
    const uint8_t *const src = layout->blocks + g->offset[c], *const end = src + entry->size;
    const uint32_t samples = samples_checksum(plane, g->num_samples);
    if (!layout->entries)
        return is_checksum(block_checksum(samples, layout->only_from, end, layout->only_seed),
                           entry->checksum);
    return is_checksum(kept_checksum(block_checksum(samples, src, end, 0), layout->number_bytes),
                       entry->checksum);
}

/* Decode blocks of a group, as many as there are workspaces at most, into their planes. */
static int decode_blocks(decoding *d, const block_layout *layout, const block_group *g,
                         const int *channels, int16_t *const *planes, int count,
                         const uint8_t *widths, const n1_kernels *kernels) {
    workspace *w[GROUP_CHANNELS];
    for (int k = 0; k < count; k++) {
        const block_entry *const entry = &g->entries[channels[k]];
        const uint8_t *const src = layout->blocks + g->offset[channels[k]];
        w[k] = d->workspaces + k;
        const int error = begin_block(w[k], src, src + entry->size, (int)entry->reference,
                                      (int)g->num_samples, (size_t)layout->block_samples, widths,
                                      planes[k]);
        if (error) return error;
    }
    for (int k = 0; k < count; k++) {
        if (decode_together(d, w + k, count - k, kernels)) return N1_ERROR_CORRUPT;
        const int error = finish_block(w[k], kernels);
        if (error) return error;
        if (!is_intact(layout, g, channels[k], w[k]->plane)) return N1_ERROR_CORRUPT;
    }
    return N1_OK;
}

static void begin_workspace(workspace *w) {
    w->large_tables = NULL;
    w->large_size = 0;
    w->edges_are_own = -1;
    w->first_code = w->end_code = 0;
}

static void free_workspaces(decoding *d) {
    for (int k = 0; k < d->num_workspaces; k++) free(d->workspaces[k].large_tables);
    free(d->workspaces);
    d->workspaces = NULL;
    d->num_workspaces = 0;
}

/*
 * Have memory for a group: no more than it needs, as fresh memory takes the system's time. One
 * channel that is decoded in place takes one workspace, and no planes.
 */
static int have_memory(decoding *d, const block_layout *layout, int num_needed, int in_place) {
    const int at_most = layout->block_samples < SHORT_BLOCK_SAMPLES ? GROUP_CHANNELS : 2;
    const int count = num_needed < at_most ? num_needed : at_most;
    if (count > d->num_workspaces) {
        free_workspaces(d);
        d->workspaces = malloc((size_t)count * sizeof(*d->workspaces));
        if (!d->workspaces) return N1_ERROR_MEMORY;
        d->num_workspaces = count;
        for (int k = 0; k < count; k++) begin_workspace(&d->workspaces[k]);
    }
    if (!d->planes && !in_place) {
        const size_t channels = layout->num_channels < GROUP_CHANNELS ? (size_t)layout->num_channels
                                                                      : GROUP_CHANNELS;
        d->planes = malloc((size_t)layout->block_samples * channels * sizeof(*d->planes));
        if (!d->planes) return N1_ERROR_MEMORY;
    }
    return N1_OK;
}

/* Decode what a part needs of a group, and write what it has of that to dst. */
static int decode_group(decoding *d, const block_layout *layout, const block_group *g,
                        const n1_info *info, const n1_part *part, const uint8_t *widths,
                        const n1_kernels *kernels, uint8_t *dst) {
    const size_t length = (size_t)layout->block_samples, count = (size_t)(g->end - g->begin);
    const size_t item = n1_item_size(info), row_bytes = (size_t)part->row_bytes;
    dst += (g->begin - part->first_sample) * row_bytes + g->column * item;
    int num_needed = 0;
    for (int c = 0; c < g->num_channels; c++) num_needed += g->is_needed[c];
    const int in_place = num_needed == 1 && can_decode_in_place(info, part, g, dst);
    const int error = have_memory(d, layout, num_needed, in_place);
    if (error) return error;
    int16_t *const planes = d->planes;
    for (int c = 0; c < g->num_channels;) {
        int channels[GROUP_CHANNELS], num = 0;
        int16_t *to[GROUP_CHANNELS];
        for (; c < g->num_channels && num < d->num_workspaces; c++) {
            if (!g->is_needed[c]) continue;
            to[num] = in_place ? (int16_t *)(void *)dst : planes + (size_t)c * length;
            channels[num++] = c;
        }
        const int failed = decode_blocks(d, layout, g, channels, to, num, widths, kernels);
        if (failed) return failed;
    }
    for (int i = 0, run; i < g->num_wanted && !in_place; i += run, dst += (size_t)run * item) {
        for (run = 1; i + run < g->num_wanted; run++)
            if (g->wanted[i + run] != g->wanted[i] + run) break;
        const int16_t *const first = planes + g->wanted[i] * length + (g->begin - g->first_sample);
        interleave(first, length, run, count, info, row_bytes, kernels, dst);
    }
    return N1_OK;
}

int n1_decode_blocks(const block_layout *layout, const n1_info *info, const n1_part *part,
                     const uint8_t *widths, const n1_kernels *kernels, uint8_t *dst) {
    decoding d = {0};
    block_walk walk = {.layout = layout, .part = part};
    block_group g;
    int error;
    while ((error = next_group(&walk, &g)) > 0) {
        error = decode_group(&d, layout, &g, info, part, widths, kernels, dst);
        if (error) break;
    }
    free_workspaces(&d);
    free(d.planes);
    return error;
}
