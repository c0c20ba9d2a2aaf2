/* SPDX-License-Identifier: MIT */
/*
 * How two sides find each other by name, without a lock. (pipc.h, 11, describes it for other
 * programs.)
 *
 * The side that waits has a directory of the name. In it are three FIFOs: `door`, `in` and `out`
 * (as the waiter sees them). The waiter has all three open before the directory gets its name.
 * Three steps are atomic:
 *
 *   offer    rename(private directory, NAME). It fails while NAME is a directory with something in
 *            it, so at most one side waits at a time. An empty directory counts as none.
 *   claim    unlink(NAME/door), with all three FIFOs open. It succeeds for one side only. It works
 *            in the directory that was opened, whatever has the name by now, so it claims that very
 *            offer. The waiter withdraws by the same step.
 *   commit   a byte through the door, after everything with a name has been removed.
 *
 * Each side first tries to claim. Where nobody waits it offers; where another side was faster it
 * tries again. So of two sides one waits and one claims, whichever is first, and an even number of
 * sides is paired off. Two sides never wait at one name without seeing each other, as long as
 * nobody else deletes what they have put there.
 *
 * Somebody else may: a cleaner of /tmp, or rm -rf. It removes any of the FIFOs, the directory, or
 * the directory of all names, in any order, also while it is made. So a waiter checks its offer
 * (CHECK_EVERY): the directory of all names at its path, the directory NAME in it, and the three
 * FIFOs, each the very one that the waiter has open. If one is lost, the waiter takes the offer
 * back and begins again, in the directory that the path leads to now.
 *
 *   - Taking back is the step of a claim: unlink(NAME/door), by descriptor. If it works, nobody has
 *     claimed and nobody can. If the name is gone, a claimer or the cleaner removed it. A claimer
 *     commits within COMMIT_GRACE, and is the peer; or it finds the door closed and tries again.
 *   - Two whole offers at one name would be two directories of one name: rename forbids it. So of
 *     two that wait at one name, one has lost something. It notices, begins again, and claims.
 *   - A side that finds a part of an offer removes the rest, and is free to offer. A door without
 *     `in` or `out` is claimed first; but it is closed instead of a commit, which wakes the waiter.
 *   - ENOENT in any step means that somebody else was there: the side tries again, and first checks
 *     whether the directory of all names still stands.
 *
 * A process that dies leaves the following, and no other process stops because of it.
 *   - An offer that nobody has open: writing to its door fails with ENXIO. The next side removes
 *     it.
 *   - A claimed offer (no door) with some of its names: all who need them have them open. Likewise.
 *   - A waiter whose claimer died before it committed: its door reports that the last writer is
 *     gone. The waiter removes the rest and offers anew. (A side that loses a claim makes the same
 *     event. So the waiter checks whether its door still has its name, and opens the door anew.)
 *   - A claimer whose waiter died: the commit fails with EPIPE, and the claimer tries again.
 *   - A private directory that never got the name: fifo_dir_sweep.
 * A process that is stopped rather than dead delays nobody. Its claim is given up at the next
 * check, and it finds the door closed when it goes on. A waiter that is stopped can be claimed.
 *
 * A thread may be cancelled in a wait, and nowhere else: wait_at_door takes its offer back.
 *
 * The waiter polls for a byte on a FIFO of its own, since neither the opening of a FIFO nor the
 * first writer is an event, and the two FIFOs that stay carry the program's bytes alone.
 */
#include "rendezvous/fifo.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>

#include "rendezvous/fifo_dir.h"
#include "rendezvous/fifo_offer.h"
#include "rendezvous/limit.h"
#include "sys/sys.h"
#include "sys/sys_file.h"
#include "transport/transport.h"

/* What an unprivileged process may ask for (/proc/sys/fs/pipe-max-size, by default). */
#define FIFO_CAPACITY (1024 * 1024)
/* A claim is microseconds away from its commit: taking an offer back lets it come so far. */
#define COMMIT_GRACE (50 * SYS_MILLISECOND)
/* So that a loss is noticed within a second; soon again where something was lost just now. */
#define CHECK_EVERY (750 * SYS_MILLISECOND)
#define CHECK_SOON  (10 * SYS_MILLISECOND)
/* Rounds lost to others at once; from there on a side pauses. */
#define QUICK_ROUNDS 32
#define ROUND_PAUSE  (1 * SYS_MILLISECOND)

_Static_assert(CHECK_SOON < CHECK_EVERY && CHECK_EVERY < SYS_SECOND, "noticed within a second");
_Static_assert(COMMIT_GRACE < CHECK_EVERY, "a claim is waited for more briefly than a check");

/* What became of a step: the peer is there; look again; nobody is there to be claimed; errno. */
enum outcome { DONE, AGAIN, NOBODY, FAILED };

struct fifo_rendezvous {
    const struct fifo_request *request;
    struct fifo_dir dir;
    struct limit limit;
    int64_t check_every;
    struct fifo_offer offer;
    int fd[2];                   /* of the two that stay: read and written */
    struct transport *transport; /* made before, so that no peer comes in vain for lack of memory */
};

/* ---- waits ---- */

/* The thread is cancelled: nothing is left, as after an error. A claimer finds the door closed. */
static void abandon(void *context)
{
    struct fifo_rendezvous *r = context;
    fifo_offer_discard(&r->offer, r->dir.fd);
    fifo_dir_close(&r->dir);
    r->transport->ops->close(r->transport);
}

/* As limit_poll, and the only place here in which a thread can be cancelled. */
static enum limit_result wait_at_door(struct fifo_rendezvous *r, const struct limit *limit,
                                      struct pollfd *door, int64_t until)
{
    enum limit_result result;
    pthread_cleanup_push(abandon, r);
    result = limit_poll(limit, door, door != NULL, until);
    pthread_cleanup_pop(0);
    return result;
}

/* ---- claiming ---- */

struct claim {
    int directory, door, in, out; /* in, out: those of the waiter, so written and read here */
};

static void close_claim(const struct claim *claim)
{
    sys_close(claim->directory);
    sys_close(claim->door);
    sys_close(claim->in);
    sys_close(claim->out);
}

/*
 * An offer of the dead, or one that is claimed, or a part of one, or an empty directory. Nothing is
 * added to an offer after it got its name; so what is not empty now is none of ours.
 */
static enum outcome clear_offer(const struct fifo_rendezvous *r, int directory)
{
    if (fifo_dir_remove_fifo(directory, FIFO_DOOR) != 0 ||
        fifo_offer_remove_names(r->dir.fd, directory, r->request->name) != 0)
        return FAILED;
    enum fifo_name name = fifo_dir_find(directory, r->dir.fd, r->request->name);
    if (name == FIFO_KEPT)
        errno = EACCES;
    return name == FIFO_LOST ? NOBODY : FAILED;
}

static enum outcome open_failed(enum outcome absent)
{
    return errno == ENOENT || errno == ENXIO ? absent : FAILED;
}

/* A door without the rest: somebody else claims, and the door is gone too; or it was deleted. */
static enum outcome clear_part(const struct fifo_rendezvous *r, const struct claim *claim)
{
    if (open_failed(NOBODY) != NOBODY)
        return FAILED;
    if (sys_file_remove(claim->directory, FIFO_DOOR) != 0)
        return open_failed(AGAIN);
    return clear_offer(r, claim->directory);
}

static enum outcome open_offer(const struct fifo_rendezvous *r, struct claim *claim)
{
    claim->door = fifo_dir_open_fifo(claim->directory, FIFO_DOOR, true);
    if (claim->door < 0)
        return open_failed(NOBODY) == NOBODY ? clear_offer(r, claim->directory) : FAILED;
    claim->in = fifo_dir_open_fifo(claim->directory, FIFO_IN, true);
    if (claim->in < 0)
        return clear_part(r, claim);
    claim->out = fifo_dir_open_fifo(claim->directory, FIFO_OUT, false);
    return claim->out < 0 ? clear_part(r, claim) : DONE;
}

static enum outcome commit(const struct claim *claim)
{
    static const char byte = '!';
    struct iovec part = {(void *)(uintptr_t)&byte, 1};
    if (sys_writev(claim->door, SYS_OWN_FIFO, &part, 1) == 1)
        return DONE;
    return errno == EPIPE || errno == EAGAIN ? AGAIN : FAILED;
}

/*
 * An offer of its own, that came too late, goes before the commit too: then nothing is left at all.
 */
static enum outcome claim_offer(struct fifo_rendezvous *r, struct claim *claim)
{
    enum outcome outcome = open_offer(r, claim);
    if (outcome != DONE)
        return outcome;
    if (sys_file_remove(claim->directory, FIFO_DOOR) != 0)
        return open_failed(AGAIN);
    if (fifo_offer_remove_names(r->dir.fd, claim->directory, r->request->name) != 0)
        return FAILED;
    fifo_offer_discard(&r->offer, r->dir.fd);
    return commit(claim);
}

static enum outcome claim_waiter(struct fifo_rendezvous *r)
{
    struct claim claim = {fifo_dir_open_directory(r->dir.fd, r->request->name), -1, -1, -1};
    if (claim.directory < 0)
        return open_failed(NOBODY);
    enum outcome outcome = claim_offer(r, &claim);
    if (outcome == DONE) {
        r->fd[0] = claim.out;
        r->fd[1] = claim.in;
        claim.out = claim.in = -1;
    }
    close_claim(&claim);
    return outcome;
}

/* ---- offering ---- */

/* ENOENT: it was swept away, by a cleaner or as one of the dead. */
static enum outcome offer_failed(void)
{
    return errno == ENOENT ? AGAIN : FAILED;
}

static enum outcome publish(struct fifo_rendezvous *r)
{
    if (r->offer.directory < 0 && fifo_offer_make(&r->offer, r->dir.fd) != 0)
        return offer_failed();
    if (sys_file_rename(r->dir.fd, r->offer.name, r->request->name) == 0) {
        r->offer.name = r->request->name;
        return DONE;
    }
    if (errno == ENOTEMPTY || errno == ENOTDIR)
        return AGAIN; /* another was faster: claim that one, and keep this offer */
    fifo_offer_discard(&r->offer, r->dir.fd);
    return offer_failed();
}

/* ---- waiting ---- */

static enum outcome claimed_by_peer(struct fifo_rendezvous *r)
{
    r->fd[0] = r->offer.in;
    r->fd[1] = r->offer.out;
    r->offer.in = r->offer.out = -1;
    fifo_offer_close(&r->offer);
    return DONE;
}

/* Somebody may have removed the door to claim. EAGAIN: somebody has it open, and may commit yet. */
static bool is_committed(struct fifo_rendezvous *r)
{
    const struct limit grace = {.deadline = sys_now() + COMMIT_GRACE};
    struct pollfd door = {.fd = r->offer.door, .events = POLLIN};
    char byte;
    ssize_t got;
    while ((got = sys_read(door.fd, SYS_FIFO, &byte, 1)) < 0 && errno == EAGAIN &&
           wait_at_door(r, &grace, &door, -1) != LIMIT_EXPIRED)
        continue;
    return got == 1;
}

/* AGAIN: nobody has the offer; DONE: somebody had claimed it and was about to commit. */
static enum outcome take_back(struct fifo_rendezvous *r)
{
    if (sys_file_remove(r->offer.directory, FIFO_DOOR) != 0 && errno == ENOENT) {
        if (is_committed(r))
            return claimed_by_peer(r);
        sys_close(r->offer.door); /* at once: from here on the claimer's commit fails */
        r->offer.door = -1;
    }
    fifo_offer_discard(&r->offer, r->dir.fd);
    return AGAIN;
}

/* The wait is over with `error`, unless a claimer came at the last moment. */
static enum outcome withdraw(struct fifo_rendezvous *r, int error)
{
    if (take_back(r) == DONE)
        return DONE;
    errno = error;
    return FAILED;
}

/* The last writer has gone: a loser of the claim, a passer-by, or the claimer. */
static enum outcome last_writer_gone(struct fifo_rendezvous *r, bool *claimed)
{
    if (*claimed) {
        fifo_offer_discard(&r->offer, r->dir.fd);
        return AGAIN;
    }
    *claimed = fifo_offer_reopen_door(&r->offer) != 0;
    return *claimed && errno != ENOENT ? withdraw(r, errno) : NOBODY;
}

/*
 * What was deleted is offered anew. Two that are cleaned away again and again must not take turns
 * in not being there: after a loss both look often, and not at the same intervals.
 */
static enum outcome check_offer(struct fifo_rendezvous *r)
{
    if (!fifo_dir_stands(&r->dir) || !fifo_offer_is_whole(&r->offer, r->dir.fd)) {
        r->check_every = CHECK_SOON;
        return take_back(r);
    }
    r->check_every = r->check_every < CHECK_EVERY / 2 ? 2 * r->check_every : CHECK_EVERY;
    fifo_offer_keep_young(&r->offer);
    return NOBODY;
}

static int64_t next_check(const struct fifo_rendezvous *r)
{
    int64_t now = sys_now();
    return now + r->check_every - now % (r->check_every / 4);
}

static enum outcome await_claim(struct fifo_rendezvous *r)
{
    bool claimed = false;
    int64_t check_at = next_check(r);
    enum outcome outcome = NOBODY;
    while (outcome == NOBODY) {
        struct pollfd door = {.fd = r->offer.door, .events = POLLIN};
        if (wait_at_door(r, &r->limit, &door, check_at) != LIMIT_GOES_ON)
            outcome = withdraw(r, errno);
        else if (door.revents != 0)
            outcome = door.revents & POLLIN ? claimed_by_peer(r) : last_writer_gone(r, &claimed);
        if (outcome == NOBODY && sys_now() >= check_at) {
            outcome = check_offer(r);
            check_at = next_check(r);
        }
    }
    return outcome;
}

static enum outcome offer(struct fifo_rendezvous *r)
{
    if (limit_is_at_once(&r->limit)) {
        errno = limit_error(&r->limit);
        return FAILED;
    }
    enum outcome outcome = publish(r);
    return outcome == DONE ? await_claim(r) : outcome;
}

/* ---- the rendezvous ---- */

/*
 * Each round that is lost is another's success, so this is rare; whatever it comes from, it does
 * not spin.
 */
static enum outcome hesitate(struct fifo_rendezvous *r, unsigned round)
{
    struct limit limit = {r->limit.deadline, false};
    if (round < QUICK_ROUNDS)
        return AGAIN;
    bool expired = wait_at_door(r, &limit, NULL, sys_now() + ROUND_PAUSE) == LIMIT_EXPIRED;
    return expired ? FAILED : AGAIN;
}

/* To the directory that the path leads to now; a private offer stayed in the old one. */
static enum outcome follow_path(struct fifo_rendezvous *r)
{
    if (fifo_dir_stands(&r->dir))
        return AGAIN;
    fifo_offer_discard(&r->offer, r->dir.fd);
    return fifo_dir_reopen(&r->dir) == 0 ? AGAIN : FAILED;
}

static enum outcome claim_or_offer(struct fifo_rendezvous *r)
{
    enum outcome outcome = AGAIN;
    for (unsigned round = 0; outcome == AGAIN; round++) {
        if (round > 0 && follow_path(r) != AGAIN)
            return FAILED;
        outcome = claim_waiter(r);
        if (outcome == NOBODY)
            outcome = offer(r);
        if (outcome == AGAIN)
            outcome = hesitate(r, round);
    }
    fifo_offer_discard(&r->offer, r->dir.fd);
    return outcome;
}

static enum outcome open_dir_and_pair(struct fifo_rendezvous *r)
{
    if (fifo_dir_open(&r->dir, r->request->directory) != 0)
        return FAILED;
    fifo_dir_sweep(r->dir.fd);
    return claim_or_offer(r);
}

/* Each FIFO has one writer, which asks for its size. */
static struct transport *transport_of(struct fifo_rendezvous *r)
{
    sys_pipe_set_size(r->fd[1], FIFO_CAPACITY);
    return transport_fd_adopt(r->transport, r->fd[0], r->fd[1]) == 0 ? r->transport : NULL;
}

struct transport *fifo_open(const struct fifo_request *request)
{
    struct fifo_rendezvous r = {
        .request = request, .check_every = CHECK_EVERY, .offer = fifo_offer_none};
    if (fifo_dir_check_name(request->name) != 0)
        return NULL;
    r.limit = limit_of(request->timeout_ms, request->interruptible);
    r.transport = transport_fd_reserve();
    if (r.transport == NULL)
        return NULL;
    enum outcome outcome = open_dir_and_pair(&r);
    fifo_dir_close(&r.dir);
    struct transport *transport = outcome == DONE ? transport_of(&r) : NULL;
    if (transport == NULL)
        r.transport->ops->close(r.transport);
    return transport;
}
