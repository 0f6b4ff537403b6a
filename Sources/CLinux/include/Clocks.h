// Clocks without `timespec`, which Swift counts to another module from build to build.
#ifndef HOLDFAST_CLOCKS_H
#define HOLDFAST_CLOCKS_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

static inline int64_t holdfast_clock(clockid_t clock) {
    struct timespec time = {0, 0};
    (void)clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static inline int64_t holdfast_modified_seconds(const struct stat *status) { return status->st_mtim.tv_sec; }
static inline int64_t holdfast_modified_nanoseconds(const struct stat *status) { return status->st_mtim.tv_nsec; }
static inline int64_t holdfast_changed_seconds(const struct stat *status) { return status->st_ctim.tv_sec; }
static inline int64_t holdfast_changed_nanoseconds(const struct stat *status) { return status->st_ctim.tv_nsec; }

// Sets the modification time and leaves the access time; 0 or an errno number. Without a name, that of the open file
// `descriptor`; with one, that of what has this name in the directory `descriptor`, links not followed.
static inline int holdfast_set_modified(int descriptor, const char *name, int64_t seconds, int64_t nanoseconds) {
    const struct timespec times[2] = {{0, UTIME_OMIT}, {seconds, nanoseconds}};
    int result = name ? utimensat(descriptor, name, times, AT_SYMLINK_NOFOLLOW) : futimens(descriptor, times);
    return result == 0 ? 0 : errno;
}

#endif
