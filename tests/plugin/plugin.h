/* SPDX-License-Identifier: MIT */
/* What a plug-in of tests/test_plugin.c gives away: the copy of libpipc that it uses. */
#ifndef PIPC_TESTS_PLUGIN_H
#define PIPC_TESTS_PLUGIN_H

#include <pipc.h>

struct plugin {
    pipc_t *(*open)(const pipc_options_t *options);
    int (*open_pair)(pipc_t *end[2], const pipc_options_t *options);
    void (*close)(pipc_t *pipe);
    ssize_t (*write)(pipc_t *pipe, const void *data, size_t size);
    ssize_t (*read)(pipc_t *pipe, void *buffer, size_t size);
    ssize_t (*pending)(pipc_t *pipe);
    int (*shutdown)(pipc_t *pipe);
    int (*disconnect)(pipc_t *pipe, const char *text);
    int (*fd)(pipc_t *pipe);
    int (*set_timeout)(pipc_t *pipe, int read_ms, int write_ms);
};

#endif
