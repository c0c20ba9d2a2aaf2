/* SPDX-License-Identifier: MIT */
/*
 * A file to which lines are appended, for people. A line that cannot be written is lost, and that
 * is never the program's trouble: no errno, no signal, no wait.
 */
#ifndef PIPC_SYS_LOG_H
#define PIPC_SYS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sys_log {
    int fd;
    bool is_file, is_pipe, is_socket, is_terminal;
    uint64_t device, inode; /* of what was opened */
};

/*
 * A regular file, made with 0600 if it is missing. What is there and is none is left alone: not
 * opened, and a symlink is not followed. -1: errno.
 */
int sys_log_open(struct sys_log *log, const char *path);
/* What a descriptor of the program's leads to, which may close or replace its own. */
int sys_log_open_copy(struct sys_log *log, int fd);
void sys_log_close(const struct sys_log *log);
/*
 * By one write, so that lines of several processes stay whole. False: the program has closed the
 * descriptor, and its number may be something else now. Keeps errno.
 */
bool sys_log_write(const struct sys_log *log, const char *line, size_t size);

#endif
