/* SPDX-License-Identifier: MIT */
/*
 * The key, from a file or the environment. It is never an argument: every user of a machine can
 * read those. Programs that pipccat starts do not inherit the variable.
 */
#include "pipccat.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { key_max = 1 << 16 };

static void key_set(const char *from, const void *data, size_t size)
{
    if (size == 0) {
        complain("%s: the key is empty", from);
        exit(CODE_USAGE);
    }
    free(config.key);
    config.key = malloc(size);
    if (config.key == NULL)
        exit(CODE_LOCAL);
    memcpy(config.key, data, size);
    config.key_size = size;
    config.key_ends_with_newline = ((const char *)data)[size - 1] == '\n';
}

void key_from_file(const char *path)
{
    static char data[key_max + 1];
    size_t size = 0;
    ssize_t got = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (fd != -1 && size < sizeof data &&
           ((got = read(fd, data + size, sizeof data - size)) > 0 || (got == -1 && errno == EINTR)))
        size += got > 0 ? (size_t)got : 0;
    if (fd == -1 || got == -1) {
        complain("%s: %s", path, strerror(errno));
        exit(CODE_USAGE);
    }
    close(fd);
    if (size > key_max) {
        complain("%s: a key has at most %d bytes", path, key_max);
        exit(CODE_USAGE);
    }
    key_set(path, data, size);
    memset(data, 0, sizeof data);
}

void key_from_environment(const char *variable)
{
    const char *value = getenv(variable);
    if (value == NULL) {
        complain("%s: the environment has no such variable", variable);
        exit(CODE_USAGE);
    }
    key_set(variable, value, strlen(value));
    unsetenv(variable);
}
