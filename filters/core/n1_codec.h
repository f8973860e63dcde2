/* What n1.c, which knows the payload's header, asks of the encoder and the decoder of blocks. */
#ifndef N1STORE_N1_CODEC_H
#define N1STORE_N1_CODEC_H

#include "n1.h"
#include "n1_kernels.h"

enum {
    /* Channels that are worked on together, and among which a block may refer to another. */
    GROUP_CHANNELS = 16,
    SHORT_BLOCK = 4096, /* samples, where long blocks suit badly */
};

static inline size_t n1_item_size(const n1_info *info) {
    return info->dtype == N1_INT8 || info->dtype == N1_UINT8 ? 1 : 2;
}

/* What turns a sample of a dtype, taken as bits, into a signed one by exclusive or. */
static inline uint16_t n1_sign_flip(const n1_info *info) {
    return info->dtype == N1_UINT16 ? 0x8000 : info->dtype == N1_UINT8 ? 0x80 : 0;
}

/*
 * Decode num_blocks blocks a channel from src to end, all of it, into dst, which has room for
 * the samples that `info` describes. Returns N1_OK or a negative n1_error.
 */
int n1_decode_blocks(const uint8_t *src, const uint8_t *end, const n1_info *info,
                     uint64_t num_blocks, const uint8_t *widths, const n1_kernels *kernels, void *dst);

/* The least number of blocks a channel that so many samples can be cut into. */
uint64_t n1_least_blocks(uint64_t num_samples);

/*
 * Encode samples as so many blocks a channel into dst. Returns the size, 0 if there is not room
 * enough in dst_size bytes, or a negative n1_error. *is_doubtful says whether blocks of
 * SHORT_BLOCK samples may suit better.
 */
int64_t n1_encode_blocks(const void *src, const n1_info *info, int level, const uint8_t *widths,
                         const n1_kernels *kernels, uint64_t num_blocks, int *is_doubtful,
                         uint8_t *dst, size_t dst_size);

#endif
