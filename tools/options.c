/* SPDX-License-Identifier: MIT */
/* The command line. pipccat(1) has the text; completions and tests know the names. */
#include "pipccat.h"
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct config config;

enum {
    size_default = 64 << 20,
    block_default = 256 << 10,
    block_bench = 16,
    record_max = 0x7fffffff,
};

enum option_only_long {
    OPTION_BENCH = 256,
    OPTION_BYE,
    OPTION_ECHO,
    OPTION_HOST,
    OPTION_KEY_ENV,
    OPTION_KEY_FILE,
    OPTION_KEY_MD5,
    OPTION_MODE,
    OPTION_NEED_BYE,
    OPTION_ONCE,
    OPTION_PAIR,
    OPTION_REPLY,
};

static const struct option long_options[] = {
    {"bench", no_argument, NULL, OPTION_BENCH},
    {"block-size", required_argument, NULL, 'b'},
    {"bye", required_argument, NULL, OPTION_BYE},
    {"count", required_argument, NULL, 'n'},
    {"directory", required_argument, NULL, 'd'},
    {"echo", no_argument, NULL, OPTION_ECHO},
    {"file", required_argument, NULL, 'f'},
    {"help", no_argument, NULL, 'h'},
    {"host", required_argument, NULL, OPTION_HOST},
    {"input", required_argument, NULL, 'i'},
    {"key-env", required_argument, NULL, OPTION_KEY_ENV},
    {"key-file", required_argument, NULL, OPTION_KEY_FILE},
    {"key-md5", no_argument, NULL, OPTION_KEY_MD5},
    {"max-message", required_argument, NULL, 'm'},
    {"mode", required_argument, NULL, OPTION_MODE},
    {"need-bye", no_argument, NULL, OPTION_NEED_BYE},
    {"once", no_argument, NULL, OPTION_ONCE},
    {"output", required_argument, NULL, 'o'},
    {"pair", no_argument, NULL, OPTION_PAIR},
    {"progress", no_argument, NULL, 'p'},
    {"quiet", no_argument, NULL, 'q'},
    {"reply", required_argument, NULL, OPTION_REPLY},
    {"timeout", required_argument, NULL, 't'},
    {"verbose", no_argument, NULL, 'v'},
    {"version", no_argument, NULL, 'V'},
    {"wait", required_argument, NULL, 'w'},
    {NULL, 0, NULL, 0},
};

static const char help_text[] =
    "usage: pipccat [OPTION...] fifo NAME\n"
    "       pipccat [OPTION...] tcp HOST PORT | serve PORT\n"
    "       pipccat [OPTION...] unix PATH | serve-unix PATH\n"
    "       pipccat [OPTION...] fd READ WRITE\n"
    "       pipccat [OPTION...] exec -- PROGRAM [ARGUMENT...]\n"
    "Sends standard input as messages of libpipc, and prints those that come.\n"
    "\n"
    "Messages\n"
    "  -i, --input=FORMAT     lines (default), blocks, file, records, none\n"
    "  -f, --file=FILE        read FILE instead of standard input; may be repeated\n"
    "  -b, --block-size=SIZE  of --input=blocks (256K) and --bench (16)\n"
    "  -o, --output=FORMAT    text (default), raw, hex, json, records, none\n"
    "  -m, --max-message=SIZE largest message, both ways (64M)\n"
    "  -n, --count=N          end after N messages have come\n"
    "      --bye=TEXT         end with a goodbye\n"
    "      --need-bye         fail when the peer ends without one\n"
    "Instead of standard input and output\n"
    "      --echo             send each message back\n"
    "      --reply=COMMAND    send what COMMAND prints, with the message as its input\n"
    "      --bench            measure against a peer with --echo\n"
    "The peer\n"
    "  -w, --wait=SECONDS     for the peer (fifo, servers: no limit; tcp, unix: 5)\n"
    "  -t, --timeout=SECONDS  end when nothing moves for so long\n"
    "      --once             a server ends after its first client\n"
    "      --host=ADDRESS     where serve listens (loopback); * is everywhere\n"
    "      --pair             tcp: either side may come first\n"
    "      --mode=OCTAL       of the socket of serve-unix (600)\n"
    "  -d, --directory=DIR    where names of fifo live (/tmp/pipc-UID)\n"
    "      --key-file=FILE    the key that both sides must have: the bytes of FILE\n"
    "      --key-env=NAME     the same from the environment\n"
    "      --key-md5          accept MD5 as well, for old versions of Python\n"
    "And\n"
    "  -p, --progress         show progress from the start; else after a second\n"
    "  -q, --quiet            no progress, no goodbye of the peer\n"
    "  -v, --verbose          report what happens\n"
    "  -h, --help, -V, --version\n"
    "Exit codes: 0 all went well, 1 input or output failed, 2 wrong usage, 3 no peer, 4 timeout,\n"
    "5 wrong key, 6 the peer ended too early, 7 its bytes are no messages, 8 a message is too\n"
    "large, 9 a program failed, 141 standard output was closed. More: man pipccat\n";

static void usage(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("pipccat: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("; see pipccat --help\n", stderr);
    va_end(arguments);
    exit(CODE_USAGE);
}

static void print_and_exit(const char *text)
{
    if (fputs(text, stdout) == EOF || fflush(stdout) == EOF)
        exit(CODE_LOCAL);
    exit(CODE_OK);
}

/* The place of the word in the list. */
static int word(const char *option, const char *text, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    usage("--%s: what is %s?", option, text);
}

static void need(bool right, const char *what, const char *text)
{
    if (!right)
        usage("%s: not %s", text, what);
}

static void set_work(enum work work)
{
    if (config.work != WORK_PIPE && config.work != work)
        usage("--echo, --reply and --bench exclude each other");
    config.work = work;
}

static void add_file(const char *path)
{
    char **files = realloc(config.files, (config.file_count + 1) * sizeof *files);
    if (files == NULL)
        exit(CODE_LOCAL);
    files[config.file_count++] = (char *)(uintptr_t)path;
    config.files = files;
}

static bool parse_key(int option)
{
    switch (option) {
    case OPTION_KEY_ENV:
        key_from_environment(optarg);
        return true;
    case OPTION_KEY_FILE:
        key_from_file(optarg);
        return true;
    case OPTION_KEY_MD5:
        config.key_md5 = true;
        return true;
    default:
        return false;
    }
}

static void parse_version(void)
{
    printf("pipccat (libpipc) %s\n", pipc_version());
    print_and_exit("");
}

/* How much, how long, and where. */
static bool parse_value(int option)
{
    switch (option) {
    case 'b':
        need(value_size(optarg, &config.block_size), "a size", optarg);
        return true;
    case 'm':
        need(value_size(optarg, &config.max_message), "a size", optarg);
        return true;
    case 'n':
        need(value_count(optarg, &config.count), "a number above 0", optarg);
        return true;
    case 't':
        need(value_seconds(optarg, &config.timeout_ms) && config.timeout_ms > 0,
             "a number of seconds above 0", optarg);
        return true;
    case 'w':
        need(value_seconds(optarg, &config.wait_ms), "a number of seconds", optarg);
        return true;
    case OPTION_MODE:
        need(value_mode(optarg, &config.socket_mode), "an octal mode", optarg);
        return true;
    case 'd':
        config.directory = optarg;
        return true;
    case OPTION_HOST:
        config.host = optarg;
        return true;
    default:
        return false;
    }
}

static bool parse_flag(int option)
{
    switch (option) {
    case OPTION_NEED_BYE:
        config.need_bye = true;
        return true;
    case OPTION_ONCE:
        config.once = true;
        return true;
    case OPTION_PAIR:
        config.pair = true;
        return true;
    case 'p':
        config.progress = true;
        return true;
    case 'q':
        config.quiet = true;
        return true;
    case 'v':
        config.verbose = true;
        return true;
    default:
        return false;
    }
}

static void parse_option(int option)
{
    static const char *const inputs[] = {"lines", "blocks", "file", "records", "none", NULL};
    static const char *const outputs[] = {"text", "raw", "hex", "json", "records", "none", NULL};
    if (parse_value(option) || parse_flag(option) || parse_key(option))
        return;
    switch (option) {
    case 'f':
        add_file(optarg);
        break;
    case 'h':
        print_and_exit(help_text);
        break;
    case 'i':
        config.input = (enum input_format)word("input", optarg, inputs);
        break;
    case 'o':
        config.output = (enum output_format)word("output", optarg, outputs);
        break;
    case 'V':
        parse_version();
        break;
    case OPTION_BYE:
        config.bye = optarg;
        break;
    case OPTION_BENCH:
        set_work(WORK_BENCH);
        break;
    case OPTION_ECHO:
        set_work(WORK_ECHO);
        break;
    case OPTION_REPLY:
        set_work(WORK_REPLY);
        config.reply = optarg;
        break;
    default: /* getopt_long has reported what is wrong */
        fputs("pipccat: see pipccat --help\n", stderr);
        exit(CODE_USAGE);
    }
}

/* ---- What is behind the options -------------------------------------------------------------- */

static void parse_mode(int argc, char **argv)
{
    static const char *const modes[] = {"fifo",       "tcp", "serve", "unix",
                                        "serve-unix", "fd",  "exec",  NULL};
    static const int counts[] = {1, 2, 1, 1, 1, 2, -1};
    if (argc == 0)
        usage("which pipe?");
    int mode = 0;
    while (modes[mode] != NULL && strcmp(argv[0], modes[mode]) != 0)
        mode++;
    if (modes[mode] == NULL)
        usage("what is %s?", argv[0]);
    if (counts[mode] == -1 ? argc < 2 : argc != 1 + counts[mode])
        usage("%s: the number of arguments is wrong", argv[0]);
    config.mode = (enum mode)mode;
    if (config.mode == MODE_EXEC) {
        config.program = argv + 1;
    } else if (config.mode == MODE_FD) {
        need(value_descriptor(argv[1], &config.fds[0]), "a descriptor", argv[1]);
        need(value_descriptor(argv[2], &config.fds[1]), "a descriptor", argv[2]);
    } else if (config.mode == MODE_TCP) {
        config.host = argv[1];
        need(value_port(argv[2], 1, &config.port), "a port", argv[2]);
    } else if (config.mode == MODE_SERVE) {
        need(value_port(argv[1], 0, &config.port), "a port", argv[1]);
    } else {
        config.name = argv[1];
    }
}

/* The pipe cannot have the descriptors that the messages are read from or printed to. */
static void check_descriptors(void)
{
    bool reads = config.work == WORK_PIPE && config.input != INPUT_NONE && config.file_count == 0;
    bool prints =
        config.work == WORK_BENCH || (config.work == WORK_PIPE && config.output != OUTPUT_NONE);
    for (int i = 0; config.mode == MODE_FD && i < 2; i++) {
        if (config.fds[i] == STDIN_FILENO && reads)
            usage("descriptor 0 is the input; give --file, --input=none, --echo or --reply");
        if (config.fds[i] == STDOUT_FILENO && prints)
            usage("descriptor 1 is the output; give --output=none, --echo or --reply");
    }
}

static void check_options(void)
{
    bool server = config.mode == MODE_SERVE || config.mode == MODE_SERVE_UNIX;
    bool sockets = server || config.mode == MODE_TCP || config.mode == MODE_UNIX;
    if ((config.key != NULL || config.key_md5) && !sockets)
        usage("keys are for sockets");
    if (config.key_md5 && config.key == NULL)
        usage("--key-md5 needs a key");
    if (config.once && !server)
        usage("--once is for servers");
    if (config.pair && config.mode != MODE_TCP)
        usage("--pair is for tcp");
    if (config.socket_mode != 0 && config.mode != MODE_SERVE_UNIX)
        usage("--mode is for serve-unix");
    if (config.directory != NULL && config.mode != MODE_FIFO)
        usage("--directory is for fifo");
    if (config.work != WORK_PIPE && config.file_count > 0)
        usage("--file is for messages from a file");
    if ((config.input == INPUT_RECORDS || config.output == OUTPUT_RECORDS) &&
        config.max_message > record_max)
        usage("a record has at most %d bytes", record_max);
    if (config.input == INPUT_BLOCKS && config.block_size > config.max_message)
        usage("the blocks are larger than --max-message");
    check_descriptors();
}

void options_parse(int argc, char **argv)
{
    int option;
    config = (struct config){.max_message = size_default, .wait_ms = -1, .timeout_ms = -1};
    while ((option = getopt_long(argc, argv, "b:d:f:hi:m:n:o:pqt:vVw:", long_options, NULL)) != -1)
        parse_option(option);
    const char *host = config.host;
    config.host = NULL;
    parse_mode(argc - optind, argv + optind);
    if (host != NULL && config.mode != MODE_SERVE)
        usage("--host is for serve");
    if (config.mode == MODE_SERVE)
        config.host = host;
    if (config.block_size == 0)
        config.block_size = config.work == WORK_BENCH ? block_bench : block_default;
    if (config.block_size > config.max_message && config.work == WORK_BENCH)
        usage("the messages are larger than --max-message");
    check_options();
}
