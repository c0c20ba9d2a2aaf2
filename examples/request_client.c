/* SPDX-License-Identifier: MIT */
/*
 * Asks a server on a path of this host (request_server.c) several questions at once, each with its
 * own deadline. A request has an id, and its answer the same one: so answers may come in any order,
 * and one that comes after its deadline is told from the others, and dropped.
 *
 *     cc request_client.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out PATH MILLISECONDS QUESTION [MILLISECONDS QUESTION]...
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { requests_max = 100, connect_ms = 10000, largest = 65536 };

static struct request {
    const char *question;
    int64_t deadline;     /* 0: it waits no longer */
} requests[requests_max]; /* the index is the id */
static uint32_t request_count;

static void check(int ok, const char *what)
{
    if (!ok)
        exit((perror(what), 1));
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void finish(uint32_t id, const char *answer, int size)
{
    printf("%s: %.*s\n", requests[id].question, size, answer);
    fflush(stdout);
    requests[id].deadline = 0;
}

static void ask(pipc_t *pipe, uint32_t id, int timeout_ms, char *question)
{
    uint32_t wire = htonl(id);
    struct iovec parts[] = {{&wire, sizeof wire}, {question, strlen(question)}};
    requests[id] = (struct request){question, now_ms() + timeout_ms};
    check(pipc_writev(pipe, parts, 2) != -1, "pipc_writev");
}

static void take_answer(const char *answer, ssize_t size)
{
    uint32_t id = 0;
    memcpy(&id, answer, size < (ssize_t)sizeof id ? 0 : sizeof id);
    id = ntohl(id);
    if (size < (ssize_t)sizeof id || id >= request_count)
        fprintf(stderr, "an answer to no question is dropped\n");
    else if (requests[id].deadline == 0)
        fprintf(stderr, "%s: a late answer is dropped\n", requests[id].question);
    else
        finish(id, answer + sizeof id, (int)(size - (ssize_t)sizeof id));
}

/* Returns how long to wait for the next deadline, or -1 when none is left. */
static int expire(void)
{
    int64_t now = now_ms(), next = -1;
    for (uint32_t id = 0; id < request_count; id++) {
        int64_t left = requests[id].deadline - now;
        if (requests[id].deadline != 0 && left <= 0)
            finish(id, "no answer in time", 17);
        else if (requests[id].deadline != 0 && (next == -1 || left < next))
            next = left;
    }
    return (int)next;
}

int main(int argc, char **argv)
{
    char answer[largest];
    if (argc < 4 || argc % 2 != 0 || argc > 2 + 2 * requests_max)
        return fprintf(stderr, "usage: %s PATH MILLISECONDS QUESTION ...\n", argv[0]), 2;
    pipc_t *pipe = pipc_open_unix(argv[1], connect_ms, NULL);
    check(pipe != NULL, argv[1]);
    for (int i = 2; i < argc; i += 2)
        ask(pipe, request_count++, atoi(argv[i]), argv[i + 1]);
    for (int left; (left = expire()) != -1;) {
        pipc_set_timeout(pipe, left, -1);
        ssize_t size = pipc_read(pipe, answer, sizeof answer);
        check(size != -1 || errno == ETIMEDOUT, "the server has gone, or answers too much");
        if (size != -1)
            take_answer(answer, size);
    }
    pipc_close(pipe);
    return 0;
}
