/* SPDX-License-Identifier: MIT */
/*
 * The state word of an end is a status, a count of changes, and the name of the holder's process.
 *
 *   event           by               in UNUSED  HELD     SHUT     LEAVING   FREED  DEAD
 *   claim           a newcomer       HELD       EBUSY    EBUSY    EBUSY *)  HELD   EPIPE
 *   shutdown        its holder       .          SHUT     -        .         .      -
 *   begin_leaving   its holder       .          LEAVING  LEAVING  .         .      -
 *   stay            its holder       .          .        .        HELD      .      -
 *   free            its holder       .          FREED    FREED    FREED     .      -
 *   finish          its holder, or   .          DEAD     DEAD     DEAD      .      -
 *                   its thread's end
 *   bury            a peer that      .          DEAD     DEAD     DEAD      DEAD   -
 *                   knows it dead
 *
 *   .  does not happen   -  changes nothing   *) HELD when the goodbye is out
 *
 * Every change replaces what its author last saw or wrote; one that finds something else there
 * leaves it. So a word that somebody has forged costs its own author the peer's attention, and
 * decides nothing here: what a thread of this process holds stands in `local`.
 *
 * Each process that holds ends also has a token (sys_life), one for both, whose number is its name.
 * To take an end: token, then state; to leave it: state, then token. So a held end without a token
 * is that of a process that died, or has become another program. A peer that wants its death unseen
 * can arrange for another process to keep its token. So the token is one sign of two: the monitor
 * also watches the process itself (monitor.c), and believes that first.
 *
 * A name is a process id where it means the same for all: in the pid namespace of the process that
 * opened the pipe. Elsewhere it is a number that hardly anybody else has.
 */
#include "peer/ends.h"

#include <errno.h>
#include <stddef.h>

#include "sys/sys.h"
#include "sys/sys_process.h"

_Static_assert(ENDS_DEAD < 1u << ENDS_STATUS_BITS, "a status fits its bits");
_Static_assert(ENDS_STATUS_BITS < ENDS_NAME_SHIFT, "there is a count between status and name");
_Static_assert((ENDS_NO_TOKEN ^ ENDS_NO_PID ^ ENDS_NAME_MASK) == UINT32_MAX,
               "the parts of a name do not overlap");

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2,
               "processes share 64-bit words, for which the locks of libatomic do not work");

static _Atomic uint64_t *state_word(const struct ends *ends, unsigned end)
{
    return &ends->shared.page->end[end].state;
}

enum ends_status ends_status_of(uint64_t state)
{
    return (enum ends_status)(state & ((1u << ENDS_STATUS_BITS) - 1));
}

bool ends_is_held(enum ends_status status)
{
    return status == ENDS_HELD || status == ENDS_SHUT || status == ENDS_LEAVING;
}

uint32_t ends_name_of(uint64_t state)
{
    return (uint32_t)(state >> ENDS_NAME_SHIFT);
}

static uint64_t next_state(uint64_t state, enum ends_status status, uint32_t name)
{
    uint32_t count = ((uint32_t)state >> ENDS_STATUS_BITS) + 1;
    return (uint64_t)name << ENDS_NAME_SHIFT | (uint32_t)(count << ENDS_STATUS_BITS) |
           (uint32_t)status;
}

/*
 * So that it checks. Its interest is cleared as for a message, which shows it that its doorbell has
 * been rung; and put back if that was not to be, so that the next message rings.
 */
static bool wake_peer_of(struct ends *ends, unsigned end)
{
    atomic_uint *interest = &ends->shared.page->end[1 - end].interest;
    unsigned word = atomic_exchange(interest, 0);
    bool has_rung = sys_doorbell_ring(ends->shared.doorbell[1 - end]);
    if (!has_rung && word != 0)
        atomic_fetch_or(interest, word);
    return has_rung;
}

static bool store_state(struct ends *ends, unsigned end, uint64_t seen, uint64_t next)
{
    return atomic_compare_exchange_strong(state_word(ends, end), &seen, next);
}

/* From what was seen; and wake the peer. */
static bool change_state(struct ends *ends, unsigned end, uint64_t seen, uint64_t next)
{
    if (!store_state(ends, end, seen, next))
        return false;
    wake_peer_of(ends, end);
    return true;
}

int ends_open(struct ends *ends)
{
    if (shared_open(&ends->shared) != 0)
        return -1;
    ends->space = sys_process_namespace();
    ends->name = 0;
    ends->token = NULL;
    ends->held = 0;
    atomic_store(&ends->process, self_process());
    for (int e = 0; e < 2; e++)
        ends->local[e] = (struct ends_local){0};
    return 0;
}

void ends_close(struct ends *ends)
{
    shared_close(&ends->shared);
}

/* The token is not here: its mapping was not copied. */
void ends_disown(struct ends *ends)
{
    for (int e = 0; e < 2; e++) {
        struct ends_local *local = &ends->local[e];
        atomic_store(&local->holder, 0); /* a thread beside us may load it */
        local->former = 0;
        local->state = 0;
    }
    ends->token = NULL;
    ends->held = 0;
    ends->name = 0;
    atomic_store(&ends->process, self_process());
}

/* ---- taking an end ---- */

/* What is not known counts as the same: there is one namespace, or no /proc. */
static bool is_same_space(const struct ends *ends)
{
    uint64_t here = sys_process_namespace();
    return here == ends->space || here == 0 || ends->space == 0;
}

static uint32_t own_name(struct ends *ends)
{
    if (ends->name == 0) {
        uint64_t unlikely = (uint64_t)sys_now() * 0x9e3779b97f4a7c15u >> 34;
        ends->name = is_same_space(ends) ? (uint32_t)sys_process_id()
                                         : ENDS_NO_PID | ((uint32_t)unlikely & ENDS_NAME_MASK);
    }
    return ends->name;
}

static uint64_t token_number(uint32_t name)
{
    return name & ~ENDS_NO_TOKEN;
}

/* For one end more. False: errno; nothing has changed. */
static bool keep_token(struct ends *ends, uint32_t name)
{
    if (ends->held == 0) {
        ends->token = sys_life_begin(&ends->shared.memory, token_number(name));
        if (ends->token == NULL && (errno != ENOSYS || (name & ENDS_NO_PID) != 0)) {
            if (errno == ENOSYS)
                errno = EPERM; /* nothing could prove that it lives */
            return false;
        }
    }
    ends->held++;
    return true;
}

/*
 * Of the holder of `end`. One that has the number of this process, and is no thread of it, has
 * ended: the number was free again.
 */
static enum sys_life token_life(const struct ends *ends, unsigned end, uint32_t name)
{
    bool is_reused = name == ends->name && (name & ENDS_NO_PID) == 0 &&
                     atomic_load(&ends->local[end].holder) == 0;
    return is_reused ? SYS_LIFE_GONE : sys_life_check(&ends->shared.memory, token_number(name));
}

static void drop_token(struct ends *ends, uint32_t name)
{
    if (--ends->held > 0)
        return;
    sys_life_end(&ends->shared.memory, token_number(name), ends->token);
    ends->token = NULL;
}

/* The last holder's goodbye is out, and nobody need wait until it comes to freeing the end. */
static void help_to_leave(struct ends *ends, unsigned end, uint64_t state)
{
    const struct shared_page *page = ends->shared.page;
    if (atomic_load(&page->ring[end].head) == atomic_load(&page->end[end].until))
        change_state(ends, end, state, next_state(state, ENDS_FREED, 0));
}

static uint64_t load_and_free_left(struct ends *ends, unsigned end)
{
    uint64_t state = atomic_load(state_word(ends, end));
    if (ends_status_of(state) != ENDS_LEAVING)
        return state;
    help_to_leave(ends, end, state);
    return atomic_load(state_word(ends, end)); /* freed by us, or by its holder just before */
}

static bool is_free(const struct ends *ends, unsigned end, uint64_t state)
{
    enum ends_status status = ends_status_of(state);
    return atomic_load(&ends->local[end].holder) == 0 &&
           (status == ENDS_UNUSED || status == ENDS_FREED);
}

/*
 * No thread of this process holds the end any more. If another process took it just before, a
 * thread beside us may have taken the new holder for one of us: it looks again.
 */
static void clear_holder(struct ends *ends, unsigned end, uint64_t last)
{
    atomic_store(&ends->local[end].holder, 0);
    if (atomic_load(state_word(ends, end)) != last)
        wake_peer_of(ends, end);
}

/*
 * First the holder: a thread beside us that sees the state must not take it for another process.
 * Who loses the race for the end has never held it, and keeps nothing of the try.
 */
static bool enter_state(struct ends *ends, unsigned end, uint64_t seen, uint32_t name)
{
    struct ends_local *local = &ends->local[end];
    uint64_t next = next_state(seen, ENDS_HELD, name);
    atomic_store(&local->holder, self_thread());
    if (!change_state(ends, end, seen, next)) {
        clear_holder(ends, end, seen);
        return false;
    }
    local->state = next;
    local->former = self_thread();
    return true;
}

/* 0: it is taken; EBUSY: somebody has it, or was faster; or what is missing. */
static int try_claim(struct ends *ends, unsigned end)
{
    uint64_t state = load_and_free_left(ends, end);
    uint32_t name = own_name(ends);
    if (!is_free(ends, end, state))
        return EBUSY;
    if (!keep_token(ends, name))
        return errno == EAGAIN ? EBUSY : errno;
    if (enter_state(ends, end, state, ends->token == NULL ? name | ENDS_NO_TOKEN : name))
        return 0;
    drop_token(ends, name);
    return EBUSY;
}

/*
 * In which order a newcomer tries: its own former end, one that nobody has held, one that was
 * freed; among those rather the one that no thread known to this process would come back to.
 */
static int claim_rank(const struct ends *ends, unsigned end)
{
    const struct ends_local *local = &ends->local[end];
    if (local->former == self_thread())
        return 0;
    if (ends_status_of(atomic_load(state_word(ends, end))) == ENDS_UNUSED)
        return 1;
    return local->former == 0 ? 2 : 3;
}

/* Of a holder that is no thread of this process. One that has its number has ended. */
static bool is_gone(const struct ends *ends, unsigned end, uint64_t state)
{
    switch (ends_peer_proof(ends, 1 - end, state)) {
    case ENDS_HAS_NAME:
        return ends_peer_process(ends, state) == sys_process_id() ||
               ends_process_life(ends, state) == SYS_LIFE_GONE;
    case ENDS_HAS_TOKEN:
        return false;
    default:
        return true;
    }
}

/* A state that has changed meanwhile speaks of somebody else. */
static bool holder_is_gone(struct ends *ends, unsigned end)
{
    uint64_t state = atomic_load(state_word(ends, end));
    if (!ends_is_held(ends_status_of(state)) || atomic_load(&ends->local[end].holder) != 0)
        return ends_status_of(state) == ENDS_DEAD;
    if (!is_gone(ends, end, state) || atomic_load(state_word(ends, end)) != state)
        return false;
    ends_bury_peer(ends, 1 - end, state);
    return true;
}

int ends_claim(struct ends *ends)
{
    unsigned first = claim_rank(ends, 1) < claim_rank(ends, 0) ? 1 : 0;
    int error = EBUSY;
    for (unsigned i = 0; i < 2 && error == EBUSY; i++) {
        unsigned end = i == 0 ? first : 1 - first;
        error = try_claim(ends, end);
        if (error == 0)
            return (int)end;
    }
    for (unsigned e = 0; e < 2 && error == EBUSY; e++)
        if (holder_is_gone(ends, e))
            error = EPIPE;
    errno = error;
    return -1;
}

/* ---- changing and leaving it ---- */

/* Returns whether the peer knows, or nothing has changed. */
static bool change_own(struct ends *ends, unsigned end, enum ends_status status)
{
    struct ends_local *local = &ends->local[end];
    uint64_t seen = local->state;
    local->state = next_state(seen, status, ends_name_of(seen));
    return !store_state(ends, end, seen, local->state) || wake_peer_of(ends, end);
}

void ends_begin_leaving(struct ends *ends, unsigned end, uint64_t until)
{
    atomic_store(&ends->shared.page->end[end].until, until);
    change_own(ends, end, ENDS_LEAVING);
}

void ends_stay(struct ends *ends, unsigned end)
{
    change_own(ends, end, ENDS_HELD);
}

bool ends_shutdown(struct ends *ends, unsigned end)
{
    return ends_status_of(ends->local[end].state) == ENDS_SHUT || change_own(ends, end, ENDS_SHUT);
}

static void release_end(struct ends *ends, unsigned end, enum ends_status status)
{
    struct ends_local *local = &ends->local[end];
    uint32_t name = ends_name_of(local->state);
    change_own(ends, end, status);
    drop_token(ends, name);
    clear_holder(ends, end, local->state);
}

void ends_free(struct ends *ends, unsigned end)
{
    release_end(ends, end, ENDS_FREED);
}

void ends_finish(struct ends *ends, unsigned end)
{
    release_end(ends, end, ENDS_DEAD);
}

/* ---- the peer ---- */

uint64_t ends_peer_state(const struct ends *ends, unsigned end)
{
    return atomic_load(state_word(ends, 1 - end));
}

bool ends_peer_is_here(const struct ends *ends, unsigned end)
{
    return atomic_load(&ends->local[1 - end].holder) != 0;
}

enum ends_proof ends_peer_proof(const struct ends *ends, unsigned end, uint64_t state)
{
    uint32_t name = ends_name_of(state);
    if ((name & ENDS_NO_TOKEN) != 0)
        return (name & ENDS_NO_PID) != 0 ? ENDS_FORGED : ENDS_HAS_NAME;
    enum sys_life life = token_life(ends, 1 - end, name);
    if (life == SYS_LIFE_THERE)
        return ENDS_HAS_TOKEN;
    /* A state that has changed meanwhile speaks of somebody else. */
    bool is_lost = life == SYS_LIFE_GONE && ends_peer_state(ends, end) == state;
    return is_lost ? ENDS_LOST_TOKEN : ENDS_HAS_NAME;
}

bool ends_has_lost_token(const struct ends *ends, unsigned end, uint32_t name)
{
    return token_life(ends, 1 - end, name) == SYS_LIFE_GONE;
}

pid_t ends_peer_process(const struct ends *ends, uint64_t state)
{
    uint32_t name = ends_name_of(state);
    return (name & ENDS_NO_PID) == 0 && is_same_space(ends) ? (pid_t)(name & ENDS_NAME_MASK) : 0;
}

enum sys_life ends_process_life(const struct ends *ends, uint64_t state)
{
    pid_t pid = ends_peer_process(ends, state);
    int saved = errno;
    if (pid == 0)
        return SYS_LIFE_UNKNOWN;
    self_hold_forks();
    int process = sys_process_open(pid);
    bool is_gone = process >= 0 ? sys_process_is_dead(process) : errno == ESRCH;
    sys_process_close(process);
    self_release_forks();
    errno = saved;
    return is_gone ? SYS_LIFE_GONE : SYS_LIFE_THERE;
}

void ends_bury_peer(struct ends *ends, unsigned end, uint64_t state)
{
    change_state(ends, 1 - end, state, next_state(state, ENDS_DEAD, ends_name_of(state)));
}
