/* SPDX-License-Identifier: MIT */
/*
 * The poll loop. Each turn moves what can be moved in both directions, then waits for what can move
 * next. Back-pressure: while the output is full, nothing is taken from the pipe, and the peer's
 * writes wait; while the pipe is full, nothing is taken from the input.
 */
#include "session.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/*
 * A write waits for a short time. So most large messages go whole, and the library need not copy
 * what is left of them. The other direction can wait so long.
 */
enum { write_wait_ms = 20, idle_wakes_max = 8 };

enum { ITEM_SIGNALS, ITEM_PIPE, ITEM_INPUT, ITEM_OUTPUT, ITEM_COMMAND, item_count = 6 };

static bool session_holds(const struct session *session)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    return pipc_stats(session->pipe, &stats) == 0 && stats.bytes_held > 0;
}

static bool session_over(const struct session *session)
{
    return session->failed || (session->read_end && session->write_end && session->drained &&
                               output_is_empty(session->output));
}

/* After the last write: has all left the handle? */
static void session_drain(struct session *session)
{
    if (!session->write_end || session->drained || session->failed)
        return;
    bool has_gone = pipc_flush(session->pipe) != -1;
    if (!has_gone && (errno == EAGAIN || errno == ETIMEDOUT || errno == EINTR))
        return;
    if (!has_gone) /* what the peer has sent can still be read */
        session->code = pipe_failed("writing", errno);
    session->drained = session->moved = true;
}

/* Where somebody types, or nothing is to be sent, the peer's end is the end. */
static void session_end_alone(struct session *session)
{
    bool typed = session->input->fd == STDIN_FILENO && isatty(STDIN_FILENO) == 1;
    bool alone = config.work == WORK_PIPE && (typed || config.input == INPUT_NONE);
    if (alone && session->read_end && !session->write_end && !session->blocked) {
        pipc_shutdown(session->pipe); /* a failure means that the peer has gone */
        session->write_end = session->moved = true;
    }
}

/* ---- Waiting --------------------------------------------------------------------------------- */

/*
 * The descriptor of the pipe is polled only for what is wanted from it. Without PIPC_WANT_READ it
 * still reports that nobody will read what is written; with nothing to write, that would be a
 * spin, so it is left out then. After the peer's end it is what ends the session.
 */
static bool session_watch_pipe(struct session *session)
{
    bool take = session_can_read(session);
    if (pipc_want(session->pipe, (take ? PIPC_WANT_READ : 0) | PIPC_WANT_WRITE) == -1)
        session_fail(session, pipe_failed("pipc_want", errno));
    return take || session->blocked || (session->write_end && !session->drained) ||
           (session->read_end && !session->write_end) || session_holds(session);
}

static bool session_watch_input(const struct session *session)
{
    return config.work == WORK_PIPE && !session->write_end && !session->blocked &&
           !session->ready && session->input->fd != -1;
}

static int session_items(struct session *session, struct pollfd *items)
{
    int pipe = session_watch_pipe(session) ? session->fd : -1;
    int input = session_watch_input(session) ? session->input->fd : -1;
    int output = session->output->waits ? session->output->fd : -1;
    items[ITEM_SIGNALS] = (struct pollfd){signals_fd(), POLLIN, 0};
    items[ITEM_PIPE] = (struct pollfd){pipe, POLLIN, 0};
    items[ITEM_INPUT] = (struct pollfd){input, POLLIN, 0};
    items[ITEM_OUTPUT] = (struct pollfd){output, POLLOUT, 0};
    return ITEM_COMMAND + command_polls(&session->command, items + ITEM_COMMAND);
}

static int session_timeout(const struct session *session, int64_t now)
{
    int64_t due = progress_due(), limit = session->active + config.timeout_ms;
    if (session->ready || session->moved)
        return 0;
    if (config.timeout_ms != -1 && (due == -1 || limit < due))
        due = limit;
    return due == -1 ? -1 : due > now ? (int)(due - now) : 0;
}

/*
 * The peer reads no more, if the descriptor goes on reporting something and nothing is there. Where
 * it may do so for nothing, once a millisecond (pipc.h, 12), that does not count.
 */
static void session_notice_death(struct session *session, bool woken, bool was_blocked, int64_t now)
{
    if (!woken || !session->read_end || session->write_end || was_blocked ||
        session_holds(session)) {
        session->idle_wakes = 0;
    } else if (session->idle_wakes == 0 || now - session->idle_since >= idle_wakes_max) {
        session->idle_wakes = 1;
        session->idle_since = now;
    } else if (++session->idle_wakes > idle_wakes_max) {
        note("the peer has gone");
        session->write_end = session->drained = true;
    }
}

static void session_wait(struct session *session)
{
    struct pollfd items[item_count] = {{-1, 0, 0}};
    int count = session_items(session, items);
    int64_t now = now_ms();
    if (poll(items, (nfds_t)count, session_timeout(session, now)) == -1 && errno != EINTR) {
        complain("poll: %s", strerror(errno));
        session_fail(session, CODE_LOCAL);
        return;
    }
    if (items[ITEM_SIGNALS].revents != 0)
        signals_drain();
    bool woken = items[ITEM_PIPE].revents != 0, was_blocked = session->blocked;
    if (woken)
        session->blocked = false;
    if (items[ITEM_OUTPUT].revents != 0)
        session->output->waits = false;
    if (items[ITEM_INPUT].revents != 0 && input_fill(session->input) == NEXT_FAILED)
        session_fail(session, session->input->code);
    session_notice_death(session, woken, was_blocked, now);
}

/* Bytes that have come and gone: a part of a message counts, too. */
static uint64_t session_bytes(const struct session *session)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    if (pipc_stats(session->pipe, &stats) == -1)
        return session->bytes;
    return stats.kernel_read + stats.kernel_written + stats.shared_read + stats.shared_written;
}

static void session_check_time(struct session *session)
{
    int64_t now = now_ms();
    uint64_t bytes = config.timeout_ms == -1 ? 0 : session_bytes(session);
    progress_show(now);
    if (session->moved || bytes != session->bytes)
        session->active = now;
    session->bytes = bytes;
    if (config.timeout_ms != -1 && now - session->active >= config.timeout_ms &&
        !session_over(session)) {
        complain("nothing has moved for %d.%03d seconds", config.timeout_ms / 1000,
                 config.timeout_ms % 1000);
        session_fail(session, CODE_TIMEOUT);
    }
    if (signals_caught() != 0)
        session_fail(session, session->code);
}

/* Those of --count, where no other client can bring the rest. */
static void session_miss_messages(struct session *session)
{
    bool others = config.mode == MODE_SERVE || config.mode == MODE_SERVE_UNIX;
    uint64_t came = session_received();
    if (session->code != CODE_OK || came >= config.count || signals_caught() != 0 ||
        (others && !config.once))
        return;
    complain("the peer ended after %llu of %llu messages", (unsigned long long)came,
             (unsigned long long)config.count);
    session->code = CODE_BROKEN;
}

int session_run(pipc_t *pipe, struct input *input, struct output *output)
{
    struct session session = {.pipe = pipe, .input = input, .output = output};
    command_init(&session.command);
    session.fd = pipc_fd(pipe);
    session.active = now_ms();
    if (session.fd == -1 || pipc_set_timeout(pipe, 0, write_wait_ms) == -1)
        session_fail(&session, pipe_failed("pipc_fd", errno));
    while (!session_over(&session)) {
        session.moved = false;
        session_receive(&session);
        session_send(&session);
        session_end_alone(&session);
        session_drain(&session);
        session_check_time(&session);
        if (!session_over(&session))
            session_wait(&session);
    }
    command_end(&session.command);
    session_miss_messages(&session);
    note("%llu messages sent, %llu received", (unsigned long long)session.sent,
         (unsigned long long)session.received);
    return session.code;
}
