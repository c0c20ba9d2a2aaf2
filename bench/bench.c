/* SPDX-License-Identifier: MIT */
/*
 * The driver: which contenders do which work, round after round, and one line of CSV for each. In
 * each round every contender does each kind of work once, every other round in the opposite order,
 * so that what disturbs the machine for a while falls on neighbours in the file alike. It judges
 * nothing: the scripts beside it read the CSV.
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define BATCH_SIZE_MAX 65536 /* larger messages gain nothing from going in batches */
#define BUSY_FACTOR    2     /* times as long, since turns of the busy loops take milliseconds */

static const struct contender with_python[] = {
    {.library = "Python",
     .transport = "Pipe",
     .style = "plain",
     .setup = "multiprocessing.Pipe, send_bytes"},
    {0},
};

static const struct contender *const tables[] = {
    with_pipc,    with_raw, with_framed, with_packets, with_ring,
#ifdef BENCH_ZMQ
    with_zmq,
#endif
#ifdef BENCH_NNG
    with_nng,
#endif
#ifdef BENCH_NANOMSG
    with_nanomsg,
#endif
#ifdef BENCH_BOOST
    with_boost,
#endif
    with_python,
};

static const char *const work_names[] = {"oneway", "roundtrip"}; /* by whether it is a round trip */

static const struct {
    const char *option, *name;
} settings[SETTINGS] = {{"one", "one core"}, {"two", "two cores"}, {"busy", "busy cores"}};

static struct {
    const struct contender *all[64];
    size_t count;
} contenders;

/* ---- one measurement ---- */

static bool is_python(const struct contender *contender)
{
    return contender->join == NULL;
}

struct row {
    unsigned round;
    const char *library, *transport, *style, *work, *setting;
    size_t size;
};

static void print_value(const struct row *row, const char *metric, double value)
{
    printf("%u,%s,%s,\"%s\",%s,%s,%zu,%s,%.6g\n", row->round, row->library, row->transport,
           row->style, row->work, row->setting, row->size, metric, value);
    fflush(stdout);
}

static void report_failure(const struct row *row)
{
    fprintf(stderr, "bench: left out, since it failed: %s %s, %s, %s, %s, %zu bytes\n",
            row->library, row->transport, row->style, row->work, row->setting, row->size);
}

static const char *lack(const struct contender *contender, size_t size)
{
    return contender->lacks != NULL ? contender->lacks(size) : NULL;
}

static bool applies(const struct contender *contender, const struct job *job)
{
    if (is_python(contender) && (plan.python == NULL || plan.count > 0))
        return false;
    if (contender->send_many != NULL && (job->roundtrip || job->size > BATCH_SIZE_MAX))
        return false;
    return lack(contender, job->size) == NULL;
}

static void measure(unsigned round, const struct contender *contender, const struct job *job)
{
    struct row row = {round,
                      contender->library,
                      contender->transport,
                      contender->style,
                      work_names[job->roundtrip],
                      settings[job->setting].name,
                      job->size};
    struct cost cost = {0, 0};
    if (!applies(contender, job))
        return;
    if (!(is_python(contender) ? python_run(plan.python, job, &cost)
                               : cell_run(contender, job, &cost)))
        report_failure(&row);
    else if (plan.count == 0) {
        print_value(&row, "ns", cost.ns);
        print_value(&row, "cpu ns", cost.cpu_ns);
    }
}

static void weigh(const struct contender *contender)
{
    struct row row = {0, contender->library, contender->transport, contender->style, "idle", "-",
                      0};
    struct idle idle;
    if (is_python(contender) || strcmp(contender->style, "plain") != 0)
        return;
    if (!idle_run(contender, plan.idle, &idle)) {
        report_failure(&row);
        return;
    }
    print_value(&row, "bytes opened", idle.opened);
    print_value(&row, "bytes used", idle.used);
    if (idle.after_large >= 0)
        print_value(&row, "bytes after 1 MiB", idle.after_large);
}

/* ---- connections ---- */

static void time_opening(unsigned round, const struct opener *opener)
{
    struct row row = {round, opener->library, opener->transport, "plain", "open", "one core", 0};
    double ns;
    if (!is_chosen(opener->library, opener->transport, "plain"))
        return;
    if (open_run(opener, &ns))
        print_value(&row, "ns", ns);
    else
        report_failure(&row);
}

static void serve_many(unsigned round, const struct service *service)
{
    struct row row = {round,  service->library, service->transport, "plain",
                      "many", "two cores",      plan.many};
    struct many many;
    if (!is_chosen(service->library, service->transport, "plain"))
        return;
    if (!many_run(service, plan.many, plan.seconds, &many)) {
        report_failure(&row);
        return;
    }
    print_value(&row, "ns", many.ns);
    print_value(&row, "bytes used", many.bytes);
    print_value(&row, "descriptors", many.descriptors);
}

static void do_connections(unsigned round)
{
    if (is_listed(plan.work, "open"))
        for (const struct opener *opener = openers; opener->library != NULL; opener++)
            time_opening(round, opener);
    if (!is_listed(plan.work, "many") || plan.many == 0)
        return;
    for (size_t i = 0; services_pipc[i].library != NULL; i++) {
        serve_many(round, round % 2 == 0 ? &services_pipc[i] : &services_raw[i]);
        serve_many(round, &services_nested[i]);
        serve_many(round, round % 2 == 0 ? &services_raw[i] : &services_pipc[i]);
    }
}

/* ---- all of them ---- */

static void measure_all(unsigned round, const struct job *job)
{
    for (size_t i = 0; i < contenders.count; i++)
        measure(round, contenders.all[round % 2 == 0 ? i : contenders.count - 1 - i], job);
}

static void do_setting(unsigned round, enum setting setting)
{
    struct job job = {.setting = setting,
                      .sum_all = plan.sum_all != 0,
                      .seconds = plan.seconds * (setting == BUSY_CORES ? BUSY_FACTOR : 1),
                      .count = plan.count};
    for (size_t s = 0; s < plan.size_count; s++)
        for (int roundtrip = 1; roundtrip >= 0; roundtrip--) {
            job.roundtrip = roundtrip != 0;
            job.size = plan.sizes[s];
            if (is_listed(plan.work, work_names[roundtrip]))
                measure_all(round, &job);
        }
}

static void do_settings(unsigned round)
{
    size_t cores[2];
    for (enum setting setting = ONE_CORE; setting < SETTINGS; setting++) {
        if (!is_listed(plan.settings, settings[setting].option) ||
            (setting != ONE_CORE && find_cores(cores) < 2))
            continue;
        fprintf(stderr, "bench: round %u of %u, %s\n", round + 1, plan.rounds,
                settings[setting].name);
        if (setting == BUSY_CORES)
            busy_begin();
        do_setting(round, setting);
        if (setting == BUSY_CORES)
            busy_end();
    }
}

static void one_round(unsigned round)
{
    if (is_listed(plan.work, work_names[0]) || is_listed(plan.work, work_names[1]))
        do_settings(round);
    if (plan.count == 0)
        do_connections(round);
}

static void list(void)
{
    for (size_t i = 0; i < contenders.count; i++) {
        const struct contender *c = contenders.all[i];
        printf("%s/%s/%s\t%s\n", c->library, c->transport, c->style, c->setup);
    }
    for (const struct opener *o = openers; o->library != NULL; o++)
        if (is_chosen(o->library, o->transport, "plain"))
            printf("%s/%s/plain, open\t%s\n", o->library, o->transport, o->setup);
}

static void report_lacks(const struct contender *contender)
{
    for (size_t s = 0; s < plan.size_count; s++) {
        const char *why = lack(contender, plan.sizes[s]);
        if (why != NULL)
            fprintf(stderr, "bench: %s %s does not do %zu bytes: %s\n", contender->library,
                    contender->transport, plan.sizes[s], why);
    }
}

static void choose_contenders(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct contender *c = tables[t]; c->library != NULL; c++)
            if (is_chosen(c->library, c->transport, c->style) &&
                contenders.count < sizeof contenders.all / sizeof *contenders.all)
                contenders.all[contenders.count++] = c;
}

int main(int count, char **arguments)
{
    parse_options(count, arguments);
    choose_contenders();
    if (plan.list) {
        list();
        return 0;
    }
    catch_stop();
    make_folder();
    if (plan.count > 0)
        plan.rounds = 1;
    else
        puts("round,library,transport,style,work,setting,bytes,metric,value");
    for (size_t i = 0; i < contenders.count; i++)
        report_lacks(contenders.all[i]);
    for (unsigned round = 0; round < plan.rounds; round++)
        one_round(round);
    for (size_t i = 0; i < contenders.count && plan.count == 0; i++)
        if (is_listed(plan.work, "idle") && plan.idle > 0)
            weigh(contenders.all[i]);
    return 0;
}
