/* SPDX-License-Identifier: MIT */
/*
 * Each line of a file is a task for one of four forked workers, who send it back in capitals. One
 * that crashes is replaced, and its task repeated, three times in all. The line "crash" kills.
 *     cc worker_pool.c $(pkg-config --cflags --libs libpipc) && ./a.out <FILE
 */
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <pipc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
enum { worker_count = 4, tries_max = 3, task_size = 4096 };
static struct worker {
    pipc_t *pipe;
    char task[task_size]; /* if tries is not 0 */
    int tries;
} workers[worker_count];
static struct pollfd items[worker_count];

static void work(pipc_t *pool)
{
    char text[task_size];
    for (ssize_t size; (size = pipc_read(pool, text, sizeof text)) != -1;) {
        if (size == 6 && memcmp(text, "crash\n", 6) == 0)
            raise(SIGKILL);
        for (ssize_t i = 0; i < size; i++)
            text[i] = (char)toupper((unsigned char)text[i]);
        pipc_write(pool, text, (size_t)size); /* if it fails, so does the next read */
    }
    _exit(errno == EPIPE ? 0 : 1); /* the pool has ended, or does not want this worker any more */
}

static void start(struct worker *worker)
{
    pipc_t *end[2];
    worker->pipe = NULL;
    fflush(stdout); /* or the child has a copy of what is not written yet */
    pid_t pid = pipc_open_pair(end, NULL) == 0 ? fork() : -1;
    if (pid == -1)
        err(1, "pipc_open_pair, fork");
    for (int i = 0; pid == 0 && i < worker_count; i++)
        pipc_close(workers[i].pipe); /* a copy here would hide the pool's end from the others */
    pipc_close(end[pid == 0 ? 0 : 1]);
    if (pid == 0)
        work(end[1]);
    worker->pipe = end[0];
    items[worker - workers] = (struct pollfd){pipc_fd(end[0]), POLLIN, 0};
    if (pipc_set_timeout(end[0], 0, 0) == -1 || pipc_fd(end[0]) == -1)
        err(1, "pipc_fd");
}

/* Its task again, or the next one. A worker that has died by now is found by the next read. */
static void give(struct worker *worker)
{
    if (worker->tries == 0 && fgets(worker->task, task_size, stdin) == NULL)
        return;
    worker->tries++;
    pipc_write(worker->pipe, worker->task, strlen(worker->task));
}

static void hear(struct worker *worker)
{
    char text[task_size];
    ssize_t size = pipc_read(worker->pipe, text, sizeof text);
    if (size == -1 && errno == EAGAIN)
        return;
    if (worker->tries > 0 && size == (ssize_t)strlen(worker->task)) {
        fwrite(text, 1, (size_t)size, stdout);
        worker->tries = 0;
    } else {
        warnx("a worker has died%s",
              worker->tries == tries_max ? ", and its task is given up" : "");
        worker->tries %= tries_max;
        pipc_close(worker->pipe);
        start(worker);
    }
    give(worker);
}

int main(void)
{
    signal(SIGCHLD, SIG_IGN); /* no zombies */
    for (int i = 0; i < worker_count; i++)
        start(&workers[i]), give(&workers[i]);
    for (int busy = 1; busy;) {
        busy = 0;
        for (int i = 0; i < worker_count; i++) {
            if (items[i].revents != 0)
                hear(&workers[i]);
            busy |= workers[i].tries > 0;
        }
        if (busy && poll(items, worker_count, -1) == -1)
            err(1, "poll");
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1; /* the workers notice it, and end */
}
