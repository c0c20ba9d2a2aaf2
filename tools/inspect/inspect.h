/* SPDX-License-Identifier: MIT */
/*
 * pipc-inspect - what its files share. What is read of other processes is theirs: they can forge
 * all of it, and change it at any time. A number is checked, a name is escaped, and nothing of
 * theirs is opened.
 *
 *   main.c      the command line
 *   process.c   /proc: descriptors, mappings, threads
 *   scan.c      which processes have the same pipe, socket or memory
 *   memory.c    the memory of another process, and what libpipc has there
 *   sockets.c   what the kernel says of Unix sockets and TCP connections
 *   list.c      the pipes of the process
 *   print.c     text and JSON
 */
#ifndef PIPC_INSPECT_H
#define PIPC_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The exit codes; pipc-inspect(1) lists them. */
enum code {
    CODE_OK = 0,
    CODE_LOCAL = 1,
    CODE_USAGE = 2,
    CODE_NO_PROCESS = 3,
    CODE_DENIED = 4,
};

enum { NAME_SIZE = 64, ADDRESS_SIZE = 160, PEERS_MAX = 4 };

/* A file, as the kernel knows it: of memory, of a FIFO. Pipes and sockets have device 0 here. */
struct file_id {
    uint64_t device, inode;
};

static inline bool same_file(struct file_id a, struct file_id b)
{
    return a.device == b.device && a.inode == b.inode;
}

enum kind {
    KIND_OPEN,
    KIND_SHARED,
    KIND_UNKNOWN_MEMORY,
    KIND_PIPE,
    KIND_FIFO,
    KIND_UNIX,
    KIND_TCP
};

/* Instead of a number of bytes. NONE: nothing goes that way. */
enum { UNKNOWN = -1, NONE = -2 };

enum waits { WAITS_UNKNOWN = 1, WAITS_BYTES = 2, WAITS_ROOM = 4 };

/* One pipe, or one direction of one. */
struct row {
    enum kind kind;
    int fd;              /* -1: none, or not known */
    bool reads, writes;  /* what the process does with it */
    int64_t unread;      /* that the process has not read */
    int64_t unread_peer; /* that the peer has not read */
    unsigned waits, peer_waits;
    pid_t peers[PEERS_MAX];
    size_t peer_count;          /* more than there is room for: so many */
    char state[ADDRESS_SIZE];   /* of the peer, when nobody has the other end, and the like */
    char address[ADDRESS_SIZE]; /* a path, a host and port; not escaped */
};

/* ---- process.c ---- */

struct target {
    pid_t pid;
    int directory; /* /proc/PID: after the process has ended nothing can be read there */
};

/* CODE_OK, CODE_NO_PROCESS, or CODE_LOCAL. */
enum code target_open(struct target *target, pid_t pid);
/* Is it still the same process? */
bool target_lives(const struct target *target);
/* A small file of /proc/PID; returns its size, with a zero behind it. -1: errno. */
ssize_t target_read(const struct target *target, const char *name, char *text, size_t size);
/* Its name, which is its own choice. */
void process_name(pid_t pid, char name[NAME_SIZE]);

struct descriptor {
    int number;
    enum kind kind;
    struct file_id id;
    bool reads, writes;
    const char *path; /* of a FIFO; until the function returns */
};
/* Each pipe, FIFO and socket. False: not permitted, or there is no such process. */
bool each_descriptor(int directory, void (*found)(void *context, const struct descriptor *d),
                     void *context);

struct mapping {
    uint64_t address, size;
    struct file_id id;
};
/* Each mapping of what may be memory of libpipc, from its beginning. False: not permitted. */
bool each_mapping(int directory, void (*found)(void *context, const struct mapping *m),
                  void *context);

/* Which descriptors calls of the process wait for: WAITS_BYTES, WAITS_ROOM. */
unsigned descriptor_waits(const struct target *target, int fd);

/* ---- scan.c ---- */

struct holder {
    pid_t pid;
    bool is_memory;
    struct file_id id;
    bool reads, writes;
};
struct scan {
    struct holder *holders;
    size_t count, capacity;
    bool is_partial; /* some processes could not be looked at */
    bool failed;     /* no memory */
};
void scan_processes(struct scan *scan);
/* Others than `self` that have it; of a pipe those that read it, or write it. */
void scan_peers(const struct scan *scan, struct row *row, bool is_memory, struct file_id id,
                pid_t self, bool must_read, bool must_write);
bool scan_has(const struct scan *scan, bool is_memory, struct file_id id, pid_t pid);

/* ---- memory.c ---- */

/* The row of that mapping. False: it is none of libpipc. */
bool memory_row(const struct target *target, const struct mapping *m, const struct scan *scan,
                struct row *row);
/* Unread bytes of a pipe or FIFO, by a copy of the descriptor; UNKNOWN. */
int64_t descriptor_unread(const struct target *target, int fd);

/* ---- sockets.c ---- */

struct socket {
    enum kind kind;
    uint64_t inode, peer; /* peer: its inode, 0: not known */
    int64_t unread, unsent;
    bool is_connected;
    char address[ADDRESS_SIZE], own_address[ADDRESS_SIZE];
};
struct sockets {
    struct socket *all;
    size_t count, capacity;
    bool failed;
};
void sockets_load(struct sockets *sockets, const struct target *target);
const struct socket *socket_find(const struct sockets *sockets, uint64_t inode);

/* ---- list.c, print.c ---- */

struct list {
    struct row *rows;
    size_t count, capacity;
    bool is_denied; /* the descriptors of the process may not be read */
    bool is_partial;
    bool failed;
};
void list_make(struct list *list, const struct target *target);
void print_text(const struct target *target, const struct list *list);
void print_json(const struct target *target, const struct list *list);

/* Room for one more; NULL: no memory. */
void *grow(void **array, size_t *capacity, size_t count, size_t size);

#endif
