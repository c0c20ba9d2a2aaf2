/* SPDX-License-Identifier: MIT */
/* The descriptor in a loop of libuv, which polls by level and sets O_NONBLOCK on what it polls. */
#include <uv.h>

#include "echo.h"

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)events;
    if (status == 0)
        echo_serve();
}

static void on_tick(uv_timer_t *timer)
{
    if (echo_read_some())
        uv_stop(timer->loop);
}

static void on_idle(uv_timer_t *timer)
{
    echo_check_sleep();
    uv_timer_start(timer, on_tick, 1, 1);
}

int main(void)
{
    uv_poll_t poll;
    uv_timer_t timer;
    uv_loop_t *loop = uv_default_loop();
    int failed = uv_poll_init(loop, &poll, echo_begin());
    if (failed == 0)
        failed = uv_poll_start(&poll, UV_READABLE, on_readable);
    if (failed != 0) {
        fprintf(stderr, "libuv: %s\n", uv_strerror(failed));
        return 1;
    }
    uv_timer_init(loop, &timer);
    uv_timer_start(&timer, on_idle, ECHO_IDLE_MS, 0);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&poll, NULL); /* before its descriptor goes */
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_loop_close(loop);
    return echo_end();
}
