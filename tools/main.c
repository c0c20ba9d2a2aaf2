/* SPDX-License-Identifier: MIT */
/*
 * pipccat - netcat for pipes of libpipc: see pipccat(1).
 *
 * main opens the pipe or the server, and runs a session, or a bench, for each peer.
 */
#include "pipccat.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* A descriptor below 3 that is closed would be taken by the next file, which would then be read or
 * printed to. It gets one that fails instead. */
static void fill_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            exit(CODE_LOCAL);
}

static int talk(pipc_t *pipe, struct input *input, struct output *output)
{
    int code;
    if (config.work == WORK_BENCH) {
        signals_end();
        code = bench_run(pipe);
    } else {
        code = session_run(pipe, input, output);
    }
    pipc_close(pipe);
    return code;
}

/* After these, the next client would fare no better. */
static bool is_final(int code, const struct output *output)
{
    return code == CODE_LOCAL || code == CODE_TOO_LARGE || code == CODE_OUTPUT_CLOSED ||
           !output_is_empty(output) || signals_caught() != 0 || config.once ||
           config.work == WORK_BENCH || (config.count > 0 && session_received() >= config.count);
}

static int serve(struct input *input, struct output *output)
{
    int code = CODE_OK;
    pipc_server_t *server = open_server(&code);
    if (server == NULL)
        return code;
    do {
        pipc_t *pipe = open_client(server, &code);
        if (pipe == NULL)
            break;
        input_rewind(input);
        code = talk(pipe, input, output);
    } while (!is_final(code, output));
    pipc_server_close(server);
    return code;
}

static int call(struct input *input, struct output *output)
{
    int code = CODE_OK;
    pipc_t *pipe = open_pipe(&code);
    if (pipe != NULL)
        code = talk(pipe, input, output);
    return open_program() != 0 ? child_finish(open_program(), code) : code;
}

int main(int argc, char **argv)
{
    struct input input;
    struct output output;
    fill_standard();
    options_parse(argc, argv);
    signals_begin();
    input_open(&input);
    output_open(&output);
    progress_begin();
    bool server = config.mode == MODE_SERVE || config.mode == MODE_SERVE_UNIX;
    int code = server ? serve(&input, &output) : call(&input, &output);
    progress_end();
    input_close(&input);
    output_close(&output);
    free(config.files);
    free(config.key);
    signals_die();
    return code;
}
