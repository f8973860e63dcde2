/*
 * Samples of a converter with fewer than 16 bits lie 2^grain apart, or nearly so. A prediction that
 * lies a multiple of 2^grain away from a sample leaves residuals that do too, of which there are few
 * different ones; one between them would leave any number.
 */
#ifndef N1STORE_GRAIN_H
#define N1STORE_GRAIN_H

#include "simple.h"

/*
 * As `encode` of simple_codec, with a given grain. It is called on parts of the data, too, that are
 * whole frames.
 */
typedef int64_t (*grain_encoder)(const uint8_t *data, size_t size, simple_settings settings,
                                 uint32_t grain, uint8_t *payload);

/*
 * Encode data with the grain that they have, if pieces of them take fewer bits so.
 *
 * payload  the room that `encode` of simple_codec has, of which all may be written
 *
 * Returns what encode_with does for all data, or a negative n1_error.
 */
int64_t encode_on_grain(const uint8_t *data, size_t size, simple_settings settings,
                        grain_encoder encode_with, uint8_t *payload);

/* Write the grain to a transform's header, in front of which is what transform.h stores. */
void store_grain(uint8_t *header, uint32_t grain);

/* Read the grain of a whole header; returns N1_OK, or N1_ERROR_FORMAT if it is none. */
int load_grain(const uint8_t *header, uint32_t *grain);

#endif
