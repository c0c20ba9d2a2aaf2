/* SPDX-License-Identifier: MIT */
/*
 * The handshake against an attacker who does not know the key. All honest sides of a scene are
 * connected only to the attacker; they are the real machines of src/auth.c. The
 * attacker hears all that they say, and may at any time give any of them any frame: one that he
 * heard from any side at any time before (forwarded, reflected, crossed, replayed); one of those
 * with something changed, cut off, put in or spliced; or one that he makes up.
 *
 * Here each machine is given each frame in each of its states once, which makes a table of moves.
 * test_auth_model.c searches what can come of them.
 */
#ifndef PIPC_TESTS_AUTH_MODEL_H
#define PIPC_TESTS_AUTH_MODEL_H

#include "auth_words.h"

enum { SIDES_MAX = 8, LOCALS_MAX = 64, FRAMES_MAX = 8192 };

/* Rules that machines can be made to forget, to see whether the search finds what each is for. */
enum { ROLE_RULE = 1, MARK_RULE = 2, ANSWERED_RULE = 4, TAG = 8 };

struct side {
    uint8_t process; /* its mark counts up from here */
    bool accepting;
};

struct scene {
    const char *name;
    struct side sides[SIDES_MAX]; /* until one without process */
    bool md5;                     /* PIPC_KEY_MD5 */
    unsigned forgotten;
};

/* A frame that the attacker can give. */
struct frame {
    struct auth_words words;
    int needs[2];    /* the frames that he must have heard for it; -1: none */
    int asker;       /* the side whose unchanged challenge it is; -1: none */
    bool is_honest;  /* a side said it: it needs itself */
    bool is_changed; /* made by the attacker of what he heard; or the response to such a one */
    char name[80];
};

/* A state of one side. */
struct local {
    struct auth auth;
    int answered; /* the side whose unchanged challenge it has answered; -1: none */
};

struct move {
    int16_t to;   /* the next state; -1: refused */
    int16_t says; /* a frame; -1: nothing that the attacker could not have made up */
};

struct model {
    struct scene scene;
    struct auth_key key;
    int side_count;
    int first_words[SIDES_MAX]; /* the frame that it begins with; -1: none */
    int frame_count;
    int local_count[SIDES_MAX];
    long deliveries;
    struct frame frames[FRAMES_MAX];
    struct local locals[SIDES_MAX][LOCALS_MAX];
    int tried[SIDES_MAX][LOCALS_MAX]; /* so many frames; all, in the end */
    struct move moves[SIDES_MAX][LOCALS_MAX][FRAMES_MAX];
};

/* The table is filled. For free. */
struct model *auth_model_new(const struct scene *scene);

/* What the attacker makes up; and what he makes of a frame that a side said (auth_changes.c). */
void auth_model_invent(struct model *m);
void auth_model_change(struct model *m, int frame);
struct frame *auth_model_add_frame(struct model *m, const struct auth_words *words);

#endif
