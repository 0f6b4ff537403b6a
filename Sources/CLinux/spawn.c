#include "CLinux.h"

int holdfast_spawn(pid_t *process, char *const argv[], char *const envp[], int input, int output, int errors) {
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    sigset_t none, defaults;
    int number = posix_spawnattr_init(&attributes);
    if (number != 0) return number;
    number = posix_spawn_file_actions_init(&actions);
    if (number != 0) {
        posix_spawnattr_destroy(&attributes);
        return number;
    }
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGTERM);
    sigaddset(&defaults, SIGHUP);
    sigaddset(&defaults, SIGQUIT);
    sigaddset(&defaults, SIGCHLD);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    // The caller's descriptors are above 2, except for an input that is 0 itself: no dup2 overwrites one still needed.
    number = posix_spawn_file_actions_adddup2(&actions, input, 0);
    if (number == 0) number = posix_spawn_file_actions_adddup2(&actions, output, 1);
    if (number == 0) number = posix_spawn_file_actions_adddup2(&actions, errors, 2);
    if (number == 0) number = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (number == 0) number = posix_spawnp(process, argv[0], &actions, &attributes, argv, envp);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return number;
}
