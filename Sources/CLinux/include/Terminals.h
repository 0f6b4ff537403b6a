// What talking to a terminal and catching signals needs; in C, since Swift's Glibc module does not surface it.
#ifndef HOLDFAST_TERMINALS_H
#define HOLDFAST_TERMINALS_H

// Room for the settings of a terminal.
struct holdfast_terminal_settings {
    unsigned long words[16];
};

// Columns of the terminal, or 0 when `descriptor` is none or does not say.
int holdfast_terminal_width(int descriptor);

// Turns the echo of typed letters off, and keeps what was before; 0, or -1 with errno.
int holdfast_echo_off(int descriptor, struct holdfast_terminal_settings *before);

// Puts the settings back; what was typed ahead is dropped.
int holdfast_restore_terminal(int descriptor, const struct holdfast_terminal_settings *before);

// Catches and unblocks a signal. Calls are interrupted by it instead of being started again.
int holdfast_catch_signal(int number, void (*handler)(int));

void holdfast_ignore_signal(int number);

#endif
