/* SPDX-License-Identifier: MIT */
/*
 * pipccat - what its files share. Each file begins with what it is for.
 *
 *   options.c, values.c, key.c   the command line becomes `config`
 *   open.c                       the pipe to the peer, and who waits for it
 *   session.c                    the poll loop: one peer, both directions
 *   input.c                      standard input or files become messages
 *   output.c, format.c, utf8.c   messages become standard output
 *   command.c, child.c           programs: of --reply, and of exec
 *   bench.c, progress.c          figures
 *   signals.c, report.c, buffer.c   what all of them need
 */
#ifndef PIPCCAT_H
#define PIPCCAT_H

#include <pipc.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The exit codes; pipccat(1) lists them. */
enum code {
    CODE_OK = 0,
    CODE_LOCAL = 1,           /* input, output, memory: something on this side */
    CODE_USAGE = 2,           /* the command line */
    CODE_NO_PEER = 3,         /* nobody came, or nothing can be opened */
    CODE_TIMEOUT = 4,         /* the peer was there, and then nothing moved */
    CODE_KEY = 5,             /* the peer refuses the key */
    CODE_BROKEN = 6,          /* the peer ended too early */
    CODE_GARBAGE = 7,         /* the peer's bytes are no messages */
    CODE_TOO_LARGE = 8,       /* a message is over the limit */
    CODE_PROGRAM = 9,         /* the program of exec or --reply failed */
    CODE_OUTPUT_CLOSED = 141, /* as a shell reports SIGPIPE */
};

enum mode { MODE_FIFO, MODE_TCP, MODE_SERVE, MODE_UNIX, MODE_SERVE_UNIX, MODE_FD, MODE_EXEC };

enum work { WORK_PIPE, WORK_ECHO, WORK_REPLY, WORK_BENCH };

enum input_format { INPUT_LINES, INPUT_BLOCKS, INPUT_FILE, INPUT_RECORDS, INPUT_NONE };

enum output_format {
    OUTPUT_TEXT,
    OUTPUT_RAW,
    OUTPUT_HEX,
    OUTPUT_JSON,
    OUTPUT_RECORDS,
    OUTPUT_NONE
};

/* ---- The command line (options.c, values.c, key.c) ------------------------------------------ */

struct config {
    enum mode mode;
    enum work work;
    enum input_format input;
    enum output_format output;
    const char *name; /* of the FIFO, or the path of the socket */
    const char *host; /* tcp; serve: where to listen, NULL for loopback */
    uint16_t port;
    int fds[2];
    char **program; /* of exec, ends with NULL */
    const char *reply, *bye, *directory;
    char **files; /* read instead of standard input */
    size_t file_count, block_size, max_message;
    void *key;
    size_t key_size;
    bool key_md5, key_ends_with_newline;
    bool pair, once, need_bye, progress, quiet, verbose;
    mode_t socket_mode;
    int wait_ms, timeout_ms; /* -1: no limit */
    uint64_t count;          /* 0: no limit */
};

extern struct config config; /* options.c alone writes it */

/* Fills in config, or ends the program. */
void options_parse(int argc, char **argv);

/* Each parses a whole argument and returns whether it is right. */
bool value_size(const char *text, size_t *size);
bool value_count(const char *text, uint64_t *count);
bool value_seconds(const char *text, int *ms);
bool value_port(const char *text, uint16_t lowest, uint16_t *port);
bool value_descriptor(const char *text, int *fd);
bool value_mode(const char *text, mode_t *mode);

/* Both end the program when there is no key. */
void key_from_file(const char *path);
void key_from_environment(const char *variable);

/* ---- Messages to the user (report.c) --------------------------------------------------------- */

/* To standard error, with the program's name in front. complain: always; note: with --verbose. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same with bytes of the peer behind it, made harmless for a terminal; not with --quiet. */
void report_bytes(const char *what, const char *data, size_t size);

/* Milliseconds of the monotonic clock. */
int64_t now_ms(void);

/* ---- Bytes (buffer.c) ------------------------------------------------------------------------ */

struct buffer {
    unsigned char *data;
    size_t start, end, capacity; /* what is in it lies from start to end */
};

size_t buffer_size(const struct buffer *buffer);
unsigned char *buffer_front(const struct buffer *buffer);

/* Makes room for size bytes behind the end. Returns 0, or -1: no memory, which is reported. */
int buffer_reserve(struct buffer *buffer, size_t size);
void buffer_consume(struct buffer *buffer, size_t size);
void buffer_free(struct buffer *buffer);

/* ---- Input (input.c) ------------------------------------------------------------------------- */

enum next { NEXT_MESSAGE, NEXT_WAIT, NEXT_END, NEXT_FAILED };

struct input {
    int fd; /* -1: no file is open */
    bool never_waits, at_eof, begun, ended;
    size_t file;    /* the next of config.files */
    size_t scanned; /* of the buffer, known to have no end of line */
    size_t taken;   /* bytes of the buffer that the message at its front takes */
    struct buffer buffer;
    uint64_t total, done; /* bytes in all (0: unknown), and sent: for the percentage */
    int code;             /* after NEXT_FAILED */
};

void input_open(struct input *input);

/* Begins anew for the next peer, if the input is files. */
void input_rewind(struct input *input);

/* Looks for the next message. NEXT_WAIT: input_fill first, when input->fd is readable. */
enum next input_next(struct input *input, struct iovec *message);
enum next input_fill(struct input *input);

/* The message that input_next found has been sent. */
void input_consume(struct input *input);
void input_close(struct input *input);

/* ---- Output (output.c, format.c, utf8.c) ----------------------------------------------------- */

struct output {
    int fd;
    bool own_fd, is_socket, is_terminal, never_waits;
    bool waits;  /* there was no room; poll the descriptor for output */
    size_t step; /* bytes that one write may take without waiting */
    struct buffer buffer;
    size_t at;    /* bytes of the message at hand that are done */
    bool started; /* its head is done */
    bool as_text; /* JSON, terminal: its bytes are UTF-8 */
    bool failed;
    int code; /* after a failure */
};

void output_open(struct output *output);
bool output_has_room(const struct output *output);

/* Puts out as much of the message as there is room for. Returns whether that was all of it. */
bool output_put(struct output *output, const pipc_msg_t *message);

/* Writes what has gathered, without waiting. Returns whether anything moved. */
bool output_flush(struct output *output);
bool output_is_empty(const struct output *output);
void output_close(struct output *output);

/* Appends the next piece of the message to the buffer. Returns whether the message is done. */
bool format_piece(struct output *output, const pipc_msg_t *message);
bool utf8_is_valid(const unsigned char *data, size_t size);

/* ---- Programs (child.c, command.c) ----------------------------------------------------------- */

/* Starts a program between two pipes: fds[0] reads what it prints, fds[1] is its input. */
pid_t child_start(char *const *argv, int fds[2], bool own_group);

/* Waits for it, up to the timeout, and reports a failure. code is what has come of the session.
 * Returns the exit code of both. */
int child_finish(pid_t pid, int code);

/* Ends it, and all others of its group if it has its own (pid is negative then). */
void child_stop(pid_t pid);

struct command {
    pid_t pid;   /* 0: none runs */
    int in, out; /* its standard input and output; -1: closed */
    pipc_msg_t message;
    size_t at;           /* bytes of the message that it has got */
    struct buffer reply; /* what it has printed */
    bool done;           /* the reply is complete */
    int code;            /* after a failure */
};

void command_init(struct command *command);
void command_start(struct command *command, pipc_msg_t *message); /* takes the message over */
bool command_step(struct command *command);                       /* did anything move? */
int command_polls(const struct command *command, struct pollfd *items);
void command_end(struct command *command);

/* ---- The pipe (open.c), the loop (session.c), figures (bench.c, progress.c) ------------------ */

/* Opens the pipe, and waits for the peer. NULL: the reason is in *code, and was reported. */
pipc_t *open_pipe(int *code);

/* Listens, and waits for a client, as open_pipe. */
pipc_server_t *open_server(int *code);
pipc_t *open_client(pipc_server_t *server, int *code);

/* What the failure of a call on an open pipe means. Reports it. */
int pipe_failed(const char *what, int error);
pid_t open_program(void); /* of exec; 0: none */

int session_run(pipc_t *pipe, struct input *input, struct output *output);
uint64_t session_received(void); /* messages of all sessions */

int bench_run(pipc_t *pipe);

void progress_begin(void);
void progress_count(uint64_t total, uint64_t in, uint64_t sent, uint64_t received);
void progress_show(int64_t now);
int64_t progress_due(void); /* when to call progress_show; -1: never */
void progress_clear(void);
void progress_end(void);

/* ---- Signals (signals.c) --------------------------------------------------------------------- */

void signals_begin(void);
int signals_fd(void);     /* readable after a signal */
void signals_drain(void); /* makes it not readable */
int signals_caught(void); /* the one that ends the program; 0: none */
void signals_end(void);   /* they end the program at once again */
void signals_die(void);   /* ends it by the one that was caught */

#endif
