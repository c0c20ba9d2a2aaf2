/* SPDX-License-Identifier: MIT */
#include "channel/outbound.h"

#include "channel/channel_limits.h"
#include "channel/channel_lost.h"
#include "sys/self.h"
#include "sys/sys.h"
#include "transport/transport_report.h"

/* A held buffer larger than this goes back to the heap once it is empty. */
#define KEEP_HELD    4096
#define JOINED_PARTS 8

void outbound_init(struct outbound *out, const pipc_options_t *options,
                   struct duplex_lock *readiness_lock)
{
    *out = (struct outbound){.readiness_lock = readiness_lock,
                             .max_message = channel_limit(options->max_message)};
    duplex_lock_init(&out->lock, (options->flags & PIPC_DUPLEX) != 0);
    out->gathers = (options->flags & PIPC_GATHER) != 0;
    out->gathered_max = out->max_message < GATHERED_MAX ? out->max_message : GATHERED_MAX;
    out->is_simple = !out->gathers && !out->lock.is_used;
}

void outbound_attach(struct outbound *out, struct transport *transport)
{
    out->transport = transport;
}

void outbound_fini(struct outbound *out)
{
    sys_free(out->held);
    duplex_lock_fini(&out->lock);
}

/* ---- held bytes ---- */

static size_t held_size(const struct outbound *out)
{
    return out->end - out->begin;
}

/* Nothing has to go before the next message, as usual. */
static bool is_clear(const struct outbound *out)
{
    return out->end == 0 && !out->closing;
}

static void note_held(struct outbound *out)
{
    atomic_store_explicit(&out->bytes_held, held_size(out), memory_order_relaxed);
}

static void set_gathering(struct outbound *out, bool is_gathering)
{
    atomic_store_explicit(&out->is_gathering, is_gathering, memory_order_relaxed);
}

static void set_process(struct outbound *out, uint32_t process)
{
    atomic_store_explicit(&out->process, process, memory_order_relaxed);
}

static uint32_t gathered_by(const struct outbound *out)
{
    return atomic_load_explicit(&out->process, memory_order_relaxed);
}

static bool is_gathered(const struct outbound *out)
{
    return gathered_by(out) != 0;
}

/* Gathered before the fork that made this process. */
static bool is_inherited(const struct outbound *out)
{
    uint32_t process = gathered_by(out);
    return process != 0 && !self_is_process(process);
}

static void drop_held(struct outbound *out)
{
    out->begin = out->end = 0;
    set_process(out, 0);
    set_gathering(out, false);
    note_held(out);
}

static void lose_held(struct outbound *out)
{
    out->has_lost = out->has_lost || held_size(out) > 0;
    drop_held(out);
}

/* What is held stays. Of a message a rest is held only when all before it has gone. */
static int reserve(struct outbound *out, size_t size)
{
    if (out->capacity >= size)
        return 0;
    uint8_t *grown = sys_realloc(out->held, size);
    if (grown == NULL)
        return -1;
    out->held = grown;
    out->capacity = size;
    return 0;
}

/* With duplex a reader sends what is held, while a writer may have reserved the memory. */
static void free_unused(struct outbound *out)
{
    if (held_size(out) > 0 || out->is_reserved || out->capacity <= KEEP_HELD)
        return;
    sys_free(out->held);
    out->held = NULL;
    out->capacity = 0;
}

void outbound_end_call(struct outbound *out)
{
    duplex_lock(&out->lock);
    out->is_reserved = false;
    free_unused(out);
    duplex_unlock(&out->lock);
}

/* ---- how writing ends ---- */

/* The kernel's memory comes back; then what is held, or the call, can be tried again. */
static bool lacks_memory(int error)
{
    return error == ENOMEM || error == ENOBUFS;
}

static void end_writing(struct outbound *out, int error)
{
    out->error = error;
    set_gathering(out, false);
    atomic_store(&out->has_failed, true);
}

/* There was no connection that could be reset. */
static bool was_never_open(const struct outbound *out, int error)
{
    return error == transport_open_error(out->transport);
}

static enum io_result fail(struct outbound *out, int error)
{
    transport_report(out->transport, TRACE_DEATH, "a write has failed", error);
    if (channel_is_lost(error) && !was_never_open(out, error)) {
        atomic_store(&out->was_reset, true);
        error = EPIPE;
    }
    end_writing(out, error);
    lose_held(out);
    errno = error;
    return IO_FAILED;
}

enum io_result outbound_write_failed(struct outbound *out, int error)
{
    if (error == EAGAIN)
        return IO_AGAIN;
    if (!lacks_memory(error) || was_never_open(out, error))
        return fail(out, error);
    errno = error;
    return IO_FAILED;
}

void outbound_fail(struct outbound *out, int error)
{
    duplex_lock(&out->lock);
    if (out->error == 0)
        end_writing(out, out->closing ? EPIPE : error); /* as it was already, for the program */
    duplex_unlock(&out->lock);
}

int outbound_error(struct outbound *out)
{
    duplex_lock(&out->lock);
    int error = out->error;
    duplex_unlock(&out->lock);
    return error;
}

int outbound_refusal(struct outbound *out, size_t size)
{
    duplex_lock(&out->lock);
    int error = out->closing && out->error == 0 ? EPIPE : out->error;
    duplex_unlock(&out->lock);
    if (error == 0)
        return size > out->max_message ? EMSGSIZE : 0;
    int no_peer = transport_open_error(out->transport);
    return no_peer != 0 ? no_peer : error;
}

/* ---- moving held bytes on ---- */

/* The program asked for it. */
static void end_as_asked(struct outbound *out)
{
    atomic_store(&out->is_ended, true);
    out->error = EPIPE;
}

static void shut_down(struct outbound *out)
{
    duplex_lock(out->readiness_lock);
    out->transport->ops->shutdown(out->transport); /* may fail when the peer is gone: no news */
    duplex_unlock(out->readiness_lock);
    end_as_asked(out);
}

/*
 * In a child after fork. What follows would be torn if the parent has sent a part of a message and
 * not the rest, so writing is dead then. Nor may the child end what the parent still sends.
 */
static void drop_inherited(struct outbound *out)
{
    if (!is_inherited(out))
        return;
    if (out->error == 0 && out->closing)
        end_as_asked(out);
    else if (out->error == 0 && out->begin > 0)
        end_writing(out, EPIPE);
    drop_held(out);
}

/* What was gathered is to be sent, or is none of this process. */
static void end_gathering(struct outbound *out)
{
    drop_inherited(out);
    set_gathering(out, false);
}

static enum io_result push_all_but(struct outbound *out, size_t keep)
{
    if (is_gathered(out))
        end_gathering(out);
    if (out->error != 0)
        lose_held(out); /* reading has found out, and how writing died does not change */
    while (held_size(out) > keep) {
        struct iovec part = {out->held + out->begin, held_size(out) - keep};
        ssize_t sent = out->transport->ops->writev(out->transport, &part, 1);
        if (sent < 0) {
            enum io_result result = outbound_write_failed(out, errno);
            return out->error != 0 ? IO_DONE : result;
        }
        out->begin += (size_t)sent;
        note_held(out);
        if (held_size(out) == 0)
            drop_held(out);
    }
    if (held_size(out) > 0)
        return IO_AGAIN;
    if (out->closing && out->error == 0 && out->waiting == 0)
        shut_down(out);
    return IO_DONE;
}

/* Nothing is held; but as long as there is no peer, nothing has been pushed out to one. */
static enum io_result push_open(struct outbound *out)
{
    if (transport_is_opening(out->transport) &&
        out->transport->ops->writev(out->transport, NULL, 0) < 0 && errno == EAGAIN)
        return IO_AGAIN;
    errno = transport_open_error(out->transport);
    return errno == 0 ? IO_DONE : IO_FAILED;
}

enum io_result outbound_push(struct outbound *out)
{
    duplex_lock(&out->lock);
    int saved = errno;
    enum io_result result = push_all_but(out, 0);
    if (result == IO_DONE && atomic_load(&out->transport->opening) != 0)
        result = push_open(out);
    if (result == IO_DONE)
        errno = saved;
    duplex_unlock(&out->lock);
    return result;
}

/* Tried once more, or the other thread may have looked for it too early. */
static bool try_to_lock(struct outbound *out)
{
    if (duplex_try_lock(&out->lock))
        return true;
    atomic_store(&out->was_skipped, 1);
    return duplex_try_lock(&out->lock);
}

enum io_result outbound_push_all_but(struct outbound *out, size_t keep)
{
    if (!outbound_is_holding(out) || !try_to_lock(out))
        return IO_DONE;
    int saved = errno;
    enum io_result result = push_all_but(out, keep);
    free_unused(out);
    errno = saved;
    duplex_unlock(&out->lock);
    return result;
}

/*
 * With duplex each of the two threads may wait for room, and the other one may push out the last of
 * what is held. The thread that waits on a descriptor closes it, then: its number may be another
 * file's afterwards.
 */
bool outbound_begin_wait(struct outbound *out)
{
    duplex_lock(&out->lock);
    bool waits = out->error == 0 || transport_is_opening(out->transport);
    if (waits)
        out->waiting++;
    duplex_unlock(&out->lock);
    return waits;
}

void outbound_end_wait(struct outbound *out)
{
    int saved = errno;
    duplex_lock(&out->lock);
    out->waiting--;
    if (out->closing && held_size(out) == 0)
        push_all_but(out, 0);
    duplex_unlock(&out->lock);
    errno = saved;
}

void outbound_close(struct outbound *out)
{
    duplex_lock(&out->lock);
    drop_inherited(out);
    out->closing = true;
    push_all_but(out, 0);
    duplex_unlock(&out->lock);
}

/* ---- gathering ---- */

/* Without memory for it a message is sent. */
static bool may_gather(struct outbound *out, size_t size)
{
    drop_inherited(out);
    return out->error == 0 && !out->closing && size <= out->gathered_max &&
           (out->end == 0 ? transport_find_open_error(out->transport) == 0
                          : outbound_is_gathering(out)) &&
           out->end + FRAME_HEADER_MIN + size < GATHER_SIZE && reserve(out, GATHER_SIZE) == 0;
}

static void begin_to_gather(struct outbound *out)
{
    set_process(out, self_process());
    set_gathering(out, true);
}

ssize_t outbound_gather(struct outbound *out, const struct iovec *parts, int count)
{
    size_t size = outgoing_size_up_to(parts, count, GATHERED_MAX);
    duplex_lock(&out->lock);
    bool fits = may_gather(out, size);
    if (fits) {
        if (out->end == 0)
            begin_to_gather(out);
        out->end += frame_header(out->held + out->end, size, false);
        out->end += outgoing_copy(out->held + out->end, parts, count);
        note_held(out);
    }
    duplex_unlock(&out->lock);
    return fits ? (ssize_t)size : -1;
}

void outbound_send_gathered(struct outbound *out)
{
    duplex_lock(&out->lock);
    if (is_gathered(out) && !is_inherited(out)) /* a child must not end its parent's output */
        push_all_but(out, 0);
    duplex_unlock(&out->lock);
}

uint64_t outbound_bytes_held(const struct outbound *out)
{
    return is_inherited(out) ? 0 : atomic_load(&out->bytes_held);
}

/* ---- one message, or a group of them, on its way ---- */

/* Gathered bytes and what comes behind them share a write, as a packet does on TCP. */
static enum io_result push_with(struct outbound *out, struct outgoing *o)
{
    struct iovec all[JOINED_PARTS + 1] = {{out->held + out->begin, held_size(out)}};
    memcpy(all + 1, o->parts, (size_t)o->count * sizeof *all);
    ssize_t sent = out->transport->ops->writev(out->transport, all, o->count + 1);
    if (sent < 0)
        return outbound_write_failed(out, errno);
    if ((size_t)sent < held_size(out)) {
        out->begin += (size_t)sent;
        note_held(out);
        return push_all_but(out, 0);
    }
    outgoing_advance(o, (size_t)sent - held_size(out));
    drop_held(out);
    return IO_DONE;
}

static enum io_result push_before(struct outbound *out, struct outgoing *o)
{
    if (is_gathered(out))
        end_gathering(out);
    bool is_joined =
        is_gathered(out) && out->error == 0 && o->count <= JOINED_PARTS && o->fd_count == 0;
    return is_joined ? push_with(out, o) : push_all_but(out, 0);
}

static bool ends_stream(const struct outbound *out, int error)
{
    return error == EPIPE || channel_is_lost(error) || was_never_open(out, error);
}

/*
 * The first byte, which carries the descriptors. What is wrong with them, or that the peer takes
 * none, ends no stream: nothing was written.
 */
static enum io_result send_fds(struct outbound *out, struct outgoing *o)
{
    const struct transport_ops *ops = out->transport->ops;
    if (ops->write_fds(out->transport, o->parts->iov_base, o->fds, o->fd_count) < 0)
        return ends_stream(out, errno) || errno == EAGAIN ? outbound_write_failed(out, errno)
                                                          : IO_FAILED;
    o->fd_count = 0;
    outgoing_advance(o, 1);
    return IO_DONE;
}

static enum io_result try_send(struct outbound *out, struct outgoing *o)
{
    enum io_result result = is_clear(out) ? IO_DONE : push_before(out, o);
    if (out->error != 0) {
        errno = out->error;
        return IO_FAILED;
    }
    if (result == IO_DONE && o->fd_count > 0)
        result = send_fds(out, o);
    while (result == IO_DONE && o->left > 0) {
        ssize_t sent = out->transport->ops->writev(out->transport, o->parts, o->count);
        if (sent < 0)
            result = outbound_write_failed(out, errno);
        else
            outgoing_advance(o, (size_t)sent);
    }
    return result;
}

enum io_result outbound_try_send(struct outbound *out, struct outgoing *outgoing)
{
    duplex_lock(&out->lock);
    enum io_result result = try_send(out, outgoing);
    duplex_unlock(&out->lock);
    return result;
}

int outbound_reserve(struct outbound *out, size_t size)
{
    duplex_lock(&out->lock);
    enum io_result pushed = is_clear(out) || is_gathered(out) ? IO_DONE : push_all_but(out, 0);
    int result = 0;
    if (pushed == IO_FAILED)
        result = -1;
    else if (out->error == 0)
        result = reserve(out, size);
    out->is_reserved = result == 0;
    duplex_unlock(&out->lock);
    return result;
}

static void copy_to_held(struct outbound *out, const struct outgoing *rest)
{
    drop_held(out);
    out->end = outgoing_copy(out->held, rest->parts, rest->count);
    note_held(out);
}

/* The memory was reserved, unless nothing but a kernel without memory could end the call. */
int outbound_hold(struct outbound *out, const struct outgoing *rest)
{
    duplex_lock(&out->lock);
    if (out->error == 0 && reserve(out, rest->left) != 0)
        fail(out, errno);
    int error = out->error;
    if (error == 0)
        copy_to_held(out, rest);
    duplex_unlock(&out->lock);
    if (error == 0)
        return 0;
    errno = error;
    return -1;
}
