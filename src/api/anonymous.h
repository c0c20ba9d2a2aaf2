/* SPDX-License-Identifier: MIT */
/*
 * The handle of pipc_open: both sides use the same one, so each call first finds the caller's end,
 * or takes one for it, and goes on with the channel of that end.
 *
 * It lives as long as a thread of this process may use it: until each thread that used it has
 * closed it or ended, and one has closed it. The thread that opened it may close it once even
 * later, so what is left by then is an empty shell, for as long as that thread lives.
 */
#ifndef PIPC_ANONYMOUS_H
#define PIPC_ANONYMOUS_H

#include "channel/channel.h"
#include "pipc.h"

struct anonymous;

/* `owner` is freed along with it, by sys_free. `number` is that of the trace. */
struct anonymous *anonymous_open(const pipc_options_t *options, void *owner, unsigned number);
/* The caller's channel; takes an end when it holds none. As ends_claim. */
struct channel *anonymous_channel(struct anonymous *anonymous);
/* The same, or NULL: takes nothing. */
struct channel *anonymous_mine(const struct anonymous *anonymous);
/* Say goodbye on the caller's channel and free its end; on failure nothing has changed. */
int anonymous_disconnect(struct anonymous *anonymous, struct channel *channel, const char *text);
/* The caller has done with it, and uses it no more. */
void anonymous_close(struct anonymous *anonymous);
/* Of the last goodbye that the caller read, also when it has left since; or NULL. */
const char *anonymous_bye_text(struct anonymous *anonymous);
void anonymous_stats(struct anonymous *anonymous, pipc_stats_t *stats);

#endif
