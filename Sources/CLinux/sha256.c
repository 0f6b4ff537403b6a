#include "CLinux.h"

// SHA-256 (FIPS 180-4) with the SHA extensions of x86-64. A round waits for the one before it, and the unit that does
// rounds is idle meanwhile; the rounds of a second message fill that time, so that two take little longer than one.
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3")))

static const uint32_t startValue[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static const uint32_t roundConstants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

// The eight words in the order that the instructions take them in.
typedef struct {
    __m128i abef, cdgh;
} Lane;

WITH_SHA static inline Lane load(const uint32_t *state) {
    __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    return (Lane){_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xF0)};
}

WITH_SHA static inline void store(uint32_t *state, Lane lane) {
    __m128i feba = _mm_shuffle_epi32(lane.abef, 0x1B);
    __m128i dchg = _mm_shuffle_epi32(lane.cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

WITH_SHA static inline __m128i word(const uint8_t *bytes) {
    const __m128i bigEndian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)bytes), bigEndian);
}

WITH_SHA static inline void fourRounds(Lane *lane, __m128i words, int round) {
    __m128i sum = _mm_add_epi32(words, _mm_load_si128((const __m128i *)(roundConstants + round)));
    lane->cdgh = _mm_sha256rnds2_epu32(lane->cdgh, lane->abef, sum);
    lane->abef = _mm_sha256rnds2_epu32(lane->abef, lane->cdgh, _mm_shuffle_epi32(sum, 0x0E));
}

// The four words of the schedule that follow the sixteen in `words`, of which the oldest are at `oldest`.
WITH_SHA static inline __m128i nextWords(const __m128i words[4], int oldest) {
    __m128i last = words[(oldest + 3) & 3];
    __m128i sum = _mm_add_epi32(
        _mm_sha256msg1_epu32(words[oldest & 3], words[(oldest + 1) & 3]),
        _mm_alignr_epi8(last, words[(oldest + 2) & 3], 4));
    return _mm_sha256msg2_epu32(sum, last);
}

WITH_SHA static inline Lane plus(Lane a, Lane b) {
    return (Lane){_mm_add_epi32(a.abef, b.abef), _mm_add_epi32(a.cdgh, b.cdgh)};
}

WITH_SHA static void blocksOfOne(uint32_t *state, const uint8_t *bytes, size_t blocks) {
    Lane lane = load(state);
    for (; blocks > 0; blocks--, bytes += 64) {
        Lane before = lane;
        __m128i words[4] = {word(bytes), word(bytes + 16), word(bytes + 32), word(bytes + 48)};
#pragma unroll
        for (int step = 0; step < 16; step++) {
            fourRounds(&lane, words[step & 3], 4 * step);
            if (step < 12) words[step & 3] = nextWords(words, step);
        }
        lane = plus(lane, before);
    }
    store(state, lane);
}

WITH_SHA static void blocksOfTwo(
    uint32_t *firstState, const uint8_t *first, uint32_t *secondState, const uint8_t *second, size_t blocks) {
    Lane a = load(firstState), b = load(secondState);
    for (; blocks > 0; blocks--, first += 64, second += 64) {
        Lane aBefore = a, bBefore = b;
        __m128i aWords[4] = {word(first), word(first + 16), word(first + 32), word(first + 48)};
        __m128i bWords[4] = {word(second), word(second + 16), word(second + 32), word(second + 48)};
#pragma unroll
        for (int step = 0; step < 16; step++) {
            fourRounds(&a, aWords[step & 3], 4 * step);
            fourRounds(&b, bWords[step & 3], 4 * step);
            if (step < 12) {
                aWords[step & 3] = nextWords(aWords, step);
                bWords[step & 3] = nextWords(bWords, step);
            }
        }
        a = plus(a, aBefore);
        b = plus(b, bBefore);
    }
    store(firstState, a);
    store(secondState, b);
}

static void putBigEndian(uint8_t *target, uint64_t value, int count) {
    for (int place = count - 1; place >= 0; place--, value >>= 8) target[place] = (uint8_t)value;
}

static void putState(uint8_t *target, const uint32_t *state) {
    for (int place = 0; place < 8; place++) putBigEndian(target + 4 * place, state[place], 4);
}

// Takes in the last `count` bytes of a message of `total`, and the padding.
static void finish(uint32_t *state, const uint8_t *bytes, size_t count, uint64_t total) {
    blocksOfOne(state, bytes, count / 64);
    uint8_t block[128] = {0};
    size_t rest = count % 64, length = rest < 56 ? 64 : 128;
    if (rest > 0) memcpy(block, bytes + (count - rest), rest);
    block[rest] = 0x80;
    putBigEndian(block + length - 8, total * 8, 8);
    blocksOfOne(state, block, length / 64);
}

static void finishOuter(const uint32_t *outer, const uint32_t *inner, uint8_t *result) {
    uint8_t digest[32];
    uint32_t state[8];
    putState(digest, inner);
    memcpy(state, outer, sizeof state);
    finish(state, digest, sizeof digest, 64 + sizeof digest);
    putState(result, state);
}

int holdfast_sha256_has_lanes(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1)) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29) /* SHA */) != 0;
}

void holdfast_sha256_start(uint32_t state[8], const uint8_t *block) {
    memcpy(state, startValue, sizeof startValue);
    blocksOfOne(state, block, 1);
}

void holdfast_hmac_sha256_two(
    const uint32_t inner[8], const uint32_t outer[8], const void *first, size_t firstCount, const void *second,
    size_t secondCount, uint8_t *firstResult, uint8_t *secondResult) {
    uint32_t a[8], b[8];
    memcpy(a, inner, sizeof a);
    memcpy(b, inner, sizeof b);
    size_t together = (firstCount < secondCount ? firstCount : secondCount) / 64;
    blocksOfTwo(a, first, b, second, together);
    size_t done = together * 64;
    finish(a, (const uint8_t *)first + done, firstCount - done, 64 + (uint64_t)firstCount);
    finish(b, (const uint8_t *)second + done, secondCount - done, 64 + (uint64_t)secondCount);
    finishOuter(outer, a, firstResult);
    finishOuter(outer, b, secondResult);
}
#else
int holdfast_sha256_has_lanes(void) { return 0; }
void holdfast_sha256_start(uint32_t state[8], const uint8_t *block) {
    (void)block;
    memset(state, 0, 32);
}
void holdfast_hmac_sha256_two(
    const uint32_t inner[8], const uint32_t outer[8], const void *first, size_t firstCount, const void *second,
    size_t secondCount, uint8_t *firstResult, uint8_t *secondResult) {
    (void)inner, (void)outer, (void)first, (void)firstCount, (void)second, (void)secondCount;
    memset(firstResult, 0, 32);
    memset(secondResult, 0, 32);
}
#endif
