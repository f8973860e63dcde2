#include "echo.h"

#include <string.h>

void make_middles(const int16_t *edges, int16_t *middles) {
    for (int i = 0; i < 2 * HALF_CODES; i++)
        middles[i] = (int16_t)((edges[i] + edges[i + 1]) >> 1);
}

void place_other(const int16_t *other, const int16_t *middles, int count, int16_t *z) {
    if (!middles) {
        memcpy(z, other, (size_t)count * sizeof(*z));
        return;
    }
    const int16_t *const of_cell = middles + HALF_CODES;
    for (int i = 0; i < count; i++) z[i] = of_cell[other[i] >> 6];
}

void make_echo(const block *b, const int16_t *other, const int16_t *middles,
               const n1_kernels *kernels, int begin, int count, int16_t *echo) {
    enum { CHUNK = 1024, MARGIN = 8 };
    int16_t numbers[MARGIN + CHUNK + MARGIN], *const z = numbers + MARGIN;
    for (int done = 0; done < count; done += CHUNK) {
        const int at = begin + done, length = count - done < CHUNK ? count - done : CHUNK;
        const int ahead = at < MARGIN ? at : MARGIN, left = b->num_samples - at;
        const int end = left < length + MARGIN ? left : length + MARGIN;
        place_other(other + at - ahead, middles, ahead + end, z - ahead);
        for (int i = -MARGIN; i < -ahead; i++) z[i] = z[-ahead];
        for (int i = end; i < length + MARGIN; i++) z[i] = z[end - 1];
        kernels->filter(&b->taps, z, length, echo + done);
    }
}
