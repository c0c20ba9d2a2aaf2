/* SPDX-License-Identifier: MIT */
#include "rendezvous/pending.h"

#include <string.h>

_Static_assert(sizeof((struct pending_group *)0)->network <= sizeof((struct sys_address *)0)->bytes,
               "a network is the beginning of an address");

static struct pending_group *find_group(struct pending *p, const struct sys_address *from)
{
    struct pending_group wanted = {.family = from->family};
    struct pending_group *free_place = NULL;
    memcpy(wanted.network, from->bytes, from->family == SYS_IPV4 ? 4 : sizeof wanted.network);
    for (int i = 0; i <= PENDING_MAX; i++) {
        struct pending_group *group = &p->groups[i];
        if (group->count == 0)
            free_place = group;
        else if (group->family == wanted.family &&
                 memcmp(group->network, wanted.network, sizeof wanted.network) == 0)
            return group;
    }
    *free_place = wanted; /* there is one: each handshake has one group at most */
    return free_place;
}

void pending_add(struct pending *p, struct handshake *h, const struct sys_address *from)
{
    h->group = find_group(p, from);
    h->group->count++;
    h->previous = p->newest;
    h->next = NULL;
    if (p->newest != NULL)
        p->newest->next = h;
    else
        p->oldest = h;
    p->newest = h;
    p->count++;
}

void pending_remove(struct pending *p, struct handshake *h)
{
    if (h->previous != NULL)
        h->previous->next = h->next;
    else
        p->oldest = h->next;
    if (h->next != NULL)
        h->next->previous = h->previous;
    else
        p->newest = h->previous;
    h->group->count--;
    p->count--;
}

struct handshake *pending_find(const struct pending *p, int fd)
{
    struct handshake *h = p->oldest;
    while (h != NULL && h->fd != fd)
        h = h->next;
    return h;
}

struct handshake *pending_choose(const struct pending *p, bool silent)
{
    struct handshake *chosen = NULL;
    for (struct handshake *h = p->oldest; h != NULL; h = h->next) {
        if (silent && handshake_has_shown_key(h))
            continue;
        if (chosen == NULL || h->group->count > chosen->group->count ||
            (h->group->count == chosen->group->count && handshake_has_shown_key(chosen) &&
             !handshake_has_shown_key(h)))
            chosen = h;
    }
    return chosen;
}

void pending_turn_away(struct pending *p, struct handshake *h, pending_end *end)
{
    pending_remove(p, h);
    end(h);
}

bool pending_admit(struct pending *p, struct handshake *h, const struct sys_address *from, int max,
                   pending_end *end)
{
    pending_add(p, h, from);
    if (p->count <= max)
        return true;
    struct handshake *chosen = pending_choose(p, false);
    handshake_report(chosen, "turned away: too many are pending", 0);
    pending_turn_away(p, chosen, end);
    return chosen != h;
}

bool pending_make_room(struct pending *p, pending_end *end)
{
    struct handshake *h = pending_choose(p, true);
    if (h == NULL)
        return false;
    handshake_report(h, "turned away: descriptors or memory are short", 0);
    pending_turn_away(p, h, end);
    return true;
}

void pending_turn_away_all(struct pending *p, pending_end *end)
{
    while (p->oldest != NULL)
        pending_turn_away(p, p->oldest, end);
}
