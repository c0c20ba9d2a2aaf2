/* SPDX-License-Identifier: MIT */
/*
 * Process ids come back in new processes, so processes count generations: a child finds its number
 * wiped and takes the next one. Siblings may share a number, but what is compared was copied from
 * an ancestor, and those have smaller ones. The wiping is done twice over: by the kernel, which
 * also sees a fork that runs no handlers, and by a handler, since some emulators accept the request
 * and do nothing.
 *
 * The locks are taken at fork after those of the program, and before those of the allocator: so our
 * handlers are registered when we are loaded, before the program's. Then its handlers never run
 * while fork holds our locks. A program that loads us later has registered its own by then.
 *
 * The hooks of a thread are a list that hangs on a thread-specific key. Destructors of such keys
 * run in an order that nobody knows, in up to PTHREAD_DESTRUCTOR_ITERATIONS (four at least)
 * rounds. Ours lets two rounds pass: a first call on a handle in the program's own destructor, in
 * the first round, still leaves three. At the unloading of a library that contains us the key is
 * deleted, or its destructor would be called where no code is any more.
 */
#define _XOPEN_SOURCE 700
#include "sys/self.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>

#include "sys/sys_alloc.h"
#include "sys/sys_memory.h"

#define ROUNDS 3
_Static_assert(ROUNDS < _POSIX_THREAD_DESTRUCTOR_ITERATIONS, "ours has its turn in any system");
_Static_assert(sizeof(atomic_uint) == sizeof(uint32_t), "a generation is 32 bits");

static atomic_uint own_word; /* where no page can be wiped */
_Atomic(atomic_uint *) self_process_word = &own_word;
static atomic_uint generation;

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_started;
static pthread_key_t key;
static atomic_bool has_key; /* also read without the lock, while another thread starts */
static bool has_handlers;
static unsigned forking_process; /* between our first handler and our last */
static atomic_bool is_unloaded;

/* Locked in this order, with those of the hooks between the two. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static struct self_fork_hook *fork_hooks;
static void (*_Atomic first_in_child)(void);

static void set_hooks(struct self_hook *first);
static uint32_t number_of_process(void);

/* ---- fork ---- */

static void run_before_fork(void)
{
    pthread_mutex_lock(&start_lock);
    pthread_mutex_lock(&list_lock);
    for (struct self_fork_hook *hook = fork_hooks; hook != NULL; hook = hook->next)
        hook->before(hook);
    pthread_mutex_lock(&gate);
    forking_process = atomic_load(&is_started) ? number_of_process()
                                               : atomic_load(atomic_load(&self_process_word));
}

static void run_after_fork(void)
{
    pthread_mutex_unlock(&gate);
    for (struct self_fork_hook *hook = fork_hooks; hook != NULL; hook = hook->next)
        hook->after(hook);
    pthread_mutex_unlock(&list_lock);
    pthread_mutex_unlock(&start_lock);
}

/* A handler of the program that ran before this one may have asked for the child's number. */
static void wipe_number(void)
{
    unsigned inherited = forking_process;
    atomic_compare_exchange_strong(atomic_load(&self_process_word), &inherited, 0);
}

static void run_in_child(void)
{
    void (*renew)(void) = atomic_load(&first_in_child);
    if (renew != NULL)
        renew();
    pthread_mutex_unlock(&gate);
    pthread_mutex_unlock(&list_lock);
    pthread_mutex_unlock(&start_lock);
    wipe_number();
    if (has_key)
        set_hooks(NULL); /* the parent's */
    for (struct self_fork_hook *hook = fork_hooks; hook != NULL; hook = hook->next)
        hook->in_child(hook);
}

int self_watch_forks(struct self_fork_hook *hook)
{
    self_process();
    if (!atomic_load(&is_started)) {
        errno = ENOMEM;
        return -1;
    }
    pthread_mutex_lock(&list_lock);
    hook->next = fork_hooks;
    hook->at = &fork_hooks;
    if (fork_hooks != NULL)
        fork_hooks->at = &hook->next;
    fork_hooks = hook;
    pthread_mutex_unlock(&list_lock);
    return 0;
}

void self_unwatch_forks(struct self_fork_hook *hook)
{
    pthread_mutex_lock(&list_lock);
    *hook->at = hook->next;
    if (hook->next != NULL)
        hook->next->at = hook->at;
    pthread_mutex_unlock(&list_lock);
}

void self_first_in_child(void (*renew)(void))
{
    atomic_store(&first_in_child, renew);
}

void self_hold_forks(void)
{
    pthread_mutex_lock(&gate);
}

void self_release_forks(void)
{
    pthread_mutex_unlock(&gate);
}

/* ---- the end of a thread ---- */

static void set_hooks(struct self_hook *first)
{
    pthread_setspecific(key, first);
}

static void run_hooks(void *value)
{
    struct self_hook *first = value;
    if (!self_is_process(first->process))
        return; /* a child's copy: the hooks are the parent's */
    if (++first->rounds < ROUNDS) {
        set_hooks(first);
        return;
    }
    /* Each may forget others of this thread. */
    set_hooks(first);
    while ((first = pthread_getspecific(key)) != NULL) {
        self_forget(first);
        first->ended(first);
    }
}

/* The caller holds start_lock. What fails here is tried again with the first handle. */
static void add_handlers(void)
{
    if (!has_handlers)
        has_handlers = pthread_atfork(run_before_fork, run_after_fork, run_in_child) == 0;
}

/*
 * Before constructors without a number, which may be the program's. An allocator that registers
 * handlers at its first call does so before us: its locks are taken after ours.
 */
__attribute__((constructor(103))) static void load(void)
{
    void *volatile block = sys_alloc(1);
    sys_free(block);
    pthread_mutex_lock(&start_lock);
    add_handlers();
    pthread_mutex_unlock(&start_lock);
}

/* What fails here for want of memory or keys is tried again the next time. */
static void start_hooks(void)
{
    pthread_mutex_lock(&start_lock);
    if (atomic_load(&self_process_word) == &own_word && atomic_load(&own_word) == 0) {
        atomic_uint *page = sys_page_wiped_on_fork();
        if (page != NULL)
            atomic_store(&self_process_word, page);
    }
    if (!has_key)
        has_key = pthread_key_create(&key, run_hooks) == 0;
    add_handlers();
    atomic_store(&is_started, has_key && has_handlers);
    pthread_mutex_unlock(&start_lock);
}

static uint32_t number_of_process(void)
{
    atomic_uint *word = atomic_load(&self_process_word);
    unsigned now = atomic_load(word);
    if (now != 0) {
        atomic_store(&generation, now); /* for who forks before the thread that wrote it does so */
        return now;
    }
    unsigned next = atomic_load(&generation) + 1;
    if (atomic_compare_exchange_strong(word, &now, next))
        now = next;
    atomic_store(&generation, now);
    return now;
}

uint32_t self_process(void)
{
    if (!atomic_load(&is_started))
        start_hooks();
    return number_of_process();
}

int self_remember(struct self_hook *hook)
{
    hook->process = self_process();
    hook->next = NULL;
    hook->rounds = 0;
    if (atomic_load(&is_unloaded))
        return 0; /* the process is about to exit */
    struct self_hook *first = atomic_load(&is_started) ? pthread_getspecific(key) : NULL;
    if (first != NULL && first->process == hook->process) {
        hook->next = first;
        hook->rounds = first->rounds;
    }
    if (atomic_load(&is_started) && pthread_setspecific(key, hook) == 0)
        return 0;
    errno = ENOMEM;
    return -1;
}

void self_forget(struct self_hook *hook)
{
    struct self_hook *first =
        atomic_load(&is_unloaded) || !has_key ? NULL : pthread_getspecific(key);
    if (first == hook) {
        if (hook->next != NULL)
            hook->next->rounds = hook->rounds;
        set_hooks(hook->next);
        return;
    }
    for (; first != NULL; first = first->next)
        if (first->next == hook) {
            first->next = hook->next;
            return;
        }
}

void self_forget_inherited(void)
{
    struct self_hook *first = has_key ? pthread_getspecific(key) : NULL;
    if (first != NULL && !self_is_process(first->process))
        set_hooks(NULL);
}

__attribute__((destructor)) static void unload(void)
{
    pthread_mutex_lock(&start_lock);
    atomic_store(&is_unloaded, true);
    if (has_key)
        pthread_key_delete(key);
    pthread_mutex_unlock(&start_lock);
}
