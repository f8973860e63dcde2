/*
 * Runs a fuzz target on each file named, and on beginnings of it: the short ones all, the longer
 * ones at growing distances.
 *
 * For compilers without libFuzzer: build it with a target, round_trip.c and the core.
 */
#include <string.h>

#include "fuzz.h"

static void run(const uint8_t *data, size_t size) {
    uint8_t *const input = allocate(size);
    memcpy(input, data, size);
    LLVMFuzzerTestOneInput(input, size);
    free(input);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        FILE *const file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return 1;
        }
        static uint8_t data[1 << 16];
        const size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        if (size == sizeof data) {
            fprintf(stderr, "%s: too long to be replayed\n", argv[i]);
            return 1;
        }
        run(data, size);
        for (size_t length = 0; length < size; length += 1 + length / 16) run(data, length);
        if (size > 0) run(data, size - 1);
    }
    return 0;
}
