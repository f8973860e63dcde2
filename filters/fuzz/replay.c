/*
 * Runs a fuzz target on each file named, and on every beginning of it, down to nothing.
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
        for (size_t length = size + 1; length-- > 0;) run(data, length);
    }
    return 0;
}
