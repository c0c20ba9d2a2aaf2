/* SPDX-License-Identifier: MIT */
/*
 * The directory in which FIFOs have names. It is opened, proved to be the caller's own, and
 * from then on worked in by its descriptor alone, as long as its path leads to it. Also what may be
 * trusted in it, and the removal of what the dead have left there. What they are for is not known
 * here.
 */
#ifndef PIPC_FIFO_DIR_H
#define PIPC_FIFO_DIR_H

#include <stdbool.h>

/* The three FIFOs of somebody who waits; `in` and `out` as that side sees them. */
#define FIFO_DOOR "door"
#define FIFO_IN   "in"
#define FIFO_OUT  "out"

#define FIFO_PRIVATE_SIZE 64 /* of a name for fifo_dir_private_name */

struct fifo_dir {
    int fd;
    int start; /* where a relative path begins: the program may change its directory meanwhile */
    const char *path;
    char own[32]; /* the path, where it is the user's default */
};

/*
 * NULL: the default directory of this user; another path is the caller's and stays while it
 * is open. The directory is made when it is missing. EACCES; ENOENT: its parent is missing.
 */
int fifo_dir_open(struct fifo_dir *dir, const char *directory);
void fifo_dir_close(struct fifo_dir *dir); /* also after a failure; keeps errno */

/* Somebody may delete the directory, or move it, while it is open. In doubt it still stands. */
bool fifo_dir_stands(const struct fifo_dir *dir);
/* Go on in the directory that the path leads to now. It is made when there is none. */
int fifo_dir_reopen(struct fifo_dir *dir);

/* Whether an open file, or directory, still has that name. */
enum fifo_name { FIFO_KEPT, FIFO_LOST, FIFO_UNKNOWN };
enum fifo_name fifo_dir_find(int fd, int directory, const char *name);

/* EINVAL: not a plain name, or one of those that are kept for private directories. */
int fifo_dir_check_name(const char *name);

/* A name that nobody else makes, for a directory that is not to be found by name yet. */
void fifo_dir_private_name(char name[FIFO_PRIVATE_SIZE]);

/* Open what is the caller's own, with the right mode, and of the right sort; else EACCES. */
int fifo_dir_open_directory(int base, const char *name);
int fifo_dir_open_fifo(int directory, const char *name, bool writing);

/*
 * Remove one of the three FIFOs of a directory; nothing else is touched. 0 also when it is not
 * there.
 */
int fifo_dir_remove_fifo(int directory, const char *name);

/* Remove the private directories of processes that died before they were ready to wait. */
void fifo_dir_sweep(int base);

#endif
