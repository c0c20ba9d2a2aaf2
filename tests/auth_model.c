/* SPDX-License-Identifier: MIT */
#include "auth_model.h"

#include <stdio.h>

/* --- Rules forgotten -------------------------------------------------------------------------- */

static bool is_tagged(const struct auth_words *words)
{
    struct auth_words copy = *words;
    auth_tag(&copy, &auth_key);
    return words->size == WORDS_SIZE && memcmp(copy.bytes, words->bytes, WORDS_SIZE) == 0;
}

/* What a machine has to see in place of a challenge to do as if it had forgotten those rules. */
static struct auth_words blindfold(const struct model *m, const struct auth *auth,
                                   const struct auth_words *words)
{
    unsigned forgotten = m->scene.forgotten;
    struct auth_words seen = *words;
    if (forgotten == 0 || auth->state != AUTH_AWAITS_CHALLENGE || !is_tagged(words))
        return seen;
    if (forgotten & ROLE_RULE)
        seen.bytes[WORDS_ROLE] = auth->accepting ? 'c' : 'a';
    if (forgotten & MARK_RULE)
        memset(seen.bytes + WORDS_MARK, 0, AUTH_MARK);
    if (forgotten & ANSWERED_RULE)
        memcpy(seen.bytes + WORDS_ANSWERED, auth->own.nonce, AUTH_NONCE);
    auth_tag(&seen, &auth_key);
    if (forgotten & TAG)
        seen.bytes[WORDS_TAG] ^= 1;
    return seen;
}

/* --- What is said ----------------------------------------------------------------------------- */

static struct auth_words listen_to(struct auth *auth)
{
    struct auth_words said = {.size = 0};
    const uint8_t *bytes;
    if (auth_output(auth, &bytes) > 0)
        said.size = auth_hear(auth, said.bytes);
    return said;
}

/* Said by a side, or (not honest) made up; -1: neither. */
static int find_frame(const struct model *m, const struct auth_words *words, bool is_honest)
{
    for (int i = 0; i < m->frame_count; i++)
        if (m->frames[i].is_honest == is_honest && !(m->frames[i].is_changed && !is_honest) &&
            m->frames[i].words.size == words->size &&
            memcmp(m->frames[i].words.bytes, words->bytes, words->size) == 0)
            return i;
    return -1;
}

/* What a side said, given frame `given` (-1: to begin with), becomes a frame of the attacker's. */
static int learn(struct model *m, int side, int given, const struct auth_words *said)
{
    int known = find_frame(m, said, true), number = m->frame_count;
    if (said->size == 0 || known >= 0 || find_frame(m, said, false) >= 0)
        return known;
    bool is_challenge = said->size == WORDS_SIZE;
    struct frame *frame = auth_model_add_frame(m, said);
    frame->is_honest = true;
    frame->is_changed = given >= 0 && m->frames[given].is_changed;
    frame->needs[0] = number;
    frame->asker = is_challenge ? side : -1;
    if (is_challenge)
        snprintf(frame->name, sizeof frame->name, "challenge of side %d", side);
    else
        snprintf(frame->name, sizeof frame->name, "response to %.60s", m->frames[given].name);
    if (!frame->is_changed) /* once on a way is enough, or there would be no end to it */
        auth_model_change(m, number);
    return number;
}

/* --- The machines ----------------------------------------------------------------------------- */

/* What a machine was given and has said is of no more use to it: states are compared without. */
static int intern(struct model *m, int side, struct local *local)
{
    assert_int_equal(local->auth.in_size, 0);
    memset(local->auth.in, 0, sizeof local->auth.in);
    memset(local->auth.out, 0, sizeof local->auth.out);
    local->auth.out_begin = local->auth.out_end = 0;
    for (int i = 0; i < m->local_count[side]; i++)
        if (memcmp(&m->locals[side][i], local, sizeof *local) == 0)
            return i;
    assert_true(m->local_count[side] < LOCALS_MAX);
    memcpy(&m->locals[side][m->local_count[side]], local, sizeof *local);
    return m->local_count[side]++;
}

static struct move deliver(struct model *m, int side, int from, int given)
{
    struct local local;
    const struct auth_words words = m->frames[given].words;
    memcpy(&local, &m->locals[side][from], sizeof local);
    bool was_asked = local.auth.state == AUTH_AWAITS_CHALLENGE;
    struct auth_words seen = blindfold(m, &local.auth, &words);
    auth_say_words(&local.auth, &seen);
    struct auth_words said = listen_to(&local.auth);
    m->deliveries++;
    if (local.auth.state == AUTH_REFUSED) {
        assert_true(said.size == 0 || find_frame(m, &said, false) >= 0);
        return (struct move){-1, -1};
    }
    if (was_asked)
        local.answered = m->frames[given].asker;
    if (memcmp(seen.bytes, words.bytes, words.size) != 0)
        said = auth_response_to(&words);
    int says = learn(m, side, given, &said);
    return (struct move){(int16_t)intern(m, side, &local), (int16_t)says};
}

/* Returns whether there was anything to try. */
static bool try_frames(struct model *m, int side, int from)
{
    bool is_done = m->locals[side][from].auth.state == AUTH_DONE;
    int *next = &m->tried[side][from], begin = *next;
    for (; *next < m->frame_count; ++*next) {
        struct move move = {-1, -1};
        if (!is_done)
            move = deliver(m, side, from, *next);
        m->moves[side][from][*next] = move;
    }
    return *next > begin;
}

static void fill_table(struct model *m)
{
    bool again = true;
    while (again) {
        again = false;
        for (int side = 0; side < m->side_count; side++)
            for (int from = 0; from < m->local_count[side]; from++)
                again = try_frames(m, side, from) || again;
    }
}

static struct auth_words start_side(struct model *m, int side)
{
    struct local local;
    const struct side *s = &m->scene.sides[side];
    memset(&local, 0, sizeof local);
    auth_start_as(&local.auth, s->accepting, &m->key, 16 * (side + 1), s->process);
    local.answered = -1;
    struct auth_words said = listen_to(&local.auth);
    intern(m, side, &local);
    return said;
}

struct model *auth_model_new(const struct scene *scene)
{
    struct auth_words said[SIDES_MAX];
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->scene = *scene;
    m->key = scene->md5 ? auth_old_key : auth_key;
    while (m->side_count < SIDES_MAX && scene->sides[m->side_count].process != 0)
        m->side_count++;
    auth_model_invent(m);
    for (int side = 0; side < m->side_count; side++)
        said[side] = start_side(m, side);
    for (int side = 0; side < m->side_count; side++)
        m->first_words[side] = learn(m, side, -1, &said[side]);
    fill_table(m);
    return m;
}
