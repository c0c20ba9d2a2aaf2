/* SPDX-License-Identifier: MIT */
/*
 * Each call on one side, compared with the model of both directions (fuzz/lane.h) while faults are
 * injected: which errnos the manual allows, that only accepted messages come, each whole, in order
 * and once, that a dead direction stays dead with one errno, and that only a fault of a read or a
 * write, or the peer, makes one dead.
 */
#include <fcntl.h>

#include "harness.h"
#include "torture.h"

enum { BATCH_MAX = 6, PENDING_MAX = 4 };

static uint8_t room[LANE_MESSAGE_MAX];

/* ---- which errno may be ---- */

static bool is_among(int error, const int *list)
{
    while (*list != 0 && *list != error)
        list++;
    return *list != 0;
}

static const int no_end[] = {EBUSY, EPIPE, ENOMEM, EMFILE, ENFILE, EPERM, 0};

static bool may_lack_end(const struct torture_side *side, int error)
{
    return side->kind->same_handle && is_among(error, no_end);
}

static bool is_io(enum fault_call call)
{
    return call >= CALL_read && call <= CALL_sendmsg;
}

/* A read or a write was made to fail with this errno. */
static bool is_from_io(int error)
{
    enum fault_call call;
    for (size_t i = 0; i < 2; i++)
        if (fault_begun(i, &call) == error && is_io(call) && error != EINTR)
            return true;
    return false;
}

/* The stream broke in a read or a write that was made to fail. */
bool torture_is_broken(void)
{
    static const int passing[] = {EAGAIN, EINTR, ENOMEM, ENOBUFS, EOPNOTSUPP, ENOSYS, 0};
    enum fault_call call;
    for (size_t i = 0; i < 2; i++) {
        int error = fault_begun(i, &call);
        if (error != 0 && is_io(call) && !is_among(error, passing))
            return true;
    }
    return false;
}

/* Of the kernel's memory: the next call may work. */
static bool passes(int error)
{
    static const int passing[] = {EAGAIN, ETIMEDOUT, ENOMEM, ENOBUFS, 0};
    return is_among(error, passing);
}

/* No device or file lies behind the library's own descriptors, but the faults do not know that. */
static bool may_break(const struct torture_side *side, int error)
{
    bool is_usual = error == EPIPE || error == ECONNRESET || error == EPROTO;
    bool is_odd = !side->kind->made || error == EIO || error == ENOSPC;
    return is_usual || (is_odd && is_from_io(error));
}

static bool has_peer_ended(const struct torture_side *side)
{
    return side->in->is_shut || side->in->is_closed || side->out->is_deaf;
}

static void check_wait(const struct torture_side *side, int error)
{
    TORTURE_CHECK(error != EAGAIN || side->timeout_ms <= 0, "EAGAIN, with a timeout");
    TORTURE_CHECK(error != ETIMEDOUT || side->timeout_ms != 0 || is_from_io(error),
                  "ETIMEDOUT, with timeout 0");
}

static void note_dead(int *dead, int error)
{
    if (*dead == 0)
        *dead = error;
    TORTURE_CHECK(*dead == error, "a dead direction says %s after %s", strerror(error),
                  strerror(*dead));
}

static void check_read_error(struct torture_side *side)
{
    int error = errno;
    check_wait(side, error);
    if (side->read_dead == 0 && passes(error))
        return;
    if (side->read_dead == 0 && (side->flags & PIPC_ACCEPT_FDS) != 0 && error == EMFILE)
        return;
    if (side->read_dead == 0 && may_lack_end(side, error) && error != EPIPE) {
        side->refused = error;
        return;
    }
    TORTURE_CHECK(may_break(side, error),
                  "a read that fails with an errno that the manual does not name");
    TORTURE_CHECK(side->read_dead != 0 || has_peer_ended(side) || torture_is_broken(),
                  "an end that nobody caused");
    note_dead(&side->read_dead, error);
}

static void check_write_error(struct torture_side *side, bool is_flush)
{
    int error = errno;
    check_wait(side, error);
    if (side->write_dead == 0 && passes(error))
        return;
    if (may_lack_end(side, error) && error != EPIPE) {
        side->refused = error;
        return;
    }
    TORTURE_CHECK(may_break(side, error),
                  "a write that fails with an errno that the manual does not name");
    TORTURE_CHECK(side->write_dead != 0 || has_peer_ended(side) || side->out->is_shut ||
                      torture_is_broken(),
                  "an end of writing that nobody caused");
    if (!is_flush && !(side->out->is_shut && error == EPIPE))
        note_dead(&side->write_dead, error);
}

/* Calls that need nothing but an end, and memory. */
static void check_state(struct torture_side *side, bool works, bool may_lack_memory)
{
    static const int resources[] = {EMFILE, ENFILE, ENOMEM, ENOSPC, 0};
    if (works)
        return;
    TORTURE_CHECK(may_lack_end(side, errno) ||
                      (may_lack_memory && (is_among(errno, resources) || fault_injected(errno))),
                  "a call for the state of the handle fails");
    side->refused = errno;
}

static void check_alive(const struct torture_side *side, int dead)
{
    (void)side;
    TORTURE_CHECK(dead == 0, "a dead direction works again (it was %s)", strerror(dead));
}

/* ---- writing ---- */

static size_t size_of(uint32_t number)
{
    static const uint32_t sizes[] = {0,    1,    5,     64,    255,   1000,  2044,  4092,
                                     4096, 5000, 16384, 32768, 65532, 66000, 70000, 299000};
    return number % 4 != 0 ? number / 4 % 200 : sizes[number / 4 % 16];
}

static void note_written(struct torture_side *side, size_t size, uint32_t seed)
{
    check_alive(side, side->write_dead);
    TORTURE_CHECK(!side->out->is_shut, "a write after the end");
    lane_add(side->out, PIPC_DATA, size, seed);
}

static void call_write(struct torture_side *side, enum torture_call call, uint32_t number)
{
    size_t size = size_of(number);
    uint8_t *bytes = (uint8_t *)(uintptr_t)lane_bytes(size, number);
    struct iovec parts[3] = {{bytes, size / 3}, {NULL, 0}, {bytes + size / 3, size - size / 3}};
    ssize_t sent = call == TORTURE_WRITEV ? pipc_writev(side->pipe, parts, 3)
                                          : pipc_write(side->pipe, bytes, size);
    TORTURE_CHECK(sent == -1 || sent == (ssize_t)size, "a write returns %zd", sent);
    if (sent == -1)
        check_write_error(side, false);
    else
        note_written(side, size, number);
}

static void call_batch(struct torture_side *side, uint32_t number)
{
    static uint8_t bytes[BATCH_MAX][300];
    struct iovec messages[BATCH_MAX];
    for (uint32_t i = 0; i < BATCH_MAX; i++) {
        size_t size = (number >> i) % 300;
        messages[i] = (struct iovec){bytes[i], size};
        memcpy(bytes[i], lane_bytes(size, number + i), size);
    }
    ssize_t sent = pipc_write_batch(side->pipe, messages, BATCH_MAX);
    TORTURE_CHECK(sent == -1 || (sent > 0 && sent <= BATCH_MAX), "a batch returns %zd", sent);
    if (sent == -1)
        check_write_error(side, false);
    for (ssize_t i = 0; i < sent; i++)
        note_written(side, messages[i].iov_len, number + (uint32_t)i);
}

/* Of one file, which is the same for all. */
static void call_write_fds(struct torture_side *side, uint32_t number)
{
    static const int refusals[] = {EOPNOTSUPP, ETOOMANYREFS, 0};
    size_t size = number % 300;
    int fd = 0;
    ssize_t sent = pipc_write_fds(side->pipe, lane_bytes(size, number), size, &fd, 1);
    if (sent == -1 && is_among(errno, refusals))
        return;
    if (sent == -1) {
        check_write_error(side, false);
        return;
    }
    TORTURE_CHECK(sent == (ssize_t)size, "a write returns %zd", sent);
    note_written(side, size, number);
    lane_add_fds(side->out, 1, 0);
}

static void call_flush(struct torture_side *side)
{
    ssize_t count = pipc_flush(side->pipe);
    if (count == -1)
        check_write_error(side, true);
    TORTURE_CHECK(count <= (ssize_t)side->in->count, "a flush counts %zd", count);
}

static void call_shutdown(struct torture_side *side)
{
    int result = pipc_shutdown(side->pipe);
    check_state(side, result == 0, false);
    side->out->is_shut = side->out->is_shut || result == 0;
}

static void call_disconnect(struct torture_side *side)
{
    if (pipc_disconnect(side->pipe, "bye") == -1) {
        check_write_error(side, false);
        return;
    }
    check_alive(side, side->write_dead);
    TORTURE_CHECK(!side->out->is_shut, "a goodbye after the end");
    lane_add(side->out, PIPC_BYE, 6, 0);
    memcpy(&side->out->message[side->out->first + side->out->count - 1].seed, "bye", 3);
    side->has_left = side->out->is_left = side->kind->same_handle;
    side->out->is_shut = true;
    if (side->has_left)
        side->polled = -1;
}

/* ---- reading ---- */

/* Descriptors come with the message that has some, or not at all if they cannot be had. */
static void take_fds(struct torture_side *side, int expected)
{
    int fds[16], count = pipc_take_fds(side->pipe, fds, 16);
    bool are_wanted = (side->flags & PIPC_ACCEPT_FDS) != 0;
    TORTURE_CHECK(count == (are_wanted ? expected : 0), "%d descriptors, not %d", count, expected);
    fault_disarm();
    for (int i = 0; i < count; i++)
        close(fds[i]);
    fault_arm();
}

static void note_taken(struct torture_side *side, const pipc_msg_t *got, bool with_fds)
{
    const struct lane_message *next = lane_next(side->in);
    int fds = next->fds;
    check_alive(side, side->read_dead);
    TORTURE_CHECK(side->in->count > 0, "a message out of nothing");
    TORTURE_CHECK(got == NULL || (got->kind == next->kind && got->size == next->size),
                  "%zu bytes, not the next message of %zu", got == NULL ? 0 : got->size,
                  next->size);
    if (got != NULL && got->kind == PIPC_DATA)
        TORTURE_CHECK(got->size == 0 ||
                          memcmp(got->data, lane_bytes(got->size, next->seed), got->size) == 0,
                      "other bytes");
    lane_take(side->in);
    if (with_fds)
        take_fds(side, fds);
}

static bool call_read(struct torture_side *side, size_t size)
{
    ssize_t got = pipc_read(side->pipe, room, size);
    if (got >= 0) {
        pipc_msg_t view = {room, (size_t)got, PIPC_DATA};
        note_taken(side, &view, true);
        return true;
    }
    if (errno == ESHUTDOWN) {
        const char *text = pipc_bye_text(side->pipe);
        TORTURE_CHECK(side->in->count > 0 && lane_next(side->in)->kind == PIPC_BYE, "a goodbye");
        TORTURE_CHECK(text != NULL && strcmp(text, "bye") == 0, "another text");
        lane_take(side->in);
        return true;
    }
    if (errno == EMSGSIZE)
        TORTURE_CHECK(side->in->count > 0 && lane_next(side->in)->size > size, "it fits");
    else
        check_read_error(side);
    return false;
}

static bool call_read_msg(struct torture_side *side)
{
    pipc_msg_t message;
    if (pipc_read_msg(side->pipe, &message) == -1) {
        check_read_error(side);
        return false;
    }
    note_taken(side, &message, true);
    pipc_msg_free(&message);
    return true;
}

static void call_read_pending(struct torture_side *side)
{
    pipc_msg_t messages[PENDING_MAX];
    ssize_t count = pipc_read_pending(side->pipe, messages, PENDING_MAX);
    TORTURE_CHECK(count <= PENDING_MAX && (count >= 0 || (errno != EAGAIN && errno != ETIMEDOUT)),
                  "pipc_read_pending returns %zd", count);
    if (count == -1)
        check_read_error(side);
    for (ssize_t i = 0; i < count; i++) {
        note_taken(side, &messages[i], i == count - 1);
        pipc_msg_free(&messages[i]);
    }
}

static void call_skip(struct torture_side *side)
{
    if (pipc_skip(side->pipe) == -1)
        check_read_error(side);
    else
        note_taken(side, NULL, false);
}

static void call_peek(struct torture_side *side)
{
    pipc_msg_t view;
    if (pipc_peek(side->pipe, &view) == -1) {
        check_read_error(side);
        return;
    }
    const struct lane_message *next = lane_next(side->in);
    TORTURE_CHECK(side->in->count > 0 && view.size == next->size, "a view out of nothing");
    TORTURE_CHECK(view.kind == PIPC_BYE || view.size == 0 ||
                      memcmp(view.data, lane_bytes(view.size, next->seed), view.size) == 0,
                  "a view of other bytes");
}

static void call_pending(struct torture_side *side)
{
    ssize_t count = pipc_pending(side->pipe);
    check_state(side, count >= 0, false);
    TORTURE_CHECK(count <= (ssize_t)side->in->count, "%zd pending, of %zu", count, side->in->count);
}

/* ---- the state ---- */

static void call_poll(struct torture_side *side)
{
    int fd = pipc_fd(side->pipe);
    TORTURE_CHECK(fd < 0 || side->polled < 0 || fd == side->polled, "another descriptor");
    check_state(side, fd >= 0, true);
    if (fd >= 0)
        side->polled = fd;
}

static void call_state(struct torture_side *side)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    pipc_credentials_t who = PIPC_CREDENTIALS_INIT;
    char text[200];
    TORTURE_CHECK(pipc_stats(side->pipe, &stats) == 0, "no counts");
    pipc_peer(side->pipe, text, sizeof text);
    pipc_credentials(side->pipe, &who);
}

static void call_timeout(struct torture_side *side, int timeout_ms)
{
    int result = pipc_set_timeout(side->pipe, timeout_ms, timeout_ms);
    check_state(side, result == 0, false);
    if (result == 0)
        side->timeout_ms = timeout_ms;
}

bool torture_take(struct torture_side *side)
{
    return call_read(side, sizeof room);
}

int torture_descriptor(struct torture_side *side)
{
    call_poll(side);
    return side->polled;
}

static bool adds(enum torture_call call)
{
    return call <= TORTURE_FDS || call == TORTURE_DISCONNECT;
}

void torture_make(struct torture_side *side, enum torture_call call, uint32_t number)
{
    if (adds(call) && side->out->first + side->out->count + BATCH_MAX > LANE_MAX)
        return;
    switch (call) {
    case TORTURE_WRITE:
    case TORTURE_WRITEV:
        call_write(side, call, number);
        break;
    case TORTURE_BATCH:
        call_batch(side, number);
        break;
    case TORTURE_FDS:
        call_write_fds(side, number);
        break;
    case TORTURE_READ:
    case TORTURE_READ_SHORT:
        call_read(side, call == TORTURE_READ ? sizeof room : number % 64);
        break;
    case TORTURE_READ_MSG:
        call_read_msg(side);
        break;
    case TORTURE_READ_PENDING:
        call_read_pending(side);
        break;
    case TORTURE_SKIP:
        call_skip(side);
        break;
    case TORTURE_PEEK:
        call_peek(side);
        break;
    case TORTURE_PENDING:
        call_pending(side);
        break;
    case TORTURE_FLUSH:
        call_flush(side);
        break;
    case TORTURE_POLL:
        call_poll(side);
        break;
    case TORTURE_WANT:
        check_state(side, pipc_want(side->pipe, number % 4) == 0, false);
        break;
    case TORTURE_TIMEOUT:
        call_timeout(side, (int)number);
        break;
    case TORTURE_STATE:
        call_state(side);
        break;
    case TORTURE_SHUTDOWN:
        call_shutdown(side);
        break;
    case TORTURE_DISCONNECT:
        call_disconnect(side);
        break;
    default:
        TORTURE_CHECK(false, "no such call");
    }
}
