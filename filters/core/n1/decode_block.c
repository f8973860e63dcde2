/* From a block's bytes to its samples. */
#include "decoder.h"

#include "../common/xxh64.h"
#include "echo.h"
#include "widths.h"

static int decode_packed(const block *b, const uint8_t **src, const uint8_t *end, int16_t *codes) {
    bit_reader r = read_bits_from(*src, end);
    for (int i = 0; i < b->num_samples; i++)
        codes[i] = (int16_t)(uint16_t)((uint32_t)b->packed_base + get_bits(&r, b->packed_bits));
    *src = finish_reading(&r);
    return r.overrun ? N1_ERROR_CORRUPT : N1_OK;
}

static void undo_differences(const block *b, int16_t *codes) {
    for (int i = 0; i < b->differences; i++)
        for (int j = 1; j < b->num_samples; j++)
            codes[j] = (int16_t)(uint16_t)((uint32_t)codes[j - 1] + (uint32_t)codes[j]);
}

/* From codes to samples, in place. */
static int undo_map(const block *b, const n1_kernels *kernels, int16_t *codes) {
    if (b->map == MAP_ADC) {
        kernels->adc_decode(codes, codes, (size_t)b->num_samples);
    } else if (b->map == MAP_STEP) {
        for (int i = 0; i < b->num_samples; i++)
            codes[i] = (int16_t)(uint16_t)(b->offset + b->step * (uint32_t)(uint16_t)codes[i]);
    } else if (b->map == MAP_PALETTE) {
        const int16_t *const palette = b->palette;
        const int size = b->palette_size, count = b->num_samples;
        for (int i = 0; i < count; i++) {
            const int index = codes[i] + size / 2;
            if (index < 0 || index >= size) return N1_ERROR_CORRUPT;
            codes[i] = palette[index];
        }
    }
    return N1_OK;
}

int begin_block(workspace *w, const uint8_t *src, const uint8_t *end, int reference, int num_samples,
                size_t plane_size, const uint8_t *widths, int16_t *plane) {
    block *b = &w->block;
    b->num_samples = num_samples;
    b->reference = reference;
    b->differences = 0;
    bit_reader r = read_bits_from(src, end);
    if (read_block(&r, b, w->class_of_span, MAX_SPANS)) return N1_ERROR_CORRUPT;
    w->next = finish_reading(&r);
    w->end = end;
    w->plane = plane;
    w->other = plane - (size_t)reference * plane_size;
    if (r.overrun) return N1_ERROR_CORRUPT;
    if (b->kind == KIND_PACKED) return N1_OK;
    if (b->kind == KIND_WIDTH) {
        if (b->own_widths && (!widths || checksum32(widths, N1_NUM_CODES, 0) != b->widths_hash))
            return N1_ERROR_WIDTHS;
        if (w->edges_are_own != b->own_widths) {
            if (make_edges(b->own_widths ? widths : N1_WIDTHS, w->edges)) return N1_ERROR_ARGUMENT;
            w->edges_are_own = b->own_widths;
            w->first_code = w->end_code = 0;
        }
    }
    return begin_strips(w);
}

void put_echoes(workspace *w, const n1_kernels *kernels) {
    int16_t middles[2 * HALF_CODES];
    if (!w->lanes.has_echo) return;
    make_middles(w->edges, middles);
    make_echo(&w->block, w->other, middles, kernels, 0, w->block.num_samples, w->plane);
}

/* With the others: add them to the codes. */
static void add_echoes(const workspace *w, const n1_kernels *kernels) {
    enum { PART = 1024 };
    const int n = w->block.num_samples;
    int16_t echo[PART];
    for (int begin = 0; begin < n; begin += PART) {
        const int count = n - begin < PART ? n - begin : PART;
        make_echo(&w->block, w->other, NULL, kernels, begin, count, echo);
        for (int i = 0; i < count; i++)
            w->plane[begin + i] = (int16_t)(uint16_t)(w->plane[begin + i] + echo[i]);
    }
}

int finish_block(workspace *w, const n1_kernels *kernels) {
    const block *b = &w->block;
    int16_t *const plane = w->plane;
    if (b->kind == KIND_WIDTH && w->next_step == 0) put_echoes(w, kernels);
    const int error = b->kind == KIND_PACKED ? decode_packed(b, &w->next, w->end, plane)
                                             : finish_strips(w, kernels);
    if (error) return error;
    if (w->next != w->end) return N1_ERROR_CORRUPT;
    if (b->kind == KIND_WIDTH) return N1_OK;
    undo_differences(b, plane);
    if (b->reference > 0) add_echoes(w, kernels);
    return undo_map(b, kernels, plane);
}
