/* SPDX-License-Identifier: MIT */
#include "transport/transport_report.h"

#include <errno.h>

void transport_write_report(struct transport *transport, enum trace_event event, const char *what,
                            int error)
{
    char peer[TRACE_PEER_MAX];
    int saved = errno;
    transport->ops->peer(transport, peer, sizeof peer);
    trace_write(&(struct trace_line){transport->handle, event, what, NULL, peer, error});
    errno = saved;
}
