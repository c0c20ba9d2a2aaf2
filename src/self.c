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
static _Atomic(atomic_uint *) stamp; /* NULL before the first use */
static atomic_uint own_stamp;        /* where no page can be wiped, a fork handler zeroes this */
static atomic_uint generation;
static atomic_uint threads;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;

/*
 * Next to the thread pointer: a call for each access, otherwise. (musl lets no dlopen have such
 * variables.)
 */
#ifdef __GLIBC__
__attribute__((tls_model("initial-exec")))
#endif
static _Thread_local struct {
    uint64_t id;
    struct self_hook *hooks;
} me;

static void wipe_own_stamp(void)
{
    atomic_store(&own_stamp, 0);
}

static void run_hooks(void *unused)
{
    (void)unused;
    if (me.id >> 32 != atomic_load(atomic_load(&stamp)))
        return; /* a child's copy: the hooks are the parent's */
    while (me.hooks != NULL) {
        struct self_hook *hook = me.hooks;
        me.hooks = hook->next;
        hook->ended(hook);
    }
}

static void start(void)
{
    atomic_uint *page = sys_page_wiped_on_fork();
    if (page == NULL) {
        page = &own_stamp;
        pthread_atfork(NULL, NULL, wipe_own_stamp);
    }
    key_error = pthread_key_create(&key, run_hooks);
    atomic_store(&stamp, page);
}

static uint32_t process_stamp(void)
{
    atomic_uint *page = atomic_load_explicit(&stamp, memory_order_acquire);
    if (page == NULL) {
        pthread_once(&once, start);
        page = atomic_load(&stamp);
    }
    unsigned now = atomic_load_explicit(page, memory_order_relaxed);
    if (now != 0)
        return now;
    unsigned next = atomic_load(&generation) + 1;
    if (atomic_compare_exchange_strong(page, &now, next))
        now = next;
    atomic_store(&generation, now);
    return now;
}

uint32_t self_process(void)
{
    return process_stamp();
}

uint64_t self_id(void)
{
    uint32_t process = process_stamp();
    if (me.id >> 32 != process) {
        me.id = (uint64_t)process << 32 | (atomic_fetch_add(&threads, 1) + 1);
        me.hooks = NULL;
    }
    return me.id;
}

int self_remember(struct self_hook *hook)
{
    self_id();
    int failed = key_error != 0 ? key_error : pthread_setspecific(key, &me);
    if (failed != 0) {
        errno = failed;
        return -1;
    }
    hook->next = me.hooks;
    me.hooks = hook;
    return 0;
}

void self_forget(struct self_hook *hook)
{
    for (struct self_hook **at = &me.hooks; *at != NULL; at = &(*at)->next)
        if (*at == hook) {
            *at = hook->next;
            return;
        }
}
