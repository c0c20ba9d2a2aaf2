/* SPDX-License-Identifier: MIT */
/* Runs with_python.py, which does the work of cell.c in Python. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "bench.h"

static void become_python(const char *program, const struct job *job, int out)
{
    char size[32], seconds[32];
    snprintf(size, sizeof size, "%zu", job->size);
    snprintf(seconds, sizeof seconds, "%g", job->seconds);
    dup2(out, STDOUT_FILENO);
    execlp("python3", "python3", program, job->roundtrip ? "roundtrip" : "oneway",
           job->setting == ONE_CORE ? "1" : "2", size, seconds, (char *)NULL);
    fail("python3");
}

bool python_run(const char *program, const struct job *job, struct cost *cost)
{
    int fd[2];
    if (pipe2(fd, O_CLOEXEC) != 0)
        fail("pipe");
    pid_t child = fork_or_fail();
    if (child == 0)
        become_python(program, job, fd[1]);
    close(fd[1]);
    bool succeeded = child_succeeded(child); /* its one line fits into the pipe */
    FILE *file = fdopen(fd[0], "r");
    bool found = file != NULL && fscanf(file, "%lf %lf", &cost->ns, &cost->cpu_ns) == 2;
    if (file != NULL)
        fclose(file);
    return succeeded && found;
}
