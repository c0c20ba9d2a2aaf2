/* SPDX-License-Identifier: MIT */
#include "transport/share_doorbell.h"

#include <errno.h>

#include "sys/sys.h"
#include "transport/share.h"

/* A pipe has room for as many more. */
#define RINGS_MAX (SYS_PIPE_DOORBELL_SIZE / 4)

enum { DROP_SIZE = 1024 };

bool share_doorbell_make(struct share_doorbell *doorbell, int others[2])
{
    int own[2], peers[2];
    int saved = errno;
    bool has_own = sys_pipe_doorbell(own) == 0;
    bool has_both = has_own && sys_pipe_doorbell(peers) == 0;
    errno = saved;
    if (has_both) {
        *doorbell = (struct share_doorbell){.own = own[0], .peers = peers[1]};
        others[0] = own[1];
        others[1] = peers[0];
    } else if (has_own) {
        sys_close(own[0]);
        sys_close(own[1]);
    }
    return has_both;
}

bool share_doorbell_take(struct share_doorbell *doorbell, int others[2])
{
    if (!sys_pipe_can_be_doorbell(others[0], true) || !sys_pipe_can_be_doorbell(others[1], false))
        return false;
    *doorbell = (struct share_doorbell){.own = others[1], .peers = others[0]};
    others[0] = others[1] = -1;
    return true;
}

void share_doorbell_close(struct share_doorbell *doorbell)
{
    sys_close(doorbell->own);
    sys_close(doorbell->peers);
    *doorbell = SHARE_NO_DOORBELL;
}

static void drop_rings(struct share_doorbell *doorbell)
{
    char drop[DROP_SIZE];
    for (int i = 0; i < SYS_PIPE_DOORBELL_SIZE / DROP_SIZE; i++)
        if (sys_read(doorbell->own, SYS_DOORBELL, drop, sizeof drop) < DROP_SIZE)
            break;
    doorbell->rings = 0;
}

/*
 * Who takes an interest of this side's that is armed from here on sees that it has the pipe. The
 * byte by which the peer has tried it wakes nobody.
 */
void share_doorbell_begin(struct fd_transport *t)
{
    struct share *s = t->share;
    int saved = errno;
    if (s->doorbell.own >= 0) {
        drop_rings(&s->doorbell);
        s->doorbell.is_watched = ready_begin_pipe_doorbell(&t->ready, s->doorbell.own) == 0;
    }
    if (s->doorbell.is_watched)
        atomic_store(&s->memory.page->end[s->own_end].doorbell, 1);
    atomic_thread_fence(memory_order_seq_cst);
    errno = saved;
}

void share_doorbell_expect(struct share_doorbell *doorbell)
{
    if (!doorbell->is_watched || ++doorbell->rings < RINGS_MAX)
        return;
    int saved = errno;
    drop_rings(doorbell);
    errno = saved;
}

void share_doorbell_drain(struct fd_transport *t)
{
    struct share *s = t->share;
    if (!ready_forget(&t->ready))
        return;
    share_note_death(t, "the socket has hung up, as the set of descriptors shows");
    ring_set_dead(s->ring);
}
