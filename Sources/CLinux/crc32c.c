#include "CLinux.h"

// CRC-32C (Castagnoli, RFC 3720 appendix B.4): the SSE 4.2 instruction where there is one, else bit by bit.
#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t holdfast_crc32c(uint32_t crc, const void *bytes, size_t count) {
    const unsigned char *at = (const unsigned char *)bytes;
    uint64_t state = (uint32_t)~crc;
    while (count >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        state = __builtin_ia32_crc32di(state, word);
        at += 8;
        count -= 8;
    }
    while (count-- > 0) state = __builtin_ia32_crc32qi((uint32_t)state, *at++);
    return ~(uint32_t)state;
}
#else
uint32_t holdfast_crc32c(uint32_t crc, const void *bytes, size_t count) {
    const unsigned char *at = (const unsigned char *)bytes;
    uint32_t state = ~crc;
    while (count-- > 0) {
        state ^= *at++;
        for (int bit = 0; bit < 8; bit++) state = (state >> 1) ^ (0x82F63B78u & (0u - (state & 1u)));
    }
    return ~state;
}
#endif
