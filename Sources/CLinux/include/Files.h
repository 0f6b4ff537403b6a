// What reading and writing trees needs of Linux and Swift's Glibc module does not surface.
#ifndef HOLDFAST_FILES_H
#define HOLDFAST_FILES_H

#include <dirent.h>
#include <sched.h>
#include <sys/types.h>

static const int holdfast_o_path = O_PATH;
static const int holdfast_o_noatime = O_NOATIME;
static const int holdfast_o_direct = O_DIRECT;
static const int holdfast_at_empty_path = AT_EMPTY_PATH;
static const int holdfast_seek_data = SEEK_DATA;
static const int holdfast_seek_hole = SEEK_HOLE;
static const unsigned holdfast_dt_directory = DT_DIR;
static const unsigned holdfast_dt_unknown = DT_UNKNOWN;

static inline const char *holdfast_dirent_name(const struct dirent *entry) { return entry->d_name; }
static inline unsigned holdfast_dirent_type(const struct dirent *entry) { return entry->d_type; }

// Starts the way to the disk of all that was written to a file, and does not wait for its end. A hint: it promises
// nothing, and its failures are found by what does.
static inline void holdfast_begin_writing(int descriptor) {
    (void)sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
}

// Waits until all data of a file is on the device; its cache and the file's metadata are another matter.
static inline int holdfast_wait_for_data(int descriptor) {
    return sync_file_range(
        descriptor, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

// write(2) past the page cache. Memory, offset and count must be multiples of what the device asks for, 4,096 for all
// common ones; -1 with EINVAL where the file system cannot, and nothing is written then.
static inline ssize_t holdfast_write_direct(int descriptor, const void *bytes, size_t count) {
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_DIRECT) != 0) return -1;
    ssize_t written = write(descriptor, bytes, count);
    int number = errno;
    (void)fcntl(descriptor, F_SETFL, flags);
    errno = number;
    return written;
}

// openat(2) of one path part, the fallback where openat2(2) is missing or forbidden.
static inline int holdfast_openat(int directory, const char *path, int flags, unsigned mode) {
    return openat(directory, path, flags | O_CLOEXEC, mode);
}

#endif
