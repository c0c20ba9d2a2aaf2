/* SPDX-License-Identifier: MIT */
#include "filter.h"

#include <endian.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

enum { NOSIGNAL = 0x100, NOWAIT = 8, WIPEONFORK = 18, PEERPIDFD = 77, PASSRIGHTS = 83 };
enum { NO_ARGUMENT = -1 };

/* Refused where (argument & mask) == value. */
struct row {
    const char *name;
    long call;
    int argument;
    uint32_t mask, value;
    int error;
};

static const struct row rows[] = {
    {"nosignal", SYS_pwritev2, 5, NOSIGNAL, NOSIGNAL, EOPNOTSUPP},
    {"nowait", SYS_pwritev2, 5, NOWAIT, NOWAIT, EOPNOTSUPP},
    {"nowait", SYS_preadv2, 5, NOWAIT, NOWAIT, EOPNOTSUPP},
    {"pwritev2", SYS_pwritev2, NO_ARGUMENT, 0, 0, ENOSYS},
    {"preadv2", SYS_preadv2, NO_ARGUMENT, 0, 0, ENOSYS},
    {"pidfd_open", SYS_pidfd_open, NO_ARGUMENT, 0, 0, ENOSYS},
    {"fchmodat2", SYS_fchmodat2, NO_ARGUMENT, 0, 0, ENOSYS},
    {"memfd_create", SYS_memfd_create, NO_ARGUMENT, 0, 0, ENOSYS},
    {"eventfd", SYS_eventfd2, NO_ARGUMENT, 0, 0, ENOSYS},
    {"wipeonfork", SYS_madvise, 2, UINT32_MAX, WIPEONFORK, EINVAL},
    {"passrights", SYS_setsockopt, 2, UINT32_MAX, PASSRIGHTS, ENOPROTOOPT},
    {"passrights", SYS_getsockopt, 2, UINT32_MAX, PASSRIGHTS, ENOPROTOOPT},
    {"peerpidfd", SYS_getsockopt, 2, UINT32_MAX, PEERPIDFD, ENOPROTOOPT},
    {"epoll", SYS_epoll_create1, NO_ARGUMENT, 0, 0, ENOSYS},
    {"timerfd", SYS_timerfd_create, NO_ARGUMENT, 0, 0, ENOSYS},
    {"getrandom", SYS_getrandom, NO_ARGUMENT, 0, 0, ENOSYS},
    {"accept4", SYS_accept4, NO_ARGUMENT, 0, 0, ENOSYS},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* The lower half, where all the flags are. */
static uint32_t place_of(int argument)
{
    size_t half = __BYTE_ORDER == __BIG_ENDIAN ? sizeof(uint32_t) : 0;
    return (uint32_t)(offsetof(struct seccomp_data, args) + sizeof(uint64_t) * (size_t)argument +
                      half);
}

static bool install(const struct row *row)
{
    int argument = row->argument == NO_ARGUMENT ? 0 : row->argument;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)row->call, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, place_of(argument)),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, row->mask),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, row->value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)row->error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool refuse_one(const char *name, size_t length)
{
    bool found = false;
    for (size_t i = 0; i < ROWS; i++)
        if (strlen(rows[i].name) == length && memcmp(rows[i].name, name, length) == 0) {
            if (!install(&rows[i]))
                return false;
            found = true;
        }
    return found;
}

bool filter_refuse(const char *names)
{
    while (*names != '\0') {
        size_t length = strcspn(names, ",");
        if (!refuse_one(names, length))
            return false;
        names += length + (names[length] == ',');
    }
    return true;
}

const char *filter_names(void)
{
    static char names[200];
    size_t at = 0;
    for (size_t i = 0; i < ROWS; i++)
        if (i == 0 || strcmp(rows[i].name, rows[i - 1].name) != 0)
            at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i > 0 ? "," : "",
                                   rows[i].name);
    return names;
}
