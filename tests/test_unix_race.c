/* SPDX-License-Identifier: MIT */
/*
 * Many servers want one path at once, and servers and clients are killed at each of their system
 * calls: one server has the path, no client of it is lost, and what the dead left stops nobody.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "fifos.h"
#include "net.h"
#include "paths.h"
#include "platform.h"

enum { STARTERS = 40, CALLERS = 8, ROUNDS = 5, SERVED = 77, LONG_MS = 10000 };

struct race {
    char path[128];
    struct harness_gate start, opened, end;
};

/* Serves its callers by its process id, until it is told to end. */
static int serve_callers(struct race *race, pipc_server_t *server)
{
    pid_t self = getpid();
    while (!harness_readable(race->end.fd[0], 0)) {
        pipc_t *pipe = pipc_server_accept(server, 10);
        if (pipe != NULL)
            assert_int_equal(pipc_write(pipe, &self, sizeof self), sizeof self);
        pipc_close(pipe);
    }
    harness_gate_wait(&race->end);
    return SERVED;
}

/* The errno of its opening, or SERVED. */
static int start_server(void *arg)
{
    struct race *race = arg;
    harness_gate_wait(&race->start);
    pipc_server_t *server = pipc_server_open_unix(race->path, NULL);
    int error = errno;
    harness_gate_open(&race->opened);
    int result = server == NULL ? error : serve_callers(race, server);
    pipc_server_close(server);
    return result;
}

static int call_server(void *arg)
{
    struct race *race = arg;
    pid_t server[2];
    harness_gate_wait(&race->start);
    for (int i = 0; i < 2; i++) {
        pipc_t *pipe = pipc_open_unix(race->path, LONG_MS, NULL);
        if (pipe == NULL)
            return errno;
        if (pipc_read(pipe, &server[i], sizeof server[i]) != sizeof server[i])
            return 200;
        pipc_close(pipe);
    }
    return server[0] == server[1] ? 0 : 201;
}

static void run_race(struct race *race)
{
    pid_t starters[STARTERS], callers[CALLERS];
    int served = 0;
    harness_gate_init(&race->start);
    harness_gate_init(&race->opened);
    harness_gate_init(&race->end);
    for (int i = 0; i < STARTERS; i++)
        starters[i] = harness_fork(start_server, race);
    for (int i = 0; i < CALLERS; i++)
        callers[i] = harness_fork(call_server, race);
    for (int i = 0; i < STARTERS + CALLERS; i++)
        harness_gate_open(&race->start);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(harness_wait(callers[i]), 0);
    for (int i = 0; i < STARTERS; i++)
        harness_gate_wait(&race->opened); /* a late one would be the next server */
    harness_gate_open(&race->end);
    for (int i = 0; i < STARTERS; i++) {
        int result = harness_wait(starters[i]);
        if (result != EADDRINUSE)
            assert_int_equal(result, SERVED);
        served += result == SERVED;
    }
    assert_int_equal(served, 1);
    harness_gate_close(&race->start);
    harness_gate_close(&race->opened);
    harness_gate_close(&race->end);
}

static void begin_race(struct race *race, struct paths *paths)
{
    paths_begin(paths);
    snprintf(race->path, sizeof race->path, "%s", paths_to(paths, "socket"));
}

TEST(of_forty_servers_that_start_at_once_exactly_one_has_the_path)
{
    struct paths paths;
    struct race race;
    begin_race(&race, &paths);
    for (int i = 0; i < ROUNDS; i++) {
        run_race(&race);
        assert_int_equal(paths_count(&paths), 0);
    }
    paths_end(&paths);
}

static int serve_and_die(void *path)
{
    paths_serve(path, NULL);
    raise(SIGKILL);
    return 1;
}

TEST(of_forty_that_start_where_a_server_was_killed_exactly_one_has_the_path)
{
    struct paths paths;
    struct race race;
    begin_race(&race, &paths);
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(harness_wait(harness_fork(serve_and_die, race.path)), -SIGKILL);
        assert_int_equal(paths_count(&paths), 1);
        run_race(&race);
        assert_int_equal(paths_count(&paths), 0);
    }
    paths_end(&paths);
}

TEST(of_forty_servers_exactly_one_has_an_abstract_name)
{
    platform_needs(PLATFORM_ABSTRACT);
    struct race race;
    snprintf(race.path, sizeof race.path, "@libpipc race %ld", (long)getpid());
    run_race(&race);
}

/* --- Killed at each call ---------------------------------------------------------------------- */

struct mortal {
    char path[128];
    unsigned long call; /* it dies instead of making this call */
    bool keyed;
};

static const pipc_options_t *options_of(const struct mortal *mortal)
{
    static pipc_options_t options;
    options = net_with_key("secret");
    return mortal->keyed ? &options : NULL;
}

/* All that a server does; its client is plain, and silent. */
static int serve_and_die_at_a_call(void *arg)
{
    struct mortal *mortal = arg;
    fault_reset();
    fault_die_at(mortal->call);
    fault_arm();
    pipc_server_t *server = pipc_server_open_unix(mortal->path, options_of(mortal));
    fault_disarm();
    int client = server == NULL ? -1 : paths_connect(mortal->path);
    fault_arm();
    if (server != NULL) {
        pipc_server_fd(server);
        pipc_close(pipc_server_accept(server, 0));
    }
    pipc_server_close(server);
    fault_disarm();
    close(client);
    return server == NULL ? errno : 0;
}

static void die_everywhere(const struct paths *paths, struct mortal *mortal, bool on_dead)
{
    int status = -SIGKILL;
    for (mortal->call = 1; status == -SIGKILL; mortal->call++) {
        if (on_dead)
            paths_leave_dead(mortal->path);
        status = harness_wait(harness_fork(serve_and_die_at_a_call, mortal));
        paths_assert_works(paths, mortal->path);
    }
    assert_int_equal(status, 0);
    assert_in_range(mortal->call, 25, 200);
}

TEST(a_server_that_is_killed_at_any_call_leaves_the_path_to_the_next)
{
    struct paths paths;
    struct mortal mortal = {.keyed = false};
    paths_begin(&paths);
    snprintf(mortal.path, sizeof mortal.path, "%s", paths_to(&paths, "socket"));
    die_everywhere(&paths, &mortal, false);
    die_everywhere(&paths, &mortal, true);
    mortal.keyed = true;
    die_everywhere(&paths, &mortal, false);
    paths_end(&paths);
}

static int call_and_die_at_a_call(void *arg)
{
    struct mortal *mortal = arg;
    fault_reset();
    fault_die_at(mortal->call);
    fault_arm();
    pipc_t *pipe = pipc_open_unix(mortal->path, 100, options_of(mortal));
    fault_disarm();
    pipc_close(pipe);
    return 0;
}

static void expect_next_client(struct mortal *mortal, pipc_server_t *server)
{
    struct mortal next = *mortal;
    next.call = 0;
    pid_t pid = harness_fork(call_and_die_at_a_call, &next);
    pipc_t *pipe;
    char byte;
    do { /* those that died come first */
        pipe = pipc_server_accept(server, LONG_MS);
        assert_non_null(pipe);
        assert_errno(pipc_read(pipe, &byte, 1), EPIPE);
        pipc_close(pipe);
    } while (harness_readable(pipc_server_fd(server), 0));
    assert_int_equal(harness_wait(pid), 0);
}

TEST(a_client_that_is_killed_at_any_call_leaves_its_server_as_it_was)
{
    struct paths paths;
    struct mortal mortal = {.keyed = false};
    paths_begin(&paths);
    snprintf(mortal.path, sizeof mortal.path, "%s", paths_to(&paths, "socket"));
    pipc_server_t *server = paths_serve(mortal.path, options_of(&mortal));
    int status = -SIGKILL;
    for (mortal.call = 1; status == -SIGKILL; mortal.call++) {
        status = harness_wait(harness_fork(call_and_die_at_a_call, &mortal));
        expect_next_client(&mortal, server);
    }
    assert_in_range(mortal.call, 6, 40);
    pipc_server_close(server);
    paths_end(&paths);
}

/* --- Stopped at each call --------------------------------------------------------------------- */

static int serve_and_stop_at_a_call(void *arg)
{
    struct mortal *mortal = arg;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.mode = 0640;
    umask(0777);
    fault_reset();
    fault_stop_at(CALL_ANY, mortal->call);
    fault_arm();
    pipc_server_t *server = pipc_server_open_unix(mortal->path, &options);
    fault_disarm();
    int result = server == NULL ? errno : 0;
    pipc_server_close(server);
    return result;
}

/* Whether the name is there while the server is stopped. */
static bool look_at_name(const char *path)
{
    struct stat found;
    int client = paths_connect(path);
    if (client < 0) {
        assert_int_equal(errno, ENOENT); /* and never a refusal */
        return false;
    }
    close(client);
    assert_int_equal(lstat(path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0640);
    return true;
}

TEST(a_name_that_is_there_listens_and_has_its_mode_at_every_moment)
{
    struct paths paths;
    struct mortal mortal = {.keyed = false};
    int absent = 0, present = 0;
    bool stops = true;
    paths_begin(&paths);
    snprintf(mortal.path, sizeof mortal.path, "%s", paths_to(&paths, "socket"));
    for (mortal.call = 1; stops; mortal.call++) {
        pid_t pid = harness_fork(serve_and_stop_at_a_call, &mortal);
        stops = fifos_has_stopped(pid);
        if (stops) {
            present += look_at_name(mortal.path);
            absent += paths_inode(mortal.path) == 0;
            kill(pid, SIGCONT);
        }
        assert_int_equal(harness_wait(pid), 0);
        assert_int_equal(paths_count(&paths), 0);
    }
    assert_in_range(absent, 8, 60);
    assert_in_range(present, 4, 60);
    paths_end(&paths);
}

HARNESS_MAIN("Unix sockets, races",
             IT_WITHIN(of_forty_servers_that_start_at_once_exactly_one_has_the_path, 60000),
             IT_WITHIN(of_forty_that_start_where_a_server_was_killed_exactly_one_has_the_path,
                       60000),
             IT(of_forty_servers_exactly_one_has_an_abstract_name),
             IT_WITHIN(a_server_that_is_killed_at_any_call_leaves_the_path_to_the_next, 60000),
             IT(a_client_that_is_killed_at_any_call_leaves_its_server_as_it_was),
             IT(a_name_that_is_there_listens_and_has_its_mode_at_every_moment))
