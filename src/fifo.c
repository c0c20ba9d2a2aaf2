/* SPDX-License-Identifier: MIT */
/*
 * How two comers find each other by name, without a lock. (pipc.h, 11, tells it to other programs.)
 *
 * Who waits has a directory of the name, and in it three FIFOs: `door`, `in` and `out` (as the waiter
 * sees them), all open at the waiter before the directory gets its name. Three steps are atomic:
 *
 *   offer    rename(private directory, NAME). It fails while NAME is a directory with something in
 *            it, so at most one waits at a time; an empty directory is as good as none.
 *   claim    unlink(NAME/door), with all three FIFOs open. It succeeds for one comer only, and, since
 *            it works in the directory that was opened and not in whatever has the name by now, on that
 *            very offer. The waiter withdraws by the same step.
 *   commit   a byte through the door, after everything with a name has been removed.
 *
 * Every comer first tries to claim. Where nobody waits it offers; where somebody was faster it looks
 * again. So of two comers one waits and one claims, whoever is first, and an even number of comers is
 * paired off. There is no state in which two wait at one name without seeing each other.
 *
 * Whoever dies leaves the following, and nobody stops because of it.
 *   - An offer nobody has open: writing to its door fails with ENXIO. The next comer removes it.
 *   - A claimed offer (no door) with some of its names: all who need them have them open. Likewise.
 *   - A waiter whose claimer died before it committed: its door reports that the last writer is gone.
 *     It removes the rest and offers anew. (Losers of a claim make the same event, so the waiter
 *     looks whether its door still has its name, and opens the door anew to listen on.)
 *   - A claimer whose waiter died: the commit fails with EPIPE, and it looks again.
 *   - A private directory that never got the name: fifo_home_sweep.
 * A process that is stopped rather than dead holds up nobody but its partner.
 *
 * The event that a waiter polls for is a byte on a FIFO of its own, since neither the opening of a
 * FIFO nor the first writer is an event; and the two FIFOs that stay carry nothing but the
 * program's bytes.
 */
#include "fifo.h"

#include <errno.h>
#include <stdint.h>

#include "fifo_home.h"
#include "sys.h"
#include "sys_file.h"

/* What an unprivileged process may ask for (/proc/sys/fs/pipe-max-size, by default). */
#define CAPACITY (1024 * 1024)
/* A claim is microseconds away from its commit; a waiter whose time is up lets it come so far. */
#define COMMIT_GRACE 50000000 /* nanoseconds */
/* Rounds lost to others at once; from there on a comer pauses. */
#define QUICK_ROUNDS 32
#define PAUSE        1000000 /* nanoseconds */

/* What became of a step: the meeting; look again; nobody is there to be claimed; errno. */
enum outcome { MET, AGAIN, NOBODY, FAILED };

struct offer {
    int directory;  /* -1: no offer */
    int door;       /* read */
    int in, out;    /* what stays: read and written */
    int out_reader; /* keeps `out` open for writing until the claimer reads it */
    char private_name[FIFO_PRIVATE_SIZE];
};

struct meeting {
    const struct fifo_wish *wish;
    int home;
    int64_t deadline;
    struct offer offer;
    int fd[2];
};

/* ---- names that go ---- */

/* The two that stay lose their names, and the directory, when it is empty, its own. */
static int remove_names(const struct meeting *m, int directory, const char *name)
{
    if (fifo_home_remove_fifo(directory, FIFO_IN) != 0 ||
        fifo_home_remove_fifo(directory, FIFO_OUT) != 0)
        return -1;
    int result = sys_file_remove_directory(m->home, name);
    bool is_anothers = result != 0 && (errno == ENOENT || errno == ENOTEMPTY || errno == ENOTDIR);
    return is_anothers ? 0 : result;
}

static void close_offer(struct offer *offer)
{
    sys_close(offer->directory);
    sys_close(offer->door);
    sys_close(offer->in);
    sys_close(offer->out);
    sys_close(offer->out_reader);
    *offer = (struct offer){-1, -1, -1, -1, -1, ""};
}

/* An offer that has no name yet, or not any more; what is left of it is nobody else's. */
static void discard_offer(struct meeting *m, const char *name)
{
    int saved = errno;
    if (m->offer.directory >= 0) {
        fifo_home_remove_fifo(m->offer.directory, FIFO_DOOR);
        remove_names(m, m->offer.directory, name);
    }
    close_offer(&m->offer);
    errno = saved;
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

/* Does this very directory still have the name? */
static bool still_named(const struct meeting *m, int directory)
{
    struct sys_file_status opened, named;
    return sys_file_status(directory, &opened) == 0 &&
           sys_file_status_at(m->home, m->wish->name, &named) == 0 &&
           opened.device == named.device && opened.inode == named.inode;
}

/*
 * An offer of the dead, or one that is claimed, or an empty directory. An offer is complete when it
 * gets its name, and nothing is added later; so what is not empty now is none of ours.
 */
static enum outcome clear(const struct meeting *m, int directory)
{
    if (fifo_home_remove_fifo(directory, FIFO_DOOR) != 0 ||
        remove_names(m, directory, m->wish->name) != 0)
        return FAILED;
    if (!still_named(m, directory))
        return NOBODY;
    errno = EACCES;
    return FAILED;
}

static enum outcome open_failed(enum outcome absent)
{
    return errno == ENOENT || errno == ENXIO ? absent : FAILED;
}

static enum outcome open_offer(const struct meeting *m, struct claim *claim)
{
    claim->door = fifo_home_open_fifo(claim->directory, FIFO_DOOR, true);
    if (claim->door < 0)
        return open_failed(NOBODY) == NOBODY ? clear(m, claim->directory) : FAILED;
    claim->in = fifo_home_open_fifo(claim->directory, FIFO_IN, true);
    if (claim->in < 0)
        return open_failed(AGAIN);
    claim->out = fifo_home_open_fifo(claim->directory, FIFO_OUT, false);
    return claim->out < 0 ? open_failed(AGAIN) : MET;
}

static enum outcome commit(const struct claim *claim)
{
    static const char byte = '!';
    struct iovec part = {(void *)(uintptr_t)&byte, 1};
    if (sys_writev(claim->door, SYS_OWN_FIFO, &part, 1) == 1)
        return MET;
    return errno == EPIPE || errno == EAGAIN ? AGAIN : FAILED;
}

/* An offer of its own, that came too late, goes before the commit too: then nothing is left at all. */
static enum outcome take(struct meeting *m, struct claim *claim)
{
    enum outcome outcome = open_offer(m, claim);
    if (outcome != MET)
        return outcome;
    if (sys_file_remove(claim->directory, FIFO_DOOR) != 0)
        return open_failed(AGAIN);
    if (remove_names(m, claim->directory, m->wish->name) != 0)
        return FAILED;
    discard_offer(m, m->offer.private_name);
    return commit(claim);
}

static enum outcome try_claim(struct meeting *m)
{
    struct claim claim = {fifo_home_open_directory(m->home, m->wish->name), -1, -1, -1};
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

static int make_fifo(int directory, const char *name)
{
    return sys_file_make_fifo(directory, name) != 0 ? -1
                                                    : fifo_home_open_fifo(directory, name, false);
}

static int fill_offer(struct meeting *m)
{
    struct offer *offer = &m->offer;
    offer->directory = fifo_home_open_directory(m->home, offer->private_name);
    if (offer->directory < 0)
        return -1;
    offer->door = make_fifo(offer->directory, FIFO_DOOR);
    if (offer->door < 0)
        return -1;
    offer->in = make_fifo(offer->directory, FIFO_IN);
    if (offer->in < 0)
        return -1;
    offer->out_reader = make_fifo(offer->directory, FIFO_OUT);
    if (offer->out_reader < 0)
        return -1;
    offer->out = fifo_home_open_fifo(offer->directory, FIFO_OUT, true);
    return offer->out < 0 ? -1 : 0;
}

/* Given up before it had its name. ENOENT: to somebody this process looked dead, and was swept away. */
static enum outcome no_offer(struct meeting *m)
{
    int saved = errno;
    if (m->offer.directory < 0)
        sys_file_remove_directory(m->home, m->offer.private_name);
    discard_offer(m, m->offer.private_name);
    errno = saved;
    return errno == ENOENT ? AGAIN : FAILED;
}

static enum outcome make_offer(struct meeting *m)
{
    fifo_home_private_name(m->offer.private_name);
    if (sys_file_make_directory(m->home, m->offer.private_name) != 0)
        return FAILED;
    return fill_offer(m) == 0 ? MET : no_offer(m);
}

static enum outcome publish(struct meeting *m)
{
    if (m->offer.directory < 0) {
        enum outcome outcome = make_offer(m);
        if (outcome != MET)
            return outcome;
    }
    if (sys_file_rename(m->home, m->offer.private_name, m->wish->name) == 0)
        return MET;
    if (errno == ENOTEMPTY || errno == ENOTDIR)
        return AGAIN; /* somebody was faster: claim that one, and keep this offer */
    return no_offer(m);
}

/* ---- waiting ---- */

static enum outcome met(struct meeting *m)
{
    m->fd[0] = m->offer.in;
    m->fd[1] = m->offer.out;
    m->offer.in = m->offer.out = -1;
    close_offer(&m->offer);
    return MET;
}

/* The wait is over with `error`, unless somebody has claimed and is about to commit. */
static enum outcome withdraw(struct meeting *m, int error)
{
    if (sys_file_remove(m->offer.directory, FIFO_DOOR) != 0 && errno == ENOENT) {
        struct pollfd door = {.fd = m->offer.door, .events = POLLIN};
        int64_t until = sys_now() + COMMIT_GRACE;
        int ready;
        do
            ready = sys_poll(&door, 1, until);
        while (ready < 0 && errno == EINTR);
        if (ready > 0 && (door.revents & POLLIN))
            return met(m);
        sys_close(m->offer.door); /* at once: from here on the claimer's commit fails */
        m->offer.door = -1;
    }
    discard_offer(m, m->wish->name);
    errno = error;
    return FAILED;
}

/* The last writer has gone: a loser of the claim, a passer-by, or the claimer. */
static enum outcome listen_on(struct meeting *m, bool *claimed)
{
    if (*claimed) {
        discard_offer(m, m->wish->name);
        return AGAIN;
    }
    int door = fifo_home_open_fifo(m->offer.directory, FIFO_DOOR, false);
    if (door < 0 && errno != ENOENT)
        return withdraw(m, errno);
    *claimed = door < 0;
    if (door >= 0) {
        sys_close(m->offer.door); /* after the other is open: the door always has a reader */
        m->offer.door = door;
    }
    return NOBODY;
}

static enum outcome await_claim(struct meeting *m)
{
    bool claimed = false;
    enum outcome outcome = NOBODY;
    while (outcome == NOBODY) {
        struct pollfd door = {.fd = m->offer.door, .events = POLLIN};
        int ready = sys_poll(&door, 1, m->deadline);
        if (ready == 0)
            return withdraw(m, ETIMEDOUT);
        if (ready > 0)
            outcome = door.revents & POLLIN ? met(m) : listen_on(m, &claimed);
        else if (errno != EINTR || m->wish->interruptible)
            return withdraw(m, errno);
    }
    return outcome;
}

static enum outcome offer(struct meeting *m)
{
    if (m->wish->timeout_ms == 0) {
        errno = EAGAIN;
        return FAILED;
    }
    enum outcome outcome = publish(m);
    return outcome == MET ? await_claim(m) : outcome;
}

/* ---- meeting ---- */

/* Each round that is lost is another's success, so this is rare; whatever it comes from, it does not spin. */
static enum outcome hesitate(const struct meeting *m, unsigned round)
{
    if (round < QUICK_ROUNDS)
        return AGAIN;
    if (m->deadline < 0 || sys_now() < m->deadline) {
        sys_pause(PAUSE);
        return AGAIN;
    }
    errno = m->wish->timeout_ms == 0 ? EAGAIN : ETIMEDOUT;
    return FAILED;
}

static enum outcome meet(struct meeting *m)
{
    enum outcome outcome = AGAIN;
    for (unsigned round = 0; outcome == AGAIN; round++) {
        outcome = try_claim(m);
        if (outcome == NOBODY)
            outcome = offer(m);
        if (outcome == AGAIN)
            outcome = hesitate(m, round);
    }
    discard_offer(m, m->offer.private_name);
    return outcome;
}

int fifo_open(const struct fifo_wish *wish, int fd[2])
{
    struct meeting m = {.wish = wish, .deadline = -1, .offer = {-1, -1, -1, -1, -1, ""}};
    if (fifo_home_check_name(wish->name) != 0)
        return -1;
    if (wish->timeout_ms >= 0)
        m.deadline = sys_now() + (int64_t)wish->timeout_ms * 1000000;
    m.home = fifo_home_open(wish->directory);
    if (m.home < 0)
        return -1;
    fifo_home_sweep(m.home);
    enum outcome outcome = meet(&m);
    sys_close(m.home);
    if (outcome != MET)
        return -1;
    sys_file_enlarge(m.fd[1], CAPACITY); /* each FIFO has one writer, which asks for it */
    fd[0] = m.fd[0];
    fd[1] = m.fd[1];
    return 0;
}
