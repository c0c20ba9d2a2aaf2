/* SPDX-License-Identifier: MIT */
/*
 * When the descriptor that the program polls is readable: a state machine, its table in
 * descriptor.c. It decides; transport_ring rings, drains and arms.
 */
#ifndef PIPC_DESCRIPTOR_H
#define PIPC_DESCRIPTOR_H

enum descriptor_state {
    DESCRIPTOR_UNKNOWN,  /* at first, and since a call has waited */
    DESCRIPTOR_DRAINED,  /* not readable, until the peer clears our interest */
    DESCRIPTOR_READABLE, /* the doorbell has been rung */
};

enum descriptor_event {
    DESCRIPTOR_WAITED,     /* a call waits with an interest of its own, and drains the doorbell */
    DESCRIPTOR_WORK,       /* there is something to do */
    DESCRIPTOR_NEW_WORK,   /* the same for a caller that found too little, or no room, before */
    DESCRIPTOR_IDLE,       /* there is nothing to do */
    DESCRIPTOR_STILL_IDLE, /* the same, and the interest is still armed after some progress */
    DESCRIPTOR_CAME,       /* something came while the interest was being armed */
};

enum descriptor_action {
    DESCRIPTOR_KEEP,
    DESCRIPTOR_RING, /* makes a new edge, also when it is readable already */
    DESCRIPTOR_DRAIN /* and arm: when that finds something, DESCRIPTOR_CAME follows */
};

enum descriptor_action descriptor_step(enum descriptor_state *state, enum descriptor_event event);

#endif
