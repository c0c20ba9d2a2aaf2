/* SPDX-License-Identifier: MIT */
/* PIPC_TRACE=- where standard error is a terminal: no call waits for it, and none stops. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "fault.h"
#include "paths.h"
#include "tracing.h"

/* Far more than fits in a terminal that nobody reads. */
enum { CALLS = 3000, TEXT_MAX = 1 << 16 };

static int screen, terminal; /* what shows the terminal, and the terminal */

static void open_terminal(void)
{
    screen = posix_openpt(O_RDWR | O_NOCTTY);
    if (screen == -1 || grantpt(screen) == -1 || unlockpt(screen) == -1)
        harness_skip("no terminals can be made here");
    fcntl(screen, F_SETFD, FD_CLOEXEC);
    terminal = open(ptsname(screen), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(terminal != -1);
    setenv("PIPC_TRACE", "-", 1);
}

static void close_terminal(void)
{
    close(terminal);
    close(screen);
}

/* What is shown until nothing has come for a while, or `end` has. */
static const char *read_screen(const char *end)
{
    static char text[TEXT_MAX];
    size_t size = 0;
    while (size < sizeof text - 1 && strstr(text, end) == NULL &&
           harness_readable(screen, 10000 * harness_scale())) {
        ssize_t more = read(screen, text + size, sizeof text - 1 - size);
        if (more <= 0)
            break;
        size += (size_t)more;
        text[size] = '\0';
    }
    return text;
}

static int be_refused_often(void *unused)
{
    pipc_t *end[2];
    (void)unused;
    if (dup2(terminal, STDERR_FILENO) != STDERR_FILENO || pipc_open_pair(end, NULL) != 0)
        return 1;
    for (int i = 0; i < CALLS; i++)
        assert_errno(pipc_want(end[0], 77), EINVAL); /* a line each */
    pipc_close(end[0]);
    pipc_close(end[1]);
    return 0;
}

TEST(a_terminal_that_nobody_reads_makes_no_call_wait)
{
    harness_skip_without_proc();
    open_terminal();
    assert_int_equal(harness_wait(harness_fork(be_refused_often, NULL)), 0);
    assert_non_null(strstr(read_screen("#1 refused: "), "#1 refused: "));
    close_terminal();
}

/* In a process group that is not the terminal's. */
static int use_in_background(void *as_user)
{
    if (dup2(terminal, STDERR_FILENO) != STDERR_FILENO || setpgid(0, 0) != 0 ||
        signal(SIGTTOU, SIG_DFL) == SIG_ERR)
        return 1;
    if (as_user != NULL && setresuid(PATHS_USER_A, PATHS_USER_A, PATHS_USER_A) != 0)
        return 1;
    return tracing_use_library(NULL);
}

/* As a shell does that has the terminal. */
static int begin_session(void *as_user)
{
    int status;
    if (setsid() == -1)
        return 1;
    close(open(ptsname(screen), O_RDWR)); /* now it is this session's */
    pid_t child = harness_fork(use_in_background, as_user);
    if (waitpid(child, &status, WUNTRACED) != child)
        return 1;
    if (WIFSTOPPED(status))
        kill(child, SIGKILL);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 2;
}

/* Nor may /dev/tty be opened. Waiting for it is the only other way to write to it. */
static int use_without_opening(void *unused)
{
    pipc_t *end[2];
    (void)unused;
    assert_int_equal(dup2(terminal, STDERR_FILENO), STDERR_FILENO);
    fault_reset();
    fault_fail(CALL_openat, 1, FAULT_FOREVER, ENOENT);
    fault_arm();
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    pipc_close(end[0]);
    pipc_close(end[1]);
    fault_disarm();
    return fault_failures(CALL_openat) > 0 && write(terminal, "end", 3) == 3 ? 0 : 2;
}

TEST(a_terminal_that_cannot_be_opened_once_more_shows_no_line)
{
    open_terminal();
    assert_int_equal(harness_wait(harness_fork(use_without_opening, NULL)), 0);
    assert_string_equal(read_screen("end"), "end");
    close_terminal();
}

static void expect_lines_from_background(const char *as_user)
{
    struct termios modes;
    open_terminal();
    assert_int_equal(tcgetattr(terminal, &modes), 0);
    modes.c_lflag |= TOSTOP;
    assert_int_equal(tcsetattr(terminal, TCSANOW, &modes), 0);
    assert_int_equal(harness_wait(harness_fork(begin_session, (void *)(uintptr_t)as_user)), 0);
    assert_non_null(strstr(read_screen("close: "), "close: "));
    close_terminal();
}

TEST(a_process_in_the_background_is_not_stopped_for_its_lines)
{
    harness_skip_without_proc();
    expect_lines_from_background(NULL);
}

TEST(the_terminal_of_another_user_shows_the_lines_if_it_is_the_controlling_one)
{
    paths_need_users();
    if (access("/dev/tty", R_OK | W_OK) != 0)
        harness_skip("there is no /dev/tty here");
    expect_lines_from_background("another");
}

HARNESS_MAIN("trace terminal", IT(a_terminal_that_nobody_reads_makes_no_call_wait),
             IT(a_terminal_that_cannot_be_opened_once_more_shows_no_line),
             IT(a_process_in_the_background_is_not_stopped_for_its_lines),
             IT(the_terminal_of_another_user_shows_the_lines_if_it_is_the_controlling_one))
