/* SPDX-License-Identifier: MIT */
/*
 * What a hostile peer of a Unix socket sends: bytes with descriptors of a few files that can be
 * told apart.
 */
#ifndef PIPC_TESTS_FUZZ_RIGHTS_SEND_H
#define PIPC_TESTS_FUZZ_RIGHTS_SEND_H

#include "fuzz.h"

enum {
    RIGHTS_FILES = 16,
    RIGHTS_MAX = 253 /* the kernel lets no more travel at once */
};

enum {
    RIGHTS_WITH_CREDENTIALS = 1,
    RIGHTS_IN_TWO = 2, /* control messages */
    RIGHTS_OUT_OF_BAND = 4
};

void rights_open_files(void); /* once; they stay open */
int rights_file(int which);
ino_t rights_inode(int which);

/* With `count` descriptors, of the files from `first` on, in turn. As sendmsg; does not wait. */
ssize_t rights_send(int socket, const uint8_t *bytes, size_t size, int first, int count,
                    unsigned how);

#endif
