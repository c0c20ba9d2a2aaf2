/* SPDX-License-Identifier: MIT */
/*
 * A child is killed instead of making its nth call to the system, for each n in turn: while it
 * opens, meets, shows a key, moves to shared memory, talks, says goodbye or closes. The survivor
 * here gets whole messages and then one end, which stays. Where the pipe has a name, the next two
 * meet there.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "torture.h"

enum { MESSAGES_MAX = 5, LARGEST = 70000, LONG_MS = 20000, SHORT_MS = 1 };

struct torture_killing torture_killed;

static struct {
    unsigned long calls;          /* of a child that lived */
    volatile bool is_in, listens; /* it has its end, or waits for a client */
} * shared;

/* What a seed decides. */
static struct {
    int messages;
    size_t to[MESSAGES_MAX], back[MESSAGES_MAX];
    bool polls, says_goodbye;
    pipc_options_t options;
} script;

static bool may_have_key(const struct kind *kind)
{
    return torture_is_named(kind) && (kind->path || kind->tcp);
}

static void make_script(const struct kind *kind, uint64_t seed)
{
    static const size_t sizes[] = {0, 1, 5, 64, 300, 2000, 5000, 20000, LARGEST};
    uint64_t state = seed * 0x9e3779b97f4a7c15u | 1;
    harness_roll(&state);
    harness_roll(&state);
    script.messages = 1 + (int)(harness_roll(&state) % MESSAGES_MAX);
    for (int i = 0; i < script.messages; i++) {
        script.to[i] = sizes[harness_roll(&state) % 9];
        script.back[i] = sizes[harness_roll(&state) % 9];
    }
    script.polls = harness_roll(&state) % 2 == 0;
    script.says_goodbye = harness_roll(&state) % 2 == 0;
    script.options = (pipc_options_t)PIPC_OPTIONS_INIT;
    if (may_have_key(kind) && harness_roll(&state) % 2 == 0) {
        script.options.key = "a key of the test";
        script.options.key_size = strlen(script.options.key);
    }
}

/* ---- the mortal ---- */

static void talk(pipc_t *pipe)
{
    static unsigned char data[LARGEST];
    for (int i = 0; i < script.messages; i++) {
        harness_fill(data, script.to[i], (uint64_t)i);
        if (pipc_write(pipe, data, script.to[i]) < 0 ||
            pipc_read(pipe, data, sizeof data) != (ssize_t)script.back[i])
            return;
    }
    if (script.says_goodbye)
        pipc_disconnect(pipe, "bye");
}

/* Its end is opened here; or it was before, and the other one is not its own. */
static pipc_t *have_end(const struct kind *kind, pipc_t *const end[2], int who)
{
    if (torture_is_named(kind))
        return torture_meet(kind, who, LONG_MS, &script.options);
    if (kind->same_handle)
        return pipc_set_timeout(end[0], LONG_MS, LONG_MS) == 0 ? end[0] : NULL;
    return end[who];
}

static void live_and_die(const struct kind *kind, pipc_t *const end[2])
{
    if (!torture_is_named(kind) && !kind->same_handle)
        pipc_close(end[1 - torture_killed.who]);
    fault_reset();
    fault_die_at(torture_killed.call);
    fault_arm();
    pipc_t *pipe = have_end(kind, end, torture_killed.who);
    int error = pipe == NULL ? errno : 0;
    shared->is_in = pipe != NULL;
    if (pipe != NULL) {
        talk(pipe);
        pipc_close(pipe);
    }
    fault_disarm();
    shared->calls = fault_calls(CALL_ANY);
    _exit(error);
}

/* ---- the survivor ---- */

/* By the descriptor alone, or by a call that waits. */
static ssize_t await_message(pipc_t *pipe, void *data, size_t size)
{
    ssize_t got;
    if (!script.polls)
        return pipc_read(pipe, data, size);
    int fd = pipc_fd(pipe);
    TORTURE_CHECK(fd >= 0 && pipc_set_timeout(pipe, 0, LONG_MS) == 0, "no descriptor");
    while ((got = pipc_read(pipe, data, size)) < 0 && errno == EAGAIN)
        TORTURE_CHECK(harness_readable(fd, LONG_MS), "the descriptor never reports the end");
    return got;
}

static bool is_end(int error)
{
    return error == EPIPE || error == ECONNRESET;
}

/* Whole messages in order, then an end, which stays. Returns how many messages came. */
static int survive(pipc_t *pipe)
{
    static unsigned char data[LARGEST];
    int count = 0;
    bool was_left = false;
    ssize_t got;
    TORTURE_CHECK(pipc_set_timeout(pipe, LONG_MS, LONG_MS) == 0, "no timeout can be set");
    while ((got = await_message(pipe, data, sizeof data)) >= 0) {
        TORTURE_CHECK(count < script.messages && (size_t)got == script.to[count],
                      "message %d has %zd bytes", count, got);
        harness_check(data, (size_t)got, (uint64_t)count);
        harness_fill(data, script.back[count], 0);
        if (pipc_write(pipe, data, script.back[count]) < 0)
            TORTURE_CHECK(is_end(errno), "an answer to the dead fails");
        count++;
    }
    if (errno == ESHUTDOWN) {
        was_left = true;
        TORTURE_CHECK(count == script.messages && script.says_goodbye, "a goodbye too early");
        pipc_set_timeout(pipe, torture_killed.kind->same_handle ? 0 : LONG_MS, LONG_MS);
        got = pipc_read(pipe, data, sizeof data);
    }
    int error = errno;
    bool may_stay = was_left && torture_killed.kind->same_handle && error == EAGAIN;
    TORTURE_CHECK(is_end(error) || may_stay, "no end, but this");
    TORTURE_CHECK(pipc_read(pipe, data, sizeof data) == -1 && errno == error, "another end");
    return count;
}

/* Once the child is no more; the network may take a moment to say so. */
static void expect_deaf(pipc_t *pipe)
{
    int64_t deadline = harness_now_ms() + LONG_MS;
    if (torture_killed.kind->same_handle && script.says_goodbye)
        return; /* there may be a next one */
    while (pipc_write(pipe, "", 0) == 0) {
        TORTURE_CHECK(harness_now_ms() < deadline, "writes to the dead succeed");
        sched_yield();
    }
    TORTURE_CHECK(is_end(errno), "a write to the dead fails otherwise");
}

/* A child that did not get so far as to have its end has left none. */
static void expect_no_peer(pipc_t *pipe)
{
    unsigned char byte;
    pipc_set_timeout(pipe, 0, 0);
    TORTURE_CHECK(pipc_read(pipe, &byte, 1) == -1 && (errno == EAGAIN || is_end(errno)),
                  "a message of nobody");
}

/* ---- one killing ---- */

static bool has_ended(pid_t pid, int *status)
{
    int raw;
    if (waitpid(pid, &raw, WNOHANG) != pid)
        return false;
    *status = WIFEXITED(raw) ? WEXITSTATUS(raw) : -WTERMSIG(raw);
    return true;
}

static pid_t start(const struct kind *kind, pipc_t *const end[2])
{
    shared->calls = 0;
    shared->is_in = shared->listens = false;
    pid_t pid = fork();
    TORTURE_CHECK(pid >= 0, "no process");
    if (pid == 0)
        live_and_die(kind, end);
    return pid;
}

static void check_count(int status, int count)
{
    TORTURE_CHECK(status <= 0, "the mortal gets no pipe: %s", strerror(status));
    TORTURE_CHECK(status != 0 || count == script.messages, "%d messages of %d", count,
                  script.messages);
}

static int kill_on_opened(const struct kind *kind)
{
    pipc_t *end[2];
    int who = torture_killed.who;
    fault_reset();
    TORTURE_CHECK(torture_open(kind, end, &script.options), "no pipe");
    pipc_t *survivor = kind->same_handle ? end[0] : end[1 - who];
    TORTURE_CHECK(pipc_set_timeout(survivor, LONG_MS, LONG_MS) == 0, "no end");
    pid_t pid = start(kind, end);
    if (!kind->same_handle)
        pipc_close(end[who]);
    int status = 0;
    bool is_over = false; /* only a peer that was there can be missed */
    while (kind->same_handle && !shared->is_in && !is_over) {
        is_over = has_ended(pid, &status);
        sched_yield();
    }
    if (is_over && !shared->is_in) {
        expect_no_peer(survivor);
        pipc_close(survivor);
        return status;
    }
    int count = survive(survivor);
    if (!is_over)
        status = harness_wait(pid);
    expect_deaf(survivor);
    check_count(status, count);
    pipc_close(survivor);
    return status;
}

static int kill_on_name(const struct kind *kind)
{
    int status = 0, count = 0;
    bool is_over = false;
    int64_t deadline = harness_now_ms() + LONG_MS * harness_scale();
    struct torture_meeting meeting;
    torture_meet_begin(&meeting, kind, 1 - torture_killed.who, &script.options);
    pid_t pid = start(kind, NULL);
    while (!torture_meet_step(&meeting, SHORT_MS) && !is_over) {
        is_over = has_ended(pid, &status);
        TORTURE_CHECK(harness_now_ms() < deadline, "they never meet");
    }
    bool have_met = torture_meet_step(&meeting, 0);
    if (have_met)
        count = survive(meeting.pipe);
    if (!is_over)
        status = harness_wait(pid);
    if (have_met)
        expect_deaf(meeting.pipe);
    torture_meet_end(&meeting);
    check_count(status, count);
    return status;
}

static int kill_one(void)
{
    const struct kind *kind = torture_killed.kind;
    torture_watch();
    make_script(kind, torture_killed.script);
    return torture_is_named(kind) ? kill_on_name(kind) : kill_on_opened(kind);
}

/* The next two meet, and nobody is killed. */
static void expect_next(unsigned long call)
{
    torture_killed.call = 0;
    TORTURE_CHECK(kill_one() == 0, "the next one does not end well (after call %lu)", call);
    torture_killed.call = call;
}

static void show_kill(void)
{
    fprintf(stderr, "to repeat it: torture kill '%s' %llu %d %lu\n", torture_killed.kind->name,
            (unsigned long long)torture_killed.script, torture_killed.who, torture_killed.call);
}

static void begin(const struct kind *kind)
{
    torture_show = show_kill;
    torture_killed.kind = kind;
    if (shared != NULL)
        return;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    TORTURE_CHECK(shared != MAP_FAILED, "no memory");
    torture_listens = &shared->listens;
}

void torture_kill(const struct torture_killing *killing)
{
    begin(killing->kind);
    torture_killed = *killing;
    kill_one();
    if (torture_is_named(killing->kind))
        expect_next(killing->call);
}

unsigned long torture_kills(const struct kind *kind, uint64_t seed, unsigned long count)
{
    uint64_t state = (seed + 77) * 0x9e3779b97f4a7c15u | 1;
    unsigned long kills = 0;
    begin(kind);
    while (kills < count) {
        torture_killed.script = harness_roll(&state);
        torture_killed.who = (int)(harness_roll(&state) % 2);
        expect_next(0);
        unsigned long calls = shared->calls;
        for (unsigned long call = 1; call <= calls && kills < count; call++) {
            torture_killed.call = call;
            kills += kill_one() == -SIGKILL;
            if (torture_is_named(kind) && (call % 8 == 0 || call == calls))
                expect_next(call);
        }
    }
    return kills;
}
