/* SPDX-License-Identifier: MIT */
/*
 * The kinds of pipes that the tests of the contract run over: one body, every transport. A new
 * transport is one open function and one line in the table of kinds.c.
 */
#ifndef PIPC_TESTS_KINDS_H
#define PIPC_TESTS_KINDS_H

#include "harness.h"

extern const struct kind contract_kinds[];
extern const struct kind two_handle_kinds[]; /* without the anonymous pipe */
extern const struct kind made_kinds[];       /* of those, on descriptors that libpipc made */

#define OVER_KINDS(name)            EACH_OF(name, contract_kinds, HARNESS_TIMEOUT_MS)
#define OVER_TWO_HANDLE_KINDS(name) EACH_OF(name, two_handle_kinds, HARNESS_TIMEOUT_MS)
#define OVER_MADE_KINDS(name)       EACH_OF(name, made_kinds, HARNESS_TIMEOUT_MS)

/* More bytes than any of these pipes holds when nobody reads. */
enum { MORE_THAN_A_PIPE = 4 << 20 };

/* How long what one side gave to the kernel may take to reach the other side: 0 where the kernel
 * hands it over within the call. */
int kind_delay_ms(const struct kind *kind);

/* Whether its ends are TCP sockets: one that is closed with unread input resets the connection. */
bool kind_is_tcp(const struct kind *kind);

#endif
