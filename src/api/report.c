/* SPDX-License-Identifier: MIT */
#include "api/report.h"

#include <stdio.h>

#include "rendezvous/server.h"
#include "trace/trace.h"
#include "transport/transport.h"

static unsigned number_of(const pipc_t *pipe)
{
    return pipe == NULL ? 0 : pipe->number;
}

/* ---- the ends of calls ---- */

static int refuse(unsigned number, const char *call, int error)
{
    trace_begin(); /* it may be the first call of all */
    trace(number, TRACE_REFUSED, call, NULL, error);
    trace_deliver();
    errno = error;
    return -1;
}

int report_refused(const pipc_t *pipe, const char *call, int error)
{
    return refuse(number_of(pipe), call, error);
}

static bool is_refusal(int error)
{
    return error != EAGAIN && error != ETIMEDOUT && error != EINTR;
}

static int fail(unsigned number, const char *call)
{
    int error = errno;
    if (is_refusal(error))
        return refuse(number, call, error);
    trace_deliver();
    errno = error;
    return -1;
}

int report_failed(const pipc_t *pipe, const char *call)
{
    return fail(number_of(pipe), call);
}

int report_end(const pipc_t *pipe, const char *call, int result)
{
    if (result < 0)
        return report_failed(pipe, call);
    trace_deliver();
    return result;
}

/* ---- opening and closing ---- */

static void write_opened(const pipc_t *pipe, const struct report_open *report)
{
    char peer[TRACE_PEER_MAX];
    struct trace_line line = {
        .handle = pipe->number, .event = TRACE_OPEN, .what = report->kind, .name = report->name};
    struct transport *transport = pipe->channel == NULL ? NULL : channel_transport(pipe->channel);
    if (transport != NULL) {
        transport->ops->peer(transport, peer, sizeof peer);
        line.peer = peer;
    }
    trace_write(&line);
}

pipc_t *report_opened(pipc_t *pipe, const struct report_open *report)
{
    int error = errno;
    trace_begin();
    if (trace_is_on() && pipe != NULL)
        write_opened(pipe, report);
    else if (pipe == NULL)
        trace(report->number, TRACE_OPEN, report->kind, report->name, error);
    trace_deliver();
    errno = error;
    return pipe;
}

/* The last of a line in parentheses: a port, or nothing. */
static void write_with_port(struct trace_line line, unsigned port)
{
    char text[sizeof "port " + 10];
    snprintf(text, sizeof text, "port %u", port);
    line.peer = port != 0 ? text : NULL;
    trace_write(&line);
}

void report_listening(const struct server *server, unsigned number, const char *name)
{
    int error = errno;
    trace_begin();
    struct trace_line line = {.handle = number,
                              .event = TRACE_OPEN,
                              .what = "server",
                              .name = name,
                              .error = server == NULL ? error : 0};
    if (trace_is_on())
        write_with_port(line, server == NULL ? 0 : server_port(server));
    trace_deliver();
    errno = error;
}

pipc_t *report_accepted(pipc_t *pipe, unsigned server_number)
{
    char kind[sizeof "accepted by #" + 10] = "";
    if (pipe == NULL) {
        fail(server_number, "pipc_server_accept");
        return NULL;
    }
    if (trace_is_on())
        snprintf(kind, sizeof kind, "accepted by #%u", server_number);
    return report_opened(pipe, &(struct report_open){.kind = kind});
}

void report_opening(const struct report_open *report, unsigned port)
{
    struct trace_line line = {.handle = report->number,
                              .event = TRACE_RENDEZVOUS,
                              .what = report->kind,
                              .name = report->name};
    if (trace_is_on())
        write_with_port(line, port);
}

/* What was not read or sent is what somebody may be looking for. */
void report_closing(const pipc_t *pipe, const pipc_stats_t *stats)
{
    char counts[TRACE_PEER_MAX];
    snprintf(counts, sizeof counts, "%llu read, %llu unread, %llu written, %llu bytes not sent",
             (unsigned long long)stats->messages_read, (unsigned long long)stats->messages_pending,
             (unsigned long long)stats->messages_written, (unsigned long long)stats->bytes_held);
    trace(pipe->number, TRACE_CLOSE, counts, NULL, 0);
}

/* ---- the program's own log ---- */

void pipc_set_trace(pipc_trace_t function, void *context)
{
    int saved = errno;
    trace_begin();
    trace_set_function(function, context);
    errno = saved;
}
