/* SPDX-License-Identifier: MIT */
/*
 * The heap's ledger: a hash table of the live blocks of the library and the test, by address.
 */
#include "ledger.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

/* The ledger's own memory is not in the ledger. */
void *__real_malloc(size_t size);
void __real_free(void *block);

_Thread_local bool ledger_in_heap;

/* Addresses are kept inverted, so that no leak checker takes the ledger for an owner. */
struct entry {
    uintptr_t inverted; /* 0: empty */
    size_t size;
};

static struct {
    pthread_mutex_t lock;
    struct entry *entries;
    size_t capacity; /* a power of two, at least twice the blocks */
    size_t blocks, bytes, peak;
} ledger = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void lock_ledger(void)
{
    pthread_mutex_lock(&ledger.lock);
}

static void unlock_ledger(void)
{
    pthread_mutex_unlock(&ledger.lock);
}

_Thread_local bool ledger_is_away;

/* A static musl keeps blocks for the handlers of fork and for the environment: they are no leak. */
int __real_pthread_atfork(void (*before)(void), void (*after)(void), void (*child)(void));
int __wrap_pthread_atfork(void (*before)(void), void (*after)(void), void (*child)(void));
int __real_setenv(const char *name, const char *value, int replace);
int __wrap_setenv(const char *name, const char *value, int replace);

int __wrap_pthread_atfork(void (*before)(void), void (*after)(void), void (*child)(void))
{
    ledger_is_away = true;
    int error = __real_pthread_atfork(before, after, child);
    ledger_is_away = false;
    return error;
}

int __wrap_setenv(const char *name, const char *value, int replace)
{
    ledger_is_away = true;
    int result = __real_setenv(name, value, replace);
    ledger_is_away = false;
    return result;
}

/* A program forks while other threads allocate, also in the library, which locks before this. */
__attribute__((constructor(101))) static void keep_ledger_over_fork(void)
{
    pthread_atfork(lock_ledger, unlock_ledger, unlock_ledger);
}

static size_t home_of(uintptr_t inverted)
{
    return (size_t)((inverted >> 4) * 0x9e3779b97f4a7c15u) & (ledger.capacity - 1);
}

/* Where it is, or would be. */
static struct entry *place_of(uintptr_t inverted)
{
    size_t at = home_of(inverted);
    while (ledger.entries[at].inverted != 0 && ledger.entries[at].inverted != inverted)
        at = (at + 1) & (ledger.capacity - 1);
    return &ledger.entries[at];
}

static void enlarge(void)
{
    struct entry *old = ledger.entries;
    size_t old_capacity = ledger.capacity;
    ledger.capacity = old_capacity == 0 ? 65536 : old_capacity * 2;
    ledger.entries = __real_malloc(ledger.capacity * sizeof *old);
    if (ledger.entries == NULL)
        abort();
    memset(ledger.entries, 0, ledger.capacity * sizeof *old);
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].inverted != 0)
            *place_of(old[i].inverted) = old[i];
    ledger_in_heap = true;
    __real_free(old);
    ledger_in_heap = false;
}

void ledger_enter(const void *block, size_t size)
{
    if (block == NULL || ledger_is_away)
        return;
    lock_ledger();
    if (ledger.capacity <= 2 * ledger.blocks)
        enlarge();
    struct entry *place = place_of(~(uintptr_t)block);
    if (place->inverted == 0)
        ledger.blocks++;
    else /* a static musl has a calloc that calls malloc, which was replaced as well */
        ledger.bytes -= place->size;
    *place = (struct entry){~(uintptr_t)block, size};
    ledger.bytes += size;
    if (ledger.bytes > ledger.peak)
        ledger.peak = ledger.bytes;
    unlock_ledger();
}

/* Later entries of the same run move up, so that no search ends at the hole. */
static void close_hole(size_t hole)
{
    size_t mask = ledger.capacity - 1;
    for (size_t at = (hole + 1) & mask; ledger.entries[at].inverted != 0; at = (at + 1) & mask) {
        size_t home = home_of(ledger.entries[at].inverted);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            ledger.entries[hole] = ledger.entries[at];
            hole = at;
        }
    }
    ledger.entries[hole].inverted = 0;
}

bool ledger_strike(const void *block, size_t *size)
{
    bool found = false;
    lock_ledger();
    if (block != NULL && ledger.capacity > 0) {
        struct entry *place = place_of(~(uintptr_t)block);
        found = place->inverted != 0;
        if (found) {
            *size = place->size;
            close_hole((size_t)(place - ledger.entries));
            ledger.blocks--;
            ledger.bytes -= *size;
        }
    }
    unlock_ledger();
    return found;
}

/* Other threads may be at it. */
static size_t look_up(const size_t *count)
{
    lock_ledger();
    size_t now = *count;
    unlock_ledger();
    return now;
}

size_t harness_heap_blocks(void)
{
    return look_up(&ledger.blocks);
}

size_t harness_heap_bytes(void)
{
    return look_up(&ledger.bytes);
}

size_t harness_heap_peak(void)
{
    return look_up(&ledger.peak);
}

void harness_heap_peak_reset(void)
{
    lock_ledger();
    ledger.peak = ledger.bytes;
    unlock_ledger();
}
