/* From samples to a payload's blocks: a model for each block, and symbols coded with it. */
#include <stdlib.h>
#include <string.h>

#include "../common/bytes.h"
#include "../common/xxh64.h"
#include "choose.h"
#include "echo.h"
#include "widths.h"

static const level_settings LEVELS[] = {
    {.max_order = 8,
     .grid_kind = KIND_INTEGER,
     .lanes_from = {0, 512, 1024, 2048, 8192}},
    {.max_order = 32,
     .grid_order = 16,
     .grid_kind = KIND_WIDTH,
     .precision = 14,
     .refers = 12,
     .lanes_from = {0, 512, 1024, 2048, 8192}},
    {.max_order = 32,
     .grid_order = 32,
     .grid_kind = KIND_WIDTH,
     .precision = 15, /* the most that states of 32 bits can make use of */
     .refers = 12,
     .lanes_from = {0, 512, 2048, 8192, INT32_MAX}},
};

/* Working memory of one call. */
typedef struct {
    model *model; /* of the block that is written */
    chooser chooser;
    model models[2]; /* of the chooser */
    int16_t edges[2 * HALF_CODES + 1], middles[2 * HALF_CODES];
    int16_t *planes;   /* samples of a group of channels */
    uint32_t *symbols; /* of each sample: start | frequency << 16; frequency 0 for an escape */
    uint8_t *scratch;  /* words and escapes, 4 bytes for each sample */
    uint16_t *table;   /* F of the distances from the prediction, NUM_DISTANCES of them */
    cell_symbols cells;
    /* For each class, symbols of -129 .. 128, escapes at both ends. */
    uint32_t of_residual[MAX_CLASSES][258];
} workspace;

static uint32_t pack_symbol(uint32_t start, uint32_t end) { return start | (end - start) << 16; }

/* The width kind's symbol of sample i where the distribution is not that of full order. */
static uint32_t cell_symbol(const workspace *w, int i, const distribution *d) {
    const cell_symbols *c = &w->cells;
    const int32_t mu = w->model->predicted[i];
    const int32_t code = clamp(w->model->codes[i], c->lowest - 1, c->highest + 1);
    const int16_t *edges = c->edges[code + HALF_CODES + 1];
    return pack_symbol(slots_below(d, saturate16(edges[0] - mu)),
                       slots_below(d, saturate16(edges[1] - mu)));
}

/* The integer kind's symbol of sample i from the table, an escape if the residual is too great. */
static uint32_t look_up_residual(const workspace *w, int i, int class) {
    const int32_t r = residual_at(w->model, i, w->model->block.classes[class].low_bits);
    return w->of_residual[class][clamp(r, -129, 128) + 129];
}

/* F of the width kind's only class at full order. */
static void tabulate_distances(workspace *w) {
    const distribution full = distribution_of(&w->model->block, 0, 0);
    uint16_t *below = w->table + NUM_DISTANCES / 2;
    w->cells.below = below;
    w->cells.reach = reach_of(&full);
    tabulate(&full, below);
}

/* The integer kind's symbols of a class at full order, by F or by the histogram. */
static void tabulate_residuals(workspace *w, int class) {
    const block *b = &w->model->block;
    const distribution full = distribution_of(b, class, 0);
    uint32_t *symbols = w->of_residual[class];
    uint32_t start = b->histogram_size > 0 ? 0 : slots_below(&full, 2 * -128 - 1);
    symbols[0] = symbols[257] = 0;
    for (int r = -128; r <= 127; r++) {
        const int at = r - b->histogram_first;
        const uint32_t end = b->histogram_size == 0                 ? slots_below(&full, 2 * r + 1)
                             : at >= 0 && at < b->histogram_size ? start + b->histogram[at]
                                                                 : start;
        symbols[r + 129] = pack_symbol(start, end);
        start = end;
    }
}

static void make_cell_edges(workspace *w) {
    const model *m = w->model;
    cell_symbols *c = &w->cells;
    c->lowest = m->block.lowest;
    c->highest = m->block.highest;
    for (int code = c->lowest - 1; code <= c->highest + 1; code++) {
        int16_t *ends = c->edges[code + HALF_CODES + 1];
        if (code < c->lowest || code > c->highest) {
            ends[0] = ends[1] = 0;
            continue;
        }
        ends[0] = code == c->lowest ? -32768 : m->edges[code + HALF_CODES];
        ends[1] = code == c->highest ? 32767 : m->edges[code + HALF_CODES + 1];
    }
}

/* The integer kind's symbols of all samples, if one class is for all. */
static void look_up_residuals(const workspace *w) {
    const model *const m = w->model;
    const int16_t *const y = m->y, *const predicted = m->predicted;
    const uint32_t *const of_residual = w->of_residual[0] + 129;
    const int n = m->block.num_samples, low_bits = m->block.classes[0].low_bits;
    uint32_t *const symbols = w->symbols;
    for (int i = 0; i < n; i++) {
        const int32_t r = ((int16_t)(y[i] - predicted[i]) + (1 << low_bits >> 1)) >> low_bits;
        symbols[i] = of_residual[clamp(r, -129, 128)];
    }
}

/* Symbols of all samples at full order, if one class is for all. */
static void find_symbols(workspace *w) {
    const block *b = &w->model->block;
    if (b->kind == KIND_INTEGER) {
        for (int class = 0; class < b->num_classes; class++) tabulate_residuals(w, class);
        if (b->num_classes > 1) return;
        look_up_residuals(w);
    } else {
        make_cell_edges(w);
        if (b->num_classes > 1) return;
        tabulate_distances(w);
        w->model->kernels->find_cells(&w->cells, w->model->codes, w->model->predicted, b->num_samples,
                                     w->symbols);
    }
}

/* Symbols where lanes begin; with several classes, all of them. */
static void find_exceptions(workspace *w) {
    const block *b = &w->model->block;
    for (int lane = 0; lane < num_lanes(b); lane++) {
        const int begin = lane_begin(b, lane), length = lane_end(b, lane) - begin;
        const uint8_t *const classes = lane_classes(b, lane);
        for (int step = 0; step < length && (step < b->order || classes); step++) {
            const int class = classes ? classes[step >> b->log2_span] : 0, i = begin + step;
            if (b->kind == KIND_INTEGER && (step >= b->order || b->histogram_size > 0)) {
                w->symbols[i] = look_up_residual(w, i, class);
                continue;
            }
            const int extra = step < b->order ? w->model->predictor.extra_scale[step] : 0;
            const distribution d = distribution_of(b, class, extra);
            const int32_t r = residual_at(w->model, i, b->classes[class].low_bits);
            w->symbols[i] = b->kind == KIND_WIDTH ? cell_symbol(w, i, &d)
                                                  : pack_symbol(slots_below(&d, 2 * r - 1),
                                                                slots_below(&d, 2 * r + 1));
        }
    }
}

/* Coding of symbols, last one first as rANS wants it; bytes come out from their end on. */

typedef struct {
    uint8_t *words, *words_end;
    uint8_t *escapes, *escapes_end;
    uint32_t state[MAX_LANES];
} coded_lanes;

static inline uint32_t code_symbol(const workspace *w, int i, uint32_t x, coded_lanes *out) {
    const int precision = w->model->block.precision;
    uint32_t start = w->symbols[i] & 0xFFFF, frequency = w->symbols[i] >> 16;
    if (frequency == 0) {
        start = symbol_slots(&w->model->block);
        frequency = 1u << w->model->block.log2_escape;
        store_u16(out->escapes -= 2, (uint16_t)w->model->codes[i]);
    }
    if (x >> (32 - precision) >= frequency) {
        store_u16(out->words -= 2, (uint16_t)x);
        x >>= 16;
    }
    return (x / frequency << precision) + x % frequency + start;
}

/* As many of the last samples as surely go into the low halves of the lanes' first states. */
static int choose_tail(const workspace *w) {
    const block *b = &w->model->block;
    const int32_t room = (16 * num_lanes(b) - 24) * BIT;
    int32_t cost = 0;
    if (b->log2_lanes < 2 || b->num_classes > 1) return 0;
    for (int tail = 0; tail < MAX_TAIL; tail++) {
        const int i = b->num_samples - 1 - tail;
        if (i < num_lanes(b) * (b->order + 1)) return 0;
        const uint32_t frequency = w->symbols[i] >> 16;
        cost += b->precision * BIT - (frequency > 0 ? floor_log2(frequency) * BIT + BIT / 2 : b->log2_escape * BIT);
        if (cost > room) return tail;
    }
    return MAX_TAIL;
}

/* Code the tail, and set the states that the lanes begin with. Returns 0 if it takes too much. */
static int code_tail(const workspace *w, coded_lanes *out) {
    const block *b = &w->model->block;
    const int lanes = num_lanes(b);
    uint8_t halves[2 * MAX_LANES] = {0};
    for (int lane = 0; lane < lanes; lane++) out->state[lane] = 1u << 16;
    if (b->tail == 0) return 1;
    uint32_t x = 1u << 16;
    for (int i = b->num_samples - 1; i >= b->num_samples - b->tail; i--) x = code_symbol(w, i, x, out);
    const size_t size = (size_t)(out->words_end - out->words);
    if (size > 2 * (size_t)(lanes - 2)) return 0;
    store_u32(halves, x);
    memcpy(halves + 4, out->words, size);
    for (int lane = 0; lane < lanes; lane++) out->state[lane] |= load_u16(halves + 2 * lane);
    out->words = out->words_end;
    return 1;
}

/*
 * Code the block's symbols into scratch, of which words and escapes have a half each. Chooses the
 * tail, on which the lanes' borders depend. Returns 0 if these do not suit the samples.
 */
static int code_lanes(workspace *w, coded_lanes *out) {
    block *b = &w->model->block;
    const int n = b->num_samples, lanes = num_lanes(b);
    find_symbols(w);
    b->tail = choose_tail(w);
    for (;; b->tail--) {
        out->words = out->words_end = w->scratch + WORDS_AHEAD + 2 * (size_t)n;
        out->escapes = out->escapes_end = out->words_end + 2 * (size_t)n;
        if (code_tail(w, out)) break;
    }
    if (!suits_lanes(w->model)) return 0;
    predict_exceptions(w->model);
    find_exceptions(w);
    int begin[MAX_LANES];
    for (int lane = 0; lane < lanes; lane++) begin[lane] = lane_begin(b, lane);
    const int whole_steps = lane_length(b, lanes - 1), partial = (n - b->tail) % lanes;
    for (int lane = partial - 1; lane >= 0; lane--)
        out->state[lane] = code_symbol(w, begin[lane] + whole_steps, out->state[lane], out);
    for (int step = whole_steps; step > 0;) {
        step = w->model->kernels->code_steps(w->symbols, begin, lanes, step, b->precision, out->state,
                                             &out->words);
        if (step-- == 0) break;
        for (int lane = lanes - 1; lane >= 0; lane--)
            out->state[lane] = code_symbol(w, begin[lane] + step, out->state[lane], out);
    }
    return 1;
}

static void put_low_bits(const workspace *w, bit_writer *bits) {
    const block *b = &w->model->block;
    const int lanes = num_lanes(b), steps = num_steps(b);
    if (b->num_classes == 1 && b->classes[0].low_bits == 0) return;
    const uint8_t *classes[MAX_LANES];
    int begin[MAX_LANES + 1];
    for (int lane = 0; lane < lanes; lane++) {
        classes[lane] = lane_classes(b, lane);
        begin[lane] = lane_begin(b, lane);
    }
    begin[lanes] = b->num_samples;
    for (int step = 0; step < steps; step++) {
        for (int lane = 0; lane < lanes; lane++) {
            const int i = begin[lane] + step;
            if (i >= begin[lane + 1]) continue;
            const int class = b->num_classes > 1 ? classes[lane][step >> b->log2_span] : 0;
            const int count = b->classes[class].low_bits;
            put_bits(bits, whole_residual(w->model, i, count) & ((1u << count) - 1), count);
        }
    }
}

/* Write a block of the integer or width kind; returns its size, or 0 if it does not fit. */
static size_t write_predicted(workspace *w, uint8_t *dst, uint8_t *end) {
    const block *b = &w->model->block;
    coded_lanes coded;
    if (!code_lanes(w, &coded)) return 0;
    bit_writer bits = write_bits_to(dst, end);
    write_block(&bits, b);
    uint8_t *p = finish_bits(&bits);
    const size_t escape_size = (size_t)(coded.escapes_end - coded.escapes);
    const size_t word_size = (size_t)(coded.words_end - coded.words);
    size_t size = 10 + escape_size + 4 * (size_t)num_lanes(b) + word_size;
    if (bits.overrun || (size_t)(end - p) < size) return 0;
    p += store_varint(p, escape_size / 2);
    bits = write_bits_to(p, end);
    const int first_code = b->escape_bits == 16 ? 0 : -HALF_CODES;
    for (const uint8_t *e = coded.escapes; e < coded.escapes_end; e += 2)
        put_bits(&bits, (uint16_t)(load_u16(e) - first_code), b->escape_bits);
    p = finish_bits(&bits);
    put_low_bits(w, &bits);
    p = finish_bits(&bits);
    size = 4 * (size_t)num_lanes(b) + word_size;
    if (bits.overrun || (size_t)(end - p) < size) return 0;
    for (int lane = 0; lane < num_lanes(b); lane++, p += 4) store_u32(p, coded.state[lane]);
    memcpy(p, coded.words, word_size);
    return (size_t)(p + word_size - dst);
}

static size_t write_packed(const block *b, const int16_t *codes, uint8_t *dst, uint8_t *end) {
    bit_writer bits = write_bits_to(dst, end);
    write_block(&bits, b);
    finish_bits(&bits);
    for (int i = 0; i < b->num_samples && b->packed_bits > 0; i++)
        put_bits(&bits, (uint32_t)(codes[i] - b->packed_base), b->packed_bits);
    uint8_t *p = finish_bits(&bits);
    return bits.overrun ? 0 : (size_t)(p - dst);
}

/*
 * Encode one block of a channel of the group; returns the size, or 0 if there is no room. Where lanes
 * do not suit the model, which is rare, another one is written.
 */
static size_t encode_block(workspace *w, int n, int channel, uint8_t *dst, uint8_t *end) {
    choose_model(&w->chooser, w->planes, channel, n);
    for (int attempt = 0;; attempt++) {
        w->model = w->chooser.best;
        const block *b = &w->model->block;
        const size_t size = b->kind == KIND_PACKED ? write_packed(b, w->model->codes, dst, end)
                                                   : write_predicted(w, dst, end);
        if (size > 0 || attempt > 0) return size;
        choose_safe_model(&w->chooser);
    }
}

/* Bring a group of channels from the rows of src into planes. */
static void separate(const uint8_t *src, const n1_info *info, uint64_t first_sample, size_t count,
                     uint64_t channel, int group, size_t plane_size, int16_t *planes) {
    const size_t item = n1_item_size(info), row = item * (size_t)info->num_channels;
    const uint16_t flip = n1_sign_flip(info);
    src += row * first_sample + item * channel;
    if (item == 2 && row == 2) { /* one channel, which the compiler turns into vectors */
        for (size_t i = 0; i < count; i++) planes[i] = (int16_t)(load_u16(src + 2 * i) ^ flip);
        return;
    }
    /* Some rows at a time, which stay at hand while each channel takes its samples from them. */
    for (size_t first = 0; first < count; first += 64) {
        const size_t end = count - first < 64 ? count : first + 64;
        for (int c = 0; c < group; c++) {
            int16_t *const plane = planes + (size_t)c * plane_size;
            const uint8_t *from = src + row * first + item * (size_t)c;
            for (size_t i = first; i < end; i++, from += row)
                plane[i] = item == 2 ? (int16_t)(load_u16(from) ^ flip) : (int8_t)(uint8_t)(*from ^ flip);
        }
    }
}

static int64_t encode_all(workspace *w, const uint8_t *src, const n1_info *info,
                          uint64_t block_samples, block_entry *entry, uint8_t *dst, uint8_t *end) {
    uint8_t *p = dst;
    for (uint64_t first = 0; first < info->num_samples; first += block_samples) {
        const uint64_t left = info->num_samples - first;
        const size_t count = (size_t)(left < block_samples ? left : block_samples);
        for (uint64_t channel = 0; channel < info->num_channels; channel += GROUP_CHANNELS) {
            const uint64_t channels_left = info->num_channels - channel;
            const int group = channels_left < GROUP_CHANNELS ? (int)channels_left : GROUP_CHANNELS;
            separate(src, info, first, count, channel, group, (size_t)block_samples, w->planes);
            for (int c = 0; c < group; c++) {
                const size_t size = encode_block(w, (int)count, c, p, end);
                if (size == 0) return 0;
                entry->size = (uint32_t)size;
                entry->reference = (uint32_t)w->model->block.reference;
                entry->checksum = samples_checksum(w->planes + (size_t)c * block_samples, count);
                entry++;
                p += size;
            }
        }
    }
    return p - dst;
}

uint64_t n1_least_blocks(uint64_t num_samples) {
    return (num_samples + MAX_BLOCK_SAMPLES - 1) / MAX_BLOCK_SAMPLES;
}

int64_t n1_encode_blocks(const void *src, const n1_info *info, int level, const uint8_t *widths,
                         const n1_kernels *kernels, uint64_t num_blocks, block_entry *entries,
                         int *is_doubtful, uint8_t *dst, size_t dst_size) {
    const size_t n = (size_t)((info->num_samples + num_blocks - 1) / num_blocks);
    const size_t group =
        info->num_channels < GROUP_CHANNELS ? (size_t)info->num_channels : GROUP_CHANNELS;
    workspace *w = malloc(sizeof(*w));
    /* Symbols and scratch take 4 bytes a sample, each of the 16-bit arrays 2. */
    uint8_t *memory =
        malloc(n * (4 + 4 + 2 * (14 + 2 * group)) + 2 * NUM_DISTANCES + WORDS_AHEAD);
    int64_t size = N1_ERROR_MEMORY;
    if (w && memory) {
        w->symbols = (uint32_t *)(void *)memory;
        int16_t *next = (int16_t *)(void *)(w->symbols + n);
        chooser *const c = &w->chooser;
        memset(c, 0, sizeof(*c));
        sample_maps *const maps[2] = {&c->whole, &c->piece};
        for (int i = 0; i < 2; i++, next += 2 * n) {
            maps[i]->grid.room = next;
            maps[i]->plain.room = next + n;
        }
        for (int i = 0; i < 2; i++, next += 4 * n) {
            model *const m = &w->models[i];
            m->level = &LEVELS[level - 1];
            m->kernels = kernels;
            m->edges = w->edges;
            m->middles = w->middles;
            m->own_widths = widths != NULL;
            m->widths_hash = widths ? checksum32(widths, N1_NUM_CODES, 0) : 0;
            m->code_room = next;
            m->y_room = next + n;
            m->predicted = next + 2 * n;
            m->centred = next + 3 * n;
        }
        c->best = &w->models[0];
        c->trial = &w->models[1];
        c->other.echo = next;
        c->other.u = next + n;
        c->plane_size = n;
        w->planes = next + 2 * n;
        c->residuals = w->planes + group * n;
        w->table = (uint16_t *)(c->residuals + group * n);
        w->scratch = (uint8_t *)(w->table + NUM_DISTANCES);
        size = N1_ERROR_ARGUMENT;
        if (make_edges(widths ? widths : N1_WIDTHS, w->edges) == 0) {
            make_middles(w->edges, w->middles);
            size = encode_all(w, src, info, n, entries, dst, dst + dst_size);
        }
        *is_doubtful = c->num_uncertain > 0 || c->gain > 0;
    }
    free(memory);
    free(w);
    return size;
}
