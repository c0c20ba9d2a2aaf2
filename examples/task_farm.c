/* SPDX-License-Identifier: MIT */
/*
 * A server hands out tasks (files to checksum) to any number of workers, here or on other hosts, and
 * prints what `cksum FILE...` would print. A worker may come late, or die: its task goes to another.
 *
 *     cc task_farm.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out serve PORT WORKERS FILE...    WORKERS: how many to start here; PORT 0: any, is printed
 *     ./a.out work HOST PORT [TASKS]        TASKS: dies in the middle of that one, to see what happens
 */
#include <errno.h>
#include <inttypes.h>
#include <pipc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

/* ---- The worker: a message with a file's bytes comes in, one with its checksum goes back ---- */

static uint32_t add_byte(uint32_t sum, unsigned char byte)
{
    sum ^= (uint32_t)byte << 24;
    for (int bit = 0; bit < 8; bit++)
        sum = sum << 1 ^ (sum >> 31 ? 0x04c11db7u : 0);
    return sum;
}

static uint32_t checksum(const unsigned char *bytes, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = add_byte(sum, bytes[i]);
    for (size_t rest = size; rest > 0; rest >>= 8) /* as POSIX has it: the length as well */
        sum = add_byte(sum, (unsigned char)rest);
    return ~sum;
}

static void work(pipc_t *pipe, int dies_at)
{
    pipc_msg_t file;
    char result[64];
    while (pipc_read_msg(pipe, &file) == 0) {
        if (--dies_at == 0)
            raise(SIGKILL);
        int size = snprintf(result, sizeof result, "%" PRIu32 " %zu",
                            checksum(file.data, file.size), file.size);
        pipc_msg_free(&file);
        if (pipc_write(pipe, result, (size_t)size) == -1)
            break;
    }
    check(errno == EPIPE || errno == ECONNRESET, "worker"); /* the server has gone */
    pipc_close(pipe);
}

/* ---- The server ---- */

struct task {
    const char *name;
    char result[64]; /* empty: not done */
    int given;       /* to how many workers that live */
};

static struct task *tasks;
static int task_count, done_count;
static struct worker {
    pipc_t *pipe;
    int task; /* -1: idle */
} * workers;
static struct pollfd *items; /* the server's, then the workers' */
static int worker_count;

static void report(const char *what)
{
    fprintf(stderr, "%d of %d done, %d workers: %s\n", done_count, task_count, worker_count, what);
}

static void add_worker(pipc_t *pipe)
{
    workers = realloc(workers, (size_t)(worker_count + 1) * sizeof *workers);
    items = realloc(items, (size_t)(worker_count + 2) * sizeof *items);
    check(pipe != NULL && workers != NULL && items != NULL, "add_worker");
    check(pipc_set_timeout(pipe, 0, -1) == 0, "pipc_set_timeout");
    workers[worker_count++] = (struct worker){pipe, -1};
    items[worker_count] = (struct pollfd){pipc_fd(pipe), POLLIN, 0};
    check(items[worker_count].fd != -1, "pipc_fd");
    report("a worker has come");
}

static void lose_worker(int i)
{
    if (workers[i].task != -1)
        tasks[workers[i].task].given--;
    pipc_close(workers[i].pipe);
    worker_count--;
    workers[i] = workers[worker_count];
    items[i + 1] = items[worker_count + 1];
    report("a worker has gone");
}

/* The file as one message. Returns 0 when the worker has it. */
static int send_file(pipc_t *pipe, const char *name)
{
    static char bytes[1 << 26];
    FILE *file = fopen(name, "rb");
    check(file != NULL, name);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    check(!ferror(file) && fgetc(file) == EOF, name); /* a message has at most 64 MiB by default */
    fclose(file);
    return pipc_write(pipe, bytes, size) == -1 ? -1 : 0;
}

static void give_tasks(void)
{
    for (int i = worker_count - 1, t = 0; i >= 0; i--) {
        while (t < task_count && (tasks[t].given > 0 || tasks[t].result[0] != '\0'))
            t++;
        if (t == task_count)
            return;
        if (workers[i].task != -1)
            continue;
        workers[i].task = t;
        tasks[t].given++;
        if (send_file(workers[i].pipe, tasks[t].name) != 0)
            lose_worker(i);
    }
}

static void hear_worker(int i)
{
    struct task *task = workers[i].task == -1 ? NULL : &tasks[workers[i].task];
    char result[sizeof task->result];
    ssize_t size = pipc_read(workers[i].pipe, result, sizeof result - 1);
    if (size == -1 && errno == EAGAIN)
        return;
    if (size <= 0 || task == NULL) { /* gone, or it says what nobody asked for */
        lose_worker(i);
        return;
    }
    memcpy(task->result, result, (size_t)size);
    task->given--;
    workers[i].task = -1;
    done_count++;
    report(task->name);
}

static void start_worker(void)
{
    pipc_t *pipe = pipc_open(NULL);
    check(pipe != NULL && pipc_set_timeout(pipe, 0, -1) == 0, "pipc_open"); /* takes our end */
    pid_t pid = fork();
    check(pid != -1, "fork");
    if (pid == 0) {
        work(pipe, 0);
        _exit(0);
    }
    add_worker(pipe);
}

static void serve(pipc_server_t *server)
{
    while (done_count < task_count) {
        give_tasks();
        check(poll(items, (nfds_t)worker_count + 1, -1) > 0, "poll");
        for (int i = worker_count - 1; i >= 0; i--)
            if (items[i + 1].revents != 0)
                hear_worker(i);
        pipc_t *pipe;
        while (items[0].revents != 0 && (pipe = pipc_server_accept(server, 0)) != NULL)
            add_worker(pipe);
    }
    while (worker_count > 0)
        lose_worker(worker_count - 1); /* which ends it */
    for (int t = 0; t < task_count; t++)
        printf("%s %s\n", tasks[t].result, tasks[t].name);
}

int main(int argc, char **argv)
{
    if (argc >= 4 && strcmp(argv[1], "work") == 0) {
        pipc_t *pipe = pipc_open_tcp(argv[2], (uint16_t)atoi(argv[3]), 10000, NULL);
        check(pipe != NULL, "pipc_open_tcp");
        work(pipe, argc > 4 ? atoi(argv[4]) : 0);
        return 0;
    }
    if (argc < 4 || strcmp(argv[1], "serve") != 0)
        return fprintf(stderr, "see the top of the source\n"), 2;
    task_count = argc - 4;
    tasks = calloc((size_t)task_count + 1, sizeof *tasks);
    items = malloc(sizeof *items);
    check(tasks != NULL && items != NULL, "calloc");
    for (int t = 0; t < task_count; t++)
        tasks[t].name = argv[4 + t];
    for (int i = atoi(argv[3]); i > 0; i--)
        start_worker();
    pipc_server_t *server = pipc_server_open("*", (uint16_t)atoi(argv[2]), NULL);
    check(server != NULL, "pipc_server_open");
    fprintf(stderr, "port %d\n", pipc_server_port(server));
    items[0] = (struct pollfd){pipc_server_fd(server), POLLIN, 0};
    serve(server);
    pipc_server_close(server);
    while (wait(NULL) > 0)
        continue;
    return fflush(stdout) == 0 ? 0 : 1;
}
