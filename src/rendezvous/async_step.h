/* SPDX-License-Identifier: MIT */
/*
 * The steps of an asynchronous transport, between its two files: async_step.c makes them and keeps
 * the set behind the descriptor, async.c has the functions of the transport.
 */
#ifndef PIPC_ASYNC_STEP_H
#define PIPC_ASYNC_STEP_H

#include <pthread.h>

#include "rendezvous/rendezvous.h"
#include "sys/sys.h"
#include "transport/transport_fd.h"

/* How soon a thread looks again while another one waits; and when the kernel lacks memory. */
#define ASYNC_PAUSE (10 * SYS_MILLISECOND)
/* After a step that lacked a descriptor or memory, before the next. */
#define ASYNC_SHORTAGE_PAUSE (50 * SYS_MILLISECOND)

enum async_state { ASYNC_OPENING, ASYNC_OPEN, ASYNC_FAILED };

struct async {
    pthread_mutex_t lock;
    enum async_state state;
    struct rendezvous *rendezvous; /* NULL once it is over */
    uint32_t opener;               /* the process whose rendezvous it is */
    int64_t retry_at;              /* nothing is done before, for lack of something; 0: no lack */
    bool has_met;                  /* but lacked something to go on with these: */
    int met[2];
    int timer; /* in the set; -1: nobody has asked for the descriptor yet */
    bool is_socket, carries_fds;
    bool is_waited_for; /* by a thread, in `wait` */
    bool is_watched;    /* the set shows what the machine waits for */
    bool is_shut_down;  /* to be done once it is open */
    bool is_reported;   /* once open: by the descriptor */
    bool is_known;      /* likewise, by a call that needs a peer */
    bool is_readable;   /* once failed: the timer is set */
    int error;
    struct arrived *arrived; /* for transport_fd, once it is open; NULL: none are to come */
};

static inline struct async *async_of(struct transport *transport)
{
    return transport_fd_more(transport);
}

void async_init(struct async *async, struct rendezvous *rendezvous);
void async_lock(struct async *async);
void async_unlock(struct async *async);
/* Whether this is the process whose rendezvous it is, and not a child of it. */
bool async_is_opener(const struct async *async);

/*
 * Make a step, if it is opening. Sets errno unless it is open, from where on the state does not
 * change any more: EAGAIN, or why it failed.
 */
enum async_state async_advance(struct transport *transport);
enum async_state async_advance_locked(struct transport *transport, struct async *async);
/* The same without a step. But a child fails, here too. */
enum async_state async_state_of(struct transport *transport);
enum async_state async_state_locked(struct transport *transport, struct async *async);
/* In the constructor. -1: errno, it will never open. */
int async_make_first_step(struct transport *transport, struct async *async);
/* A call has shown that it is open. */
void async_note_known(struct transport *transport);

/* What the machine waits for, and until when. */
void async_ask_interests(struct async *async, struct rendezvous_interests *what);
/* Not in the set while a thread waits for it: that thread makes the next step. */
void async_hide_machine(struct transport *transport, struct async *async);
/* Back in the set, unless it is there, or a thread waits for it. */
void async_show_machine(struct transport *transport, struct async *async);
/* Out of the set: from now on that shows by itself that it is open. */
void async_close_timer(struct transport *transport, struct async *async);
/* The set behind the descriptor, while it is not open. EPERM: in a child. */
int async_open_set(struct transport *transport, struct async *async);
/* Nothing is left but the descriptors of a transport that is open. */
void async_fini(struct transport *transport, struct async *async);

#endif
