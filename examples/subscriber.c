/* SPDX-License-Identifier: MIT */
/*
 * Prints what the publisher on a path sends (publisher.c), and how many messages it has missed.
 *
 *     cc subscriber.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out PATH
 */
#include <endian.h>
#include <inttypes.h>
#include <pipc.h>
#include <stdio.h>
#include <string.h>

enum { connect_ms = 10000 };

int main(int argc, char **argv)
{
    uint64_t expected = 0, number;
    pipc_msg_t message = {NULL, 0, PIPC_DATA};
    pipc_t *pipe = argc == 2 ? pipc_open_unix(argv[1], connect_ms, NULL) : NULL;
    if (pipe == NULL)
        return perror(argc == 2 ? argv[1] : "usage: subscriber PATH"), 1;
    while (pipc_read_msg(pipe, &message) == 0) {
        if (message.kind == PIPC_BYE || message.size < sizeof number)
            break;
        memcpy(&number, message.data, sizeof number);
        number = be64toh(number);
        if (expected != 0 && number > expected) /* the first one may be any */
            printf("missed %" PRIu64 "\n", number - expected);
        expected = number + 1;
        printf("%" PRIu64 " %.*s", number, (int)(message.size - sizeof number),
               (char *)message.data + sizeof number);
        fflush(stdout);
        pipc_msg_free(&message);
    }
    int ok = message.kind == PIPC_BYE;
    if (!ok)
        fprintf(stderr, "the publisher has died, or is none\n");
    pipc_msg_free(&message); /* empty after a failure */
    pipc_close(pipe);
    return ok ? 0 : 1;
}
