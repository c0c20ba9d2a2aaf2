/* SPDX-License-Identifier: MIT */
/* A program of somebody else, in C99 and in C++11: sends a message, an answer and a goodbye over a
 * pair. */
#include <errno.h>
#include <pipc.h>
#include <stdio.h>
#include <string.h>

#define CHECK(condition)                                                                         \
    do {                                                                                         \
        if (!(condition)) {                                                                      \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno)); \
            return 1;                                                                            \
        }                                                                                        \
    } while (0)

static int talk(pipc_t *left, pipc_t *right)
{
    static const char question[] = "How far?", answer[] = "Two miles.";
    char buffer[64];
    pipc_msg_t message;

    CHECK(pipc_set_timeout(left, 5000, 5000) == 0 && pipc_set_timeout(right, 5000, 5000) == 0);
    CHECK(pipc_write(left, question, sizeof question) == (ssize_t)sizeof question);
    CHECK(pipc_read(right, buffer, sizeof buffer) == (ssize_t)sizeof question);
    CHECK(memcmp(buffer, question, sizeof question) == 0);

    CHECK(pipc_write(right, answer, sizeof answer) == (ssize_t)sizeof answer);
    CHECK(pipc_read_msg(left, &message) == 0);
    CHECK(message.kind == PIPC_DATA && message.size == sizeof answer);
    CHECK(memcmp(message.data, answer, sizeof answer) == 0);
    pipc_msg_free(&message);

    CHECK(pipc_disconnect(right, "enough") == 0);
    CHECK(pipc_read(left, buffer, sizeof buffer) == -1 && errno == ESHUTDOWN);
    CHECK(pipc_bye_text(left) != NULL && strcmp(pipc_bye_text(left), "enough") == 0);
    return 0;
}

int main(void)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    pipc_t *end[2];
    char version[32];
    int result;

    snprintf(version, sizeof version, "%d.%d.%d", PIPC_VERSION_MAJOR, PIPC_VERSION_MINOR,
             PIPC_VERSION_PATCH);
    CHECK(strcmp(pipc_version(), version) == 0);

    options.max_message = 1000;
    CHECK(pipc_open_pair(end, &options) == 0);
    result = talk(end[0], end[1]);
    pipc_close(end[0]);
    pipc_close(end[1]);
    if (result == 0)
        printf("a pair of libpipc %s works\n", version);
    return result;
}
