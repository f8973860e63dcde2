/* HDF5 filter 52786: the permutation adc, which stands in front of another filter. */
#include "../core/common/adc.h"
#include "plugin.h"

static buffer map(void (*function)(const int16_t *, int16_t *, size_t), const uint8_t *values,
                  size_t size) {
    if (size % sizeof(int16_t) != 0) return FAILURE;
    const buffer result = allocate(size);
    /* Both are of malloc, hence aligned. */
    if (result.data != NULL) {
        function((const int16_t *)(const void *)values, (int16_t *)(void *)result.data,
                 size / sizeof(int16_t));
    }
    return result;
}

static buffer encode(const uint8_t *samples, size_t size, size_t cd_nelmts,
                     const unsigned cd_values[]) {
    (void)cd_nelmts, (void)cd_values;
    return map(n1_adc_encode, samples, size);
}

static buffer decode(const uint8_t *codes, size_t size, size_t cd_nelmts,
                     const unsigned cd_values[]) {
    (void)cd_nelmts, (void)cd_values;
    return map(n1_adc_decode, codes, size);
}

PLUGIN(52786, "adc (n1store)")
