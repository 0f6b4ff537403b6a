// SHA-256 of two messages at once, where the processor can.
#ifndef HOLDFAST_DIGESTS_H
#define HOLDFAST_DIGESTS_H

#include <stddef.h>
#include <stdint.h>

// Whether holdfast_hmac_sha256_two may be called: the processor has instructions for SHA-256.
int holdfast_sha256_has_lanes(void);

// The states after the block of 64 bytes at `block` from the start value of SHA-256.
void holdfast_sha256_start(uint32_t state[8], const uint8_t *block);

// HMAC-SHA256 of two messages under one key. `inner` and `outer` are the states after the key's two blocks; the
// results are 32 bytes each.
void holdfast_hmac_sha256_two(
    const uint32_t inner[8], const uint32_t outer[8], const void *first, size_t firstCount, const void *second,
    size_t secondCount, uint8_t *firstResult, uint8_t *secondResult);

#endif
