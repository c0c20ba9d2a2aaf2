/* SPDX-License-Identifier: MIT */
/*
 * The command of --reply: it runs once for each message, gets it as its input, and prints the
 * reply. Its pipes are polled beside everything else.
 */
#include "pipccat.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { command_piece = 1 << 16 };

void command_init(struct command *command)
{
    memset(command, 0, sizeof *command);
    command->in = command->out = -1;
}

static void command_close(int *fd)
{
    if (*fd != -1)
        close(*fd);
    *fd = -1;
}

void command_start(struct command *command, pipc_msg_t *message)
{
    char shell[] = "/bin/sh", option[] = "-c";
    char *argv[] = {shell, option, (char *)(uintptr_t)config.reply, NULL};
    int fds[2];
    command->message = *message;
    command->at = 0;
    command->done = false;
    command->pid = child_start(argv, fds, true);
    if (command->pid == -1) {
        command->pid = 0;
        command->code = CODE_PROGRAM;
        return;
    }
    command->out = fds[0];
    command->in = fds[1];
    /* Each is the only user of its open file: the program has the other ends. */
    if (fcntl(command->in, F_SETFL, O_NONBLOCK) == -1 ||
        fcntl(command->out, F_SETFL, O_NONBLOCK) == -1)
        command->code = CODE_LOCAL;
}

/* A program that does not read its input ignores it: that is no failure. */
static bool command_feed(struct command *command)
{
    if (command->in == -1)
        return false;
    const char *data = command->message.data;
    size_t left = command->message.size - command->at;
    ssize_t done = left > 0 ? write(command->in, data + command->at, left) : 0;
    if (done > 0)
        command->at += (size_t)done;
    if (command->at == command->message.size || (done == -1 && errno != EAGAIN && errno != EINTR)) {
        command_close(&command->in);
        pipc_msg_free(&command->message);
        return true;
    }
    return done > 0;
}

static bool command_drain(struct command *command)
{
    struct buffer *reply = &command->reply;
    if (command->out == -1)
        return false;
    if (buffer_reserve(reply, command_piece) == -1) {
        command->code = CODE_LOCAL;
        return false;
    }
    ssize_t got = read(command->out, reply->data + reply->end, command_piece);
    if (got == -1 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        command_close(&command->out);
        return true;
    }
    reply->end += (size_t)got;
    if (buffer_size(reply) > config.max_message) {
        complain("the reply is larger than %zu bytes; see --max-message", config.max_message);
        command->code = CODE_TOO_LARGE;
    }
    return true;
}

static bool command_reap(struct command *command)
{
    int status;
    if (command->out != -1 || waitpid(command->pid, &status, WNOHANG) != command->pid)
        return false;
    command_close(&command->in);
    pipc_msg_free(&command->message);
    command->pid = 0;
    command->done = true;
    if (status != 0) {
        complain("the command of --reply failed: %s %d", WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        command->code = CODE_PROGRAM;
    }
    return true;
}

bool command_step(struct command *command)
{
    if (command->pid == 0 || command->code != CODE_OK)
        return false;
    bool fed = command_feed(command), drained = command_drain(command);
    return command_reap(command) || fed || drained;
}

int command_polls(const struct command *command, struct pollfd *items)
{
    items[0] = (struct pollfd){command->in, POLLOUT, 0};
    items[1] = (struct pollfd){command->out, POLLIN, 0};
    return 2;
}

void command_end(struct command *command)
{
    command_close(&command->in);
    command_close(&command->out);
    if (command->pid > 0)
        child_stop(-command->pid);
    pipc_msg_free(&command->message);
    buffer_free(&command->reply);
    command_init(command);
}
