/* SPDX-License-Identifier: MIT */
/*
 * A hostile process that shares the memory of an anonymous pipe writes anything there, once or all
 * the time, while the peer reads, writes, polls and closes. The peer may get any result, but must
 * not crash, hang or read out of bounds. The test knows the layout of the memory, and finds it as
 * an attacker would.
 */
#include "hostile.h"

#include <sched.h>
#include <signal.h>

enum { WORDS = sizeof(struct shared_page) / sizeof(uint32_t) };

/* Small and fast: an attack that never ends writes many millions of words. */
static uint64_t dice;

static size_t roll(void)
{
    return harness_roll(&dice);
}

/* --- Finding the memory ---------------------------------------------------------------------- */

/* Where the page of words, and the rings after it, are mapped here. */
static struct target {
    volatile uint32_t *words;
    volatile uint8_t *data;
} target;

static void find_memory(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    target.words = (volatile uint32_t *)(void *)hostile_page();
    target.data =
        (volatile uint8_t *)target.words + (sizeof(struct shared_page) + page - 1) / page * page;
}

/* --- Attacks --------------------------------------------------------------------------------- */

static void set_word(uint32_t value)
{
    target.words[roll() % WORDS] = value;
}

static void random_word(void)
{
    set_word((uint32_t)roll());
}

static void ones_everywhere(void)
{
    for (size_t i = 0; i < WORDS; i++)
        target.words[i] = UINT32_MAX;
}

static void zeros_everywhere(void)
{
    for (size_t i = 0; i < WORDS; i++)
        target.words[i] = 0;
}

static void random_everywhere(void)
{
    for (size_t i = 0; i < WORDS; i++)
        target.words[i] = (uint32_t)roll();
}

static void off_by_one(void)
{
    size_t i = roll() % WORDS;
    target.words[i] = target.words[i] + (roll() % 2 == 0 ? 1u : UINT32_MAX);
}

/* A position that leaps forwards or backwards, by about a ring or by a little. */
static void leap(void)
{
    static const uint64_t leaps[] = {1,
                                     4,
                                     RING_SIZE / 2,
                                     RING_SIZE - 1,
                                     RING_SIZE,
                                     RING_SIZE + 1,
                                     RING_GROWN,
                                     RING_GROWN + 1,
                                     (uint64_t)1 << 32,
                                     (uint64_t)1 << 63};
    struct shared_page *page = (struct shared_page *)(uintptr_t)target.words;
    _Atomic uint64_t *position[] = {&page->ring[0].head,  &page->ring[0].tail, &page->ring[0].steps,
                                    &page->ring[1].head,  &page->ring[1].tail, &page->ring[1].steps,
                                    &page->ring[0].grown, &page->ring[1].grown};
    uint64_t by = leaps[roll() % (sizeof leaps / sizeof leaps[0])];
    atomic_fetch_add(position[roll() % 8], roll() % 2 == 0 ? by : (uint64_t)0 - by);
}

static void other_state(void)
{
    struct shared_page *page = (struct shared_page *)(uintptr_t)target.words;
    atomic_fetch_add(&page->end[roll() % 2].state, (unsigned)(roll() % 8));
}

static void other_wish(void)
{
    struct shared_page *page = (struct shared_page *)(uintptr_t)target.words;
    atomic_store(&page->end[roll() % 2].interest, (unsigned)(roll() % 5 + (roll() % 4 << 2)));
}

/* Lengths that lie, and bytes that change while they are read. Both rings. */
static void other_bytes(void)
{
    for (int i = 0; i < 64; i++)
        target.data[roll() % (2 * RING_GROWN)] = (uint8_t)roll();
}

static void (*const attacks[])(void) = {random_word,       ones_everywhere, zeros_everywhere,
                                        random_everywhere, off_by_one,      leap,
                                        other_state,       other_wish,      other_bytes};
enum { ATTACKS = sizeof attacks / sizeof attacks[0] };

/* --- The victim ------------------------------------------------------------------------------ */

static void try_to_read(pipc_t *pipe)
{
    static char room[100000];
    pipc_read(pipe, room, sizeof room);
}

static void try_to_read_a_message(pipc_t *pipe)
{
    pipc_msg_t message;
    if (pipc_read_msg(pipe, &message) == 0)
        pipc_msg_free(&message);
}

static void try_to_read_what_is_pending(pipc_t *pipe)
{
    pipc_msg_t message[4];
    for (ssize_t n = pipc_read_pending(pipe, message, 4); n > 0; n--)
        pipc_msg_free(&message[n - 1]);
}

static void try_to_peek(pipc_t *pipe)
{
    pipc_msg_t view;
    volatile unsigned char sum = 0;
    if (pipc_peek(pipe, &view) == 0)
        for (size_t i = 0; i < view.size; i++)
            sum = (unsigned char)(sum + ((unsigned char *)view.data)[i]);
}

static void try_to_write(pipc_t *pipe)
{
    static char data[300000];
    pipc_write(pipe, data, roll() % 4 == 0 ? roll() % sizeof data : roll() % 100);
}

static void try_to_count(pipc_t *pipe)
{
    pipc_pending(pipe);
    pipc_flush(pipe);
}

static void try_to_poll(pipc_t *pipe)
{
    int fd = pipc_fd(pipe);
    if (fd >= 0)
        harness_readable(fd, 1);
}

static void try_to_leave(pipc_t *pipe)
{
    pipc_disconnect(pipe, "enough");
}

static void ask_who_is_there(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    char text[64];
    pipc_stats(pipe, &stats);
    assert_in_range(stats.shared_unread, 0, 2 * RING_GROWN); /* two ends of one handle */
    assert_in_range(stats.shared_unread_by_peer, 0, 2 * RING_GROWN);
    pipc_peer(pipe, text, sizeof text);
    pipc_bye_text(pipe);
}

static void (*const deeds[])(pipc_t *pipe) = {
    try_to_read, try_to_read_a_message, try_to_read_what_is_pending,
    try_to_peek, try_to_write,          try_to_count,
    try_to_poll, try_to_write,          ask_who_is_there,
    try_to_leave};
enum { DEEDS = sizeof deeds / sizeof deeds[0] };

/* Timeouts hold whatever the peer does, if generously. */
static void do_something(pipc_t *pipe)
{
    size_t deed = roll() % DEEDS;
    if (deed == DEEDS - 1 && roll() % 4 != 0)
        deed = 0;
    int64_t begin = harness_now_ms();
    int ms = (int)(roll() % 3);
    if (pipc_set_timeout(pipe, ms, ms) != 0)
        return; /* no end now: the next call may get one, and would have no timeout */
    deeds[deed](pipe);
    if (harness_now_ms() - begin > SIDES_NOTICE_MS)
        fail_msg("deed %zu took %d ms", deed, (int)(harness_now_ms() - begin));
}

/* --- Scenes ---------------------------------------------------------------------------------- */

/* First it is an honest peer, so that the attack meets a pipe in use. */
static void use_it_a_little(pipc_t *pipe)
{
    static char data[300000];
    set_timeouts(pipe, 0, 0);
    for (size_t n = roll() % 20; n > 0; n--)
        pipc_write(pipe, data, roll() % 8 == 0 ? roll() % sizeof data : roll() % 100);
    pipc_pending(pipe);
}

static void attack_now_and_then(pipc_t *pipe)
{
    find_memory();
    use_it_a_little(pipe);
    for (size_t n = roll() % 30; n > 0; n--) {
        attacks[roll() % ATTACKS]();
        sched_yield();
    }
}

static void attack_for_ever(pipc_t *pipe)
{
    find_memory();
    use_it_a_little(pipe);
    size_t attack = roll() % (ATTACKS + 1);
    harness_gate_open(&gate[0]);
    for (;;)
        attacks[attack == ATTACKS ? roll() % ATTACKS : attack]();
}

static void start_attack(struct side *side, pipc_t *pipe, script *attack)
{
    dice = harness_random() | 1;
    side_start(side, anonymous_forked, pipe, attack);
    dice = harness_random() | 1;
}

TEST(a_single_attack_does_no_harm)
{
    harness_need_proc();
    for (int round = 0; round < 100 / harness_scale(); round++) {
        struct side hostile;
        pipc_t *pipe = open_anonymous();
        if (round % 3 == 0)
            do_something(pipe);
        start_attack(&hostile, pipe, attack_now_and_then);
        for (int i = 0; i < 20; i++)
            do_something(pipe);
        side_end(&hostile);
        for (int i = 0; i < 20; i++)
            do_something(pipe);
        pipc_close(pipe);
    }
}

TEST(an_endless_attack_does_no_harm)
{
    harness_need_proc();
    harness_gate_init(&gate[0]);
    /* Few: an attack can make each call that claims an end take half a second, and there are 80 a
     * round. */
    for (int round = 0; round < 20 / harness_scale() + 1; round++) {
        struct side hostile;
        pipc_t *pipe = open_anonymous();
        start_attack(&hostile, pipe, attack_for_ever);
        harness_gate_wait(&gate[0]);
        for (int i = 0; i < 40; i++)
            do_something(pipe);
        if (round % 2 == 0)
            pipc_close(pipe);
        kill(hostile.pid, SIGKILL);
        assert_int_equal(harness_wait(hostile.pid), -SIGKILL);
        if (round % 2 != 0)
            pipc_close(pipe);
    }
    harness_gate_close(&gate[0]);
}

/* --- Invalid positions are reported -------------------------------------------- */

static int which_position;

static void leap_too_far(pipc_t *pipe)
{
    struct shared_page *page;
    find_memory();
    page = (struct shared_page *)(uintptr_t)target.words;
    say(pipe, "here");
    if (which_position == 0) /* of what it writes, the end that came second */
        atomic_fetch_add(&page->ring[1].head, 2 * RING_GROWN);
    else
        atomic_fetch_add(&page->ring[0].tail, 2 * RING_GROWN);
    harness_gate_wait(&gate[0]);
}

TEST(an_invalid_position_is_a_protocol_error_forever)
{
    harness_need_proc();
    harness_gate_init(&gate[0]);
    for (which_position = 0; which_position < 2; which_position++) {
        struct side hostile;
        char room[64];
        pipc_t *pipe = open_anonymous();
        say(pipe, "first");
        side_start(&hostile, anonymous_forked, pipe, leap_too_far);
        set_timeouts(pipe, SIDES_LONG_MS, SIDES_LONG_MS);
        if (which_position == 0)
            while (pipc_read(pipe, room, sizeof room) >= 0)
                continue;
        else
            while (pipc_write(pipe, room, sizeof room) >= 0)
                continue;
        for (int i = 0; i < 3; i++) {
            assert_int_equal(errno, EPROTO);
            assert_errno(pipc_write(pipe, "x", 1), EPROTO);
        }
        harness_gate_open(&gate[0]);
        side_end(&hostile);
        pipc_close(pipe);
    }
    harness_gate_close(&gate[0]);
}

static void announce_too_much(pipc_t *pipe)
{
    find_memory();
    say(pipe, "here");
    for (size_t i = 0; i < 2 * RING_GROWN; i++)
        target.data[i] = 0x7f;
    harness_gate_wait(&gate[0]);
}

TEST(a_length_over_the_limit_is_a_protocol_error)
{
    harness_need_proc();
    struct side hostile;
    char room[64];
    harness_gate_init(&gate[0]);
    pipc_t *pipe = open_anonymous();
    int fd = pipc_fd(pipe);
    side_start(&hostile, anonymous_forked, pipe, announce_too_much);
    /* Seen as "here" or as what replaced it. */
    assert_true(harness_readable(fd, SIDES_LONG_MS));
    set_timeouts(pipe, 1, 1);
    ssize_t n;
    do
        n = pipc_read(pipe, room, sizeof room);
    while (n == -1 && (errno == ETIMEDOUT || errno == EAGAIN));
    if (n == -1)
        assert_int_equal(errno, EPROTO);
    harness_gate_open(&gate[0]);
    side_end(&hostile);
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
}

/* --- Deadlines ------------------------------------------------------------------------------- */

/* Which end and ring are the hostile one's: it was second. */
static void never_rest(pipc_t *pipe)
{
    find_memory();
    struct shared_page *page = (struct shared_page *)(uintptr_t)target.words;
    say(pipe, "here");
    harness_gate_wait(&gate[0]);
    uint64_t state = atomic_load(&page->end[1].state) & ~(uint64_t)0xffffff00;
    for (uint32_t count = 0;; count += 256) /* the status is below it, the holder's name above */
        atomic_store(&page->end[1].state, state | count);
}

static void trickle(pipc_t *pipe)
{
    static const uint8_t header[] = {0x03, 0, 0, 0}; /* 48 MiB follow */
    find_memory();
    struct shared_page *page = (struct shared_page *)(uintptr_t)target.words;
    say(pipe, "here");
    harness_gate_wait(&gate[0]);
    uint64_t head = atomic_load(&page->ring[1].head);
    for (size_t i = 0; i < sizeof header; i++)
        target.data[RING_GROWN + (head + i) % RING_SIZE] = header[i];
    for (head += sizeof header;; head++) {
        atomic_store(&page->ring[1].head, head);
        atomic_store(&page->end[0].interest, 0);
        while (head - atomic_load(&page->ring[1].tail) > 1000)
            continue;
    }
}

static void expect_deadlines_kept(script *attack)
{
    struct side hostile;
    pipc_t *pipe = open_anonymous();
    pipc_msg_t message;
    assert_int_equal(pipc_pending(pipe), 0);
    side_start(&hostile, anonymous_forked, pipe, attack);
    hear(pipe, "here");
    set_timeouts(pipe, 20, 20);
    harness_gate_open(&gate[0]);
    for (int i = 0; i < 10; i++) {
        int64_t begin = harness_now_ms();
        assert_errno(pipc_read_msg(pipe, &message), ETIMEDOUT);
        if (harness_now_ms() - begin > SIDES_NOTICE_MS)
            fail_msg("a read of 20 ms took %d ms", (int)(harness_now_ms() - begin));
    }
    kill(hostile.pid, SIGKILL);
    assert_int_equal(harness_wait(hostile.pid), -SIGKILL);
    pipc_close(pipe);
}

TEST(calls_end_at_their_deadlines_beside_a_peer_that_never_stops)
{
    harness_need_proc();
    harness_gate_init(&gate[0]);
    expect_deadlines_kept(never_rest);
    expect_deadlines_kept(trickle);
    harness_gate_close(&gate[0]);
}

/* --- The memory stays ------------------------------------------------------------------------ */

static void take_the_memory_away(pipc_t *pipe)
{
    int fd = hostile_list("memfd:pipc").fd[0];
    say(pipe, "here");
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(ftruncate(fd, 1 << 24), -1);
    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
}

/* A page that is gone would be a SIGBUS; a hole is merely zeros. */
TEST(a_peer_cannot_shrink_the_memory)
{
    harness_need_proc();
    pipc_t *pipe = open_anonymous();
    say(pipe, "x");
    if (hostile_list("memfd:pipc").count == 0) {
        pipc_close(pipe);
        harness_skip("the memory has no descriptor that can be found");
    }
    side_play(anonymous_forked, pipe, take_the_memory_away);
    dice = 1;
    for (int i = 0; i < 50; i++)
        do_something(pipe);
    pipc_close(pipe);
}

HARNESS_MAIN("ring hostile", IT_WITHIN(a_single_attack_does_no_harm, 90000),
             IT_WITHIN(an_endless_attack_does_no_harm, 90000),
             IT(an_invalid_position_is_a_protocol_error_forever),
             IT(a_length_over_the_limit_is_a_protocol_error),
             IT(calls_end_at_their_deadlines_beside_a_peer_that_never_stops),
             IT(a_peer_cannot_shrink_the_memory))
