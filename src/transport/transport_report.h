/* SPDX-License-Identifier: MIT */
/*
 * What happens on a transport, with its peer, for the trace. Not under a lock of the transport.
 */
#ifndef PIPC_TRANSPORT_REPORT_H
#define PIPC_TRANSPORT_REPORT_H

#include "trace/trace.h"
#include "transport/transport.h"

void transport_write_report(struct transport *transport, enum trace_event event, const char *what,
                            int error);

/* An error of 0 is left out. Keeps errno. */
static inline void transport_report(struct transport *transport, enum trace_event event,
                                    const char *what, int error)
{
    if (trace_is_on())
        transport_write_report(transport, event, what, error);
}

#endif
