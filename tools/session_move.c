/* SPDX-License-Identifier: MIT */
/* The two directions of a session: messages from the pipe, and messages to it. */
#include "session.h"
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

/* One turn takes and sends at most so many messages, or bytes. The library reports an end or an
 * error eight times before its descriptor is silent (section 4 of pipc.h). */
enum { turn_messages = 4096, turn_bytes = 4 << 20, end_reports = 8, bye_head = 3 };

static uint64_t received_in_all;

uint64_t session_received(void)
{
    return received_in_all;
}

void session_fail(struct session *session, int code)
{
    session->failed = true;
    session->code = code;
}

/* ---- From the pipe --------------------------------------------------------------------------- */

bool session_can_read(const struct session *session)
{
    if (session->read_end || session->failed)
        return false;
    if (config.work == WORK_ECHO)
        return !session->blocked;
    if (config.work == WORK_REPLY)
        return session->command.pid == 0 && !session->command.done;
    return output_has_room(session->output);
}

static void session_read_end(struct session *session, int error)
{
    pipc_msg_t view;
    session->read_end = true;
    for (int i = 1; i < end_reports; i++)
        if (pipc_peek(session->pipe, &view) == 0)
            break;
    if (error != EPIPE) { /* both directions are dead */
        session->write_end = session->drained = true;
        session->code = pipe_failed("reading", error);
    } else if (config.need_bye && !session->bye) {
        complain("the peer ended without a goodbye");
        session->code = CODE_BROKEN;
    }
}

static void session_read_bye(struct session *session, const pipc_msg_t *view)
{
    session->bye = true;
    if (view->size > bye_head)
        report_bytes("the peer's goodbye: ", (const char *)view->data + bye_head,
                     view->size - bye_head);
    else
        note("the peer sent a goodbye");
}

static void session_count(struct session *session)
{
    session->received++;
    received_in_all++;
    if (received_in_all == config.count) {
        session->counted = session->read_end = true;
        if (config.work == WORK_PIPE)
            session->blocked = false; /* what found no room is not sent */
        note("%llu messages have come", (unsigned long long)received_in_all);
    }
}

/* Returns whether the message has been dealt with, and can go. */
static bool session_handle(struct session *session, const pipc_msg_t *view)
{
    if (config.work != WORK_ECHO) {
        bool whole = output_put(session->output, view);
        if (session->output->failed)
            session_fail(session, session->output->code);
        return whole;
    }
    if (pipc_write(session->pipe, view->data, view->size) != -1) {
        session->sent++;
        return true;
    }
    session->blocked = true;
    if (errno != EAGAIN && errno != ETIMEDOUT && errno != EINTR)
        session_fail(session, pipe_failed("echo", errno));
    return false;
}

static bool session_start_command(struct session *session, pipc_msg_t *view)
{
    pipc_msg_t message;
    if (config.work != WORK_REPLY || view->kind == PIPC_BYE)
        return false;
    if (pipc_read_msg(session->pipe, &message) == -1) {
        session_fail(session, pipe_failed("reading", errno));
        return true;
    }
    command_start(&session->command, &message);
    session_count(session);
    return true;
}

/* Takes one message, or a part of it. Returns whether there may be more. */
static bool session_receive_one(struct session *session, uint64_t *bytes)
{
    pipc_msg_t view;
    size_t before = session->output->at;
    if (pipc_peek(session->pipe, &view) == -1) {
        if (errno != EAGAIN && errno != ETIMEDOUT && errno != EINTR)
            session_read_end(session, errno);
        return false;
    }
    if (session_start_command(session, &view))
        return session->moved = true;
    size_t size = view.size;
    bool whole = true;
    if (view.kind == PIPC_BYE)
        session_read_bye(session, &view);
    else
        whole = session_handle(session, &view);
    session->moved = session->moved || whole || session->output->at != before;
    *bytes += size;
    if (!whole)
        return false;
    if (view.kind == PIPC_DATA) {
        progress_count(session->input->total, session->input->done, 0, size);
        session_count(session);
    }
    return pipc_skip(session->pipe) == 0;
}

void session_receive(struct session *session)
{
    uint64_t bytes = 0;
    for (int i = 0; i < turn_messages && bytes < turn_bytes && session_can_read(session); i++)
        if (!session_receive_one(session, &bytes))
            break;
    if (output_flush(session->output))
        session->moved = true;
    if (session->output->failed && !session->failed)
        session_fail(session, session->output->code);
}

/* ---- To the pipe ----------------------------------------------------------------------------- */

/* The peer gets all, and then an end of stream or a goodbye. */
static void session_write_end(struct session *session)
{
    if (config.bye != NULL && pipc_disconnect(session->pipe, config.bye) == -1) {
        if (errno == EAGAIN || errno == ETIMEDOUT || errno == EINTR) {
            session->blocked = true;
            return;
        }
        session->code = pipe_failed("goodbye", errno);
        session->drained = true;
    } else if (config.bye == NULL && pipc_shutdown(session->pipe) == -1) {
        session->code = pipe_failed("shutdown", errno);
        session->drained = true;
    }
    session->write_end = session->moved = true;
}

/* Returns whether it went. */
static bool session_write(struct session *session, const struct iovec *message)
{
    if (pipc_write(session->pipe, message->iov_base, message->iov_len) != -1) {
        session->moved = true;
        session->sent++;
        return true;
    }
    if (errno == EAGAIN || errno == ETIMEDOUT || errno == EINTR) {
        session->blocked = true;
    } else if (errno == EMSGSIZE || errno == ENOMEM) {
        session_fail(session, pipe_failed("writing", errno));
    } else { /* what the peer has sent can still be read */
        session->code = pipe_failed("writing", errno);
        session->write_end = session->drained = true;
    }
    return false;
}

static enum next session_next(struct session *session, struct iovec *message)
{
    enum next found = input_next(session->input, message);
    while (found == NEXT_WAIT && session->input->fd != -1 && session->input->never_waits)
        if ((found = input_fill(session->input)) == NEXT_MESSAGE)
            found = input_next(session->input, message);
    return found;
}

static void session_send_input(struct session *session)
{
    size_t bytes = 0;
    session->ready = false;
    for (int i = 0; !session->blocked; i++) {
        struct iovec message;
        enum next found = session_next(session, &message);
        if (found == NEXT_FAILED)
            session_fail(session, session->input->code);
        if (found == NEXT_END || (found != NEXT_FAILED && session->counted))
            session_write_end(session);
        if (found != NEXT_MESSAGE || session->counted)
            return;
        session->ready = i == turn_messages || bytes >= turn_bytes;
        if (session->ready || !session_write(session, &message))
            return;
        bytes += message.iov_len;
        input_consume(session->input);
        progress_count(session->input->total, session->input->done, message.iov_len, 0);
    }
}

static void session_send_reply(struct session *session)
{
    struct command *command = &session->command;
    struct buffer *reply = &command->reply;
    if (command_step(command))
        session->moved = true;
    if (command->code != CODE_OK) { /* no goodbye: that would be an end in order */
        session_fail(session, command->code);
    } else if (command->done && !session->blocked) {
        struct iovec message = {reply->data + reply->start, buffer_size(reply)};
        if (session_write(session, &message)) {
            command->done = false;
            buffer_consume(reply, buffer_size(reply));
        }
    } else if (session->read_end && command->pid == 0 && !command->done && !session->blocked) {
        session_write_end(session);
    }
}

void session_send(struct session *session)
{
    if (session->write_end || session->failed)
        return;
    if (config.work == WORK_REPLY)
        session_send_reply(session);
    else if (config.work == WORK_PIPE)
        session_send_input(session);
    else if (session->read_end && !session->blocked)
        session_write_end(session);
}
