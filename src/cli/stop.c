/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <signal.h>
#include <unistd.h>

#include "cli/cli.h"

static volatile sig_atomic_t stop_asked;

/* The first asks; the second, of either kind, ends the process when this handler returns. */
static void ask_to_stop(int number)
{
    static const char heard[] = "\nsotto: stopping after what is at work; once more ends at once\n";
    if (stop_asked) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
        return;
    }
    stop_asked = 1;
    ssize_t written = write(STDERR_FILENO, heard, sizeof heard - 1);
    (void)written;
}

void sotto_cli_catch_signals(void)
{
    struct sigaction action = {.sa_handler = ask_to_stop, .sa_flags = SA_RESTART};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL); /* the terminal is gone: its runs are saved too */
    (void)signal(SIGXFSZ, SIG_IGN);         /* a file that may not grow is an error like a full disk */
}

bool sotto_cli_stop_asked(void *context)
{
    (void)context;
    return stop_asked != 0;
}
