/* SPDX-License-Identifier: MIT */
/* Descriptors that come with messages (PIPC_ACCEPT_FDS). */
#include "channel/inbound.h"

int inbound_reserve_fds(struct inbound *in)
{
    in->arrived = arrived_new();
    return in->arrived == NULL ? -1 : 0;
}

int inbound_take_fds(struct inbound *in, int *fds, int max)
{
    return in->takes_fds ? arrived_take(in->arrived, fds, max) : 0;
}

void inbound_close_fds(struct inbound *in)
{
    inbound_give_fds(in, 0);
}

bool inbound_claim_arrived(struct inbound *in, uint8_t *count)
{
    struct transport *t = in->transport;
    if (arrived_unclaimed(in->arrived) == 0)
        return true;
    ssize_t unread = t->ops->peek(t, 0, PEEK_MEMORY, &in->view);
    int claimed = arrived_claim(in->arrived, (size_t)unread);
    if (claimed > ARRIVED_OF_MESSAGE_MAX) {
        in->arrived->claimed -= claimed; /* of a message that nobody gets */
        return false;
    }
    *count = (uint8_t)claimed;
    return true;
}
