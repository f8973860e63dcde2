/* What n1.c, which knows the payload's outside, asks of the encoder and the decoder of blocks. */
#ifndef N1STORE_N1_CODEC_H
#define N1STORE_N1_CODEC_H

#include "n1.h"
#include "index.h"
#include "kernels.h"

enum { SHORT_BLOCK = 4096 }; /* samples, where long blocks suit badly */

/* What turns a sample of a dtype, taken as bits, into a signed one by exclusive or. */
static inline uint16_t n1_sign_flip(const n1_info *info) {
    return info->dtype == N1_UINT16 ? 0x8000 : info->dtype == N1_UINT8 ? 0x80 : 0;
}

/*
 * Decode the blocks that a part of the layout's samples lies in, and check them. `info` says the
 * dtype. Returns N1_OK or a negative n1_error.
 */
int n1_decode_blocks(const block_layout *layout, const n1_info *info, const n1_part *part,
                     const uint8_t *widths, const n1_kernels *kernels, uint8_t *dst);

/* The least number of blocks a channel that so many samples can be cut into. */
uint64_t n1_least_blocks(uint64_t num_samples);

/*
 * Encode samples as so many blocks a channel into dst, and say of each what the index does.
 *
 * entries  room for num_blocks * num_channels; checksums are those of samples alone
 *
 * Returns the blocks' size, 0 if there is not room enough in dst_size bytes, or a negative
 * n1_error. *is_doubtful says whether blocks of SHORT_BLOCK samples may suit better.
 */
int64_t n1_encode_blocks(const void *src, const n1_info *info, int level, const uint8_t *widths,
                         const n1_kernels *kernels, uint64_t num_blocks, block_entry *entries,
                         int *is_doubtful, uint8_t *dst, size_t dst_size);

#endif
