/* SPDX-License-Identifier: MIT */
/*
 * Counts the words of a text in another process. The parent sends each line as a message to a
 * forked worker, through one handle that both use; the worker counts, and sends each word with its
 * count back. A word is a run of the letters A to Z, in either case.
 *
 *     cc wordcount.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out [FILE]      FILE: README.md if left out
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <pipc.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { start_ms = 10000 };

struct word {
    uint64_t count;
    char text[];
};

static pipc_t *pipe_; /* the parent has one end, the worker the other */
static void *words;   /* in the worker: a tree, see tsearch(3) */

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct word *)a)->text, ((const struct word *)b)->text);
}

static void count_word(const char *text, size_t size)
{
    struct word *word = calloc(1, sizeof *word + size + 1), **place;
    check(word != NULL, "worker: calloc");
    memcpy(word->text, text, size);
    check((place = tsearch(word, &words, by_text)) != NULL, "worker: tsearch");
    if (*place != word) /* it is known already */
        free(word);
    (*place)->count++;
}

static void count_line(char *line, size_t size)
{
    for (size_t i = 0, start = 0; i <= size; i++) {
        if (i < size && isalpha((unsigned char)line[i])) {
            line[i] = (char)tolower((unsigned char)line[i]);
            continue;
        }
        if (i > start)
            count_word(line + start, i - start);
        start = i + 1;
    }
}

static void send_word(const void *node, VISIT visit, int depth)
{
    struct word *word = *(struct word *const *)node;
    struct iovec parts[] = {{&word->count, sizeof word->count}, {word->text, strlen(word->text)}};
    (void)depth;
    if (visit == postorder || visit == leaf) /* the order of the alphabet */
        check(pipc_writev(pipe_, parts, 2) != -1, "worker: pipc_writev");
}

static void work(void)
{
    pipc_msg_t line;
    check(pipc_write(pipe_, NULL, 0) == 0, "worker: pipc_write"); /* says that we are here */
    while (pipc_read_msg(pipe_, &line) == 0) {
        count_line(line.data, line.size);
        pipc_msg_free(&line);
    }
    check(errno == EPIPE, "worker: pipc_read_msg"); /* the parent has shut down writing */
    twalk(words, send_word);
    check(pipc_disconnect(pipe_, "those are all") == 0, "worker: pipc_disconnect");
}

static uint64_t send_lines(FILE *text)
{
    char *line = NULL;
    size_t capacity = 0;
    uint64_t lines = 0;
    for (ssize_t size; (size = getline(&line, &capacity, text)) != -1; lines++) {
        if (line[size - 1] == '\n')
            size--; /* an empty line is an empty message */
        check(pipc_write(pipe_, line, (size_t)size) == size, "pipc_write");
    }
    check(feof(text), "getline");
    check(pipc_shutdown(pipe_) == 0, "pipc_shutdown");
    free(line);
    return lines;
}

static uint64_t print_words(void)
{
    pipc_msg_t word;
    for (uint64_t different = 0, count;; different++) {
        check(pipc_read_msg(pipe_, &word) == 0, "pipc_read_msg"); /* EPIPE: the worker has died */
        if (word.kind == PIPC_BYE)
            return pipc_msg_free(&word), different;
        memcpy(&count, word.data, sizeof count);
        printf("%7" PRIu64 " %.*s\n", count, (int)(word.size - sizeof count),
               (char *)word.data + sizeof count);
        pipc_msg_free(&word);
    }
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "README.md";
    int status;
    if (argc > 2)
        return fprintf(stderr, "usage: %s [FILE]\n", argv[0]), 2;
    FILE *text = fopen(name, "r");
    check(text != NULL, name);
    check((pipe_ = pipc_open(NULL)) != NULL, "pipc_open");
    /* Our first call, before the fork: should we die, the worker learns it. */
    check(pipc_set_timeout(pipe_, start_ms, -1) == 0, "pipc_set_timeout");
    pid_t worker = fork();
    check(worker != -1, "fork");
    if (worker == 0) {
        work();
        pipc_close(pipe_);
        _exit(0); /* exit() might move the position in the file that the parent reads */
    }
    /* The worker's first call. Should it die before, nobody learns it: so wait, but not for
     * ever. */
    check(pipc_read(pipe_, NULL, 0) == 0, "the worker does not start");
    check(pipc_set_timeout(pipe_, -1, -1) == 0, "pipc_set_timeout");
    uint64_t lines = send_lines(text), different = print_words();
    fprintf(stderr, "%" PRIu64 " lines went to a worker, %" PRIu64 " different words came back\n",
            lines, different);
    pipc_close(pipe_);
    check(waitpid(worker, &status, 0) == worker && status == 0, "worker");
    check(fclose(text) == 0 && fflush(stdout) == 0, "fflush");
    return 0;
}
