/*
 * HDF5 filter 52787: WavPack, by the system's libwavpack.
 *
 * The stream is the one that the Python package wavpack-numcodecs writes. libwavpack passes over
 * what is damaged, so that a stream is checked block by block before it is decoded.
 */
#include <wavpack/wavpack.h>

#include "../core/common/bytes.h"
#include "plugin.h"

enum { LEVELS = 4, MIN_SAMPLES = 16, MAX_BLOCK_SAMPLES = 120000 };

/* Values that pass through libwavpack's int32 at a time, and the least number of frames. */
enum { SLICE_VALUES = 1 << 16, SLICE_FRAMES = 256 };

/* The most that libwavpack reads, so that a few bytes cannot claim more. */
enum { MAX_CLAIMED_SAMPLES = 3 << 16 };

static size_t slice_frames(uint64_t num_channels) {
    return SLICE_FRAMES + SLICE_VALUES / (size_t)num_channels;
}

static int keep_block(void *stream, void *block, int32_t size) {
    buffer *to = stream;
    return put(to, to->size, block, (size_t)size);
}

static int pack(WavpackContext *context, const uint8_t *samples, const n1_info *chunk, int level) {
    static const int FLAGS_OF_LEVEL[LEVELS] = {
        CONFIG_FAST_FLAG, 0, CONFIG_HIGH_FLAG, CONFIG_HIGH_FLAG | CONFIG_VERY_HIGH_FLAG};
    const size_t item = item_size(chunk->dtype), channels = (size_t)chunk->num_channels;
    WavpackConfig config = {
        .bits_per_sample = (int)(8 * item),
        .bytes_per_sample = (int)item,
        .flags = CONFIG_PAIR_UNDEF_CHANS | FLAGS_OF_LEVEL[level - 1],
        .num_channels = (int)channels,
        .block_samples = (int32_t)chunk->num_samples,
        .sample_rate = 32000, /* not known here, and not used */
    };
    while (config.block_samples > MAX_BLOCK_SAMPLES) {
        config.block_samples = (config.block_samples + 1) / 2;
    }
    if (!WavpackSetConfiguration(context, &config, (uint32_t)chunk->num_samples)) return 0;
    if (!WavpackPackInit(context)) return 0;
    const size_t frames = slice_frames(channels);
    int32_t *slice = malloc(frames * channels * sizeof(int32_t));
    int done = slice != NULL;
    for (size_t left = (size_t)chunk->num_samples; done && left > 0;) {
        const size_t now = left < frames ? left : frames;
        for (size_t i = 0; i < now * channels; i++, samples += item) {
            slice[i] = item == 1 ? (int8_t)*samples : (int16_t)load_u16(samples);
        }
        done = WavpackPackSamples(context, slice, (uint32_t)now);
        left -= now;
    }
    free(slice);
    return done && WavpackFlushSamples(context);
}

static buffer encode(const uint8_t *samples, size_t size, size_t cd_nelmts,
                     const unsigned cd_values[]) {
    n1_info chunk;
    if (cd_nelmts != CD_SHARED || !describe(cd_values, size, &chunk)) return FAILURE;
    const unsigned level = cd_values[CD_LEVEL];
    if (level < 1 || level > LEVELS) return FAILURE;
    if (chunk.dtype != N1_INT16 && chunk.dtype != N1_INT8) return FAILURE;
    /* The stream does not keep the shape, so that these can be one sequence. */
    if (chunk.num_channels > WAVPACK_MAX_CHANS || chunk.num_samples < MIN_SAMPLES) {
        chunk.num_samples *= chunk.num_channels;
        chunk.num_channels = 1;
    }
    if (chunk.num_samples < MIN_SAMPLES || chunk.num_samples > INT32_MAX) return FAILURE;
    buffer stream = FAILURE;
    WavpackContext *context = WavpackOpenFileOutput(keep_block, &stream, NULL);
    if (context == NULL) return FAILURE;
    const int done = pack(context, samples, &chunk, (int)level);
    WavpackCloseFile(context);
    return done ? stream : fail(stream);
}

/*
 * Says what a stream holds, or returns 0 if it is not a sequence of undamaged blocks, which
 * follow each other in time and have all channels at each time.
 */
static int check_blocks(uint8_t *stream, size_t size, n1_info *chunk) {
    WavpackHeader first = {0}, header;
    int64_t index = 0;
    uint32_t channels = 0, num_channels = 0, block_samples = 0;
    for (size_t at = 0; at < size; at += (size_t)header.ckSize + 8) {
        if (size - at < sizeof(header)) return 0;
        memcpy(&header, stream + at, sizeof(header));
        if (memcmp(header.ckID, "wvpk", 4) != 0) return 0;
        if (header.ckSize < sizeof(header) - 8 || header.ckSize > size - at - 8) return 0;
        if (!(header.flags & HAS_CHECKSUM)) return 0;
        if (!WavpackVerifySingleBlock(stream + at, 1)) return 0;
        if (at == 0) first = header;
        if ((header.flags ^ first.flags) & BYTES_STORED) return 0;
        /* Blocks of the same time: the first of them, and those of the other channels. */
        if (((header.flags & INITIAL_BLOCK) != 0) != (channels == 0)) return 0;
        if (channels == 0) block_samples = header.block_samples;
        if (header.block_samples != block_samples || GET_BLOCK_INDEX(header) != index) return 0;
        if (block_samples == 0 || block_samples > MAX_CLAIMED_SAMPLES) return 0;
        channels += header.flags & MONO_FLAG ? 1 : 2;
        if (header.flags & FINAL_BLOCK) {
            if (num_channels == 0) num_channels = channels;
            if (channels != num_channels) return 0;
            index += block_samples;
            channels = 0;
        }
    }
    if (index == 0 || channels != 0 || GET_TOTAL_SAMPLES(first) != index) return 0;
    const unsigned bytes = (first.flags & BYTES_STORED) + 1;
    if (bytes > 2 || (first.flags & (FLOAT_DATA | DSD_FLAG))) return 0;
    *chunk = (n1_info){.dtype = bytes == 1 ? N1_INT8 : N1_INT16,
                       .num_samples = (uint64_t)index,
                       .num_channels = num_channels};
    return 1;
}

typedef struct {
    const uint8_t *start, *next, *end;
} source;

static int32_t read_bytes(void *id, void *to, int32_t size) {
    source *from = id;
    if (size > from->end - from->next) size = (int32_t)(from->end - from->next);
    memcpy(to, from->next, (size_t)size);
    from->next += size;
    return size;
}

static int64_t get_position(void *id) {
    const source *from = id;
    return from->next - from->start;
}

static int push_back(void *id, int byte) {
    ((source *)id)->next--; /* it is the byte that was read last */
    return byte;
}

static int64_t get_length(void *id) {
    const source *from = id;
    return from->end - from->start;
}

static int cannot_seek(void *id) {
    (void)id;
    return 0;
}

static int unpack(WavpackContext *context, const n1_info *chunk, uint8_t *samples) {
    const size_t item = item_size(chunk->dtype), channels = (size_t)chunk->num_channels;
    if (WavpackGetNumChannels(context) != (int)channels) return 0;
    if (WavpackGetNumSamples64(context) != (int64_t)chunk->num_samples) return 0;
    const size_t frames = slice_frames(channels);
    int32_t *slice = malloc(frames * channels * sizeof(int32_t));
    const int32_t limit = 1 << (8 * item - 1);
    int done = slice != NULL;
    for (size_t left = (size_t)chunk->num_samples; done && left > 0;) {
        const size_t now = left < frames ? left : frames;
        done = WavpackUnpackSamples(context, slice, (uint32_t)now) == now &&
               WavpackGetNumErrors(context) == 0;
        for (size_t i = 0; done && i < now * channels; i++, samples += item) {
            done = slice[i] >= -limit && slice[i] < limit;
            if (item == 1) *samples = (uint8_t)slice[i];
            else store_u16(samples, (uint16_t)slice[i]);
        }
        left -= now;
    }
    free(slice);
    return done;
}

static buffer decode(const uint8_t *stream, size_t size, size_t cd_nelmts,
                     const unsigned cd_values[]) {
    (void)cd_nelmts, (void)cd_values;
    n1_info chunk;
    /* libwavpack's check takes a block that is not const, but leaves it alone. */
    if (!check_blocks((uint8_t *)(uintptr_t)stream, size, &chunk)) return FAILURE;
    const buffer samples =
        allocate((size_t)(chunk.num_samples * chunk.num_channels) * item_size(chunk.dtype));
    if (samples.data == NULL) return FAILURE;
    WavpackStreamReader64 reader = {
        .read_bytes = read_bytes,
        .get_pos = get_position,
        .push_back_byte = push_back,
        .get_length = get_length,
        .can_seek = cannot_seek,
    };
    source from = {stream, stream, stream + size};
    char message[80];
    WavpackContext *context = WavpackOpenFileInputEx64(&reader, &from, NULL, message, 0, 0);
    if (context == NULL) return fail(samples);
    const int done = unpack(context, &chunk, samples.data);
    WavpackCloseFile(context);
    return done ? samples : fail(samples);
}

PLUGIN(52787, "wavpack (n1store)")
