/* SPDX-License-Identifier: MIT */
#include "rights_send.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int files[RIGHTS_FILES];
static ino_t inodes[RIGHTS_FILES];

void rights_open_files(void)
{
    struct stat status;
    for (int i = 0; i < RIGHTS_FILES && files[RIGHTS_FILES - 1] == 0; i++) {
        int fd[2];
        FUZZ_NEED(pipe2(fd, O_CLOEXEC) == 0 && fstat(fd[0], &status) == 0);
        files[i] = fd[0];
        inodes[i] = status.st_ino;
        close(fd[1]);
    }
}

int rights_file(int which)
{
    return files[which % RIGHTS_FILES];
}

ino_t rights_inode(int which)
{
    return inodes[which % RIGHTS_FILES];
}

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(RIGHTS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

static size_t add_part(union control *control, size_t used, int type, const void *data, size_t size)
{
    struct cmsghdr header = {
        .cmsg_len = (socklen_t)CMSG_LEN(size), .cmsg_level = SOL_SOCKET, .cmsg_type = type};
    memcpy(control->bytes + used, &header, sizeof header);
    memcpy(control->bytes + used + CMSG_LEN(0), data, size);
    return used + CMSG_SPACE(size);
}

static size_t add_files(union control *control, size_t used, int first, int count)
{
    int fds[RIGHTS_MAX];
    for (int i = 0; i < count; i++)
        fds[i] = files[(first + i) % RIGHTS_FILES];
    return count > 0 ? add_part(control, used, SCM_RIGHTS, fds, (size_t)count * sizeof(int)) : used;
}

ssize_t rights_send(int socket, const uint8_t *bytes, size_t size, int first, int count,
                    unsigned how)
{
    union control control;
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    struct ucred self = {getpid(), getuid(), getgid()};
    int split = (how & RIGHTS_IN_TWO) && count < 100 ? count / 2 : 0;
    memset(&control, 0, sizeof control);
    size_t used = add_files(&control, 0, first, split);
    used = add_files(&control, used, first + split, count - split);
    if (how & RIGHTS_WITH_CREDENTIALS)
        used = add_part(&control, used, SCM_CREDENTIALS, &self, sizeof self);
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = used > 0 ? control.bytes : NULL,
                             .msg_controllen = (socklen_t)used};
    int flags = how & RIGHTS_OUT_OF_BAND ? MSG_OOB : 0;
    /* musl's own sendmsg takes less than 1 KiB of these (ENOMEM). */
    return syscall(SYS_sendmsg, socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT | flags);
}
