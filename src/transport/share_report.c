/* SPDX-License-Identifier: MIT */
/* What the trace has of a socket that may move into shared memory. */
#include "transport/share.h"

#include <errno.h>

/* By fd_peer itself: a lock may be held that the transport's own function takes. */
void share_report(struct fd_transport *t, enum trace_event event, const char *what)
{
    char peer[TRACE_PEER_MAX];
    int saved = errno;
    if (!trace_is_on())
        return;
    fd_peer(&t->base, peer, sizeof peer);
    trace_write(&(struct trace_line){t->base.handle, event, what, NULL, peer, 0});
    errno = saved;
}

void share_note_death(struct fd_transport *t, const char *how)
{
    if (!t->share->is_dead)
        share_report(t, TRACE_DEATH, how);
    t->share->is_dead = true;
}
