/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that came with the bytes of a stream, oldest first. A transport adds them, and who
 * reads its messages takes them out. One thread uses it: the one that reads.
 *
 *   current     of the message that the program took last: pipc_take_fds gives these
 *   claimed     of messages that are whole in memory; the current ones come first among these
 *   come        of a message that is not whole yet, and then perhaps of one behind it
 *   ahead       known, but the bytes that they come with are not read yet
 *
 * A transport reads more only when no whole message is in its memory. So when it begins to read,
 * all that have come and are unclaimed belong to one message. Those that the next read brings may
 * belong to another.
 */
#ifndef PIPC_ARRIVED_H
#define PIPC_ARRIVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sys/sys_rights.h"

enum {
    ARRIVED_OF_MESSAGE_MAX = SYS_RIGHTS_MAX,
    ARRIVED_MAX = 64 /* more stay in the kernel */
};
_Static_assert(3 * ARRIVED_OF_MESSAGE_MAX <= ARRIVED_MAX,
               "those of the current message, the next and one behind it have room");

struct arrived {
    int fd[ARRIVED_MAX];
    uint64_t at[ARRIVED_MAX]; /* `received` when each had come */
    int count, claimed, current, ahead;
    int error;         /* instead of those that are ahead: EPROTO, ECONNRESET; 0 */
    uint64_t received; /* bytes that the transport has read */
    bool skips;        /* the next one is for nobody */
    bool is_cut;       /* the last read stopped at descriptors: more bytes may be there */
    bool is_empty;     /* the last look found nothing */
    int refusals;      /* looks in a row that found none at the same place, with numbers free */
    int refused_place; /* where */
    int64_t refused_since;
    bool is_full; /* the last read left descriptors in the kernel, since no room is here */
};

struct arrived *arrived_new(void);          /* NULL: ENOMEM */
void arrived_free(struct arrived *arrived); /* closes what is left; NULL is nothing */

/* They are ahead. False: no room; nothing is kept. */
bool arrived_add(struct arrived *arrived, const struct sys_rights *rights);
/* The last byte that was read has brought those that were ahead. */
void arrived_come(struct arrived *arrived);
/*
 * A message is whole: claim those that came up to its end, behind which `unread` bytes are in
 * memory. Returns how many; more than ARRIVED_OF_MESSAGE_MAX: nobody may send so many.
 */
int arrived_claim(struct arrived *arrived, size_t unread);
/* The program has taken a message with so many: those of the one before are closed. */
void arrived_make_current(struct arrived *arrived, int count);
/* Up to `max` of the current ones; returns how many. */
int arrived_take(struct arrived *arrived, int *fds, int max);
/* The stream has ended: no message will claim the rest. */
void arrived_drop_unclaimed(struct arrived *arrived);

/* That have come. */
static inline int arrived_unclaimed(const struct arrived *arrived)
{
    return arrived->count - arrived->ahead - arrived->claimed;
}

#endif
