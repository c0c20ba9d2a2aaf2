/* SPDX-License-Identifier: MIT */
/*
 * The ring in which lines of the trace wait for the program's function. A copy of it is compiled
 * here, under other names, in which a step can be made right before a place is claimed: there
 * another thread may put a line, which no test with threads would do on time.
 */
#include <stdatomic.h>

#include "harness.h"

static void make_step(void);

#undef atomic_compare_exchange_weak
#define atomic_compare_exchange_weak(object, expected, desired) \
    (make_step(), atomic_compare_exchange_strong(object, expected, desired))
#define trace_state         stepped_state
#define trace_has_function  stepped_has_function
#define trace_keep_line     stepped_keep_line
#define trace_deliver_lines stepped_deliver_lines
#define trace_set_function  stepped_set_function
#include "../src/trace/trace_function.c"

static int steps; /* that are still to be made */

static void make_step(void)
{
    if (steps > 0) {
        steps--;
        trace_keep_line("another's", strlen("another's"));
    }
}

static char got[PLACES * 16];

static void note_line(void *context, const char *line)
{
    assert_ptr_equal(context, got);
    assert_true(strlen(got) + strlen(line) + 2 < sizeof got);
    strcat(strcat(got, line), ";");
}

static void keep_line(const char *line)
{
    trace_keep_line(line, strlen(line));
}

TEST(a_line_is_not_lost_when_another_thread_puts_one_at_the_same_moment)
{
    trace_set_function(note_line, got);
    steps = 1;
    keep_line("first");
    steps = 2; /* before the other thread, a third one */
    keep_line("second");
    trace_deliver_lines();
    assert_string_equal(got, "another's;first;another's;another's;second;");
    trace_set_function(NULL, NULL);
}

TEST(a_line_that_finds_a_full_ring_is_counted)
{
    trace_set_function(note_line, got);
    for (int i = 1; i < PLACES; i++)
        keep_line("1");
    trace_deliver_lines();
    assert_int_equal(strlen(got), 2 * (PLACES - 1));
    got[0] = '\0';
    for (int i = 1; i < PLACES; i++)
        keep_line("2");
    steps = 1; /* it has the last place */
    keep_line("lost");
    trace_deliver_lines();
    assert_int_equal(strncmp(got, "2;2;", 4), 0);
    assert_string_equal(got + 2 * (PLACES - 1),
                        "another's;1 lines were lost: too many came at once;");
    trace_set_function(NULL, NULL);
}

/* Another thread puts a line before the function returns. */
static void replace(void *unused, const char *line)
{
    (void)unused;
    assert_string_equal(line, "first");
    trace_set_function(note_line, got);
    keep_line("newer");
}

TEST(what_comes_after_the_function_has_set_another_one_is_for_that_one)
{
    trace_set_function(replace, NULL);
    keep_line("first");
    keep_line("older");
    trace_deliver_lines();
    assert_string_equal(got, "newer;");
    trace_set_function(NULL, NULL);
}

static void replace_after_a_loss(void *unused, const char *line)
{
    (void)unused;
    if (strstr(line, "lost") != NULL)
        trace_set_function(note_line, got);
}

TEST(a_function_that_is_set_when_lines_were_lost_gets_all_that_come_then)
{
    trace_set_function(replace_after_a_loss, NULL);
    for (int i = 0; i <= PLACES; i++)
        keep_line("1");
    trace_deliver_lines();
    keep_line("first");
    keep_line("second");
    trace_deliver_lines();
    assert_string_equal(got, "first;second;");
    trace_set_function(NULL, NULL);
}

HARNESS_MAIN("trace ring", IT(a_line_is_not_lost_when_another_thread_puts_one_at_the_same_moment),
             IT(a_line_that_finds_a_full_ring_is_counted),
             IT(what_comes_after_the_function_has_set_another_one_is_for_that_one),
             IT(a_function_that_is_set_when_lines_were_lost_gets_all_that_come_then))
