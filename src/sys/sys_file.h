/* SPDX-License-Identifier: MIT */
/*
 * The part of the seam that deals with directories and FIFOs. Names are taken relative to the
 * descriptor of a directory, and a symlink in the last place is never followed. Nothing here
 * knows what the files are for.
 *
 * Unless said otherwise: -1 and errno on failure; descriptors are close-on-exec.
 */
#ifndef PIPC_SYS_FILE_H
#define PIPC_SYS_FILE_H

#include <stdbool.h>
#include <stdint.h>

extern const int sys_file_cwd; /* in place of a directory's descriptor: where the process works */

struct sys_file_status {
    bool is_own; /* its owner is the effective user of this process */
    bool is_directory, is_fifo, is_socket;
    unsigned access; /* the nine bits */
    uint64_t device, inode;
};

int sys_file_status(int fd, struct sys_file_status *status);
int sys_file_status_at(int directory, const char *name, struct sys_file_status *status);

int sys_file_open_directory(int directory, const char *name);
/* Never blocks. Reading always succeeds; ENXIO: writing, and nobody has it open for reading. */
int sys_file_open_fifo(int directory, const char *name, bool writing);

/* Access for the owner alone (0700, 0600), whatever the umask. */
int sys_file_make_directory(int directory, const char *name);
int sys_file_make_fifo(int directory, const char *name);
int sys_file_set_access(int directory, const char *name, unsigned access);

/* A second name for what `from` is, a symlink too. EEXIST: `to` is there already. */
int sys_file_link(int directory, const char *from, const char *to);
int sys_file_remove(int directory, const char *name);
int sys_file_remove_directory(int directory, const char *name); /* an empty one */
/* A directory takes the place of an empty one; of another: ENOTEMPTY. */
int sys_file_rename(int directory, const char *from, const char *to);
/*
 * Never takes a place: EEXIST. Any other error but ENOENT may mean that the kernel or the file
 * system cannot do it.
 */
int sys_file_rename_new(int directory, const char *from, const char *to);
void sys_file_touch(int directory, const char *name); /* as if it was read and written just now */
/* Calls `each` with every name in the directory. */
int sys_file_list(int directory, void (*each)(void *context, const char *name), void *context);

/* Private to src/sys: mkfifo(2) of a name in a directory, with 0600 less the umask. */
int sys_file_mkfifo(int directory, const char *name);

#endif
