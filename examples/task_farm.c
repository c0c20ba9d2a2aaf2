/* SPDX-License-Identifier: MIT */
/*
 * Hands out files to checksum to any number of workers (task_worker.c), here or on hosts that see
 * the same files, and prints what `cksum FILE...` would print. A worker may come late, or die: its
 * file goes to another. Only this host is let in, or with TASK_FARM_KEY all who know that key.
 *     cc task_farm.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out PORT FILE...      PORT 0: any that is free, which it prints
 */
#include <err.h>
#include <errno.h>
#include <pipc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { workers_max = 100, result_size = 64, starting = -2, idle = -1 };
static char **files, (*results)[result_size]; /* a result is "" until its task is given away */
static int task_count, done_count, worker_count;
static struct worker {
    pipc_t *pipe;
    int task; /* its number, or starting, or idle */
} workers[workers_max];
static struct pollfd items[1 + workers_max]; /* the server's, then the workers' */

static void lose_worker(int i)
{
    if (workers[i].task >= 0)
        results[workers[i].task][0] = '\0';
    pipc_close(workers[i].pipe);
    workers[i] = workers[--worker_count];
    items[i + 1] = items[worker_count + 1];
    warnx("%d of %d done, %d workers: one has gone", done_count, task_count, worker_count);
}

static void hear_worker(int i)
{
    char result[result_size] = "";
    int task = workers[i].task;
    ssize_t size = pipc_read(workers[i].pipe, result, sizeof result - 1);
    int is_result = task >= 0 && size > 0 && strspn(result, "0123456789 ") == (size_t)size;
    if (is_result)
        memcpy(results[task], result, sizeof result), done_count++;
    if (is_result || (task == starting && size == 0))
        workers[i].task = idle;
    else if (size != -1 || errno != EAGAIN)
        lose_worker(i); /* it has gone, or says what nobody asked for */
}

/* Never waits: what a worker does not take at once, the handle holds. */
static void give_tasks(void)
{
    for (int t = 0; t < task_count; t++)
        for (int i = worker_count - 1; i >= 0 && results[t][0] == '\0'; i--)
            if (workers[i].task == idle) {
                workers[i].task = t;
                results[t][0] = '?';
                if (pipc_write(workers[i].pipe, files[t], strlen(files[t])) == -1)
                    lose_worker(i);
            }
}

int main(int argc, char **argv)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.key = getenv("TASK_FARM_KEY");
    options.key_size = options.key != NULL ? strlen(options.key) : 0;
    task_count = argc - 2;
    files = argv + 2;
    if (argc < 2 || (results = calloc((size_t)argc, sizeof *results)) == NULL)
        errx(2, "usage: task_farm PORT FILE...");
    for (int t = 0; t < task_count; t++)
        if (access(files[t], R_OK) == -1)
            err(1, "%s", files[t]);
    const char *host = options.key != NULL ? "*" : NULL; /* NULL: loopback */
    pipc_server_t *server = pipc_server_open(host, (uint16_t)atoi(argv[1]), &options);
    if (server == NULL || fprintf(stderr, "port %d\n", pipc_server_port(server)) < 0)
        err(1, "pipc_server_open");
    items[0] = (struct pollfd){pipc_server_fd(server), POLLIN, 0};
    while (done_count < task_count && poll(items, (nfds_t)worker_count + 1, -1) != -1) {
        for (int i = worker_count - 1; i >= 0; i--)
            if (items[i + 1].revents != 0)
                hear_worker(i);
        pipc_t *pipe = items[0].revents != 0 ? pipc_server_accept(server, 0) : NULL;
        if (worker_count < workers_max && pipc_fd(pipe) != -1 && !pipc_set_timeout(pipe, 0, 0)) {
            workers[worker_count++] = (struct worker){pipe, starting};
            items[worker_count] = (struct pollfd){pipc_fd(pipe), POLLIN, 0};
        } else {
            pipc_close(pipe); /* NULL, or there is no room, or no descriptor */
        }
        give_tasks();
    }
    for (; worker_count > 0; lose_worker(0))
        pipc_disconnect(workers[0].pipe, "all is done");
    pipc_server_close(server);
    for (int t = 0; t < task_count; t++)
        printf("%s %s\n", results[t], files[t]);
    return done_count == task_count && fflush(stdout) == 0 ? 0 : 1;
}
