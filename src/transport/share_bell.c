/* SPDX-License-Identifier: MIT */
#include "transport/share_bell.h"

#include <errno.h>

#include "sys/sys.h"
#include "transport/share.h"

/* A pipe has room for as many more. */
#define RINGS_MAX (SYS_PIPE_BELL_SIZE / 4)

bool share_bell_make(struct share_bell *bell, int others[2])
{
    int own[2], peers[2];
    int saved = errno;
    bool has_own = sys_pipe_bell(own) == 0;
    bool has_both = has_own && sys_pipe_bell(peers) == 0;
    errno = saved;
    if (has_both) {
        *bell = (struct share_bell){.own = own[0], .peers = peers[1]};
        others[0] = own[1];
        others[1] = peers[0];
    } else if (has_own) {
        sys_close(own[0]);
        sys_close(own[1]);
    }
    return has_both;
}

bool share_bell_take(struct share_bell *bell, int others[2])
{
    if (!sys_pipe_is_end(others[0], true) || !sys_pipe_is_end(others[1], false))
        return false;
    *bell = (struct share_bell){.own = others[1], .peers = others[0]};
    others[0] = others[1] = -1;
    return true;
}

void share_bell_close(struct share_bell *bell)
{
    sys_close(bell->own);
    sys_close(bell->peers);
    *bell = SHARE_NO_BELL;
}

/* Who takes an interest of this side's that is armed from here on sees that it has the pipe. */
void share_bell_begin(struct fd_transport *t)
{
    struct share *s = t->share;
    int saved = errno;
    s->bell.is_watched = s->bell.own >= 0 && ready_begin_bell(&t->ready, s->bell.own) == 0;
    if (s->bell.is_watched)
        atomic_store(&s->memory.page->end[s->own_end].bell, 1);
    atomic_thread_fence(memory_order_seq_cst);
    errno = saved;
}

void share_bell_expect(struct share_bell *bell)
{
    char drop[SYS_PIPE_BELL_SIZE];
    if (!bell->is_watched || ++bell->rings < RINGS_MAX)
        return;
    int saved = errno;
    sys_read(bell->own, SYS_PIPE, drop, sizeof drop);
    bell->rings = 0;
    errno = saved;
}

void share_bell_drain(struct fd_transport *t)
{
    struct share *s = t->share;
    if (!sys_epoll_forget(t->ready.set, t->in))
        return;
    share_note_death(t, "the socket has hung up, as the set of descriptors shows");
    ring_set_dead(s->ring);
}
