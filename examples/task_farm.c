/* SPDX-License-Identifier: MIT */
/*
 * A server hands out tasks (files to checksum) to any number of workers, here or on other hosts,
 * and prints what `cksum FILE...` would print. A worker may come late, or die: its task goes to
 * another.
 *
 *     cc task_farm.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out serve PORT WORKERS FILE...    WORKERS: how many to start here; PORT 0: any, is
 * printed
 *     ./a.out work HOST PORT [TASKS]        TASKS: dies in the middle of that one, to see what
 * happens
 *
 * Only this host is let in, unless TASK_FARM_KEY is in the environment: then all who know that key.
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

enum { most_workers = 100, result_size = 64, connect_ms = 10000 };
enum { starting = -2, idle = -1 }; /* a worker's task, if it has none */

struct task {
    const char *name;
    char result[result_size]; /* empty: not done */
    int given;
};

static struct task *tasks;
static int task_count, done_count, worker_count;
static struct worker {
    pipc_t *pipe;
    int task;
} workers[most_workers];
static struct pollfd items[1 + most_workers]; /* the server's, then the workers' */

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static uint32_t checksum(const unsigned char *bytes, size_t size) /* POSIX has it so */
{
    uint32_t sum = 0;
    size_t length = size;
    for (size_t i = 0; i < size || length > 0; i++) {
        sum ^= (i < size ? bytes[i] : (uint32_t)(length & 0xff)) << 24;
        if (i >= size)
            length >>= 8;
        for (int bit = 0; bit < 8; bit++)
            sum = sum << 1 ^ (sum >> 31 ? 0x04c11db7u : 0);
    }
    return ~sum;
}

/* The worker says that it is there, then answers each file with its checksum, until the goodbye. */
static void work(pipc_t *pipe, int dies_at)
{
    char result[result_size] = "";
    for (int goodbye = 0; !goodbye;) {
        pipc_msg_t file;
        check(pipc_write(pipe, result, strlen(result)) != -1, "the server");
        check(pipc_read_msg(pipe, &file) == 0, "the server");
        goodbye = file.kind == PIPC_BYE;
        if (!goodbye && --dies_at == 0)
            raise(SIGKILL);
        uint32_t sum = checksum(file.data, file.size);
        snprintf(result, sizeof result, "%" PRIu32 " %zu", sum, file.size);
        pipc_msg_free(&file);
    }
    pipc_close(pipe);
}

static void report(const char *what)
{
    fprintf(stderr, "%d of %d done, %d workers: %s\n", done_count, task_count, worker_count, what);
}

static int add_worker(pipc_t *pipe)
{
    int fd = pipc_fd(pipe);
    if (fd == -1 || pipc_set_timeout(pipe, 0, 0) == -1) {
        perror("a worker is turned away"); /* no descriptor is left, say */
        pipc_close(pipe);
        return -1;
    }
    workers[worker_count++] = (struct worker){pipe, starting};
    items[worker_count] = (struct pollfd){fd, POLLIN, 0};
    report("a worker has come");
    return 0;
}

static void lose_worker(int i)
{
    if (workers[i].task >= 0)
        tasks[workers[i].task].given = 0;
    pipc_close(workers[i].pipe);
    worker_count--;
    workers[i] = workers[worker_count];
    items[i + 1] = items[worker_count + 1];
    report("a worker has gone");
}

/* The file as one message. Never waits: what the worker does not take at once, the handle holds. */
static int send_file(pipc_t *pipe, const char *name)
{
    static char bytes[1 << 26]; /* a message has at most 64 MiB by default */
    FILE *file = fopen(name, "rb");
    if (file == NULL && (errno == EMFILE || errno == ENFILE))
        return -1; /* without this worker there are more descriptors */
    check(file != NULL, name);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    check(!ferror(file) && fgetc(file) == EOF, name);
    fclose(file);
    return pipc_write(pipe, bytes, size) == -1 ? -1 : 0;
}

static void give_tasks(void)
{
    for (int i = worker_count - 1, t = 0; i >= 0; i--) {
        while (t < task_count && (tasks[t].given || tasks[t].result[0] != '\0'))
            t++;
        if (t == task_count)
            return;
        if (workers[i].task != idle)
            continue;
        workers[i].task = t;
        tasks[t].given = 1;
        if (send_file(workers[i].pipe, tasks[t].name) != 0)
            lose_worker(i);
    }
}

static void hear_worker(int i)
{
    char result[result_size];
    ssize_t size = pipc_read(workers[i].pipe, result, sizeof result - 1);
    if (size == -1 && errno == EAGAIN)
        return;
    result[size > 0 ? size : 0] = '\0';
    if (workers[i].task == starting && size == 0) {
        workers[i].task = idle;
    } else if (workers[i].task >= 0 && size > 0 && strspn(result, "0123456789 ") == (size_t)size) {
        struct task *task = &tasks[workers[i].task];
        memcpy(task->result, result, sizeof result);
        workers[i].task = idle;
        done_count++;
        report(task->name);
    } else {
        lose_worker(i); /* it has gone, or says what nobody asked for */
    }
}

static void start_worker(void)
{
    pipc_t *pipe = pipc_open(NULL);
    check(pipe != NULL && pipc_set_timeout(pipe, 0, 0) == 0, "pipc_open"); /* takes our end */
    pid_t pid = fork();
    check(pid != -1, "fork");
    if (pid == 0) {
        work(pipe, 0);
        exit(0);
    }
    check(add_worker(pipe) == 0, "pipc_fd");
}

static void serve(pipc_server_t *server)
{
    pipc_t *pipe;
    while (done_count < task_count) {
        give_tasks();
        items[0].fd = worker_count < most_workers ? pipc_server_fd(server) : -1;
        items[0].events = POLLIN;
        check(poll(items, (nfds_t)worker_count + 1, -1) > 0, "poll");
        for (int i = worker_count - 1; i >= 0; i--)
            if (items[i + 1].revents != 0)
                hear_worker(i);
        if (items[0].revents != 0 && (pipe = pipc_server_accept(server, 0)) != NULL)
            add_worker(pipe);
    }
    for (; worker_count > 0; lose_worker(0))
        pipc_disconnect(workers[0].pipe, "all is done"); /* who has gone does not hear it */
}

int main(int argc, char **argv)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.key = getenv("TASK_FARM_KEY");
    options.key_size = options.key != NULL ? strlen(options.key) : 0;
    if (argc >= 4 && strcmp(argv[1], "work") == 0) {
        options.flags = PIPC_CONNECT_ONLY; /* a worker never takes the server's port */
        pipc_t *pipe = pipc_open_tcp(argv[2], (uint16_t)atoi(argv[3]), connect_ms, &options);
        check(pipe != NULL, "pipc_open_tcp");
        return work(pipe, argc > 4 ? atoi(argv[4]) : 0), 0;
    }
    if (argc < 4 || strcmp(argv[1], "serve") != 0 || atoi(argv[3]) > most_workers)
        return fprintf(stderr, "see the top of the source\n"), 2;
    task_count = argc - 4;
    check((tasks = calloc((size_t)task_count + 1, sizeof *tasks)) != NULL, "calloc");
    for (int t = 0; t < task_count; t++)
        tasks[t].name = argv[4 + t];
    for (int i = atoi(argv[3]); i > 0; i--)
        start_worker();
    const char *host = options.key != NULL ? "*" : NULL; /* NULL: loopback */
    pipc_server_t *server = pipc_server_open(host, (uint16_t)atoi(argv[2]), &options);
    check(server != NULL, "pipc_server_open");
    fprintf(stderr, "port %d\n", pipc_server_port(server));
    serve(server);
    pipc_server_close(server);
    for (int t = 0; t < task_count; t++)
        printf("%s %s\n", tasks[t].result, tasks[t].name);
    while (wait(NULL) > 0)
        continue;
    free(tasks);
    return fflush(stdout) == 0 ? 0 : 1;
}
