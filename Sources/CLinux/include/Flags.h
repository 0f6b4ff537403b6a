// A flag that wakes those who sleep on it: futex(2) on a word of 32 bits.
#ifndef HOLDFAST_FLAGS_H
#define HOLDFAST_FLAGS_H

#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static inline uint32_t holdfast_flag_is_raised(const uint32_t *flag) { return __atomic_load_n(flag, __ATOMIC_ACQUIRE); }

// Raises the flag and wakes all who sleep on it. Safe in a signal handler: it keeps errno.
static inline void holdfast_flag_raise(uint32_t *flag) {
    int before = errno;
    __atomic_store_n(flag, 1, __ATOMIC_RELEASE);
    (void)syscall(SYS_futex, flag, FUTEX_WAKE_PRIVATE, INT32_MAX, 0, 0, 0);
    errno = before;
}

// Sleeps for `nanoseconds`, until the flag is raised, or until a signal comes.
static inline void holdfast_flag_wait(const uint32_t *flag, int64_t nanoseconds) {
    struct timespec time = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    (void)syscall(SYS_futex, flag, FUTEX_WAIT_PRIVATE, 0, &time, 0, 0);
}

#endif
