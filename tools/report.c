/* SPDX-License-Identifier: MIT */
/* Messages to the user: on standard error, one line each, with the progress line out of the way. */
#include "pipccat.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

static void report_line(const char *format, va_list arguments)
    __attribute__((format(printf, 1, 0)));

static void report_line(const char *format, va_list arguments)
{
    progress_clear();
    fputs("pipccat: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report_line(format, arguments);
    va_end(arguments);
}

void note(const char *format, ...)
{
    va_list arguments;
    if (!config.verbose)
        return;
    va_start(arguments, format);
    report_line(format, arguments);
    va_end(arguments);
}

void report_bytes(const char *what, const char *data, size_t size)
{
    enum { most = 1000 };
    if (config.quiet)
        return;
    progress_clear();
    fprintf(stderr, "pipccat: %s", what);
    for (size_t i = 0; i < size && i < most; i++) {
        unsigned char byte = (unsigned char)data[i];
        fprintf(stderr, byte >= 0x20 && byte < 0x7f ? "%c" : "\\x%02x", byte);
    }
    fputs(size > most ? "...\n" : "\n", stderr);
}

int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
