/* SPDX-License-Identifier: MIT */
/* What to measure: the plan that the command line makes. */
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static const char usage[] =
    "usage: bench [OPTION]...\n"
    "  --list           name the contenders and how they are set up\n"
    "  --only PATTERNS  these contenders: LIBRARY/TRANSPORT/STYLE, with * and ?, separated by\n"
    "                   semicolons\n"
    "  --work NAMES     of roundtrip, oneway; open (connections, one after the other), many (a\n"
    "                   server of many connections), idle (memory); default: all\n"
    "  --setting NAMES  of one (both processes on one core), two (on two cores), busy (on two\n"
    "                   cores, each with a busy loop as well); default: all\n"
    "  --sizes BYTES    of messages: multiples of 8, with K or M; default\n"
    "                   16,256,1K,4K,16K,64K,256K,1M,16M\n"
    "  --rounds N       default 5\n"
    "  --seconds S      for each measurement; default 0.05; twice as long on busy cores\n"
    "  --quick          2 short rounds, 16 bytes and 64 KiB, 100 connections\n"
    "  --sum-all        add up all bytes also while the clock runs\n"
    "  --idle N         connections to weigh when idle; default 1000\n"
    "  --many N         connections of the server; default 1000\n"
    "  --count N        nothing but N messages for each, without a clock: to run under other\n"
    "                   tools\n"
    "  --python FILE    the program that does the work in Python\n"
    "CSV goes to standard output.\n";

struct plan plan = {.only = "*",
                    .work = "roundtrip,oneway,open,many,idle",
                    .settings = "one,two,busy",
                    .rounds = 5,
                    .idle = 1000,
                    .many = 1000,
                    .seconds = 0.05};

bool is_listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

bool is_chosen(const char *library, const char *transport, const char *style)
{
    char name[128], patterns[512], *rest = patterns, *pattern;
    snprintf(name, sizeof name, "%s/%s/%s", library, transport, style);
    snprintf(patterns, sizeof patterns, "%s", plan.only);
    while ((pattern = strtok_r(rest, ";", &rest)) != NULL)
        if (fnmatch(pattern, name, 0) == 0)
            return true;
    return false;
}

static _Noreturn void refuse(void)
{
    fputs(usage, stderr);
    exit(2);
}

static void parse_sizes(const char *text)
{
    plan.size_count = 0;
    while (*text != '\0' && plan.size_count < sizeof plan.sizes / sizeof *plan.sizes) {
        char *end;
        size_t size = strtoul(text, &end, 10);
        if (*end == 'K' || *end == 'M')
            size <<= *end++ == 'K' ? 10 : 20;
        if (size < 16 || size % 8 != 0 || (*end != ',' && *end != '\0'))
            refuse();
        plan.sizes[plan.size_count++] = size;
        text = *end == ',' ? end + 1 : end;
    }
}

/* Each name of a list is one of those known. */
static const char *parse_names(const char *list, const char *known)
{
    char copy[256], *rest = copy, *name;
    if (strlen(list) >= sizeof copy)
        refuse();
    strcpy(copy, list);
    while ((name = strtok_r(rest, ",", &rest)) != NULL)
        if (!is_listed(known, name))
            refuse();
    return list;
}

static unsigned parse_number(const char *text)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (*end != '\0' || end == text || number > 1000000)
        refuse();
    return (unsigned)number;
}

static void be_quick(void)
{
    plan.rounds = 2;
    plan.seconds = 0.01;
    plan.idle = plan.many = 100;
    parse_sizes("16,64K");
}

static const struct option options[] = {
    {"list", no_argument, &plan.list, 1},
    {"only", required_argument, NULL, 'o'},
    {"work", required_argument, NULL, 'w'},
    {"setting", required_argument, NULL, 'e'},
    {"sizes", required_argument, NULL, 's'},
    {"rounds", required_argument, NULL, 'r'},
    {"seconds", required_argument, NULL, 't'},
    {"quick", no_argument, NULL, 'q'},
    {"sum-all", no_argument, &plan.sum_all, 1},
    {"idle", required_argument, NULL, 'i'},
    {"many", required_argument, NULL, 'm'},
    {"count", required_argument, NULL, 'c'},
    {"python", required_argument, NULL, 'p'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void take_text(int option, const char *text)
{
    switch (option) {
    case 'o':
        plan.only = text;
        break;
    case 'w':
        plan.work = parse_names(text, plan.work);
        break;
    case 'e':
        plan.settings = parse_names(text, plan.settings);
        break;
    case 's':
        parse_sizes(text);
        break;
    case 't':
        plan.seconds = strtod(text, NULL);
        break;
    case 'p':
        plan.python = text;
        break;
    default:
        refuse();
    }
}

void parse_options(int count, char **arguments)
{
    parse_sizes("16,256,1K,4K,16K,64K,256K,1M,16M");
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;)
        switch (option) {
        case 0:
            break;
        case 'r':
            plan.rounds = parse_number(optarg);
            break;
        case 'i':
            plan.idle = parse_number(optarg);
            break;
        case 'm':
            plan.many = parse_number(optarg);
            break;
        case 'c':
            plan.count = parse_number(optarg);
            break;
        case 'q':
            be_quick();
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            take_text(option, optarg);
        }
    if (optind < count)
        refuse();
}
