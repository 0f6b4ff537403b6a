// The same view of the C library as CLinux, so that the types which both modules see are one.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <archive.h>
#include <archive_entry.h>
