#include "range_coder.h"

/* The last digits are as few as keep the number in the interval, whatever follows them. */
static int range_last_digits(uint64_t range) { return range >> 33 != 0 ? 1 : 2; }

uint8_t *finish_range(range_encoder *e) {
    const int digits = range_last_digits(e->range);
    e->low += digits == 1 ? 0xFFFFFFFF : 0xFFFF;
    for (int i = 0; i < digits; i++) range_put_digit(e);
    return e->next;
}

range_decoder decode_range_from(const uint8_t *src, const uint8_t *end) {
    range_decoder d = {.range = 1ull << 48, .next = src, .end = end};
    for (int i = 0; i < 3; i++) d.code = d.code << 16 | range_get_digit(&d);
    return d;
}

const uint8_t *finish_range_reading(range_decoder *d) {
    const int ahead = 3 - range_last_digits(d->range);
    if (d->num_missing > ahead) d->overrun = 1;
    return d->overrun ? d->end : d->next - 2 * (ahead - d->num_missing);
}

void start_bits(adaptive_bit *bits, size_t count) {
    for (size_t i = 0; i < count; i++) bits[i] = (adaptive_bit){.one = 1 << 15};
}

void range_put_bits(range_encoder *e, adaptive_bit *bits, uint32_t number, int num_bits) {
    uint32_t known = 1;
    for (int i = num_bits - 1; i >= 0; i--) {
        const int bit = number >> i & 1;
        range_put_bit(e, &bits[known], bit);
        known = known << 1 | (uint32_t)bit;
    }
}

uint32_t range_get_bits(range_decoder *d, adaptive_bit *bits, int num_bits) {
    uint32_t known = 1;
    for (int i = 0; i < num_bits; i++)
        known = known << 1 | (uint32_t)range_get_bit(d, &bits[known]);
    return known - (1u << num_bits);
}
