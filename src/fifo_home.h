/* SPDX-License-Identifier: MIT */
/*
 * The directory in which FIFOs are met by name: it is opened once, proved to be the caller's own, and
 * from then on worked in by its descriptor alone. Also what may be trusted in it, and the removal of
 * what the dead have left there. Who meets whom is not known here.
 */
#ifndef PIPC_FIFO_HOME_H
#define PIPC_FIFO_HOME_H

#include <stdbool.h>

/* The three FIFOs of somebody who waits; `in` and `out` as that side sees them. */
#define FIFO_DOOR "door"
#define FIFO_IN   "in"
#define FIFO_OUT  "out"

#define FIFO_PRIVATE_SIZE 64 /* of a name for fifo_home_private_name */

/* NULL: the default directory of this user. The directory is made when it is missing. EACCES. */
int fifo_home_open(const char *directory);

/* EINVAL: not a plain name, or one of those that are kept for private directories. */
int fifo_home_check_name(const char *name);

/* A name that nobody else makes, for a directory that is not to be found by name yet. */
void fifo_home_private_name(char name[FIFO_PRIVATE_SIZE]);

/* Open what is the caller's own, with the right mode, and of the right sort; else EACCES. */
int fifo_home_open_directory(int home, const char *name);
int fifo_home_open_fifo(int directory, const char *name, bool writing);

/* Remove one of the three FIFOs of a directory; nothing else is touched. 0 also when it is not there. */
int fifo_home_remove_fifo(int directory, const char *name);

/* Remove the private directories of processes that died before they were ready to wait. */
void fifo_home_sweep(int home);

#endif
