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
 * The machine (rendezvous.h) has these states; a step goes through as many as it can.
 *
 *   state    does                                             then
 *   LOOKS    claims; where nobody waits, publishes an offer   WAITS; LOOKS again when another side
 *                                                             was faster, and often: PAUSES
 *   PAUSES   nothing, until ROUND_PAUSE is over               LOOKS
 *   WAITS    polls the door, checks the offer                 LEAVES, when the offer is taken back;
 *                                                             LOOKS, when its claimer has died
 *   LEAVES   somebody has removed the door: awaits its byte   LOOKS, or the end, COMMIT_GRACE later
 *
 * The waiter polls for a byte on a FIFO of its own, since neither the opening of a FIFO nor the
 * first writer is an event, and the two FIFOs that stay carry the program's bytes alone.
 */
#include "rendezvous/fifo.h"

#include <errno.h>
#include <stdint.h>

#include "rendezvous/fifo_dir.h"
#include "rendezvous/fifo_offer.h"
#include "rendezvous/rendezvous.h"
#include "sys/sys.h"
#include "sys/sys_file.h"
#include "trace/trace.h"

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

_Static_assert(CHECK_SOON < CHECK_EVERY, "the first check comes early");
_Static_assert(CHECK_EVERY < SYS_SECOND, "noticed within a second");
_Static_assert(COMMIT_GRACE < CHECK_EVERY, "a claim is waited for more briefly than a check");

/*
 * What became of an act: the peer is there; look again; nothing now, which is to say that nobody
 * is there to be claimed, or that an event or a time has to come; errno.
 */
enum outcome { DONE, AGAIN, NOBODY, FAILED };

enum fifo_state { LOOKS, PAUSES, WAITS, LEAVES };

struct fifo_machine {
    struct rendezvous base;
    const char *name, *directory;
    bool is_open; /* dir */
    struct fifo_dir dir;
    enum fifo_state state;
    unsigned round; /* lost to others so far */
    int64_t check_every, check_at;
    int64_t until; /* of PAUSES and LEAVES */
    int error;     /* of LEAVES: with which the rendezvous ends; 0: it goes on */
    bool claimed;  /* WAITS: the door has lost its name */
    struct fifo_offer offer;
    int fd[2]; /* of the two that stay: read and written */
};

_Static_assert(offsetof(struct fifo_machine, base) == 0, "fifo_of casts");

static struct fifo_machine *fifo_of(struct rendezvous *rendezvous)
{
    return (struct fifo_machine *)rendezvous;
}

static void report(const struct fifo_machine *r, const char *what)
{
    trace(r->base.handle, TRACE_RENDEZVOUS, what, NULL, 0);
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
static enum outcome clear_offer(const struct fifo_machine *r, int directory)
{
    if (fifo_dir_remove_fifo(directory, FIFO_DOOR) != 0 ||
        fifo_offer_remove_names(r->dir.fd, directory, r->name) != 0)
        return FAILED;
    enum fifo_name name = fifo_dir_find(directory, r->dir.fd, r->name);
    if (name == FIFO_KEPT)
        errno = EACCES;
    return name == FIFO_LOST ? NOBODY : FAILED;
}

static enum outcome open_failed(enum outcome absent)
{
    return errno == ENOENT || errno == ENXIO ? absent : FAILED;
}

/* A door without the rest: somebody else claims, and the door is gone too; or it was deleted. */
static enum outcome clear_part(const struct fifo_machine *r, const struct claim *claim)
{
    if (open_failed(NOBODY) != NOBODY)
        return FAILED;
    if (sys_file_remove(claim->directory, FIFO_DOOR) != 0)
        return open_failed(AGAIN);
    return clear_offer(r, claim->directory);
}

static enum outcome open_offer(const struct fifo_machine *r, struct claim *claim)
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
static enum outcome claim_offer(struct fifo_machine *r, struct claim *claim)
{
    enum outcome outcome = open_offer(r, claim);
    if (outcome != DONE)
        return outcome;
    if (sys_file_remove(claim->directory, FIFO_DOOR) != 0)
        return open_failed(AGAIN);
    if (fifo_offer_remove_names(r->dir.fd, claim->directory, r->name) != 0)
        return FAILED;
    fifo_offer_discard(&r->offer, r->dir.fd);
    return commit(claim);
}

static enum outcome claim_waiter(struct fifo_machine *r)
{
    struct claim claim = {fifo_dir_open_directory(r->dir.fd, r->name), -1, -1, -1};
    if (claim.directory < 0)
        return open_failed(NOBODY);
    enum outcome outcome = claim_offer(r, &claim);
    if (outcome == DONE) {
        report(r, "claimed a peer that waited at the name");
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

static enum outcome publish(struct fifo_machine *r)
{
    if (r->offer.directory < 0 && fifo_offer_make(&r->offer, r->dir.fd) != 0)
        return offer_failed();
    if (sys_file_rename(r->dir.fd, r->offer.name, r->name) == 0) {
        r->offer.name = r->name;
        return DONE;
    }
    if (errno == ENOTEMPTY || errno == ENOTDIR)
        return AGAIN; /* another was faster: claim that one, and keep this offer */
    fifo_offer_discard(&r->offer, r->dir.fd);
    return offer_failed();
}

/* ---- leaving ---- */

static enum outcome claimed_by_peer(struct fifo_machine *r)
{
    report(r, "a peer has claimed this side");
    r->fd[0] = r->offer.in;
    r->fd[1] = r->offer.out;
    r->offer.in = r->offer.out = -1;
    fifo_offer_close(&r->offer);
    return DONE;
}

static enum outcome offer_taken_back(struct fifo_machine *r)
{
    fifo_offer_discard(&r->offer, r->dir.fd);
    report(r, "waits at the name no more");
    errno = r->error;
    return r->error == 0 ? AGAIN : FAILED;
}

/* EAGAIN: somebody has the door open, and may commit yet. */
static enum outcome await_commit(struct fifo_machine *r)
{
    char byte;
    ssize_t got = sys_read(r->offer.door, SYS_FIFO, &byte, 1);
    if (got == 1)
        return claimed_by_peer(r);
    if (got < 0 && errno == EAGAIN && sys_now() < r->until)
        return NOBODY;
    sys_close(r->offer.door); /* at once: from here on the claimer's commit fails */
    r->offer.door = -1;
    return offer_taken_back(r);
}

/* The end of it with `error`, or 0: it is made anew. Unless somebody has claimed it just now. */
static enum outcome take_back(struct fifo_machine *r, int error)
{
    r->error = error;
    if (sys_file_remove(r->offer.directory, FIFO_DOOR) == 0 || errno != ENOENT)
        return offer_taken_back(r);
    r->state = LEAVES;
    r->until = sys_now() + COMMIT_GRACE;
    return await_commit(r);
}

/* ---- waiting ---- */

/* The last writer has gone: a loser of the claim, a passer-by, or the claimer. */
static enum outcome last_writer_gone(struct fifo_machine *r)
{
    if (r->claimed) {
        report(r, "the peer that claimed this side has died");
        fifo_offer_discard(&r->offer, r->dir.fd);
        return AGAIN;
    }
    r->claimed = fifo_offer_reopen_door(&r->offer) != 0;
    return r->claimed && errno != ENOENT ? take_back(r, errno) : NOBODY;
}

static void plan_check(struct fifo_machine *r)
{
    int64_t now = sys_now();
    r->check_at = now + r->check_every - now % (r->check_every / 4);
}

/*
 * What was deleted is offered anew. Two that are cleaned away again and again must not take turns
 * in not being there: after a loss both look often, and not at the same intervals.
 */
static enum outcome check_offer(struct fifo_machine *r)
{
    if (!fifo_dir_stands(&r->dir) || !fifo_offer_is_whole(&r->offer, r->dir.fd)) {
        r->check_every = CHECK_SOON;
        report(r, "somebody has deleted what this side waits with");
        return take_back(r, 0);
    }
    r->check_every = r->check_every < CHECK_EVERY / 2 ? 2 * r->check_every : CHECK_EVERY;
    fifo_offer_keep_young(&r->offer);
    plan_check(r);
    return NOBODY;
}

/* A hang-up is input as well for poll(2) of some systems, so a read tells them apart. */
static enum outcome read_door(struct fifo_machine *r)
{
    char byte;
    ssize_t got = sys_read(r->offer.door, SYS_FIFO, &byte, 1);
    if (got < 0)
        return errno == EAGAIN ? NOBODY : take_back(r, errno);
    return got == 1 ? claimed_by_peer(r) : last_writer_gone(r);
}

static enum outcome look_at_door(struct fifo_machine *r)
{
    struct pollfd door = {.fd = r->offer.door, .events = POLLIN};
    enum outcome outcome = NOBODY;
    if (sys_poll(&door, 1, 0) < 0 && errno != EINTR)
        return take_back(r, errno);
    if (door.revents != 0)
        outcome = read_door(r);
    return outcome == NOBODY && r->state == WAITS && sys_now() >= r->check_at ? check_offer(r)
                                                                              : outcome;
}

static enum outcome offer(struct fifo_machine *r)
{
    if (limit_is_at_once(&r->base.limit)) {
        errno = limit_error(&r->base.limit);
        return FAILED;
    }
    enum outcome outcome = publish(r);
    if (outcome != DONE)
        return outcome;
    report(r, "nobody is there: waits at the name");
    r->state = WAITS;
    r->claimed = false;
    plan_check(r);
    return NOBODY;
}

/* ---- the rendezvous ---- */

/* To the directory that the path leads to now; a private offer stayed in the old one. */
static enum outcome follow_path(struct fifo_machine *r)
{
    if (fifo_dir_stands(&r->dir))
        return AGAIN;
    fifo_offer_discard(&r->offer, r->dir.fd);
    return fifo_dir_reopen(&r->dir) == 0 ? AGAIN : FAILED;
}

static enum outcome open_dir(struct fifo_machine *r)
{
    r->is_open = true;
    if (fifo_dir_open(&r->dir, r->directory) != 0)
        return FAILED;
    fifo_dir_sweep(r->dir.fd);
    return AGAIN;
}

static enum outcome claim_or_offer(struct fifo_machine *r)
{
    if ((!r->is_open && open_dir(r) != AGAIN) || (r->round > 0 && follow_path(r) != AGAIN))
        return FAILED;
    enum outcome outcome = claim_waiter(r);
    return outcome == NOBODY ? offer(r) : outcome;
}

/*
 * Each round that is lost is another's success, so this is rare; whatever it comes from, it does
 * not spin.
 */
static void begin_round(struct fifo_machine *r)
{
    r->state = r->round++ < QUICK_ROUNDS ? LOOKS : PAUSES;
    r->until = sys_now() + ROUND_PAUSE;
}

static enum outcome act(struct fifo_machine *r)
{
    switch (r->state) {
    case PAUSES:
        if (sys_now() < r->until)
            return NOBODY;
        r->state = LOOKS;
        return claim_or_offer(r);
    case WAITS:
        return look_at_door(r);
    case LEAVES:
        return await_commit(r);
    default:
        return claim_or_offer(r);
    }
}

static enum rendezvous_result result_of(struct fifo_machine *r, enum outcome outcome, int fds[2])
{
    if (outcome == FAILED) {
        r->state = LOOKS; /* where another step begins */
        return RENDEZVOUS_FAILED;
    }
    if (outcome != DONE)
        return RENDEZVOUS_AGAIN;
    sys_pipe_set_size(r->fd[1], FIFO_CAPACITY); /* each FIFO has one writer, which asks for it */
    fds[0] = r->fd[0];
    fds[1] = r->fd[1];
    return RENDEZVOUS_DONE;
}

static enum rendezvous_result fifo_step(struct rendezvous *rendezvous, int fds[2])
{
    struct fifo_machine *r = fifo_of(rendezvous);
    enum outcome outcome;
    while ((outcome = act(r)) == AGAIN)
        begin_round(r);
    return result_of(r, outcome, fds);
}

static void fifo_interests(struct rendezvous *rendezvous, struct rendezvous_interests *what)
{
    struct fifo_machine *r = fifo_of(rendezvous);
    what->until = r->state == WAITS ? r->check_at : r->until;
    if (r->state == WAITS || r->state == LEAVES)
        what->fds[what->count++] = (struct pollfd){.fd = r->offer.door, .events = POLLIN};
}

/* Unless a claimer comes at the last moment, for which nothing but its own grace counts. */
static enum rendezvous_result fifo_give_up(struct rendezvous *rendezvous, int error, int fds[2])
{
    struct fifo_machine *r = fifo_of(rendezvous);
    r->base.limit = (struct limit){.deadline = -1};
    if (r->state == WAITS)
        return result_of(r, take_back(r, error), fds);
    r->error = error;
    errno = error;
    return r->state == LEAVES ? RENDEZVOUS_AGAIN : RENDEZVOUS_FAILED;
}

/* A claimer finds the door closed. */
static void fifo_close(struct rendezvous *rendezvous, bool is_opener)
{
    struct fifo_machine *r = fifo_of(rendezvous);
    int saved = errno;
    if (is_opener)
        fifo_offer_discard(&r->offer, r->dir.fd);
    else
        fifo_offer_close(&r->offer);
    if (r->is_open)
        fifo_dir_close(&r->dir);
    rendezvous_free(r, NULL);
    errno = saved;
}

static const struct rendezvous_ops fifo_ops = {fifo_step, fifo_interests, fifo_give_up, fifo_close};

struct rendezvous *fifo_rendezvous(const struct fifo_request *request)
{
    const char *name = request->name, *directory = request->directory;
    const struct rendezvous_loan loan = {{&name, &directory}, NULL};
    if (fifo_dir_check_name(name) != 0)
        return NULL;
    struct fifo_machine *r = rendezvous_new(sizeof *r, &loan);
    if (r == NULL)
        return NULL;
    r->base = (struct rendezvous){.ops = &fifo_ops, .limit = request->limit};
    r->name = name;
    r->directory = directory;
    r->check_every = CHECK_EVERY;
    r->offer = fifo_offer_none;
    return &r->base;
}
