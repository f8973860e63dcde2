/*
 * What of a reference channel is in each sample of a block: its echo, made alike by encoder and
 * decoder.
 */
#ifndef N1STORE_N1_ECHO_H
#define N1STORE_N1_ECHO_H

#include "kernels.h"

/* The middles of the width kind's cells, 2 * HALF_CODES of them. */
void make_middles(const int16_t *edges, int16_t *middles);

/*
 * The echoes begin .. begin + count - 1 of a block that has a reference, whose samples are `other`.
 * With the width kind `middles` are those of its cells; NULL with the others.
 */
void make_echo(const block *b, const int16_t *other, const int16_t *middles,
               const n1_kernels *kernels, int begin, int count, int16_t *echo);

/* The numbers that echoes are made of: the other channel's positions, or its samples. */
void place_other(const int16_t *other, const int16_t *middles, int count, int16_t *z);

#endif
