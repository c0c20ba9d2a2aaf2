/* SPDX-License-Identifier: MIT */
/*
 * Two hosts: two network namespaces and a cable between them (a veth pair), made by a test for
 * itself and gone with it. Where the machine does not let a test make them, it is skipped. The
 * test's own process is the near host; forked children that call hosts_go_far are the far one.
 */
#ifndef PIPC_TESTS_HOSTS_H
#define PIPC_TESTS_HOSTS_H

#include <stdbool.h>

#define HOSTS_NEAR  "10.77.0.1"
#define HOSTS_FAR   "10.77.0.2" /* and 10.77.0.3 */
#define HOSTS_NEAR6 "fd77::1"
#define HOSTS_FAR6  "fd77::2"

void hosts_make(void);
void hosts_forget(void);

void hosts_go_far(void); /* in a process of its own, that has no threads */
bool hosts_do(const char *command);
void hosts_do_far(const char *command); /* asserts that it works */

/*
 * Before the tests of a program: where the loopback interface is down, as in a new namespace, they
 * have a network of their own, in which it is up. If that is forbidden, those that need it skip.
 */
void hosts_set_loopback_up(void);
void hosts_need_loopback(void);

/* A network of this process alone: loopback, and an interface with the near host's addresses. */
void hosts_make_alone(void);

/* What stands in /etc/hosts, for this test alone. */
void hosts_name(const char *text);

/* Writes into a file that is there; the test is skipped where that is forbidden. */
void hosts_write_file(const char *path, const char *text);

#endif
