/* SPDX-License-Identifier: MIT */
/*
 * Counts the words of a text in another process. The parent sends each line as a message to a forked
 * worker, through one handle that both use; the worker counts, and sends each word with its count
 * back. A word is a run of the letters A to Z, in either case: what these commands say as well:
 *
 *     LC_ALL=C tr -cs A-Za-z '\n' <FILE | tr A-Z a-z | sort | uniq -c
 *
 *     cc wordcount.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out [--table] [FILE]      FILE: README.md if left out
 */
#include <errno.h>
#include <inttypes.h>
#include <pipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct word {
    uint64_t count;
    size_t size;
    struct word *next; /* in the same bucket */
    char text[];
};

struct words { /* what came back */
    struct word **list;
    size_t count;
};

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static struct word *new_word(const char *text, size_t size, uint64_t count)
{
    struct word *word = malloc(sizeof *word + size);
    check(word != NULL, "malloc");
    *word = (struct word){count, size, NULL};
    memcpy(word->text, text, size);
    return word;
}

/* ---- The worker ---- */

enum { buckets = 1 << 16 };

static void count_word(struct word **table, const char *text, size_t size)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    struct word **place = &table[hash % buckets];
    while (*place != NULL && ((*place)->size != size || memcmp((*place)->text, text, size) != 0))
        place = &(*place)->next;
    if (*place == NULL)
        *place = new_word(text, size, 0);
    (*place)->count++;
}

static int is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static void count_line(struct word **table, char *line, size_t size)
{
    size_t start = 0;
    for (size_t i = 0; i <= size; i++) {
        if (i < size && is_letter(line[i])) {
            line[i] |= 0x20; /* lower case, in ASCII */
            continue;
        }
        if (i > start)
            count_word(table, line + start, i - start);
        start = i + 1;
    }
}

static void send_table(pipc_t *pipe, struct word **table)
{
    for (size_t i = 0; i < buckets; i++)
        while (table[i] != NULL) {
            struct word *word = table[i];
            struct iovec parts[2] = {{&word->count, sizeof word->count}, {word->text, word->size}};
            check(pipc_writev(pipe, parts, 2) != -1, "worker: pipc_writev");
            table[i] = word->next;
            free(word);
        }
}

static void work(pipc_t *pipe)
{
    struct word **table = calloc(buckets, sizeof *table);
    check(table != NULL, "worker: calloc");
    pipc_msg_t line;
    while (pipc_read_msg(pipe, &line) == 0) {
        count_line(table, line.data, line.size);
        pipc_msg_free(&line);
    }
    check(errno == EPIPE, "worker: pipc_read_msg"); /* the parent has shut down writing */
    send_table(pipe, table);
    free(table);
    check(pipc_disconnect(pipe, "that is the table") == 0, "worker: pipc_disconnect");
}

/* ---- The parent ---- */

static uint64_t send_lines(pipc_t *pipe, FILE *text)
{
    char *line = NULL;
    size_t capacity = 0;
    uint64_t lines = 0;
    ssize_t size;
    for (; (size = getline(&line, &capacity, text)) != -1; lines++) {
        if (line[size - 1] == '\n')
            size--; /* an empty line is an empty message */
        check(pipc_write(pipe, line, (size_t)size) == size, "pipc_write");
    }
    check(feof(text), "getline");
    check(pipc_shutdown(pipe) == 0, "pipc_shutdown");
    free(line);
    return lines;
}

static void add_word(struct words *words, const pipc_msg_t *message)
{
    uint64_t count;
    if ((words->count & (words->count - 1)) == 0) { /* full at 0, 1, 2, 4, ... */
        size_t room = words->count == 0 ? 1 : 2 * words->count;
        words->list = realloc(words->list, room * sizeof(struct word *));
        check(words->list != NULL, "realloc");
    }
    memcpy(&count, message->data, sizeof count);
    words->list[words->count++] =
        new_word((const char *)message->data + sizeof count, message->size - sizeof count, count);
}

static struct words receive_table(pipc_t *pipe)
{
    struct words words = {NULL, 0};
    pipc_msg_t message;
    int goodbye = 0;
    while (!goodbye) { /* a worker that died says none: then EPIPE ends the program */
        check(pipc_read_msg(pipe, &message) == 0, "pipc_read_msg");
        goodbye = message.kind == PIPC_BYE;
        if (!goodbye)
            add_word(&words, &message);
        pipc_msg_free(&message);
    }
    return words;
}

static int by_text(const void *a, const void *b)
{
    const struct word *x = *(struct word *const *)a, *y = *(struct word *const *)b;
    int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);
    return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

static int by_count(const void *a, const void *b)
{
    const struct word *x = *(struct word *const *)a, *y = *(struct word *const *)b;
    return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : by_text(a, b);
}

static void print_words(struct words words, size_t limit, int (*order)(const void *, const void *))
{
    if (words.count > 0)
        qsort(words.list, words.count, sizeof *words.list, order);
    for (size_t i = 0; i < words.count && i < limit; i++)
        printf("%7" PRIu64 " %.*s\n", words.list[i]->count, (int)words.list[i]->size,
               words.list[i]->text);
}

static void free_words(struct words words)
{
    for (size_t i = 0; i < words.count; i++)
        free(words.list[i]);
    free(words.list);
}

static double seconds(void)
{
    struct timespec now;
    check(clock_gettime(CLOCK_MONOTONIC, &now) == 0, "clock_gettime");
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void report(const char *name, uint64_t lines, struct words words, double time)
{
    uint64_t messages = lines + words.count + 1;
    printf("%s: %" PRIu64 " lines sent to a worker process, each as one message.\n", name, lines);
    printf("It sent back %zu different words with their counts, and a goodbye.\n", words.count);
    printf("%" PRIu64 " messages in %.1f ms: %.0f messages per second.\n", messages, 1e3 * time,
           (double)messages / time);
    printf("The most frequent words:\n");
    print_words(words, 10, by_count);
}

int main(int argc, char **argv)
{
    int table = argc > 1 && strcmp(argv[1], "--table") == 0;
    const char *name = argc > 1 + table ? argv[1 + table] : "README.md";
    if (argc > 2 + table)
        return fprintf(stderr, "usage: %s [--table] [FILE]\n", argv[0]), 2;
    FILE *text = fopen(name, "r");
    check(text != NULL, name);

    pipc_t *pipe = pipc_open(NULL);
    check(pipe != NULL, "pipc_open");
    /* The first call takes an end. Made before the fork, it lets the worker notice if we die early. */
    check(pipc_set_timeout(pipe, -1, -1) == 0, "pipc_set_timeout");
    double start = seconds();
    pid_t worker = fork();
    check(worker != -1, "fork");
    if (worker == 0) {
        work(pipe);
        pipc_close(pipe);
        _exit(0); /* exit() might move the position in the file that the parent reads */
    }
    uint64_t lines = send_lines(pipe, text);
    struct words words = receive_table(pipe);
    double time = seconds() - start;
    pipc_close(pipe);
    int status;
    check(waitpid(worker, &status, 0) == worker && status == 0, "worker");

    if (table)
        print_words(words, SIZE_MAX, by_text);
    else
        report(name, lines, words, time);
    free_words(words);
    fclose(text);
    return 0;
}
