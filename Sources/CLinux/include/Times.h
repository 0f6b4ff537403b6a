// The clocks. As functions of numbers: which C module a Swift file finds `timespec` in depends on what it imports.
#ifndef HOLDFAST_TIMES_H
#define HOLDFAST_TIMES_H

#include <stdint.h>
#include <time.h>

// Nanoseconds since 1970, until 2262.
static inline int64_t holdfast_wall_clock(void) {
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// Nanoseconds since an instant that means nothing.
static inline int64_t holdfast_steady_clock(void) {
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// Sleeps for less than a second, or until a signal comes.
static inline void holdfast_nap(int64_t nanoseconds) {
    struct timespec nap = {0, (long)nanoseconds};
    (void)nanosleep(&nap, NULL);
}

#endif
