/* SPDX-License-Identifier: MIT */
/*
 * How two comers find each other by name, without a lock. (pipc.h, 11, tells it to other programs.)
 *
 * Who waits has a directory of the name, and in it three FIFOs: `door`, `in` and `out` (as the
 * waiter sees them), all open at the waiter before the directory gets its name. Three steps are
 * atomic:
 *
 *   offer    rename(private directory, NAME). It fails while NAME is a directory with something in
 *            it, so at most one waits at a time; an empty directory is as good as none.
 *   claim    unlink(NAME/door), with all three FIFOs open. It succeeds for one comer only, and,
 *            since it works in the directory that was opened and not in whatever has the name by
 *            now, on that very offer. The waiter withdraws by the same step.
 *   commit   a byte through the door, after everything with a name has been removed.
 *
 * Every comer first tries to claim. Where nobody waits it offers; where somebody was faster it
 * looks again. So of two comers one waits and one claims, whoever is first, and an even number of
 * comers is paired off. There is no state in which two wait at one name without seeing each other,
 * as long as nobody else deletes what they have put there.
 *
 * Somebody else may: a cleaner of /tmp, or rm -rf. It takes any of the FIFOs, the directory, or the
 * home, in any order, also while it is made. So a waiter looks after its offer (LOOK_EVERY): the
 * home at its path, the directory at NAME in it, and the three FIFOs, each the very one that it has
 * open. If one is lost it takes the offer back and comes again, to the home that the path leads to
 * now.
 *
 *   - Taking back is the step of a claim: unlink(NAME/door), by descriptor. If it works, nobody has
 *     claimed and nobody can. If the name is gone, a claimer took it, or the cleaner did. A claimer
 *     commits within COMMIT_GRACE, which is a meeting, or finds the door closed and looks again.
 *   - Two whole offers at one name are two directories of one name in one home: rename forbids it.
 *     So of two that wait at one name, one has lost something. It notices, comes again, and claims.
 *   - A comer that finds a part of an offer removes the rest, and is free to offer. A door without
 *     `in` or `out` is claimed first; but instead of a commit it is closed, which wakes the waiter.
 *   - ENOENT in whatever a comer does means that somebody else was there: it looks again, and first
 *     of all whether its home still stands.
 *
 * Whoever dies leaves the following, and nobody stops because of it.
 *   - An offer nobody has open: writing to its door fails with ENXIO. The next comer removes it.
 *   - A claimed offer (no door) with some of its names: all who need them have them open. Likewise.
 *   - A waiter whose claimer died before it committed: its door reports that the last writer is
 *     gone. It removes the rest and offers anew. (Losers of a claim make the same event, so the
 *     waiter looks whether its door still has its name, and opens the door anew to listen on.)
 *   - A claimer whose waiter died: the commit fails with EPIPE, and it looks again.
 *   - A private directory that never got the name: fifo_dir_sweep.
 * A process that is stopped rather than dead holds up nobody: its claim is given up at the next
 * look, and it finds the door closed when it goes on. A waiter that is stopped may be met.
 *
 * A thread may be cancelled in a wait, and nowhere else: wait_for takes its offer back.
 *
 * The event that a waiter polls for is a byte on a FIFO of its own, since neither the opening of a
 * FIFO nor the first writer is an event; and the two FIFOs that stay carry nothing but the
 * program's bytes.
 */
#include "rendezvous/fifo.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>

#include "rendezvous/fifo_dir.h"
#include "rendezvous/fifo_offer.h"
#include "sys/sys.h"
#include "sys/sys_file.h"
#include "transport/transport.h"

/* What an unprivileged process may ask for (/proc/sys/fs/pipe-max-size, by default). */
#define CAPACITY (1024 * 1024)
/* A claim is microseconds away from its commit: who takes an offer back lets it come so far. */
#define COMMIT_GRACE 50000000 /* nanoseconds */
/* So that what is lost is noticed within a second; soon again where something was lost just now. */
#define LOOK_EVERY 750000000 /* nanoseconds */
#define LOOK_SOON  10000000  /* nanoseconds */
/* Rounds lost to others at once; from there on a comer pauses. */
#define QUICK_ROUNDS 32
#define PAUSE        1000000 /* nanoseconds */

/* What became of a step: the meeting; look again; nobody is there to be claimed; errno. */
enum outcome { MET, AGAIN, NOBODY, FAILED };

struct meeting {
    const struct fifo_request *request;
    struct fifo_dir home;
    int64_t deadline;
    int64_t look_every;
    struct fifo_offer offer;
    int fd[2];                   /* of the two that have met: read and written */
    struct transport *transport; /* made before, so that nobody is met in vain for lack of memory */
};

/* ---- waits ---- */

/* The thread is cancelled: nothing is left, as after an error. A claimer finds the door closed. */
static void abandon(void *context)
{
    struct meeting *m = context;
    fifo_offer_discard(&m->offer, m->home.fd);
    fifo_dir_close(&m->home);
    m->transport->ops->close(m->transport);
}

/* As sys_poll, and the only place here in which a thread can be cancelled. */
static int wait_for(struct meeting *m, struct pollfd *door, int64_t until)
{
    int ready;
    pthread_cleanup_push(abandon, m);
    ready = sys_poll(door, door != NULL, until);
    pthread_cleanup_pop(0);
    return ready;
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
static enum outcome clear(const struct meeting *m, int directory)
{
    if (fifo_dir_remove_fifo(directory, FIFO_DOOR) != 0 ||
        fifo_offer_remove_names(m->home.fd, directory, m->request->name) != 0)
        return FAILED;
    enum fifo_name name = fifo_dir_find(directory, m->home.fd, m->request->name);
    if (name == FIFO_KEPT)
        errno = EACCES;
    return name == FIFO_LOST ? NOBODY : FAILED;
}

static enum outcome open_failed(enum outcome absent)
{
    return errno == ENOENT || errno == ENXIO ? absent : FAILED;
}

/* A door without the rest: somebody else claims, and the door is gone too; or it was deleted. */
static enum outcome clear_part(const struct meeting *m, const struct claim *claim)
{
    if (open_failed(NOBODY) != NOBODY)
        return FAILED;
    if (sys_file_remove(claim->directory, FIFO_DOOR) != 0)
        return open_failed(AGAIN);
    return clear(m, claim->directory);
}

static enum outcome open_offer(const struct meeting *m, struct claim *claim)
{
    claim->door = fifo_dir_open_fifo(claim->directory, FIFO_DOOR, true);
    if (claim->door < 0)
        return open_failed(NOBODY) == NOBODY ? clear(m, claim->directory) : FAILED;
    claim->in = fifo_dir_open_fifo(claim->directory, FIFO_IN, true);
    if (claim->in < 0)
        return clear_part(m, claim);
    claim->out = fifo_dir_open_fifo(claim->directory, FIFO_OUT, false);
    return claim->out < 0 ? clear_part(m, claim) : MET;
}

static enum outcome commit(const struct claim *claim)
{
    static const char byte = '!';
    struct iovec part = {(void *)(uintptr_t)&byte, 1};
    if (sys_writev(claim->door, SYS_OWN_FIFO, &part, 1) == 1)
        return MET;
    return errno == EPIPE || errno == EAGAIN ? AGAIN : FAILED;
}

/*
 * An offer of its own, that came too late, goes before the commit too: then nothing is left at all.
 */
static enum outcome take(struct meeting *m, struct claim *claim)
{
    enum outcome outcome = open_offer(m, claim);
    if (outcome != MET)
        return outcome;
    if (sys_file_remove(claim->directory, FIFO_DOOR) != 0)
        return open_failed(AGAIN);
    if (fifo_offer_remove_names(m->home.fd, claim->directory, m->request->name) != 0)
        return FAILED;
    fifo_offer_discard(&m->offer, m->home.fd);
    return commit(claim);
}

static enum outcome try_claim(struct meeting *m)
{
    struct claim claim = {fifo_dir_open_directory(m->home.fd, m->request->name), -1, -1, -1};
    if (claim.directory < 0)
        return open_failed(NOBODY);
    enum outcome outcome = take(m, &claim);
    if (outcome == MET) {
        m->fd[0] = claim.out;
        m->fd[1] = claim.in;
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

static enum outcome publish(struct meeting *m)
{
    if (m->offer.directory < 0 && fifo_offer_make(&m->offer, m->home.fd) != 0)
        return offer_failed();
    if (sys_file_rename(m->home.fd, m->offer.name, m->request->name) == 0) {
        m->offer.name = m->request->name;
        return MET;
    }
    if (errno == ENOTEMPTY || errno == ENOTDIR)
        return AGAIN; /* somebody was faster: claim that one, and keep this offer */
    fifo_offer_discard(&m->offer, m->home.fd);
    return offer_failed();
}

/* ---- waiting ---- */

static enum outcome met(struct meeting *m)
{
    m->fd[0] = m->offer.in;
    m->fd[1] = m->offer.out;
    m->offer.in = m->offer.out = -1;
    fifo_offer_close(&m->offer);
    return MET;
}

/* Somebody may have removed the door to claim. EAGAIN: somebody has it open, and may commit yet. */
static bool is_committed(struct meeting *m)
{
    struct pollfd door = {.fd = m->offer.door, .events = POLLIN};
    int64_t until = sys_now() + COMMIT_GRACE;
    char byte;
    ssize_t got;
    while ((got = sys_read(door.fd, SYS_FIFO, &byte, 1)) < 0 && errno == EAGAIN &&
           sys_now() < until)
        wait_for(m, &door, until);
    return got == 1;
}

/* AGAIN: nobody has the offer; MET: somebody had claimed it and was about to commit. */
static enum outcome take_back(struct meeting *m)
{
    if (sys_file_remove(m->offer.directory, FIFO_DOOR) != 0 && errno == ENOENT) {
        if (is_committed(m))
            return met(m);
        sys_close(m->offer.door); /* at once: from here on the claimer's commit fails */
        m->offer.door = -1;
    }
    fifo_offer_discard(&m->offer, m->home.fd);
    return AGAIN;
}

/* The wait is over with `error`, or is a meeting after all. */
static enum outcome withdraw(struct meeting *m, int error)
{
    if (take_back(m) == MET)
        return MET;
    errno = error;
    return FAILED;
}

/* The last writer has gone: a loser of the claim, a passer-by, or the claimer. */
static enum outcome listen_on(struct meeting *m, bool *claimed)
{
    if (*claimed) {
        fifo_offer_discard(&m->offer, m->home.fd);
        return AGAIN;
    }
    *claimed = fifo_offer_reopen_door(&m->offer) != 0;
    return *claimed && errno != ENOENT ? withdraw(m, errno) : NOBODY;
}

/*
 * What was deleted is offered anew. Two that are cleaned away again and again must not take turns
 * in not being there: after a loss both look often, and not at the same intervals.
 */
static enum outcome look_after(struct meeting *m)
{
    if (!fifo_dir_stands(&m->home) || !fifo_offer_is_whole(&m->offer, m->home.fd)) {
        m->look_every = LOOK_SOON;
        return take_back(m);
    }
    m->look_every = m->look_every < LOOK_EVERY / 2 ? 2 * m->look_every : LOOK_EVERY;
    fifo_offer_keep_young(&m->offer);
    return NOBODY;
}

static int64_t next_look(const struct meeting *m)
{
    int64_t now = sys_now();
    return now + m->look_every - now % (m->look_every / 4);
}

static bool is_over(const struct meeting *m)
{
    return m->deadline >= 0 && sys_now() >= m->deadline;
}

static enum outcome await_claim(struct meeting *m)
{
    bool claimed = false;
    int64_t look_at = next_look(m);
    enum outcome outcome = NOBODY;
    while (outcome == NOBODY) {
        bool looks_first = m->deadline < 0 || look_at < m->deadline;
        struct pollfd door = {.fd = m->offer.door, .events = POLLIN};
        int ready = wait_for(m, &door, looks_first ? look_at : m->deadline);
        if (ready > 0)
            outcome = door.revents & POLLIN ? met(m) : listen_on(m, &claimed);
        else if (ready < 0 && (errno != EINTR || m->request->interruptible))
            outcome = withdraw(m, errno);
        else if (ready == 0 && is_over(m))
            outcome = withdraw(m, ETIMEDOUT);
        if (outcome == NOBODY && sys_now() >= look_at) {
            outcome = look_after(m);
            look_at = next_look(m);
        }
    }
    return outcome;
}

static enum outcome offer(struct meeting *m)
{
    if (m->request->timeout_ms == 0) {
        errno = EAGAIN;
        return FAILED;
    }
    enum outcome outcome = publish(m);
    return outcome == MET ? await_claim(m) : outcome;
}

/* ---- meeting ---- */

/*
 * Each round that is lost is another's success, so this is rare; whatever it comes from, it does
 * not spin.
 */
static enum outcome hesitate(struct meeting *m, unsigned round)
{
    if (round < QUICK_ROUNDS)
        return AGAIN;
    if (is_over(m)) {
        errno = m->request->timeout_ms == 0 ? EAGAIN : ETIMEDOUT;
        return FAILED;
    }
    wait_for(m, NULL, sys_now() + PAUSE);
    return AGAIN;
}

/* To the home that the path leads to now; an offer that was still private stayed in the old one. */
static enum outcome come_home(struct meeting *m)
{
    if (fifo_dir_stands(&m->home))
        return AGAIN;
    fifo_offer_discard(&m->offer, m->home.fd);
    return fifo_dir_reopen(&m->home) == 0 ? AGAIN : FAILED;
}

static enum outcome meet(struct meeting *m)
{
    enum outcome outcome = AGAIN;
    for (unsigned round = 0; outcome == AGAIN; round++) {
        if (round > 0 && come_home(m) != AGAIN)
            return FAILED;
        outcome = try_claim(m);
        if (outcome == NOBODY)
            outcome = offer(m);
        if (outcome == AGAIN)
            outcome = hesitate(m, round);
    }
    fifo_offer_discard(&m->offer, m->home.fd);
    return outcome;
}

static enum outcome open_and_meet(struct meeting *m)
{
    if (fifo_dir_open(&m->home, m->request->directory) != 0)
        return FAILED;
    fifo_dir_sweep(m->home.fd);
    return meet(m);
}

/* Each FIFO has one writer, which asks for its size. */
static struct transport *transport_of(struct meeting *m)
{
    sys_pipe_set_size(m->fd[1], CAPACITY);
    return transport_fd_adopt(m->transport, m->fd[0], m->fd[1]) == 0 ? m->transport : NULL;
}

struct transport *fifo_open(const struct fifo_request *request)
{
    struct meeting m = {
        .request = request, .deadline = -1, .look_every = LOOK_EVERY, .offer = fifo_offer_none};
    if (fifo_dir_check_name(request->name) != 0)
        return NULL;
    if (request->timeout_ms >= 0)
        m.deadline = sys_now() + (int64_t)request->timeout_ms * 1000000;
    m.transport = transport_fd_reserve();
    if (m.transport == NULL)
        return NULL;
    enum outcome outcome = open_and_meet(&m);
    fifo_dir_close(&m.home);
    struct transport *met = outcome == MET ? transport_of(&m) : NULL;
    if (met == NULL)
        m.transport->ops->close(m.transport);
    return met;
}
