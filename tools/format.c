/* SPDX-License-Identifier: MIT */
/*
 * A message as text, hex, JSON or a record, in pieces: a message of 64 MiB is not copied as a
 * whole. output->at counts its bytes that are done.
 */
#include "pipccat.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A piece is a multiple of three bytes, for base64. A byte becomes at most six: \u001b. */
enum { format_piece_size = 3 << 14, format_growth = 6, format_slack = 64 };

static void put_bytes(struct buffer *to, const void *data, size_t size)
{
    memcpy(to->data + to->end, data, size);
    to->end += size;
}

static void put_text(struct buffer *to, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void put_text(struct buffer *to, const char *format, ...)
{
    char text[format_slack];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put_bytes(to, text, (size_t)size);
}

static void put_hex(struct buffer *to, const unsigned char *data, size_t size)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        to->data[to->end++] = (unsigned char)digit[data[i] >> 4];
        to->data[to->end++] = (unsigned char)digit[data[i] & 15];
    }
}

static void put_base64(struct buffer *to, const unsigned char *data, size_t size)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        unsigned bits = (unsigned)data[i] << 16 | (left > 1 ? (unsigned)data[i + 1] << 8 : 0) |
                        (left > 2 ? data[i + 2] : 0u);
        char four[4] = {digit[bits >> 18], digit[bits >> 12 & 63],
                        left > 1 ? digit[bits >> 6 & 63] : '=', left > 2 ? digit[bits & 63] : '='};
        put_bytes(to, four, 4);
    }
}

static void put_json(struct buffer *to, const unsigned char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] == '"' || data[i] == '\\')
            put_text(to, "\\%c", data[i]);
        else if (data[i] < 0x20 || data[i] == 0x7f)
            put_text(to, "\\u%04x", data[i]);
        else
            to->data[to->end++] = data[i];
}

/* Text for a terminal, which must not obey the peer. C1 controls are 0xc2 and 0x80 to 0x9f. */
static void put_visible(struct output *output, const unsigned char *data, size_t size, size_t from)
{
    struct buffer *to = &output->buffer;
    for (size_t i = 0; i < size; i++) {
        size_t at = from + i;
        const unsigned char *whole = data - from;
        bool control = (data[i] < 0x20 && data[i] != '\t' && data[i] != '\n') || data[i] == 0x7f;
        bool high = data[i] >= 0x80 && !output->as_text;
        bool c1 = output->as_text && data[i] >= 0x80 &&
                  ((data[i] == 0xc2 && whole[at + 1] < 0xa0) ||
                   (at > 0 && whole[at - 1] == 0xc2 && data[i] < 0xa0));
        if (control || high || c1)
            put_text(to, "\\x%02x", data[i]);
        else
            to->data[to->end++] = data[i];
    }
}

static void put_head(struct output *output, const pipc_msg_t *message)
{
    struct buffer *to = &output->buffer;
    output->started = true;
    if (config.output == OUTPUT_JSON || output->is_terminal)
        output->as_text = utf8_is_valid(message->data, message->size);
    if (config.output == OUTPUT_JSON)
        put_text(to, "{\"size\":%zu,\"%s\":\"", message->size, output->as_text ? "text" : "base64");
    if (config.output == OUTPUT_RECORDS) {
        unsigned char head[4] = {(unsigned char)(message->size >> 24),
                                 (unsigned char)(message->size >> 16),
                                 (unsigned char)(message->size >> 8), (unsigned char)message->size};
        put_bytes(to, head, sizeof head);
    }
}

static void put_body(struct output *output, const unsigned char *data, size_t size)
{
    struct buffer *to = &output->buffer;
    if (config.output == OUTPUT_HEX)
        put_hex(to, data, size);
    else if (config.output == OUTPUT_JSON && output->as_text)
        put_json(to, data, size);
    else if (config.output == OUTPUT_JSON)
        put_base64(to, data, size);
    else if (config.output == OUTPUT_TEXT && output->is_terminal)
        put_visible(output, data, size, output->at);
    else
        put_bytes(to, data, size);
}

static void put_tail(struct buffer *to)
{
    if (config.output == OUTPUT_JSON)
        put_bytes(to, "\"}\n", 3);
    else if (config.output == OUTPUT_TEXT || config.output == OUTPUT_HEX)
        put_bytes(to, "\n", 1);
}

bool format_piece(struct output *output, const pipc_msg_t *message)
{
    size_t left = message->size - output->at;
    size_t size = left < format_piece_size ? left : format_piece_size;
    if (buffer_reserve(&output->buffer, size * format_growth + 2 * format_slack) == -1) {
        output->failed = true;
        output->code = CODE_LOCAL;
        return false;
    }
    if (!output->started)
        put_head(output, message);
    if (size > 0)
        put_body(output, (const unsigned char *)message->data + output->at, size);
    output->at += size;
    if (size < left)
        return false;
    put_tail(&output->buffer);
    return true;
}
