/* SPDX-License-Identifier: MIT */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/other/sys_other.h"

#include <errno.h>

#include "sys/sys_alloc.h"
#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_epoll.h"
#include "sys/sys_rights.h"

int sys_other_close_on_exec(int fd)
{
    if (fd < 0 || fcntl_nocancel(fd, F_SETFD, FD_CLOEXEC) == 0)
        return fd;
    sys_close(fd);
    return -1;
}

const int sys_rights_flags = 0, sys_rights_unasked = SCM_RIGHTS;

int sys_rights_own(int fd)
{
    return sys_other_close_on_exec(sys_above_standard(fd));
}

/* ---- numbers ---- */

int sys_other_number(int fd)
{
    if (fd < SYS_OTHER_NUMBERS)
        return fd;
    sys_close(fd);
    errno = EMFILE;
    return -1;
}

void *sys_other_object(struct sys_other_table *table, int number)
{
    return number < 0 || number >= SYS_OTHER_NUMBERS ? NULL : atomic_load(&table->object[number]);
}

void *sys_other_exchange(struct sys_other_table *table, int number, void *object)
{
    return number < 0 || number >= SYS_OTHER_NUMBERS
               ? NULL
               : atomic_exchange(&table->object[number], object);
}

/* ---- waits ---- */

/* They are made with poll, which nothing but a signal that is caught ends too early. */
int sys_epoll_wait_for_signal(int number, int64_t deadline)
{
    return sys_epoll_wait(number, deadline);
}

int sys_epoll_poll(int number, int64_t deadline)
{
    return sys_epoll_wait(number, deadline);
}

/* The edges would be those of doorbells that these systems do without (sys_pipe_doorbell). */
bool sys_epoll_forget(int number, int other)
{
    (void)number;
    return sys_look_for_end(other) == SYS_END;
}

bool sys_local_hung_up(int fd)
{
    return sys_look_for_end(fd) == SYS_END;
}

/* ---- members ---- */

#define NOBODY UINT64_MAX

struct sys_other_list {
    int places;
    _Atomic uint64_t member[]; /* its descriptor and, above, its events */
};

int sys_other_places(const struct sys_other_members *members)
{
    struct sys_other_list *list = atomic_load(&members->list);
    return list == NULL ? 0 : list->places;
}

struct sys_other_member sys_other_member(const struct sys_other_members *members, int place)
{
    struct sys_other_list *list = atomic_load(&members->list);
    uint64_t member = atomic_load(&list->member[place]);
    return member == NOBODY
               ? (struct sys_other_member){-1, 0}
               : (struct sys_other_member){(int)(uint32_t)member, (uint32_t)(member >> 32)};
}

int sys_other_find(const struct sys_other_members *members, int fd)
{
    int places = sys_other_places(members);
    for (int i = 0; i < places; i++)
        if (sys_other_member(members, i).fd == fd)
            return i;
    return -1;
}

static int grow(struct sys_other_members *members)
{
    struct sys_other_list *old = atomic_load(&members->list);
    int used = old == NULL ? 0 : old->places, places = used == 0 ? 2 : 2 * used;
    struct sys_other_list *list = sys_alloc(sizeof *list + (size_t)places * sizeof list->member[0]);
    if (list == NULL)
        return -1;
    list->places = places;
    for (int i = 0; i < places; i++)
        atomic_init(&list->member[i], i < used ? atomic_load(&old->member[i]) : NOBODY);
    atomic_store(&members->list, list);
    sys_free(old);
    return used;
}

int sys_other_free_place(struct sys_other_members *members)
{
    int place = sys_other_find(members, -1);
    return place >= 0 ? place : grow(members);
}

void sys_other_set(struct sys_other_members *members, int place, struct sys_other_member member)
{
    struct sys_other_list *list = atomic_load(&members->list);
    atomic_store(&list->member[place],
                 member.fd < 0 ? NOBODY : (uint64_t)member.events << 32 | (uint32_t)member.fd);
}

void sys_other_fini(struct sys_other_members *members)
{
    sys_free(atomic_load(&members->list));
}

bool sys_other_can_be_polled(int fd)
{
    struct stat status;
    if (fstat_nocancel(fd, &status) != 0)
        return false;
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
        return true;
    errno = EPERM;
    return false;
}
#endif
