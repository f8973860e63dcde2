/* From samples to a payload's blocks: a model for each block, and symbols coded with it. */
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "n1_codec.h"
#include "n1_fit.h"
#include "n1_widths.h"
#include "xxh64.h"

static const level_settings LEVELS[] = {
    {.max_order = 8,
     .grid_kind = KIND_INTEGER,
     .lanes_from = {0, 512, 1024, 2048, 8192}},
    {.max_order = 32,
     .grid_order = 16,
     .grid_kind = KIND_WIDTH,
     .precision = 14,
     .refers = 1,
     .lanes_from = {0, 512, 1024, 2048, 8192}},
    {.max_order = 32,
     .grid_order = 32,
     .grid_kind = KIND_WIDTH,
     .precision = 15, /* the most that states of 32 bits can make use of */
     .refers = 1,
     .lanes_from = {0, 512, 2048, 8192, INT32_MAX}},
};

/*
 * The first is tried on every block, the others where it suits badly; those for the grid only if
 * some of the block is on it, as they are like others elsewhere.
 */
static const approach APPROACHES[] = {
    {.predict = 1},
    {.predict = 1, .trim = 1, .for_grid = 1},
    {.predict = 1, .integers = 1},
    {.predict = 1, .integers = 1, .differences = 1},
    {.predict = 1, .integers = 1, .differences = 2},
    {.integers = 1},
    {.predict = 1, .few_values = 1, .for_grid = 1},
    {.few_values = 1, .for_grid = 1},
    {.few_values = 1, .differences = 1},
};

/* Bytes beyond 3 for each sample that a trial may take. */
enum { TRIAL_ROOM = 1024 };

/* Working memory of one call. */
typedef struct {
    model model;
    int num_doubtful;   /* blocks that the first approach does not suit */
    int64_t gain;       /* what short blocks would take less, about */
    int num_uncertain;  /* blocks of which this is not estimated */
    int64_t cost;       /* of the block as it was tried last, about */
    int16_t *planes;    /* samples of a group of channels */
    int16_t *residuals; /* and what their own predictors leave of them */
    int16_t *difference;
    int reference;      /* of the block as it was encoded in the end; 0 for none */
    uint32_t *symbols; /* of each sample: start | frequency << 16; frequency 0 for an escape */
    uint8_t *scratch;  /* words and escapes, 4 bytes for each sample */
    uint8_t *trial;    /* a block as another approach encodes it */
    uint16_t *table;   /* F of the distances from the prediction, NUM_DISTANCES of them */
    cell_symbols cells;
    /* For each class, symbols of -129 .. 128, escapes at both ends. */
    uint32_t of_residual[MAX_CLASSES][258];
} workspace;

static uint32_t pack_symbol(uint32_t start, uint32_t end) { return start | (end - start) << 16; }

/* The width kind's symbol of sample i where the distribution is not that of full order. */
static uint32_t cell_symbol(const workspace *w, int i, const distribution *d) {
    const cell_symbols *c = &w->cells;
    const int32_t mu = w->model.predicted[i];
    const int32_t code = clamp(w->model.codes[i], c->lowest - 1, c->highest + 1);
    const int16_t *edges = c->edges[code + HALF_CODES + 1];
    return pack_symbol(slots_below(d, saturate16(edges[0] - mu)),
                       slots_below(d, saturate16(edges[1] - mu)));
}

/* The integer kind's symbol of sample i from the table, an escape if the residual is too great. */
static uint32_t look_up_residual(const workspace *w, int i, int class) {
    const int32_t r = residual_at(&w->model, i, w->model.block.classes[class].low_bits);
    return w->of_residual[class][clamp(r, -129, 128) + 129];
}

/* F of the width kind's only class at full order. */
static void tabulate_distances(workspace *w) {
    const distribution full = distribution_of(&w->model.block, 0, 0);
    uint16_t *below = w->table + NUM_DISTANCES / 2;
    w->cells.below = below;
    w->cells.reach = reach_of(&full);
    tabulate(&full, below);
}

/* The integer kind's symbols of a class at full order, by F or by the histogram. */
static void tabulate_residuals(workspace *w, int class) {
    const block *b = &w->model.block;
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
    const model *m = &w->model;
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

/* Symbols of all samples at full order, if one class is for all. */
static void find_symbols(workspace *w) {
    const block *b = &w->model.block;
    if (b->kind == KIND_INTEGER) {
        for (int class = 0; class < b->num_classes; class++) tabulate_residuals(w, class);
        if (b->num_classes > 1) return;
        for (int i = 0; i < b->num_samples; i++) w->symbols[i] = look_up_residual(w, i, 0);
    } else {
        make_cell_edges(w);
        if (b->num_classes > 1) return;
        tabulate_distances(w);
        w->model.kernels->find_cells(&w->cells, w->model.codes, w->model.predicted, b->num_samples,
                                     w->symbols);
    }
}

/* Symbols where lanes begin; with several classes, all of them. */
static void find_exceptions(workspace *w) {
    const block *b = &w->model.block;
    for (int lane = 0; lane < num_lanes(b); lane++) {
        const int begin = lane_begin(b, lane), length = lane_end(b, lane) - begin;
        const uint8_t *const classes = lane_classes(b, lane);
        for (int step = 0; step < length && (step < b->order || classes); step++) {
            const int class = classes ? classes[step >> b->log2_span] : 0, i = begin + step;
            if (b->kind == KIND_INTEGER && (step >= b->order || b->histogram_size > 0)) {
                w->symbols[i] = look_up_residual(w, i, class);
                continue;
            }
            const int extra = step < b->order ? w->model.predictor.extra_scale[step] : 0;
            const distribution d = distribution_of(b, class, extra);
            const int32_t r = residual_at(&w->model, i, b->classes[class].low_bits);
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
    const int precision = w->model.block.precision;
    uint32_t start = w->symbols[i] & 0xFFFF, frequency = w->symbols[i] >> 16;
    if (frequency == 0) {
        start = symbol_slots(&w->model.block);
        frequency = 1u << w->model.block.log2_escape;
        store_u16(out->escapes -= 2, (uint16_t)w->model.codes[i]);
    }
    if (x >> (32 - precision) >= frequency) {
        store_u16(out->words -= 2, (uint16_t)x);
        x >>= 16;
    }
    return (x / frequency << precision) + x % frequency + start;
}

/* As many of the last samples as surely go into the low halves of the lanes' first states. */
static int choose_tail(const workspace *w) {
    const block *b = &w->model.block;
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
    const block *b = &w->model.block;
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
    block *b = &w->model.block;
    const int n = b->num_samples, lanes = num_lanes(b);
    find_symbols(w);
    b->tail = choose_tail(w);
    for (;; b->tail--) {
        out->words = out->words_end = w->scratch + WORDS_AHEAD + 2 * (size_t)n;
        out->escapes = out->escapes_end = out->words_end + 2 * (size_t)n;
        if (code_tail(w, out)) break;
    }
    if (!suits_lanes(&w->model)) return 0;
    predict_exceptions(&w->model);
    find_exceptions(w);
    int begin[MAX_LANES];
    for (int lane = 0; lane < lanes; lane++) begin[lane] = lane_begin(b, lane);
    const int whole_steps = lane_length(b, lanes - 1), partial = (n - b->tail) % lanes;
    for (int lane = partial - 1; lane >= 0; lane--)
        out->state[lane] = code_symbol(w, begin[lane] + whole_steps, out->state[lane], out);
    for (int step = whole_steps; step > 0;) {
        if (lanes >= 8 && w->model.kernels->code_steps)
            step = w->model.kernels->code_steps(w->symbols, begin, lanes, step, b->precision,
                                                out->state, &out->words);
        if (step-- == 0) break;
        for (int lane = lanes - 1; lane >= 0; lane--)
            out->state[lane] = code_symbol(w, begin[lane] + step, out->state[lane], out);
    }
    return 1;
}

static void put_low_bits(const workspace *w, bit_writer *bits) {
    const block *b = &w->model.block;
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
            put_bits(bits, whole_residual(&w->model, i, count) & ((1u << count) - 1), count);
        }
    }
}

/* Write a block of the integer or width kind; returns its size, or 0 if it does not fit. */
static size_t write_predicted(workspace *w, uint8_t *dst, uint8_t *end) {
    const block *b = &w->model.block;
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
    for (int i = 0; i < b->num_samples; i++)
        put_bits(&bits, (uint32_t)(codes[i] - b->packed_base), b->packed_bits);
    uint8_t *p = finish_bits(&bits);
    return bits.overrun ? 0 : (size_t)(p - dst);
}

/* Bits that the difference between the least and the greatest value takes. */
static int range_bits(const int16_t *codes, int n, int16_t *lowest) {
    int16_t low = codes[0], high = codes[0];
    for (int i = 1; i < n; i++) {
        if (codes[i] < low) low = codes[i];
        if (codes[i] > high) high = codes[i];
    }
    *lowest = low;
    return low == high ? 0 : floor_log2((uint32_t)(high - low)) + 1;
}

/* Where a trial has to end to be of use, `size` being that of the block so far, or 0. */
static uint8_t *trial_end(const workspace *w, int n, size_t size) {
    const size_t room = 3 * (size_t)n + TRIAL_ROOM;
    return w->trial + (size > 0 && size < room ? size : room);
}

/*
 * Encode a block with an approach. Returns the size, or 0 if there is no room; nothing is written if
 * the estimate leaves no doubt of that.
 */
static size_t try_approach(workspace *w, const int16_t *samples, int n, const approach *how,
                           uint8_t *dst, uint8_t *end) {
    w->cost = fit_model(&w->model, samples, n, how);
    if ((w->cost - w->cost / 32) / (8 * BIT) > end - dst) return 0;
    return write_predicted(w, dst, end);
}

/* Pack the samples, or their codes where these take fewer bits. */
static size_t try_packed(workspace *w, const int16_t *samples, int n, uint8_t *dst, uint8_t *end) {
    model *m = &w->model;
    block *b = &m->block;
    int16_t base;
    memset(b, 0, offsetof(block, palette));
    b->num_samples = n;
    b->kind = KIND_PACKED;
    b->reference = m->reference;
    b->gain = m->gain;
    const int grid_bits = map_grid(m, samples, n, n / 64) ? range_bits(m->codes, n, &base) : 17;
    map_samples(m, samples, n);
    if (grid_bits < range_bits(m->codes, n, &base)) map_grid(m, samples, n, n / 64);
    b->packed_bits = range_bits(m->codes, n, &base);
    b->packed_base = base;
    w->cost = (int64_t)n * b->packed_bits * BIT;
    if (w->cost / (8 * BIT) > end - dst) return 0;
    return write_packed(b, m->codes, dst, end);
}

/*
 * Encode the difference to one of the channels before, if what the predictors leave of both is
 * alike. Returns the size, or 0 if that is not smaller than `size`.
 */
static size_t try_reference(workspace *w, int n, size_t plane_size, int channel, size_t size) {
    const int16_t *own = w->residuals + (size_t)channel * plane_size;
    const int16_t *samples = w->planes + (size_t)channel * plane_size;
    double best = 1.0 / 128; /* of the energy; less is not worth the trial */
    model *m = &w->model;
    for (int distance = 1; distance <= channel && distance <= 3; distance++) {
        const int16_t *other = own - (size_t)distance * plane_size;
        int64_t both = 0, others = 0, owns = 0;
        for (int i = 0; i < n; i++) {
            both += own[i] * other[i];
            others += other[i] * other[i];
            owns += own[i] * own[i];
        }
        if (both == 0) continue;
        const double ratio = (double)both / (double)others;
        const double share = ratio * ((double)both / (double)owns);
        const double steps = ratio * 256 + (ratio < 0 ? -0.5 : 0.5);
        const int gain = steps < -1024 ? -1024 : steps > 1023 ? 1023 : (int)steps;
        if (share <= best || gain == 0) continue;
        best = share;
        m->reference = distance;
        m->gain = gain;
    }
    if (m->reference == 0) return 0;
    const int16_t *reference = samples - (size_t)m->reference * plane_size;
    int differs = 0;
    for (int i = 0; i < n; i++) {
        const int32_t predicted = (m->gain * reference[i] + 128) >> 8;
        w->difference[i] = (int16_t)(uint16_t)(samples[i] - predicted);
        differs |= w->difference[i] != w->difference[0];
    }
    uint8_t *const end = trial_end(w, n, size);
    const size_t other = differs
                             ? try_approach(w, w->difference, n, &APPROACHES[0], w->trial, end)
                             : try_packed(w, w->difference, n, w->trial, end);
    m->reference = m->gain = 0;
    return other < size ? other : 0;
}

/* How a block takes least, of what was tried. */
typedef struct {
    size_t size;
    int64_t cost; /* as estimated */
    const approach *how;
    const int16_t *samples;
} choice;

static void keep_trial(workspace *w, size_t size, const approach *how, const int16_t *samples,
                       uint8_t *dst, choice *best) {
    memcpy(dst, w->trial, size);
    w->reference = w->model.block.reference;
    *best = (choice){size, w->cost, how, samples};
}

/*
 * What short blocks would take less, about: each packed, or as the long one, or in a way that suits many.
 */
static int64_t gain_of_short_blocks(workspace *w, int n, const choice *best) {
    const approach *const candidates[] = {best->how, &APPROACHES[0], &APPROACHES[3]};
    const int num_blocks = (n + SHORT_BLOCK - 1) / SHORT_BLOCK;
    const int length = (n + num_blocks - 1) / num_blocks;
    const int64_t coded = (int64_t)best->size * 8 * BIT;
    int64_t gain = best->cost > coded ? best->cost : coded;
    gain += gain / 512; /* in doubt they are tried */
    for (int first = 0; first < n; first += length) {
        const int16_t *const samples = best->samples + first;
        const int count = n - first < length ? n - first : length;
        int16_t base;
        int64_t least = (int64_t)count * range_bits(samples, count, &base) * BIT;
        for (int i = 0; i < 3 && least > 0; i++) {
            if (i > 0 && candidates[i] == best->how) continue;
            const int64_t cost = fit_model(&w->model, samples, count, candidates[i]);
            if (cost < least) least = cost;
        }
        gain -= least;
    }
    return gain;
}

/* Encode one block of a channel of the group; returns the size, or 0 if there is no room. */
static size_t encode_block(workspace *w, int n, size_t plane_size, int channel, uint8_t *dst,
                           uint8_t *end) {
    const int16_t *samples = w->planes + (size_t)channel * plane_size;
    int16_t *residuals = w->residuals + (size_t)channel * plane_size;
    int16_t base;
    w->reference = 0;
    memset(residuals, 0, (size_t)n * sizeof(*residuals));
    if (range_bits(samples, n, &base) == 0) return try_packed(w, samples, n, dst, end);
    const size_t size = try_approach(w, samples, n, &APPROACHES[0], dst, end);
    choice best = {size, w->cost, &APPROACHES[0], samples};
    const model *m = &w->model;
    const int is_grid = m->block.map == MAP_ADC, is_off_grid = m->off_grid > n / 4 * 3;
    for (int i = 0; i < n && !is_grid; i++) residuals[i] = (int16_t)residual_at(m, i, 0);
    const size_t packed_size = (size_t)n * (size_t)range_bits(m->codes, n, &base) / 8;
    const int is_good = size > 0 && size < packed_size && !is_doubtful(m);
    if (channel > 0 && size > 0 && !is_grid && w->model.level->refers) {
        const size_t other = try_reference(w, n, plane_size, channel, size);
        if (other > 0) keep_trial(w, other, &APPROACHES[0], w->difference, dst, &best);
    }
    w->num_doubtful += !is_good;
    w->num_uncertain += is_good || is_grid;
    if (is_good) return best.size;
    const int num_approaches = (int)(sizeof(APPROACHES) / sizeof(*APPROACHES));
    for (int i = 1; i <= num_approaches; i++) {
        const approach *how = &APPROACHES[i < num_approaches ? i : 0];
        if (how->for_grid && is_off_grid) continue;
        uint8_t *const room_end = trial_end(w, n, best.size);
        const size_t other = i < num_approaches
                                 ? try_approach(w, samples, n, how, w->trial, room_end)
                                 : try_packed(w, samples, n, w->trial, room_end);
        if (other == 0 || (best.size > 0 && other >= best.size) || other > (size_t)(end - dst)) continue;
        keep_trial(w, other, how, samples, dst, &best);
    }
    if (!is_grid && n >= 2 * SHORT_BLOCK) w->gain += gain_of_short_blocks(w, n, &best);
    return best.size;
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
    for (size_t i = 0; i < count; i++, src += row)
        for (int c = 0; c < group; c++)
            planes[(size_t)c * plane_size + i] = item == 2 ? (int16_t)(load_u16(src + 2 * c) ^ flip)
                                                           : (int8_t)(uint8_t)(src[c] ^ flip);
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
                const size_t size =
                    encode_block(w, (int)count, (size_t)block_samples, c, p, end);
                if (size == 0) return 0;
                entry->size = (uint32_t)size;
                entry->reference = (uint32_t)w->reference;
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
    /* Symbols and scratch take 4 bytes a sample, trial 3, each of the 16-bit arrays 2. */
    uint8_t *memory =
        malloc(n * (4 + 4 + 3 + 2 * (5 + 2 * group)) + TRIAL_ROOM + 2 * NUM_DISTANCES + WORDS_AHEAD);
    int64_t size = N1_ERROR_MEMORY;
    if (w && memory) {
        model *m = &w->model;
        w->num_doubtful = w->num_uncertain = 0;
        w->gain = 0;
        m->level = &LEVELS[level - 1];
        m->kernels = kernels;
        m->own_widths = widths != NULL;
        m->widths_hash = widths ? checksum32(widths, N1_NUM_CODES, 0) : 0;
        w->symbols = (uint32_t *)(void *)memory;
        m->codes = (int16_t *)(void *)(w->symbols + n);
        m->y = m->codes + n;
        m->centred = m->y + n;
        m->predicted = m->centred + n;
        w->difference = m->predicted + n;
        w->planes = w->difference + n;
        w->residuals = w->planes + group * n;
        w->table = (uint16_t *)(w->residuals + group * n);
        m->reference = m->gain = 0;
        w->scratch = (uint8_t *)(w->table + NUM_DISTANCES);
        w->trial = w->scratch + WORDS_AHEAD + 4 * n;
        size = make_edges(widths ? widths : N1_WIDTHS, m->edges)
                   ? N1_ERROR_ARGUMENT
                   : encode_all(w, src, info, n, entries, dst, dst + dst_size);
        *is_doubtful = w->num_doubtful > 0 && (w->num_uncertain > 0 || w->gain > 0);
    }
    free(memory);
    free(w);
    return size;
}
