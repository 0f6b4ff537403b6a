// System calls and constants that Swift's Glibc module does not surface, as inline wrappers.
#ifndef HOLDFAST_CLINUX_H
#define HOLDFAST_CLINUX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
// fd_set names its member by __USE_XOPEN; modules that see it both ways cannot be imported together.
#include <features.h>
#ifdef __USE_XOPEN
#undef __USE_XOPEN
#include <sys/select.h>
#define __USE_XOPEN 1
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

// renameat2(2) with RENAME_NOREPLACE: the target must not exist.
static inline int holdfast_rename_no_replace(int fromDirectory, const char *from, int toDirectory, const char *to) {
    return (int)syscall(SYS_renameat2, fromDirectory, from, toDirectory, to, 1u /* RENAME_NOREPLACE */);
}

// openat2(2) below a directory: no symbolic link is followed anywhere and the path cannot leave `directory`.
static inline int holdfast_open_beneath(int directory, const char *path, int flags, unsigned mode) {
    struct open_how how;
    memset(&how, 0, sizeof how);
    how.flags = (uint64_t)(flags | O_CLOEXEC);
    how.mode = (flags & O_CREAT) ? mode : 0;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

static inline int holdfast_syncfs(int descriptor) { return syncfs(descriptor); }

static inline int holdfast_fallocate_keep_size(int descriptor, off_t length) {
    return fallocate(descriptor, FALLOC_FL_KEEP_SIZE, 0, length);
}

static inline int holdfast_punch_hole(int descriptor, off_t offset, off_t length) {
    return fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

// CRC-32C of `count` bytes, continued from `crc` (0 to begin).
uint32_t holdfast_crc32c(uint32_t crc, const void *bytes, size_t count);

// explicit_bzero(3), which the optimiser may not remove.
static inline void holdfast_zero(void *bytes, size_t count) { explicit_bzero(bytes, count); }

static inline unsigned holdfast_major(uint64_t device) { return major(device); }
static inline unsigned holdfast_minor(uint64_t device) { return minor(device); }
static inline uint64_t holdfast_makedev(unsigned a, unsigned b) { return makedev(a, b); }

#include "Clocks.h"
#include "Flags.h"
#include "Digests.h"
#include "Files.h"
#include "Notify.h"
#include "Spawn.h"
#include "Terminals.h"

#endif
