/* SPDX-License-Identifier: MIT */
/*
 * A writer at full speed whose reader dies. The writer does not check its peer before each
 * message, but before one of the next few, whatever it did before and however long it paused.
 */
#include "anonymous.h"
#include "fault.h"
#include "hostile.h"

#include <signal.h>
#include <sys/wait.h>

/* Enough for the writer to have found out that it is fast; and how many go without a look. */
enum { STREAM = 50000, UNSEEN = 7 };

static char message[16];

/* Without /proc, a process is looked for once a millisecond: many more writes succeed. */
static void need_to_know_soon(const struct kind *kind)
{
    if (!kind->in_threads)
        harness_skip_without_proc();
}

/* Awake to its last moment: it never waits. */
static void read_the_stream(pipc_t *pipe)
{
    char got[sizeof message];
    set_timeouts(pipe, 0, 0);
    for (int n = 0; n < STREAM / harness_scale();)
        n += pipc_read(pipe, got, sizeof got) >= 0;
}

static void write_the_stream(pipc_t *pipe)
{
    for (int n = 0; n < STREAM / harness_scale(); n++)
        assert_int_equal(pipc_write(pipe, message, sizeof message), sizeof message);
}

static void stream_to_a_reader_that_ends(pipc_t *pipe, const struct kind *kind)
{
    struct side far;
    side_start(&far, kind, pipe, read_the_stream);
    write_the_stream(pipe);
    side_end(&far);
}

TEST_OF_KIND(after_a_stream_writes_to_a_dead_reader_soon_fail)
{
    need_to_know_soon(kind);
    for (int round = 0; round < 20 / harness_scale() + 1; round++) {
        pipc_t *pipe = open_anonymous();
        int more = 0;
        stream_to_a_reader_that_ends(pipe, kind);
        while (more <= UNSEEN && pipc_write(pipe, message, sizeof message) >= 0)
            more++;
        assert_in_range(more, 0, UNSEEN);
        assert_errno(pipc_write(pipe, message, sizeof message), EPIPE);
        pipc_close(pipe);
    }
}

TEST_OF_KIND(after_a_stream_a_batch_to_a_dead_reader_fails)
{
    struct iovec batch[100];
    need_to_know_soon(kind);
    for (int i = 0; i < 100; i++)
        batch[i] = (struct iovec){message, sizeof message};
    for (int round = 0; round < 20 / harness_scale() + 1; round++) {
        pipc_t *pipe = open_anonymous();
        stream_to_a_reader_that_ends(pipe, kind);
        assert_errno(pipc_write_batch(pipe, batch, 100), EPIPE);
        pipc_close(pipe);
    }
}

static int read_the_stream_and_exec(void *pipe)
{
    read_the_stream(pipe);
    execl("/bin/sleep", "sleep", "60", (char *)NULL);
    return 1;
}

/* The process lives on: only its lock shows that it has left. */
TEST(after_a_stream_writes_to_a_reader_that_execs_soon_fail)
{
    int until_exec[2], more = 0;
    char byte;
    harness_skip_without_proc();
    pipc_t *pipe = open_anonymous();
    assert_int_equal(pipe2(until_exec, O_CLOEXEC), 0);
    pid_t pid = harness_fork(read_the_stream_and_exec, pipe);
    close(until_exec[1]);
    int fd = pipc_fd(pipe);
    write_the_stream(pipe);
    assert_int_equal(read(until_exec[0], &byte, 1), 0);
    close(until_exec[0]);
    sleeper_wait((struct sleeper){pid, pid}); /* in the other program: what it had is given back */
    set_timeouts(pipe, 0, 0);
    while (more <= UNSEEN && pipc_write(pipe, message, sizeof message) >= 0)
        more++;
    assert_in_range(more, 0, UNSEEN);
    assert_errno(pipc_write(pipe, message, sizeof message), EPIPE);
    assert_true(harness_readable(fd, 0));
    kill(pid, SIGKILL);
    assert_int_equal(harness_wait(pid), -SIGKILL);
    pipc_close(pipe);
}

static void take_an_end_and_leave_life(pipc_t *pipe)
{
    say(pipe, "here");
}

/* The peer does not read; only the result of the writes shows its end. */
TEST(soon_after_waitpid_a_fast_writers_write_fails)
{
    enum { SOON = 10000 };
    need_to_know_soon(anonymous_forked);
    for (int round = 0; round < 300 / harness_scale(); round++) {
        pipc_t *pipe = open_anonymous();
        struct side far;
        int more = 0;
        side_start(&far, anonymous_forked, pipe, take_an_end_and_leave_life);
        hear(pipe, "here");
        set_timeouts(pipe, 0, 0);
        while (waitpid(far.pid, NULL, WNOHANG) == 0)
            pipc_write(pipe, "x", 1);
        while (more < SOON && (pipc_write(pipe, "x", 1) == 1 || errno == EAGAIN))
            more++;
        assert_in_range(more, 0, SOON - 1);
        assert_errno(pipc_write(pipe, "x", 1), EPIPE);
        pipc_close(pipe);
    }
}

/* --- A stream that wraps ---------------------------------------------------------------------- */

/* More than a direction holds before it is mapped once more. */
enum { LINE = 1000, LINES = 400 };

static void hear_lines(pipc_t *pipe)
{
    for (int i = 0; i < LINES; i++)
        hear_large(pipe, LINE, (uint64_t)i);
}

TEST(a_stream_goes_on_after_a_lack_of_memory_to_map_it_once_more)
{
    static unsigned char line[LINE];
    pipc_t *pipe = open_anonymous();
    struct side far;
    int lacks = 0;
    side_start(&far, anonymous_forked, pipe, hear_lines);
    say_large(pipe, LINE, 0); /* to take an end needs memory, too */
    fault_reset();
    fault_fail(CALL_mremap, 1, FAULT_FOREVER, ENOMEM);
    fault_fail(CALL_mmap, 1, FAULT_FOREVER, ENOMEM);
    fault_arm();
    for (int i = 1; i < LINES; i++) {
        harness_fill(line, LINE, (uint64_t)i);
        for (; pipc_write(pipe, line, LINE) != LINE; lacks++) {
            assert_int_equal(errno, ENOMEM);
            fault_lift();
        }
    }
    fault_disarm();
    assert_int_equal(lacks, 1);
    side_end(&far);
    pipc_close(pipe);
}

/*
 * A long message that goes beyond what is mapped at first; or that does not, but what follows it
 * does, which the reader learns in the middle.
 */
enum { BEFORE = 20000, ACROSS = 255000, WITHIN = 242000, AFTER = 1000 };

static struct harness_gate is_written, is_awaited;

static void write_long(pipc_t *pipe, size_t size)
{
    say_large(pipe, BEFORE, 0);
    hear(pipe, "go");
    say_large(pipe, size, 1);
    harness_gate_open(&is_written);
    harness_gate_wait(&is_awaited);
    say_large(pipe, AFTER, 2);
    harness_gate_close(&is_written);
    harness_gate_close(&is_awaited);
}

static void write_across(pipc_t *pipe)
{
    write_long(pipe, ACROSS);
}

static void write_within(pipc_t *pipe)
{
    write_long(pipe, WITHIN);
}

static pipc_t *begin_long(struct side *far, script *writer)
{
    pipc_t *pipe = open_anonymous();
    harness_gate_init(&is_written);
    harness_gate_init(&is_awaited);
    side_start(far, anonymous_forked, pipe, writer);
    hear_large(pipe, BEFORE, 0);
    say(pipe, "go");
    harness_gate_wait(&is_written);
    fault_reset();
    fault_fail(CALL_mremap, 1, FAULT_FOREVER, ENOMEM);
    fault_fail(CALL_mmap, 1, FAULT_FOREVER, ENOMEM);
    fault_fail(CALL_realloc, 1, FAULT_FOREVER, ENOMEM);
    return pipe;
}

static void end_long(struct side *far, pipc_t *pipe)
{
    fault_reset();
    hear_large(pipe, AFTER, 2);
    side_end(far);
    harness_gate_close(&is_written);
    harness_gate_close(&is_awaited);
    pipc_close(pipe);
}

/* The writer's position, as if it were still writing. Its next message sets it right. */
static void forge_position(void)
{
    struct shared_page *page = hostile_page();
    for (int end = 0; end < 2; end++)
        if (atomic_load(&page->ring[end].head) > WITHIN)
            atomic_store(&page->ring[end].head, 4 + BEFORE + 4 + WITHIN / 2);
}

/* First the writer goes on; memory is back once it was lacking for both. */
static bool go_on(void *waits)
{
    if (++*(int *)waits == 1)
        harness_gate_open(&is_awaited);
    if (fault_failures(CALL_realloc) > 0)
        fault_lift();
    return false;
}

TEST(a_read_that_cannot_map_all_of_a_message_leaves_it_to_the_next_read)
{
    static unsigned char got[ACROSS];
    int waits = 0;
    struct side far;
    pipc_t *pipe = begin_long(&far, write_across);
    forge_position();
    fault_before_wait(go_on, &waits);
    fault_arm();
    for (int i = 0; i < 2; i++)
        assert_errno(pipc_read(pipe, got, sizeof got), ENOMEM);
    fault_disarm();
    harness_gate_open(&is_awaited);
    hear_large(pipe, ACROSS, 1);
    end_long(&far, pipe);
}

TEST(a_read_that_can_neither_map_more_nor_keep_what_it_has_goes_on_when_there_is_memory)
{
    static unsigned char got[WITHIN];
    int waits = 0;
    struct side far;
    pipc_t *pipe = begin_long(&far, write_within);
    forge_position();
    fault_before_wait(go_on, &waits);
    fault_arm();
    ssize_t size = pipc_read(pipe, got, sizeof got);
    fault_disarm();
    assert_int_equal(size, WITHIN);
    assert_true(fault_failures(CALL_realloc) > 0);
    harness_check(got, WITHIN, 1);
    end_long(&far, pipe);
}

HARNESS_MAIN("anonymous stream",
             OVER_ANONYMOUS_KINDS(after_a_stream_writes_to_a_dead_reader_soon_fail),
             OVER_ANONYMOUS_KINDS(after_a_stream_a_batch_to_a_dead_reader_fails),
             IT(after_a_stream_writes_to_a_reader_that_execs_soon_fail),
             IT(soon_after_waitpid_a_fast_writers_write_fails),
             IT(a_stream_goes_on_after_a_lack_of_memory_to_map_it_once_more),
             IT(a_read_that_cannot_map_all_of_a_message_leaves_it_to_the_next_read),
             IT(a_read_that_can_neither_map_more_nor_keep_what_it_has_goes_on_when_there_is_memory))
