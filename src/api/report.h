/* SPDX-License-Identifier: MIT */
/* What the public functions report to the trace. Each hands waiting lines to the program, too. */
#ifndef PIPC_REPORT_H
#define PIPC_REPORT_H

#include "api/handle.h"

struct server;

/* A call is refused: sets errno. `pipe` is NULL where there is no handle of this version. */
int report_refused(const pipc_t *pipe, const char *call, int error);
/* The same for errno. What has happened, or may work later, is no refusal. */
int report_failed(const pipc_t *pipe, const char *call);
/* The end of a call that is not made for each message; `result` below 0 is a failure. */
int report_end(const pipc_t *pipe, const char *call, int result);

/* Of a constructor. The number is 0 until there is a handle; it stays when that is not opened. */
struct report_open {
    const char *kind;
    const char *name; /* NULL: it has none */
    unsigned number;
};
/* It begins, and may wait for a peer. Port 0: it has none. */
void report_opening(const struct report_open *report, unsigned port);
/* Its end. NULL: errno. */
pipc_t *report_opened(pipc_t *pipe, const struct report_open *report);
/* The same of a server; NULL as above. */
void report_listening(const struct server *server, unsigned number, const char *name);
pipc_t *report_accepted(pipc_t *pipe, unsigned server_number);
void report_closing(const pipc_t *pipe, const pipc_stats_t *stats);

static inline int invalid(const pipc_t *pipe, const char *call)
{
    return report_refused(pipe, call, EINVAL);
}

static inline void *invalid_handle(const char *call)
{
    report_refused(NULL, call, EINVAL);
    return NULL;
}

#endif
