/* SPDX-License-Identifier: MIT */
/* A lock that is used only where two threads share a channel (PIPC_DUPLEX). */
#ifndef PIPC_DUPLEX_LOCK_H
#define PIPC_DUPLEX_LOCK_H

#include <pthread.h>
#include <stdbool.h>

struct duplex_lock {
    bool is_used;
    pthread_mutex_t mutex;
};

static inline void duplex_lock_init(struct duplex_lock *lock, bool is_used)
{
    lock->is_used = is_used;
    pthread_mutex_init(&lock->mutex, NULL);
}

static inline void duplex_lock_fini(struct duplex_lock *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

static inline void duplex_lock(struct duplex_lock *lock)
{
    if (lock->is_used)
        pthread_mutex_lock(&lock->mutex);
}

static inline bool duplex_try_lock(struct duplex_lock *lock)
{
    return !lock->is_used || pthread_mutex_trylock(&lock->mutex) == 0;
}

static inline void duplex_unlock(struct duplex_lock *lock)
{
    if (lock->is_used)
        pthread_mutex_unlock(&lock->mutex);
}

#endif
