/* SPDX-License-Identifier: MIT */
/*
 * What the systems other than Linux share: descriptors that are made with more than one call, and
 * sets with a number that is the program's as well. Private to the folders of these systems.
 */
#ifndef PIPC_SYS_OTHER_H
#define PIPC_SYS_OTHER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Hands fd back, close-on-exec from here on; or -1, and it is closed. A negative one is nothing. */
int sys_other_close_on_exec(int fd);

/* ---- numbers ---- */

/*
 * The layers above keep sets and timers by a number, like any descriptor. It is one, so that nobody
 * else has it, and a table leads from it to the rest.
 */
enum { SYS_OTHER_NUMBERS = 65536 };

struct sys_other_table {
    void *_Atomic object[SYS_OTHER_NUMBERS];
};

int sys_other_number(int fd); /* fd, if a table has room for it; or -1, EMFILE, and it is closed */
void *sys_other_object(struct sys_other_table *table, int number); /* NULL: there is none */
/* Returns what was there before. */
void *sys_other_exchange(struct sys_other_table *table, int number, void *object);

/* ---- members ---- */

/*
 * The descriptors in a set, each in a place, with its events. A handler of fork, in a child, may
 * find it in any state: it changes by single atomic stores.
 */
struct sys_other_members {
    struct sys_other_list *_Atomic list; /* NULL: none yet */
};

struct sys_other_member {
    int fd; /* -1: nobody has this place */
    uint32_t events;
};

int sys_other_places(const struct sys_other_members *members);
struct sys_other_member sys_other_member(const struct sys_other_members *members, int place);
int sys_other_find(const struct sys_other_members *members, int fd); /* its place, or -1 */
int sys_other_free_place(struct sys_other_members *members);         /* -1: ENOMEM */
void sys_other_set(struct sys_other_members *members, int place, struct sys_other_member member);
void sys_other_fini(struct sys_other_members *members);

/* A regular file or a directory, which is ready at any time, cannot: EPERM. */
bool sys_other_can_be_polled(int fd);

#endif
