#include "adc_loops.h"

void n1_adc_encode(const int16_t *src, int16_t *dst, size_t count) {
    adc_encode_loop(src, dst, count);
}

void n1_adc_decode(const int16_t *src, int16_t *dst, size_t count) {
    adc_decode_loop(src, dst, count);
}
