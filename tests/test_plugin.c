/* SPDX-License-Identifier: MIT */
/*
 * The library inside plug-ins, static or shared. They are loaded and unloaded while threads that
 * used them live on.
 */
#include "plugin/load.h"

#include <semaphore.h>

static const char *const ways[] = {"plugin_static", "plugin_shared"};
enum { way_count = sizeof ways / sizeof ways[0] };

/* --- Threads that outlive the plug-in --------------------------------------------------------- */

static void *load_use_unload(void *name)
{
    struct module module = load(name);
    use(module.lib);
    unload(&module);
    return NULL;
}

TEST(a_thread_that_used_a_plugin_can_end_after_the_plugin_is_unloaded)
{
    for (int i = 0; i < way_count; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, load_use_unload, (void *)ways[i]), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

enum { worker_count = 4 };

/* Threads that run the given functions, one at a time. */
struct worker {
    pthread_t thread;
    sem_t told, done;
    void (*task)(const struct plugin *lib); /* NULL: end */
    const struct plugin *lib;
};

static void *work(void *arg)
{
    struct worker *me = arg;
    for (;;) {
        while (sem_wait(&me->told) != 0)
            continue;
        if (me->task == NULL)
            return NULL;
        me->task(me->lib);
        sem_post(&me->done);
    }
}

static void start_workers(struct worker *workers)
{
    for (int i = 0; i < worker_count; i++) {
        assert_int_equal(sem_init(&workers[i].told, 0, 0), 0);
        assert_int_equal(sem_init(&workers[i].done, 0, 0), 0);
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
}

static void tell_workers(struct worker *workers, void (*task)(const struct plugin *lib),
                         const struct plugin *lib)
{
    for (int i = 0; i < worker_count; i++) {
        workers[i].task = task;
        workers[i].lib = lib;
        sem_post(&workers[i].told);
    }
    for (int i = 0; i < worker_count; i++)
        while (sem_wait(&workers[i].done) != 0)
            continue;
}

static void end_workers(struct worker *workers)
{
    for (int i = 0; i < worker_count; i++) {
        workers[i].task = NULL;
        sem_post(&workers[i].told);
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        sem_destroy(&workers[i].told);
        sem_destroy(&workers[i].done);
    }
}

/* Holds an end, and leaves it at that. */
static void take_an_end(const struct plugin *lib)
{
    pipc_t *pipe = lib->open(NULL);
    assert_non_null(pipe);
    assert_int_equal(lib->write(pipe, "x", 1), 1);
}

static int unload_under_holders(void *name)
{
    struct worker workers[worker_count];
    start_workers(workers);
    struct module module = load(name);
    tell_workers(workers, take_an_end, module.lib);
    unload(&module);
    end_workers(workers);
    return 0;
}

/* In a child, because what they hold is never given back. */
TEST(threads_that_hold_ends_can_outlive_the_plugin)
{
    for (int i = 0; i < way_count; i++)
        assert_int_equal(harness_wait(harness_fork(unload_under_holders, (void *)ways[i])), 0);
}

/* Three modules are unloaded in each order. Those that stay work, in threads that used all
 * three. */
static void unload_in_order(const int order[3])
{
    static const char *const names[3] = {"plugin_static", "plugin_shared", "plugin_static"};
    struct worker workers[worker_count];
    struct module modules[3];
    start_workers(workers);
    for (int i = 0; i < 3; i++) {
        modules[i] = load(names[i]);
        tell_workers(workers, use, modules[i].lib);
    }
    for (int i = 0; i < 3; i++) {
        unload(&modules[order[i]]);
        for (int j = i + 1; j < 3; j++)
            tell_workers(workers, use, modules[order[j]].lib);
    }
    struct module again = load(names[order[0]]);
    tell_workers(workers, use, again.lib);
    unload(&again);
    end_workers(workers);
}

TEST(plugins_are_loaded_and_unloaded_in_any_order_beside_threads)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int i = 0; i < 6; i++)
        unload_in_order(orders[i]);
}

/* --- What stays behind ------------------------------------------------------------------------ */

static int count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    int lines = 0;
    assert_non_null(maps);
    for (int c; (c = fgetc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

/* musl unloads nothing, and does not take this module, which has no code of the library. */
static bool dlclose_unloads(void)
{
    void *module = load_copy("static_tls");
    if (module == NULL || dlclose(module) != 0)
        return false;
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096];
    bool is_there = false;
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        is_there = is_there || strstr(line, "/pipc-plugin-") != NULL;
    fclose(maps);
    return !is_there;
}

TEST(a_plugin_can_be_reloaded_more_often_than_there_are_thread_keys)
{
    harness_need_proc();
    if (!dlclose_unloads())
        harness_skip("dlclose unloads nothing with this C library");
    harness_skip_in_qemu("qemu maps memory for itself");
    int rounds = harness_emulated() ? 20 : 1100;
    load_use_unload((void *)"plugin_static");
    int before = count_mappings();
    for (int i = 0; i < rounds; i++)
        load_use_unload((void *)"plugin_static");
    if (!harness_sanitized()) /* which map memory for themselves */
        assert_in_range(count_mappings(), 0, before + 10);
}

static int do_nothing(void *unused)
{
    (void)unused;
    return 0;
}

TEST(a_fork_after_an_unload_runs_nothing_of_the_plugin)
{
    for (int i = 0; i < way_count; i++) {
        load_use_unload((void *)ways[i]);
        assert_int_equal(harness_wait(harness_fork(do_nothing, NULL)), 0);
    }
}

static int use_in_child(void *lib)
{
    use(lib);
    return 0;
}

static int use_and_unload(void *arg)
{
    struct module *module = arg;
    use(module->lib);
    unload(module);
    return 0;
}

TEST(a_child_unloads_the_plugin_and_its_parent_continues_to_use_it)
{
    for (int i = 0; i < way_count; i++) {
        struct module module = load(ways[i]);
        use(module.lib);
        assert_int_equal(harness_wait(harness_fork(use_and_unload, &module)), 0);
        use(module.lib);
        assert_int_equal(harness_wait(harness_fork(use_in_child, (void *)module.lib)), 0);
        unload(&module);
    }
}

/* --- The end of a thread, and of the program -------------------------------------------------- */

/* A destructor of a thread's own key talks to a listener in another thread. */
struct last_words {
    const struct plugin *lib;
    pipc_t *pipe;
    pthread_key_t key;
};

static void say_last_words(void *arg)
{
    struct last_words *mine = arg;
    assert_int_equal(mine->lib->write(mine->pipe, "x", 1), 1);
    assert_int_equal(mine->lib->disconnect(mine->pipe, "from a destructor"), 0);
}

static void *end_with_last_words(void *arg)
{
    struct last_words *mine = arg;
    assert_int_equal(pthread_setspecific(mine->key, mine), 0);
    assert_int_equal(mine->lib->set_timeout(mine->pipe, -1, -1), 0); /* holds an end from here on */
    return NULL;
}

static void say_goodbye_at_the_end_of_a_thread(const char *name, bool key_first)
{
    struct last_words mine = {NULL, NULL, 0};
    if (key_first) /* keys are destroyed in the order in which they were made, on most systems */
        assert_int_equal(pthread_key_create(&mine.key, say_last_words), 0);
    struct module module = load(name);
    mine.lib = module.lib;
    use(module.lib);
    if (!key_first)
        assert_int_equal(pthread_key_create(&mine.key, say_last_words), 0);
    mine.pipe = module.lib->open(NULL);
    assert_non_null(mine.pipe);
    pthread_t speaker, hearer;
    struct listener listener = {module.lib, mine.pipe};
    assert_int_equal(pthread_create(&speaker, NULL, end_with_last_words, &mine), 0);
    assert_int_equal(pthread_create(&hearer, NULL, listen_to_the_end, &listener), 0);
    assert_int_equal(pthread_join(speaker, NULL), 0);
    assert_int_equal(pthread_join(hearer, NULL), 0);
    module.lib->close(mine.pipe);
    pthread_key_delete(mine.key);
    unload(&module);
}

TEST(a_goodbye_from_a_destructor_arrives_for_any_order_of_keys)
{
    for (int i = 0; i < way_count; i++) {
        say_goodbye_at_the_end_of_a_thread(ways[i], true);
        say_goodbye_at_the_end_of_a_thread(ways[i], false);
    }
}

/* At the program's end calls may fail, but nothing worse. */
static void *use_for_ever(void *arg)
{
    const struct plugin *lib = arg;
    for (;;) {
        pipc_t *pipe = lib->open(NULL);
        if (pipe == NULL)
            continue;
        lib->write(pipe, "x", 1);
        lib->disconnect(pipe, NULL);
        lib->close(pipe);
    }
    return NULL;
}

static int exit_while_threads_use_it(void *name)
{
    struct module module = load(name);
    pthread_t thread;
    for (int i = 0; i < worker_count; i++)
        assert_int_equal(pthread_create(&thread, NULL, use_for_ever, (void *)module.lib), 0);
    use(module.lib);
    exit(0); /* which runs what the modules have for their end */
}

TEST(a_program_can_end_while_threads_use_a_plugin)
{
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < way_count; i++)
            assert_int_equal(harness_wait(harness_fork(exit_while_threads_use_it, (void *)ways[i])),
                             0);
}

/* --- Thread-local variables ------------------------------------------------------------------- */

enum { most_eaters = 1000 };

TEST(a_plugin_can_be_loaded_when_no_static_thread_local_storage_is_left)
{
    void *eaters[most_eaters];
    int count = 0;
    while (count < most_eaters && (eaters[count] = load_copy("static_tls")) != NULL)
        count++;
    for (int i = 0; i < way_count; i++) {
        struct module module = load(ways[i]);
        use(module.lib);
        unload(&module);
    }
    while (count > 0)
        dlclose(eaters[--count]);
}

HARNESS_MAIN("plugin", IT(a_thread_that_used_a_plugin_can_end_after_the_plugin_is_unloaded),
             IT(threads_that_hold_ends_can_outlive_the_plugin),
             IT(plugins_are_loaded_and_unloaded_in_any_order_beside_threads),
             IT_WITHIN(a_plugin_can_be_reloaded_more_often_than_there_are_thread_keys, 120000),
             IT(a_fork_after_an_unload_runs_nothing_of_the_plugin),
             IT(a_child_unloads_the_plugin_and_its_parent_continues_to_use_it),
             IT(a_goodbye_from_a_destructor_arrives_for_any_order_of_keys),
             IT(a_program_can_end_while_threads_use_a_plugin),
             IT(a_plugin_can_be_loaded_when_no_static_thread_local_storage_is_left))
