/* SPDX-License-Identifier: MIT */
#include "tracing.h"

#include <fnmatch.h>
#include <regex.h>
#include <stdio.h>
#include <unistd.h>

enum { TEXT_MAX = 1 << 18, LINE_MAX_HERE = 1024, NUMBERS = 256 };

void tracing_begin(struct tracing *tracing)
{
    snprintf(tracing->directory, sizeof tracing->directory, "/tmp/pipc-trace-XXXXXX");
    assert_non_null(mkdtemp(tracing->directory));
    snprintf(tracing->file, sizeof tracing->file, "%s/trace", tracing->directory);
    assert_int_equal(setenv("PIPC_TRACE", tracing->file, 1), 0);
}

bool tracing_leads_to(int fd, const struct stat *file)
{
    struct stat found;
    return fstat(fd, &found) == 0 && found.st_dev == file->st_dev && found.st_ino == file->st_ino;
}

int tracing_descriptor(const struct tracing *tracing)
{
    struct stat file;
    if (lstat(tracing->file, &file) != 0)
        return -1;
    for (int fd = 0; fd < NUMBERS; fd++)
        if (tracing_leads_to(fd, &file))
            return fd;
    return -1;
}

void tracing_end(const struct tracing *tracing)
{
    int fd = tracing_descriptor(tracing);
    if (fd >= 0)
        close(fd);
    unlink(tracing->file);
    assert_int_equal(rmdir(tracing->directory), 0);
}

const char *tracing_text(const struct tracing *tracing)
{
    static char text[TEXT_MAX];
    int fd = open(tracing->file, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    assert_in_range(size, 0, sizeof text - 2);
    text[size] = '\0';
    return text;
}

/* The line that begins there, without its newline; NULL: no further one. */
static const char *next_line(const char **at, char line[LINE_MAX_HERE])
{
    size_t size = strcspn(*at, "\n");
    if (**at == '\0')
        return NULL;
    assert_in_range(size, 1, LINE_MAX_HERE - 1);
    memcpy(line, *at, size);
    line[size] = '\0';
    *at += size + ((*at)[size] == '\n');
    return line;
}

int tracing_count(const struct tracing *tracing, const char *pattern)
{
    const char *at = tracing_text(tracing);
    char line[LINE_MAX_HERE];
    int count = 0;
    while (next_line(&at, line) != NULL) {
        const char *from = strchr(line, '#');
        count += from != NULL && fnmatch(pattern, from, 0) == 0;
    }
    return count;
}

void tracing_assert(const struct tracing *tracing, const char *pattern)
{
    if (tracing_count(tracing, pattern) == 0)
        fail_msg("no line is \"%s\" in:\n%s", pattern, tracing_text(tracing));
}

void tracing_assert_whole_lines(const char *text)
{
    char line[LINE_MAX_HERE];
    regex_t whole;
    size_t size = strlen(text);
    assert_int_equal(regcomp(&whole, "^[0-9]{9,}\\.[0-9]{6} [0-9]+ #[0-9]+ [a-z]+: [^:]",
                             REG_EXTENDED | REG_NOSUB),
                     0);
    assert_true(size > 0 && text[size - 1] == '\n');
    while (next_line(&text, line) != NULL)
        if (regexec(&whole, line, 0, NULL, 0) != 0)
            fail_msg("no whole line: \"%s\"", line);
    regfree(&whole);
}

int tracing_use_library(void *unused)
{
    (void)unused;
    pipc_t *pipe = pipc_open(NULL);
    pipc_close(pipe);
    return pipe == NULL;
}
