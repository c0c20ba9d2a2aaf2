/* SPDX-License-Identifier: MIT */
/*
 * The driver: which contenders do which work, round after round, and one line of CSV for each. In
 * each round every contender does each kind of work once, every other round in the opposite order,
 * so that what disturbs the machine for a while falls on neighbours in the file alike. It judges
 * nothing: the scripts beside it read the CSV.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define BATCH_SIZE_MAX 65536 /* larger messages gain nothing from going in batches */

static const char usage[] =
    "usage: bench [OPTION]...\n"
    "  --list           name the contenders and how they are set up\n"
    "  --only PATTERNS  these contenders: LIBRARY/TRANSPORT/STYLE, with * and ?, separated by "
    "semicolons\n"
    "  --work NAMES     of roundtrip1 (both on one core), roundtrip2 (on two), oneway (on two)\n"
    "  --sizes BYTES    of messages: multiples of 8, with K or M; default 16,1K,64K,1M\n"
    "  --rounds N       default 7\n"
    "  --seconds S      for each measurement; default 0.15\n"
    "  --quick          3 short rounds, 16 bytes and 64 KiB, 100 idle connections\n"
    "  --sum-all        add up all bytes also while the clock runs\n"
    "  --idle N         connections to weigh when idle; 0: none; default 1000\n"
    "  --count N        nothing but N messages for each, without a clock: to run under other "
    "tools\n"
    "  --python FILE    the program that does the work in Python\n"
    "CSV goes to standard output.\n";

static const struct contender with_python[] = {
    {.library = "Python",
     .transport = "Pipe",
     .style = "plain",
     .setup = "multiprocessing.Pipe, send_bytes"},
    {0},
};

static const struct contender *const tables[] = {
    with_pipc,    with_raw,
#ifdef BENCH_ZMQ
    with_zmq,
#endif
#ifdef BENCH_NNG
    with_nng,
#endif
#ifdef BENCH_NANOMSG
    with_nanomsg,
#endif
    with_python,
};

static const struct work {
    const char *option, *name;
    bool roundtrip, one_core;
} works[] = {
    {"roundtrip1", "roundtrip", true, true},
    {"roundtrip2", "roundtrip", true, false},
    {"oneway", "oneway", false, false},
};

static struct {
    const struct contender *contenders[64];
    size_t contender_count;
    size_t sizes[16];
    size_t size_count;
    const char *only, *work, *python;
    unsigned rounds, idle;
    double seconds;
    size_t count;
    int sum_all, list;
} plan = {.only = "*",
          .work = "roundtrip1,roundtrip2,oneway",
          .rounds = 7,
          .idle = 1000,
          .seconds = 0.15};

/* ---- for the other parts ---- */

void fail(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    _exit(1);
}

pid_t fork_or_fail(void)
{
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    return child;
}

bool child_succeeded(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            fail("waitpid");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static char folder[] = "/tmp/bench-XXXXXX";

static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        fail("a free port");
    close(fd);
    return ntohs(address.sin_port);
}

void link_start(struct link *link, const struct contender *contender, size_t size)
{
    static unsigned number;
    *link = (struct link){.contender = contender, .size = size, .port = free_port()};
    snprintf(link->path, sizeof link->path, "%s/%u", folder, number++);
}

void link_url(const struct link *link, char *url, size_t size)
{
    if (strcmp(link->contender->transport, "tcp") == 0)
        snprintf(url, size, "tcp://127.0.0.1:%u", link->port);
    else
        snprintf(url, size, "ipc://%s", link->path);
}

void link_sweep(const struct link *link)
{
    unlink(link->path);
}

static void remove_folder(void)
{
    rmdir(folder);
}

/* ---- one measurement ---- */

static bool is_python(const struct contender *contender)
{
    return contender->join == NULL;
}

static bool run_python(const struct job *job, struct cost *cost)
{
    char command[512];
    if (plan.python == NULL || job->count > 0)
        return false;
    snprintf(command, sizeof command, "python3 '%s' %s %d %zu %g", plan.python,
             job->roundtrip ? "roundtrip" : "oneway", job->one_core ? 1 : 2, job->size,
             job->seconds);
    FILE *pipe = popen(command, "r");
    bool done = pipe != NULL && fscanf(pipe, "%lf %lf", &cost->ns, &cost->cpu_ns) == 2;
    return pipe != NULL && pclose(pipe) == 0 && done;
}

static void print_line(unsigned round, const struct contender *c, const char *work, int cores,
                       size_t size, const char *metric, double value)
{
    printf("%u,%s,%s,\"%s\",%s,%d,%zu,%s,%.6g\n", round, c->library, c->transport, c->style, work,
           cores, size, metric, value);
    fflush(stdout);
}

static bool applies(const struct contender *contender, const struct work *work, size_t size)
{
    if (contender->send_many == NULL)
        return true;
    return !work->roundtrip && size <= BATCH_SIZE_MAX;
}

static void measure(unsigned round, const struct contender *contender, const struct work *work,
                    size_t size)
{
    struct job job = {.roundtrip = work->roundtrip,
                      .one_core = work->one_core,
                      .sum_all = plan.sum_all != 0,
                      .size = size,
                      .seconds = plan.seconds,
                      .count = plan.count};
    struct cost cost = {0, 0};
    if (!applies(contender, work, size))
        return;
    if (!(is_python(contender) ? run_python(&job, &cost) : cell_run(contender, &job, &cost)))
        fprintf(stderr, "bench: left out, since it failed: %s, %s, %s, %s, %zu bytes\n",
                contender->library, contender->transport, contender->style, work->option, size);
    else if (plan.count == 0) {
        print_line(round, contender, work->name, work->one_core ? 1 : 2, size, "ns", cost.ns);
        print_line(round, contender, work->name, work->one_core ? 1 : 2, size, "cpu ns",
                   cost.cpu_ns);
    }
}

static void weigh(const struct contender *contender)
{
    struct idle idle;
    if (is_python(contender) || strcmp(contender->style, "plain") != 0)
        return;
    if (!idle_run(contender, plan.idle, &idle)) {
        fprintf(stderr, "bench: left out, since it failed: %s, %s, idle\n", contender->library,
                contender->transport);
        return;
    }
    print_line(0, contender, "idle", 0, 0, "bytes opened", idle.opened);
    print_line(0, contender, "idle", 0, 0, "bytes used", idle.used);
    if (idle.after_large >= 0)
        print_line(0, contender, "idle", 0, 0, "bytes after 1 MiB", idle.after_large);
}

/* ---- all of them ---- */

static bool is_wanted(const struct work *work)
{
    size_t cores[2];
    return strstr(plan.work, work->option) != NULL && (work->one_core || cell_cores(cores));
}

static void measure_all(unsigned round, const struct work *work, size_t size)
{
    for (size_t i = 0; i < plan.contender_count; i++)
        measure(round, plan.contenders[round % 2 == 0 ? i : plan.contender_count - 1 - i], work,
                size);
}

static void one_round(unsigned round)
{
    fprintf(stderr, "bench: round %u of %u\n", round + 1, plan.rounds);
    for (size_t s = 0; s < plan.size_count; s++)
        for (size_t w = 0; w < sizeof works / sizeof *works; w++)
            if (is_wanted(&works[w]))
                measure_all(round, &works[w], plan.sizes[s]);
}

static void list(void)
{
    for (size_t i = 0; i < plan.contender_count; i++) {
        const struct contender *c = plan.contenders[i];
        printf("%s/%s/%s\t%s\n", c->library, c->transport, c->style, c->setup);
    }
}

/* ---- options ---- */

static bool matches(const struct contender *contender)
{
    char name[128], patterns[512], *rest = patterns, *pattern;
    snprintf(name, sizeof name, "%s/%s/%s", contender->library, contender->transport,
             contender->style);
    snprintf(patterns, sizeof patterns, "%s", plan.only);
    while ((pattern = strtok_r(rest, ";", &rest)) != NULL)
        if (fnmatch(pattern, name, 0) == 0)
            return true;
    return false;
}

static void choose_contenders(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct contender *c = tables[t]; c->library != NULL; c++)
            if (matches(c) &&
                plan.contender_count < sizeof plan.contenders / sizeof *plan.contenders)
                plan.contenders[plan.contender_count++] = c;
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

static void be_quick(void)
{
    plan.rounds = 3;
    plan.seconds = 0.02;
    plan.idle = 100;
    parse_sizes("16,64K");
}

static const struct option options[] = {
    {"list", no_argument, &plan.list, 1},
    {"only", required_argument, NULL, 'o'},
    {"work", required_argument, NULL, 'w'},
    {"sizes", required_argument, NULL, 's'},
    {"rounds", required_argument, NULL, 'r'},
    {"seconds", required_argument, NULL, 't'},
    {"quick", no_argument, NULL, 'q'},
    {"sum-all", no_argument, &plan.sum_all, 1},
    {"idle", required_argument, NULL, 'i'},
    {"count", required_argument, NULL, 'c'},
    {"python", required_argument, NULL, 'p'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void parse_options(int count, char **arguments)
{
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;)
        switch (option) {
        case 'o':
            plan.only = optarg;
            break;
        case 'w':
            plan.work = optarg;
            break;
        case 's':
            parse_sizes(optarg);
            break;
        case 'r':
            plan.rounds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 't':
            plan.seconds = strtod(optarg, NULL);
            break;
        case 'q':
            be_quick();
            break;
        case 'i':
            plan.idle = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'c':
            plan.count = strtoul(optarg, NULL, 10);
            break;
        case 'p':
            plan.python = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        case 0:
            break;
        default:
            refuse();
        }
    if (optind < count)
        refuse();
}

int main(int count, char **arguments)
{
    parse_sizes("16,1K,64K,1M");
    parse_options(count, arguments);
    choose_contenders();
    if (plan.list) {
        list();
        return 0;
    }
    if (mkdtemp(folder) == NULL || atexit(remove_folder) != 0)
        fail(folder);
    if (plan.count > 0)
        plan.rounds = 1;
    else
        puts("round,library,transport,style,work,cores,bytes,metric,value");
    for (unsigned round = 0; round < plan.rounds; round++)
        one_round(round);
    for (size_t i = 0; i < plan.contender_count && plan.idle > 0 && plan.count == 0; i++)
        weigh(plan.contenders[i]);
    return 0;
}
