/* SPDX-License-Identifier: MIT */
#include "hostile.h"

struct hostile_fds hostile_list(const char *word)
{
    struct hostile_fds fds = {.count = 0};
    char name[HARNESS_NAME_MAX];
    harness_need_proc();
    for (int fd = 3; fd < 256; fd++) {
        harness_name_descriptor(fd, name);
        if (strstr(name, "pipc") == NULL && strstr(name, "anon_inode") == NULL)
            continue;
        if (strstr(name, word) != NULL && fds.count < 64)
            fds.fd[fds.count++] = fd;
    }
    return fds;
}

struct shared_page *hostile_page(void)
{
    char line[512];
    unsigned long begin, offset = 1;
    harness_need_proc();
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (offset != 0 && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "pipc") == NULL || strstr(line, "rw-s") == NULL ||
            sscanf(line, "%lx-%*x %*s %lx", &begin, &offset) != 2)
            offset = 1;
    fclose(maps);
    assert_int_equal(offset, 0);
    return (struct shared_page *)begin;
}

void hostile_free_end(struct shared_page *page, int end)
{
    uint64_t state = atomic_load(&page->end[end].state);
    atomic_store(&page->end[end].state, (state & ~(uint64_t)7) + 8 + 4);
}

void expect_within(int64_t begin_ms, int ms, const char *what)
{
    if (harness_now_ms() - begin_ms > ms * harness_scale())
        fail_msg("%s took %d ms", what, (int)(harness_now_ms() - begin_ms));
}

void expect_no_spin(pipc_t *pipe)
{
    char byte;
    int rounds = 0, fd = pipc_fd(pipe);
    set_timeouts(pipe, 0, 0);
    for (int64_t begin = harness_now_ms(); harness_now_ms() - begin < 100;) {
        if (!harness_readable(fd, 30))
            continue;
        while (pipc_read(pipe, &byte, 1) >= 0)
            continue;
        rounds++;
    }
    assert_in_range(rounds, 0, 20);
}
