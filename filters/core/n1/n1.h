/*
 * n1: lossless codec for neural recordings; the payload is specified in filters/format/n1.md.
 *
 * The way of a sample:
 *
 *     chunk, num_samples x num_channels         one payload; n1.c
 *       cut into blocks: one channel, some time, a model of their own; encode.c
 *         map: 16-bit sample -> code            identity, adc, step or palette; fit.c
 *         [less the echo of another channel]    what a filter finds of it in this one; refer.c
 *         prediction mu of order P              from the codes before it in its lane; model.c
 *         distribution around mu                scale and shape, of the block or of a class of
 *                                               spans in it; residuals.c
 *         symbol: start, frequency              of the code's cell (width kind), or of its
 *                                               residual (integer kind)
 *         rANS, one state for each lane         interleaved, words shared; encode.c
 *       index of all blocks, checksums          index.c
 *
 * and back through index.c, which finds the blocks that a part needs, and decode.c, whose steps are
 * in decoder.h. The samples of a block of 16 lanes, in the order in which they are decoded, a step
 * at a time:
 *
 *              lane 0      lane 1      …   lane 15
 *     step 0   x[0]        x[L]        …   x[15 L]      L: samples of a lane
 *     step 1   x[1]        x[L + 1]    …   x[15 L + 1]  a strip: 64 steps
 *     …                                                 then the tail: the last samples, whose
 *     step L-1 x[L - 1]    x[2 L - 1]  …                bits lie in the lanes' first states
 *
 * Lanes are what vectors hold: all of them are predicted, looked up and renewed at once
 * (avx2_decode.c; portable.c does the same for any machine). Short blocks have fewer lanes, and several
 * of them share vectors (avx2_set.c).
 *
 * Words: a code is a number of the converter, and on the axis of positions, 1/32 of a mean code
 * wide each, its cell reaches from edge to edge; the width kind knows how wide each is. A class has
 * a distribution of its own, and holds for spans of steps; one that `holds` predicts the code
 * before. An escape is a code that is sent as it is. An approach is what the encoder tries.
 *
 * Samples are 8 or 16 bits wide, of shape (num_samples,) or (num_samples, num_channels) in
 * C order. A payload says all of that itself. Encoding and decoding keep no state between
 * calls, so any number of threads may work at once. On every machine and every path the same
 * samples give the same payload, and a payload the same samples.
 *
 * A payload is made of blocks, of one channel and some time each. Where there are several, it says
 * how large each is, so that a part of the samples costs no more than the blocks that it lies in.
 *
 * Buffers belong to the caller. Nothing is read outside `src` or written outside `dst`,
 * whatever bytes a payload holds; working memory is allocated inside a call and freed in it:
 * at most 14 MB to decode, but where blocks have many classes of fine probabilities 4.2 MB more for
 * each of those that are decoded at once, which are 16 at most, and so 81 MB in all; and to encode
 * 10 MB, 16 bytes for each sample of one block of 2^18 samples of 16 channels, and twice the size of
 * the samples.
 */
#ifndef N1STORE_N1_H
#define N1STORE_N1_H

#include <stddef.h>
#include <stdint.h>

#include "../common/errors.h"
#include "../common/export.h"

typedef enum { N1_INT16 = 0, N1_UINT16 = 1, N1_INT8 = 2, N1_UINT8 = 3 } n1_dtype;

/* How the work is done; the results are the same. */
typedef enum { N1_PATH_BEST = 0, N1_PATH_PORTABLE = 1, N1_PATH_AVX2 = 2 } n1_path;

/* What a payload holds. A one-dimensional array has ndim 1 and num_channels 1. */
typedef struct {
    uint32_t version;
    uint32_t dtype; /* n1_dtype */
    uint32_t ndim;  /* 1 or 2 */
    uint32_t block_samples; /* of a channel in a block, but the last; 0: to be read as a whole */
    uint64_t num_samples;
    uint64_t num_channels;
} n1_info;

/* Some of a payload's samples, and how they lie in memory. */
typedef struct {
    uint64_t first_sample, num_samples;
    const uint32_t *channels; /* num_channels numbers in ascending order; NULL for all channels */
    uint64_t num_channels;
    uint64_t row_bytes; /* from a sample to the next one of the same channel */
} n1_part;

/* Bytes begin .. end - 1 of a payload. */
typedef struct {
    uint64_t begin, end;
} n1_range;

enum {
    N1_LEVEL_MIN = 1, /* fast */
    N1_LEVEL_DEFAULT = 2,
    N1_LEVEL_MAX = 3,  /* smallest */
    N1_NUM_CODES = 1024, /* of the N1's converter; a table of code widths has as many */
};

/* One line on an error code, in static memory. */
N1_API const char *n1_strerror(int error);

/* Size in bytes that no payload of samples of this description exceeds; 0 if `info` is not valid. */
N1_API size_t n1_encode_bound(const n1_info *info);

/* N1_OK if these N1_NUM_CODES numbers can be a table of code widths, or N1_ERROR_ARGUMENT. */
N1_API int n1_check_widths(const uint8_t *widths);

/*
 * Encode samples.
 *
 * src     num_samples * num_channels samples in C order, of any alignment
 * info    their description; `version` is not looked at. Blocks have at most block_samples
 *         samples, or where that is 0 as many as suit
 * widths  N1_NUM_CODES code widths in units of 1/32 of the mean width, or NULL for the
 *         built-in table; a payload encoded with a table can only be decoded with it
 * dst     room for dst_size bytes; n1_encode_bound always suffices
 *
 * Returns the payload's size, or a negative n1_error.
 */
N1_API int64_t n1_encode(const void *src, const n1_info *info, int level, const uint8_t *widths,
                         n1_path path, uint8_t *dst, size_t dst_size);

/*
 * Read what a payload holds, from its first bytes (32 always suffice).
 *
 * Returns N1_OK or a negative n1_error. The numbers are those of the payload, not of the
 * machine: compare them with what is expected before allocating.
 */
N1_API int n1_payload_info(const uint8_t *src, size_t src_size, n1_info *info);

/*
 * Decode a whole payload.
 *
 * widths  the table that it was encoded with, or NULL
 * dst     room for dst_size bytes, of any alignment
 *
 * Returns the size of the samples in bytes, or a negative n1_error, after which dst holds
 * anything.
 */
N1_API int64_t n1_decode(const uint8_t *src, size_t src_size, const uint8_t *widths, n1_path path,
                         void *dst, size_t dst_size);

/*
 * Decode a part of a payload, reading and checking the bytes that n1_part_ranges names.
 *
 * src     the payload; bytes that are not in these ranges may be any
 * part    within what n1_payload_info says; N1_ERROR_ARGUMENT otherwise
 * dst     room for dst_size bytes, of any alignment: a channel's sample follows that of the
 *         channel before in part->channels, and the next row is part->row_bytes behind; what
 *         lies between rows is not touched
 *
 * Returns N1_OK or a negative n1_error, after which the part's samples in dst are anything.
 */
N1_API int n1_decode_part(const uint8_t *src, size_t src_size, const uint8_t *widths, n1_path path,
                          const n1_part *part, void *dst, size_t dst_size);

/*
 * The bytes at a payload's beginning that say where its blocks are, from its first 32: these
 * n1_part_ranges needs. 0 if the payload is to be read as a whole; or a negative n1_error.
 */
N1_API int64_t n1_index_size(const uint8_t *src, size_t src_size);

/*
 * Find the bytes of a payload that a part is decoded from, in ascending order, the index included.
 *
 * src     its first bytes, at least n1_index_size of them, which is not 0
 * ranges  room for max_ranges of them; one for each channel and block in time, and one more,
 *         always suffice
 *
 * Returns the number of ranges, or a negative n1_error.
 */
N1_API int64_t n1_part_ranges(const uint8_t *src, size_t src_size, const n1_part *part,
                              n1_range *ranges, size_t max_ranges);

/* What a block is. Kinds and maps are those of filters/format/n1.md, in its numbers. */
typedef struct {
    uint64_t first_sample;
    uint64_t channel;
    uint64_t offset; /* of its first byte in the payload */
    uint32_t num_samples;
    uint32_t size;            /* bytes */
    uint32_t reference;       /* how many channels before its own; 0 for none */
    uint32_t is_read;         /* whether its parameters are such as an encoder writes; else what
                                 follows is 0 */
    uint32_t parameter_bytes; /* of the block's, before the coded samples */
    uint32_t kind, map;
    uint32_t order, num_lanes, num_classes; /* 0 where nothing is predicted */
    uint32_t num_taps; /* of the reference's echo; 0 without one */
} n1_block_info;

/* The number of blocks of a payload, from its first 32 bytes; or a negative n1_error. */
N1_API int64_t n1_num_blocks(const uint8_t *src, size_t src_size);

/*
 * Say what the blocks of a payload are, which it need not have all; that their samples can be
 * decoded, and are right, is another question.
 *
 * blocks  room for num_blocks of them, which are as many as n1_num_blocks says
 *
 * Returns N1_OK, or a negative n1_error if header or index are damaged.
 */
N1_API int n1_inspect(const uint8_t *src, size_t src_size, n1_block_info *blocks, size_t num_blocks);

#endif
