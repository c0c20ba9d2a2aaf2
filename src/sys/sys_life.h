/* SPDX-License-Identifier: MIT */
/*
 * Whether other processes live, with the rules of sys.h. Nothing here knows what for.
 *
 * A token is a promise of the kernel: it goes when the process that took it dies or execs, and at
 * no other time but when it is given back. The program cannot lose it by closing, duplicating or
 * counting descriptors, and a child does not inherit it, however it was made. It is a lock on a
 * private open file that only a mapping keeps open, and the mapping is not copied by fork.
 */
#ifndef PIPC_SYS_LIFE_H
#define PIPC_SYS_LIFE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A file that those who watch each other share; its contents do not matter. */
struct sys_life_file {
    int fd;
    uint64_t device, inode;
};

int sys_life_open(struct sys_life_file *file, int fd); /* fd stays the caller's */
/* The program has not closed the descriptor, as far as that can be known. */
bool sys_life_is_open(const struct sys_life_file *file);

enum sys_life { SYS_LIFE_THERE, SYS_LIFE_GONE, SYS_LIFE_UNKNOWN };

/*
 * Take the token of that number, for as long as this process lives. NULL: EAGAIN (somebody has it),
 * ENOSYS (no tokens here: no /proc, an old kernel, no permission), EMFILE, ENFILE, ENOMEM.
 */
void *sys_life_begin(const struct sys_life_file *file, uint64_t number);
/* The token of that number. NULL is nothing; keeps errno. */
void sys_life_end(const struct sys_life_file *file, uint64_t number, void *token);
/* Has somebody that token? UNKNOWN where the program has closed the file's descriptor. */
enum sys_life sys_life_check(const struct sys_life_file *file, uint64_t number);

/* A number for the namespace of process ids, 0: not known. */
uint64_t sys_process_namespace(void);
/* Readable once that process is dead. */
int sys_process_open(pid_t pid);
bool sys_process_is_dead(int process);
void sys_process_close(int process); /* keeps errno; a negative one is nothing */

#endif
