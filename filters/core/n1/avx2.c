/* The table of the kernels with AVX2, for machines that turn out to have it; see kernels.h. */
#include "avx2.h"

#if defined(__x86_64__) && defined(__GNUC__)

static const n1_kernels avx2_kernels = {
    .decode_rows = n1_avx2_decode_rows,
    .can_join = n1_avx2_can_join,
    .decode_two = n1_avx2_decode_two,
    .decode_set = n1_avx2_decode_set,
    .adc_encode = n1_avx2_adc_encode,
    .adc_decode = n1_avx2_adc_decode,
    .store_columns = n1_avx2_store_columns,
    .load_columns = n1_avx2_load_columns,
    .store_frames = n1_avx2_store_frames,
    .correlate = n1_avx2_correlate,
    .energy = n1_avx2_energy,
    .filter = n1_avx2_filter,
    .predict = n1_avx2_predict,
    .find_cells = n1_avx2_find_cells,
    .code_steps = n1_avx2_code_steps,
};

const n1_kernels *n1_avx2_kernels(void) {
    return __builtin_cpu_supports("avx2") ? &avx2_kernels : NULL;
}

#else

const n1_kernels *n1_avx2_kernels(void) { return NULL; }

#endif
