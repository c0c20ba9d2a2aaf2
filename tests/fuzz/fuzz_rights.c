/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer of a Unix socket sends bytes by sendmsg, with any number of descriptors anywhere:
 * in the middle of frames, several times for one frame, too many, with credentials, out of band.
 * The messages, their descriptors and the errno at the end are compared with the manual's rule:
 * descriptors belong to the frame of the last byte that came with them. No descriptor is left.
 *
 *   input   2 bytes: flags of the handle, max_pending; then steps. A step that sends takes the
 *           bytes that it sends from the input
 */
#include "fuzz.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "decoder.h"
#include "rights_send.h"

/* Up to this size it does not matter in how many reads a message comes. */
enum { MESSAGE_MAX = 4096 };
enum { WIRE_MAX = 1 << 16, CHUNKS_MAX = 256, OF_MESSAGE_MAX = 16 };
enum { REPORTS_MAX = 8 };

/* What went by one sendmsg: `count` descriptors, the files from `first` on, in turn. */
struct chunk {
    size_t end;
    int count, first;
};

struct peer {
    pipc_t *pipe;
    int raw; /* the hostile end; -1: closed */
    bool accepts;
    bool is_duplex;
    bool is_wild; /* something was sent of which nothing is said: only safety is checked */
    bool has_ended;
    size_t size, at; /* of the stream: what was sent, what was read */
    bool read_bye;
    int dead; /* the error that was reported; 0 */
    unsigned reports;
    int polled;
    int current, current_first; /* descriptors of the last message that are not taken */
    struct chunk chunk[CHUNKS_MAX];
    int chunks;
    bool is_tight; /* hardly a number is free */
};

static uint8_t wire[WIRE_MAX];
/* ---- what must come ---- */

enum outcome {
    OUT_MESSAGE,
    OUT_NOTHING,
    OUT_END,
    OUT_TORN,
    OUT_BAD,
    OUT_BAD_IN_TIME /* too many descriptors of a message that is not whole yet */
};

/* How many descriptors come with the bytes from `begin` to `end`. */
static int count_fds(const struct peer *p, size_t begin, size_t end, int *first)
{
    int count = 0;
    for (int i = 0; i < p->chunks; i++) {
        const struct chunk *c = &p->chunk[i];
        if (c->end <= begin || c->end > end || c->count == 0)
            continue;
        if (count == 0)
            *first = c->first;
        count += c->count;
    }
    return count;
}

static enum outcome expected(const struct peer *p, struct decoded *message, int *count, int *first)
{
    if (p->read_bye)
        return OUT_END;
    enum decoded_status status = decode(wire, p->size, p->at, MESSAGE_MAX, message);
    if (status == DECODED_BAD)
        return OUT_BAD;
    size_t end = status == DECODED_MESSAGE ? message->end : p->size;
    *count = count_fds(p, p->at, end, first);
    bool is_excess = p->accepts && *count > OF_MESSAGE_MAX;
    if (status == DECODED_MESSAGE)
        return is_excess ? OUT_BAD : OUT_MESSAGE;
    if (is_excess)
        return OUT_BAD_IN_TIME;
    if (!p->has_ended)
        return OUT_NOTHING;
    return status == DECODED_NONE ? OUT_END : OUT_TORN;
}

static bool may_fail_with(const struct peer *p, enum outcome outcome, int error)
{
    if (p->is_tight && p->accepts && error == EMFILE)
        return true;
    switch (outcome) {
    case OUT_NOTHING:
        return error == EAGAIN;
    case OUT_END:
        return error == EPIPE;
    case OUT_TORN:
        return error == ECONNRESET;
    case OUT_BAD:
        return error == EPROTO;
    case OUT_BAD_IN_TIME:
        return error == EPROTO || error == (p->has_ended ? ECONNRESET : EAGAIN);
    default:
        return false;
    }
}

static bool is_harmless(int error)
{
    return error == EAGAIN || error == EPIPE || error == ECONNRESET || error == EPROTO ||
           error == ESHUTDOWN || error == EMSGSIZE || error == EMFILE;
}

/* A reading call has failed. */
static void check_error(struct peer *p, enum outcome outcome)
{
    int error = errno;
    FUZZ_CHECK(is_harmless(error), "an errno that the manual does not name");
    FUZZ_CHECK(error != EMFILE || p->is_tight, "numbers are free");
    if (error == EAGAIN || error == EMFILE || error == ESHUTDOWN || error == EMSGSIZE) {
        FUZZ_CHECK(p->dead == 0 || p->is_wild, "a dead direction has come to life");
    } else {
        FUZZ_CHECK(p->dead == 0 || p->dead == error, "it was %s before", strerror(p->dead));
        p->dead = error;
        p->reports++;
    }
    FUZZ_CHECK(p->is_wild || may_fail_with(p, outcome, error), "another errno, outcome %d",
               outcome);
}

static void check_message(const pipc_msg_t *got, const struct decoded *message)
{
    FUZZ_CHECK(got->kind == message->kind && got->size == message->size, "another message");
    FUZZ_CHECK(memcmp(got->data, message->data, got->size) == 0, "other bytes");
}

/* ---- descriptors ---- */

static void consume(struct peer *p, const struct decoded *message, int count, int first)
{
    p->at = message->end;
    p->read_bye = message->kind == PIPC_BYE;
    p->current = p->accepts ? count : 0;
    p->current_first = first;
}

static void check_fd(const struct peer *p, int fd, int which)
{
    struct stat status;
    FUZZ_CHECK(fd > STDERR_FILENO && fstat(fd, &status) == 0, "descriptor %d", fd);
    FUZZ_CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "it survives exec");
    FUZZ_CHECK(p->is_wild || status.st_ino == rights_inode(which), "another file");
}

static void call_take(struct peer *p, int max)
{
    int fds[64];
    int got = pipc_take_fds(p->pipe, fds, max);
    int should = p->current < max ? p->current : max;
    FUZZ_CHECK(got >= 0 && got <= max, "%d descriptors", got);
    FUZZ_CHECK(p->is_wild || got == should, "%d descriptors, not %d", got, should);
    FUZZ_CHECK(got == 0 || p->accepts, "descriptors were not asked for");
    for (int i = 0; i < got; i++) {
        check_fd(p, fds[i], p->current_first + i);
        close(fds[i]);
    }
    p->current -= got;
    p->current_first += got;
}

/* ---- the calls ---- */

static void call_read(struct peer *p, size_t room)
{
    static uint8_t buffer[MESSAGE_MAX];
    struct decoded message;
    int count = 0, first = 0;
    enum outcome outcome = expected(p, &message, &count, &first);
    ssize_t got = pipc_read(p->pipe, buffer, room);
    if (p->is_wild) {
        if (got < 0)
            check_error(p, outcome);
        return;
    }
    if (got < 0 && outcome == OUT_MESSAGE && errno == ESHUTDOWN && message.kind == PIPC_BYE) {
        consume(p, &message, count, first);
    } else if (got < 0 && outcome == OUT_MESSAGE && errno == EMSGSIZE) {
        FUZZ_CHECK(message.size > room, "it fits");
    } else if (got < 0) {
        check_error(p, outcome);
    } else {
        pipc_msg_t view = {buffer, (size_t)got, PIPC_DATA};
        FUZZ_CHECK(outcome == OUT_MESSAGE, "a message instead of outcome %d", outcome);
        check_message(&view, &message);
        consume(p, &message, count, first);
    }
}

/* pipc_read_msg, pipc_peek and pipc_skip. */
static void call_on_first(struct peer *p, unsigned call)
{
    struct decoded message;
    pipc_msg_t got = {NULL, 0, PIPC_DATA};
    int count = 0, first = 0;
    enum outcome outcome = expected(p, &message, &count, &first);
    int result = call == 0   ? pipc_read_msg(p->pipe, &got)
                 : call == 1 ? pipc_peek(p->pipe, &got)
                             : pipc_skip(p->pipe);
    if (result != 0) {
        check_error(p, outcome);
        return;
    }
    FUZZ_CHECK(p->is_wild || outcome == OUT_MESSAGE, "success instead of outcome %d", outcome);
    if (call < 2 && !p->is_wild)
        check_message(&got, &message);
    if (call != 1 && !p->is_wild)
        consume(p, &message, call == 0 ? count : 0, first);
    if (call == 0)
        pipc_msg_free(&got);
}

static void call_read_pending(struct peer *p, size_t max)
{
    pipc_msg_t got[32];
    struct decoded message;
    int count = 0, first = 0;
    enum outcome outcome = expected(p, &message, &count, &first);
    ssize_t n = pipc_read_pending(p->pipe, got, max);
    if (n < 0) {
        check_error(p, outcome);
        return;
    }
    FUZZ_CHECK(p->is_wild || p->is_tight || n > 0 || max == 0 || outcome == OUT_NOTHING ||
                   outcome == OUT_BAD_IN_TIME,
               "0 instead of outcome %d", outcome);
    for (ssize_t i = 0; i < n; i++) {
        outcome = expected(p, &message, &count, &first);
        FUZZ_CHECK(p->is_wild || outcome == OUT_MESSAGE, "a message too many");
        if (!p->is_wild) {
            check_message(&got[i], &message);
            consume(p, &message, count, first);
            FUZZ_CHECK(p->current == 0 || i == n - 1, "the batch goes on behind descriptors");
        }
        pipc_msg_free(&got[i]);
    }
}

static void call_count(struct peer *p, bool flushes)
{
    struct peer ahead = *p;
    struct decoded message;
    int count, first;
    ssize_t whole = 0;
    while (expected(&ahead, &message, &count, &first) == OUT_MESSAGE) {
        consume(&ahead, &message, count, first);
        whole++;
    }
    ssize_t got = flushes ? pipc_flush(p->pipe) : pipc_pending(p->pipe);
    bool takes_in = !p->is_tight && !(flushes && p->is_duplex);
    FUZZ_CHECK(got >= 0, "it fails");
    FUZZ_CHECK(p->is_wild || (got <= whole && (got > 0 || whole == 0 || !takes_in)),
               "%zd messages are there, not %zd", got, whole);
}

/* What an event loop does: it reads until nothing is left, and must not be woken again. */
static void call_poll(struct peer *p)
{
    struct decoded message;
    int count, first;
    enum outcome outcome = expected(p, &message, &count, &first);
    if (p->polled < 0)
        p->polled = pipc_fd(p->pipe);
    FUZZ_CHECK(p->polled >= 0, "no descriptor to poll");
    bool is_readable = fuzz_is_readable(p->polled);
    bool should_be =
        outcome == OUT_MESSAGE ||
        (outcome != OUT_NOTHING && outcome != OUT_BAD_IN_TIME && p->reports < REPORTS_MAX);
    FUZZ_CHECK(is_readable || !should_be || p->is_wild, "not readable, outcome %d", outcome);
    if (should_be || !is_readable || p->is_tight)
        return;
    for (int i = 0; i < 3 * REPORTS_MAX && fuzz_is_readable(p->polled); i++)
        call_on_first(p, 0);
    FUZZ_CHECK(!fuzz_is_readable(p->polled), "readable, and nothing is to be read");
}

/* Few or no numbers are free for what comes. */
static void call_tight(struct peer *p, unsigned number)
{
    struct rlimit limit, tight;
    int lowest = dup(STDERR_FILENO);
    FUZZ_NEED(lowest >= 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0);
    close(lowest);
    tight = limit;
    tight.rlim_cur = (rlim_t)(lowest + (int)(number & 3));
    FUZZ_NEED(setrlimit(RLIMIT_NOFILE, &tight) == 0);
    p->is_tight = true;
    if (number & 4)
        call_read(p, MESSAGE_MAX);
    else if (number & 8)
        call_read_pending(p, 8);
    else
        call_on_first(p, number & 1);
    p->is_tight = false;
    FUZZ_NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* ---- the hostile end ---- */

/* The kernel may refuse the descriptors: then the bytes go alone. */
static void send_with(struct peer *p, const uint8_t *bytes, size_t size, int count, unsigned how)
{
    static int next;
    struct chunk c = {.count = count, .first = next};
    if (p->raw < 0 || p->chunks == CHUNKS_MAX || size > WIRE_MAX - p->size)
        return;
    ssize_t sent = rights_send(p->raw, bytes, size, c.first, c.count, how);
    if (sent < 0 && errno == EPERM) {
        c.count = 0;
        sent = rights_send(p->raw, bytes, size, c.first, c.count, how);
    }
    if (sent <= 0)
        return; /* there is no room; or no bytes, with which nothing comes */
    memcpy(wire + p->size, bytes, (size_t)sent);
    p->size += (size_t)sent;
    c.end = p->size;
    p->chunk[p->chunks++] = c;
    next = (next + c.count) % RIGHTS_FILES;
}

/* What this does to the stream differs between kernels. */
static void send_out_of_band(struct peer *p, int count)
{
    const uint8_t byte = '!';
    if (p->raw >= 0 && rights_send(p->raw, &byte, 1, 0, count, RIGHTS_OUT_OF_BAND) > 0)
        p->is_wild = true;
}

static void end_stream(struct peer *p, bool closes)
{
    if (p->raw < 0)
        return;
    p->has_ended = true;
    shutdown(p->raw, SHUT_WR);
    if (!closes)
        return;
    close(p->raw);
    p->raw = -1;
}

/* ---- one input ---- */

static int pick_count(struct fuzz_input *in)
{
    static const int counts[] = {0, 0, 1, 1, 2, 3, 8, 15, 16, 16, 17, 31, 32, 33, 64, RIGHTS_MAX};
    return FUZZ_PICK(in, counts);
}

/* A whole frame of a few bytes, split anywhere: as an honest peer's, but for the descriptors. */
static void send_frame(struct peer *p, struct fuzz_input *in)
{
    uint8_t frame[4 + 16] = {0};
    uint8_t size = fuzz_byte(in) % 17;
    size_t split = fuzz_byte(in) % (size + 5u);
    frame[3] = size;
    memset(frame + 4, 'a' + size, size);
    send_with(p, frame, split, pick_count(in), 0);
    send_with(p, frame + split, size + 4 - split, pick_count(in), 0);
}

static void send_input(struct peer *p, struct fuzz_input *in, unsigned number)
{
    int count = pick_count(in);
    size_t size = number == 15 ? fuzz_byte(in) : number;
    const uint8_t *bytes = fuzz_take(in, &size);
    send_with(p, bytes, size, count, number & 3);
}

static void take_step(struct peer *p, struct fuzz_input *in)
{
    uint8_t step = fuzz_byte(in);
    unsigned number = step >> 4;
    switch (step & 15) {
    case 0:
    case 1:
    case 2:
        send_input(p, in, number);
        break;
    case 3:
    case 4:
        send_frame(p, in);
        break;
    case 5:
        call_read(p, MESSAGE_MAX);
        break;
    case 6:
        call_read(p, number);
        break;
    case 7:
        call_on_first(p, number % 3);
        break;
    case 8:
        call_read_pending(p, number * 2);
        break;
    case 9:
        call_count(p, number & 1);
        break;
    case 10:
    case 11:
        call_take(p, (int)number);
        break;
    case 12:
        call_poll(p);
        break;
    case 13:
        call_tight(p, number);
        break;
    case 14:
        if (number == 15)
            send_out_of_band(p, pick_count(in));
        break;
    default:
        if (number >= 14)
            end_stream(p, number & 1);
        break;
    }
}

static void finish(struct peer *p)
{
    struct decoded message;
    int count, first;
    end_stream(p, false);
    while (!p->is_wild && expected(p, &message, &count, &first) == OUT_MESSAGE) {
        call_read(p, MESSAGE_MAX);
        call_take(p, 16);
    }
    for (int i = 0; i <= REPORTS_MAX; i++) {
        call_poll(p);
        call_on_first(p, 0);
    }
    FUZZ_CHECK(p->is_wild || p->dead != 0, "the end is not reported");
    call_poll(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const unsigned flags[] = {PIPC_ACCEPT_FDS, PIPC_ACCEPT_FDS | PIPC_DUPLEX,
                                     PIPC_ACCEPT_FDS | PIPC_GATHER, 0};
    static const size_t pendings[] = {0, 1, 128, 1000};
    static struct peer peer;
    struct fuzz_input in = {bytes, size};
    pipc_options_t options = PIPC_OPTIONS_INIT;
    int fd[2];
    rights_open_files();
    struct fuzz_fds before = fuzz_fds_now();
    options.flags = FUZZ_PICK(&in, flags);
    options.max_message = MESSAGE_MAX;
    options.max_pending = FUZZ_PICK(&in, pendings);
    fuzz_socketpair(fd);
    peer = (struct peer){.raw = fd[1],
                         .polled = -1,
                         .accepts = options.flags != 0,
                         .is_duplex = (options.flags & PIPC_DUPLEX) != 0};
    peer.pipe = fuzz_adopt(fd[0], fd[0], &options);
    while (!fuzz_is_over(&in))
        take_step(&peer, &in);
    if (size % 2 == 0)
        finish(&peer);
    pipc_close(peer.pipe);
    if (peer.raw >= 0)
        close(peer.raw);
    fuzz_fds_check(&before);
    return 0;
}
