/* SPDX-License-Identifier: MIT */
/*
 * Messages of JSON, with json-c (Debian: libjson-c-dev). It reads frames on standard input, such as
 * {"numbers": [1, 2, 3]}, and writes {"sum": 6.0}, or {"error": "..."}, to standard output.
 *
 *     cc json_service.c $(pkg-config --cflags --libs libpipc json-c)
 *     echo '{"numbers": [1, 2, 3]}' | pipccat -n 1 exec -- ./a.out
 */
#include <errno.h>
#include <json.h>
#include <math.h>
#include <pipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The message ends without a zero; the parser is told its size, and must have used all of it. */
static json_object *parse(const pipc_msg_t *message)
{
    json_tokener *parser = message->size <= INT32_MAX ? json_tokener_new() : NULL;
    if (parser == NULL)
        return NULL;
    json_tokener_set_flags(parser, JSON_TOKENER_STRICT);
    json_object *value = json_tokener_parse_ex(parser, message->data, (int)message->size);
    if (json_tokener_get_error(parser) != json_tokener_success) {
        json_object_put(value);
        value = NULL;
    }
    json_tokener_free(parser);
    return value;
}

static json_object *answer(json_object *request)
{
    json_object *result = json_object_new_object(), *numbers = NULL;
    double sum = 0;
    if (!json_object_is_type(request, json_type_object) ||
        !json_object_object_get_ex(request, "numbers", &numbers) ||
        !json_object_is_type(numbers, json_type_array)) {
        json_object_object_add(result, "error", json_object_new_string("no array of numbers"));
        return result;
    }
    for (size_t i = 0; i < json_object_array_length(numbers); i++)
        sum += json_object_get_double(json_object_array_get_idx(numbers, i)); /* 0 if it is none */
    if (isfinite(sum)) /* JSON has no other numbers */
        json_object_object_add(result, "sum", json_object_new_double(sum));
    else
        json_object_object_add(result, "error", json_object_new_string("the sum is too large"));
    return result;
}

int main(void)
{
    pipc_msg_t message;
    pipc_t *pipe = pipc_open_fds(STDIN_FILENO, STDOUT_FILENO, NULL);
    int ok = pipe != NULL;
    while (ok && pipc_read_msg(pipe, &message) == 0) {
        if (message.kind == PIPC_DATA) {
            json_object *request = parse(&message), *result = answer(request);
            const char *text = json_object_to_json_string_ext(result, JSON_C_TO_STRING_PLAIN);
            ok = pipc_write(pipe, text, strlen(text)) != -1;
            json_object_put(result);
            json_object_put(request);
        }
        pipc_msg_free(&message);
    }
    if (!ok || errno != EPIPE)
        return perror("json_service"), 1;
    pipc_close(pipe);
    return 0;
}
