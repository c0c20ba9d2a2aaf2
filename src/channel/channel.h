/* SPDX-License-Identifier: MIT */
/*
 * One connection: messages over a transport, in both directions. All public calls end here; what
 * they promise stands in pipc.h. A channel owns an `inbound`, an `outbound` and a transport, and it
 * alone waits, tries again, combines the two directions, and updates the descriptor to poll.
 *
 *   channel_read.c, _write.c, _end.c   the calls
 *   channel_send.c                     what those that write share
 *   channel.c                          lifetime, and the waits that both directions share
 *   channel_ready.c                    the descriptor
 *   inbound*.c, outbound.c             one direction each; they never wait
 *
 * Each calls only those below it.
 */
#ifndef PIPC_CHANNEL_H
#define PIPC_CHANNEL_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "channel/queue.h"
#include "pipc.h"
#include "transport/transport.h"

struct channel;

/*
 * NULL options: defaults. It has no transport yet: the caller attaches one, which the channel then
 * owns. So nothing can fail any more once descriptors have been taken over.
 */
struct channel *channel_open(const pipc_options_t *options);
void channel_attach(struct channel *channel, struct transport *transport);
void channel_close(struct channel *channel);
/* In a child after fork, of another thread of the parent: its memory on the heap stays. */
void channel_abandon(struct channel *channel);
/*
 * The same, but the transport's descriptors are the caller's. -1, and nothing has changed: EAGAIN,
 * something is unread in memory, or held; EOPNOTSUPP.
 */
int channel_detach(struct channel *channel, int fds[2]);
struct transport *channel_transport(const struct channel *channel);

ssize_t channel_read(struct channel *channel, void *buffer, size_t size);
int channel_read_message(struct channel *channel, pipc_msg_t *message);
ssize_t channel_read_pending(struct channel *channel, pipc_msg_t *messages, size_t max);
int channel_peek(struct channel *channel, pipc_msg_t *view);
int channel_skip(struct channel *channel);
ssize_t channel_pending(struct channel *channel);
int channel_take_fds(struct channel *channel, int *fds, int max);
const char *channel_bye_text(const struct channel *channel);

ssize_t channel_write(struct channel *channel, const struct iovec *parts, int count);
/* With 1 to ARRIVED_OF_MESSAGE_MAX descriptors. EOPNOTSUPP: they do not travel here. */
ssize_t channel_write_fds(struct channel *channel, const struct iovec *part, const int *fds,
                          int count);
ssize_t channel_write_batch(struct channel *channel, const struct iovec *messages, size_t count);
ssize_t channel_flush(struct channel *channel);
int channel_shutdown(struct channel *channel);
/* Push out what is held, send the goodbye and shut down; on failure nothing has changed. */
int channel_disconnect(struct channel *channel, const char *text);

int channel_descriptor(struct channel *channel);
void channel_want(struct channel *channel, unsigned events); /* PIPC_WANT_READ, _WRITE */
void channel_set_timeout(struct channel *channel, int read_ms, int write_ms);
void channel_add_stats(const struct channel *channel, pipc_stats_t *stats);

/*
 * As channel_disconnect for an end that is left to a successor: a message that has begun to come is
 * completed, into the queue, and `send` sends the goodbye, by channel_try_goodbye. It is called
 * again after EAGAIN. When it succeeds the channel may be closed.
 */
int channel_leave(struct channel *channel, const char *text,
                  int (*send)(struct channel *channel, const char *text, void *context),
                  void *context);
int channel_try_goodbye(struct channel *channel, const char *text); /* does not wait */
void channel_give_unread(struct channel *channel, struct unread *unread);
void channel_adopt_unread(struct channel *channel, struct unread *unread);
/* `kept` bytes that others keep count against max_pending too. From any thread. */
void channel_lower_limit(struct channel *channel, const pipc_options_t *options, size_t kept);

#endif
