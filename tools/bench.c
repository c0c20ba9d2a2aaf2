/* SPDX-License-Identifier: MIT */
/*
 * --bench: the peer sends each message back (pipccat --echo). First one message at a time: round
 * trips. Then as many as there is room for: the rate. Each message that comes back is checked.
 */
#include "pipccat.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

enum { bench_trips = 10000, bench_window_bytes = 1 << 20, bench_window_max = 512 };

struct bench {
    pipc_t *pipe;
    unsigned char *data;
    size_t size;
    uint64_t count, *trip_ns;
};

static uint64_t bench_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A message has its number at the front, as far as it fits. */
static void bench_number(unsigned char *data, size_t size, uint64_t number)
{
    for (size_t i = 0; i < size && i < sizeof number; i++)
        data[i] = (unsigned char)(number >> 8 * i);
}

static int bench_failed(int error)
{
    if (error == ETIMEDOUT) {
        complain("bench: no message comes back; does the peer echo?");
        return CODE_TIMEOUT;
    }
    return pipe_failed("bench", error == ESHUTDOWN ? EPIPE : error);
}

static int bench_send(struct bench *bench, uint64_t number)
{
    bench_number(bench->data, bench->size, number);
    return pipc_write(bench->pipe, bench->data, bench->size) == -1 ? bench_failed(errno) : CODE_OK;
}

static int bench_receive(struct bench *bench, uint64_t number)
{
    pipc_msg_t view;
    if (pipc_peek(bench->pipe, &view) == -1)
        return bench_failed(errno);
    bench_number(bench->data, bench->size, number);
    if (view.kind == PIPC_BYE)
        return bench_failed(EPIPE);
    if (view.size != bench->size || memcmp(view.data, bench->data, view.size) != 0) {
        complain("bench: another message comes back; does the peer echo?");
        return CODE_BROKEN;
    }
    return pipc_skip(bench->pipe) == -1 ? bench_failed(errno) : CODE_OK;
}

static int bench_order(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
    return first < second ? -1 : first > second;
}

static int bench_round_trips(struct bench *bench)
{
    int code = CODE_OK;
    for (uint64_t i = 0; i < bench->count && code == CODE_OK; i++) {
        uint64_t start = bench_ns();
        if ((code = bench_send(bench, i)) == CODE_OK)
            code = bench_receive(bench, i);
        bench->trip_ns[i] = bench_ns() - start;
    }
    if (code != CODE_OK)
        return code;
    qsort(bench->trip_ns, (size_t)bench->count, sizeof *bench->trip_ns, bench_order);
    printf("round trips  %" PRIu64 " of %zu bytes: median %.1f us, 99 %% under %.1f us, longest "
           "%.1f us\n",
           bench->count, bench->size, (double)bench->trip_ns[bench->count / 2] / 1000,
           (double)bench->trip_ns[bench->count - 1 - bench->count / 100] / 1000,
           (double)bench->trip_ns[bench->count - 1] / 1000);
    return CODE_OK;
}

static int bench_rate(struct bench *bench)
{
    uint64_t window = bench_window_bytes / (bench->size + 1), sent = 0;
    window = window < 2 ? 2 : window > bench_window_max ? bench_window_max : window;
    uint64_t start = bench_ns();
    for (uint64_t i = 0; i < bench->count; i++) {
        int code = CODE_OK;
        while (code == CODE_OK && sent < bench->count && sent < i + window)
            code = bench_send(bench, sent++);
        if (code != CODE_OK || (code = bench_receive(bench, i)) != CODE_OK)
            return code;
    }
    double seconds = (double)(bench_ns() - start + 1) / 1e9, count = (double)bench->count;
    printf("rate         %.0f messages a second, %.1f MB/s each way\n", count / seconds,
           count * (double)bench->size / seconds / 1e6);
    return CODE_OK;
}

int bench_run(pipc_t *pipe)
{
    struct bench bench = {pipe, NULL, config.block_size, 0, NULL};
    bench.count = config.count != 0 ? config.count : bench_trips;
    bench.data = malloc(bench.size);
    if (bench.count < SIZE_MAX / sizeof *bench.trip_ns)
        bench.trip_ns = malloc((size_t)bench.count * sizeof *bench.trip_ns);
    int code = CODE_LOCAL;
    if (bench.data == NULL || bench.trip_ns == NULL) {
        complain("no memory for %" PRIu64 " messages", bench.count);
    } else if (pipc_set_timeout(pipe, config.timeout_ms, config.timeout_ms) == 0) {
        memset(bench.data, 'x', bench.size);
        code = bench_round_trips(&bench);
        if (code == CODE_OK)
            code = bench_rate(&bench);
    }
    if (code == CODE_OK && fflush(stdout) != 0) {
        complain("standard output: %s", strerror(errno));
        code = CODE_LOCAL;
    }
    if (code == CODE_OK && (pipc_flush(pipe) == -1 || pipc_shutdown(pipe) == -1))
        code = bench_failed(errno);
    free(bench.trip_ns);
    free(bench.data);
    return code;
}
