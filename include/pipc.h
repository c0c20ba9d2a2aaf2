/* SPDX-License-Identifier: MIT */
/*
 * pipc.h - libpipc, two-way message pipes. This header is the manual.
 *
 *   1 Overview     4 The descriptor   7 Limits             10 Caveats
 *   2 Messages     5 Errors           8 Threads            11 The bytes
 *   3 Timeouts     6 Kinds of pipe    9 Fork, exec,        12 Kernels
 *                                       signals, plug-ins  13 Reference
 *
 * A number in parentheses refers to a section.
 *
 *
 * 1 OVERVIEW
 *
 * A pipe has two ends and carries messages both ways. A program uses an end through a handle, a
 * pipc_t; on pipc_open, one handle serves both ends. The thread or process that uses the other end
 * is the peer. What the peer reads are the messages in order, each whole and once. Only an end of
 * the stream can cut them off (2).
 *
 * A pipe is made of memory that two threads or a parent and a child share, of a socketpair, of two
 * FIFOs with a name, of a Unix socket on a path, of a TCP connection, or of descriptors that the
 * program brings. The calls are the same on all of them. Descriptors that the program brings
 * are called adopted; the handle then owns them (pipc_open_fds). Messages that have arrived and are
 * unread are called pending; so are, at a server, clients that have not shown the key yet. A key is
 * a secret by which two programs recognise each other on a socket (6, Keys). The library starts no
 * thread, installs no signal handler and never aborts. It prints nothing, with one exception: a
 * trace, if whoever starts the program asks for one (5, PIPC_TRACE).
 *
 *     #include <errno.h>
 *     #include <pipc.h>
 *     #include <stdio.h>
 *     #include <unistd.h>
 *
 *     int main(void)
 *     {
 *         char text[64];
 *         ssize_t size;
 *         pipc_t *pipe = pipc_open(NULL);
 *         if (pipe == NULL || pipc_set_timeout(pipe, 5000, -1) == -1)
 *             return 1;
 *         pid_t child = fork();
 *         if (child == -1)
 *             return 1;
 *         if (child == 0) {
 *             if (pipc_write(pipe, "hello", 5) == -1 || pipc_disconnect(pipe, "bye now") == -1)
 *                 return 1;
 *         } else {
 *             while ((size = pipc_read(pipe, text, sizeof text)) >= 0)
 *                 printf("%d bytes: %.*s\n", (int)size, (int)size, text);
 *             if (errno != ESHUTDOWN)
 *                 return 1;
 *             printf("the child left: %s\n", pipc_bye_text(pipe));
 *         }
 *         pipc_close(pipe);
 *         return 0;
 *     }
 *
 * Compile with: cc hello.c $(pkg-config --cflags --libs libpipc)
 *
 * C++17 programs can include pipc.hpp instead: each of its members is one call of this header.
 *
 * The call of pipc_set_timeout is the parent's, for the parent's end. The child's timeouts are -1.
 *
 *
 * 2 MESSAGES
 *
 * A message is 0 to max_message bytes of any content. It is sent entirely or not at all. It is read
 * entirely, or it stays where it is. The announced length of a message allocates nothing: memory
 * grows only with the bytes that have arrived.
 *
 * A goodbye is a message of its own kind, PIPC_BYE. pipc_disconnect sends it, with a text. It
 * arrives after everything that was sent before it. pipc_read reports it as the error ESHUTDOWN,
 * and pipc_bye_text then returns the text. pipc_read_msg, pipc_read_pending and pipc_peek deliver
 * it as a message, whose data is "BYE" followed by the text. A message of data may begin with "BYE"
 * too; it is still data.
 *
 * A stream of messages can stop in three ways: with a goodbye (ESHUTDOWN or PIPC_BYE), with an end
 * of stream between two messages (EPIPE), or with an end of stream inside a message (ECONNRESET).
 * It can also fail: because of bytes that are no message (EPROTO), or of the network (ECONNRESET).
 * In each case, all messages that arrived whole before it are delivered first. On pipc_open, a next
 * peer may follow a goodbye (6).
 *
 * On Unix sockets, opened, accepted or adopted, and on pipc_open_pair, a message can bring
 * descriptors: up to 16 open files, sockets or pipes of the sender. pipc_write_fds sends it. The
 * peer reads it like any other, and then takes copies of the descriptors with pipc_take_fds. It has
 * to ask for them with PIPC_ACCEPT_FDS when it opens the handle, the pair or the server. Everything
 * else is as for a message without: order, timeouts, held bytes, goodbye, fork.
 *
 *   - pipc_read, pipc_read_msg and pipc_read_pending take descriptors together with their message.
 *     pipc_read_pending ends its batch behind a message that brings some, so that they are those of
 *     the last message of the batch. pipc_peek shows none. pipc_skip closes those of the message.
 *   - What is not taken is closed by the next call that takes or skips a message, or a goodbye, by
 *     pipc_close and by pipc_detach. A call that takes no message leaves it: pipc_peek,
 *     pipc_pending, pipc_flush, those that write, and a read that fails.
 *   - Descriptors that come are close-on-exec, and none is 0, 1 or 2.
 *   - The sender's descriptors stay open and its own; it may close them at once. When the message
 *     does not arrive, because the peer dies or closes, the kernel closes the copies.
 *   - The kernel itself sends the copies with the first byte of the message. From then on the
 *     message can only be held (3), and is never taken back.
 *   - A program that accepts descriptors gives the peer a part of its own: each of up to 64 that
 *     wait (7) counts against its limit, and closing the last copy of a file can take time. A
 *     socket with SO_LINGER, for one, may stop the thread that closes it for seconds. That is true
 *     of all calls that close them, see above, also of pipc_close and of calls with timeout 0.
 *   - Take all descriptors after each message, and close those that you have no use for. A peer may
 *     send its own end of the connection along. As long as a copy of that is open here, also in the
 *     handle, the end of the stream does not come, and a read waits for a peer that is dead.
 *   - The system limits what a user has on its way, to all peers together (ETOOMANYREFS). One peer
 *     that does not read can use that up, and then the others get none. So limit how many messages
 *     with descriptors each peer may leave unread: let it answer them, for example.
 *
 *
 * 3 TIMEOUTS
 *
 * Each handle has a timeout for reading and one for writing, in milliseconds. -1 waits without
 * limit and is the default; 0 never waits; n waits at most n ms. On pipc_open, each holder of an
 * end has its own two timeouts. A call that gets nothing done in time fails with EAGAIN (timeout 0)
 * or ETIMEDOUT. Then no message is lost, torn, repeated or half taken. What the call did on its way
 * stays: bytes that were held have gone, messages have been taken in (7), an end of pipc_open has
 * been taken (6). Before it fails with ETIMEDOUT, the call tries once more. A few bytes, or a
 * little room, may have come that were too little to end the wait.
 *
 * A write with timeout -1 returns when the whole message is in the kernel or in the shared memory,
 * or is gathered (see the end of this section). Before the peer reads, there is room for at least
 * 256 KiB on pipc_open. On the other kinds, the room is what the kernel gives a pipe, a FIFO (6) or
 * a socket. When the room is full, the write waits until the peer reads. So a thread that writes
 * more than fits, and is itself the thread that should read it, waits for ever.
 *
 * With another timeout, or with PIPC_INTERRUPTIBLE, a call may have to stop when a part of its
 * message has gone. Then it succeeds: the message is accepted, and the handle holds the rest. The
 * memory for the rest is reserved before anything is sent. Without that memory the call fails with
 * ENOMEM, and nothing was sent. Only the rest of one message can be held (with PIPC_GATHER more,
 * see below). While it is held, the handle accepts no other message: a write first sends what is
 * held, and with timeout 0 it fails with EAGAIN if that does not all go.
 *
 * Every later call that reads or writes, and pipc_pending, pipc_flush, pipc_shutdown,
 * pipc_disconnect, pipc_fd and pipc_want send as many of the held bytes as there is room for. (In
 * shared memory, a rest of up to 64 KiB goes as a whole or not yet. A call that is refused at once
 * need not send any: with EINVAL, EMSGSIZE, EOPNOTSUPP, or EMFILE of pipc_fd.) A read that waits
 * does so all the time; with PIPC_DUPLEX, not with what another thread began to hold after the read
 * had begun to wait. pipc_set_timeout, pipc_stats, pipc_peer, pipc_bye_text, pipc_take_fds,
 * pipc_credentials and pipc_detach do not. pipc_stats reports how many bytes are held; pipc_flush
 * waits until they have gone. With PIPC_ASYNC it waits for the peer too (6).
 *
 * There is one exception. After a pipc_flush or pipc_disconnect that failed with EAGAIN, ETIMEDOUT,
 * EINTR or ENOMEM, these calls keep the last held byte back, so that the descriptor can say that
 * the flush is worth repeating (4). That byte goes with the next call that writes, flushes, shuts
 * down or disconnects, or with the next reading call or pipc_pending that finds nothing to read.
 *
 * A signal does not end a wait: the wait goes on for the time that is left. With
 * PIPC_INTERRUPTIBLE, a caught signal ends the wait with EINTR if nothing had been done by then. A
 * message that has come in part does not count: the part stays for the next call. If a process is
 * stopped and continued (SIGSTOP, SIGCONT) and has no handler for SIGCONT, this ends no wait. The
 * clock is the monotonic one.
 *
 * With PIPC_GATHER, small messages go together. A write of a message of at most 4,096 bytes only
 * copies it into memory, where it is held. This is called gathering. What is gathered is sent
 *   - by the write with which 16 KiB have come (frames, see 11, count too), or by the write of a
 *     larger message, or of one with descriptors, which follows at once;
 *   - by every function that sends held bytes, see above: all that read, pipc_pending, pipc_flush,
 *     pipc_shutdown, pipc_disconnect, pipc_fd, pipc_want; and by pipc_close;
 *   - by a write that begins a millisecond or more after the one before it. Its message is sent as
 *     well. (A shorter interval may have the same effect, a third of a millisecond for example.)
 *
 * Nothing runs by itself: no thread, no timer. Until one of these calls is made, what is gathered
 * waits in the process, for ever if there is none. While anything is gathered, the descriptor is
 * readable (4). So an event loop sends it: the loop wakes up and calls a reading function. A
 * program that has no such loop, and does not read, calls pipc_flush after the last of its writes.
 * A process that ends without pipc_close (by exit, by exec, or killed) loses what it has gathered.
 *
 * Everything else holds as without the flag. A message is sent whole or not at all, and in order.
 * When there is no room for what is gathered, it waits like other held bytes: the next write waits
 * for it first, or fails with EAGAIN or ETIMEDOUT. If the peer has gone, writes that gather still
 * succeed; the first write after a try to send fails with EPIPE. While anything is gathered, it
 * takes 16 KiB of memory. Without that memory, a message is sent at once.
 *
 *
 * 4 THE DESCRIPTOR
 *
 * pipc_fd returns one descriptor for select, poll, epoll (level and edge), io_uring, or another
 * epoll set. Poll it for input (POLLIN) only, also to learn when to write. It is readable whenever
 * a call is worth making, which means when
 *   - a message, a goodbye, an end of stream or an error can be read, also one that is already in
 *     memory;
 *   - with PIPC_ASYNC, the rendezvous can go on, or the peer is there, or never will be (6);
 *   - held output (3) can move on; the calls of section 3 move it, pipc_fd too. What is gathered
 *     (PIPC_GATHER) can do so until a call has found no room for it;
 *   - a write that failed with EAGAIN or ETIMEDOUT is worth repeating, because there is room. A
 *     pipc_disconnect that found no room for its goodbye is such a write too. This reason ends with
 *     the next write of any message, with pipc_shutdown or pipc_disconnect, or with a pipc_flush
 *     that succeeds. A program that gives the message up must call pipc_flush until that succeeds:
 *     otherwise the descriptor stays readable, and its loop spins;
 *   - a pipc_flush or pipc_disconnect that failed with EAGAIN or ETIMEDOUT because bytes were held
 *     is worth repeating, because the rest of them can go now. This reason ends when the call is
 *     repeated. A program that does not repeat it is woken once for it, and then calls a reading
 *     function or pipc_pending, as at each wakeup. The reason ends with the first of these calls
 *     that finds nothing to read; while PIPC_WANT_READ is off, with the first of them.
 *
 * It stays readable until the reason has been dealt with. For an end of stream or an error, that
 * means: until pipc_read, pipc_read_msg, pipc_read_pending, pipc_peek and pipc_skip have reported
 * it eight times in all. Other calls do not count: pipc_pending, for one, returns 0 at an end. So a
 * loop that reads at each wakeup ends: it is woken eight times, or a few times more. One that reads
 * only when pipc_pending finds something spins. A program that only writes after an end has two
 * ways: it still calls pipc_read whenever it is woken (the call fails at once), or it removes the
 * descriptor from its loop. Switching PIPC_WANT_READ off does not help.
 *
 * In two cases the descriptor need not become readable although a call is worth making, both on
 * pipc_open (6): when the peer replaced itself by exec, and when there is a little room for a write
 * but less than half of the pipe is free. A spurious wakeup is possible, and on pipc_open usual
 * when the peer takes its end: then a read with timeout 0 fails with EAGAIN, and the descriptor is
 * not readable any more.
 *
 * In a loop that polls, set the read timeout to 0. With the default, -1, the last pipc_read would
 * wait for a message, and the loop would stand still:
 *
 *     pipc_set_timeout(pipe, 0, 0);
 *     struct pollfd item = {pipc_fd(pipe), POLLIN, 0};
 *     while (poll(&item, 1, -1) >= 0) {
 *         while ((size = pipc_read(pipe, buffer, sizeof buffer)) >= 0)
 *             use(buffer, size);
 *         if (errno != EAGAIN)
 *             break;
 *     }
 *
 * pipc_want selects what makes the descriptor readable. A program that cannot take more messages
 * now, because it cannot send its answers yet, switches PIPC_WANT_READ off until it can. While it
 * is off, a message or a goodbye that waits, in the kernel or in memory, does not make the
 * descriptor readable. When the pipe is full, the peer's writes wait or fail. Two things still make
 * it readable. The first is an end of stream or an error of reading, once no unread message or
 * goodbye comes before it; it is reported eight times, as above. One that comes behind an unread
 * message or goodbye makes the descriptor readable until the next call, whichever it is; pipc_flush
 * serves. (Of a pipc_shutdown or pipc_disconnect of the peer behind a message that is in memory,
 * and over TCP of a pipc_close, this holds for some kinds only.) The second is that writing is
 * dead, because nobody will read what is written, or because the stream is broken. (A pipc_shutdown
 * or pipc_disconnect of the program itself does not count.) This makes the descriptor readable also
 * while messages are unread, also if the program has not tried to write (over TCP it may have to),
 * and as long as PIPC_WANT_READ is off. The program learns it from a write, which fails with EPIPE.
 * It then closes the handle, switches PIPC_WANT_READ on, or removes the descriptor from its loop.
 * While PIPC_WANT_READ is on, dead writing alone does not make the descriptor readable.
 *
 * While PIPC_WANT_WRITE is off, the descriptor is not readable for held output, also if that is
 * gathered (3), nor because a write, a flush or a disconnect is worth repeating. When
 * PIPC_WANT_READ is switched on again, what waits makes the descriptor readable at once, with a new
 * edge.
 *
 * The descriptor belongs to the handle: do not read, write or close it. An event loop may set
 * O_NONBLOCK on it, as libuv and GLib do: whether a call waits does not depend on it.
 *
 * Before pipc_close, remove the descriptor from your epoll set and from everything else that
 * remembers it. On pipc_open, do so before pipc_disconnect too: when that succeeds, it closes the
 * descriptor. When it fails, the descriptor is still open. So, to repeat it when the descriptor is
 * readable: add the descriptor again, poll, remove it, and call pipc_disconnect. After the
 * descriptor is closed, its number may belong to something else. If a child has a copy of the
 * descriptor, epoll may go on reporting it and can no longer be told to stop.
 *
 * Until pipc_fd is called, its descriptor costs nothing. A process needs this many descriptors in
 * all. Where a range is given, the number grows when a call waits for the first time, and when the
 * peer is another process:
 *
 *                                        once open    with pipc_fd
 *   pipc_open, while no end is held          3
 *   ... for one end that is held here     3 to 6           5
 *   ... for two, by threads               3 to 7        5 to 7
 *   pipc_open_pair, each end                 1             2 *)
 *   ... where it is made of pipes (6)        2             4
 *   pipc_open_fds                       those given    2 more; on one socket 1 more *)
 *   pipc_open_fifo                           2             4       (6 during the rendezvous)
 *   pipc_open_tcp, pipc_open_unix,           1             2 *)
 *     pipc_server_accept
 *   a pair or a Unix socket that has         4             4 *)
 *     moved into shared memory (6)
 *   pipc_server_open                         2, and one for each address that it listens on
 *   pipc_server_open_unix                    4 (6 during the start); on an abstract name 3
 *   pipc_server_open_fd                      2 more than the one that is given
 *
 *   *) One more while messages wait in memory and there is no room to write. If none is free then,
 *      the descriptor is readable as soon as more bytes come, there is room, or a later call gets
 *      one.
 *
 * A server needs one more for each client that it has not handed over. During its rendezvous,
 * pipc_open_tcp needs one for each address that it listens on and one for each connection that it
 * tries. With PIPC_ASYNC, pipc_fd needs one more during the rendezvous, and so does a relative
 * path; for a FIFO that makes nine, or ten. Where the kernel has no eventfd (12), pipc_open needs
 * two more, and pipc_fd on the other kinds one more, except on a socket.
 *
 *
 * 5 ERRORS
 *
 * On failure, constructors return NULL, other functions return -1, and both set errno. The
 * reference (13) names the few exceptions. Nothing is reported in any other way. A dead direction
 * fails with the same errno in every later call that reads or writes a message. pipc_strerror
 * returns a sentence for each.
 *
 *   EAGAIN       The timeout is 0, and nothing could be done now. No message was taken or
 *                accepted (3); that is what "unchanged" means here.
 *   ETIMEDOUT    The timeout passed, and nothing was done. Unchanged.
 *   EINTR        Only with PIPC_INTERRUPTIBLE: a caught signal ended the wait. Unchanged.
 *   EOPNOTSUPP   pipc_credentials, pipc_detach: this kind of pipe has none, or cannot be detached.
 *                pipc_write_fds: no descriptors travel over this kind, or the peer did not ask for
 *                any. Nothing was sent. Unchanged. pipc_server_open_unix: the system cannot give
 *                the socket its mode (6).
 *   EMSGSIZE     Reading: the next message is larger than the buffer. It stays; pipc_peek reports
 *                its size. Writing: the message is over max_message. Nothing was sent. Unchanged.
 *   ESHUTDOWN    pipc_read took a goodbye; pipc_bye_text returns its text. Unchanged otherwise. On
 *                pipc_open, the next read waits for the next peer. On the other kinds the next read
 *                fails with EPIPE at once, because nothing comes after a goodbye.
 *   EPIPE        Reading: the peer closed, died or shut down, and all that it sent has been read. A
 *                write may still succeed. Writing: nobody will read it, or writing was ended here.
 *                Reading goes on. That direction is dead.
 *   ECONNRESET   Reading: the stream ended inside a message, which is dropped; or the network reset
 *                the connection; or the host of the peer has vanished; or the system (a security
 *                module, say) keeps descriptors from this process: at first, for half a second or
 *                some calls, that is EMFILE. Both directions are dead.
 *   EPROTO       The bytes are no frame, or announce more than max_message; or a message brings
 *                more than 16 descriptors. Both directions are dead: the library does not search
 *                for the next message.
 *   EMFILE       Reading, with PIPC_ACCEPT_FDS: descriptors come, and no number is free for them.
 *                Nothing is taken and nothing is lost; messages just before them may wait too. The
 *                descriptor of pipc_fd stays readable: a loop that does nothing but repeat the call
 *                spins. Close something, and repeat the call; or switch PIPC_WANT_READ off until
 *                something is closed. Opening: no descriptor is free. Not opened.
 *   EBADF, ETOOMANYREFS
 *                pipc_write_fds: a descriptor is not open; or this user has more of them on their
 *                way, unread, than its limit on open files (RLIMIT_NOFILE), and is not privileged.
 *                Nothing was sent. Unchanged. EBADF when opening: not open. Not opened.
 *   EBUSY        pipc_open: others hold both ends. Unchanged.
 *   EACCES       pipc_open_fifo: the directory, or what is at the name, belongs to another user or
 *                is not what it should be. pipc_open_unix, pipc_server_open_unix: a directory or
 *                the socket does not permit it. pipc_open_tcp, pipc_open_unix: the key was wrong,
 *                or with a key the peer is this process itself (6, Keys). pipc_server_open: a port
 *                under 1,024. Not opened.
 *   ENOENT       TCP: the host has no address. pipc_open_fifo: the parent of the directory is
 *                missing. pipc_server_open_unix: the directory is missing. Not opened.
 *   ENOTSOCK, EPROTOTYPE
 *                pipc_open_unix: what is at the path is no socket, or one of another type. Not
 *                opened.
 *   EADDRINUSE, EEXIST
 *                pipc_server_open, pipc_server_open_unix: another server is there or is starting,
 *                or something that is no socket. It stays. Not opened.
 *   ECONNREFUSED, EHOSTUNREACH, ENETUNREACH
 *                pipc_open_tcp with PIPC_CONNECT_ONLY: why no connection was possible. Not opened.
 *   EINVAL       A NULL handle; NULL for something that is to be used; a timeout below -1; options
 *                that make no sense. Unchanged. pipc_server_accept: a listening socket of the
 *                server was shut down.
 *   ENOBUFS      ENOMEM as the kernel calls it for sockets: possible wherever ENOMEM is. Unchanged,
 *                or not opened.
 *   ENOSPC       pipc_fd and servers: the user watches as many descriptors by epoll as it may
 *                (fs.epoll.max_user_watches). Unchanged, or not opened. Files: see 13.
 *   ENOMEM, ENFILE, EPERM, EIO, EADDRNOTAVAIL, ENAMETOOLONG, EROFS, EFBIG, ERANGE
 *   and others: as in POSIX; see 13. Unchanged, or not opened.
 *
 * With PIPC_ASYNC, calls can also fail with an errno of the constructor (6), and in a child after
 * fork with EPERM (9).
 *
 * On a pipc_open handle, a call by a thread that holds no end takes one. It can then also fail with
 * EBUSY, EPIPE (no end will become free), ENOMEM, EMFILE, ENFILE or EPERM (6), and has taken none.
 * On adopted descriptors, reading and writing can also fail with any other errno of read(2) and
 * write(2).
 *
 * SIGPIPE never reaches the program, nor does SIGXFSZ. One that was pending before stays pending.
 *
 * PIPC_TRACE: when a message does not arrive, a trace shows what happened to the pipes. With
 * PIPC_TRACE=FILE in its environment, a program that uses the library appends a line to FILE for
 * each handle or server that is opened, or is not; step of a rendezvous; verdict of a handshake,
 * with its reason; goodbye; shutdown; end of a stream, or death of a peer, and how it was noticed;
 * step into shared memory; refused call; and close. There is no line for a message, and none has a
 * byte of a message, of a goodbye's text or of a key. It has names, paths and addresses. Such a
 * line is
 *
 *     1795753695.123456 4711 #3 rendezvous: nobody is there: waits at the name
 *
 * with the time in seconds since 1970, the process, and the number of the handle: handles and
 * servers are numbered as they are made, from 1 on; #0 is none. Then come the event, what it is,
 * and where they are known a "name", an errno, and in parentheses the peer or a port. The wording
 * may change between versions.
 *
 *   - The file is opened when the first handle or server is made; a relative path begins in the
 *     working directory of that moment. It is made with mode 0600, less the umask, if it is
 *     missing. What is no regular file is left alone, and there is no trace: a symlink, a FIFO, a
 *     device. So it is when the program has rights that its caller may not have: its real and
 *     effective ids differ, it is set-user-ID, or its file has capabilities.
 *   - PIPC_TRACE=- is standard error: what descriptor 2 leads to when the first handle or server is
 *     made. What the program does to its own descriptor 2 later makes no difference. Where the
 *     reader does not keep up, lines are lost, or one is cut off. A terminal is opened once more,
 *     by /proc/self/fd or as /dev/tty, so that no call waits for it, and where neither is possible
 *     there is no trace. stty tostop stops no program for its lines.
 *   - Each line is one write(2) with O_APPEND: lines of several processes stay whole. A child after
 *     fork writes to the same file. Other programs after exec do if the variable is still there.
 *   - No failure of the trace is one of the program's. If the disk is full, or a limit is reached,
 *     lines are lost, or one is cut off; no call fails, no signal comes, and errno is kept.
 *   - The process has one descriptor more, close-on-exec and above 2, until it ends. If the program
 *     closes it, the trace ends. What has the number then is not written to, unless it gets it at
 *     the very moment of a line. So a program that closes all its descriptors does that first.
 *   - pipc_set_trace gives the lines to a function of the program, with the variable or without.
 *
 *
 * 6 KINDS OF PIPE
 *
 * pipc_open: one handle that both sides use: two threads, or a parent and a child. The first user
 * takes one end, the second user takes the other, and a third gets EBUSY. Every call on the handle
 * is a use, except pipc_close, pipc_stats, pipc_peer, pipc_bye_text, pipc_take_fds,
 * pipc_credentials and pipc_detach, and one that is refused with EINVAL or EOPNOTSUPP. Each end has
 * at most one holder: one thread of one process. After fork, the child is a new user.
 *
 *   - Only pipc_disconnect frees an end, that is, leaves it to a next holder. After pipc_shutdown
 *     it fails: a shutdown is final. The next user takes the free end. A thread that has left may
 *     come back: it takes its former end if that is free, otherwise the other end if that is free.
 *     A newcomer takes an end that nobody has held yet if there is one, otherwise a free one.
 *     So a parent that has not made its first call leaves both ends to its children.
 *   - Who takes an end reads on where its former holder stopped. A thread that comes back to the
 *     other end may so read its own messages, and its own goodbye.
 *   - The side that stays reads what was sent, then the goodbye. After that, its reads wait for the
 *     next peer, and what it writes waits in the pipe for the next peer.
 *   - Messages that a thread had taken into its memory before it left stay with that thread. It
 *     reads them when it comes back; when it closes or ends instead, they are lost. This is the one
 *     case in which messages are dropped, and also a thread that only writes may have taken some in
 *     (7). So send what is meant for the next holder after the goodbye of this one. Meanwhile these
 *     messages count: each end that this process holds may keep so much less than max_pending.
 *   - When a holder dies (it is killed, it exits, or its thread ends), a read or write that waits
 *     notices within a second, and so does the descriptor, even if other processes have copies of
 *     the handle. The survivor first gets what the holder sent, then EPIPE, or ECONNRESET inside a
 *     message. A write that does not wait checks too, but not always. It may omit the check within
 *     50 microseconds of the last one. After the peer has read as fast as this side writes, up to
 *     seven further writes may omit it as well. A write without the check succeeds although the
 *     peer is dead; a later one reports it.
 *   - A holder that replaces itself by exec is dead as well. A read that waits notices within a
 *     second. A program that only polls notices at its next call.
 *   - Each direction holds 256 KiB, of which each message takes 4 bytes besides its own. When a
 *     message of more than 2,044 bytes does not find enough room, the direction grows to 1 MiB, at
 *     once or with a later such message, and stays so. Memory is used when bytes first come to it.
 *     When 256 KiB have gone through a direction, each side maps it once more, in 2.25 MiB of
 *     addresses. A call that cannot do so fails with ENOMEM, and nothing is lost: a later one tries
 *     again. A pipc_read without a limit that cannot keep what has come of its message either waits
 *     until there is memory.
 *   - A read that waits for an answer, since this side has written after its last wait, looks into
 *     the memory for some 20 microseconds before it sleeps, or yields the processor once, as long
 *     as that has lately found something; one in a stream of much yields. A look is spent on the
 *     processor; on two processors an answer often comes in 1 microsecond. A yield is for a peer on
 *     the same processor. Where others have work for it too, it may take their milliseconds; but
 *     then there is none for up to 8,192 times as long.
 *   - A write that waits for room is woken when half of the direction is free, at the latest; a
 *     descriptor that waits for it becomes readable then. Sockets have such a mark as well. Room
 *     counts when the call that read has returned. A reader may stop before that, and wait in
 *     another way than by reading (for a lock, say) until the writer goes on. Then both may wait
 *     for ever. So read on.
 *   - If the holder of an end dies or calls pipc_close, this is final: that end has no next holder.
 *     A newcomer then gets EPIPE if no end is free. A pipc_close by a thread or process that holds
 *     no end (9) does nothing to either end.
 *   - A live holder is never taken for dead, whatever the program does with its descriptors.
 *     Copying them with dup, closing some or closing all of them does not end its hold on the end.
 *   - If an attacker controls a child or another process that has the pipe, that process can send
 *     anything, keep messages from coming, pretend to be dead, or stay silent. It cannot keep the
 *     survivor busy after its own death, or reach the memory of another process. Nor can it hide
 *     its death from a peer that has waited in a call while it was alive, and that reads all that
 *     came: as long as messages are unread (max_pending), a write can wait for it. From a peer
 *     that has not waited, it can. What it writes makes no call wait longer than its timeout. But
 *     while it punches holes into the memory, the kernel makes each access wait, and so each
 *     call, also with timeout 0. And where it may use asynchronous I/O (io_submit(2)), it can
 *     fill the counter of a doorbell (an eventfd): then a call that rings it waits, also after
 *     that process has died.
 *   - A fork that does not go through the C library's fork(3) leaves the child with the descriptor
 *     of an earlier pipc_fd, and what that child does to it affects the parent.
 *   - All handles of pipc_open together need one of the process's keys for thread-specific data
 *     (pthread_key_create). The library also needs /proc here, to recognise a live holder by more
 *     than its process id. Without it an exec is not noticed. Where the kernel has no pidfd_open
 *     (12) or refuses it, a death is noticed then only when somebody has waited for the process
 *     (waitpid). And a process in another pid namespace takes no end (EPERM); before Linux 6.11
 *     that holds for the first one there alone. The death of another may not be noticed then, and a
 *     live one can be taken for dead.
 *
 * pipc_open_pair: the two ends as two handles, for programs that prefer to assign the ends. After
 * fork, each side closes its copy of the other side's handle. Ends are not taken or freed. Any
 * thread may use either handle, one thread at a time. An end of stream without a goodbye is seen
 * when each copy of the peer's handle, in all processes, is gone, or one of them has shut down.
 *
 *   - A pair is a socketpair(2). After 4 KiB, counted in both directions together, it moves into
 *     shared memory, with the next message of whichever end writes. All that stands under "Shared
 *     memory" below holds, but for when, and for the 64 MiB: pairs do not count. Each direction can
 *     grow to 1 MiB.
 *   - With PIPC_ACCEPT_FDS it stays a socketpair, and its ends pass descriptors. Without, they pass
 *     none: pipc_write_fds fails with EOPNOTSUPP.
 *   - With PIPC_DUPLEX, PIPC_GATHER or PIPC_NO_SHARED_MEMORY, and without PIPC_ACCEPT_FDS, a pair
 *     is two kernel pipes, which are faster than a socket. It needs twice as many descriptors (4),
 *     and a direction has an end when each copy of the peer's handle is gone or shut down.
 *   - Before it has moved, the room is that of a socket: less than 300 small messages, where the
 *     system has its usual limits. A pipe has room for more of them, in 64 KiB.
 *   - Where the other end goes to a program that is hostile, set PIPC_NO_SHARED_MEMORY.
 *
 * pipc_open_fds: any two descriptors that work with read(2) and write(2): a socket, a socketpair,
 * FIFOs, a terminal, stdin and stdout, pipes to a tunnel. The peer may be any program that speaks
 * section 11. End-of-file is the end of stream.
 *
 * pipc_open_fifo: two processes of one user on one host that agree on a name, and on nothing else.
 *
 *   - The first caller waits for the second, up to the timeout. The first two callers that are
 *     there at the same time get each other, with one handle each. Then the name is free, and
 *     nothing is left of it in the file system. A third caller is not affected: it waits for a
 *     fourth. Many callers may use one name at a time, also threads of one process. Each gets
 *     exactly one peer; which one is not promised.
 *   - When both have opened, each has the other. There is one exception: at the very moment when
 *     one side succeeds, the other is killed or stopped, its thread is cancelled, or its time runs
 *     out. Then the side that succeeded has a pipe whose end of stream it sees at once (EPIPE).
 *   - A caller that dies while it waits gets no peer and is no obstacle to later callers. The next
 *     caller with that name removes what it left. The rendezvous uses no lock, so a dead caller
 *     cannot leave one locked.
 *   - Others may delete what a waiting caller has made: a cleaner of /tmp, or rm -rf. They may
 *     delete a part of it, or all of it with the directory of the names. The waiting caller notices
 *     within a second and starts again; it makes the directory again. Until then a newcomer does
 *     not find it and waits too (with timeout 0: EAGAIN). Both get each other when the first has
 *     noticed. If the directory cannot be made, the wait ends with ENOENT (its parent is missing)
 *     or EACCES (something else is there). A waiting caller renews the times of its files each
 *     hour, so that a cleaner that goes by age spares them. After the rendezvous, no files are
 *     needed.
 *   - Names live in /tmp/pipc-UID (UID: the number of the effective user), or in options.directory.
 *     The directory is made with mode 0700 when it is missing; its parent is not made. A relative
 *     path begins in the working directory at the time of the call. The call fails with EACCES if
 *     the path is not a directory, is a symlink, belongs to another user, or has a mode other than
 *     0700. Only the same user (and root) can see, disturb or imitate a rendezvous. What is in the
 *     directory is opened only if it is the caller's own and has the right type and mode, never
 *     through a symlink; otherwise EACCES.
 *   - Another user can make /tmp/pipc-UID first, or fill up /tmp. Then opening always fails. A
 *     program to which this matters uses a directory of its own, in $XDG_RUNTIME_DIR or in the home
 *     directory. If /tmp is not sticky, other users can also move /tmp/pipc-UID away; the same is
 *     true of any other parent directory that they may write to. Then callers before and after the
 *     move do not find each other.
 *   - An end of stream without a goodbye is seen when each copy of the peer's handle is gone or
 *     shut down. If a process forks while another of its threads waits in pipc_open_fifo, the child
 *     has copies of the descriptors of that wait until it exits or execs. Meanwhile a death of the
 *     waiting process is not seen.
 *   - After the peer has gone, the pipe is dead; open a new one.
 *   - Each side asks the kernel for room for 1 MiB for what it writes. The memory is used only when
 *     the pipe is full. But it counts at once against /proc/sys/fs/pipe-user-pages-soft (64 MiB by
 *     default: 32 such pipes of a user). Beyond that, a user who is not root gets what the kernel
 *     gives, down to 4 KiB for each direction. That is slower; nothing else changes.
 *
 * pipc_server_open_unix, pipc_open_unix: a server on a path of this host, and its clients. The
 * server is there first, or the clients wait for it; each client is accepted with
 * pipc_server_accept.
 *
 *   - A server never takes a path from a live server, and a dead one is no obstacle. Of any number
 *     that start on one path at once, exactly one gets it; the others fail with EADDRINUSE. What a
 *     killed server left is replaced. Only a socket file is ever removed, and only when no process
 *     has it bound, whether it listens or not: a file that is not bound now never will be. A
 *     symlink, a file, a FIFO or a directory at the path stays: EEXIST. A client finds the old
 *     socket, the new one, or none, but never one that does not listen.
 *   - "No process" means: none of this kernel, by this mount. A server on another host that shares
 *     the directory (NFS), or one in a layer of an overlay (overlayfs) that is also used directly,
 *     is not seen: its socket counts as dead. Servers there need different paths. A socket that
 *     this user may not connect to counts as live.
 *   - There is no lock, so a program that cannot write to the directory cannot hold up a start.
 *     While a server starts, the directory has a socket with the name .pipc-new- and 16 digits, and
 *     while a dead one is removed also .pipc-old- and 16 digits, by which servers agree who removes
 *     it. If a server is killed then, these are left, dead. They stop nobody, and the next server
 *     of the same user that starts in the directory removes them. For that it reads the directory
 *     once. Tools such as ss(8), and getpeername(2), report the first of these names below
 *     /proc/thread-self/fd, since the kernel keeps the name that a socket was bound to.
 *   - Another program may put something at the path at the very moment in which a dead socket is
 *     removed. It keeps that, but clients may miss it for an instant. Where the file system cannot
 *     rename without taking a place (NFS), it can lose it.
 *   - The socket comes into the directory that the path led to when the call began, whatever the
 *     path leads to meanwhile. Without /proc, the path is used a second time.
 *   - pipc_server_close removes the name, unless the file there is not this server's any more. For
 *     that the server keeps a descriptor of the directory, also after chroot(2). The name stays, as
 *     a dead socket, if the process may not remove it any more (it has given up privileges, say);
 *     then the next server replaces it. A forked copy of the server removes nothing. A copy that is
 *     open, in a child or where it was sent to, keeps a killed server's name in use (EADDRINUSE).
 *     The same is true of a child that another thread forked at the instant in which the server
 *     removed a dead socket.
 *   - options.mode is the access of the socket, whatever the umask; the default is 0600. It must
 *     let the owner write (0200): a user who may not connect cannot find out whether the server is
 *     dead. Before Linux 6.6, /proc is needed where the umask takes away some of it (EOPNOTSUPP).
 *     To connect, a client needs write permission on the socket, and search permission on its
 *     directory and those above. Where the directory has a default access list (acl(5)), the
 *     socket gets it, and mode limits it.
 *   - Who can connect: the users that mode and the directories permit, and root. Who can be
 *     impersonated: whoever may write to the directory can put another socket at the path, before
 *     the server starts or after it ended; where the directory is not sticky (/tmp is), also in its
 *     place while it runs. A client can check: pipc_credentials names the server's user. So use a
 *     directory that only the server's user can write to, such as /run/NAME or $XDG_RUNTIME_DIR. In
 *     /tmp anybody can be there first, or keep a dead socket from being replaced.
 *   - "@NAME" is a name of Linux' abstract namespace, 1 to 107 bytes, exactly these, as "\0NAME" in
 *     Python. It has no file and no permissions, and goes away with its last socket. Who can
 *     connect: every user and process of this network namespace, also out of a container that
 *     shares it. Who can be impersonated: whoever comes first has the name, until that ends. So use
 *     a key or a path. A file whose name begins with @ is "./@NAME".
 *   - A path may be longer than the 107 bytes of a socket's address. Then /proc is needed
 *     (ENAMETOOLONG), and so it is for a server in a directory of more than 80 bytes. A relative
 *     path begins in the working directory at the time of the call.
 *   - A client that finds no server (no file, no directory, a dead socket, a server with a full
 *     backlog) tries again 20 times a second until the timeout.
 *   - Without PIPC_ACCEPT_FDS, a peer cannot send descriptors: pipc_write_fds fails with
 *     EOPNOTSUPP, and sendmsg(2) with EPERM. That holds for the clients of a server from the start,
 *     also before they are accepted, and for the server of a client. It needs Linux 6.16
 *     (SO_PASSRIGHTS). Before, the kernel drops descriptors that come, in the call that reads or
 *     closes. That takes as long as closing them takes, which for a TCP socket with SO_LINGER is as
 *     long as the peer likes. So there, a peer can make pipc_server_accept, pipc_read and
 *     pipc_close wait, whatever the timeout: let only users connect that are trusted. With that
 *     flag and a key, a peer can send descriptors once it has shown the key, and none before.
 *   - pipc_open_fds and pipc_server_open_fd set SO_PASSRIGHTS of a Unix socket as that flag asks.
 *     Descriptors that were sent before are dropped as by an older kernel. pipc_detach gives a
 *     socket of pipc_open_fds back as it was; pipc_close leaves it changed for those who have a
 *     copy. Sockets of servers and clients stay as they are, so that whoever goes on with them is
 *     safe from the start, and may adopt them with the flag. With the flag, pipc_open_fds also
 *     switches SO_PEEK_OFF off, and it stays off.
 *   - With a key, at most 256 handshakes are pending, as with pipc_server_open below. Here, the
 *     largest group is that of a user: a flood of silent clients of one user pushes out itself.
 *
 * Shared memory: when libpipc is on both sides of a pipe of pipc_open_unix and a server on a Unix
 * socket, and the pipe is used a lot, it moves into shared memory by itself. Its messages then cost
 * no system call, as on pipc_open. Nothing else changes, but for what stands here.
 *
 *   - It moves after 32 KiB, counted in both directions together, with the next message of the side
 *     that accepted. A pipe on which that side sends nothing stays a socket. While that side polls
 *     pipc_fd with PIPC_WANT_READ off, the pipe does not move; if that is switched off before the
 *     other side has called a reading function, it stays a socket. At each moment of the move,
 *     order, held bytes, the descriptor of pipc_fd, the end of stream and deaths are as on the
 *     socket, which stays: its end is the end of stream.
 *   - The sides wake each other by two kernel pipes, which is faster than by the socket. With them
 *     a handle has 4 descriptors, with pipc_fd or without. From the offer of the memory on it has 2
 *     of these. A side that cannot have them is woken by the socket, and nothing else changes:
 *     there are no pipes or sets of descriptors (EMFILE, ENFILE, ENOMEM), or the kernel is older
 *     than Linux 6.4 (12). Then it has as many descriptors as before.
 *   - It stays a socket if one side has set PIPC_NO_SHARED_MEMORY, PIPC_DUPLEX, PIPC_GATHER or
 *     PIPC_ACCEPT_FDS; if a side has called pipc_shutdown before; if the peer is no libpipc; or if
 *     one of the processes shares 64 MiB already. Adopted sockets stay. pipc_open_pair moves too
 *     (see there).
 *   - It stays a socket if the peer is another user: its uid, when it connected or listened, was
 *     neither the effective one of this process nor that of root. So root shares memory with root
 *     alone, and others each with themselves.
 *   - Each direction holds 256 KiB. In the first pipes of a server, up to 32 MiB, it can grow to 1
 *     MiB for long messages, as on pipc_open. So a pipe takes 512 KiB, or up to 2 MiB, as bytes
 *     come to them, until both sides have closed it. The 64 MiB of a process count what each could
 *     take: 15 pipes that can grow and 67 others, for example.
 *   - A call that has waited for 5 to 10 s gives pages back: those of what this side has written,
 *     if the peer has read all of it. If not, it looks again, after twice as long each time. A
 *     program that polls pipc_fd instead gives none back.
 *   - A write that waits for room is woken as on pipc_open. A read looks for an answer as there. If
 *     the kernel has no memory to wake the peer, this side tries again in each later call that
 *     waits, and after a pipc_fd in each call: so long, the peer may sleep beside a message.
 *   - A write that does not wait may omit the check for a peer that was killed, as on pipc_open; it
 *     does not for one that has closed.
 *   - A pipe that has moved cannot be detached: pipc_detach fails with EOPNOTSUPP. Set
 *     PIPC_NO_SHARED_MEMORY where a connection is handed on after long use.
 *   - The side that accepted makes the memory, and the other side checks that its size can never
 *     change. What a hostile peer then writes there, at any moment, is checked as bytes from a
 *     socket are. It can send anything, keep messages from coming, or stay silent. It cannot keep
 *     this side busy without being busy itself, or reach other memory of this process.
 *   - But it can delay each access to the memory, and so each call, also one with timeout 0, for as
 *     long as it likes: while it punches holes, the kernel makes others wait. It can also keep the
 *     memory when this side has closed the pipe, which a limit on the memory of this side's control
 *     group counts; and clients can use up the 64 MiB of a server: then the pipes of others stay
 *     sockets. A process of the same user can usually stop this one too; where it cannot, because
 *     it is in a sandbox, set PIPC_NO_SHARED_MEMORY.
 *   - Where the system commits no more memory than it has (vm.overcommit_memory is 2) and has none
 *     left, an access raises SIGBUS, as on pipc_open.
 *   - The memory comes as a descriptor (SCM_RIGHTS) with a byte of the stream, and an end of each
 *     pipe as two more. From 8 KiB on, until they have come or 8 MiB have come without them, a
 *     client that can refuse descriptors does not (see above). What the server sends then in their
 *     place is closed at once: its pipc_write_fds succeeds, and the call that reads may take as
 *     long as that closing takes. Connect only to servers that are trusted so far, or set
 *     PIPC_NO_SHARED_MEMORY.
 *   - A program of another make that takes descriptors itself, by recvmsg(2) with room for them,
 *     finds these once. It closes them, or the server sets PIPC_NO_SHARED_MEMORY.
 *   - The move makes system calls that a sandbox (seccomp(2)) has to allow: memfd_create, fcntl,
 *     fstat, fstatfs, mmap, munmap, sendmsg, recvmsg and setsockopt. Where they fail with an errno,
 *     the pipe stays a socket. With pipe2, epoll_create1, epoll_ctl, epoll_wait, preadv2 and
 *     pwritev2 the sides wake each other by pipes. Where the client alone has no preadv2 or no
 *     pwritev2, the pipe stays a socket.
 *
 * pipc_server_open_fd: a server on a socket that listens already: from a service manager
 * (systemd, s6, inetd in mode "wait"), from a parent, or with options that the program has set.
 * systemd passes it as descriptor 3, and says so in LISTEN_PID and LISTEN_FDS, which a program
 * checks (examples/activated_server.c); inetd as 0. Where the manager accepts by itself
 * (Accept=yes, inetd "nowait"), each program gets a connection, which is for pipc_open_fds. The
 * descriptor is a stream socket of TCP or of this host. The server owns it from then on; the name
 * of a Unix socket stays its maker's, and nobody removes it.
 *
 *   - O_NONBLOCK is set, and stays set after pipc_server_close. It belongs to the open file, and so
 *     to all processes that have a copy. Several may serve one socket, each with a server of its
 *     own. None of them, nor the maker of the socket, may take O_NONBLOCK away while another one
 *     serves: that one would wait in pipc_server_accept for ever.
 *   - On a Unix socket listen(2) is called again. Clients that connect from then on see the
 *     credentials of this process, not of the one that made the socket. A client that waited
 *     already sees those of the process that had called listen(2) before. The call also sets the
 *     backlog to 4,096 (at most net.core.somaxconn), whatever it was.
 *   - On a Unix socket SO_PASSRIGHTS is set as well (see above), and stays set.
 *
 * pipc_open_tcp: two programs on two hosts, or on one. Each calls it with the other's host and the
 * same port. The first one listens and the other connects; both may also come at once.
 *
 *   - If the name of the host has several addresses, each is tried, IPv4 and IPv6. Only the named
 *     host is let in: others are turned away, and the wait goes on. If the named host is another
 *     host, the call listens on all interfaces. If it is this host, the call listens on loopback
 *     and on the named addresses only. An address that no interface has yet may be another host's.
 *     So the call looks again before each of its tries, at least once a second, and begins anew
 *     when the named host turns out to be this one. It never connects to itself. 0.0.0.0, ::,
 *     multicast and broadcast addresses belong to no host: EINVAL.
 *   - All names of this host mean the same place: 127.0.0.1, ::1, localhost, its own name, the
 *     addresses of its interfaces. Two programs on one host find each other with any of these
 *     names. For this, the one that waits listens on both families of loopback besides. The one
 *     that connects tries the named addresses first, then both of loopback. So any program that
 *     already listens there, in either family, is taken for the peer. If that may be a stranger,
 *     use a key. Then a stranger at an address that was not named is passed over, and the call goes
 *     on. A stranger at a named address ends the call with EACCES.
 *   - Exactly one connection results. The two sides exchange no bytes to agree on it. On one host,
 *     the side that gets the port listens, and the other connects. Between two hosts, the side with
 *     the lower IP address is the one to connect. The side with the higher address tries to connect
 *     once, then listens, and tries again each second, in case the other side cannot reach it. If
 *     both connect at the same time, the connection of the side with the lower address survives.
 *     This needs addresses that both see alike. Behind a translator of addresses (NAT) both may,
 *     rarely, choose differently; then the first read fails with EPIPE or ECONNRESET. Use a server
 *     there.
 *   - If one side's time runs out, or it dies, at the moment when the other succeeds, the first
 *     read of the other fails with EPIPE or ECONNRESET.
 *   - On each host, only one pair at a time can look for each other on a port. A third caller gets
 *     one of the two for its peer, or waits for a fourth. The peer can also be a server: connecting
 *     to one is the same call, with PIPC_CONNECT_ONLY. Without that flag, a client of a server that
 *     is down would wait in the server's place, have its port, and take the next client for its
 *     peer.
 *   - With PIPC_CONNECT_ONLY the call never listens. It tries again until the time is up, and then
 *     fails with the reason of its last attempt (13). A host without an address (ENOENT) or a wrong
 *     key (EACCES) ends it at once.
 *   - The timeout covers waiting, connecting, the handshake, and a network or a resolver that is
 *     down for a while. It does not cover the time that getaddrinfo(3) takes to answer.
 *
 * pipc_server_open: any number of clients on one port. Each client is accepted with
 * pipc_server_accept and is a handle like any other.
 *
 *   - With a key, at most 256 handshakes are pending at a time, each for at most 10 s. The time
 *     counts from the pipc_server_accept that took the connection in. Handshakes move on only in
 *     such calls; so if the program makes none for 10 s, those clients are turned away, too. A
 *     handshake that is done is handed out by the call that finds it done. When one more client
 *     comes than that, or descriptors or memory are short, one pending client is turned away at
 *     once. It is chosen so: first, from the address with the most pending clients (an IPv6 network
 *     of 64 bits counts as one address); among those, one that has not shown the key; among those,
 *     the oldest. For a lack of descriptors or memory, no client that has shown the key is turned
 *     away.
 *   - So a flood of silent connections from one address pushes out itself, and clients from other
 *     addresses come in as usual. A client that shares the attacker's address (a NAT, the same
 *     host) shares its fate. Against many addresses at once, only a firewall helps.
 *   - Without a key, every connection is handed out. What to do with silent ones is the program's
 *     decision.
 *
 * PIPC_ASYNC, for pipc_open_fifo, pipc_open_tcp and pipc_open_unix: the constructor does not wait.
 * It makes a first attempt and returns a handle whose peer may not be there yet; timeout_ms is how
 * long that may take, from the call on. So one loop can wait for many peers
 * (examples/async_client.c). With timeout_ms 0 the flag changes nothing.
 *
 *   - Nothing runs by itself: calls on the handle make the further attempts, and a call that waits
 *     makes them all the time. These are the calls that read or write, pipc_pending, pipc_flush and
 *     pipc_disconnect. pipc_fd is readable when such a call is worth making, whatever pipc_want
 *     says: a loop that makes one at each wakeup gets its peer as soon as one that waits in the
 *     constructor. It is woken also when the peer is not there after all: while there is no server
 *     on a path, for example, 20 times a second.
 *   - Until the peer is there, the calls behave as if it were silent and there were no room. They
 *     wait as their timeouts say, or fail with EAGAIN or ETIMEDOUT, and leave the handle as it was.
 *     pipc_flush does so too, although nothing is held: so it reports whether the peer is there (it
 *     succeeds), is not there yet, or never will be. pipc_pending and pipc_read_pending return 0.
 *     pipc_credentials and pipc_detach fail with EAGAIN, whatever the timeouts. With PIPC_GATHER,
 *     small messages are gathered. A pipc_shutdown takes effect when the peer is there. pipc_fd,
 *     pipc_want, pipc_set_timeout, pipc_stats, pipc_peer, pipc_take_fds and pipc_bye_text work as
 *     usual. pipc_write_fds is a write; on a FIFO or TCP it fails with EOPNOTSUPP as ever.
 *   - When the peer has come, pipc_fd is readable once more, unless a call has written or read
 *     since or a pipc_flush has succeeded: also if the constructor or a call that found nothing to
 *     read has noticed the peer. From then on the handle is as any other. The number of the
 *     descriptor stays the same all the time.
 *   - When the peer will never be there, all these calls fail with the errno that the constructor
 *     would have given, each time again; so do pipc_pending, pipc_read_pending, pipc_shutdown,
 *     pipc_credentials and pipc_detach. The descriptor reports it as any error of reading (4). When
 *     the time is up, the next call that would make an attempt notices it, unless the peer has come
 *     by then; pipc_shutdown, pipc_credentials and pipc_detach make none, and pipc_read_pending
 *     reports nothing if it has room for no message. ETIMEDOUT means that; from a call that waits
 *     by a timeout of its own, it may mean this timeout as well. Who has called pipc_shutdown gets
 *     EPIPE from calls that write.
 *   - What the first attempt finds, such as EACCES or ENOTSOCK, the constructor reports itself. A
 *     program that waits for the descriptor is woken for the rest: ECONNREFUSED, ETIMEDOUT. A later
 *     attempt that lacks a descriptor or memory (EMFILE, ENFILE, ENOMEM, ENOBUFS) does not end it:
 *     there is another one 50 ms later. Such an errno is reported only if the time is up by then.
 *   - The path, the names and the key are copied. A relative path begins in the working directory
 *     at the time of the constructor; a Unix socket needs /proc for that (ENAMETOOLONG).
 *   - The host's name is looked up once, by the constructor, which takes as long as getaddrinfo(3)
 *     does. If the resolver has no answer now, the constructor fails with EAGAIN.
 *   - pipc_close gives up, and leaves nothing. A peer that comes at that moment sees an end of
 *     stream.
 *   - The peer sees a caller that makes no calls as one that is stopped: one that waits in
 *     pipc_open_fifo or pipc_open_tcp can be found, and connections wait; but handshakes with a key
 *     do not go on, and are given up after 10 s.
 *
 * The handles of pipc_open_tcp and of pipc_server_accept send small messages at once (TCP_NODELAY),
 * and notice in about a minute that a host has vanished. An idle connection is probed after 30 s of
 * silence, every 10 s, 3 times. Where something was sent or waits to be sent, the kernel repeats it
 * at most 5 s apart, 15 times (net.ipv4.tcp_retries2). Before Linux 6.15 this takes longer, about
 * 15 minutes: there, a program that must know earlier asks the peer for an answer and sets a
 * timeout. When the host is given up, reading fails with ECONNRESET. A link that recovers earlier
 * loses nothing. A peer that lives and reads nothing is not given up, however long that takes:
 * writes wait, or end by their timeout. There is one exception, the kernel's (seen with Linux
 * 6.18): when the peer's receive buffer has been filled by messages of a few bytes each, written
 * one by one, the peer's kernel drops the answers to its own probes. If the peer reads nothing for
 * another minute, its kernel ends the connection.
 *
 * Who can connect over TCP: every program that reaches the port; on loopback, every user of this
 * host. Who can be impersonated: whoever gets the port first is taken for the server. A key shows
 * who is there. Who can connect over FIFOs: the same user alone, and root; nobody else can be taken
 * for the peer.
 *
 * Keys, on TCP and Unix sockets: with options.key, both sides show that they know the key, by
 * challenge and response with HMAC-SHA-256, before the first message. If the key is wrong, the side
 * that connects fails with EACCES (but see pipc_open_tcp above for addresses that were not named);
 * the side that waits turns the stranger away and waits on. If only one side has a key, that side
 * gets no pipe: it refuses, or its time runs out. The side without a key may get a handle, which
 * then ends; its first message may be the other side's challenge. Where nobody would ask for a key,
 * one is refused with EINVAL: by pipc_open, pipc_open_pair, pipc_open_fifo and pipc_open_fds, also
 * on a socket.
 *
 *   - What a key gives, if all programs that know it use libpipc: an attacker who does not know it
 *     gets through no handshake of his own, and so he neither receives nor sends a message. It does
 *     not help him to connect to one of them, to have one of them connect to him, to invent or
 *     change what is sent, or to send again what was sent in another handshake. The one thing that
 *     he can do is in the next item. Take 32 random bytes as the key: a guessable key can be
 *     guessed from what goes over the wire.
 *   - What a key does not give: secrecy, or protection from an attacker between two sides. One side
 *     connects, the other accepts. He is between them if he can change what is on its way from one
 *     to the other, or if the one connects to him and he connects to the other. He passes their
 *     handshake on unchanged while it takes place. Then he can read and write in the place of
 *     either. An attacker without the key has no other way.
 *   - For that protection, lay the pipe through a tunnel that encrypts, and let the server listen
 *     on loopback: ssh -N -L 7000:127.0.0.1:7000 host, and pipc_open_tcp("127.0.0.1", 7000, ...) at
 *     this end. Or start the other program there, and talk over its standard input and output: fork
 *     and exec "ssh host program" on two pipe(2), use pipc_open_fds on their other ends here, and
 *     pipc_open_fds(0, 1, NULL) in the program (examples/port_program.c).
 *   - Share a key among as few programs as possible: a pair, or one server and its clients. If a
 *     program connects to an attacker, he can enter every program with the same key that accepts:
 *     he passes the handshake on to it.
 *   - With a key, a process does not get a pipe to itself, not even from another thread: the side
 *     that connects fails with EACCES. By the same means, a process recognises its own handshake
 *     when an attacker sends it back. After fork, a child is another process.
 *   - Other programs, such as Python's multiprocessing, do not name the role and the process in
 *     their challenges, and answer every challenge. libpipc has to answer theirs. So if such a
 *     program has the key, and any side with this key connects to an attacker, the attacker can get
 *     into that program. He can also get into a program with libpipc: he takes the challenge of the
 *     libpipc program to the Python program, and brings the answer back. Two programs with a key of
 *     their own are safe from this, except from an attacker between them. A Python program that
 *     both listens and connects needs one key for each, or its own answers let an attacker in.
 *   - PIPC_KEY_MD5 also accepts HMAC-MD5, for Python's multiprocessing up to 3.11, which knows
 *     nothing else. Without it MD5 is refused.
 *
 * On all kinds, pipc_shutdown ends writing from here. On every kind but pipc_open, pipc_disconnect
 * does so too. Reading goes on until the peer ends as well.
 *
 *
 * 7 LIMITS
 *
 * max_message limits one message, in bytes, in either direction. max_pending limits, in bytes, the
 * arrived messages that one handle keeps in this process; on pipc_open, those that each end keeps.
 * Each message costs its size and 64 more, so that empty messages are limited as well. A message
 * larger than max_pending is taken in when no other is pending in memory. Besides, a read may have
 * brought up to 68 KiB more than it needed. At the limit, the handle stops taking in. Then the
 * transport fills, and then the peer's writes wait, or fail with EAGAIN or ETIMEDOUT. Nothing is
 * ever dropped to make room.
 *
 * At most 64 descriptors wait in a handle: those of messages in memory, those of the message taken
 * last, and those that come next. When there is no room for the next ones, the handle stops taking
 * in, as at max_pending. A message brings at most 16.
 *
 * Without waiting, one call takes in at most 16 MiB, counted as for max_pending. So it ends even
 * when the peer writes as fast as it reads. The rest is for the next call, and the descriptor stays
 * readable (4), with a new edge after each such call. So a loop with edge-triggered epoll is woken
 * again. A message larger than that is taken in by several calls; all but the last find nothing
 * (EAGAIN).
 *
 * Two sides that write to each other at once do not deadlock: a write that waits takes in what
 * arrives, up to max_pending. Beyond that both wait, as on any full pipe. A write with timeout 0
 * takes nothing in, but for one message where PIPC_WANT_READ is off and the peer has gone (4).
 * pipc_flush and pipc_pending take in what has arrived, up to max_pending and to the 16 MiB of a
 * call. With PIPC_DUPLEX, writes and pipc_flush take nothing in (8), and so two such sides need
 * their reading threads.
 *
 *
 * 8 THREADS
 *
 * Two handles never share a lock, so different handles are independent. One handle is for one
 * thread at a time. A pipc_open handle is for one thread on each side, both at once if they like.
 * With PIPC_DUPLEX, one thread may call the reading functions while another calls the writing ones.
 * With PIPC_DUPLEX, a write that waits, and pipc_flush, take no messages in: that is left to the
 * thread that reads. What is gathered (3) is left to the thread that writes: reading functions and
 * pipc_pending do not send it, and the descriptor does not report it. That thread calls pipc_flush.
 * pipc_open ignores PIPC_DUPLEX: each of its sides is a single thread.
 *
 * The table says which threads may call a function on a handle while another thread is in a call on
 * it. "None" means that it must be the only call. "Each side" means the two threads that hold the
 * ends, each for its own end.
 *
 *   call                                       pipc_open   other kinds   with PIPC_DUPLEX
 *   pipc_read, _read_msg, _read_pending,       each side   none          one thread that reads
 *     _peek, _skip, _take_fds, _pending,
 *     _bye_text
 *   pipc_write, _writev, _write_fds,           each side   none          one thread that writes
 *     _write_batch, _flush, _shutdown,
 *     _disconnect
 *   pipc_fd, _want                             each side   none          any
 *   pipc_set_timeout                           each side   none          any; for calls that begin
 *                                                                        later
 *   pipc_stats, _peer, _credentials            any         any           any
 *   pipc_close, _detach                        see 13      none          none
 *
 * pipc_msg_free, pipc_strerror, pipc_version, pipc_set_trace and the constructors may be called by
 * any thread at any time. A server is for one thread at a time, except pipc_server_port, which any
 * thread may call. No call needs more than 16 KiB of stack, but for what the C library needs to
 * look up the name of a host.
 *
 * A thread can be cancelled (pthread_cancel) while a call waits, and nowhere else in the library. A
 * cancelled call leaves the handle usable. If a part of a message had been written, the message
 * counts as accepted, and the handle holds the rest (3); otherwise nothing of it is sent. A message
 * that was being read stays for the next call. There is one exception. Keeping such a part needs
 * memory, which a call with timeout -1 has not reserved. If there is none at that moment, that
 * direction is dead, and later calls report it. On pipc_open, a cancelled thread counts as a holder
 * that died (6), unless a clean-up handler calls pipc_disconnect.
 *
 *
 * 9 FORK, EXEC, SIGNALS, PLUG-INS
 *
 * If no other thread is inside a call on the handle during fork, either process may go on with the
 * handle afterwards, and the other one closes it. If one is, the parent goes on, and the child
 * makes no call on it. On pipc_open both go on, in either case. Closing in one process disturbs
 * neither the handle nor its descriptor in the other. Two processes must not both go on with one
 * handle of any other kind: their messages are mixed up, and so is the descriptor, which they
 * share. In the child of a program with several threads, the library may be used right after fork,
 * without an exec. A child of vfork must not.
 *
 * A handler of fork (pthread_atfork) may make each call that its process could make right before or
 * after fork. But one that was registered before the library was loaded (with a plug-in, by dlopen)
 * must make none: fork might never return. Nor might it when a signal handler calls fork and has
 * interrupted a call of the library, as with any library that has handlers of fork.
 *
 * With PIPC_ASYNC (6), as long as the peer is not there the handle stays with the process that
 * opened it. In a child, calls fail with EPERM (after a pipc_shutdown, those that write with
 * EPIPE), and pipc_close disturbs nothing.
 *
 * What was gathered before fork (3) is sent by the process that wrote it, also when it closes. The
 * child has a copy, which it never sends and which its first call that writes or reads drops. If a
 * part of that had gone at the time of fork, the child's writes fail with EPIPE. If a part of it
 * goes later, by the parent's pipc_close, what the child writes is torn. So a process that leaves
 * the handle to its child calls pipc_flush before fork.
 *
 * At fork, the library closes in the child what only the parent can use, but for the descriptors of
 * a rendezvous: of a pipc_open_fifo that waits (6), and with PIPC_ASYNC until pipc_close. On
 * pipc_open it closes everything but the shared memory and the descriptors by which the ends wake
 * each other. So the number that pipc_fd returned for it in the parent means nothing in the child.
 *
 * No descriptor that the library makes survives exec, and none is 0, 1 or 2, even if the program
 * has closed those. Descriptors given to pipc_open_fds keep the close-on-exec flag that they have.
 *
 * A signal handler must not call any function of the library: it may have interrupted one that
 * holds a lock or has done half of its work. Nor may it leave with siglongjmp while one is at work.
 * A handler sets a flag, or writes to an eventfd or a pipe of the program's own, which is polled
 * beside pipc_fd. signalfd(2) needs no handler. With PIPC_INTERRUPTIBLE, a wait ends with EINTR
 * after a handler has run. A signal that comes just before the wait does not end it. So a program
 * that must not miss one polls such a descriptor of its own beside pipc_fd. Without
 * PIPC_INTERRUPTIBLE, calls do not notice handlers (3), with or without SA_RESTART.
 *
 * A program may contain the library more than once, for example in plug-ins. A handle can be used
 * through each copy of the same version, as long as the copy that made it is loaded. Copies of
 * other versions fail with EINVAL. Close all handles before a plug-in that contains the library is
 * unloaded. Threads that have used it may go on, and end at any time after that. A plug-in or
 * program that contains libpipc.a exports nothing of it.
 *
 *
 * 10 CAVEATS
 *
 *  - pipc_read returns 0 for an empty message, which is not an end of stream. Loops test >= 0.
 *  - On a pipc_open handle, the first call takes an end. If a third thread calls pipc_pending or
 *    pipc_fd, "only to look", it takes an end too if one is free.
 *  - After a thread's own pipc_disconnect on pipc_open, its next call takes an end again, even if
 *    it only sets a timeout.
 *  - After ESHUTDOWN on pipc_open, a further read waits for a next peer, for ever unless a timeout
 *    is set. The peer that left holds no end, so nobody is told when it closes or dies.
 *  - On pipc_open, each thread makes its first call before any thread closes (13, pipc_close).
 *  - A side that dies or closes before its first call never held an end, so its death is not
 *    detected. The other side waits for a peer, for ever unless a timeout is set. A parent that
 *    makes its first call before it forks (pipc_set_timeout, say) holds an end from the start, and
 *    its death is detected. One that has to learn of a child that dies before its first call uses
 *    pipc_open_pair, and closes the child's end after fork; or waitpid(2) beside the pipe.
 *  - A thread that ends without pipc_disconnect counts as dead, and that is final for the pipe.
 *  - A write with a limited timeout, or one ended by a signal with PIPC_INTERRUPTIBLE, may succeed
 *    while the handle still holds bytes. They move only while the program makes calls. pipc_close
 *    tears them: before it, call pipc_flush again as long as it fails with EAGAIN or ETIMEDOUT.
 *  - pipc_want sends held bytes too, and then nothing wakes a loop that waits for them alone. So
 *    look at bytes_held after pipc_want, and not only before it (examples/tcp_echo_server.c).
 *  - With PIPC_GATHER, a write that succeeded may have sent nothing, and nothing sends it later but
 *    a call. Before a program waits for anything but this pipe, it calls pipc_flush (3).
 *  - With PIPC_ASYNC, the default timeouts of -1 make the first read or write wait for the peer. A
 *    loop that polls sets both to 0. EAGAIN does not mean that the peer is there; pipc_flush shows
 *    it.
 *  - Poll the descriptor for input only, also to learn when a write is worth repeating. With
 *    edge-triggered epoll, go on calling until EAGAIN.
 *  - Remove the descriptor from your epoll set before pipc_close (4).
 *  - No function of the library may be called in a signal handler (9).
 *  - Only libpipc understands a goodbye. Other programs that speak its frames (11) take it for
 *    messages or for garbage: end with pipc_shutdown towards them.
 *  - A handle is for one thread at a time; on pipc_open, for one thread on each side.
 *  - After fork, a process that has an end of a pipc_open_pair closes its copy of the other end.
 *    Otherwise it never sees the end of stream, because it could still write to the pipe itself.
 *  - pipc_open_fds makes FIFOs, terminals and other devices (before Linux 6.4 pipes too)
 *    non-blocking. This belongs to the open file, so all processes that share it (a shell and its
 *    terminal, say) see it until pipc_close.
 *  - Both sides should set the same max_message: a message over the reader's limit ends the
 *    connection.
 *  - There is no encryption, and authentication only by a key on sockets (6, Keys). A program
 *    that holds the descriptors can read everything. What it sends need not be correct: bad input
 *    is an error, never a crash.
 *  - pipc_open_tcp that waits for a server on its own host has the server's port meanwhile, and
 *    takes the next client in its place. Clients of a server set PIPC_CONNECT_ONLY.
 *  - When a pipe over TCP is closed with messages unread, or while the peer is sending, the kernel
 *    resets it, and what was on its way to the peer may be lost. To end in order, both sides call
 *    pipc_shutdown, read until EPIPE, and call pipc_close.
 *
 *
 * 11 THE BYTES
 *
 * Pairs, FIFOs, sockets and adopted descriptors carry frames and nothing else. A frame is a length
 * of 4 bytes, big-endian, two's complement, and then that many bytes.
 *
 *   0 to 0x7fffffff    one message of that many bytes
 *   0xffffffff         8 bytes of big-endian length follow, for messages over 0x7fffffff bytes;
 *                      a smaller length in this form, or one over max_message, is EPROTO
 *   0xfffffffe         the next frame is a goodbye: "BYE" and its text. Anything else after it is
 *                      EPROTO, an end of stream there ECONNRESET
 *   any other          EPROTO
 *
 * On a Unix socket, descriptors travel as SCM_RIGHTS (unix(7)). libpipc sends the first byte of the
 * frame by a sendmsg of its own, with up to 16 descriptors, and then the rest without any. When it
 * reads, descriptors belong to the frame of the last byte that came with them. So a program that
 * sends each frame by a sendmsg of its own is understood as well. The sum for a frame is at most
 * 16.
 *
 * Python's multiprocessing.connection and Erlang's {packet, 4} send the same frames. What is in
 * shared memory is private to the library. On a socket whose peer has accepted the memory (6),
 * the library sends bytes behind its last frame, which only wake the peer.
 *
 * With a key, a handshake comes first, the same as Python's. Each item is a frame of at most 256
 * bytes. The side that accepted the connection sends a challenge, gets the response, and sends its
 * verdict. Then the side that connected does the same.
 *
 *   challenge          "#CHALLENGE#{sha256}", and 13 to 237 bytes that nobody can guess. libpipc's
 *                      has 81, see below
 *   response           "{sha256}" and HMAC-SHA-256, under the key, of all that follows
 *                      "#CHALLENGE#"
 *   verdict            "#WELCOME#" or "#FAILURE#"
 *   with PIPC_KEY_MD5  the peer's challenge may be "#CHALLENGE#" and 20 bytes, to which the
 *                      response is the bare HMAC-MD5; and its response to ours may be the same
 *
 * In a challenge of libpipc, the bytes after "{sha256}" identify the connection:
 *
 *   1 byte     role: 'a' if this side accepted the connection, 'c' if it connected
 *   16 bytes   nonce: random, for this connection
 *   16 bytes   mark: random, for this process; a child after fork has another
 *   16 bytes   answered: in role 'c' the nonce of the challenge that this side has answered, if
 *              that was libpipc's; otherwise, and in role 'a', zeros
 *   32 bytes   tag: HMAC-SHA-256, under the key, of "libpipc challenge", "{sha256}" and the above
 *
 * A side that gets a challenge with a right tag refuses it in three cases: the role is its own; the
 * mark is its own; this side accepted, and `answered` is not the nonce of its own challenge. A
 * challenge without a right tag is that of another program, and is answered.
 *
 * This is the rendezvous at NAME, for programs that do it without the library. Work in the
 * directory of the names. It and all directories in it have mode 0700, all FIFOs 0600, whatever the
 * umask. A program waits at NAME if there is a directory NAME with three FIFOs in it: `door`, `in`,
 * `out`. The waiting program, the waiter, reads `in` and writes `out`. Open without waiting
 * (O_NONBLOCK).
 *
 * To claim a waiter:
 *   1. Open NAME, the directory, and by its descriptor (openat and the like): `door` for writing,
 *      `in` for writing, `out` for reading. ENOENT or ENXIO for NAME or `door`: nobody waits (see
 *      5). For `in` or `out`: a part was deleted, or another program claims at this moment. Unlink
 *      `door`; if that works nobody waits (see 5), otherwise go back to 1.
 *   2. Unlink `door`, by the same descriptor. ENOENT: another program was faster, go back to 1. If
 *      it works, the waiter is yours.
 *   3. Unlink `in` and `out`; remove the directory NAME. ENOTEMPTY or ENOENT: leave it, it is a new
 *      one.
 *   4. Write one byte, any, to `door`, and close it. EPIPE: the waiter has gone, go back to 1.
 *      Otherwise the rendezvous is done: read `out`, write `in`.
 *   5. If nobody waits but something is left, remove it: `door`, `in`, `out`, then NAME. Close what
 *      you have open of it, and then wait.
 *
 * To wait:
 *   1. Make a directory `.pipc-PID-ANYTHING`, with your process id and something that makes it
 *      unique, and in it the three FIFOs. Open `door` and `in` for reading, `out` for reading and
 *      then for writing as well.
 *   2. Rename it to NAME. ENOTEMPTY or EEXIST: there is a waiter already, claim that one.
 *   3. Poll `door` for input, and read a byte of it then. With that byte the rendezvous is
 *      done: close `door` and the reading side of `out`; read `in`, write `out`. All names are
 *      gone by then. Meanwhile check once a second that the directory of the names still has its
 *      path, that NAME is still your directory, and that `door`, `in` and `out` are in it, each
 *      the very file that you have open (st_dev, st_ino). If not, they were deleted, or another
 *      program claims you. Give up as in 5; if the rendezvous is not done, begin again, and open
 *      the directory of the names by its path again. ENOENT in any step means the same.
 *   4. If the read returns 0, another program opened `door` and went. (Some systems report input
 *      with that hang-up, so poll alone does not tell.) If `door` still has its name, open it
 *      again, then close the old descriptor, and go on. If the name is gone, another program claims
 *      you: poll and read the old descriptor again. If that returns 0 again, the program has died:
 *      remove `in`, `out` and NAME, and begin again.
 *   5. To give up, unlink `door`. ENOENT: another program may claim you at this moment, so poll
 *      `door` for 50 ms; readable: the rendezvous is done. Then close `door`, and remove `in`,
 *      `out` and NAME.
 *
 *
 * 12 KERNELS
 *
 * Linux 3.17 or later, for getrandom(2). The C library may be glibc or musl, the machine of 32 or
 * 64 bits. The library does not compile where 64-bit atomics need a lock. It uses the following
 * where it exists, asked for at run time. A sandbox (seccomp) may refuse each with ENOSYS, EPERM,
 * EINVAL or EOPNOTSUPP:
 *
 *                          since Linux   otherwise
 *   RWF_NOSIGNAL           6.18          SIGPIPE is blocked while a pipe or FIFO is written, and
 *                                        what the write raised is taken back: some calls more
 *   SO_PASSRIGHTS          6.16          the peer of a Unix socket can make calls wait (6)
 *   TCP_RTO_MAX_MS         6.15          a vanished host is noticed late (6)
 *   fchmodat2              6.6           pipc_server_open_unix may need /proc (6)
 *   RWF_NOWAIT on pipes    6.4           pipes are polled before they are read, as FIFOs are; those
 *                                        of pipc_open_fds also before each 4 KiB that are written;
 *                                        shared memory has no pipes beside its socket (6)
 *   pidfd_open             5.3           a death is checked for several times a second instead
 *   MADV_WIPEONFORK        4.14          a fork without handlers (clone(2) itself) is not noticed
 *   memfd_create           3.17          shm_open, and memory that is reserved from the start; Unix
 *                                        sockets and pairs stay sockets (6)
 *   renameat2              3.15          what comes in the place of a dead socket can be lost (6)
 *   eventfd                2.6.27        pipes, two descriptors for one
 *
 * It needs these, which all those kernels have. Where a sandbox refuses one with ENOSYS or EPERM,
 * calls fail with that errno, and the rest works:
 *
 *                          since Linux   what fails
 *   getrandom              3.17          opening with a key, pipc_server_open_unix
 *   accept4                2.6.28        no client gets in: pipc_server_accept fails with EAGAIN or
 *                                        ETIMEDOUT, and with timeout -1 it waits. With musl all
 *                                        works, as its accept4 then calls accept
 *   epoll                  2.6.27        pipc_fd, and opening a server
 *   timerfd                2.6.25        opening a server; with PIPC_ASYNC, pipc_fd
 *
 * A process that has everything open may forbid itself more descriptors, with RLIMIT_NOFILE 0: its
 * calls then wait with select(2), since poll(2) is refused. That works for descriptors up to 1,023;
 * with higher ones such a wait fails with EINVAL. With POSIX alone, see below, such a process must
 * not poll pipc_fd: what is behind it cannot be changed any more. Its calls can wait.
 *
 * What differs where. A library that is built for other systems (PIPC_PLATFORM=posix, see README)
 * asks for POSIX.1-2008 and nothing else. All kinds and calls are the same. What is not:
 *
 *                          with POSIX alone
 *   a spurious wakeup      once a millisecond while the program waits for room, or an end alone;
 *                          while PIPC_ASYNC opens; at a server with two addresses, or while a
 *                          client shows its key. Then a call with timeout 0 may take a millisecond
 *   how to wait            by poll or select, which begin after the last call on the handle, that
 *                          of another thread too; not by epoll
 *   pipc_fd                needs 3 descriptors for sockets, 5 for pipes and FIFOs, for pipc_open
 *                          and servers two more than section 4 says, and 100 bytes. O_NONBLOCK that
 *                          a program sets on it is set on the socket behind it, until pipc_detach
 *                          or, of pipc_open_fds, for good
 *   a death on pipc_open   ends a call that waits within 0.5 s, and other calls at once; it ends no
 *                          poll: let that end every second, and call
 *   closing descriptors    a holder of an end of pipc_open that closes one that it does not know,
 *                          or a copy of one, counts as dead
 *   clone(2) itself        a fork without handlers is not noticed
 *   pipes and FIFOs        reading takes 2 calls of the system, and writing 5; O_NONBLOCK is set on
 *                          pipes while a handle has them, as on FIFOs; no size is asked for
 *   shared memory          for pipc_open alone; Unix sockets and pairs stay sockets
 *   memory of pipc_open    can be made shorter by a process that has its descriptor: SIGBUS
 *   paths of sockets       up to 107 bytes, a server's directory up to 80 (elsewhere 103 and 76):
 *                          ENAMETOOLONG. No "@NAME", no relative path after chdir(2): EOPNOTSUPP
 *   pipc_credentials       EOPNOTSUPP; to a server all its clients are one user
 *   descriptors            those that nobody asked for come, and are closed
 *   a vanished TCP host    is noticed when the system says so, often after two hours
 *   close-on-exec          comes a moment later: a child that another thread starts then inherits
 *   random bytes           take a descriptor for a moment, when a key is shown
 *   PIPC_TRACE             is left out for set-user-ID alone
 *
 * PIPC_PLATFORM=bsd is for macOS, FreeBSD, NetBSD and OpenBSD. It has been compiled for these (but
 * OpenBSD), and has not run on them. Windows is not supported. What differs from Linux there:
 *
 *                          on macOS and BSD
 *   how to wait            by kqueue, select or poll
 *   pipc_fd                one descriptor for sockets, three else; each call takes one more call of
 *                          the system from then on. It is a kqueue: a child after fork gets a new
 *                          one with the same number, unless a fork handler of the program takes it
 *   a spurious wakeup      while PIPC_WANT_READ is off: on pipes and FIFOs when bytes come, or when
 *                          the peer reads some; on macOS when a socket's buffer becomes full, or
 *                          empty
 *   a death on pipc_open   is noticed at once, also when the process becomes another program; but
 *                          one that died before its peer first looked, and whose process id
 *                          another process has by then, is taken for alive, and so is one that has
 *                          become another program by then
 *   memory of pipc_open    can be made shorter by a process that has its descriptor: SIGBUS; on
 *                          NetBSD and OpenBSD a file system that is full does the same
 *   descriptors            do not travel: EOPNOTSUPP; those that come even so are dropped
 *   pipc_credentials       pid is 0 on FreeBSD; users and groups are the effective ones
 *   SIGPIPE                macOS, NetBSD: what pipc_open_fds is given raises none from then on
 *   a vanished TCP host    after a minute of silence (OpenBSD: when the system says so); while
 *                          bytes wait to be sent, when the system says so
 *   clone(2) itself        macOS: a fork without handlers is not noticed
 *
 * Pipes and FIFOs, shared memory, paths of sockets and close-on-exec are as with POSIX alone.
 */
#ifndef PIPC_H
#define PIPC_H

/*
 * 13 REFERENCE
 *
 * "Waits" says how long a call may wait, and a thread can be cancelled there (8). All other calls
 * return at once. "(no end)" marks the errors of a pipc_open handle when the caller holds no end
 * and can take none. Section 5 says what each errno means.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The version that a program is compiled with; pipc_version returns the one it runs with. */
#define PIPC_VERSION_MAJOR 0
#define PIPC_VERSION_MINOR 1
#define PIPC_VERSION_PATCH 0
/* The same as one number, for #if: 1002003 is version 1.2.3. */
#define PIPC_VERSION_NUMBER \
    (PIPC_VERSION_MAJOR * 1000000 + PIPC_VERSION_MINOR * 1000 + PIPC_VERSION_PATCH)

/* What the shared library exports. Only libpipc's own build defines it otherwise. */
#if !defined(PIPC_API) && defined(__GNUC__)
#define PIPC_API __attribute__((visibility("default")))
#elif !defined(PIPC_API)
#define PIPC_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Types ---------------------------------------------------------------------------------- */

/* One end of a pipe; on pipc_open both ends. Only the library knows what is inside. */
typedef struct pipc pipc_t;

/* A socket that waits for connections, by TCP or on a path, and makes a pipe of each. */
typedef struct pipc_server pipc_server_t;

/* What a message is: the program's data, or the goodbye of the peer. */
typedef enum { PIPC_DATA, PIPC_BYE } pipc_kind_t;

/*
 * A message that was read. data points to size bytes; with kind PIPC_BYE they are "BYE" and the
 * text, without a terminating zero. The text of each function says who owns the memory.
 */
typedef struct {
    void *data;
    size_t size; /* bytes */
    pipc_kind_t kind;
} pipc_msg_t;

/* Flags of pipc_options_t. */
#define PIPC_INTERRUPTIBLE    0x1u  /* a caught signal ends a wait with EINTR */
#define PIPC_DUPLEX           0x2u  /* one thread reads while one writes, see 8; not on pipc_open */
#define PIPC_KEY_MD5          0x4u  /* a key may also be shown by MD5, for old peers. See 6 */
#define PIPC_CONNECT_ONLY     0x8u  /* pipc_open_tcp never listens, see there; elsewhere EINVAL */
#define PIPC_GATHER           0x10u /* small messages go together, see 3; not on pipc_open */
#define PIPC_ACCEPT_FDS       0x20u /* messages may bring descriptors, see 2; elsewhere no effect */
#define PIPC_NO_SHARED_MEMORY 0x40u /* none for a Unix socket or a pair, see 6 */
#define PIPC_ASYNC            0x80u /* opening does not wait, see 6; elsewhere EINVAL */

/* The events of pipc_want. */
#define PIPC_WANT_READ  0x1u /* a message or a goodbye can be read; for ends and errors see 4 */
#define PIPC_WANT_WRITE 0x2u /* held output can move on, or a call is worth repeating, see 4 */

/*
 * Options of a handle. Start from PIPC_OPTIONS_INIT and set what differs. A constructor takes NULL
 * as PIPC_OPTIONS_INIT. Only the constructor reads the struct, the key and the directory; all stay
 * the caller's.
 */
typedef struct {
    size_t struct_size;    /* set by PIPC_OPTIONS_INIT; lets the struct grow in later versions */
    size_t max_message;    /* bytes, either direction; 0: 64 MiB. See 7 */
    size_t max_pending;    /* bytes, size + 64 for each message; 0: 64 MiB. See 7 */
    const void *key;       /* TCP, pipc_open_unix, servers: the secret of both; NULL: none. See 6 */
    size_t key_size;       /* bytes; 0 only when key is NULL */
    const char *directory; /* pipc_open_fifo: where names live; NULL: /tmp/pipc-UID. See 6 */
    unsigned flags;        /* PIPC_INTERRUPTIBLE and the like, or 0 */
    mode_t mode;           /* pipc_server_open_unix: access to the socket; 0: 0600. See 6 */
} pipc_options_t;

#define PIPC_OPTIONS_INIT                                 \
    {                                                     \
        sizeof(pipc_options_t), 0, 0, NULL, 0, NULL, 0, 0 \
    }

/*
 * Counts since the handle was opened, in this process; but on all kinds but pipc_open, a child goes
 * on from the counts of its parent. They include sides that have left, closed or ended. A goodbye
 * does not count as read or written. Start from PIPC_STATS_INIT.
 *
 * The first counts are of messages, and of their bytes alone. From kernel_read on, bytes are those
 * of the stream: with the headers of the frames (11) and with goodbyes. In shared memory the peer
 * can forge what these counts are made of; then they are wrong, and nothing else is.
 */
typedef struct {
    size_t struct_size; /* set by PIPC_STATS_INIT; lets the struct grow in later versions */
    uint64_t messages_read, bytes_read, messages_written, bytes_written; /* taken; accepted */
    uint64_t messages_pending, bytes_pending, bytes_held; /* in memory: arrived; not yet sent */
    uint64_t kernel_read, kernel_written; /* bytes by pipes, FIFOs and sockets, with read-ahead */
    uint64_t shared_read, shared_written; /* bytes by shared memory */
    uint64_t shared_unread;               /* bytes there now that this side has not read */
    uint64_t shared_unread_by_peer;       /* bytes there now that the peer has not read */
    uint64_t waits;   /* system calls that have waited for the peer, or would have if need be */
    uint64_t wakeups; /* system calls that woke a peer which waited for shared memory */
} pipc_stats_t;

#define PIPC_STATS_INIT                                                   \
    {                                                                     \
        sizeof(pipc_stats_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
    }

/* A process, as the kernel vouches for it. Start from PIPC_CREDENTIALS_INIT. */
typedef struct {
    size_t struct_size; /* set by PIPC_CREDENTIALS_INIT */
    pid_t pid;
    uid_t uid;
    gid_t gid;
} pipc_credentials_t;

#define PIPC_CREDENTIALS_INIT               \
    {                                       \
        sizeof(pipc_credentials_t), 0, 0, 0 \
    }

/* What gets the lines of the trace, see pipc_set_trace. */
typedef void (*pipc_trace_t)(void *context, const char *line);

/* ---- Opening and closing -------------------------------------------------------------------- */

/*
 * pipc_open - make an anonymous pipe for two threads, or for a parent and a child.
 *
 * options   NULL, or what differs from the defaults; PIPC_DUPLEX and PIPC_GATHER are ignored
 *
 * One handle serves both sides (6). Open it before the thread starts or the child is forked. This
 * call takes no end; the first call on the handle does.
 *
 * Returns a handle, for pipc_close in each process that has it. On failure NULL: EINVAL (options),
 * ENOMEM, EMFILE, ENFILE, EFBIG (the limit on the size of files, RLIMIT_FSIZE, is below what the
 * shared memory may take, a little more than 2 MiB). Where that memory needs a name for a moment
 * (12: memfd_create), what is wrong with it: EACCES, ENOENT, ENOSPC, EROFS. Any thread.
 */
PIPC_API pipc_t *pipc_open(const pipc_options_t *options);

/*
 * pipc_open_pair - make a pipe whose two ends are two handles.
 *
 * end       where the two handles go; unchanged on failure
 * options   for both; NULL for the defaults. Of which kind the pipe is depends on the flags (6)
 *
 * After fork, each side closes its copy of the other side's handle.
 *
 * Returns 0; each handle is for pipc_close in each process that has it. On failure -1: EINVAL (end
 * is NULL, options), ENOMEM, EMFILE, ENFILE. Any thread.
 */
PIPC_API int pipc_open_pair(pipc_t *end[2], const pipc_options_t *options);

/*
 * pipc_open_fds - make a pipe of two descriptors that the program has.
 *
 * read_fd, write_fd   what is read from and written to; the same descriptor for both if it goes
 *                     both ways. Pipes, FIFOs, stream sockets, terminals, devices; a regular file
 *                     works too, but pipc_fd fails on it with EPERM, as on /dev/null
 * options             NULL for the defaults
 *
 * On success the handle owns the descriptors: the program no longer uses them, and pipc_close
 * closes them (one that serves both directions, once). On failure they are the program's as before.
 *
 * On a Unix socket SO_PASSRIGHTS is set as PIPC_ACCEPT_FDS asks (6). Close-on-exec is not changed,
 * nor is O_NONBLOCK of sockets, regular files and pipes. On FIFOs,
 * terminals and devices (and on pipes before Linux 6.4) O_NONBLOCK is set, and restored by
 * pipc_close in the process that opened the handle. Other processes that share the open files may
 * set and clear it at any time: that makes no call wait longer than its timeout, unless they also
 * read what this handle was about to read, or fill what it was about to write to.
 *
 * Returns a handle, for pipc_close. On failure NULL: EBADF (not open), EINVAL (not open for reading
 * or for writing, a socket that is no stream or that listens, or options), EISDIR (a directory),
 * ENOMEM, or any errno of fcntl(2). Any thread. After fork, only one process goes on with the
 * handle (9).
 */
PIPC_API pipc_t *pipc_open_fds(int read_fd, int write_fd, const pipc_options_t *options);

/*
 * pipc_open_fifo - make a pipe with another process of this user that uses the same name.
 *
 * name         agreed between the two: 1 to 255 bytes without '/', neither "." nor "..", and not
 *              beginning with ".pipc-"
 * timeout_ms   how long to wait for the peer: -1 without limit; 0 not at all, so that it succeeds
 *              only if the peer waits already; n at most n ms
 * options      NULL for the defaults; directory says where names live (6)
 *
 * Returns a handle, for pipc_close. On failure NULL, and nothing is left but the directory: EAGAIN
 * (0 ms, and nobody waits), ETIMEDOUT (nobody came), EINTR (with PIPC_INTERRUPTIBLE), EINVAL (name,
 * timeout_ms, options), ENAMETOOLONG, EACCES (the directory or what is at the name is not to be
 * trusted), ENOENT (the parent of the directory is missing), ENOSPC, EROFS, ENOMEM, EMFILE, ENFILE,
 * and other errors of the file system.
 *
 * With PIPC_ASYNC it does not wait (6). Else it waits as timeout_ms says. A thread that is
 * cancelled there leaves nothing, as after a failure. Any thread. After fork, only one process goes
 * on with the handle (9).
 */
PIPC_API pipc_t *pipc_open_fifo(const char *name, int timeout_ms, const pipc_options_t *options);

/*
 * pipc_open_tcp - make a pipe with another program over TCP, on another host or on this one (6).
 *
 * host         the other host's name or address; for a program on this host, any of this host's
 *              (6). Only that host is let in
 * port         the same on both sides, not 0
 * timeout_ms   for all of it, also while the network or the resolver is down: -1 without limit, 0
 *              not at all, otherwise milliseconds. The resolver itself may take longer
 * options      NULL for the defaults. With a key, both sides must have the same (6). With
 *              PIPC_CONNECT_ONLY it never listens, as a client of a server should not
 *
 * Returns a handle, for pipc_close. On failure NULL: EAGAIN (timeout 0) or ETIMEDOUT (nobody came),
 * EACCES (the key was wrong, or with a key the peer is this process), ENOENT (the host has no
 * address), EINTR (PIPC_INTERRUPTIBLE), EINVAL (also an address of no single host), ENOMEM, EMFILE,
 * ENFILE; EPERM or EACCES (a sandbox or a security module forbids to connect).
 *
 * With PIPC_CONNECT_ONLY and timeout 0: ECONNREFUSED when it is refused at once, otherwise EAGAIN.
 * With another timeout, instead of ETIMEDOUT, the reason why the last attempt failed, at the last
 * address if the name has several: ECONNREFUSED (nobody listens), EHOSTUNREACH, ENETUNREACH (no way
 * there), EINVAL, EACCES (a route forbids it, and may go away), ECONNRESET (turned away, during the
 * handshake), ETIMEDOUT (no answer), or any other errno of connect(2).
 *
 * With PIPC_ASYNC it does not wait (6). Else it waits up to timeout_ms; a thread that is cancelled
 * there leaves nothing. Any thread. After fork, only one process goes on with the handle (9).
 */
PIPC_API pipc_t *pipc_open_tcp(const char *host, uint16_t port, int timeout_ms,
                               const pipc_options_t *options);

/*
 * pipc_open_unix - make a pipe with a server on a path of this host (6).
 *
 * path         of the server's socket, or "@NAME" in the abstract namespace; not empty
 * timeout_ms   how long to wait for the server to be there: -1 without limit, 0 not at all,
 *              otherwise milliseconds
 * options      NULL for the defaults. With a key, the server must have the same. The handshake
 *              needs time: with timeout 0 it practically never succeeds
 *
 * Returns a handle, for pipc_close. On failure NULL: EAGAIN (timeout 0) or ETIMEDOUT (no server was
 * there, whatever the reason); at once ENOTSOCK (something else is there), EPROTOTYPE (a socket
 * that is no stream), EACCES (no permission; the key was wrong; with a key the server is this
 * process), ENOTDIR, ELOOP, ENAMETOOLONG, EINVAL, ENOMEM, EMFILE, ENFILE; EINTR
 * (PIPC_INTERRUPTIBLE).
 *
 * With PIPC_ASYNC it does not wait (6). Else it waits up to timeout_ms; a thread that is cancelled
 * there leaves nothing. Any thread. After fork, only one process goes on with the handle (9).
 */
PIPC_API pipc_t *pipc_open_unix(const char *path, int timeout_ms, const pipc_options_t *options);

/*
 * pipc_close - close a handle. NULL is allowed; errno is kept. Never waits, but for descriptors
 * that came with messages and take long to close (2). For that it switches SO_LINGER off where that
 * would make it wait: on sockets of pipc_open_fds, for all who have a copy, in the process that
 * opened the handle (a child that is the last to close such a socket waits, as close(2) does).
 * pipc_server_accept does so on what it accepts from a socket of pipc_server_open_fd. To wait, call
 * pipc_flush, and then read until the peer has closed.
 *
 * Messages that arrived and were not read are lost. What is already in the kernel, or in the shared
 * memory, still reaches the peer; over TCP not always, see 10. What was gathered (3) is sent as far
 * as there is room. What else the handle still held (3) does not reach the peer; a message of which
 * a part had gone is torn there (ECONNRESET). The peer sees an end of stream (EPIPE), no goodbye.
 *
 * No thread of this process may use the handle afterwards, and none may be in a call on it. On
 * pipc_open that holds for the calling thread alone: each thread closes for itself, in any order or
 * at once.
 *   - A thread uses the handle from its first call on it (any but pipc_close, pipc_stats,
 *     pipc_peer, pipc_bye_text, pipc_take_fds, pipc_credentials and pipc_detach, and any that is
 *     refused with EINVAL or EOPNOTSUPP) until it closes it or ends. A goodbye that it sent, or an
 *     EBUSY that it got, changes nothing.
 *   - When a thread has closed the handle and none uses it any more, it is freed: by the last
 *     close, or by the end of the last user. If no thread closes it, it is not freed.
 *   - So each thread makes its first call before any thread closes. One that comes later may find
 *     the handle freed. pipc_set_timeout can be this first call.
 *   - The thread that opened the handle may close it once in any case: also if it never used it,
 *     and also when all others have closed. If it does not, some hundred bytes of the handle stay
 *     allocated until that thread ends. No other thread closes a handle that it has not used,
 *     unless it is the last one that knows of it.
 *   - After fork, only the child's own thread counts there, as the thread that opened it.
 */
PIPC_API void pipc_close(pipc_t *pipe);

/*
 * pipc_detach - close a handle, but keep its descriptors.
 *
 * fds   where they go: the one that is read from, then the one that is written to. They are the
 *       same if one serves both. The second is -1 if pipc_shutdown has closed it. Unchanged on
 *       failure
 *
 * So an accepted connection can be handed to another process, which uses pipc_open_fds. What the
 * peer has sent and this process has not taken in is in the kernel, and goes along. What is true of
 * pipc_close is true of this call: the descriptor of pipc_fd is closed, and no thread may use the
 * handle afterwards.
 *
 * Reading takes in more than one message at a time (7). What has been read ahead is in this
 * process, and would be lost; so the call fails with EAGAIN. The program then reads that too, and
 * hands it over as messages, before the descriptors: pipc_flush, and then one pipc_read_msg for
 * each EAGAIN of this call, with a read timeout that lets the rest of a message come. A peer that
 * never stops sending can keep this from ending: set a limit, and close such a peer. It is simplest
 * not to read before, or to have the peer wait for an answer: then one message is all there is.
 * Where Unix sockets move into shared memory, set PIPC_NO_SHARED_MEMORY (6).
 *
 * The descriptors wait (no O_NONBLOCK), or are as the program gave them to pipc_open_fds. Those
 * that the library made are close-on-exec, and Unix sockets among them, but for those of a pair,
 * bring descriptors only if PIPC_ACCEPT_FDS was set (6). O_NONBLOCK belongs to the open file, which
 * processes share after fork. So only the process that goes on with the pipe makes this call; the
 * others call pipc_close. In a child, descriptors of pipc_open_fds keep the O_NONBLOCK that they
 * had meanwhile.
 *
 * Returns 0. On failure -1, and the handle is as before: EAGAIN (something is unread in memory, or
 * held (3); with PIPC_ASYNC, the peer is not there yet), EOPNOTSUPP (pipc_open, and a Unix socket
 * or a pair that has moved into shared memory (6)), EINVAL (NULL). A part of a message in memory is
 * EAGAIN too, until the peer has sent the rest and it was read, or a call that reads has reported
 * that the peer has gone. If reading has failed for good, with EPROTO or ECONNRESET, this call
 * reports that error, since bytes of the stream are gone. After an end of stream or a goodbye it
 * succeeds; EPIPE: bytes came behind the goodbye. One thread (8).
 */
PIPC_API int pipc_detach(pipc_t *pipe, int fds[2]);

/* ---- Writing -------------------------------------------------------------------------------- */

/*
 * pipc_write - send one message.
 *
 * data, size   the message, size bytes; data may be NULL when size is 0. Not kept after the call
 *
 * Returns size: the message is sent, accepted or gathered (3). On failure -1, and nothing of it was
 * sent: EMSGSIZE (over max_message), EAGAIN, ETIMEDOUT, EINTR, EPIPE, ECONNRESET, EPROTO, EINVAL,
 * ENOMEM; on pipc_open EBUSY, EMFILE, ENFILE, EPERM (no end); on adopted descriptors any errno of
 * write(2). On a regular file or a device that is full, a part of it is there, and writing is dead.
 *
 * Waits up to the write timeout. Cancelled there, it has sent the message whole or not at all. One
 * writing thread (8).
 */
PIPC_API ssize_t pipc_write(pipc_t *pipe, const void *data, size_t size);

/*
 * pipc_writev - send one message that is in several pieces.
 *
 * parts, count   the pieces, in order, at most 1,024; none make an empty message. Not kept after
 *                the call
 *
 * Returns the size of the message in bytes. On failure -1, and nothing of it was sent: EMSGSIZE
 * (over max_message), EINVAL (also a count that is negative or too large), EAGAIN, ETIMEDOUT,
 * EINTR, EPIPE, ECONNRESET, EPROTO, ENOMEM; on pipc_open EBUSY, EMFILE, ENFILE, EPERM (no end); on
 * adopted descriptors any errno of write(2).
 *
 * Waits up to the write timeout. Cancelled there, it has sent the message whole or not at all. One
 * writing thread (8).
 */
PIPC_API ssize_t pipc_writev(pipc_t *pipe, const struct iovec *parts, int count);

/*
 * pipc_write_fds - send one message that brings descriptors (2), on a Unix socket or a pair.
 *
 * data, size   as for pipc_write
 * fds, count   open descriptors of this process, 0 to 16. Their order is kept, and one may be there
 *              twice. They stay open and the caller's. With 0 the call is pipc_write
 *
 * With descriptors the message is not gathered: what was gathered before (3) goes first, and then
 * this message follows at once.
 *
 * Returns size: the message is sent, or accepted. On failure -1, and nothing of it was sent:
 * EOPNOTSUPP (another kind of pipe; or the peer did not set PIPC_ACCEPT_FDS, where the kernel can
 * report that, see 6), EBADF (one is not open), ETOOMANYREFS (too many of this user are on their
 * way), EINVAL (also a count over 16 or below 0, or a descriptor that the kernel does not let
 * travel, as one of io_uring), EMSGSIZE, EAGAIN, ETIMEDOUT, EINTR, EPIPE, ECONNRESET, EPROTO,
 * ENOMEM; on adopted descriptors any errno of sendmsg(2). After EOPNOTSUPP, EBADF, ETOOMANYREFS and
 * EINVAL the pipe is as before.
 *
 * Waits up to the write timeout. Cancelled there, it has sent the message whole or not at all. One
 * writing thread (8).
 */
PIPC_API ssize_t pipc_write_fds(pipc_t *pipe, const void *data, size_t size, const int *fds,
                                int count);

/*
 * pipc_write_batch - send many messages, one for each element, as if by as many calls of
 * pipc_write. Small ones share system calls, where there are any.
 *
 * messages, count   the messages, in order. Not kept after the call
 *
 * Returns how many were sent or accepted, from the first on. That is fewer than count if the
 * timeout passed or something failed after that many; a repetition with the rest reports the
 * reason. 0 only when count is 0. On failure -1, and none was sent: EMSGSIZE (the first is over
 * max_message; a later one merely ends the batch), EINVAL (also an element with a size and no
 * address, wherever it stands), EAGAIN, ETIMEDOUT, EINTR, EPIPE, ECONNRESET, EPROTO, ENOMEM; on
 * pipc_open EBUSY, EMFILE, ENFILE, EPERM (no end); on adopted descriptors any errno of write(2).
 *
 * Waits up to the write timeout, for all of them together. Cancelled there, it has sent each
 * message whole or not at all. One writing thread (8).
 */
PIPC_API ssize_t pipc_write_batch(pipc_t *pipe, const struct iovec *messages, size_t count);

/* ---- Reading -------------------------------------------------------------------------------- */

/*
 * pipc_read - take the next message into a buffer.
 *
 * buffer, size   where it goes, and how many bytes fit; buffer may be NULL when size is 0
 *
 * Returns the size of the message; 0 is an empty message. On failure -1, and the buffer's contents
 * are undefined: EMSGSIZE (it does not fit, and stays; pipc_peek and pipc_skip help), ESHUTDOWN (it
 * was a goodbye, which is taken now; pipc_bye_text returns its text), EAGAIN, ETIMEDOUT, EINTR,
 * EPIPE, ECONNRESET, EPROTO, EINVAL, ENOMEM; on pipc_open EBUSY, EMFILE, ENFILE, EPERM (no end); on
 * adopted descriptors any errno of read(2); with PIPC_ACCEPT_FDS EMFILE (5).
 *
 * Waits up to the read timeout. Cancelled there, it leaves the message to the next call. One
 * reading thread (8).
 */
PIPC_API ssize_t pipc_read(pipc_t *pipe, void *buffer, size_t size);

/*
 * pipc_read_msg - take the next message, or goodbye, in memory that is allocated for it.
 *
 * message   filled in on success, and then for pipc_msg_free; unchanged on failure
 *
 * Returns 0. On failure -1: EAGAIN, ETIMEDOUT, EINTR, EPIPE, ECONNRESET, EPROTO, EINVAL, ENOMEM
 * (the message stays); on pipc_open EBUSY, EMFILE, ENFILE, EPERM (no end); on adopted descriptors
 * any errno of read(2); with PIPC_ACCEPT_FDS EMFILE (5).
 *
 * Waits up to the read timeout. Cancelled there, it leaves the message to the next call. One
 * reading thread (8).
 */
PIPC_API int pipc_read_msg(pipc_t *pipe, pipc_msg_t *message);

/*
 * pipc_read_pending - take the messages, and goodbyes, that are there now. Never waits.
 *
 * messages, max   an array, and how many it takes. Each one filled in is for pipc_msg_free; the
 *                 others are unchanged
 *
 * Returns how many were taken, 0 to max; 0 when nothing is there now. If it is less than max, there
 * may still be more (7). On failure -1, and none was taken: EPIPE, ECONNRESET, EPROTO, EINVAL,
 * ENOMEM (the messages stay); on pipc_open EBUSY, EMFILE, ENFILE, EPERM (no end); on adopted
 * descriptors any errno of read(2); with PIPC_ACCEPT_FDS EMFILE (5). If an end of stream or an
 * error made the count short, the next call reports it. One reading thread (8).
 */
PIPC_API ssize_t pipc_read_pending(pipc_t *pipe, pipc_msg_t *messages, size_t max);

/*
 * pipc_peek - show the next message, or goodbye, and leave it there.
 *
 * view   filled in on success. Its data belongs to the handle and stays until the next call that
 *        reads (pipc_read, _read_msg, _read_pending, _peek, _skip, _pending, _flush, _disconnect,
 *        _close). A write leaves it, also one that waits. Not for pipc_msg_free
 *
 * Returns 0. On failure -1: EAGAIN, ETIMEDOUT, EINTR, EPIPE, ECONNRESET, EPROTO, EINVAL, ENOMEM; on
 * pipc_open EBUSY, EMFILE, ENFILE, EPERM (no end); on adopted descriptors any errno of read(2);
 * with PIPC_ACCEPT_FDS EMFILE (5). Waits up to the read timeout. One reading thread (8).
 */
PIPC_API int pipc_peek(pipc_t *pipe, pipc_msg_t *view);

/*
 * pipc_skip - drop the next message, or goodbye, unread. This is the way past an EMSGSIZE.
 *
 * Returns 0. On failure -1: EAGAIN, ETIMEDOUT, EINTR, EPIPE, ECONNRESET, EPROTO, EINVAL, ENOMEM; on
 * pipc_open EBUSY, EMFILE, ENFILE, EPERM (no end); on adopted descriptors any errno of read(2);
 * with PIPC_ACCEPT_FDS EMFILE (5).
 *
 * Waits up to the read timeout. Cancelled there, it leaves the message to the next call. One
 * reading thread (8).
 */
PIPC_API int pipc_skip(pipc_t *pipe);

/*
 * pipc_take_fds - take the descriptors that came with the message that was taken last (2).
 *
 * fds, max   an array, and how many it takes; fds may be NULL when max is 0
 *
 * Call it after the pipc_read, pipc_read_msg or pipc_read_pending that took the message, and before
 * the next one. What is taken is the caller's to close. If there are more than max, the next call
 * returns those that are left.
 *
 * Takes no end of a pipc_open handle. Never waits. Returns how many were taken; 0: that message
 * brought none, or all were taken, or this handle does not take any (no PIPC_ACCEPT_FDS, or another
 * kind of pipe). On failure -1: EINVAL (max below 0, or NULL). One reading thread (8).
 */
PIPC_API int pipc_take_fds(pipc_t *pipe, int *fds, int max);

/*
 * pipc_bye_text - the text of the last goodbye that was read on this handle.
 *
 * Takes no end of a pipc_open handle. Returns a string, "" for a goodbye without text. It belongs
 * to the handle (on pipc_open, to the calling thread's use of it). It is valid until the next
 * goodbye is read or the handle is closed there, also after the caller's own pipc_disconnect. NULL,
 * with errno unchanged, if no goodbye was read, or pipe is NULL. One reading thread (8).
 */
PIPC_API const char *pipc_bye_text(const pipc_t *pipe);

/*
 * pipc_msg_free - free what pipc_read_msg or pipc_read_pending put into message, and empty it.
 *
 * NULL, and a message freed before, are allowed; errno is kept. Any thread, in any order, also
 * after the handle is closed. Short messages that were taken in together share blocks of up to 4
 * KiB, and a block is freed with the last of its messages: copy a message that is to be kept for
 * long.
 */
PIPC_API void pipc_msg_free(pipc_msg_t *message);

/* ---- State ---------------------------------------------------------------------------------- */

/*
 * pipc_pending - take in what has arrived, and count the messages that can be read now, goodbyes
 * included. Never waits.
 *
 * Returns the number. If one call does not take in all (7), more may be there than it counts; the
 * next call takes in more. 0 also when the peer is gone, and when no number is free for the
 * descriptors of the next message (EMFILE), which only reading reports; and while the peer is not
 * there yet (PIPC_ASYNC). On failure -1: EINVAL (pipe is NULL); with PIPC_ASYNC an errno of the
 * constructor (no peer will come), EPERM (a child); on pipc_open EBUSY, EPIPE, ENOMEM, EMFILE,
 * ENFILE, EPERM (no end). One reading thread (8).
 */
PIPC_API ssize_t pipc_pending(pipc_t *pipe);

/*
 * pipc_flush - push out what is held (3), and take in what has arrived, up to max_pending.
 *
 * Deletes nothing. Returns the number of messages that can be read now; with PIPC_DUPLEX, of those
 * in memory. Then nothing is held any more: it has gone, or writing is dead, which this call does
 * not report and the next write does. With PIPC_ASYNC the peer is there then, and why it never will
 * be is reported here too (6). On failure -1: EAGAIN or ETIMEDOUT (some is still held, or the peer
 * is not there yet), EPIPE (after pipc_shutdown, when no write can report it any more: writing had
 * died, and what was held then is lost), EINTR, EINVAL, ENOMEM; with PIPC_ASYNC an errno of the
 * constructor, EPERM (a child); on pipc_open EBUSY, EPIPE, ENOMEM, EMFILE, ENFILE, EPERM (no end).
 *
 * Waits while something is held, and with PIPC_ASYNC until the peer is there, up to the write
 * timeout. One writing thread (8).
 */
PIPC_API ssize_t pipc_flush(pipc_t *pipe);

/*
 * pipc_shutdown - send no more messages from here; reading goes on.
 *
 * Later calls still push out what is held; pipc_flush reports when that has gone, or is lost. The
 * peer reads all, then gets EPIPE: on pipes (also of a pair) and FIFOs once no process has a copy
 * of this handle that can still write. From now on, writing here and pipc_disconnect fail with
 * EPIPE. A further call has no effect.
 *
 * Returns 0. On failure -1: EINVAL (pipe is NULL); with PIPC_ASYNC an errno of the constructor (no
 * peer will come), EPERM (a child); on pipc_open EBUSY, EPIPE, ENOMEM, EMFILE, ENFILE, EPERM (no
 * end). One writing thread (8).
 */
PIPC_API int pipc_shutdown(pipc_t *pipe);

/*
 * pipc_disconnect - send a goodbye, after everything that was sent.
 *
 * text   a string for the peer's pipc_bye_text; NULL: none
 *
 * On pipc_open it frees the end (6), and with it the timeouts and the descriptor of the end: the
 * next call here takes an end anew. A message that has begun to arrive is taken in first, so that
 * the next holder starts between two messages. On the other kinds it ends writing, as pipc_shutdown
 * does.
 *
 * Returns 0. What was held has gone then. The goodbye has gone too; or, if its text is long, a part
 * of it may be held, as of any message (3), but not on pipc_open. On failure -1, and no goodbye was
 * sent: EMSGSIZE (text over max_message, in which "BYE" does not count; or, on pipc_open, over
 * 65,517 bytes), EAGAIN, ETIMEDOUT, EINTR, EPIPE, ECONNRESET, EPROTO, EINVAL, ENOMEM; on pipc_open
 * EBUSY, EMFILE, ENFILE, EPERM (no end); on adopted descriptors any errno of write(2).
 *
 * Waits up to the write timeout. Cancelled there, it has sent the goodbye whole or not at all. One
 * writing thread (8).
 */
PIPC_API int pipc_disconnect(pipc_t *pipe, const char *text);

/*
 * pipc_fd - the descriptor to poll (4).
 *
 * Returns a descriptor that belongs to the handle. It stays the same as long as the handle, or the
 * end of a pipc_open, is held. On failure -1: EPERM (a regular file, or a device that cannot be
 * polled), EMFILE,
 * ENFILE, ENOMEM, ENOSPC (5), EINVAL (pipe is NULL); on pipc_open EBUSY, EPIPE, ENOMEM, EMFILE,
 * ENFILE, EPERM (no end). One thread, or any with PIPC_DUPLEX (8).
 */
PIPC_API int pipc_fd(pipc_t *pipe);

/*
 * pipc_want - select what makes the descriptor of pipc_fd readable (4); on pipc_open, at this end.
 *
 * events   PIPC_WANT_READ, PIPC_WANT_WRITE, both (the default), or 0
 *
 * On pipc_open, pipc_disconnect resets it, as it does timeouts.
 *
 * Returns 0. On failure -1: EINVAL (other events, or pipe is NULL); on pipc_open EBUSY, EPIPE,
 * ENOMEM, EMFILE, ENFILE, EPERM (no end). One thread, or any with PIPC_DUPLEX (8).
 */
PIPC_API int pipc_want(pipc_t *pipe, unsigned events);

/*
 * pipc_set_timeout - set how long reading and writing may wait (3); on pipc_open, at this end.
 *
 * read_ms, write_ms   milliseconds; -1 without limit (the default), 0 not at all
 *
 * Returns 0. On failure -1: EINVAL (below -1, or pipe is NULL); on pipc_open EBUSY, EPIPE, ENOMEM,
 * EMFILE, ENFILE, EPERM (no end). One thread, or any with PIPC_DUPLEX, for calls that begin later
 * (8).
 */
PIPC_API int pipc_set_timeout(pipc_t *pipe, int read_ms, int write_ms);

/*
 * pipc_peer - describe the peer, as text for a log line. The wording may change between versions.
 *
 * buffer, size   where the text goes, with its terminating zero, and how many bytes fit
 *
 * Takes no end of a pipc_open handle. Returns 0. On failure -1: EINVAL (NULL, or size 0), ERANGE
 * (it does not fit; what fits is there). Any thread.
 */
PIPC_API int pipc_peer(pipc_t *pipe, char *buffer, size_t size);

/*
 * pipc_credentials - who the peer is, on a Unix socket (6).
 *
 * credentials   with struct_size set, as PIPC_CREDENTIALS_INIT does; filled in on success
 *
 * On a handle of pipc_server_accept: the process that connected, at that moment. On a handle of
 * pipc_open_unix: the process that had last called listen(2) on the server's socket when this side
 * connected, even if another one accepts the connection. Both are known at once, before anything is
 * read. A pid of 0 is a process that this pid namespace does not see; the uid of a user who is not
 * mapped into this user namespace is 65534 (kernel.overflowuid). Take either for nobody. The
 * process may have ended since, and its pid may be another's; and it may have passed the socket on.
 * So decide by the uid, and not by what /proc has of the pid.
 *
 * Takes no end of a pipc_open handle. Returns 0. On failure -1: EOPNOTSUPP (any other kind of pipe;
 * pipc_open_fds too, since the maker of a socketpair stands at both ends of it), EAGAIN (with
 * PIPC_ASYNC, the peer is not there yet), EINVAL (NULL, or a struct_size that is too small),
 * ENOMEM. Any thread.
 */
PIPC_API int pipc_credentials(pipc_t *pipe, pipc_credentials_t *credentials);

/*
 * pipc_stats - fill in the counts.
 *
 * stats   with struct_size set, as PIPC_STATS_INIT does
 *
 * If the struct is that of an older version, the counts that it lacks are left out. If it is that
 * of a newer version, those that this one lacks stay as they are, which is 0.
 *
 * Takes no end of a pipc_open handle. Returns 0. On failure -1: EINVAL (NULL, or a
 * struct_size that is too small). Any thread.
 */
PIPC_API int pipc_stats(const pipc_t *pipe, pipc_stats_t *stats);

/* ---- Server --------------------------------------------------------------------------------- */

/*
 * pipc_server_open - listen for TCP connections.
 *
 * host      where to listen. NULL: loopback, 127.0.0.1 and ::1, so that no other host comes in. A
 *           name: all of its addresses that this machine has, and both of loopback if it is a name
 *           for loopback, as localhost. An address: that one; "0.0.0.0": all of IPv4; "::": all of
 *           IPv6. "*": all of both. A family that this machine lacks is left out
 * port      the same at all of these addresses. 0: one that is free, which pipc_server_port returns
 * options   also for the handles to come; with a key (which is copied) each client must have it
 *
 * Returns a server, for pipc_server_close. It belongs to this process (so a daemon opens it after
 * its fork), and one thread uses it at a time. On failure NULL: EADDRINUSE (at one of the addresses
 * at least), EACCES (a port under 1,024), EADDRNOTAVAIL (not an address of this machine), ENOENT
 * (the host has no address), EAGAIN (the resolver has no answer now), EINVAL, ENOMEM, EMFILE,
 * ENFILE, ENOSPC (5). Any thread.
 */
PIPC_API pipc_server_t *pipc_server_open(const char *host, uint16_t port,
                                         const pipc_options_t *options);

/*
 * pipc_server_open_unix - listen on a path of this host (6).
 *
 * path      where to listen, in a directory that is there, and that this process may read and write
 *           to. Its last part is neither "." nor "..", and does not begin with ".pipc-". Or "@NAME"
 * options   also for the handles to come; mode is the access of the socket: up to 0777 and with
 *           0200, or 0, which is 0600; for "@NAME" only 0. With a key (which is copied) each client
 *           must have it
 *
 * Returns a server, for pipc_server_close, as pipc_server_open does. On failure NULL, and nothing
 * is left: EADDRINUSE (another server is there, or is starting; or a dead socket that another user
 * left and that is not this user's to remove), EEXIST (what is there is no socket), ENOENT,
 * ENOTDIR, ELOOP, EACCES (the directory; or somebody put something in the place of the new socket,
 * which stays), EOPNOTSUPP (mode) (6), EINVAL (path, mode, options), ENAMETOOLONG, ENOSPC, EROFS,
 * ENOMEM, EMFILE, ENFILE, and other errors of the file system. Any thread.
 */
PIPC_API pipc_server_t *pipc_server_open_unix(const char *path, const pipc_options_t *options);

/*
 * pipc_server_open_fd - take over a socket that listens (6).
 *
 * listening_fd   a stream socket of TCP or of this host (AF_UNIX) that listens. Its close-on-exec
 *                flag is not changed
 * options        as for pipc_server_open
 *
 * On success the server owns the descriptor: pipc_server_close closes it. On failure it is the
 * program's, as before. Returns a server. On failure NULL: EBADF (not open), EINVAL (it is no such
 * socket, or does not listen; options), ENOMEM, EMFILE, ENFILE, ENOSPC (5). Any thread.
 */
PIPC_API pipc_server_t *pipc_server_open_fd(int listening_fd, const pipc_options_t *options);

/*
 * pipc_server_accept - take the next client, once it has shown the key if there is one.
 *
 * timeout_ms   -1 without limit, 0 not at all, otherwise milliseconds
 *
 * Clients that are slow, silent or wrong never end or delay this call: they are turned away beside
 * it (6). Nor does a lack of descriptors or memory: silent clients make room for new ones. If there
 * are none, the call waits until a descriptor comes free, and goes on within 100 ms of that. With
 * timeout 0 it fails with EAGAIN. The server's descriptor is then not readable for 50 ms, so that a
 * loop does not spin, and readable after that.
 *
 * Returns a handle like any other, for pipc_close; it outlives the server. On failure NULL: EAGAIN
 * or ETIMEDOUT (nobody came), EINTR (PIPC_INTERRUPTIBLE), EINVAL (also: somebody who has a copy of
 * a listening socket, such as a child, has shut it down; the next call says so again 50 ms later),
 * ENOMEM (a client was there, and its handle found no memory: it is turned away, and the next call
 * goes on with the others).
 *
 * Waits up to timeout_ms. Cancelled there, it leaves the client to the next call. One thread at a
 * time for each server, in the process that opened it.
 */
PIPC_API pipc_t *pipc_server_accept(pipc_server_t *server, int timeout_ms);

/*
 * pipc_server_fd - the descriptor to poll for input. It is readable when pipc_server_accept is
 * worth calling (with timeout 0). As with pipc_fd (4), a spurious wakeup is possible. With a key
 * that is usual, because each call moves the handshakes on.
 *
 * Returns a descriptor that belongs to the server, the same one each time. On failure -1: EINVAL;
 * with POSIX alone (12) also EMFILE, ENFILE. One thread at a time for each server.
 */
PIPC_API int pipc_server_fd(pipc_server_t *server);

/*
 * pipc_server_port - the port that the server listens on. 0: it listens on a path, or server is
 * NULL. Any thread.
 */
PIPC_API uint16_t pipc_server_port(const pipc_server_t *server);

/*
 * pipc_server_close - stop listening. NULL is allowed; errno is kept. Never waits, but for
 * descriptors that clients without a key have sent and that take long to close (2).
 *
 * A client that has not been accepted yet is turned away: its reads fail with EPIPE or ECONNRESET.
 * The name of pipc_server_open_unix is removed (6). A child after fork closes it as well, and
 * disturbs nobody. One thread at a time for each server.
 */
PIPC_API void pipc_server_close(pipc_server_t *server);

/*
 * pipc_strerror - what an errno of this library means, as a sentence without a full stop.
 * strerror(3) has the system's words, which often say something else.
 *
 * error   an errno that a function of this library has set; 0 is "no error"
 *
 * Returns a constant string, in English, never NULL; any other number is "an error of the system;
 * see errno(3)". Where an errno has several meanings (5), the sentence names the usual ones. The
 * wording may change between versions. errno is kept. Any thread.
 */
PIPC_API const char *pipc_strerror(int error);

/*
 * pipc_set_trace - give the lines of the trace (5) to the program, for its own log.
 *
 * function   called with context and each line: a string without a newline, valid until the
 *            function returns. NULL: none any more
 * context    what the function gets
 *
 * It is one function for all handles of the process. It gets the lines that come from now on,
 * whether or not PIPC_TRACE is set, which goes on beside it.
 *
 *   - It is called before a call of the library returns or begins to wait, one line at a time, and
 *     with no lock of the library held. Each thread hands over the lines of all: the line may be of
 *     another thread's call, and a thread may get a line a little later than the file. If more than
 *     64 lines come in one call, some may be lost; then one line says how many.
 *   - It may call the library, but no call that is at work may use the same handle or server (8):
 *     which one that is, is not known to it, so it keeps to handles of its own. What it does there
 *     is in the file, and does not come back to it. It may call pipc_set_trace too.
 *   - It returns: it does not leave by longjmp or by an exception. It does not end its thread. A
 *     cancellation is deferred until it has returned.
 *   - It is this process's. In a child after fork it is never called, so it need not be fit for the
 *     child of a program with several threads; the child may set one of its own. PIPC_TRACE goes on
 *     in a child.
 *   - Each copy of the library in a program, as in plug-ins, has its own.
 *
 * The former function is replaced, and lines that it has not got yet are dropped. Once the call has
 * returned, no thread is in the former function, except a caller that is in it itself. errno is
 * kept.
 *
 * Waits until other threads have returned from the former function. Cancelled there, it has changed
 * nothing. Any thread, also in the function.
 */
PIPC_API void pipc_set_trace(pipc_trace_t function, void *context);

/* pipc_version - the version at run time, such as "0.1.0"; a constant string. Any thread. */
PIPC_API const char *pipc_version(void);

#ifdef __cplusplus
}
#endif

#endif
