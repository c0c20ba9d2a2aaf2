/* SPDX-License-Identifier: MIT */
/*
 * The progress line of long transfers: on standard error, if that is a terminal. What is written
 * between takes it away first; it comes back with the next figures.
 */
#include "pipccat.h"
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { progress_delay_ms = 1000, progress_step_ms = 250, progress_text = 160 };

static bool progress_on, progress_visible, progress_shown;
static int64_t progress_start, progress_next;
static uint64_t progress_total, progress_in, progress_sent, progress_received;

void progress_begin(void)
{
    progress_on = !config.quiet && config.work == WORK_PIPE && isatty(STDERR_FILENO) == 1;
    /* Who types or reads here sees what moves. */
    if (!config.progress && config.file_count == 0 && isatty(STDIN_FILENO) == 1)
        progress_on = progress_on && isatty(STDOUT_FILENO) == 0;
    progress_start = now_ms();
    progress_next = progress_start + (config.progress ? 0 : progress_delay_ms);
}

void progress_count(uint64_t total, uint64_t in, uint64_t sent, uint64_t received)
{
    progress_total = total;
    progress_in = in;
    progress_sent += sent;
    progress_received += received;
}

static const char *amount(double bytes, char *text, size_t size)
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int i = 0;
    for (; bytes >= 1024 && i < 4; i++)
        bytes /= 1024;
    snprintf(text, size, i == 0 ? "%.0f %s" : "%.1f %s", bytes, unit[i]);
    return text;
}

static void progress_line(int64_t now)
{
    char line[progress_text], sent[32], received[32], rate[32], part[32] = "";
    double seconds = (double)(now - progress_start + 1) / 1000;
    double moved = (double)progress_sent + (double)progress_received;
    if (progress_total > 0 && progress_in <= progress_total) {
        double done = (double)progress_in / (double)progress_total;
        double left = done > 0 ? seconds / done - seconds : 0;
        snprintf(part, sizeof part, ", %.0f %%, %.0f s left", 100 * done, left);
    }
    snprintf(line, sizeof line, "sent %s, received %s, %s/s%s",
             amount((double)progress_sent, sent, sizeof sent),
             amount((double)progress_received, received, sizeof received),
             amount(moved / seconds, rate, sizeof rate), part);
    fprintf(stderr, "\r%s\033[K", line);
    progress_visible = progress_shown = true;
}

int64_t progress_due(void)
{
    return progress_on ? progress_next : -1;
}

void progress_show(int64_t now)
{
    if (!progress_on || now < progress_next)
        return;
    progress_line(now);
    progress_next = now + progress_step_ms;
}

void progress_clear(void)
{
    if (progress_visible)
        fputs("\r\033[K", stderr);
    progress_visible = false;
}

void progress_end(void)
{
    if (progress_on && (progress_shown || config.progress)) {
        progress_line(now_ms());
        fputc('\n', stderr);
    }
    progress_on = progress_visible = false;
}
