/* SPDX-License-Identifier: MIT */
/*
 * Talks to a program on another host through ssh: that program has frames on its standard input and
 * output, as port_program.c. Each line that is typed is a message, and gets one answer. ssh is any
 * command here; with `socat` it is TLS (tls.sh).
 *
 *     cc remote.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out ssh HOST ./port_program
 */
#include <errno.h>
#include <pipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int ok, const char *what)
{
    if (!ok)
        exit((perror(what), 1));
}

/* The command's standard input and output are one socket, whose other end is ours. */
static pipc_t *start(char **command, pid_t *pid)
{
    int fd[2];
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0, "socketpair");
    check((*pid = fork()) != -1, "fork");
    if (*pid == 0) {
        check(dup2(fd[1], STDIN_FILENO) != -1 && dup2(fd[1], STDOUT_FILENO) != -1, "dup2");
        execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    close(fd[1]);
    pipc_t *pipe = pipc_open_fds(fd[0], fd[0], NULL);
    check(pipe != NULL, "pipc_open_fds");
    return pipe;
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t capacity = 0;
    pid_t pid;
    int status;
    if (argc < 2)
        return fprintf(stderr, "usage: %s ssh HOST PROGRAM\n", argv[0]), 2;
    pipc_t *pipe = start(argv + 1, &pid);
    for (ssize_t size; (size = getline(&line, &capacity, stdin)) != -1;) {
        pipc_msg_t answer;
        check(pipc_write(pipe, line, (size_t)size) != -1, "the command has gone");
        check(pipc_read_msg(pipe, &answer) == 0, "the command has gone, or speaks no frames");
        if (answer.kind == PIPC_BYE)
            return fprintf(stderr, "the remote program said goodbye\n"), 1;
        fwrite(answer.data, 1, answer.size, stdout);
        fflush(stdout);
        pipc_msg_free(&answer);
    }
    free(line);
    /* The end of its input ends the program. What it still says on its way is not for us. */
    check(pipc_shutdown(pipe) == 0, "pipc_shutdown");
    check(pipc_read(pipe, NULL, 0) == -1 && errno == EPIPE, "the end");
    pipc_close(pipe);
    check(waitpid(pid, &status, 0) == pid, "waitpid");
    return status == 0 && fflush(stdout) == 0 ? 0 : 1;
}
