/* SPDX-License-Identifier: MIT */
/* Text for people, and JSON. All that others have named is escaped. */
#include "inspect.h"
#include <inttypes.h>
#include <stdio.h>

static const char *kind_text(enum kind kind)
{
    static const char *const text[] = {"pipc_open", "shared", "memory", "pipe",
                                       "fifo",      "unix",   "tcp"};
    return text[kind];
}

static const char *ways_text(const struct row *row)
{
    return row->reads && row->writes ? "both" : row->reads ? "in" : row->writes ? "out" : "none";
}

static const char *waits_text(unsigned waits)
{
    switch (waits & (WAITS_BYTES | WAITS_ROOM)) {
    case WAITS_BYTES:
        return "bytes";
    case WAITS_ROOM:
        return "room";
    case WAITS_BYTES | WAITS_ROOM:
        return "both";
    default:
        return (waits & WAITS_UNKNOWN) != 0 ? "unknown" : "-";
    }
}

/* Printable ASCII stays, but for what means something to the reader. */
static void put_escaped(const char *text, const char *form, const char *special)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        bool is_special = false;
        for (const char *s = special; *s != '\0'; s++)
            is_special = is_special || *c == (unsigned char)*s;
        if (*c < ' ' || *c > '~' || is_special)
            printf(form, *c);
        else
            putchar(*c);
    }
}

static void put_name(pid_t pid)
{
    char name[NAME_SIZE];
    process_name(pid, name);
    printf("%ld (", (long)pid);
    put_escaped(name, "\\x%02x", "\\()");
    putchar(')');
}

static void put_bytes(int64_t bytes)
{
    if (bytes < 0)
        printf(" %10s", bytes == NONE ? "-" : "unknown");
    else
        printf(" %10" PRId64, bytes);
}

static void put_row(const struct target *target, const struct row *row)
{
    printf("%-9s ", kind_text(row->kind));
    if (row->fd >= 0)
        printf("%5d", row->fd);
    else
        printf("%5s", "-");
    printf(" %-4s", ways_text(row));
    put_bytes(row->unread);
    put_bytes(row->unread_peer);
    printf(" %-7s %-10s ", waits_text(row->waits), waits_text(row->peer_waits));
    for (size_t i = 0; i < row->peer_count && i < PEERS_MAX; i++) {
        printf("%s", i == 0 ? "" : ", ");
        if (row->peers[i] == target->pid)
            printf("itself");
        else
            put_name(row->peers[i]);
    }
    if (row->peer_count > PEERS_MAX)
        printf(", and %zu more", row->peer_count - PEERS_MAX);
    if (row->state[0] != '\0')
        printf("%s%s", row->peer_count > 0 ? "; " : "", row->state);
    if (row->address[0] != '\0') {
        printf("%s", row->peer_count > 0 || row->state[0] != '\0' ? "; " : "");
        put_escaped(row->address, "\\x%02x", "\\");
    }
    printf("%s\n", row->peer_count == 0 && row->state[0] == '\0' && row->address[0] == '\0'
                       ? "unknown"
                       : "");
}

void print_text(const struct target *target, const struct list *list)
{
    put_name(target->pid);
    printf(": %zu\n%-9s %5s %-4s %10s %10s %-7s %-10s %s\n", list->count, "KIND", "FD", "WAY",
           "UNREAD", "PEER'S", "WAITS", "PEER WAITS", "PEER");
    for (size_t i = 0; i < list->count; i++)
        put_row(target, &list->rows[i]);
}

/* ---- JSON ---- */

static void put_string(const char *key, const char *text)
{
    printf("\"%s\":\"", key);
    put_escaped(text, "\\u%04x", "\"\\");
    putchar('"');
}

static void put_number(const char *key, int64_t number)
{
    if (number < 0)
        printf(",\"%s\":null", key);
    else
        printf(",\"%s\":%" PRId64, key, number);
}

static void put_process(pid_t pid)
{
    char name[NAME_SIZE];
    process_name(pid, name);
    printf("{\"pid\":%ld,", (long)pid);
    put_string("command", name);
    putchar('}');
}

static void put_json_row(const struct row *row)
{
    printf("{\"kind\":\"%s\"", kind_text(row->kind));
    put_number("fd", row->fd);
    printf(",\"way\":\"%s\"", ways_text(row));
    put_number("unread", row->unread);
    put_number("peer_unread", row->unread_peer);
    printf(",\"waits\":\"%s\",\"peer_waits\":\"%s\",\"peers\":[", waits_text(row->waits),
           waits_text(row->peer_waits));
    for (size_t i = 0; i < row->peer_count && i < PEERS_MAX; i++) {
        printf("%s", i == 0 ? "" : ",");
        put_process(row->peers[i]);
    }
    printf("],");
    put_string("state", row->state);
    putchar(',');
    put_string("address", row->address);
    putchar('}');
}

void print_json(const struct target *target, const struct list *list)
{
    printf("{\"process\":");
    put_process(target->pid);
    printf(",\"pipes\":[");
    for (size_t i = 0; i < list->count; i++) {
        printf("%s\n", i == 0 ? "" : ",");
        put_json_row(&list->rows[i]);
    }
    printf("]}\n");
}
