/* SPDX-License-Identifier: MIT */
/* The descriptor in a main loop of GLib, which polls by level. */
#include <glib-unix.h>

#include "echo.h"

static gboolean on_readable(gint fd, GIOCondition condition, gpointer unused)
{
    (void)fd;
    (void)condition;
    (void)unused;
    echo_serve();
    return G_SOURCE_CONTINUE;
}

static gboolean on_tick(gpointer loop)
{
    if (!echo_read_some())
        return G_SOURCE_CONTINUE;
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

static gboolean on_idle(gpointer loop)
{
    echo_check_sleep();
    g_timeout_add(1, on_tick, loop);
    return G_SOURCE_REMOVE;
}

int main(void)
{
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    guint source = g_unix_fd_add(echo_begin(), G_IO_IN, on_readable, NULL);
    g_timeout_add(ECHO_IDLE_MS, on_idle, loop);
    g_main_loop_run(loop);
    g_source_remove(source); /* before its descriptor goes */
    g_main_loop_unref(loop);
    return echo_end();
}
