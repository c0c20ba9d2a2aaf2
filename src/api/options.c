/* SPDX-License-Identifier: MIT */
#include "api/options.h"

#include <stddef.h>
#include <string.h>

#define KNOWN_FLAGS                                                                    \
    (PIPC_INTERRUPTIBLE | PIPC_DUPLEX | PIPC_KEY_MD5 | PIPC_GATHER | PIPC_ACCEPT_FDS | \
     PIPC_NO_SHARED_MEMORY)

/* The struct as it was at first, which every program has; what came later is optional. */
struct first_options {
    size_t struct_size, max_message, max_pending;
    const void *key;
    size_t key_size;
    const char *directory;
    unsigned flags;
};
_Static_assert(offsetof(struct first_options, flags) == offsetof(pipc_options_t, flags),
               "new fields go to the end");

bool options_are_valid(const pipc_options_t *options)
{
    return options == NULL || (options->struct_size >= sizeof(struct first_options) &&
                               (options->flags & ~KNOWN_FLAGS) == 0 &&
                               (options->key != NULL) == (options->key_size > 0));
}

bool options_are_valid_without_key(const pipc_options_t *options)
{
    return options_are_valid(options) &&
           (options == NULL || (options->key == NULL && (options->flags & PIPC_KEY_MD5) == 0));
}

pipc_options_t options_copy(const pipc_options_t *options)
{
    pipc_options_t copy = PIPC_OPTIONS_INIT;
    if (options == NULL)
        return copy;
    size_t size = options->struct_size;
    if (size >= sizeof(struct first_options))
        memcpy(&copy, options, size < sizeof copy ? size : sizeof copy);
    copy.struct_size = size;
    return copy;
}

bool options_interruptible(const pipc_options_t *options)
{
    return options != NULL && (options->flags & PIPC_INTERRUPTIBLE) != 0;
}

bool options_accept_fds(const pipc_options_t *options)
{
    return options != NULL && (options->flags & PIPC_ACCEPT_FDS) != 0;
}

/*
 * What two threads use stays a socket, and so does what descriptors come over. After fork, a parent
 * sends what it has gathered beside its child, and the positions in a ring are of one process.
 */
#define STAYS_A_SOCKET (PIPC_DUPLEX | PIPC_ACCEPT_FDS | PIPC_GATHER | PIPC_NO_SHARED_MEMORY)

bool options_may_share(const pipc_options_t *options)
{
    return options == NULL || (options->flags & STAYS_A_SOCKET) == 0;
}

unsigned options_take_flags(pipc_options_t *options, unsigned flags)
{
    unsigned set = options->flags & flags;
    options->flags &= ~flags;
    return set;
}

struct auth_key options_key(const pipc_options_t *options)
{
    struct auth_key none = {NULL, 0, false};
    if (options == NULL)
        return none;
    return (struct auth_key){options->key, options->key_size, (options->flags & PIPC_KEY_MD5) != 0};
}
