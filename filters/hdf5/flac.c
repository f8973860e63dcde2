/* HDF5 filter 52788: FLAC of any number of channels, by the system's libFLAC. */
#include <FLAC/stream_decoder.h>
#include <FLAC/stream_encoder.h>

#include "../core/common/bytes.h"
#include "plugin.h"

enum { LEVEL_MAX = 8, VERSION = 1, MAX_CHANNELS = FLAC__MAX_CHANNELS };

/* Frames that pass through libFLAC's int32 at a time. */
enum { SLICE_FRAMES = 4096 };

/* A stream begins with "fLaC" and the metadata block STREAMINFO, at whose end is the MD5 sum. */
static const uint8_t STREAM_START[8] = {'f', 'L', 'a', 'C', 0x80, 0, 0, 34};
enum { METADATA = 4, LAST_METADATA = 0x80, MD5 = 26, STREAMINFO_END = 42 };

/* More than a frame of constant samples can hold: 8 channels of 65,535 in 26 bytes. */
static const uint64_t MAX_SAMPLES_PER_BYTE = 1u << 15;

/* Magic, dtype and version, two varints, CRC-32. */
enum { HEAD_MAX = 2 + 1 + 10 + 10 + 4 };

static uint32_t crc32(const uint8_t *data, size_t size) {
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xEDB88320 & (0 - (crc & 1)));
    }
    return ~crc;
}

static size_t store_head(uint8_t *head, const n1_info *chunk) {
    head[0] = 'F';
    head[1] = 'L';
    head[2] = (uint8_t)(chunk->dtype | (chunk->ndim == 2 ? 4u : 0u) | VERSION << 4);
    size_t size = 3;
    size += store_varint(head + size, chunk->num_samples);
    if (chunk->ndim == 2) size += store_varint(head + size, chunk->num_channels);
    store_u32(head + size, crc32(head, size));
    return size + 4;
}

/* Returns the size of the head, or 0 if it is none, damaged, or of a newer version. */
static size_t load_head(const uint8_t *payload, size_t size, n1_info *chunk) {
    const uint8_t *end = payload + size;
    if (size < 3 || payload[0] != 'F' || payload[1] != 'L') return 0;
    if ((payload[2] & 0xF8) != VERSION << 4) return 0;
    *chunk = (n1_info){.dtype = payload[2] & 3, .ndim = payload[2] & 4 ? 2 : 1, .num_channels = 1};
    size_t varint = load_varint(payload + 3, end, &chunk->num_samples), head = 3 + varint;
    if (varint == 0) return 0;
    if (chunk->ndim == 2) {
        varint = load_varint(payload + head, end, &chunk->num_channels);
        if (varint == 0) return 0;
        head += varint;
    }
    if (size - head < 4 || load_u32(payload + head) != crc32(payload, head)) return 0;
    return head + 4;
}

/* The samples of up to MAX_CHANNELS channels, from `first` on, in a chunk. */
typedef struct {
    uint64_t num_samples, num_channels;
    size_t first, count, item;
    unsigned bias; /* of unsigned samples, which FLAC does not have */
} group;

static group group_at(const n1_info *chunk, uint64_t first) {
    const uint64_t left = chunk->num_channels - first;
    group channels = {.num_samples = chunk->num_samples,
                      .num_channels = chunk->num_channels,
                      .first = (size_t)first,
                      .count = left < MAX_CHANNELS ? (size_t)left : MAX_CHANNELS,
                      .item = item_size(chunk->dtype)};
    if (chunk->dtype == N1_UINT16 || chunk->dtype == N1_UINT8) {
        channels.bias = 1u << (8 * channels.item - 1);
    }
    return channels;
}

static size_t place(const group *channels, size_t sample) {
    return (sample * (size_t)channels->num_channels + channels->first) * channels->item;
}

typedef struct {
    buffer stream;
    size_t position;
} sink;

static FLAC__StreamEncoderWriteStatus write_bytes(const FLAC__StreamEncoder *encoder,
                                                  const FLAC__byte data[], size_t size,
                                                  uint32_t samples, uint32_t frame, void *client) {
    (void)encoder, (void)samples, (void)frame;
    sink *to = client;
    if (!put(&to->stream, to->position, data, size)) {
        return FLAC__STREAM_ENCODER_WRITE_STATUS_FATAL_ERROR;
    }
    to->position += size;
    return FLAC__STREAM_ENCODER_WRITE_STATUS_OK;
}

static FLAC__StreamEncoderSeekStatus seek(const FLAC__StreamEncoder *encoder, FLAC__uint64 position,
                                          void *client) {
    (void)encoder;
    ((sink *)client)->position = (size_t)position;
    return FLAC__STREAM_ENCODER_SEEK_STATUS_OK;
}

static FLAC__StreamEncoderTellStatus tell(const FLAC__StreamEncoder *encoder,
                                          FLAC__uint64 *position, void *client) {
    (void)encoder;
    *position = ((sink *)client)->position;
    return FLAC__STREAM_ENCODER_TELL_STATUS_OK;
}

static int encode_group(FLAC__StreamEncoder *encoder, const uint8_t *samples, const group *channels,
                        unsigned level, sink *to) {
    FLAC__stream_encoder_set_channels(encoder, (uint32_t)channels->count);
    FLAC__stream_encoder_set_bits_per_sample(encoder, (uint32_t)(8 * channels->item));
    FLAC__stream_encoder_set_compression_level(encoder, level);
    if (FLAC__stream_encoder_init_stream(encoder, write_bytes, seek, tell, NULL, to) !=
        FLAC__STREAM_ENCODER_INIT_STATUS_OK) {
        return 0;
    }
    FLAC__int32 slice[SLICE_FRAMES * MAX_CHANNELS];
    for (size_t start = 0; start < channels->num_samples; start += SLICE_FRAMES) {
        const size_t left = (size_t)channels->num_samples - start;
        const size_t frames = left < SLICE_FRAMES ? left : SLICE_FRAMES;
        FLAC__int32 *next = slice;
        for (size_t i = 0; i < frames; i++) {
            const uint8_t *sample = samples + place(channels, start + i);
            for (size_t c = 0; c < channels->count; c++, sample += channels->item) {
                *next++ = channels->item == 1 ? (int8_t)(*sample - channels->bias)
                                              : (int16_t)(load_u16(sample) - channels->bias);
            }
        }
        if (!FLAC__stream_encoder_process_interleaved(encoder, slice, (uint32_t)frames)) return 0;
    }
    return FLAC__stream_encoder_finish(encoder);
}

/* Leaves of the metadata the STREAMINFO alone: the others only say which libFLAC it was. */
static void drop_comments(buffer *stream) {
    size_t end = STREAMINFO_END;
    for (int last = stream->data[METADATA] & LAST_METADATA; !last;) {
        const uint8_t *block = stream->data + end;
        last = block[0] & LAST_METADATA;
        end += 4 + ((size_t)block[1] << 16 | (size_t)block[2] << 8 | block[3]);
    }
    memmove(stream->data + STREAMINFO_END, stream->data + end, stream->size - end);
    stream->size -= end - STREAMINFO_END;
    stream->data[METADATA] |= LAST_METADATA;
}

static int put_group(buffer *payload, const uint8_t *samples, const group *channels,
                     unsigned level) {
    FLAC__StreamEncoder *encoder = FLAC__stream_encoder_new();
    if (encoder == NULL) return 0;
    sink to = {FAILURE, 0};
    int done = encode_group(encoder, samples, channels, level, &to);
    FLAC__stream_encoder_delete(encoder);
    if (done) {
        uint8_t size[10];
        drop_comments(&to.stream);
        done = put(payload, payload->size, size, store_varint(size, to.stream.size)) &&
               put(payload, payload->size, to.stream.data, to.stream.size);
    }
    free(to.stream.data);
    return done;
}

static buffer encode(const uint8_t *samples, size_t size, size_t cd_nelmts,
                     const unsigned cd_values[]) {
    n1_info chunk;
    if (cd_nelmts != CD_SHARED || !describe(cd_values, size, &chunk)) return FAILURE;
    if (cd_values[CD_LEVEL] > LEVEL_MAX || chunk.num_samples == 0) return FAILURE;
    uint8_t head[HEAD_MAX];
    buffer payload = FAILURE;
    int done = put(&payload, 0, head, store_head(head, &chunk));
    for (uint64_t first = 0; done && first < chunk.num_channels; first += MAX_CHANNELS) {
        const group channels = group_at(&chunk, first);
        done = put_group(&payload, samples, &channels, cd_values[CD_LEVEL]);
    }
    return done ? payload : fail(payload);
}

typedef struct {
    const uint8_t *next, *end;
    const group *channels;
    uint8_t *samples;
    size_t num_decoded;
    int damaged;
} decoding;

static FLAC__StreamDecoderReadStatus read_bytes(const FLAC__StreamDecoder *decoder,
                                                FLAC__byte to[], size_t *size, void *client) {
    (void)decoder;
    decoding *state = client;
    const size_t left = (size_t)(state->end - state->next);
    if (*size > left) *size = left;
    if (*size == 0) return FLAC__STREAM_DECODER_READ_STATUS_END_OF_STREAM;
    memcpy(to, state->next, *size);
    state->next += *size;
    return FLAC__STREAM_DECODER_READ_STATUS_CONTINUE;
}

static FLAC__StreamDecoderWriteStatus take_frame(const FLAC__StreamDecoder *decoder,
                                                 const FLAC__Frame *frame,
                                                 const FLAC__int32 *const values[], void *client) {
    (void)decoder;
    decoding *state = client;
    const group *channels = state->channels;
    const size_t item = channels->item;
    if (frame->header.channels != channels->count || frame->header.bits_per_sample != 8 * item ||
        frame->header.blocksize > channels->num_samples - state->num_decoded) {
        return FLAC__STREAM_DECODER_WRITE_STATUS_ABORT;
    }
    for (size_t i = 0; i < frame->header.blocksize; i++) {
        uint8_t *sample = state->samples + place(channels, state->num_decoded + i);
        for (size_t c = 0; c < channels->count; c++, sample += item) {
            const unsigned value = (unsigned)values[c][i] + channels->bias;
            if (item == 1) *sample = (uint8_t)value;
            else store_u16(sample, (uint16_t)value);
        }
    }
    state->num_decoded += frame->header.blocksize;
    return FLAC__STREAM_DECODER_WRITE_STATUS_CONTINUE;
}

static void note_damage(const FLAC__StreamDecoder *decoder, FLAC__StreamDecoderErrorStatus status,
                        void *client) {
    (void)decoder, (void)status;
    ((decoding *)client)->damaged = 1;
}

static int decode_group(const uint8_t *stream, size_t size, const group *channels,
                        uint8_t *samples) {
    static const uint8_t NO_MD5[STREAMINFO_END - MD5];
    /* libFLAC would search for a beginning, and does not check an MD5 sum of zeros. */
    if (size < STREAMINFO_END || memcmp(stream, STREAM_START, sizeof(STREAM_START)) != 0 ||
        memcmp(stream + MD5, NO_MD5, sizeof(NO_MD5)) == 0) {
        return 0;
    }
    FLAC__StreamDecoder *decoder = FLAC__stream_decoder_new();
    if (decoder == NULL) return 0;
    decoding state = {stream, stream + size, channels, samples, 0, 0};
    FLAC__stream_decoder_set_md5_checking(decoder, 1);
    const int done =
        FLAC__stream_decoder_init_stream(decoder, read_bytes, NULL, NULL, NULL, NULL, take_frame,
                                         NULL, note_damage, &state) ==
            FLAC__STREAM_DECODER_INIT_STATUS_OK &&
        FLAC__stream_decoder_process_until_end_of_stream(decoder) &&
        FLAC__stream_decoder_finish(decoder); /* says whether the MD5 sum is right */
    FLAC__stream_decoder_delete(decoder);
    return done && !state.damaged && state.num_decoded == channels->num_samples;
}

static buffer decode(const uint8_t *payload, size_t size, size_t cd_nelmts,
                     const unsigned cd_values[]) {
    (void)cd_nelmts, (void)cd_values;
    n1_info chunk;
    const size_t head = load_head(payload, size, &chunk);
    if (head == 0 || chunk.num_samples == 0 || chunk.num_channels == 0) return FAILURE;
    if (chunk.num_samples > size * MAX_SAMPLES_PER_BYTE / chunk.num_channels) return FAILURE;
    const buffer samples =
        allocate((size_t)(chunk.num_samples * chunk.num_channels) * item_size(chunk.dtype));
    if (samples.data == NULL) return FAILURE;
    const uint8_t *next = payload + head, *end = payload + size;
    for (uint64_t first = 0; first < chunk.num_channels; first += MAX_CHANNELS) {
        const group channels = group_at(&chunk, first);
        uint64_t stream_size;
        const size_t varint = load_varint(next, end, &stream_size);
        next += varint;
        if (varint == 0 || stream_size > (uint64_t)(end - next)) return fail(samples);
        if (!decode_group(next, (size_t)stream_size, &channels, samples.data)) return fail(samples);
        next += stream_size;
    }
    return next == end ? samples : fail(samples);
}

PLUGIN(52788, "flac (n1store)")
