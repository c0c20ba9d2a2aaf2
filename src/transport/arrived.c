/* SPDX-License-Identifier: MIT */
#include "transport/arrived.h"

#include <string.h>

#include "sys/sys.h"

struct arrived *arrived_new(void)
{
    struct arrived *a = sys_alloc(sizeof *a);
    if (a != NULL)
        memset(a, 0, sizeof *a);
    return a;
}

void arrived_free(struct arrived *a)
{
    if (a == NULL)
        return;
    for (int i = 0; i < a->count; i++)
        sys_close(a->fd[i]);
    sys_free(a);
}

bool arrived_add(struct arrived *a, const struct sys_rights *rights)
{
    if (rights->count > ARRIVED_MAX - a->count)
        return false;
    for (int i = 0; i < rights->count; i++)
        a->fd[a->count++] = rights->fds[i];
    a->ahead += rights->count;
    return true;
}

void arrived_come(struct arrived *a)
{
    while (a->ahead > 0)
        a->at[a->count - a->ahead--] = a->received;
}

int arrived_claim(struct arrived *a, size_t unread)
{
    int before = a->claimed;
    while (arrived_unclaimed(a) > 0 && a->at[a->claimed] <= a->received - unread)
        a->claimed++;
    return a->claimed - before;
}

/* The first ones, which are current, have gone. */
static void forget_first(struct arrived *a, int gone)
{
    a->count -= gone;
    a->claimed -= gone;
    a->current -= gone;
    memmove(a->fd, a->fd + gone, (size_t)a->count * sizeof a->fd[0]);
    memmove(a->at, a->at + gone, (size_t)a->count * sizeof a->at[0]);
}

void arrived_make_current(struct arrived *a, int count)
{
    for (int i = 0; i < a->current; i++)
        sys_close(a->fd[i]);
    forget_first(a, a->current);
    a->current = count;
}

int arrived_take(struct arrived *a, int *fds, int max)
{
    int taken = max < a->current ? max : a->current;
    if (taken == 0)
        return 0;
    memcpy(fds, a->fd, (size_t)taken * sizeof *fds);
    forget_first(a, taken);
    return taken;
}

void arrived_drop_unclaimed(struct arrived *a)
{
    a->ahead = 0;
    while (a->count > a->claimed)
        sys_close(a->fd[--a->count]);
}
