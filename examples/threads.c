/* SPDX-License-Identifier: MIT */
/*
 * Two threads share one handle and use it alike: both run converse(). Each sends three messages,
 * waits with select for what the other sends, and says goodbye. The first call of each takes an
 * end.
 */
#include <errno.h>
#include <pipc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>

enum { sentences = 3, line_size = 80 };

struct speaker {
    pipc_t *pipe;
    const char *name;
};

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static void wait_readable(pipc_t *pipe)
{
    int fd = pipc_fd(pipe);
    check(fd >= 0 && fd < FD_SETSIZE, "pipc_fd");
    fd_set set;
    FD_ZERO(&set);
    FD_SET((unsigned)fd, &set);
    check(select(fd + 1, &set, NULL, NULL, NULL) == 1, "select");
}

/* Reads one sentence, then all that is pending. Returns how many sentences there were. */
static int listen_once(const struct speaker *me)
{
    char line[line_size];
    pipc_msg_t rest[sentences];
    wait_readable(me->pipe);
    ssize_t size = pipc_read(me->pipe, line, sizeof line);
    if (size == -1 && errno == EAGAIN)
        return 0; /* readable for nothing, which may happen now and then */
    check(size >= 0, "pipc_read");
    printf("%s read \"%.*s\"\n", me->name, (int)size, line);
    int heard = 1;

    ssize_t pending = pipc_pending(me->pipe);
    check(pending >= 0, "pipc_pending");
    if (pending > 0)
        pending = pipc_read_pending(me->pipe, rest, sentences);
    check(pending >= 0, "pipc_read_pending");
    for (ssize_t i = 0; i < pending; i++) {
        const char *text = rest[i].data;
        if (rest[i].kind == PIPC_DATA) {
            printf("%s found \"%.*s\" pending\n", me->name, (int)rest[i].size, text);
            heard++;
        }
        pipc_msg_free(&rest[i]); /* the goodbye, if it has come already, as well */
    }
    return heard;
}

static void *converse(void *speaker)
{
    const struct speaker *me = speaker;
    check(pipc_set_timeout(me->pipe, 0, -1) == 0, "pipc_set_timeout");
    for (int i = 1; i <= sentences; i++) {
        char line[line_size];
        int size = snprintf(line, sizeof line, "sentence %d of %s", i, me->name);
        check(pipc_write(me->pipe, line, (size_t)size) == size, "pipc_write");
    }
    for (int heard = 0; heard < sentences;)
        heard += listen_once(me);
    check(pipc_disconnect(me->pipe, "nice talking to you") == 0, "pipc_disconnect");
    return NULL;
}

int main(void)
{
    pipc_t *pipe = pipc_open(NULL);
    check(pipe != NULL, "pipc_open");
    struct speaker ann = {pipe, "Ann"}, bob = {pipe, "Bob"};
    pthread_t thread;
    errno = pthread_create(&thread, NULL, converse, &bob);
    check(errno == 0, "pthread_create");
    converse(&ann);
    errno = pthread_join(thread, NULL);
    check(errno == 0, "pthread_join");
    pipc_close(pipe); /* neither holds an end any more: this frees it */
    return 0;
}
