/* SPDX-License-Identifier: MIT */
#include "self.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "sys.h"

/*
 * Thread ids and addresses of thread-local variables come back in new threads, and process ids in
 * new processes. So threads count up, and processes count generations: a child finds its stamp
 * wiped and writes the next one. Siblings may share a number, but what is compared was copied from
 * an ancestor, and those have smaller ones.
 */
static atomic_uint own_stamp; /* where no page can be wiped, a fork handler zeroes this */
_Atomic(atomic_uint *) self_stamp = &own_stamp;
static atomic_uint generation;
static atomic_uint threads;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;

_Thread_local struct self_thread self_thread;

static void wipe_own_stamp(void)
{
    atomic_store(&own_stamp, 0);
}

static void run_hooks(void *unused)
{
    (void)unused;
    struct self_thread *me = &self_thread;
    if (me->id >> 32 != atomic_load(atomic_load(&self_stamp)))
        return; /* a child's copy: the hooks are the parent's */
    while (me->hooks != NULL) {
        struct self_hook *hook = me->hooks;
        me->hooks = hook->next;
        hook->ended(hook);
    }
}

static void start(void)
{
    atomic_uint *page = sys_page_wiped_on_fork();
    key_error = pthread_key_create(&key, run_hooks);
    if (page != NULL)
        atomic_store(&self_stamp, page);
    else
        pthread_atfork(NULL, NULL, wipe_own_stamp);
}

uint32_t self_process(void)
{
    pthread_once(&once, start);
    atomic_uint *page = atomic_load(&self_stamp);
    unsigned now = atomic_load(page);
    if (now != 0) {
        atomic_store(&generation, now); /* for who forks before the thread that wrote it does so */
        return now;
    }
    unsigned next = atomic_load(&generation) + 1;
    if (atomic_compare_exchange_strong(page, &now, next))
        now = next;
    atomic_store(&generation, now);
    return now;
}

uint64_t self_new_id(void)
{
    uint64_t process = self_process();
    self_thread.id = process << 32 | (atomic_fetch_add(&threads, 1) + 1);
    self_thread.hooks = NULL;
    return self_thread.id;
}

int self_remember(struct self_hook *hook)
{
    self_id();
    int failed = key_error != 0 ? key_error : pthread_setspecific(key, &self_thread);
    if (failed != 0) {
        errno = failed;
        return -1;
    }
    hook->next = self_thread.hooks;
    self_thread.hooks = hook;
    return 0;
}

void self_forget(struct self_hook *hook)
{
    for (struct self_hook **at = &self_thread.hooks; *at != NULL; at = &(*at)->next)
        if (*at == hook) {
            *at = hook->next;
            return;
        }
}
