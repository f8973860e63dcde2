#include "coder.h"

enum {
    CODER_VERSION = 1,  /* high half of the first byte */
    CODER_WORDS = 0,    /* low half: the words as they are */
    CODER_CODED = 1,    /* or coded */
    CODER_MAX_HEAD = 9, /* with the varint of a size below 2^47, and the odd byte */
};

typedef struct {
    int mode;
    uint64_t size; /* of the data */
    const uint8_t *body, *end;
} coder_payload;

size_t coder_bound(size_t size, simple_settings settings) {
    (void)settings;
    return size + CODER_MAX_HEAD + CODER_SLACK;
}

int64_t coder_encode(const simple_codec *codec, const uint8_t *data, size_t size,
                     simple_settings settings, uint8_t *payload) {
    (void)settings;
    uint8_t *next = payload + 1;
    next += store_varint(next, size);
    const size_t head = (size_t)(next - payload);
    if (size % 2) *next++ = data[size - 1];
    const int64_t coded = size < 2 ? 0 : codec->words->encode(data, size / 2, next);
    if (coded < 0) return coded;
    payload[0] = CODER_VERSION << 4 | (coded > 0 ? CODER_CODED : CODER_WORDS);
    if (coded > 0) return next - payload + coded;
    memcpy(payload + head, data, size);
    return (int64_t)(head + size);
}

/* Read the head of a payload. Returns N1_OK, or a negative n1_error if it is none. */
static int open_payload(const simple_codec *codec, const uint8_t *payload, size_t size,
                        coder_payload *opened) {
    const uint8_t *const end = payload + size;
    if (size < 2) return N1_ERROR_CORRUPT;
    if (payload[0] >> 4 > CODER_VERSION) return N1_ERROR_VERSION;
    opened->mode = payload[0] & 15;
    if (payload[0] >> 4 == 0 || opened->mode > CODER_CODED) return N1_ERROR_FORMAT;
    const size_t varint = load_varint(payload + 1, end, &opened->size);
    opened->body = payload + 1 + varint;
    opened->end = end;
    if (varint == 0 || opened->size >> 47 != 0) return N1_ERROR_CORRUPT;
    const uint64_t body = (uint64_t)(end - opened->body);
    const uint64_t odd = opened->size % 2, count = opened->size / 2;
    const int possible =
        opened->mode == CODER_WORDS
            ? body == opened->size
            : count > 0 && odd <= body && count <= (body - odd) * (codec->words->most / 2);
    return possible ? N1_OK : N1_ERROR_CORRUPT;
}

int64_t coder_decoded_size(const simple_codec *codec, const uint8_t *payload, size_t size) {
    coder_payload opened;
    const int error = open_payload(codec, payload, size, &opened);
    return error ? error : (int64_t)opened.size;
}

int coder_decode(const simple_codec *codec, const uint8_t *payload, size_t size, uint8_t *data) {
    coder_payload opened;
    const int error = open_payload(codec, payload, size, &opened);
    if (error) return error;
    if (opened.mode == CODER_WORDS) {
        memcpy(data, opened.body, opened.size);
        return N1_OK;
    }
    if (opened.size % 2) data[opened.size - 1] = *opened.body++;
    return codec->words->decode(opened.body, opened.end, data, opened.size / 2);
}
