/* SPDX-License-Identifier: MIT */
/* pipc-inspect, on pipes in known states; what it looks at is this process, or a child. */
#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __has_include
#if __has_include(<linux/userfaultfd.h>)
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#endif
#endif

#include "moving.h"
#include "paths.h"
#include "peer/shared.h"

enum { HEADER = 4, SOON_MS = 20000, TEXT_SIZE = 65536, FIELD = 16, REST = 200 };

struct run {
    const char *argument[3];
    int out;
};

static const char *program(void)
{
    static char path[512];
    const char *build = getenv("BUILD_DIR");
    snprintf(path, sizeof path, "%s/tools/pipc-inspect", build != NULL ? build : ".");
    if (access(path, X_OK) != 0)
        harness_skip("pipc-inspect is not built");
    return path;
}

static int run_in_child(void *run)
{
    const struct run *r = run;
    dup2(r->out, STDOUT_FILENO);
    dup2(r->out, STDERR_FILENO);
    execl(program(), "pipc-inspect", r->argument[0], r->argument[1], r->argument[2], (char *)NULL);
    return 99;
}

static char text[TEXT_SIZE];

/* What it prints is in `text`; returns its exit code. `user`: -1, this one. */
static int inspect_as(int user, const char *option, pid_t pid)
{
    char number[24];
    size_t size = 0;
    ssize_t got;
    FILE *file = tmpfile();
    assert_non_null(file);
    program();
    snprintf(number, sizeof number, "%ld", (long)pid);
    struct run run = {{option != NULL ? option : number, option != NULL ? number : NULL, NULL},
                      fileno(file)};
    int status = user < 0 ? harness_wait(harness_fork(run_in_child, &run))
                          : paths_run_as(user, run_in_child, &run);
    while ((got = pread(fileno(file), text + size, sizeof text - 1 - size, (off_t)size)) > 0)
        size += (size_t)got;
    text[size] = '\0';
    fclose(file);
    return status;
}

struct line {
    char kind[FIELD], fd[FIELD], way[FIELD], unread[FIELD], peers[FIELD], waits[FIELD],
        peer_waits[FIELD], rest[REST];
};

/* The line of that kind; `fd`: -1, any. */
static bool find_line(const char *kind, int fd, struct line *line)
{
    for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        int count =
            sscanf(at, "%15s %15s %15s %15s %15s %15s %15s %199[^\n]", line->kind, line->fd,
                   line->way, line->unread, line->peers, line->waits, line->peer_waits, line->rest);
        if (count == 8 && strcmp(line->kind, kind) == 0 && (fd < 0 || atoi(line->fd) == fd))
            return true;
    }
    return false;
}

static struct line line_of(pid_t pid, const char *kind, int fd)
{
    struct line line;
    harness_need_proc();
    assert_int_equal(inspect_as(-1, NULL, pid), 0);
    if (!find_line(kind, fd, &line))
        fail_msg("no %s in:\n%s", kind, text);
    return line;
}

/* Can unread bytes of pipes be known here? */
static bool can_copy_descriptors(void)
{
#if defined SYS_pidfd_open && defined SYS_pidfd_getfd
    int process = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int copy = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, 0, 0);
    close(copy);
    close(process);
    return copy >= 0;
#else
    return false;
#endif
}

static void assert_bytes(const char *field, int bytes)
{
    if (strcmp(field, "unknown") != 0 || can_copy_descriptors())
        assert_int_equal(atoi(field), bytes);
}

static void assert_names(const struct line *line, pid_t pid)
{
    char number[24];
    snprintf(number, sizeof number, "%ld (", (long)pid);
    if (strncmp(line->rest, number, strlen(number)) != 0)
        fail_msg("not %ld: %s", (long)pid, line->rest);
}

/* ---- pipc_open ---- */

struct child {
    pipc_t *pipe;
    struct harness_gate ready, go;
    bool reads;
};

static int hold_end(void *child)
{
    struct child *c = child;
    char buffer[16];
    pipc_pending(c->pipe);
    harness_gate_open(&c->ready);
    if (c->reads)
        pipc_read(c->pipe, buffer, sizeof buffer);
    harness_gate_wait(&c->go);
    return 0;
}

static pid_t begin_child(struct child *c, bool reads)
{
    program();
    c->pipe = pipc_open(NULL);
    assert_non_null(c->pipe);
    c->reads = reads;
    harness_gate_init(&c->ready);
    harness_gate_init(&c->go);
    assert_int_equal(pipc_set_timeout(c->pipe, -1, -1), 0);
    pid_t pid = harness_fork(hold_end, c);
    harness_gate_wait(&c->ready);
    return pid;
}

static void end_child(struct child *c)
{
    harness_gate_close(&c->ready);
    harness_gate_close(&c->go);
    pipc_close(c->pipe);
}

TEST(it_lists_the_pipe_of_pipc_open_with_its_peer_and_what_both_have_not_read)
{
    struct child c;
    pid_t pid = begin_child(&c, false);
    assert_int_equal(pipc_write(c.pipe, "hello", 5), 5);
    struct line here = line_of(getpid(), "pipc_open", -1);
    assert_string_equal(here.unread, "0");
    assert_int_equal(atoi(here.peers), 5 + HEADER);
    assert_names(&here, pid);
    struct line there = line_of(pid, "pipc_open", -1);
    assert_int_equal(atoi(there.unread), 5 + HEADER);
    assert_names(&there, getpid());
    assert_int_equal(inspect_as(-1, "--json", getpid()), 0);
    assert_non_null(strstr(text, "\"kind\":\"pipc_open\",\"fd\":null"));
    assert_non_null(strstr(text, "\"peer_unread\":9"));
    harness_gate_open(&c.go);
    assert_int_equal(harness_wait(pid), 0);
    end_child(&c);
}

TEST(it_shows_a_peer_that_waits_for_a_message)
{
    struct child c;
    struct line line;
    pid_t pid = begin_child(&c, true);
    int64_t begin = harness_now_ms();
    do
        line = line_of(getpid(), "pipc_open", -1);
    while (strcmp(line.peer_waits, "bytes") != 0 && harness_now_ms() - begin < SOON_MS);
    assert_string_equal(line.peer_waits, "bytes");
    assert_string_equal(line_of(pid, "pipc_open", -1).waits, "bytes");
    assert_int_equal(pipc_write(c.pipe, "x", 1), 1);
    harness_gate_open(&c.go);
    assert_int_equal(harness_wait(pid), 0);
    end_child(&c);
}

TEST(it_shows_that_the_peer_was_killed)
{
    struct child c;
    char expected[64];
    pid_t pid = begin_child(&c, false);
    kill(pid, SIGKILL);
    assert_int_equal(harness_wait(pid), -SIGKILL);
    struct line line = line_of(getpid(), "pipc_open", -1);
    snprintf(expected, sizeof expected, "held by %ld, not found", (long)pid);
    if (strcmp(line.rest, "dead") != 0)
        assert_string_equal(line.rest, expected);
    end_child(&c);
}

/* ---- descriptors ---- */

TEST(it_lists_pipes_with_what_is_unread_and_without_a_reader)
{
    int fds[2];
    program();
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "hello", 5), 5);
    struct line in = line_of(getpid(), "pipe", fds[0]);
    assert_string_equal(in.way, "in");
    assert_bytes(in.unread, 5);
    assert_string_equal(in.peers, "-");
    assert_string_equal(in.rest, "itself");
    struct line out = line_of(getpid(), "pipe", fds[1]);
    assert_string_equal(out.way, "out");
    assert_bytes(out.peers, 5);
    close(fds[0]);
    out = line_of(getpid(), "pipe", fds[1]);
    if (strcmp(out.rest, "unknown") != 0) /* some process may not be looked at */
        assert_string_equal(out.rest, "no reader");
    close(fds[1]);
}

TEST(it_lists_sockets_with_what_both_ends_have_not_read)
{
    int fds[2];
    program();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(write(fds[1], "hello", 5), 5);
    struct line line = line_of(getpid(), "unix", fds[0]);
    assert_string_equal(line.unread, "5");
    assert_string_equal(line.peers, "0");
    assert_string_equal(line.rest, "itself");
    assert_string_equal(line_of(getpid(), "unix", fds[1]).peers, "5");
    close(fds[0]);
    close(fds[1]);
    pipc_server_t *server = pipc_server_open(NULL, 0, NULL);
    assert_non_null(server);
    pipc_t *client = pipc_open_tcp("127.0.0.1", pipc_server_port(server), 10000, NULL);
    pipc_t *peer = pipc_server_accept(server, 10000);
    assert_int_equal(pipc_write(client, "hello", 5), 5);
    assert_true(harness_readable(pipc_fd(peer), -1));
    assert_int_equal(inspect_as(-1, NULL, getpid()), 0);
    assert_non_null(strstr(text, "itself; 127.0.0.1:"));
    assert_true(find_line("tcp", -1, &line));
    assert_int_equal(atoi(line.unread) + atoi(line.peers), 5 + HEADER);
    pipc_close(client);
    pipc_close(peer);
    pipc_server_close(server);
}

TEST(it_lists_the_memory_that_a_socket_has_moved_into)
{
    pipc_t *end[2];
    program();
    moving_need();
    moving_open_moved_pair_kind(end, NULL);
    assert_int_equal(pipc_write(end[0], "hello", 5), 5);
    struct line line = line_of(getpid(), "shared", -1);
    assert_int_equal(atoi(line.unread) + atoi(line.peers), 5 + HEADER);
    assert_string_equal(line.rest, "itself");
    pipc_close(end[0]);
    pipc_close(end[1]);
}

/* ---- hostile ---- */

static void map_forged(size_t file_size, uint64_t magic)
{
    int fd = memfd_create("pipc\n\033[2J", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)file_size) != 0)
        _exit(HARNESS_SKIP_STATUS);
    void *memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (file_size == 0)
        return;
    memset(memory, 0xff, file_size < 65536 ? file_size : 65536);
    if (magic == SHARED_MAGIC)
        ((struct shared_page *)memory)->ring[1].head = UINT64_MAX / 4;
    if (magic == SHARE_MAGIC)
        ((struct share_page *)memory)->ring[1].head = UINT64_MAX / 4;
    memcpy(memory, &magic, sizeof magic);
}

static int forge(void *gates)
{
    struct harness_gate *gate = gates;
    prctl(PR_SET_NAME, "\033[31m) \\\n\x9b", 0, 0, 0);
    map_forged(65536, SHARED_MAGIC);
    map_forged(65536, SHARE_MAGIC);
    map_forged(65536, SHARE_MAGIC + 8);
    map_forged(65536, 1);
    map_forged(0, 0);
    harness_gate_open(&gate[0]);
    harness_gate_wait(&gate[1]);
    return 0;
}

TEST(what_a_hostile_process_forges_is_escaped_or_unknown)
{
    struct harness_gate gate[2];
    struct line line;
    program();
    harness_need_proc();
    moving_need(); /* it makes such memory itself */
    harness_gate_init(&gate[0]);
    harness_gate_init(&gate[1]);
    pid_t pid = harness_fork(forge, gate);
    harness_gate_wait(&gate[0]);
    assert_int_equal(inspect_as(-1, NULL, pid), 0);
    for (const char *c = text; *c != '\0'; c++)
        assert_true(*c == '\n' || isprint((unsigned char)*c));
    assert_non_null(strstr(text, "\\x1b[31m\\x29 \\x5c\\x0a\\x9b"));
    assert_true(find_line("pipc_open", -1, &line));
    assert_non_null(strstr(line.rest, "makes no sense"));
    assert_string_equal(line.unread, "unknown");
    assert_true(find_line("shared", -1, &line));
    assert_string_equal(line.unread, "unknown");
    assert_non_null(strstr(text, "of another version"));
    assert_non_null(strstr(text, "cannot be read"));
    assert_int_equal(inspect_as(-1, "--json", pid), 0);
    assert_non_null(strstr(text, "\"command\":\"\\u001b[31m) \\u005c\\u000a\\u009b\""));
    harness_gate_open(&gate[1]);
    assert_int_equal(harness_wait(pid), 0);
    harness_gate_close(&gate[0]);
    harness_gate_close(&gate[1]);
}

#ifdef UFFD_FEATURE_MISSING_SHMEM
/* The numbers of these fit into no int, which musl's ioctl takes. */
static bool fault_call(int faults, unsigned long number, void *argument)
{
    return syscall(SYS_ioctl, faults, number, argument) == 0;
}
#endif

/* Its first page never comes, for anybody. -1: it does here. */
static int map_what_never_comes(void)
{
#ifdef UFFD_FEATURE_MISSING_SHMEM
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_MISSING_SHMEM};
    int fd = memfd_create("pipc", MFD_CLOEXEC), faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 65536) != 0 || faults < 0 || !fault_call(faults, UFFDIO_API, &api))
        return -1;
    void *memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct uffdio_register whole = {.range = {(uintptr_t)memory, 65536},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};
    return memory == MAP_FAILED || !fault_call(faults, UFFDIO_REGISTER, &whole) ? -1 : 0;
#else
    return -1;
#endif
}

static int keep_pages_back(void *gates)
{
    struct harness_gate *gate = gates;
    int result = map_what_never_comes();
    harness_gate_open(&gate[0]);
    harness_gate_wait(&gate[1]);
    return result == 0 ? 0 : HARNESS_SKIP_STATUS;
}

TEST(memory_whose_pages_never_come_stops_nobody)
{
    struct harness_gate gate[2];
    struct line line;
    program();
    harness_need_proc();
    harness_gate_init(&gate[0]);
    harness_gate_init(&gate[1]);
    pid_t pid = harness_fork(keep_pages_back, gate);
    harness_gate_wait(&gate[0]);
    assert_int_equal(inspect_as(-1, NULL, pid), 0);
    bool is_listed = find_line("memory", -1, &line);
    harness_gate_open(&gate[1]);
    int status = harness_wait(pid);
    harness_gate_close(&gate[0]);
    harness_gate_close(&gate[1]);
    if (status == HARNESS_SKIP_STATUS)
        harness_skip("no userfaultfd here");
    assert_int_equal(status, 0);
    assert_true(is_listed);
    assert_string_equal(line.unread, "unknown");
}

/* ---- exit codes ---- */

static int end_at_once(void *unused)
{
    (void)unused;
    return 0;
}

TEST(its_exit_code_says_why_nothing_is_listed)
{
    pid_t ended = harness_fork(end_at_once, NULL);
    assert_int_equal(harness_wait(ended), 0);
    assert_int_equal(inspect_as(-1, NULL, ended), 3);
    assert_int_equal(inspect_as(-1, "--nonsense", ended), 2);
    assert_int_equal(inspect_as(-1, NULL, -5), 2);
}

TEST(another_user_may_not_look)
{
    paths_need_users();
    harness_need_proc();
    assert_int_equal(inspect_as(PATHS_USER_A, NULL, getpid()), 4);
}

HARNESS_MAIN("inspect",
             IT(it_lists_the_pipe_of_pipc_open_with_its_peer_and_what_both_have_not_read),
             IT(it_shows_a_peer_that_waits_for_a_message), IT(it_shows_that_the_peer_was_killed),
             IT(it_lists_pipes_with_what_is_unread_and_without_a_reader),
             IT(it_lists_sockets_with_what_both_ends_have_not_read),
             IT(it_lists_the_memory_that_a_socket_has_moved_into),
             IT(what_a_hostile_process_forges_is_escaped_or_unknown),
             IT(memory_whose_pages_never_come_stops_nobody),
             IT(its_exit_code_says_why_nothing_is_listed), IT(another_user_may_not_look))
