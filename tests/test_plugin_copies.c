/* SPDX-License-Identifier: MIT */
/*
 * A program with several copies of the library: a shared one, and static ones inside plug-ins. A
 * handle that one copy made is used through another.
 */
#include "plugin/load.h"

/* A side that takes its end, talks and leaves, through one copy; the handle may be another's. */
static int play_a_side(void *arg)
{
    struct listener *me = arg;
    assert_int_equal(me->lib->set_timeout(me->pipe, HARNESS_TIMEOUT_MS, HARNESS_TIMEOUT_MS), 0);
    assert_int_equal(me->lib->write(me->pipe, "x", 1), 1);
    listen_to_the_end(me);
    me->lib->close(me->pipe);
    return 0;
}

static void *play_a_side_in_thread(void *arg)
{
    play_a_side(arg);
    return NULL;
}

static void talk(struct listener *here, struct listener *there)
{
    char text[8];
    assert_int_equal(here->lib->read(here->pipe, text, sizeof text), 1);
    assert_int_equal(here->lib->write(here->pipe, "x", 1), 1);
    assert_int_equal(there->lib->disconnect(here->pipe, NULL), 0); /* the same end, by any copy */
    assert_int_equal(here->lib->read(here->pipe, text, sizeof text), -1);
    assert_int_equal(errno, ESHUTDOWN);
}

/* Two sides use a handle that maker made, in two processes and in two threads. */
static void talk_through(const struct plugin *maker, const struct plugin *here,
                         const struct plugin *there)
{
    struct listener one = {here, maker->open(NULL)}, other = {there, one.pipe};
    assert_int_equal(here->set_timeout(one.pipe, HARNESS_TIMEOUT_MS, -1), 0);
    pid_t child = harness_fork(play_a_side, &other);
    talk(&one, &other);
    assert_int_equal(harness_wait(child), 0);
    here->close(one.pipe);

    pthread_t thread;
    one.pipe = other.pipe = maker->open(NULL);
    assert_int_equal(here->set_timeout(one.pipe, HARNESS_TIMEOUT_MS, -1), 0);
    assert_int_equal(pthread_create(&thread, NULL, play_a_side_in_thread, &other), 0);
    talk(&one, &other);
    assert_int_equal(pthread_join(thread, NULL), 0);
    here->close(one.pipe);
}

static void pass_through_a_pair(const struct plugin *maker, const struct plugin *user)
{
    char text[8];
    pipc_t *end[2];
    assert_int_equal(maker->open_pair(end, NULL), 0);
    assert_int_equal(user->write(end[0], "x", 1), 1);
    assert_true(harness_readable(user->fd(end[1]), HARNESS_TIMEOUT_MS));
    assert_int_equal(maker->read(end[1], text, sizeof text), 1);
    assert_int_equal(user->disconnect(end[1], NULL), 0);
    assert_errno(user->read(end[0], text, sizeof text), ESHUTDOWN);
    user->close(end[0]);
    maker->close(end[1]);
}

TEST(a_handle_works_through_each_copy_of_the_library)
{
    harness_skip_in_qemu("a child gets its parent's token: qemu knows no MADV_DONTFORK");
    struct module modules[3] = {load("plugin_static"), load("plugin_shared"),
                                load("plugin_static")};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            pass_through_a_pair(modules[i].lib, modules[j].lib);
            talk_through(modules[i].lib, modules[i].lib, modules[j].lib);
            talk_through(modules[i].lib, modules[j].lib, modules[i].lib);
        }
    for (int i = 0; i < 3; i++)
        unload(&modules[i]);
}

static void *write_and_end(void *arg)
{
    struct listener *me = arg;
    assert_int_equal(me->lib->write(me->pipe, "x", 1), 1);
    return NULL;
}

TEST(the_end_of_a_thread_is_detected_for_each_copy_of_the_library)
{
    struct module modules[2] = {load("plugin_static"), load("plugin_shared")};
    char text[8];
    for (int i = 0; i < 2; i++) {
        const struct plugin *maker = modules[i].lib;
        struct listener ends = {modules[1 - i].lib, maker->open(NULL)};
        pthread_t thread;
        assert_int_equal(maker->set_timeout(ends.pipe, HARNESS_TIMEOUT_MS, -1), 0);
        assert_int_equal(pthread_create(&thread, NULL, write_and_end, &ends), 0);
        assert_int_equal(maker->read(ends.pipe, text, sizeof text), 1);
        assert_errno(maker->read(ends.pipe, text, sizeof text), EPIPE);
        assert_int_equal(pthread_join(thread, NULL), 0);
        maker->close(ends.pipe);
    }
    for (int i = 0; i < 2; i++)
        unload(&modules[i]);
}

/* A handle begins with an address that differs between versions. */
TEST(a_handle_of_another_version_is_refused)
{
    char text[8];
    pipc_t *pipe = pipc_open(NULL);
    assert_non_null(pipe);
    const size_t *version;
    memcpy(&version, pipe, sizeof version);
    size_t another = *version + 1;
    const void *strange[8] = {&another};
    pipc_t *other = (pipc_t *)(void *)strange;
    assert_errno(pipc_write(other, "hello", 5), EINVAL);
    assert_errno(pipc_read(other, text, sizeof text), EINVAL);
    assert_errno(pipc_pending(other), EINVAL);
    assert_errno(pipc_fd(other), EINVAL);
    assert_errno(pipc_set_timeout(other, 0, 0), EINVAL);
    assert_errno(pipc_shutdown(other), EINVAL);
    assert_errno(pipc_disconnect(other, "bye"), EINVAL);
    assert_null(pipc_bye_text(other));
    pipc_close(other);
    pipc_close(pipe);
}

HARNESS_MAIN("plugin_copies", IT(a_handle_works_through_each_copy_of_the_library),
             IT(the_end_of_a_thread_is_detected_for_each_copy_of_the_library),
             IT(a_handle_of_another_version_is_refused))
