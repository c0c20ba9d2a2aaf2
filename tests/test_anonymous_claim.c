/* SPDX-License-Identifier: MIT */
/*
 * Which caller gets which end of an anonymous pipe. Two callers use it without roles, a third is
 * refused, and a free end goes to the next caller. Goodbyes are tested in
 * test_anonymous_goodbye.c, deaths in test_anonymous_death.c.
 */
#include "anonymous.h"

/* --- No roles -------------------------------------------------------------------------------- */

static void answer_ten(pipc_t *pipe)
{
    for (int i = 0; i < 10; i++)
        say_number(pipe, hear_number(pipe) + 1);
    leave(pipe, "done");
}

static void ask_ten(pipc_t *pipe)
{
    for (int i = 0; i < 10; i++) {
        say_number(pipe, i);
        assert_int_equal(hear_number(pipe), i + 1);
    }
    leave(pipe, "done");
}

TEST_OF_KIND(the_opener_may_write_first)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    side_start(&far, kind, pipe, answer_ten);
    ask_ten(pipe);
    side_end(&far);
    pipc_close(pipe);
}

TEST_OF_KIND(the_opener_may_read_first)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    side_start(&far, kind, pipe, ask_ten);
    answer_ten(pipe);
    side_end(&far);
    pipc_close(pipe);
}

TEST_OF_KIND(two_children_can_talk_while_the_opener_takes_no_end)
{
    pipc_t *pipe = open_anonymous();
    struct side asks, answers;
    side_start(&asks, kind, pipe, ask_ten);
    side_start(&answers, kind, pipe, answer_ten);
    side_end(&asks);
    side_end(&answers);
    pipc_close(pipe);
}

static int be_a_parent_too(void *arg)
{
    struct side grandchild;
    side_start(&grandchild, anonymous_forked, arg, answer_ten);
    ask_ten(arg);
    side_end(&grandchild);
    pipc_close(arg);
    return 0;
}

TEST(a_child_and_a_grandchild_use_an_inherited_handle)
{
    pipc_t *pipe = open_anonymous();
    assert_int_equal(harness_wait(harness_fork(be_a_parent_too, pipe)), 0);
    pipc_close(pipe);
}

static void say_hello(pipc_t *pipe)
{
    say(pipe, "hello");
    leave(pipe, NULL);
}

TEST_OF_KIND(a_read_waits_until_the_first_peer_comes)
{
    pipc_t *pipe = open_anonymous();
    char byte;
    set_timeouts(pipe, 20, -1);
    assert_errno(pipc_read(pipe, &byte, sizeof byte), ETIMEDOUT);
    set_timeouts(pipe, -1, -1);
    struct side far;
    side_start(&far, kind, pipe, say_hello);
    hear(pipe, "hello");
    side_end(&far);
    pipc_close(pipe);
}

static void hear_three(pipc_t *pipe)
{
    hear(pipe, "1");
    hear(pipe, "2");
    hear(pipe, "3");
    leave(pipe, NULL);
}

TEST_OF_KIND(messages_written_before_a_peer_came_are_delivered_to_it)
{
    pipc_t *pipe = open_anonymous();
    say(pipe, "1");
    say(pipe, "2");
    say(pipe, "3");
    side_play(kind, pipe, hear_three);
    hear_bye(pipe, "");
    pipc_close(pipe);
}

/* --- Every using call takes an end, and is refused to a third -------------------------------- */

static intmax_t use_write(pipc_t *pipe)
{
    return pipc_write(pipe, "x", 1);
}

static intmax_t use_write_nothing(pipc_t *pipe)
{
    return pipc_write(pipe, NULL, 0);
}

static intmax_t use_writev(pipc_t *pipe)
{
    struct iovec part = {"x", 1};
    return pipc_writev(pipe, &part, 1);
}

static intmax_t use_write_batch(pipc_t *pipe)
{
    struct iovec message = {"x", 1};
    return pipc_write_batch(pipe, &message, 1);
}

static intmax_t use_read(pipc_t *pipe)
{
    char buffer[64];
    return pipc_read(pipe, buffer, sizeof buffer);
}

static intmax_t use_read_msg(pipc_t *pipe)
{
    pipc_msg_t message;
    int result = pipc_read_msg(pipe, &message);
    if (result == 0)
        pipc_msg_free(&message);
    return result;
}

static intmax_t use_read_pending(pipc_t *pipe)
{
    pipc_msg_t message;
    ssize_t result = pipc_read_pending(pipe, &message, 1);
    if (result == 1)
        pipc_msg_free(&message);
    return result;
}

static intmax_t use_peek(pipc_t *pipe)
{
    pipc_msg_t view;
    return pipc_peek(pipe, &view);
}

static intmax_t use_skip(pipc_t *pipe)
{
    return pipc_skip(pipe);
}

static intmax_t use_pending(pipc_t *pipe)
{
    return pipc_pending(pipe);
}

static intmax_t use_flush(pipc_t *pipe)
{
    return pipc_flush(pipe);
}

static intmax_t use_fd(pipc_t *pipe)
{
    return pipc_fd(pipe);
}

static intmax_t use_set_timeout(pipc_t *pipe)
{
    return pipc_set_timeout(pipe, -1, -1);
}

static intmax_t use_shutdown(pipc_t *pipe)
{
    return pipc_shutdown(pipe);
}

static intmax_t use_disconnect(pipc_t *pipe)
{
    return pipc_disconnect(pipe, "x");
}

static intmax_t (*const uses[])(pipc_t *pipe) = {
    use_write,        use_write_nothing, use_writev,    use_write_batch, use_read,  use_read_msg,
    use_read_pending, use_peek,          use_skip,      use_pending,     use_flush, use_fd,
    use_set_timeout,  use_shutdown,      use_disconnect};
enum { USES = sizeof uses / sizeof uses[0], STAYING_USES = USES - 1 };

static void be_refused_everything(pipc_t *pipe)
{
    for (int i = 0; i < USES; i++)
        assert_errno(uses[i](pipe), EBUSY);
}

static void stay_until_told(pipc_t *pipe)
{
    say(pipe, "here");
    harness_gate_wait(&gate[0]);
    leave(pipe, NULL);
}

TEST_OF_KIND(every_call_of_a_third_caller_returns_ebusy)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    gates_init();
    side_start(&far, kind, pipe, stay_until_told);
    hear(pipe, "here");
    side_play(anonymous_in_threads, pipe, be_refused_everything);
    side_play(anonymous_forked, pipe, be_refused_everything);
    hear_nothing(pipe);
    harness_gate_open(&gate[0]);
    hear_bye(pipe, "");
    side_end(&far);
    pipc_close(pipe);
    gates_close();
}

TEST_OF_KIND(a_refused_caller_gets_an_end_when_one_becomes_free)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    gates_init();
    side_start(&far, kind, pipe, stay_until_told);
    hear(pipe, "here");
    side_play(kind, pipe, be_refused_everything);
    harness_gate_open(&gate[0]);
    side_end(&far);
    hear_bye(pipe, "");
    say(pipe, "1");
    say(pipe, "2");
    say(pipe, "3");
    side_play(kind, pipe, hear_three);
    pipc_close(pipe);
    gates_close();
}

static int chosen_use;

static void use_and_stay(pipc_t *pipe)
{
    if (uses[chosen_use](pipe) < 0)
        fail_msg("call %d: %s", chosen_use, strerror(errno));
    harness_gate_open(&gate[1]);
    harness_gate_wait(&gate[0]);
    leave(pipe, NULL);
}

/* After shutdown a goodbye is no longer possible to send: that side just closes. */
static void shut_down_and_stay(pipc_t *pipe)
{
    assert_int_equal(pipc_shutdown(pipe), 0);
    harness_gate_open(&gate[1]);
    harness_gate_wait(&gate[0]);
    pipc_close(pipe);
}

TEST_OF_KIND(each_call_that_reads_or_writes_takes_an_end)
{
    gates_init();
    for (chosen_use = 0; chosen_use < STAYING_USES; chosen_use++) {
        pipc_t *pipe = open_anonymous();
        struct side far;
        say(pipe, "something to read");
        side_start(&far, kind, pipe,
                   uses[chosen_use] == use_shutdown ? shut_down_and_stay : use_and_stay);
        harness_gate_wait(&gate[1]);
        side_play(anonymous_forked, pipe, be_refused_everything);
        harness_gate_open(&gate[0]);
        side_end(&far);
        pipc_close(pipe);
    }
    gates_close();
}

static void say_goodbye_at_once(pipc_t *pipe)
{
    leave(pipe, "only passing");
}

TEST_OF_KIND(a_disconnect_as_the_first_call_takes_an_end_and_releases_it)
{
    pipc_t *pipe = open_anonymous();
    say(pipe, "1");
    side_play(kind, pipe, say_goodbye_at_once);
    hear_bye(pipe, "only passing");
    say(pipe, "2");
    say(pipe, "3");
    side_play(kind, pipe, hear_three);
    pipc_close(pipe);
}

static void look_without_using(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    char text[64] = "unchanged";
    assert_int_equal(pipc_stats(pipe, &stats), 0);
    if (pipc_peer(pipe, text, sizeof text) == 0)
        assert_true(memchr(text, '\0', sizeof text) != NULL);
    assert_null(pipc_bye_text(pipe));
}

TEST_OF_KIND(stats_peer_and_bye_text_take_no_end)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    for (int i = 0; i < 3; i++)
        side_play(kind, pipe, look_without_using);
    look_without_using(pipe);
    side_start(&far, kind, pipe, answer_ten);
    side_play(kind, pipe, ask_ten);
    side_end(&far);
    pipc_close(pipe);
}

TEST_OF_KIND(stats_peer_and_bye_text_work_for_a_third_caller)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    gates_init();
    side_start(&far, kind, pipe, stay_until_told);
    hear(pipe, "here");
    side_play(anonymous_in_threads, pipe, look_without_using);
    side_play(anonymous_forked, pipe, look_without_using);
    harness_gate_open(&gate[0]);
    side_end(&far);
    hear_bye(pipe, "");
    pipc_close(pipe);
    gates_close();
}

static void close_unused(pipc_t *pipe)
{
    pipc_close(pipe);
}

TEST(close_takes_no_end)
{
    pipc_t *pipe = open_anonymous();
    for (int i = 0; i < 3; i++)
        side_play(anonymous_forked, pipe, close_unused);
    say(pipe, "1");
    for (int i = 0; i < 3; i++)
        side_play(anonymous_in_threads, pipe, close_unused);
    say(pipe, "2");
    say(pipe, "3");
    side_play(anonymous_forked, pipe, hear_three);
    hear_bye(pipe, "");
    pipc_close(pipe);
}

/* --- Many at once ---------------------------------------------------------------------------- */

enum { CROWD = 8 };
static struct crowd {
    _Atomic int taken, refused, other;
} * crowd;

/* A caller that got an end keeps it until all have tried. */
static void try_to_get_in(pipc_t *pipe)
{
    harness_gate_wait(&gate[0]);
    ssize_t n = pipc_pending(pipe);
    if (n == 0)
        atomic_fetch_add(&crowd->taken, 1);
    else if (n < 0 && errno == EBUSY)
        atomic_fetch_add(&crowd->refused, 1);
    else
        atomic_fetch_add(&crowd->other, 1);
    harness_gate_open(&gate[1]);
    harness_gate_wait(&gate[2]);
    if (n == 0)
        leave(pipe, NULL);
}

static void rush_once(const struct kind *kind)
{
    struct side side[CROWD];
    pipc_t *pipe = open_anonymous();
    *crowd = (struct crowd){0, 0, 0};
    for (int i = 0; i < CROWD; i++)
        side_start(&side[i], kind, pipe, try_to_get_in);
    for (int i = 0; i < CROWD; i++)
        harness_gate_open(&gate[0]);
    for (int i = 0; i < CROWD; i++)
        harness_gate_wait(&gate[1]);
    for (int i = 0; i < CROWD; i++)
        harness_gate_open(&gate[2]);
    for (int i = 0; i < CROWD; i++)
        side_end(&side[i]);
    assert_int_equal(crowd->taken, 2);
    assert_int_equal(crowd->refused, CROWD - 2);
    assert_int_equal(crowd->other, 0);
    pipc_close(pipe);
}

TEST_OF_KIND(two_of_eight_simultaneous_callers_get_an_end)
{
    crowd = shared_memory(sizeof *crowd);
    gates_init();
    for (int round = 0; round < 60 / harness_scale(); round++)
        rush_once(kind);
    gates_close();
    munmap(crowd, sizeof *crowd);
}

/* --- Timeouts ------------------------------------------------------------------------------- */

static void never_wait(pipc_t *pipe)
{
    char byte;
    set_timeouts(pipe, 0, 0);
    harness_gate_open(&gate[0]);
    harness_gate_wait(&gate[1]);
    assert_errno(pipc_read(pipe, &byte, sizeof byte), EAGAIN);
    leave(pipe, NULL);
}

static void wait_as_usual(pipc_t *pipe)
{
    harness_gate_open(&gate[0]);
    hear(pipe, "you waited");
    leave(pipe, NULL);
}

TEST_OF_KIND(timeouts_belong_to_the_holder_of_the_end)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    char byte;
    gates_init();
    set_timeouts(pipe, 30, -1);
    side_start(&far, kind, pipe, never_wait);
    harness_gate_wait(&gate[0]);
    assert_errno(pipc_read(pipe, &byte, sizeof byte), ETIMEDOUT);
    harness_gate_open(&gate[1]);
    side_end(&far);
    hear_bye(pipe, "");
    /* The next caller waits forever, which is the default. */
    side_start(&far, kind, pipe, wait_as_usual);
    harness_gate_wait(&gate[0]);
    sleeper_wait(sleeper_side(&far));
    say(pipe, "you waited");
    side_end(&far);
    pipc_close(pipe);
    gates_close();
}

HARNESS_MAIN("anonymous claim", OVER_ANONYMOUS_KINDS(the_opener_may_write_first),
             OVER_ANONYMOUS_KINDS(the_opener_may_read_first),
             OVER_ANONYMOUS_KINDS(two_children_can_talk_while_the_opener_takes_no_end),
             IT(a_child_and_a_grandchild_use_an_inherited_handle),
             OVER_ANONYMOUS_KINDS(a_read_waits_until_the_first_peer_comes),
             OVER_ANONYMOUS_KINDS(messages_written_before_a_peer_came_are_delivered_to_it),
             OVER_ANONYMOUS_KINDS(every_call_of_a_third_caller_returns_ebusy),
             OVER_ANONYMOUS_KINDS(a_refused_caller_gets_an_end_when_one_becomes_free),
             OVER_ANONYMOUS_KINDS(each_call_that_reads_or_writes_takes_an_end),
             OVER_ANONYMOUS_KINDS(a_disconnect_as_the_first_call_takes_an_end_and_releases_it),
             OVER_ANONYMOUS_KINDS(stats_peer_and_bye_text_take_no_end),
             OVER_ANONYMOUS_KINDS(stats_peer_and_bye_text_work_for_a_third_caller),
             IT(close_takes_no_end),
             OVER_ANONYMOUS_KINDS(two_of_eight_simultaneous_callers_get_an_end),
             OVER_ANONYMOUS_KINDS(timeouts_belong_to_the_holder_of_the_end))
