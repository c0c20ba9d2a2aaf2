/* SPDX-License-Identifier: MIT */
/*
 * All that an attacker without the key can do to some connections at once (auth_model.h), each
 * state of them visited once. What must hold in every state: a side that has taken a response has
 * it from a side of the other role in another process, which was given the challenge as it is. A
 * side that connected has answered that one's challenge itself. So the two do talk to each other,
 * with the attacker in the middle: a relay. Nothing else opens.
 *
 * Frames that do the same to all sides count as one. A refusal is not followed: the attacker learns
 * nothing from it, and has a side less. That the search sees is tested by taking the rules away,
 * one by one: it must find the attack that the rule is for.
 */
#include <stdio.h>

#include "auth_model.h"

enum { BITS_MAX = 64, CHOICES_MAX = 256 };

/* A move, and a frame that leads to it. */
struct choice {
    struct move move;
    int frame;
    int needs[2];
};

struct choices {
    int count;
    struct choice choice[CHOICES_MAX];
};

struct state {
    uint8_t at[SIDES_MAX]; /* the state of each side */
    uint64_t heard;        /* a bit for each frame that can be of use */
    uint32_t before;       /* the state that it came from, by giving a side a frame */
    int16_t side, frame;
};

struct search {
    struct model *model;
    struct choices choices[SIDES_MAX][LOCALS_MAX];
    int bit[FRAMES_MAX]; /* -1: of no use */
    int bit_count;
    struct state *states;
    uint32_t count, room;
    uint32_t *table; /* of states by their hashes, half empty at least; 0: empty, else number + 1 */
    bool relayed;    /* two sides have opened to each other, as they can by a relay */
};

/* --- Frames that do the same ------------------------------------------------------------------ */

static bool has_need(const struct choice *choice, int need)
{
    return need < 0 || choice->needs[0] == need || choice->needs[1] == need;
}

/* The same comes of it, and it takes no more. */
static bool is_as_good(const struct choice *a, const struct choice *b)
{
    return a->move.to == b->move.to && a->move.says == b->move.says && has_need(b, a->needs[0]) &&
           has_need(b, a->needs[1]);
}

static void add_choice(struct choices *choices, const struct choice *choice)
{
    for (int i = 0; i < choices->count; i++)
        if (is_as_good(&choices->choice[i], choice))
            return;
    assert_true(choices->count < CHOICES_MAX);
    choices->choice[choices->count++] = *choice;
}

static void find_choices(struct search *s, int side, int at)
{
    const struct model *m = s->model;
    struct choices *choices = &s->choices[side][at];
    choices->count = 0;
    for (int f = 0; f < m->frame_count; f++) {
        const int *needs = m->frames[f].needs;
        struct choice choice = {m->moves[side][at][f], f, {needs[0], needs[1]}};
        if (choice.move.says >= 0 && s->bit[choice.move.says] < 0)
            choice.move.says = -1;
        if (choice.move.to >= 0)
            add_choice(choices, &choice);
    }
}

/* Returns whether one of the frames that are needed had no bit yet. */
static bool give_bits(struct search *s, const struct choices *choices)
{
    int before = s->bit_count;
    for (int i = 0; i < choices->count; i++)
        for (int n = 0; n < 2; n++) {
            int need = choices->choice[i].needs[n];
            if (need >= 0 && s->bit[need] < 0)
                s->bit[need] = s->bit_count++;
        }
    assert_true(s->bit_count <= BITS_MAX);
    return s->bit_count > before;
}

/* A frame is of use when a choice needs it; then it matters who says it, and so on. */
static void find_all_choices(struct search *s)
{
    bool again = true;
    memset(s->bit, -1, sizeof s->bit);
    while (again) {
        again = false;
        for (int side = 0; side < s->model->side_count; side++)
            for (int at = 0; at < s->model->local_count[side]; at++) {
                find_choices(s, side, at);
                again = give_bits(s, &s->choices[side][at]) || again;
            }
    }
}

/* --- States ----------------------------------------------------------------------------------- */

static uint64_t bit_of(const struct search *s, int frame)
{
    return frame >= 0 && s->bit[frame] >= 0 ? (uint64_t)1 << s->bit[frame] : 0;
}

static uint32_t hash(const struct state *state)
{
    uint64_t at, mixed;
    memcpy(&at, state->at, sizeof at);
    mixed = (at ^ state->heard * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
    return (uint32_t)(mixed >> 32 ^ mixed);
}

static bool is_same(const struct state *a, const struct state *b)
{
    return memcmp(a->at, b->at, sizeof a->at) == 0 && a->heard == b->heard;
}

/* Where the state is in the table, or belongs. */
static uint32_t *place_of(const struct search *s, const struct state *state)
{
    uint32_t mask = 2 * s->room - 1, i = hash(state) & mask;
    while (s->table[i] != 0 && !is_same(&s->states[s->table[i] - 1], state))
        i = (i + 1) & mask;
    return &s->table[i];
}

static void make_room(struct search *s)
{
    s->room = s->room == 0 ? 1024 : 2 * s->room;
    s->states = realloc(s->states, s->room * sizeof *s->states);
    free(s->table);
    s->table = calloc((size_t)2 * s->room, sizeof *s->table);
    assert_true(s->states != NULL && s->table != NULL);
    for (uint32_t i = 0; i < s->count; i++)
        *place_of(s, &s->states[i]) = i + 1;
}

static bool add_state(struct search *s, const struct state *state)
{
    if (s->count == s->room)
        make_room(s);
    uint32_t *place = place_of(s, state);
    if (*place != 0)
        return false;
    s->states[s->count++] = *state;
    *place = s->count;
    return true;
}

/* --- What must hold --------------------------------------------------------------------------- */

static const struct local *local_of(const struct search *s, const struct state *state, int side)
{
    return &s->model->locals[side][state->at[side]];
}

static bool has_taken_a_response(const struct local *local)
{
    return local->auth.accepting ? local->auth.state != AUTH_AWAITS_RESPONSE
                                 : local->auth.state == AUTH_DONE;
}

/* Whether `to` may be whom `side` has its response from. */
static bool is_relayed(const struct search *s, const struct state *state, int side, int to)
{
    const struct side *a = &s->model->scene.sides[side], *b = &s->model->scene.sides[to];
    return local_of(s, state, to)->answered == side && a->process != b->process &&
           a->accepting != b->accepting &&
           (a->accepting || local_of(s, state, side)->answered == to);
}

static bool is_right(struct search *s, const struct state *state)
{
    for (int side = 0; side < s->model->side_count; side++) {
        bool found = !has_taken_a_response(local_of(s, state, side));
        for (int to = 0; to < s->model->side_count && !found; to++)
            found = is_relayed(s, state, side, to);
        if (!found)
            return false;
        if (local_of(s, state, side)->auth.state == AUTH_DONE) {
            int to = local_of(s, state, side)->answered;
            s->relayed =
                s->relayed || (to >= 0 && local_of(s, state, to)->auth.state == AUTH_DONE &&
                               is_relayed(s, state, side, to) && is_relayed(s, state, to, side));
        }
    }
    return true;
}

static void tell(const struct search *s, const struct state *state)
{
    if (state->side < 0)
        return;
    tell(s, &s->states[state->before]);
    const struct side *side = &s->model->scene.sides[state->side];
    printf("    to side %d (process %c, %s): %s\n", state->side, side->process,
           side->accepting ? "accepted" : "connected", s->model->frames[state->frame].name);
}

/* --- The search ------------------------------------------------------------------------------- */

static bool follow(struct search *s, uint32_t from, int side, const struct choice *choice)
{
    struct state next = s->states[from];
    for (int n = 0; n < 2; n++)
        if (choice->needs[n] >= 0 && !(next.heard & bit_of(s, choice->needs[n])))
            return true;
    next.at[side] = (uint8_t)choice->move.to;
    next.heard |= bit_of(s, choice->move.says);
    next.before = from;
    next.side = (int16_t)side;
    next.frame = (int16_t)choice->frame;
    if (!add_state(s, &next) || is_right(s, &next))
        return true;
    if (s->model->scene.forgotten == 0)
        printf("  an attack:\n");
    tell(s, &next);
    return false;
}

static bool follow_all(struct search *s, uint32_t from)
{
    for (int side = 0; side < s->model->side_count; side++) {
        const struct choices *choices = &s->choices[side][s->states[from].at[side]];
        for (int i = 0; i < choices->count; i++)
            if (!follow(s, from, side, &choices->choice[i]))
                return false;
    }
    return true;
}

struct result {
    bool is_right, relayed;
};

static struct result explore(const struct scene *scene)
{
    struct state first = {.side = -1};
    struct search *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->model = auth_model_new(scene);
    find_all_choices(s);
    for (int side = 0; side < s->model->side_count; side++)
        first.heard |= bit_of(s, s->model->first_words[side]);
    add_state(s, &first);
    bool is_right = true;
    uint32_t from = 0;
    printf("  %s%s\n", scene->name, scene->md5 ? ", with MD5" : "");
    while (is_right && from < s->count)
        is_right = follow_all(s, from++);
    printf("    %d sides, %d frames, %ld deliveries, %u states\n", s->model->side_count,
           s->model->frame_count, s->model->deliveries, (unsigned)s->count);
    struct result result = {is_right, s->relayed};
    free(s->model);
    free(s->states);
    free(s->table);
    free(s);
    return result;
}

/* --- Scenes ----------------------------------------------------------------------------------- */

#define ACCEPTED(process) \
    {                     \
        process, true     \
    }
#define CONNECTED(process) \
    {                      \
        process, false     \
    }

static void expect_only_a_relay(struct scene scene, bool relayed)
{
    for (int md5 = 0; md5 < 2; md5++) {
        scene.md5 = md5 != 0;
        struct result result = explore(&scene);
        assert_true(result.is_right);
        assert_int_equal(result.relayed, relayed);
    }
}

#define EXPECT_A_RELAY(title, ...) \
    expect_only_a_relay((struct scene){.name = title, .sides = {__VA_ARGS__}}, true)
#define EXPECT_NOTHING(title, ...) \
    expect_only_a_relay((struct scene){.name = title, .sides = {__VA_ARGS__}}, false)

TEST(no_attack_on_two_processes_that_accept_and_connect)
{
    EXPECT_A_RELAY("two that accept and connect", ACCEPTED('X'), CONNECTED('X'), ACCEPTED('Y'),
                   CONNECTED('Y'));
}

TEST(no_attack_on_two_processes_with_several_connections)
{
    EXPECT_A_RELAY("two with several connections", ACCEPTED('X'), ACCEPTED('X'), CONNECTED('X'),
                   CONNECTED('X'), ACCEPTED('Y'), ACCEPTED('Y'), CONNECTED('Y'), CONNECTED('Y'));
}

TEST(no_attack_on_three_processes_with_several_connections)
{
    EXPECT_A_RELAY("three with several connections", ACCEPTED('X'), ACCEPTED('X'), CONNECTED('X'),
                   CONNECTED('X'), ACCEPTED('Y'), CONNECTED('Y'), ACCEPTED('Z'), CONNECTED('Z'));
}

TEST(no_attack_on_four_processes_that_accept_and_connect)
{
    EXPECT_A_RELAY("four that accept and connect", ACCEPTED('W'), CONNECTED('W'), ACCEPTED('X'),
                   CONNECTED('X'), ACCEPTED('Y'), CONNECTED('Y'), ACCEPTED('Z'), CONNECTED('Z'));
}

TEST(no_attack_on_a_server_and_its_clients)
{
    EXPECT_A_RELAY("a server and its clients", ACCEPTED('W'), ACCEPTED('W'), ACCEPTED('W'),
                   ACCEPTED('W'), CONNECTED('X'), CONNECTED('X'), CONNECTED('Y'));
}

TEST(a_single_process_accepts_no_peer)
{
    EXPECT_NOTHING("one alone", ACCEPTED('X'), CONNECTED('X'), ACCEPTED('X'), CONNECTED('X'),
                   ACCEPTED('X'), CONNECTED('X'));
}

TEST(accepting_processes_do_not_accept_each_other)
{
    EXPECT_NOTHING("all accept", ACCEPTED('X'), ACCEPTED('X'), ACCEPTED('Y'), ACCEPTED('Y'),
                   ACCEPTED('Z'), ACCEPTED('Z'));
}

TEST(connecting_processes_do_not_accept_each_other)
{
    EXPECT_NOTHING("all connect", CONNECTED('X'), CONNECTED('X'), CONNECTED('Y'), CONNECTED('Y'),
                   CONNECTED('Z'), CONNECTED('Z'));
}

static void expect_attack(const char *name, unsigned forgotten)
{
    struct scene scene = {name,
                          {ACCEPTED('X'), CONNECTED('X'), ACCEPTED('Y'), CONNECTED('Y'),
                           ACCEPTED('Z'), CONNECTED('Z')},
                          false,
                          forgotten};
    assert_false(explore(&scene).is_right);
}

TEST(each_rule_is_needed_against_an_attack)
{
    expect_attack("without the rule of the role", ROLE_RULE);
    expect_attack("without the rule of the mark", MARK_RULE);
    expect_attack("without the rule of the challenge that was answered", ANSWERED_RULE);
    expect_attack("without the tag", TAG);
}

HARNESS_MAIN("auth, model", IT(no_attack_on_two_processes_that_accept_and_connect),
             IT(no_attack_on_two_processes_with_several_connections),
             IT_WITHIN(no_attack_on_three_processes_with_several_connections, 150000),
             IT_WITHIN(no_attack_on_four_processes_that_accept_and_connect, 150000),
             IT_WITHIN(no_attack_on_a_server_and_its_clients, 150000),
             IT(a_single_process_accepts_no_peer), IT(accepting_processes_do_not_accept_each_other),
             IT(connecting_processes_do_not_accept_each_other),
             IT(each_rule_is_needed_against_an_attack))
