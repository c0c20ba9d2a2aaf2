/* SPDX-License-Identifier: MIT */
#include "rendezvous/rendezvous.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "codec/digest.h"
#include "sys/sys.h"
#include "trace/trace.h"
#include "transport/transport.h"

/* ---- memory ---- */

static size_t text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

static char *copy_text(const char **text, char *to)
{
    size_t size = text_size(*text);
    if (size == 0)
        return to;
    memcpy(to, *text, size);
    *text = to;
    return to + size;
}

void *rendezvous_new(size_t size, const struct rendezvous_loan *loan)
{
    size_t whole = size + (loan->key == NULL ? 0 : loan->key->size);
    for (int i = 0; i < 2; i++)
        whole += loan->text[i] == NULL ? 0 : text_size(*loan->text[i]);
    char *machine = sys_alloc(whole);
    if (machine == NULL)
        return NULL;
    memset(machine, 0, size);
    char *to = machine + size;
    for (int i = 0; i < 2; i++)
        if (loan->text[i] != NULL)
            to = copy_text(loan->text[i], to);
    if (loan->key != NULL && loan->key->bytes != NULL) {
        memcpy(to, loan->key->bytes, loan->key->size);
        loan->key->bytes = to;
    }
    return machine;
}

void rendezvous_free(void *machine, const struct auth_key *key)
{
    if (key != NULL && key->bytes != NULL)
        digest_wipe((void *)(uintptr_t)key->bytes, key->size);
    sys_free(machine);
}

/* ---- steps ---- */

enum rendezvous_result rendezvous_step(struct rendezvous *r, int fds[2])
{
    enum rendezvous_result result = r->ops->step(r, fds);
    if (result != RENDEZVOUS_AGAIN || !sys_deadline_has_passed(r->limit.deadline))
        return result;
    trace(r->handle, TRACE_RENDEZVOUS, "the time is up", NULL, 0);
    return r->ops->give_up(r, limit_error(&r->limit), fds);
}

void rendezvous_close(struct rendezvous *r, bool is_opener)
{
    if (r != NULL)
        r->ops->close(r, is_opener);
}

/* ---- waiting ---- */

/* The memory is there before, so that no peer comes in vain for lack of it. */
struct waiting {
    struct rendezvous *rendezvous;
    struct transport *transport;
};

static void abandon(void *context)
{
    struct waiting *w = context;
    rendezvous_close(w->rendezvous, true);
    if (w->transport != NULL)
        w->transport->ops->close(w->transport);
}

static enum limit_result wait_for_event(struct waiting *w)
{
    struct rendezvous_interests what = {.until = -1};
    enum limit_result result;
    w->rendezvous->ops->interests(w->rendezvous, &what);
    trace_deliver();
    pthread_cleanup_push(abandon, w); /* the thread may be cancelled here */
    result = limit_poll(&w->rendezvous->limit, what.fds, what.count, what.until);
    pthread_cleanup_pop(0);
    return result;
}

static enum rendezvous_result drive(struct waiting *w, int fds[2])
{
    struct rendezvous *r = w->rendezvous;
    enum rendezvous_result result = rendezvous_step(r, fds);
    while (result == RENDEZVOUS_AGAIN) {
        if (wait_for_event(w) == LIMIT_FAILED)
            result = r->ops->give_up(r, errno, fds);
        else
            result = rendezvous_step(r, fds);
    }
    return result;
}

void rendezvous_close_met(int fds[2])
{
    int saved = errno;
    sys_close(fds[0]);
    if (fds[1] != fds[0])
        sys_close(fds[1]);
    errno = saved;
}

static int meet(struct waiting *w)
{
    int fds[2];
    if (w->transport == NULL || drive(w, fds) != RENDEZVOUS_DONE)
        return -1;
    if (transport_fd_adopt(w->transport, fds[0], fds[1]) == 0)
        return 0;
    rendezvous_close_met(fds);
    return -1;
}

struct transport *rendezvous_open(struct rendezvous *r)
{
    struct waiting w = {r, r == NULL ? NULL : transport_fd_reserve(0)};
    if (meet(&w) == 0) {
        rendezvous_close(r, true);
        return w.transport;
    }
    int error = errno;
    abandon(&w);
    errno = error;
    return NULL;
}
