/* SPDX-License-Identifier: MIT */
/*
 * A script of calls on both ends of a Unix socket that carries descriptors: messages with 0 to 16
 * of them, between plain ones, gathered or held in part, skipped, read in batches, or never taken.
 * Each message brings its own descriptors: the right files in the right order, and none is left.
 *
 *   input   2 bytes: flags of each end, and size of the buffers; limits; then steps of 1 byte and
 *           its parameters
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "rights_send.h"
#include "side.h"

enum { STEPS_MAX = 300, FDS_OF_MESSAGE = 16, FDS_TOO_MANY = 17 };

static int next_file;

/* ---- writing ---- */

/* One more than may travel, so that a count that is too large reads no other memory. */
static void choose_files(int fds[FDS_TOO_MANY])
{
    for (int i = 0; i < FDS_TOO_MANY; i++)
        fds[i] = rights_file(next_file + i);
}

static void write_fds(struct side *side)
{
    int fds[FDS_TOO_MANY], count = fuzz_byte(&both.input) % (FDS_OF_MESSAGE + 1);
    size_t size = fuzz_size(&both.input);
    uint32_t seed = both.next_seed++;
    if (!lane_has_room(side->out))
        return;
    choose_files(fds);
    ssize_t sent = pipc_write_fds(side->pipe, lane_bytes(size, seed), size, fds, count);
    int error = errno;
    FUZZ_CHECK(sent == -1 || sent == (ssize_t)size, "a write of %zu returns %zd", size, sent);
    FUZZ_CHECK(sent == -1 || (!side->out->is_shut && size <= both.max_message),
               "a write that must fail");
    if (sent != -1) {
        lane_add(side->out, PIPC_DATA, size, seed);
        lane_add_fds(side->out, count, next_file);
        next_file = (next_file + count) % RIGHTS_FILES;
    } else if (error == EOPNOTSUPP) {
        FUZZ_CHECK(count > 0 && !both.side[side == &both.side[0]].accepts_fds,
                   "the peer takes them");
    } else if (error != ETOOMANYREFS || geteuid() == 0) {
        side_check_write_error(side, size);
    }
    errno = error;
    side_note_writing(side, sent == -1);
}

/* A call that must fail, and must send nothing. */
static void write_wrong(struct side *side)
{
    static const int counts[] = {-1, FDS_TOO_MANY, INT32_MIN, INT32_MAX};
    int fds[FDS_TOO_MANY], number = fuzz_byte(&both.input), count = number % FDS_OF_MESSAGE + 1;
    bool is_bad = (number & 16) != 0;
    choose_files(fds);
    if (is_bad)
        fds[number / 32 % count] = (number & 1) != 0 ? -1 : FUZZ_FDS - 1;
    else
        count = counts[number % 4];
    uint64_t before = fuzz_stats(side->pipe).messages_written;
    int result = (int)pipc_write_fds(side->pipe, "wrong", 5, fds, count);
    int error = errno;
    FUZZ_CHECK(result == -1, "a wrong call succeeds");
    if (!is_bad)
        FUZZ_CHECK(error == EINVAL, "a count of %d", count);
    else if (error != EBADF && error != EOPNOTSUPP)
        side_check_write_error(side, 5);
    FUZZ_CHECK(fuzz_stats(side->pipe).messages_written == before, "it was sent");
    errno = error;
    side_note_writing(side, true);
}

/* ---- taking ---- */

static void take_fds(struct side *side)
{
    int fds[FDS_OF_MESSAGE + 4], max = fuzz_byte(&both.input) % (FDS_OF_MESSAGE + 4);
    int should = side->fds < max ? side->fds : max;
    int got = pipc_take_fds(side->pipe, fds, max);
    FUZZ_CHECK(got == should, "%d descriptors, not %d", got, should);
    for (int i = 0; i < got; i++) {
        struct stat status;
        FUZZ_CHECK(fds[i] > STDERR_FILENO && fstat(fds[i], &status) == 0, "number %d", fds[i]);
        FUZZ_CHECK((fcntl(fds[i], F_GETFD) & FD_CLOEXEC) != 0, "it survives exec");
        FUZZ_CHECK(status.st_ino == rights_inode(side->first_file + i), "another file");
        close(fds[i]);
    }
    side->fds -= got;
    side->first_file += got;
}

/* At most so many are open as wait in the two handles: 64 in each. */
static void check_open(const struct fuzz_fds *before)
{
    struct fuzz_fds now = fuzz_fds_now();
    int more = 0;
    for (int fd = 0; fd < FUZZ_FDS; fd++)
        more += now.is_open[fd] && !before->is_open[fd];
    FUZZ_CHECK(more <= 2 * (64 + 3), "%d descriptors more", more);
}

/* ---- one input ---- */

static void take_step(struct side *side, uint8_t decision)
{
    static const uint8_t calls[] = {SIDE_WRITE,        SIDE_WRITE_BATCH, SIDE_READ, SIDE_READ_SHORT,
                                    SIDE_READ_MSG,     SIDE_PEEK,        SIDE_SKIP, SIDE_FLUSH,
                                    SIDE_READ_PENDING, SIDE_PENDING,     SIDE_POLL};
    unsigned step = decision / 2 % 16, last = decision >> 5;
    if (side->pipe == NULL)
        return;
    fuzz_trace("side %d, step %u, %u\n", side == &both.side[1], step, last);
    if (step < 3)
        write_fds(side);
    else if (step == 3 && last == 7)
        write_wrong(side);
    else if (step < 5)
        take_fds(side);
    else if (step == 15 && last < 4)
        side_end(side, last);
    else if (step == 15)
        side_call(side, SIDE_STATS);
    else
        side_call(side, calls[step - 5 + (step == 5 && last > 3)]);
    side_trace(side);
}

static void shrink(int fd, uint8_t how)
{
    int size = 1; /* as small as the kernel lets it be */
    if ((how & 3) == 0)
        FUZZ_NEED(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
}

static void open_sides(void)
{
    static const unsigned flags[] = {PIPC_ACCEPT_FDS, PIPC_ACCEPT_FDS | PIPC_GATHER,
                                     PIPC_ACCEPT_FDS | PIPC_DUPLEX, 0};
    static const size_t messages[] = {0, 0, 100, 5000}, pendings[] = {0, 1, 1000, 100000};
    pipc_options_t options = PIPC_OPTIONS_INIT;
    pipc_t *end[2];
    int fd[2];
    uint8_t how = fuzz_byte(&both.input), limits = fuzz_byte(&both.input);
    options.max_message = messages[limits % 4];
    options.max_pending = pendings[limits / 4 % 4];
    fuzz_socketpair(fd);
    for (int i = 0; i < 2; i++) {
        shrink(fd[i], how / 16);
        options.flags = flags[how >> (2 * i) & 3];
        end[i] = fuzz_adopt(fd[i], fd[i], &options);
    }
    options.flags = 0;
    sides_begin(SIDE_SOCKETS, &options, end);
    both.is_duplex = true; /* of one of them, perhaps: a flush need take nothing in */
    for (int i = 0; i < 2; i++)
        both.side[i].accepts_fds = (flags[how >> (2 * i) & 3] & PIPC_ACCEPT_FDS) != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    rights_open_files();
    next_file = 0;
    struct fuzz_fds before = fuzz_fds_now();
    both.input = (struct fuzz_input){bytes, size};
    open_sides();
    for (int i = 0; i < STEPS_MAX && !fuzz_is_over(&both.input); i++) {
        uint8_t decision = fuzz_byte(&both.input);
        take_step(&both.side[decision & 1], decision);
        if (i % 16 == 0)
            check_open(&before);
    }
    for (int i = 0; i < 2; i++)
        if (both.side[i].pipe != NULL)
            side_end(&both.side[i], SIDE_CLOSE);
    fuzz_fds_check(&before);
    return 0;
}
