/* SPDX-License-Identifier: MIT */
/*
 * PIPC_ASYNC: the transport of a handle that is there before its peer. It drives a rendezvous step
 * by step, in the calls of the program, and then is the transport of the descriptors that this
 * brings, at the same address.
 */
#ifndef PIPC_ASYNC_H
#define PIPC_ASYNC_H

struct rendezvous;
struct transport;

/*
 * Takes the machine over (NULL: errno), and makes its first step. NULL: errno, and nothing is left.
 */
struct transport *async_open(struct rendezvous *rendezvous);

#endif
