/* SPDX-License-Identifier: MIT */
/*
 * Counts the words of a text in another process. The parent sends each line as a message to a
 * forked worker; the worker counts, and sends each word with its count back. A word is a run of the
 * letters A to Z, in either case.
 *     cc wordcount.c $(pkg-config --cflags --libs libpipc) && ./a.out [FILE]
 */
#include <ctype.h>
#include <errno.h>
#include <pipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
static pipc_t *pipe_; /* the parent's end, in the worker its own */
static char **words;  /* in the worker */
static size_t word_count;

static void check(int ok, const char *what)
{
    if (!ok)
        exit((perror(what), 1));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_word(const char *text)
{
    if ((word_count & (word_count - 1)) == 0) /* it is full: twice as much */
        check((words = realloc(words, (2 * word_count + 1) * sizeof *words)) != NULL, "realloc");
    check((words[word_count++] = strdup(text)) != NULL, "strdup");
}

static void send_words(void)
{
    if (word_count > 0)
        qsort(words, word_count, sizeof *words, by_text);
    for (size_t i = 0, same = 1; i < word_count; i += same, same = 1) {
        char count[32];
        while (i + same < word_count && strcmp(words[i], words[i + same]) == 0)
            same++;
        struct iovec parts[] = {{count, (size_t)sprintf(count, "%7zu ", same)},
                                {words[i], strlen(words[i])}};
        check(pipc_writev(pipe_, parts, 2) != -1, "pipc_writev");
    }
}

static void work(void)
{
    pipc_msg_t line;
    for (; pipc_read_msg(pipe_, &line) == 0; pipc_msg_free(&line)) {
        char *text = line.data; /* a string, see the parent */
        for (size_t i = 0; i < line.size; i++)
            text[i] = (char)tolower((unsigned char)text[i]);
        for (size_t i = 0, size; i < line.size; i += size + 1)
            if ((size = strspn(text + i, letters)) > 0) {
                text[i + size] = '\0';
                add_word(text + i);
            }
    }
    check(errno == EPIPE, "pipc_read_msg"); /* the parent has shut down writing */
    send_words();
    check(pipc_disconnect(pipe_, "those are all") == 0, "pipc_disconnect");
    pipc_close(pipe_);
    _exit(0); /* exit() might move the position in the file that the parent reads */
}

int main(int argc, char **argv)
{
    pipc_t *end[2];
    pipc_msg_t word = {NULL, 0, PIPC_DATA};
    static char *line;
    size_t capacity = 0, lines = 0, different = 0;
    int status;
    FILE *text = argc > 2 ? NULL : fopen(argc > 1 ? argv[1] : "README.md", "r");
    check(text != NULL, "usage: wordcount [FILE]");
    pid_t worker = pipc_open_pair(end, NULL) == 0 ? fork() : -1;
    check(worker != -1, "pipc_open_pair, fork");
    pipe_ = end[worker == 0 ? 1 : 0];
    pipc_close(end[worker == 0 ? 0 : 1]); /* or its death would not be noticed */
    if (worker == 0)
        work();
    for (ssize_t size; (size = getline(&line, &capacity, text)) != -1; lines++)
        check(pipc_write(pipe_, line, (size_t)size + 1) != -1, "pipc_write"); /* with its zero */
    check(feof(text) && pipc_shutdown(pipe_) == 0, "the text");
    for (; pipc_peek(pipe_, &word) == 0 && word.kind == PIPC_DATA; pipc_skip(pipe_), different++)
        printf("%.*s\n", (int)word.size, (char *)word.data);
    check(word.kind == PIPC_BYE && fflush(stdout) == 0, "the worker"); /* EPIPE: it has died */
    fprintf(stderr, "%zu lines went to a worker, %zu different words came back\n", lines,
            different);
    pipc_close(pipe_);
    check(fclose(text) == 0 && wait(&status) == worker && status == 0, "worker");
    return 0;
}
