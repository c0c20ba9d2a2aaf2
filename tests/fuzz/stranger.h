/* SPDX-License-Identifier: MIT */
/*
 * The raw side of a handshake with a key: bytes, the frames of a handshake in any order, or the
 * handshake itself, with the right key, a wrong one, or none.
 */
#ifndef PIPC_TESTS_FUZZ_STRANGER_H
#define PIPC_TESTS_FUZZ_STRANGER_H

#include "codec/auth.h"
#include "fuzz.h"

enum stranger_key { STRANGER_KNOWS_NOTHING, STRANGER_HAS_WRONG_KEY, STRANGER_KNOWS };

extern const struct auth_key stranger_right_key;

enum { STRANGER_HEARD_MAX = 512 };

struct stranger {
    int fd; /* -1: not there */
    bool is_accepting;
    enum stranger_key knows;
    struct auth auth;
    uint8_t heard[STRANGER_HEARD_MAX]; /* what the other side said last, outside of `auth` */
    size_t heard_size;
};

/* The socket is connected; it is the stranger's from now on, and waits no more. */
void stranger_begin(struct stranger *stranger, int fd, bool is_accepting, enum stranger_key knows);
void stranger_hang_up(struct stranger *stranger);

void stranger_say(struct stranger *stranger, const uint8_t *bytes, size_t size);
void stranger_hear(struct stranger *stranger);

/* Goes on with the handshake, as far as it can and so many steps at most. False: it cannot. */
bool stranger_shake_hands(struct stranger *stranger, unsigned times);

/* One step of an input. What it takes from there comes after `number`. */
enum { STRANGER_STEPS = 7 };
void stranger_take_step(struct stranger *stranger, unsigned step, unsigned number,
                        struct fuzz_input *in);

#endif
