/* SPDX-License-Identifier: MIT */
/*
 * Loads the plug-ins. Each load is a copy of the file under a name of its own, since the loader
 * would give the same module twice.
 */
#ifndef PIPC_TESTS_PLUGIN_LOAD_H
#define PIPC_TESTS_PLUGIN_LOAD_H

#include "../harness.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "plugin.h"

struct module {
    void *handle;
    const struct plugin *lib;
};

static inline void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 16];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    ssize_t size;
    if (in == -1 || out == -1)
        fail_msg("%s: %s", from, strerror(errno));
    while ((size = read(in, bytes, sizeof bytes)) > 0)
        assert_int_equal(write(out, bytes, (size_t)size), size);
    assert_int_equal(size, 0);
    close(in);
    close(out);
}

/* A fresh copy of PLUGIN_DIR/name.so, or NULL when the loader refuses it. */
static inline void *load_copy(const char *name)
{
    char folder[] = "/tmp/pipc-plugin-XXXXXX", from[4096], to[64];
    assert_non_null(mkdtemp(folder));
    snprintf(from, sizeof from, "%s/%s.so", PLUGIN_DIR, name);
    snprintf(to, sizeof to, "%s/plugin.so", folder);
    copy_file(from, to);
    void *handle = dlopen(to, RTLD_NOW | RTLD_LOCAL);
    unlink(to);
    rmdir(folder);
    return handle;
}

static inline struct module load(const char *name)
{
    struct module module = {load_copy(name), NULL};
    if (module.handle == NULL)
        fail_msg("%s: %s", name, dlerror());
    module.lib = dlsym(module.handle, "plugin");
    assert_non_null(module.lib);
    return module;
}

static inline void unload(struct module *module)
{
    assert_int_equal(dlclose(module->handle), 0);
    module->handle = NULL;
}

/* Takes an end, says something and leaves. */
static inline void use(const struct plugin *lib)
{
    pipc_t *pipe = lib->open(NULL);
    assert_non_null(pipe);
    assert_int_equal(lib->write(pipe, "x", 1), 1);
    assert_int_equal(lib->disconnect(pipe, NULL), 0);
    lib->close(pipe);
}

struct listener {
    const struct plugin *lib;
    pipc_t *pipe;
};

static inline void *listen_to_the_end(void *arg)
{
    struct listener *me = arg;
    char text[8];
    assert_int_equal(me->lib->read(me->pipe, text, sizeof text), 1);
    assert_int_equal(me->lib->read(me->pipe, text, sizeof text), -1);
    assert_int_equal(errno, ESHUTDOWN);
    assert_int_equal(me->lib->disconnect(me->pipe, NULL), 0);
    return NULL;
}

#endif
