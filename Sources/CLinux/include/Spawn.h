// What starting child processes needs of Linux and Swift's Glibc module does not surface.
#ifndef HOLDFAST_SPAWN_H
#define HOLDFAST_SPAWN_H

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static inline int holdfast_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

// A larger pipe costs fewer switches between producer and reader; refusal does no harm.
static inline void holdfast_widen_pipe(int descriptor, int bytes) { (void)fcntl(descriptor, F_SETPIPE_SZ, bytes); }

// Starts argv[0], found along PATH, with the three descriptors as 0, 1 and 2 and no other, in a process group of its
// own, with default signal actions and no signal blocked. Returns an error number.
int holdfast_spawn(pid_t *process, char *const argv[], char *const envp[], int input, int output, int errors);

// Whether the child has ended, without reaping it: 1 yes, 0 no, -1 failure.
static inline int holdfast_has_ended(pid_t process) {
    siginfo_t info;
    info.si_pid = 0;
    if (waitid(P_PID, (id_t)process, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return -1;
    return info.si_pid == process;
}

// Orphans among the descendants of this process become its children, and can be found and ended: prctl(2).
static inline int holdfast_adopt_orphans(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

// This process is sent the signal when the thread that started it ends, as its process does: prctl(2).
static inline int holdfast_end_with_parent(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0); }

// A file in memory that has no name: memfd_create(2).
static inline int holdfast_memory_file(void) { return memfd_create("holdfast", MFD_CLOEXEC); }

static inline int holdfast_exit_status(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }
static inline int holdfast_exit_signal(int status) { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }

// A handle of a process: signals by it never reach another one that got the number since. Linux 5.3.
static inline int holdfast_process_handle(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }
static inline int holdfast_signal_process(int handle, int number) {
    return (int)syscall(SYS_pidfd_send_signal, handle, number, 0, 0);
}

#endif
