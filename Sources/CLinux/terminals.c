#include "CLinux.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

_Static_assert(sizeof(struct termios) <= sizeof(struct holdfast_terminal_settings), "the settings have no room");

int holdfast_terminal_width(int descriptor) {
    struct winsize size;
    return ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

int holdfast_echo_off(int descriptor, struct holdfast_terminal_settings *before) {
    struct termios settings;
    if (tcgetattr(descriptor, &settings) != 0) return -1;
    memcpy(before, &settings, sizeof settings);
    settings.c_lflag &= ~(tcflag_t)ECHO;
    settings.c_lflag |= ICANON | ECHONL;
    return tcsetattr(descriptor, TCSAFLUSH, &settings);
}

int holdfast_restore_terminal(int descriptor, const struct holdfast_terminal_settings *before) {
    struct termios settings;
    memcpy(&settings, before, sizeof settings);
    return tcsetattr(descriptor, TCSAFLUSH, &settings);
}

int holdfast_catch_signal(int number, void (*handler)(int)) {
    struct sigaction action;
    sigemptyset(&action.sa_mask);
    action.sa_flags = 0;
    action.sa_handler = handler;
    if (sigaction(number, &action, 0) != 0) return -1;
    // A parent may have left it blocked.
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    return sigprocmask(SIG_UNBLOCK, &one, 0);
}

void holdfast_ignore_signal(int number) { (void)signal(number, SIG_IGN); }
