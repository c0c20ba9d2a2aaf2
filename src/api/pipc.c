/* SPDX-License-Identifier: MIT */
/*
 * The public functions that use a handle: check arguments, find the caller's channel, hand over.
 * What they promise stands in pipc.h.
 */
#include "pipc.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "api/report.h"
#include "channel/channel_internal.h" /* for its size alone */
#include "sys/sys.h"
#include "sys/sys_unix.h"
#include "trace/trace.h"
#include "transport/transport.h"

#define TEXT_OF(number)          TEXT_OF_EXPANDED(number)
#define TEXT_OF_EXPANDED(number) #number

#define PARTS_MAX 1024 /* as writev(2) */

#define LAYOUT                                                             \
    ((size_t)PIPC_VERSION_MAJOR << 24 | (size_t)PIPC_VERSION_MINOR << 20 | \
     (size_t)PIPC_VERSION_PATCH << 16 | (sizeof(struct channel) ^ sizeof(struct transport_ops)))

const struct handle_copy handle_this_copy = {
    LAYOUT,          anonymous_channel,  anonymous_mine, anonymous_disconnect,
    anonymous_close, anonymous_bye_text, anonymous_stats};

static bool is_usable(const pipc_t *pipe)
{
    return pipe != NULL && (pipe->copy == &handle_this_copy || pipe->copy->layout == LAYOUT);
}

/* Of another version, a handle has no number that is known here. */
static int refused(const pipc_t *pipe, const char *call)
{
    return invalid(is_usable(pipe) ? pipe : NULL, call);
}

static struct channel *channel_of_other_copy(pipc_t *pipe, const char *call)
{
    if (is_usable(pipe))
        return pipe->channel != NULL ? pipe->channel : pipe->copy->channel(pipe->anonymous);
    refused(NULL, call);
    return NULL;
}

/* NULL: errno, and the trace has it. */
static inline struct channel *channel_of(pipc_t *pipe, const char *call)
{
    if (pipe == NULL || pipe->copy != &handle_this_copy)
        return channel_of_other_copy(pipe, call);
    return pipe->channel != NULL ? pipe->channel : anonymous_channel(pipe->anonymous);
}

/* For calls that take no end. */
static const struct channel *channel_if_any(const pipc_t *pipe)
{
    return pipe->anonymous == NULL ? pipe->channel : pipe->copy->mine(pipe->anonymous);
}

/* ---- closing ---- */

static void trace_close(const pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    if (pipc_stats(pipe, &stats) == 0)
        report_closing(pipe, &stats);
}

void pipc_close(pipc_t *pipe)
{
    if (!is_usable(pipe))
        return;
    int saved = errno;
    if (trace_is_on())
        trace_close(pipe);
    if (pipe->anonymous != NULL) {
        pipe->copy->close(pipe->anonymous);
    } else {
        channel_close(pipe->channel);
        sys_free(pipe);
    }
    trace_deliver();
    errno = saved;
}

static int not_supported(const pipc_t *pipe, const char *call)
{
    return report_refused(pipe, call, EOPNOTSUPP);
}

int pipc_detach(pipc_t *pipe, int fds[2])
{
    if (!is_usable(pipe) || fds == NULL)
        return refused(pipe, __func__);
    if (pipe->anonymous != NULL)
        return not_supported(pipe, __func__);
    int detached[2];
    if (channel_detach(pipe->channel, detached) != 0)
        return report_failed(pipe, __func__);
    trace(pipe->number, TRACE_CLOSE, "detached", NULL, 0);
    fds[0] = detached[0];
    fds[1] = detached[1];
    sys_free(pipe);
    trace_deliver();
    return 0;
}

/* ---- writing ---- */

static bool are_parts(const struct iovec *parts, size_t count)
{
    if (parts == NULL && count > 0)
        return false;
    for (size_t i = 0; i < count; i++)
        if (parts[i].iov_base == NULL && parts[i].iov_len > 0)
            return false;
    return true;
}

ssize_t pipc_writev(pipc_t *pipe, const struct iovec *parts, int count)
{
    if (count < 0 || count > PARTS_MAX || !are_parts(parts, (size_t)count))
        return refused(pipe, __func__);
    struct channel *channel = channel_of(pipe, __func__);
    return channel == NULL ? -1 : channel_write(channel, parts, count);
}

ssize_t pipc_write(pipc_t *pipe, const void *data, size_t size)
{
    struct iovec part = {(void *)(uintptr_t)data, size};
    if (data == NULL && size > 0)
        return refused(pipe, __func__);
    struct channel *channel = channel_of(pipe, __func__);
    return channel == NULL ? -1 : channel_write(channel, &part, 1);
}

ssize_t pipc_write_fds(pipc_t *pipe, const void *data, size_t size, const int *fds, int count)
{
    struct iovec part = {(void *)(uintptr_t)data, size};
    if (count < 0 || count > ARRIVED_OF_MESSAGE_MAX || (fds == NULL && count > 0) ||
        (data == NULL && size > 0))
        return refused(pipe, __func__);
    if (count > 0 && is_usable(pipe) && pipe->anonymous != NULL)
        return not_supported(pipe, __func__);
    struct channel *channel = channel_of(pipe, __func__);
    if (channel == NULL)
        return -1;
    return count == 0 ? channel_write(channel, &part, 1)
                      : channel_write_fds(channel, &part, fds, count);
}

ssize_t pipc_write_batch(pipc_t *pipe, const struct iovec *messages, size_t count)
{
    if (count > PTRDIFF_MAX || !are_parts(messages, count))
        return refused(pipe, __func__);
    struct channel *channel = channel_of(pipe, __func__);
    return channel == NULL ? -1 : channel_write_batch(channel, messages, count);
}

/* ---- reading ---- */

ssize_t pipc_read(pipc_t *pipe, void *buffer, size_t size)
{
    if (buffer == NULL && size > 0)
        return refused(pipe, __func__);
    struct channel *channel = channel_of(pipe, __func__);
    return channel == NULL ? -1 : channel_read(channel, buffer, size);
}

int pipc_read_msg(pipc_t *pipe, pipc_msg_t *message)
{
    if (message == NULL)
        return refused(pipe, __func__);
    struct channel *channel = channel_of(pipe, __func__);
    return channel == NULL ? -1 : channel_read_message(channel, message);
}

ssize_t pipc_read_pending(pipc_t *pipe, pipc_msg_t *messages, size_t max)
{
    if ((messages == NULL && max > 0) || max > PTRDIFF_MAX)
        return refused(pipe, __func__);
    struct channel *channel = channel_of(pipe, __func__);
    return channel == NULL ? -1 : channel_read_pending(channel, messages, max);
}

int pipc_peek(pipc_t *pipe, pipc_msg_t *view)
{
    if (view == NULL)
        return refused(pipe, __func__);
    struct channel *channel = channel_of(pipe, __func__);
    return channel == NULL ? -1 : channel_peek(channel, view);
}

int pipc_skip(pipc_t *pipe)
{
    struct channel *channel = channel_of(pipe, __func__);
    return channel == NULL ? -1 : channel_skip(channel);
}

int pipc_take_fds(pipc_t *pipe, int *fds, int max)
{
    if (!is_usable(pipe) || max < 0 || (fds == NULL && max > 0))
        return refused(pipe, __func__);
    return pipe->anonymous != NULL ? 0 : channel_take_fds(pipe->channel, fds, max);
}

const char *pipc_bye_text(const pipc_t *pipe)
{
    if (!is_usable(pipe))
        return NULL;
    return pipe->anonymous == NULL ? channel_bye_text(pipe->channel)
                                   : pipe->copy->bye_text(pipe->anonymous);
}

void pipc_msg_free(pipc_msg_t *message)
{
    if (message == NULL)
        return;
    message_free(message_of_data(message->data));
    message->data = NULL;
    message->size = 0;
}

ssize_t pipc_pending(pipc_t *pipe)
{
    struct channel *channel = channel_of(pipe, __func__);
    return channel == NULL ? -1 : channel_pending(channel);
}

/* ---- both directions ---- */

ssize_t pipc_flush(pipc_t *pipe)
{
    struct channel *channel = channel_of(pipe, __func__);
    if (channel == NULL)
        return -1;
    ssize_t unread = channel_flush(channel);
    return unread < 0 ? report_failed(pipe, __func__) : unread;
}

int pipc_shutdown(pipc_t *pipe)
{
    struct channel *channel = channel_of(pipe, __func__);
    if (channel == NULL)
        return -1;
    int result = channel_shutdown(channel);
    if (result == 0)
        trace(pipe->number, TRACE_SHUTDOWN, "this side ends writing", NULL, 0);
    return report_end(pipe, __func__, result);
}

int pipc_disconnect(pipc_t *pipe, const char *text)
{
    struct channel *channel = channel_of(pipe, __func__);
    if (channel == NULL)
        return -1;
    int result = pipe->anonymous == NULL ? channel_disconnect(channel, text)
                                         : pipe->copy->disconnect(pipe->anonymous, channel, text);
    if (result == 0)
        trace(pipe->number, TRACE_GOODBYE, "this side said goodbye", NULL, 0);
    return report_end(pipe, __func__, result);
}

int pipc_fd(pipc_t *pipe)
{
    struct channel *channel = channel_of(pipe, __func__);
    return channel == NULL ? -1 : report_end(pipe, __func__, channel_descriptor(channel));
}

int pipc_want(pipc_t *pipe, unsigned events)
{
    if ((events & ~(PIPC_WANT_READ | PIPC_WANT_WRITE)) != 0)
        return refused(pipe, __func__);
    struct channel *channel = channel_of(pipe, __func__);
    if (channel == NULL)
        return -1;
    channel_want(channel, events);
    trace_deliver();
    return 0;
}

int pipc_set_timeout(pipc_t *pipe, int read_ms, int write_ms)
{
    if (read_ms < -1 || write_ms < -1)
        return refused(pipe, __func__);
    struct channel *channel = channel_of(pipe, __func__);
    if (channel == NULL)
        return -1;
    channel_set_timeout(channel, read_ms, write_ms);
    return 0;
}

int pipc_peer(pipc_t *pipe, char *buffer, size_t size)
{
    char text[128];
    if (!is_usable(pipe) || buffer == NULL || size == 0)
        return refused(pipe, __func__);
    const struct channel *channel = channel_if_any(pipe);
    struct transport *transport = channel == NULL ? NULL : channel_transport(channel);
    if (transport == NULL)
        snprintf(text, sizeof text, "no end held");
    else
        transport->ops->peer(transport, text, sizeof text);
    trace_deliver();
    return (size_t)snprintf(buffer, size, "%s", text) < size
               ? 0
               : report_refused(pipe, __func__, ERANGE);
}

int pipc_credentials(pipc_t *pipe, pipc_credentials_t *credentials)
{
    struct sys_credentials found;
    if (!is_usable(pipe) || credentials == NULL || credentials->struct_size < sizeof *credentials)
        return refused(pipe, __func__);
    if (pipe->anonymous != NULL)
        return not_supported(pipe, __func__);
    struct transport *transport = channel_transport(pipe->channel);
    if (transport->ops->credentials(transport, &found) != 0)
        return report_failed(pipe, __func__);
    credentials->pid = (pid_t)found.pid;
    credentials->uid = (uid_t)found.uid;
    credentials->gid = (gid_t)found.gid;
    return 0;
}

/* The struct as it was at first, which every program has; it may know no more. */
#define FIRST_STATS_SIZE offsetof(pipc_stats_t, kernel_read)

int pipc_stats(const pipc_t *pipe, pipc_stats_t *stats)
{
    if (!is_usable(pipe) || stats == NULL || stats->struct_size < FIRST_STATS_SIZE)
        return refused(pipe, __func__);
    pipc_stats_t all = PIPC_STATS_INIT;
    if (pipe->anonymous != NULL)
        pipe->copy->stats(pipe->anonymous, &all);
    else
        channel_add_stats(pipe->channel, &all);
    all.struct_size = stats->struct_size;
    memcpy(stats, &all, all.struct_size < sizeof all ? all.struct_size : sizeof all);
    return 0;
}

const char *pipc_version(void)
{
    return TEXT_OF(PIPC_VERSION_MAJOR) "." TEXT_OF(PIPC_VERSION_MINOR) "." TEXT_OF(
        PIPC_VERSION_PATCH);
}
