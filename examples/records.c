/* SPDX-License-Identifier: MIT */
/*
 * Structured data: a record with fields of fixed width, in network order. Its bytes are the same on
 * every machine, and any language can read them. A new version of the record gets a new number.
 *
 *     cc records.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out send SENSOR MILLIDEGREES ... | ./a.out receive
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { record_version = 1 };

struct record { /* in this program */
    int64_t time;
    int32_t millidegrees;
    char sensor[16]; /* a string */
};

struct wire { /* between programs: the largest fields first, so that nothing lies between them */
    uint64_t time;
    uint32_t millidegrees, version;
    char sensor[16]; /* filled up with zeros */
};
_Static_assert(sizeof(struct wire) == 32, "holes between the fields would be sent as well");

static void check(int ok, const char *what)
{
    if (!ok)
        exit((perror(what), 1));
}

static struct wire encode(const struct record *record)
{
    struct wire wire = {
        .time = htobe64((uint64_t)record->time),
        .millidegrees = htobe32((uint32_t)record->millidegrees),
        .version = htobe32(record_version),
    };
    memcpy(wire.sensor, record->sensor, sizeof wire.sensor);
    return wire;
}

/* The peer may be anyone: returns 0 for a message that is no such record. */
static int decode(const void *data, size_t size, struct record *record)
{
    struct wire wire;
    if (size != sizeof wire)
        return 0;
    memcpy(&wire, data, sizeof wire); /* data may be unaligned */
    record->time = (int64_t)be64toh(wire.time);
    record->millidegrees = (int32_t)be32toh(wire.millidegrees);
    memcpy(record->sensor, wire.sensor, sizeof record->sensor);
    return be32toh(wire.version) == record_version &&
           memchr(wire.sensor, '\0', sizeof wire.sensor) != NULL;
}

static void send_record(pipc_t *pipe, const char *sensor, const char *millidegrees)
{
    struct record record = {time(NULL), (int32_t)strtol(millidegrees, NULL, 10), ""};
    snprintf(record.sensor, sizeof record.sensor, "%s", sensor);
    struct wire wire = encode(&record);
    check(pipc_write(pipe, &wire, sizeof wire) != -1, "pipc_write");
}

static void receive(pipc_t *pipe)
{
    struct record record;
    pipc_msg_t message;
    for (; pipc_read_msg(pipe, &message) == 0; pipc_msg_free(&message))
        if (message.kind == PIPC_DATA && decode(message.data, message.size, &record))
            printf("%" PRId64 " %s %.3f\n", record.time, record.sensor, record.millidegrees / 1e3);
        else if (message.kind == PIPC_DATA)
            fprintf(stderr, "%zu bytes are no record\n", message.size);
    check(errno == EPIPE && fflush(stdout) == 0, "receive");
}

int main(int argc, char **argv)
{
    int sends = argc > 1 && strcmp(argv[1], "send") == 0, null = open("/dev/null", O_RDWR);
    if (argc < 2 || argc % 2 != 0 || (!sends && strcmp(argv[1], "receive") != 0))
        return fprintf(stderr, "usage: %s send SENSOR MILLIDEGREES ... | receive\n", argv[0]), 2;
    pipc_t *pipe =
        sends ? pipc_open_fds(null, STDOUT_FILENO, NULL) : pipc_open_fds(STDIN_FILENO, null, NULL);
    check(pipe != NULL, "pipc_open_fds");
    for (int i = 2; sends && i < argc; i += 2)
        send_record(pipe, argv[i], argv[i + 1]);
    if (!sends)
        receive(pipe);
    pipc_close(pipe);
    return 0;
}
