/* SPDX-License-Identifier: MIT */
/*
 * A line is
 *
 *   SECONDS.MICROSECONDS PROCESS #HANDLE EVENT: WHAT "NAME" ERRNO (PEER)
 *
 * by the clock of the day, with what there is of the last four.
 */
#include "trace/trace.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "sys/sys_clock.h"
#include "sys/sys_environment.h"
#include "sys/sys_log.h"
#include "sys/sys_process.h"
#include "trace/trace_errno.h"

#define VARIABLE "PIPC_TRACE"

enum { STANDARD_ERROR = 2 };

/* UNKNOWN: nobody has looked for the variable; CLAIMED: a thread has, and writes `file`. */
enum file_state { UNKNOWN, CLAIMED, KNOWN };

static atomic_int file_state;
static struct sys_log file;
static atomic_uint last_number;

static const char *const event_names[] = {
    [TRACE_OPEN] = "open",       [TRACE_RENDEZVOUS] = "rendezvous", [TRACE_HANDSHAKE] = "handshake",
    [TRACE_GOODBYE] = "goodbye", [TRACE_SHUTDOWN] = "shutdown",     [TRACE_DEATH] = "end",
    [TRACE_MEMORY] = "memory",   [TRACE_REFUSED] = "refused",       [TRACE_CLOSE] = "close"};

/* ---- the file ---- */

static bool open_file(struct sys_log *log)
{
    const char *name = sys_environment(VARIABLE);
    if (name == NULL || name[0] == '\0')
        return false;
    return (strcmp(name, "-") == 0 ? sys_log_open_copy(log, STANDARD_ERROR)
                                   : sys_log_open(log, name)) == 0;
}

/*
 * Of threads that look at the same time, each opens a file, and the first one's stays. No thread
 * waits for another, which may be missing: a child after fork has one alone.
 */
static void find_file(void)
{
    struct sys_log found;
    int before = UNKNOWN;
    bool is_open = open_file(&found);
    if (!atomic_compare_exchange_strong(&file_state, &before, CLAIMED)) {
        if (is_open)
            sys_log_close(&found);
        return;
    }
    if (is_open) {
        file = found;
        atomic_fetch_or(&trace_state, TRACE_FILE);
    }
    atomic_store(&file_state, KNOWN);
}

void trace_begin(void)
{
    if (atomic_load(&file_state) != UNKNOWN)
        return;
    int saved = errno;
    find_file();
    errno = saved;
}

static bool has_file(void)
{
    return (atomic_load(&trace_state) & TRACE_FILE) != 0;
}

static void write_to_file(const char *line, size_t size)
{
    if (!sys_log_write(&file, line, size))
        atomic_fetch_and(&trace_state, ~(unsigned)TRACE_FILE);
}

unsigned trace_number(void)
{
    return atomic_fetch_add(&last_number, 1) + 1;
}

/* ---- a line ---- */

struct text {
    char bytes[TRACE_LINE_MAX]; /* the last two are for the end of the line */
    size_t size;
};

enum { TEXT_MAX = TRACE_LINE_MAX - 2 };

/* What would end the line, or look like another, is no part of it. */
static void add(struct text *text, const char *more)
{
    for (; *more != '\0' && text->size < TEXT_MAX; more++) {
        unsigned char byte = (unsigned char)*more;
        text->bytes[text->size++] = (char)(byte < ' ' || byte == 0x7f ? '?' : byte);
    }
}

static void add_between(struct text *text, const char *before, const char *more, const char *after)
{
    if (more == NULL)
        return;
    add(text, before);
    add(text, more);
    add(text, after);
}

static void add_error(struct text *text, int error)
{
    char number[sizeof "errno " + 12];
    const char *name = trace_errno_name(error);
    if (error == 0)
        return;
    snprintf(number, sizeof number, "errno %d", error);
    add_between(text, " ", name != NULL ? name : number, "");
}

static void compose(struct text *text, const struct trace_line *line)
{
    char begin[64];
    int64_t now = sys_time_of_day() / 1000;
    snprintf(begin, sizeof begin, "%lld.%06d %ld #%u ", (long long)(now / 1000000),
             (int)(now % 1000000), (long)sys_process_id(), line->handle);
    text->size = 0;
    add(text, begin);
    add(text, event_names[line->event]);
    add_between(text, ": ", line->what, "");
    add_between(text, " \"", line->name, "\"");
    add_error(text, line->error);
    add_between(text, " (", line->peer, ")");
    text->bytes[text->size] = '\n';
    text->bytes[text->size + 1] = '\0';
}

void trace_write(const struct trace_line *line)
{
    struct text text;
    int saved = errno;
    bool to_file = has_file(), to_function = trace_has_function();
    if (to_file || to_function)
        compose(&text, line);
    if (to_file)
        write_to_file(text.bytes, text.size + 1);
    if (to_function)
        trace_keep_line(text.bytes, text.size);
    errno = saved;
}

void trace_write_plain(unsigned handle, enum trace_event event, const char *what, const char *name,
                       int error)
{
    trace_write(&(struct trace_line){handle, event, what, name, NULL, error});
}
