#include "block.h"

#include <stdlib.h>

#include "widths.h"

/* Angles 1-4, 5-12 and 13-32 are coded with a Rice parameter for each group. */
static const int GROUP_END[3] = {4, 12, MAX_ORDER};

int32_t prior_angle(int m, int fineness) {
    const int unit = angle_unit(fineness);
    const int32_t mean = N1_REFLECTIONS[m];
    return mean < 0 ? -((-mean + unit / 2) / unit) : (mean + unit / 2) / unit;
}

int32_t block_angle(const block *b, int m) {
    const int32_t prior = b->use_prior ? prior_angle(m, b->fineness) : 0;
    return (b->angles[m] + prior) * angle_unit(b->fineness);
}

/* The Rice parameter of so many bits that makes these numbers shortest, and their bits with it. */
static int best_rice(const uint32_t *values, int count, int parameter_bits, uint64_t *num_bits) {
    int best = 0;
    *num_bits = UINT64_MAX;
    for (int parameter = 0; parameter < 1 << parameter_bits; parameter++) {
        uint64_t size = 0;
        for (int i = 0; i < count; i++) size += (values[i] >> parameter) + 1 + (uint32_t)parameter;
        if (size < *num_bits) *num_bits = size, best = parameter;
    }
    return best;
}

static void put_rice_codes(bit_writer *w, const uint32_t *values, int count, int parameter_bits) {
    uint64_t num_bits;
    const int parameter = best_rice(values, count, parameter_bits, &num_bits);
    put_bits(w, (uint32_t)parameter, parameter_bits);
    for (int i = 0; i < count; i++) put_rice(w, values[i], parameter);
}

static void write_map(bit_writer *w, const block *b) {
    if (b->map == MAP_STEP) {
        put_bits(w, b->step, 16);
        put_bits(w, b->offset, 16);
    } else if (b->map == MAP_PALETTE) {
        uint32_t gaps[MAX_PALETTE], smallest = UINT32_MAX;
        const int num_gaps = b->palette_size - 1;
        for (int i = 0; i < num_gaps; i++) {
            gaps[i] = (uint32_t)(b->palette[i + 1] - b->palette[i]);
            if (gaps[i] < smallest) smallest = gaps[i];
        }
        for (int i = 0; i < num_gaps; i++) gaps[i] -= smallest;
        put_gamma(w, (uint32_t)b->palette_size - 2);
        put_bits(w, (uint16_t)b->palette[0], 16);
        put_gamma(w, smallest - 1);
        put_rice_codes(w, gaps, num_gaps, 4);
    }
}

int angle_bits(const block *b) {
    uint64_t total = 6 + 3;
    uint32_t folded[MAX_ORDER];
    for (int m = 0; m < b->order; m++) folded[m] = fold_sign(b->angles[m]);
    for (int group = 0, m = 0; m < b->order; group++) {
        const int end = b->order < GROUP_END[group] ? b->order : GROUP_END[group];
        uint64_t num_bits;
        best_rice(folded + m, end - m, 4, &num_bits);
        total += 4 + num_bits;
        m = end;
    }
    return (int)total;
}

static void write_angles(bit_writer *w, const block *b) {
    put_bits(w, (uint32_t)b->order, 6);
    if (b->order == 0) return;
    put_bits(w, (uint32_t)b->fineness, 2);
    put_bits(w, (uint32_t)b->use_prior, 1);
    uint32_t folded[MAX_ORDER];
    for (int m = 0; m < b->order; m++) folded[m] = fold_sign(b->angles[m]);
    for (int group = 0, m = 0; m < b->order; group++) {
        const int end = b->order < GROUP_END[group] ? b->order : GROUP_END[group];
        put_rice_codes(w, folded + m, end - m, 4);
        m = end;
    }
}

static void write_classes(bit_writer *w, const block *b) {
    put_bits(w, (uint32_t)b->num_classes - 1, 4);
    for (int i = 0; i < b->num_classes; i++) {
        put_bits(w, (uint32_t)b->classes[i].scale, 8);
        put_bits(w, (uint32_t)b->classes[i].shape, 2);
        put_bits(w, (uint32_t)b->classes[i].hold, 1);
        if (b->kind == KIND_INTEGER) put_bits(w, (uint32_t)b->classes[i].low_bits, 5);
    }
    if (b->num_classes == 1) return;
    put_bits(w, (uint32_t)b->log2_span - 5, 3);
    const uint8_t *number = b->class_of_span;
    for (int lane = 0; lane < num_lanes(b); lane++) {
        for (int span = 0, previous = 0; span < num_spans(b); span++, number++) {
            put_gamma(w, fold_sign(*number - previous));
            previous = *number;
        }
    }
}

static int gamma_bits(uint32_t value) { return 2 * floor_log2(value + 1) + 1; }

int tap_bits(const echo_taps *taps) {
    uint32_t folded[MAX_TAPS];
    uint64_t num_bits;
    for (int i = 0; i < taps->count; i++) folded[i] = fold_sign(taps->taps[i]);
    best_rice(folded, taps->count, 3, &num_bits);
    return gamma_bits((uint32_t)taps->count - 1) + gamma_bits(fold_sign(taps->first)) + 4 + 3 + (int)num_bits;
}

static void write_taps(bit_writer *w, const echo_taps *taps) {
    uint32_t folded[MAX_TAPS];
    for (int i = 0; i < taps->count; i++) folded[i] = fold_sign(taps->taps[i]);
    put_gamma(w, (uint32_t)taps->count - 1);
    put_gamma(w, fold_sign(taps->first));
    put_bits(w, (uint32_t)taps->shift, 4);
    put_rice_codes(w, folded, taps->count, 3);
}

void write_block(bit_writer *w, const block *b) {
    put_bits(w, (uint32_t)b->kind, 2);
    put_bits(w, (uint32_t)b->map, 2);
    put_bits(w, (uint32_t)b->log2_lanes, 3);
    put_bits(w, 0, 1);
    if (b->reference > 0) write_taps(w, &b->taps);
    write_map(w, b);
    if (b->kind == KIND_PACKED) {
        put_bits(w, (uint32_t)b->packed_bits, 5);
        put_bits(w, (uint16_t)b->packed_base, 16);
        return;
    }
    put_bits(w, (uint32_t)b->tail, 8);
    write_angles(w, b);
    put_gamma(w, fold_sign(b->mean));
    write_classes(w, b);
    put_bits(w, (uint32_t)b->log2_escape, 4);
    if (b->kind == KIND_INTEGER) {
        put_bits(w, (uint32_t)b->differences, 2);
        put_bits(w, b->histogram_size > 0, 1);
        if (b->histogram_size > 0) {
            uint32_t frequencies[256];
            for (int i = 0; i < b->histogram_size; i++) frequencies[i] = b->histogram[i];
            put_gamma(w, fold_sign(b->histogram_first));
            put_gamma(w, (uint32_t)b->histogram_size - 1);
            put_rice_codes(w, frequencies, b->histogram_size, 4);
        }
    } else {
        put_bits(w, (uint32_t)b->precision - 12, 3);
        put_bits(w, (uint32_t)(b->lowest + HALF_CODES) / 16, 6);
        put_bits(w, (uint32_t)(b->highest + HALF_CODES) / 16, 6);
        put_bits(w, b->escape_bits == 16, 1);
        put_bits(w, (uint32_t)b->own_widths, 1);
        if (b->own_widths) put_bits(w, b->widths_hash, 32);
    }
}

static int read_taps(bit_reader *r, echo_taps *taps) {
    const uint32_t more = get_gamma(r);
    const int32_t first = unfold_sign(get_gamma(r));
    if (first < FIRST_LAG || first >= END_LAG || more >= (uint32_t)(END_LAG - first)) return -1;
    taps->count = (int)more + 1;
    taps->first = first;
    taps->shift = (int)get_bits(r, 4);
    const int parameter = (int)get_bits(r, 3);
    int64_t sum = 0;
    for (int i = 0; i < taps->count; i++) {
        const int32_t tap = unfold_sign(get_rice(r, parameter));
        sum += llabs(tap);
        if (sum > MAX_TAP_SUM) return -1;
        taps->taps[i] = (int16_t)tap;
    }
    return 0;
}

static int read_map(bit_reader *r, block *b) {
    if (b->map == MAP_STEP) {
        b->step = get_bits(r, 16);
        b->offset = get_bits(r, 16);
        return b->step == 0 ? -1 : 0;
    }
    if (b->map == MAP_PALETTE) {
        b->palette_size = (int)get_gamma(r) + 2;
        if (b->palette_size > MAX_PALETTE) return -1;
        int64_t value = (int16_t)get_bits(r, 16);
        const uint32_t smallest = get_gamma(r) + 1;
        const int parameter = (int)get_bits(r, 4);
        b->palette[0] = (int16_t)value;
        for (int i = 1; i < b->palette_size; i++) {
            value += (int64_t)smallest + get_rice(r, parameter);
            if (value > 32767) return -1;
            b->palette[i] = (int16_t)value;
        }
    }
    return 0;
}

static int read_angles(bit_reader *r, block *b) {
    b->order = (int)get_bits(r, 6);
    b->fineness = b->use_prior = 0;
    if (b->order > MAX_ORDER) return -1;
    if (b->order == 0) return 0;
    b->fineness = (int)get_bits(r, 2);
    b->use_prior = (int)get_bits(r, 1);
    for (int group = 0, m = 0; m < b->order; group++) {
        const int parameter = (int)get_bits(r, 4);
        for (; m < b->order && m < GROUP_END[group]; m++) {
            b->angles[m] = unfold_sign(get_rice(r, parameter));
            if (abs(b->angles[m]) > 2 * MAX_ANGLE) return -1;
        }
    }
    return 0;
}

static int read_classes(bit_reader *r, block *b, uint8_t *class_of_span, int max_spans) {
    b->num_classes = (int)get_bits(r, 4) + 1;
    for (int i = 0; i < b->num_classes; i++) {
        b->classes[i].scale = (int)get_bits(r, 8);
        b->classes[i].shape = (int)get_bits(r, 2);
        b->classes[i].hold = (int)get_bits(r, 1);
        b->classes[i].low_bits = b->kind == KIND_INTEGER ? (int)get_bits(r, 5) : 0;
        if (b->classes[i].low_bits > 16) return -1;
    }
    b->class_of_span = NULL;
    b->log2_span = 0;
    if (b->num_classes == 1) return 0;
    b->log2_span = (int)get_bits(r, 3) + 5;
    const int spans = num_lanes(b) * num_spans(b);
    if (spans > max_spans) return -1;
    b->class_of_span = class_of_span;
    for (int lane = 0; lane < num_lanes(b); lane++) {
        int64_t number = 0;
        for (int span = 0; span < num_spans(b); span++) {
            number += unfold_sign(get_gamma(r));
            if (number < 0 || number >= b->num_classes) return -1;
            *class_of_span++ = (uint8_t)number;
        }
    }
    return 0;
}

static int read_histogram(bit_reader *r, block *b) {
    b->histogram_size = 0;
    if (!get_bits(r, 1)) return 0;
    b->histogram_first = unfold_sign(get_gamma(r));
    b->histogram_size = (int)get_gamma(r) + 1;
    if (b->num_classes != 1 || b->histogram_first < -128 || b->histogram_size > 256 ||
        b->histogram_first + b->histogram_size > 128)
        return -1;
    const int parameter = (int)get_bits(r, 4);
    uint64_t sum = 0;
    for (int i = 0; i < b->histogram_size; i++) {
        const uint32_t frequency = get_rice(r, parameter);
        sum += frequency;
        b->histogram[i] = (uint16_t)frequency;
    }
    return sum == symbol_slots(b) ? 0 : -1;
}

int read_block(bit_reader *r, block *b, uint8_t *class_of_span, int max_spans) {
    const uint32_t kind = get_bits(r, 2);
    if (kind > KIND_WIDTH) return -1;
    b->kind = (block_kind)kind;
    b->map = (code_map)get_bits(r, 2);
    b->log2_lanes = (int)get_bits(r, 3);
    if (get_bits(r, 1)) return -1;
    b->taps.count = 0;
    if (b->reference > 0 && read_taps(r, &b->taps)) return -1;
    b->tail = 0;
    if (num_lanes(b) > MAX_LANES || num_lanes(b) > b->num_samples || read_map(r, b)) return -1;
    if (b->kind == KIND_PACKED) {
        b->packed_bits = (int)get_bits(r, 5);
        b->packed_base = (int16_t)get_bits(r, 16);
        return b->packed_bits > 16 || b->log2_lanes > 0 || r->overrun ? -1 : 0;
    }
    b->tail = (int)get_bits(r, 8);
    if (b->tail > 0 && (b->log2_lanes == 0 || b->num_samples - b->tail < num_lanes(b))) return -1;
    if (read_angles(r, b)) return -1;
    b->mean = unfold_sign(get_gamma(r));
    if (read_classes(r, b, class_of_span, max_spans)) return -1;
    b->log2_escape = (int)get_bits(r, 4);
    if (b->log2_escape > MAX_LOG2_ESCAPE) return -1;
    if (b->kind == KIND_INTEGER) {
        b->precision = 12;
        b->escape_bits = 16;
        b->differences = (int)get_bits(r, 2);
        if (read_histogram(r, b) || abs(b->mean) > 32768) return -1;
    } else {
        b->precision = (int)get_bits(r, 3) + 12;
        b->lowest = (int)get_bits(r, 6) * 16 - HALF_CODES;
        b->highest = (int)get_bits(r, 6) * 16 - HALF_CODES + 15;
        b->escape_bits = get_bits(r, 1) ? 16 : 10;
        b->own_widths = (int)get_bits(r, 1);
        b->widths_hash = b->own_widths ? get_bits(r, 32) : 0;
        if (b->map != MAP_ADC || b->precision > 16 || b->lowest > b->highest) return -1;
        if (b->mean < -HALF_CODES || b->mean >= HALF_CODES) return -1;
    }
    return r->overrun ? -1 : 0;
}
