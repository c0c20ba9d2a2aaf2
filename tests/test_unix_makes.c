/* SPDX-License-Identifier: MIT */
/*
 * Other makes of the same frames on Unix sockets: Python's multiprocessing.connection as it is, in
 * both roles, with and without a key; socat and nc, with frames made by hand.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net.h"
#include "paths.h"
#include "platform.h"

enum { MISSING = 127, LONG_MS = 15000 };

static const char *const call_script = /* path, key or "" */
    "import sys\n"
    "from multiprocessing.connection import Client\n"
    "path, key = sys.argv[1].replace('@', '\\0'), sys.argv[2].encode() or None\n"
    "with Client(path, 'AF_UNIX', authkey=key) as c:\n"
    "    for size in 0, 1, 100, 16384, 65536, 1000000:\n"
    "        c.send_bytes(b'p' * size)\n"
    "        assert c.recv_bytes() == b'p' * size, size\n";

static const char *const listen_script =
    "import sys\n"
    "from multiprocessing.connection import Listener\n"
    "path, key = sys.argv[1].replace('@', '\\0'), sys.argv[2].encode() or None\n"
    "with Listener(path, 'AF_UNIX', authkey=key) as l, l.accept() as c:\n"
    "    for size in 0, 1, 100, 16384, 65536, 1000000:\n"
    "        c.send_bytes(b'p' * size)\n"
    "        assert c.recv_bytes() == b'p' * size, size\n";

struct python {
    const char *script, *path, *key;
};

static int run_python(void *arg)
{
    const struct python *p = arg;
    execlp("python3", "python3", "-c", p->script, p->path, p->key, (char *)NULL);
    return MISSING;
}

static int run_version(void *arg)
{
    (void)arg;
    close(STDOUT_FILENO);
    execlp("python3", "python3", "--version", (char *)NULL);
    return MISSING;
}

static void need_python(void)
{
    if (harness_wait(harness_fork(run_version, NULL)) != 0)
        harness_skip("no python3 here");
}

/* Python before 3.12 shows a key by MD5 alone. */
static pipc_options_t options_for(const char *key)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    if (key[0] != '\0')
        options = net_with_key(key);
    options.flags = PIPC_KEY_MD5;
    return options;
}

static void echo_until_end(pipc_t *pipe)
{
    pipc_msg_t message;
    assert_int_equal(pipc_set_timeout(pipe, LONG_MS, LONG_MS), 0);
    int count = 0;
    for (; pipc_read_msg(pipe, &message) == 0; count++) {
        assert_int_equal(pipc_write(pipe, message.data, message.size), message.size);
        pipc_msg_free(&message);
    }
    assert_int_equal(errno, EPIPE);
    assert_int_equal(count, 6);
}

static void be_called_by_python(const char *path, const char *key)
{
    struct python python = {call_script, path, key};
    pipc_options_t options = options_for(key);
    pipc_server_t *server = paths_serve(path, &options);
    pid_t pid = harness_fork(run_python, &python);
    pipc_t *pipe = pipc_server_accept(server, LONG_MS);
    assert_non_null(pipe);
    echo_until_end(pipe);
    pipc_close(pipe);
    pipc_server_close(server);
    assert_int_equal(harness_wait(pid), 0);
}

static void call_python(const char *path, const char *key)
{
    struct python python = {listen_script, path, key};
    pipc_options_t options = options_for(key);
    pid_t pid = harness_fork(run_python, &python);
    pipc_t *pipe = pipc_open_unix(path, LONG_MS, &options);
    assert_non_null(pipe);
    echo_until_end(pipe);
    pipc_close(pipe);
    assert_int_equal(harness_wait(pid), 0);
}

static const char *const keys[] = {"", "secret"};

TEST(python_calls_a_server_with_and_without_a_key)
{
    platform_needs(PLATFORM_ABSTRACT);
    struct paths paths;
    char name[64];
    need_python();
    paths_begin(&paths);
    for (int i = 0; i < 2; i++)
        be_called_by_python(paths_to(&paths, "socket"), keys[i]);
    snprintf(name, sizeof name, "@libpipc python %ld", (long)getpid());
    be_called_by_python(name, "");
    paths_end(&paths);
}

TEST(python_listens_for_a_client_with_and_without_a_key)
{
    struct paths paths;
    need_python();
    paths_begin(&paths);
    for (int i = 0; i < 2; i++)
        call_python(paths_to(&paths, "socket"), keys[i]);
    paths_end(&paths);
}

TEST(python_and_libpipc_refuse_each_others_wrong_key)
{
    struct paths paths;
    struct python python = {call_script, NULL, "Secret"};
    pipc_options_t options = options_for("secret");
    need_python();
    paths_begin(&paths);
    python.path = paths_to(&paths, "socket");
    pipc_server_t *server = paths_serve(python.path, &options);
    pid_t pid = harness_fork(run_python, &python);
    assert_int_equal(paths_refuse_until_exit(server, pid), 1); /* AuthenticationError */
    pipc_server_close(server);
    python.script = listen_script;
    pid = harness_fork(run_python, &python);
    assert_null_errno(pipc_open_unix(python.path, LONG_MS, &options), EACCES);
    assert_int_equal(harness_wait(pid), 1);
    paths_end(&paths);
}

/* --- Frames made by hand ---------------------------------------------------------------------- */

/* Connects standard input and output to the path, which is $0. */
static const char socat_command[] = "socat -t 10 - UNIX-CONNECT:\"$0\"";
static const char netcat_command[] = "nc -N -U \"$0\"";

struct by_hand {
    const char *path, *command;
};

static int run_by_hand(void *arg)
{
    const struct by_hand *by = arg;
    char script[256];
    snprintf(script, sizeof script,
             "printf '\\0\\0\\0\\005hello' | %s | od -An -c | tr -d ' ' |\n"
             "    grep -qFx '\\0\\0\\0005world'",
             by->command);
    execlp("sh", "sh", "-c", script, by->path, (char *)NULL);
    return MISSING;
}

static void talk_by_hand(const char *command)
{
    struct paths paths;
    char got[16];
    paths_begin(&paths);
    struct by_hand by = {paths_to(&paths, "socket"), command};
    pipc_server_t *server = paths_serve(by.path, NULL);
    pid_t pid = harness_fork(run_by_hand, &by);
    pipc_t *pipe = pipc_server_accept(server, LONG_MS);
    assert_non_null(pipe);
    assert_int_equal(pipc_read(pipe, got, sizeof got), 5);
    assert_memory_equal(got, "hello", 5);
    assert_int_equal(pipc_write(pipe, "world", 5), 5);
    pipc_close(pipe);
    assert_int_equal(harness_wait(pid), 0);
    pipc_server_close(server);
    paths_end(&paths);
}

TEST(socat_talks_to_a_server_with_frames_made_by_hand)
{
    if (system("command -v socat >/dev/null") != 0)
        harness_skip("no socat here");
    talk_by_hand(socat_command);
}

TEST(netcat_talks_to_a_server_with_frames_made_by_hand)
{
    if (system("nc -h 2>&1 | grep -q OpenBSD") != 0)
        harness_skip("no nc that knows Unix sockets (netcat-openbsd) here");
    talk_by_hand(netcat_command);
}

HARNESS_MAIN("Unix sockets, other makes", IT(python_calls_a_server_with_and_without_a_key),
             IT(python_listens_for_a_client_with_and_without_a_key),
             IT(python_and_libpipc_refuse_each_others_wrong_key),
             IT(socat_talks_to_a_server_with_frames_made_by_hand),
             IT(netcat_talks_to_a_server_with_frames_made_by_hand))
