/* SPDX-License-Identifier: MIT */
/*
 * A worker of task_farm.c, on this host or another one. It is sent names of files, and answers with
 * the checksum of each, as `cksum` has it, until the server says goodbye.
 *
 *     cc task_worker.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out HOST PORT [TASKS]      TASKS: dies in the middle of that one, to see what happens
 *
 * With TASK_FARM_KEY in the environment it shows that key.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pipc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { result_size = 64, connect_ms = 10000 };

static void check(int ok, const char *what)
{
    if (!ok)
        exit((perror(what), 1));
}

static uint32_t add_byte(uint32_t sum, int byte)
{
    sum ^= (uint32_t)byte << 24;
    for (int bit = 0; bit < 8; bit++)
        sum = sum << 1 ^ (sum >> 31 ? 0x04c11db7u : 0);
    return sum;
}

static void checksum(const char *name, char *result)
{
    uint32_t sum = 0;
    uint64_t size = 0;
    int byte;
    FILE *file = fopen(name, "rb");
    check(file != NULL, name);
    for (; (byte = getc(file)) != EOF; size++)
        sum = add_byte(sum, byte);
    check(!ferror(file), name);
    fclose(file);
    for (uint64_t left = size; left > 0; left >>= 8) /* POSIX has it so */
        sum = add_byte(sum, (int)(left & 0xff));
    snprintf(result, result_size, "%" PRIu32 " %" PRIu64, ~sum, size);
}

int main(int argc, char **argv)
{
    char name[PATH_MAX], result[result_size] = ""; /* an empty one first: here is a worker */
    int dies_at = argc > 3 ? atoi(argv[3]) : 0;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.key = getenv("TASK_FARM_KEY");
    options.key_size = options.key != NULL ? strlen(options.key) : 0;
    options.flags = PIPC_CONNECT_ONLY; /* a worker never takes the server's port */
    if (argc < 3)
        return fprintf(stderr, "usage: %s HOST PORT [TASKS]\n", argv[0]), 2;
    pipc_t *pipe = pipc_open_tcp(argv[1], (uint16_t)atoi(argv[2]), connect_ms, &options);
    check(pipe != NULL, "pipc_open_tcp");
    while (pipc_write(pipe, result, strlen(result)) != -1) {
        ssize_t size = pipc_read(pipe, name, sizeof name - 1);
        if (size == -1)
            break;
        if (--dies_at == 0)
            raise(SIGKILL);
        name[size] = '\0';
        checksum(name, result);
    }
    check(errno == ESHUTDOWN, "the server"); /* a goodbye */
    pipc_close(pipe);
    return 0;
}
