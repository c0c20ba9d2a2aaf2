/* SPDX-License-Identifier: MIT */
/* What the options of a program ask for. NULL is what PIPC_OPTIONS_INIT has. */
#ifndef PIPC_OPTIONS_H
#define PIPC_OPTIONS_H

#include <stdbool.h>

#include "codec/auth.h"
#include "pipc.h"

/* The flags of single constructors are taken out before. */
bool options_are_valid(const pipc_options_t *options);
/* Where nobody would ask for a key: who gives one must not believe that it keeps anybody out. */
bool options_are_valid_without_key(const pipc_options_t *options);
/* All fields, of which the program may know only the first. A struct that is too small stays so. */
pipc_options_t options_copy(const pipc_options_t *options);
/* Flags that only some constructors know: which of them are set; the rest is for the channel. */
unsigned options_take_flags(pipc_options_t *options, unsigned flags);
/* Without a key: NULL, which is no empty one. */
struct auth_key options_key(const pipc_options_t *options);

bool options_interruptible(const pipc_options_t *options);
bool options_accept_fds(const pipc_options_t *options);
/* May it move into shared memory? */
bool options_may_share(const pipc_options_t *options);

#endif
