/* SPDX-License-Identifier: MIT */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include <errno.h>
#include <unistd.h>

#include "sys/bsd/sys_bsd.h"
#include "sys/sys_alloc.h"
#include "sys/sys_descriptor.h"

static struct sys_other_table queues;
static atomic_int numbers_used; /* those of all queues are below */

const struct timespec sys_bsd_no_time = {0, 0};

struct sys_bsd_queue *sys_bsd_queue(int number)
{
    struct sys_bsd_queue *queue = sys_other_object(&queues, number);
    if (queue != NULL && !atomic_load(&queue->is_gone))
        return queue;
    errno = EBADF;
    return NULL;
}

int sys_bsd_submit(int number, const struct kevent *change)
{
    int result;
    do
        result = kevent_nocancel(number, change, 1, NULL, 0, &sys_bsd_no_time);
    while (result < 0 && errno == EINTR);
    return result;
}

bool sys_bsd_take_one(int number, struct kevent *event)
{
    int count;
    do
        count = kevent_nocancel(number, NULL, 0, event, 1, &sys_bsd_no_time);
    while (count < 0 && errno == EINTR);
    return count > 0;
}

/* ---- its life ---- */

int sys_bsd_queue_open(void)
{
    struct sys_bsd_queue *queue = sys_alloc(sizeof *queue);
    int fd = queue == NULL ? -1 : sys_other_close_on_exec(sys_above_standard(kqueue()));
    int number = sys_other_number(fd);
    if (number < 0) {
        sys_free(queue);
        return -1;
    }
    *queue = (struct sys_bsd_queue){.is_shown = false};
    int used = atomic_load(&numbers_used);
    while (used <= number && !atomic_compare_exchange_weak(&numbers_used, &used, number + 1))
        continue;
    sys_other_exchange(&queues, number, queue);
    return number;
}

void sys_bsd_queue_close(int number)
{
    struct sys_bsd_queue *queue = sys_other_exchange(&queues, number, NULL);
    if (queue == NULL)
        return;
    if (!atomic_load(&queue->is_gone))
        sys_close(number);
    sys_other_fini(&queue->members);
    sys_free(queue);
}

/* ---- in a child ---- */

static bool renew_number(int number)
{
    if (fcntl_nocancel(number, F_GETFD, 0) >= 0)
        return false;
    int fresh = kqueue();
    bool is_there = fresh == number || (fresh >= 0 && dup2_nocancel(fresh, number) == number);
    if (fresh != number)
        sys_close(fresh);
    return is_there && fcntl_nocancel(number, F_SETFD, FD_CLOEXEC) == 0;
}

bool sys_bsd_queue_renew(int number, struct sys_bsd_queue *queue)
{
    bool is_there = !atomic_load(&queue->is_gone) && renew_number(number);
    if (!is_there)
        atomic_store(&queue->is_gone, true);
    return is_there;
}

void sys_bsd_queue_each(void (*each)(int number, struct sys_bsd_queue *queue))
{
    int used = atomic_load(&numbers_used);
    for (int number = 0; number < used; number++) {
        struct sys_bsd_queue *queue = sys_other_object(&queues, number);
        if (queue != NULL)
            each(number, queue);
    }
}
#endif
