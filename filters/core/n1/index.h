/* What a payload says before its blocks, and which of these a part of its samples needs. */
#ifndef N1STORE_N1_INDEX_H
#define N1STORE_N1_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "../common/bytes.h"
#include "../common/xxh64.h"
#include "n1.h"

enum {
    /* Channels that are worked on together, and among which a block may refer to another. */
    GROUP_CHANNELS = 16,
    REFERENCE_BITS = 4,
};

/* Places and bits in the header. */
enum { N1_VERSION = 2, TWO_DIMENSIONS = 4, END_REPEATS = 8 };
enum { TYPE_AT = 2, CHECKSUM_AT = 3, SEALED_AT = 7, MAX_VARINT = 5 };

/* What the index says of a block. */
typedef struct {
    uint32_t size;      /* bytes */
    uint32_t reference; /* how many channels before its own, 0 for none */
    uint32_t checksum;
} block_entry;

/*
 * Blocks follow each other in time, and at the same time by channel. Of the only block of a payload
 * there is no entry: its checksum is the payload's, and of more than its bytes.
 */
typedef struct {
    uint64_t num_channels;
    uint64_t num_samples;   /* of a channel, in all its blocks */
    uint64_t block_samples; /* in each but the last one */
    const uint8_t *entries; /* NULL if there is one block */
    int number_bytes;       /* of an entry, for size and reference; its checksum follows */
    const uint8_t *blocks, *end;
    block_entry only;
    const uint8_t *only_from; /* the checksum of the only block is of the bytes from here on */
    uint32_t only_seed;
} block_layout;

/* What a payload's first bytes say. */
typedef struct {
    n1_info info;
    uint64_t num_blocks;  /* of a channel; 0 if the samples follow as they are */
    uint64_t num_entries; /* of the index; 0 if there is none */
    uint64_t repeated;    /* rows at the end that are as the last one before them */
    block_layout layout;  /* of the rows before those */
} payload_head;

/* The blocks of neighbouring channels at one time, as far as a part needs them. */
typedef struct {
    uint64_t first_sample; /* of the blocks */
    size_t num_samples;
    uint64_t begin, end; /* samples, counted from the payload's first, that the part has of them */
    int num_channels;
    uint64_t offset[GROUP_CHANNELS]; /* of each block behind the first one */
    block_entry entries[GROUP_CHANNELS];
    uint8_t is_needed[GROUP_CHANNELS]; /* for the part, or as a reference */
    int num_wanted;
    uint8_t wanted[GROUP_CHANNELS]; /* channels of the part, counted from the group's first */
    uint64_t column;                /* of the first of these in the part */
} block_group;

/* How far a part has been gone through; all zeros but for the first two at the beginning. */
typedef struct {
    const block_layout *layout;
    const n1_part *part;
    uint64_t first_sample, channel, entry, offset, column;
} block_walk;

static inline size_t n1_item_size(const n1_info *info) {
    return info->dtype == N1_INT8 || info->dtype == N1_UINT8 ? 1 : 2;
}

static inline size_t n1_num_bytes(const n1_info *info) {
    return (size_t)(info->num_samples * info->num_channels) * n1_item_size(info);
}

/* Whether there can be such samples. */
int n1_is_valid(const n1_info *info);

/* The number of blocks that samples are cut into. */
static inline uint64_t blocks_of(uint64_t num_samples, uint64_t block_samples) {
    return (num_samples + block_samples - 1) / block_samples;
}

/*
 * Read what is before the index's entries, or the blocks if there is no index, from the bytes before
 * `end`; 32 are enough. Returns N1_OK or a negative n1_error.
 */
int read_head(const uint8_t *src, const uint8_t *end, payload_head *head);

/* The bytes of the index's entries. */
uint64_t index_size(const payload_head *head);

/*
 * Take the index, if there is one, and check it; what is behind it need not be there. `payload` is
 * what read_head was given. Returns N1_OK or N1_ERROR_CORRUPT.
 */
int read_index(const uint8_t *payload, payload_head *head);

/* What all blocks take together, once the index is read. */
uint64_t sum_of_sizes(const payload_head *head);

/* Of an entry whose size and reference take so many bytes: small blocks have small checksums. */
static inline int entry_checksum_bytes(int number_bytes) { return number_bytes < 3 ? 3 : 4; }

static inline size_t entry_bytes(const block_layout *layout) {
    return (size_t)(layout->number_bytes + entry_checksum_bytes(layout->number_bytes));
}

/* A checksum as an entry holds it. */
static inline uint32_t kept_checksum(uint32_t checksum, int number_bytes) {
    return entry_checksum_bytes(number_bytes) == 3 ? checksum & 0xFFFFFF : checksum;
}

block_entry entry_at(const block_layout *layout, uint64_t number);

/*
 * Go on to the next group of which the part has samples; it has some. Returns 1, 0 if there is no
 * other group, or N1_ERROR_CORRUPT if a block refers to one outside its group.
 */
int next_group(block_walk *walk, block_group *group);

/* The checksum of a block's samples, signed 16-bit numbers, which are afterwards as before. */
static inline uint32_t samples_checksum(int16_t *samples, size_t num_samples) {
    as_little_endian(samples, num_samples);
    const uint32_t checksum = checksum32(samples, num_samples * sizeof(*samples), 0);
    as_little_endian(samples, num_samples);
    return checksum;
}

/* The same with the bytes that they are coded in, none of which can change unnoticed then. */
static inline uint32_t block_checksum(uint32_t samples, const uint8_t *bytes, const uint8_t *end,
                                      uint32_t seed) {
    return checksum32(bytes, (size_t)(end - bytes), (uint64_t)samples << 32 | seed);
}

/* In fuzzing builds no checksum counts, as nearly no other payload would get beyond them. */
static inline int is_checksum(uint32_t found, uint32_t expected) {
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    (void)found, (void)expected;
    return 1;
#else
    return found == expected;
#endif
}

#endif
