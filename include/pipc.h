/* SPDX-License-Identifier: MIT */
/*
 * pipc.h - libpipc, two-way message pipes. This header is the manual.
 *
 *   1 Overview          5 Kinds of pipe     9 Fork, exec,        13 Reference
 *   2 Caveats           6 Time-outs           signals, plug-ins
 *   3 Messages          7 The descriptor   10 Errors
 *   4 Limits            8 Threads          11 The bytes
 *                                          12 Kernels
 *
 *
 * 1 OVERVIEW
 *
 * A pipc_t is one end of a pipe that carries messages both ways. A message arrives whole, in order
 * and once. Behind the pipe lies memory shared by two threads or by parent and child, a pair of
 * kernel pipes, a pair of FIFOs met by name, a TCP connection, or two descriptors that the program
 * brings; the calls are the same on all of them.
 * The library starts no thread, installs no signal handler, prints nothing and never aborts.
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
 *
 * 2 CAVEATS
 *
 *  - pipc_read returns 0 for an empty message, which is no end. Loops test >= 0.
 *  - On a pipc_open handle the first call is what takes an end. pipc_pending or pipc_fd called by a
 *    third party, "only to look", takes an end too, if one is free.
 *  - After its own pipc_disconnect too, a thread's next call takes an end again, if only to set a
 *    time-out. Who has left is missed no more: nobody is told that it closes, or dies.
 *  - A side that dies, or closes, before its first call never held an end, so nobody can miss it: the
 *    other side waits for a partner, for ever unless a time-out is set. A parent that makes its first
 *    call (pipc_set_timeout, say) before it forks is missed from the start.
 *  - A thread that ends without pipc_disconnect counts as dead, and that is final for the pipe.
 *  - A write with a limited time-out, or ended by a signal with PIPC_INTERRUPTIBLE, may succeed while
 *    the handle still holds bytes. They move only while the program makes calls. pipc_close
 *    tears them: pipc_flush or pipc_disconnect first.
 *  - Poll the descriptor for input only, also to learn when a write is worth repeating. With
 *    edge-triggered epoll, go on calling until EAGAIN.
 *  - Remove the descriptor from your epoll set before pipc_close (7).
 *  - No function of the library may be called in a signal handler (9).
 *  - A goodbye is understood by libpipc only. Other programs that speak its frames (11) take it for
 *    messages or for garbage: towards them, end with pipc_shutdown.
 *  - A handle is for one thread at a time; on pipc_open, one thread for each side.
 *  - After fork, whoever has an end of a pipc_open_pair closes its copy of the other end. Otherwise
 *    the end of the pipe is never seen, because this very process could still write to it.
 *  - pipc_open_fds makes FIFOs, terminals and other devices non-blocking. That belongs to the open
 *    file, so everybody who shares it (a shell and its terminal, say) sees it until pipc_close.
 *  - Both sides should set the same max_message: what exceeds the reader's ends the connection.
 *  - There is no encryption, and authentication only by a key on TCP (5, Keys). Who holds the
 *    descriptors is trusted to read, not trusted to be correct: bad input is an error, never a crash.
 *  - pipc_open_tcp that waits for a server on its own host has the server's port meanwhile, and
 *    meets the next client in its place. Clients of a server set PIPC_CONNECT_ONLY.
 *  - A pipe over TCP that is closed with messages unread, or while the other side is sending, is
 *    reset by the kernel, and what was on its way to the other side may be lost. To end in order,
 *    both sides: pipc_shutdown, read until EPIPE, pipc_close.
 *
 *
 * 3 MESSAGES
 *
 * A message is 0 to max_message bytes of any content. It is sent entirely or not at all, and read
 * entirely or left where it is. An announced length allocates nothing: memory grows with the bytes
 * that have really come.
 *
 * A goodbye is a message of its own kind, PIPC_BYE, sent by pipc_disconnect. pipc_read reports it
 * as the error ESHUTDOWN and leaves its text to pipc_bye_text; pipc_read_msg, pipc_read_pending and
 * pipc_peek deliver it as a message, whose data is "BYE" and then the text. It comes after all that
 * was sent before it. Data that starts with "BYE" is data.
 *
 * So there are three ways for a stream of messages to stop: a goodbye (ESHUTDOWN, or PIPC_BYE), an
 * end at a message's boundary (EPIPE), and an end inside a message (ECONNRESET). In each case
 * whatever came whole before is delivered first.
 *
 *
 * 4 LIMITS
 *
 * max_message bounds one message, in bytes, in either direction. max_pending bounds, in bytes, the
 * arrived messages that one handle keeps in this process; each costs its size and 64 more, so that
 * empty ones are bounded as well. A message larger than max_pending is taken in when nothing is
 * queued. When the queue is full the handle stops taking in; then the transport fills, and then the
 * other side's writes wait or fail with EAGAIN or ETIMEDOUT. Nothing is ever dropped to make room.
 *
 * One call that does not wait takes in at most 16 MiB, counted as for max_pending, so that it ends also
 * when the other side writes as fast as it reads. The rest is for the next call, and the descriptor stays
 * readable (7). A message larger than that is taken in by several calls; all but the last find nothing.
 *
 * Two sides that write at each other at once do not deadlock: a write that waits takes in what
 * arrives, up to max_pending. Beyond that both wait, as on any full pipe. pipc_flush and
 * pipc_pending take in up to max_pending as well.
 *
 *
 * 5 KINDS OF PIPE
 *
 * pipc_open: one handle, used equally by both sides: two threads, or parent and child. The first to
 * use it takes one end, the second the other, a third gets EBUSY. Every call on the handle is a use
 * except pipc_close, pipc_stats, pipc_peer and pipc_bye_text. The holder of an end is one thread of
 * one process; after fork the child is someone new.
 *
 *   - Only pipc_disconnect frees an end, and not after pipc_shutdown, which is for good. The next
 *     user takes it: the side that left, if its former end is still free, or a newcomer (who
 *     prefers an end that nobody has held yet).
 *   - The side that stays reads what was sent, then the goodbye. From then on its reads wait for
 *     the next partner, and what it writes waits in the pipe for that partner. Messages that the
 *     leaver had already taken into its memory stay with it.
 *   - A holder that dies (killed, exited, thread ended) is noticed within a second by a waiting read or
 *     write and by the descriptor, also where other processes hold copies of the handle: first what it
 *     sent, then EPIPE, or ECONNRESET inside a message. A write notices too, but one that comes
 *     within 50 microseconds of another may not look; nor do the next seven in a stream that was
 *     read as fast as it was written. A holder that replaces itself by exec is dead as well; a waiting
 *     read notices within a second, who only polls at the next call.
 *   - Each direction holds 256 KiB. A write that has to wait for room, and the descriptor that waits
 *     for it, are told when half of that has been read, at the latest (sockets have such a mark as
 *     well). So who reads less may not wait for it.
 *   - Death and pipc_close are final: no successor can come in. A newcomer gets EPIPE then, if no
 *     end is free.
 *   - Nobody is taken for dead who lives, whatever the program does with its descriptors: counting
 *     them with dup and close, or closing all of them, does not end a hold on an end.
 *   - What a thread had taken in when it left stays with it until it comes back, closes, or ends.
 *     Until then it counts against max_pending of the handle.
 *   - A child, or a bystander, that was taken over can send anything, keep messages from coming, pretend
 *     to be dead, or stay silent. It cannot make a call wait longer than its timeout, keep a
 *     survivor busy once it has died, hide its death from a peer that had waited for it before,
 *     or reach the memory of another process. A pipc_fd that was asked for before a fork made without the
 *     C library's fork(3) is shared with that child, and so is what that one does to it.
 *   - It needs a thread-specific key of the process, and /proc to know by more than the process id
 *     who lives: without /proc a holder that execs is not noticed, and a process in another pid
 *     namespace takes no end (EPERM).
 *
 * pipc_open_pair: the two ends as two handles, for programs that prefer to say who is who. Each
 * side closes the other's handle after fork. Ends are not taken or freed; any thread may use either
 * handle, one at a time. An end without a goodbye is seen when the last copy of the other handle is
 * gone or shut down.
 *
 * pipc_open_fds: any two descriptors that read(2) and write(2) take: a socket, a socketpair, FIFOs,
 * a terminal, stdin and stdout, pipes to a tunnel. The other side may be any program that speaks
 * section 11. The end is seen as end-of-file.
 *
 * pipc_open_fifo: two processes of one user on one host that agree on a name, and nothing else.
 *
 *   - Whichever opens first waits for the other, up to the time-out. The first two that are there at
 *     the same time get each other, each one handle; then the name is free, and nothing is left of
 *     it in the file system. A third knows nothing of them: it waits for a fourth. Many may come to
 *     one name at a time, also threads of one process; each gets exactly one partner. Which one, is
 *     not promised.
 *   - When both have opened, each has the other. There is one exception: if a process is killed or
 *     stopped, its thread cancelled, or its time runs out, in the very moment that its partner
 *     succeeds, then the partner has a pipe whose end it sees at once (EPIPE).
 *   - Who dies while waiting is not met, and is no obstacle to those who come later; what it left is
 *     removed by the next one who comes to the name. Nobody holds a lock.
 *   - Others may delete what a waiter has made: a cleaner of /tmp, or rm -rf; a part of it, or all,
 *     with the directory of the names. The waiter notices within a second and comes anew; it makes
 *     the directory again. Until then a newcomer does not find it: it waits too, and both meet when
 *     the first has noticed (with time-out 0: EAGAIN). If the directory cannot be made the wait
 *     ends with ENOENT (its parent is missing) or EACCES (something else is there). A waiter renews
 *     the times of its files each hour, so a cleaner that goes by their age spares them. Two that
 *     have met need no files.
 *   - Names live in /tmp/pipc-UID (UID: the number of the effective user), or in options.directory.
 *     It is made, with mode 0700, when it is missing (its parent is not). A relative path begins in
 *     the directory where the process works at the time of the call. If it is not a directory,
 *     is a symlink, belongs to somebody else or has another mode: EACCES. Nobody but the same user
 *     (and root) can see, disturb or imitate a meeting. What is in the directory is opened only if
 *     it is the caller's own, of the right sort and mode, never through a symlink; else EACCES.
 *   - What another user can do: make /tmp/pipc-UID first, or fill up /tmp. Then the opening fails,
 *     always. A program to which this matters names a directory of its own, in $XDG_RUNTIME_DIR or
 *     at home. In a directory that others may write to and that is not sticky they can also move
 *     /tmp/pipc-UID away, which parts those who come before from those who come after.
 *   - An end without a goodbye is seen when the last copy of the other handle is gone or shut down.
 *     A process that is forked while another thread waits in pipc_open_fifo has copies of what that
 *     one holds until it exits or execs; meanwhile a death of the waiting process is not seen.
 *   - After the other has gone the pipe is dead; open a new one.
 *   - Each side asks for room for 1 MiB in the kernel for what it writes. The memory is used when the
 *     pipe is full, not before, but counts at once against /proc/sys/fs/pipe-user-pages-soft (64 MiB
 *     by default: 32 such pipes of a user). Beyond that a user who is not root gets what the kernel
 *     gives, down to 4 KiB for each direction: slower, and nothing else changes.
 *
 * pipc_open_tcp: two programs on two hosts, or on one. Both call it with the other's host and the
 * same port; whichever comes first listens and the other connects, also when both come at once.
 *
 *   - Where the host's name has several addresses, each is tried; IPv4 and IPv6. Only the named host
 *     is let in: others are turned away, and the wait goes on. It listens on all interfaces, but
 *     for this very host on loopback and the named addresses alone. 0.0.0.0, ::, multicast and
 *     broadcast addresses are no host's: EINVAL.
 *   - All names of this host mean the same place: 127.0.0.1, ::1, localhost, its own name, the
 *     addresses of its interfaces. Two on one host meet, whatever each calls it: who waits listens
 *     on both families of loopback besides, and who connects tries the named addresses first, then
 *     both of loopback. So whoever listens there already, in either family, is taken for the peer.
 *     If that may be somebody else, take a key: with one, a stranger at an address that was not
 *     named does no harm.
 *   - Exactly one connection comes about, without a byte exchanged for it. On one host, who gets the
 *     port listens. Between two, the one with the higher address tries to connect once, and then
 *     listens and leaves connecting to the lower, except for a try each second in case the lower
 *     cannot reach it. Should both connect all the same, the connection of the lower lives. This
 *     needs addresses that both see alike: behind a translator of addresses (NAT) both may, rarely,
 *     choose differently; then the first read says so (EPIPE or ECONNRESET). Use a server there.
 *   - When one side's time runs out, or it dies, in the moment when the other succeeds, the other's
 *     first read says so.
 *   - A port is for one pair at a time on each host. A server can be the other side: connecting
 *     to one is the same call, with PIPC_CONNECT_ONLY. Without that flag a client of a server that
 *     is down would wait in its place, have its port, and meet the next client.
 *   - With PIPC_CONNECT_ONLY it never listens. It tries again until the time is up, and then fails
 *     with the reason of the last attempt: see the reference.
 *   - The time-out covers waiting, connecting, handshake, and a network or a resolver that is down
 *     for a while, but not what getaddrinfo(3) takes to answer.
 *
 * pipc_server_open: any number of clients on one port; each accepted client is a handle like any
 * other. For who calls pipc_server_accept see there.
 *
 *   - With a key, at most 256 handshakes go on at a time, each for at most 10 s. When one more
 *     client comes, or when descriptors or memory are short, one is turned away at once: first one
 *     of those who come from the address that has most of them (an IPv6 network of 64 bits counts
 *     as one address); among them, one that has not shown the key; among them, the oldest. For a
 *     lack of descriptors or memory nobody goes who has shown the key.
 *   - So a flood of silent connections from one address pushes out itself, and clients of other
 *     addresses come in as usual. A client that shares the address of an attacker (a NAT, the same
 *     host) shares its fate. Against many addresses at once, only a firewall helps.
 *   - Without a key every connection is handed out, and what to do with the silent ones is the
 *     program's decision.
 *
 * On both, small messages are sent at once (TCP_NODELAY). A host that has vanished is noticed in
 * about a minute. On an idle connection: after 30 s of silence it is probed every 10 s, 3 times.
 * When something was sent or waits to be sent: the kernel repeats it at most 5 s apart, 15 times
 * (net.ipv4.tcp_retries2). Before Linux 6.15 the latter takes longer, about 15 minutes: there a
 * program that must know earlier asks the peer for an answer and sets a time-out. Then reading says
 * ECONNRESET. A link that heals earlier loses nothing. A peer that lives and reads nothing is never
 * given up, however long that takes: writes wait, or end by their time-out.
 *
 * Keys: with options.key both sides show that they know it, by challenge and response with
 * HMAC-SHA-256, before the first message. A wrong key is EACCES for who connects; who waits turns the
 * stranger away and waits on. A side with a key and one without do not meet: the one with the key
 * refuses, or its time runs out, while the one without may see a challenge as its first message.
 *
 *   - What it gives, where all who know the key use libpipc: an attacker who does not know it gets
 *     and sends no message. He may connect to any of them, have any of them connect to him, and
 *     give to each what another one said, at any time, again, or changed. Take a key of 32 random
 *     bytes; a guessable one can be guessed from what goes over the wire.
 *   - What it does not give: secrecy, or protection from an attacker between two sides that talk to
 *     each other, because he can change what is on its way, or because one of them connects to him.
 *     He can pass their handshake on, unchanged, from one to the other, and then read and write in
 *     the place of either. Nothing else is open to him.
 *   - For that, lay the pipe through a tunnel that encrypts, and let the server listen on loopback:
 *     ssh -N -L 7000:127.0.0.1:7000 host, and pipc_open_tcp("127.0.0.1", 7000, ...) at this end. Or
 *     start the other program there, and speak over its standard input and output: fork and exec
 *     "ssh host program" on two pipe(2), pipc_open_fds on their other ends here, and
 *     pipc_open_fds(0, 1, NULL) in the program (examples/port_program.c).
 *   - Use a key of its own for each pair of programs. If others have the same key, a side that
 *     connects to an attacker opens for him any of them that accepts: he passes the handshake on to
 *     it.
 *   - With a key a process does not meet itself, also not from another thread: EACCES for the side
 *     that connects. This is how it knows its own handshake when an attacker sends it back. A child
 *     after fork is another process.
 *   - Other programs, such as Python's multiprocessing, do not say in their challenges which side
 *     and which process asks, and answer whatever they are asked. libpipc has to answer theirs. So
 *     if such a program has the key, an attacker to whom any side with this key connects can be let
 *     in by that program, and by libpipc with its answers. Two programs with a key of their own are
 *     safe from this, but for the attacker between them. If a Python program both listens and
 *     connects, it needs one key for each, or its own answers open it.
 *   - PIPC_KEY_MD5 also accepts HMAC-MD5, for Python's multiprocessing up to 3.11, which knows nothing
 *     else. Without it MD5 is refused.
 *
 * On all of these but pipc_open, pipc_disconnect and pipc_shutdown end writing from here; reading
 * goes on until the other side ends too.
 *
 *
 * 6 TIME-OUTS
 *
 * Each handle (on pipc_open, each end's holder) has a time-out for reading and one for writing, in
 * milliseconds: -1 waits without limit (at first), 0 never waits, n waits at most n ms. A call that
 * does not get anything done in time fails with EAGAIN (time-out 0) or ETIMEDOUT, and has changed
 * nothing: no message is lost, torn, repeated or half taken. Before ETIMEDOUT it looks once more, since
 * less may have come than a wait ends for.
 *
 * A write with time-out -1 returns when the whole message is in the kernel or in the shared memory.
 * How much that takes before anybody reads: 256 KiB on pipc_open, and elsewhere what the kernel gives
 * a pipe, FIFOs (5) or a socket. So one thread that writes to itself may wait for ever.
 * With another time-out, or with PIPC_INTERRUPTIBLE, a call that has to end when a part of its message
 * has gone succeeds: the message is accepted, and the handle holds the rest in memory that it set
 * aside before (else ENOMEM, and nothing was sent) and pushes it on in every later call. What is
 * held goes out before anything newer. pipc_stats tells how much is held; pipc_flush waits for it. After
 * a flush that failed the last byte goes with a call that finds nothing to read, or that writes (see 7).
 *
 * Signals do not end a wait: it goes on with what is left of its time. With PIPC_INTERRUPTIBLE a
 * caught signal ends it with EINTR, if nothing had been done by then; being stopped and continued,
 * without a handler, does not. The clock is the monotonic one.
 *
 *
 * 7 THE DESCRIPTOR
 *
 * pipc_fd gives one descriptor for select, poll, epoll (level and edge), io_uring, or for another
 * epoll set; wait for input (POLLIN) only. The rule: it is readable whenever a call is worth
 * making, that is when
 *   - a message, a goodbye, an end or an error can be read, even if it already waits in memory;
 *   - held output can move on (any call moves it, pipc_fd too);
 *   - a write that failed with EAGAIN or ETIMEDOUT is worth repeating (this wish ends with the next
 *     write, or with a flush that succeeds);
 *   - a pipc_flush or pipc_disconnect that failed so is worth repeating, since nothing is held any more.
 *     This ends when it is repeated, or with a reading call, or pipc_pending, that finds the descriptor
 *     so and nothing to read (or PIPC_WANT_READ taken away): who reads until there is nothing, then
 *     polls, misses nothing, and who does not repeat the call is woken once.
 * It stays readable until that has been dealt with, and is never silent meanwhile. An end or an error
 * stays, as on any descriptor, until reading calls have reported it eight times: a loop that goes on
 * writing after it, or that ignores it, does not spin. (The one exception: a partner that replaced
 * itself by exec, see 5.) It may now and then be readable for nothing: a read with time-out 0 then
 * gets EAGAIN, and it is quiet again. So:
 *
 *     pipc_set_timeout(pipe, 0, 0);
 *     struct pollfd item = {pipc_fd(pipe), POLLIN, 0};
 *     while (poll(&item, 1, -1) >= 0) {
 *         while ((size = pipc_read(pipe, buffer, sizeof buffer)) >= 0)
 *             handle(buffer, size);
 *         if (errno != EAGAIN)
 *             break;
 *     }
 *
 * pipc_want says what it shall be readable for. A program that cannot take more messages now, because it
 * cannot send its answers yet, takes PIPC_WANT_READ away until it can. Without it the descriptor is
 * silent while messages wait, wherever they do, and the other side finds the pipe full in the end. It
 * is still readable at an end or an error that nothing unread lies before, and, for good, when writing
 * has failed for good (nobody will read it), also when messages are unread. Without PIPC_WANT_WRITE
 * it is not readable for held output or for a write that is worth repeating. With PIPC_WANT_READ
 * given back, what waits is shown at once, with a new edge.
 *
 * The descriptor belongs to the handle: do not read, write or close it. An event loop may set
 * O_NONBLOCK on it, as libuv and GLib do on what they poll: whether a call waits does not depend
 * on it.
 *
 * Before pipc_close remove it from your epoll set, and from whatever else remembers it; on pipc_open
 * also before pipc_disconnect, which closes it too. Afterwards the number may belong to something
 * else. And where a child has a copy of it, epoll may go on reporting it and can no longer be told
 * to stop.
 *
 * It costs nothing until it is asked for. How many descriptors a process needs:
 *
 *                                        once open    with pipc_fd
 *   pipc_open, while no end is held          3
 *   ... for one end that is held here     3 to 6        5 to 7
 *   ... for two, by threads               3 to 7        5 to 9
 *   pipc_open_pair, each end                 2             4
 *   pipc_open_fds                       those given    2 more
 *   pipc_open_fifo                           2             4       (6 while it waits to meet)
 *   pipc_open_tcp, pipc_server_accept        1             3
 *   pipc_server_open                         2, and one for each address that it listens on
 *
 * A server needs one more for each client that it has not handed over; pipc_open_tcp, while it
 * meets the other, one for each address that it listens on and each connection that it tries. Where
 * the kernel has no eventfd (12) pipc_open needs two more, and pipc_fd of the others one more.
 *
 *
 * 8 THREADS
 *
 * Two handles never share a lock, so different handles are independent. One handle is for one
 * thread at a time; a pipc_open handle for one thread a side, both at once if they like. With
 * PIPC_DUPLEX one thread may call the reading functions while another calls the writing ones; a write
 * that waits, and pipc_flush, then take nothing in, since the reader does. pipc_open ignores
 * PIPC_DUPLEX: its sides are single threads.
 *
 * Who may make a call on one handle while another thread makes one ("nobody": it must be the only call;
 * "each side": the two threads that hold the ends, each for its end):
 *
 *   call                                       pipc_open   other kinds   with PIPC_DUPLEX
 *   pipc_read, _read_msg, _read_pending,       each side   nobody        one thread that reads
 *     _peek, _skip, _pending, _bye_text
 *   pipc_write, _writev, _write_batch,         each side   nobody        one thread that writes
 *     _flush, _shutdown, _disconnect
 *   pipc_fd, _want                             each side   nobody        everybody
 *   pipc_set_timeout                           each side   nobody        everybody; for calls that
 *                                                                        begin later
 *   pipc_stats, _peer                          everybody   everybody     everybody
 *   pipc_close                                 see there   nobody        nobody
 *
 * pipc_msg_free, pipc_version and the constructors are for everybody, at any time. A server is for one
 * thread at a time, but for pipc_server_port, which everybody may call.
 *
 *
 * 9 FORK, EXEC, SIGNALS, PLUG-INS
 *
 * After fork, made while no other thread is inside a call on the handle, either process may go on
 * with it and the other closes it; on pipc_open both go on. Closing in one process disturbs neither
 * the handle nor its descriptor in the other. If both go on with one pair or adopted handle, messages
 * are mixed up, and so is the descriptor, which they share: don't. The child of a program with
 * threads may use the library at once. A child of vfork must not.
 *
 * At fork the library closes in the child what only the parent has use for: on pipc_open, all but
 * the shared memory and its two doorbells. So the number that pipc_fd gave the parent means
 * nothing in the child.
 *
 * No descriptor that the library makes survives exec, and none is 0, 1 or 2, also where the program
 * has closed those. Those given to pipc_open_fds keep the close-on-exec flag that they have.
 *
 * In a signal handler no function of the library may be called: it may have interrupted one, which
 * holds a lock or has done half of its work. Nor may it leave with siglongjmp while one is at work. A
 * handler sets a flag, or writes to an eventfd or a pipe of the program's own, which is polled beside
 * pipc_fd; signalfd(2) does without a handler. With PIPC_INTERRUPTIBLE a wait ends with EINTR
 * after a handler has run; a signal that comes just before the wait does not end it, so who depends
 * on the flag polls instead. Handlers are otherwise not noticed (6), with or without SA_RESTART.
 *
 * A program may contain the library more than once, in plug-ins say. A handle can be used through
 * each copy of the same version as long as the one that made it is loaded; other versions fail with
 * EINVAL. Give back all handles before a plug-in that contains the library is unloaded; threads
 * that have used it may go on, and end at any time. libpipc.a is not seen in a plug-in or program
 * that contains it: nothing of it is exported.
 *
 *
 * 10 ERRORS
 *
 * Constructors return NULL, other functions -1 (pipc_bye_text: NULL), and set errno. There is no
 * other way in which anything is reported. A dead handle gives the same errno again on every call that
 * reads or writes a message.
 *
 *   EAGAIN       Time-out 0, and nothing could be done now. The handle is as before.
 *   ETIMEDOUT    The time-out passed with nothing done. As before.
 *   EINTR        Only with PIPC_INTERRUPTIBLE: a caught signal ended the wait. As before.
 *   EMSGSIZE     Reading: the next message is larger than the buffer; it stays, pipc_peek tells its
 *                size. Writing: the message is over max_message; nothing was sent. As before.
 *   ESHUTDOWN    pipc_read took a goodbye; pipc_bye_text has its text. As before: what follows is
 *                the next partner's on pipc_open; on the others EPIPE, for a goodbye ends writing.
 *   EPIPE        Reading: the other side closed, died or shut down, and all that it sent has been
 *                read; a write may still go through. Writing: nobody will read it, or writing was
 *                ended here; reading goes on. That direction is dead.
 *   ECONNRESET   Reading: cut off inside a message, which is dropped, or by a reset of the network,
 *                or because the other host has vanished. Dead, in both directions.
 *   EPROTO       The bytes are no frame, or announce more than max_message. Dead, in both directions:
 *                it does not look for the next message.
 *   EBUSY        pipc_open: both ends are held by others. As before.
 *   EACCES       pipc_open_fifo: the directory, or what stands at the name, is somebody else's, or is
 *                not what it should be. pipc_open_tcp: the key was wrong, or with a key the other
 *                side is this process (5). Not opened.
 *   ENOENT       TCP: the host has no address. Not opened.
 *   ECONNREFUSED, EHOSTUNREACH, ENETUNREACH
 *                pipc_open_tcp with PIPC_CONNECT_ONLY: why nobody could be connected to. Not
 *                opened.
 *   EINVAL       A NULL handle; NULL for something that is to be used; a time-out below -1; options
 *                that make no sense. As before.
 *   ENOMEM, EMFILE, ENFILE, EBADF, EPERM, EIO and others: what POSIX says of them. As before, or
 *                not opened.
 *
 * In the reference, "the usual errors" of reading and writing are EAGAIN, ETIMEDOUT, EINTR, EPIPE,
 * ECONNRESET, EPROTO, EINVAL and ENOMEM, and on adopted descriptors whatever else read(2) or
 * write(2) say of them. Besides, each call that takes an end of a pipc_open handle can fail with
 * EBUSY, EPIPE (no end will come free), ENOMEM, EMFILE, ENFILE or EPERM (5), and has then taken
 * none.
 *
 * SIGPIPE never reaches the program, nor does SIGXFSZ; one of its own that was pending stays so.
 *
 *
 * 11 THE BYTES
 *
 * Pairs, FIFOs, TCP and adopted descriptors carry frames and nothing else: a length of 4 bytes,
 * big-endian, two's complement, and that many bytes.
 *
 *   0 to 0x7fffffff    one message of that many bytes
 *   0xffffffff         8 bytes of big-endian length follow, for messages over 0x7fffffff bytes;
 *                      a smaller length in this form, or one over max_message, is EPROTO
 *   0xfffffffe         the next frame is a goodbye: "BYE" and its text. Anything else after it is
 *                      EPROTO, an end there ECONNRESET
 *   any other          EPROTO
 *
 * This is also what Python's multiprocessing.connection sends, and Erlang's {packet, 4}. What lies in
 * the shared memory of pipc_open is private to the library.
 *
 * With a key a handshake comes first, as Python's. Each item is a frame, of at most 256 bytes. The
 * side that accepted the connection sends a challenge, gets the response, and sends its verdict;
 * then the side that connected does the same.
 *
 *   challenge          "#CHALLENGE#{sha256}", and 13 to 237 bytes that nobody can guess. libpipc's
 *                      has 81, see below
 *   response           "{sha256}" and HMAC-SHA-256, under the key, of all that follows "#CHALLENGE#"
 *   verdict            "#WELCOME#" or "#FAILURE#"
 *   with PIPC_KEY_MD5  the other side's challenge may be "#CHALLENGE#" and 20 bytes, to which the
 *                      response is the bare HMAC-MD5; and so may be its response to ours
 *
 * What follows "{sha256}" in a challenge of libpipc's says for which connection it is:
 *
 *   1 byte     role: 'a' if this side accepted the connection, 'c' if it connected
 *   16 bytes   nonce: random, for this connection
 *   16 bytes   mark: random, for this process; a child after fork has another
 *   16 bytes   answered, in role 'c': the nonce of the challenge that this side has answered, if
 *              that was libpipc's; else, and in role 'a', zeros
 *   32 bytes   tag: HMAC-SHA-256, under the key, of "libpipc challenge", "{sha256}" and the above
 *
 * A side that gets a challenge with a right tag refuses it if the role is its own, or the mark is,
 * or, when this side accepted, if `answered` is not the nonce of its own challenge. A challenge
 * without a right tag is that of another program, and is answered.
 *
 * How two meet at NAME, for programs that do it without the library. Work in the directory of the
 * names; it and all directories in it have mode 0700, all FIFOs 0600, whatever the umask. Somebody
 * waits at NAME when there is a directory NAME with three FIFOs in it: `door`, `in`, `out`. `in` and
 * `out` are what the one who waits reads and writes. Open without waiting (O_NONBLOCK).
 *
 * To claim somebody who waits:
 *   1. Open NAME, the directory, and by its descriptor (openat and the like): `door` for writing,
 *      `in` for writing, `out` for reading. ENOENT or ENXIO for NAME or `door`: nobody waits (see
 *      5). For `in` or `out`: somebody has deleted a part, or claims at this moment. Unlink `door`;
 *      if that works nobody waits (see 5), else go back to 1.
 *   2. Unlink `door`, by the same descriptor. ENOENT: somebody else was faster, go back to 1. If it
 *      works, the one who waits is yours.
 *   3. Unlink `in` and `out`; remove the directory NAME. ENOTEMPTY or ENOENT: leave it, it is a new one.
 *   4. Write one byte, any, to `door`, and close it. EPIPE: the other has gone, go back to 1. Else you
 *      have met: read `out`, write `in`.
 *   5. Where nobody waits but something is left, remove it: `door`, `in`, `out`, then NAME. Close
 *      what you have open of it, and then wait.
 *
 * To wait:
 *   1. Make a directory `.pipc-PID-ANYTHING`, with your process id and something that makes it
 *      unique, and in it the three FIFOs. Open `door` and `in` for reading, `out` for reading and then
 *      for writing as well.
 *   2. Rename it to NAME. ENOTEMPTY or EEXIST: somebody waits there already, claim that one.
 *   3. Poll `door` for input. When it is readable you have met: close `door` and the reading side of
 *      `out`; read `in`, write `out`. All names are gone by then. Meanwhile look once a second
 *      whether the directory of the names still has its path, NAME is still your directory, and
 *      `door`, `in` and `out` are in it, each the very file that you have open (st_dev, st_ino). If
 *      not, somebody has deleted them, or claims you. Give up as in 5; if you have not met, begin
 *      again, and open the directory of the names by its path again. ENOENT in any step means the
 *      same.
 *   4. If poll reports a hang-up without input, somebody opened the door and went. If `door` still
 *      has its name, open it again, then close the old descriptor, and go on. If the name is gone,
 *      somebody claims you: poll the old descriptor again; if it still reports a hang-up, that one
 *      has died: remove `in`, `out` and NAME, and begin again.
 *   5. To give up, unlink `door`. ENOENT: somebody may claim you at this moment, so poll `door` for
 *      50 ms; readable: you have met. Then close `door`, and remove `in`, `out` and NAME.
 *
 *
 * 12 KERNELS
 *
 * Linux 3.17 or later, for getrandom(2); epoll and timerfd are needed too. The C library may be glibc
 * or musl, the machine of 32 or 64 bits; it does not compile where 64-bit atomics need a lock. The
 * following is used where it is, asked for at run time, and may as well be refused by a sandbox
 * (seccomp) with ENOSYS, EPERM, EINVAL or EOPNOTSUPP:
 *
 *                          since Linux   otherwise
 *   RWF_NOSIGNAL           6.18          SIGPIPE is blocked while a pipe or FIFO is written, and what
 *                                        the write raised is taken back: some calls more
 *   TCP_RTO_MAX_MS         6.15          a vanished host is noticed late (5)
 *   RWF_NOWAIT on pipes    6.4           pipes are polled before they are read, as FIFOs are; those of
 *                                        pipc_open_fds also before each 4 KiB that are written
 *   pidfd_open             5.3           a death is looked for several times a second instead
 *   MADV_WIPEONFORK        4.14          a fork that runs no handlers (clone(2) itself) goes unnoticed
 *   memfd_create           3.17          shm_open, and memory that is reserved from the start
 *   eventfd                2.6.27        pipes, two descriptors for one
 */
#ifndef PIPC_H
#define PIPC_H

/*
 * 13 REFERENCE
 *
 * "Blocks" says how long a call may wait; all others return at once.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The version that a program is compiled with; pipc_version tells which one it runs with. */
#define PIPC_VERSION_MAJOR 0
#define PIPC_VERSION_MINOR 1
#define PIPC_VERSION_PATCH 0

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

/* A socket that waits for connections and makes a pipe of each. */
typedef struct pipc_server pipc_server_t;

/* What a message is: the program's data, or the goodbye of the other side. */
typedef enum { PIPC_DATA, PIPC_BYE } pipc_kind_t;

/*
 * A message that was read. data points to size bytes; with kind PIPC_BYE they are "BYE" and the
 * text, without a terminating zero. Whose memory it is, each function below says.
 */
typedef struct {
    void *data;
    size_t size; /* bytes */
    pipc_kind_t kind;
} pipc_msg_t;

/* Flags of pipc_options_t. */
#define PIPC_INTERRUPTIBLE 0x1u /* a caught signal ends a wait with EINTR */
#define PIPC_DUPLEX        0x2u /* one thread reads while another writes, see 8; not on pipc_open */
#define PIPC_KEY_MD5       0x4u /* a key may also be shown by MD5, for old peers. See 5 */
#define PIPC_CONNECT_ONLY  0x8u /* pipc_open_tcp never listens, see there; elsewhere EINVAL */

/* What pipc_want is told. */
#define PIPC_WANT_READ  0x1u /* messages, goodbyes, ends and errors that can be read */
#define PIPC_WANT_WRITE 0x2u /* held output that can move on, a write that is worth repeating */

/*
 * Options of a handle. Start from PIPC_OPTIONS_INIT and set what differs; a constructor given NULL
 * takes just that. The struct is read by the constructor only and stays the caller's.
 */
typedef struct {
    size_t struct_size;    /* set by PIPC_OPTIONS_INIT; lets the struct grow in later versions */
    size_t max_message;    /* bytes, either direction; 0: 64 MiB. See 4 */
    size_t max_pending;    /* bytes, size + 64 for each message; 0: 64 MiB. See 4 */
    const void *key;       /* TCP: the secret that both sides must know; NULL: none. See 5 */
    size_t key_size;       /* bytes; 0 only when key is NULL */
    const char *directory; /* pipc_open_fifo: where names live; NULL: /tmp/pipc-UID. See 5 */
    unsigned flags;        /* PIPC_INTERRUPTIBLE and so on, see above */
} pipc_options_t;

#define PIPC_OPTIONS_INIT                              \
    {                                                  \
        sizeof(pipc_options_t), 0, 0, NULL, 0, NULL, 0 \
    }

/*
 * Counts since the handle was opened, in this process, of sides that have closed or ended too; a
 * goodbye is not counted as read or written.
 * Start from PIPC_STATS_INIT.
 */
typedef struct {
    size_t struct_size; /* set by PIPC_STATS_INIT */
    uint64_t messages_read, bytes_read, messages_written, bytes_written;
    uint64_t messages_pending, bytes_pending, bytes_held; /* in memory: arrived; not yet sent */
} pipc_stats_t;

#define PIPC_STATS_INIT                           \
    {                                             \
        sizeof(pipc_stats_t), 0, 0, 0, 0, 0, 0, 0 \
    }

/* ---- Opening and closing -------------------------------------------------------------------- */

/*
 * pipc_open - make an anonymous pipe for two threads, or for a parent and a child.
 *
 * One handle serves both sides (5). Open it before the thread is started or the child is forked.
 * It takes no end yet: the first call on it does.
 *
 * options   NULL or what differs from the defaults; PIPC_DUPLEX is ignored
 *
 * Returns a handle, to be given to pipc_close in each process that has it. NULL: EINVAL (options),
 * ENOMEM, EMFILE, ENFILE, EFBIG (the limit on the size of files, RLIMIT_FSIZE, is below the 1 MiB that
 * the shared memory may take).
 */
PIPC_API pipc_t *pipc_open(const pipc_options_t *options);

/*
 * pipc_open_pair - make a pipe and give its two ends as two handles.
 *
 * end       where the two handles go; unchanged on failure
 * options   for both; NULL for the defaults
 *
 * Returns 0; each handle is to be given to pipc_close in each process that has it. -1: EINVAL (end
 * is NULL, options), ENOMEM, EMFILE, ENFILE.
 */
PIPC_API int pipc_open_pair(pipc_t *end[2], const pipc_options_t *options);

/*
 * pipc_open_fds - make a pipe of two descriptors that the program has.
 *
 * read_fd, write_fd   what is read from and written to; the same descriptor for both if it goes
 *                     both ways. Pipes, FIFOs, stream sockets, terminals, devices; a regular file
 *                     works too, but pipc_fd fails on it with EPERM
 * options             NULL for the defaults
 *
 * When it succeeds the handle owns the descriptors: pipc_close closes them (one that serves both
 * directions once), and the program uses them no more. When it fails they are the program's as
 * before. Close-on-exec is left alone, and so is O_NONBLOCK of sockets, regular files and pipes. On
 * FIFOs, terminals and devices (and on pipes before Linux 6.4) O_NONBLOCK is set, and put back by
 * pipc_close in the process that opened the handle. Whoever else shares the open files may set and
 * clear it at any time: that makes no call wait longer than its time-out.
 *
 * Returns a handle, for pipc_close. NULL: EBADF (not open), EINVAL (not open for reading or for
 * writing, a socket that is no stream or that listens, or options), ENOMEM, or what fcntl(2) says of
 * them.
 */
PIPC_API pipc_t *pipc_open_fds(int read_fd, int write_fd, const pipc_options_t *options);

/*
 * pipc_open_fifo - meet another process of this user by name, and make a pipe with it.
 *
 * name         what both have agreed on: 1 to 255 bytes without '/', neither "." nor "..", and not
 *              beginning with ".pipc-"
 * timeout_ms   how long to wait for the other: -1 without limit, 0 not at all (then it succeeds if
 *              the other waits already), n at most n ms
 * options      NULL for the defaults; directory says where names live (5)
 *
 * A thread that is cancelled while it waits leaves nothing either, as if the call had failed.
 *
 * Returns a handle, for pipc_close. Blocks as timeout_ms says. NULL, and nothing is left: EAGAIN (0
 * ms, and nobody waits), ETIMEDOUT (nobody came), EINTR (with PIPC_INTERRUPTIBLE), EINVAL (name,
 * timeout_ms, options), ENAMETOOLONG, EACCES (the directory or what stands at the name is not to be
 * trusted), ENOENT (the parent of the directory is missing), ENOSPC, EROFS, ENOMEM, EMFILE, ENFILE,
 * and others that the file system has.
 */
PIPC_API pipc_t *pipc_open_fifo(const char *name, int timeout_ms, const pipc_options_t *options);

/*
 * pipc_open_tcp - meet another program over TCP, on another host or on this one (5).
 *
 * host         the other host's name or address; any of this host's for another program here (5).
 *              Only that host is let in
 * port         the same on both sides, not 0
 * timeout_ms   for all of it, also while the network or the resolver is down: -1 without limit, 0
 *              not at all, else milliseconds. The resolver itself may take longer
 * options      NULL for the defaults; with a key both sides must have the same (5); with
 *              PIPC_CONNECT_ONLY it never listens, as a client of a server should not
 *
 * Returns a handle, for pipc_close. NULL: EAGAIN (time-out 0) or ETIMEDOUT (nobody came), EACCES
 * (the key was wrong, or with a key the other side is this process), ENOENT (the host has no
 * address), EINTR (PIPC_INTERRUPTIBLE), EINVAL (also an address of no single host), ENOMEM, EMFILE,
 * ENFILE. Blocks up to timeout_ms.
 *
 * With PIPC_CONNECT_ONLY and time-out 0: ECONNREFUSED when it is refused at once, else EAGAIN. With
 * another time-out, instead of ETIMEDOUT, why the last attempt failed, at the last address where
 * the name has several: ECONNREFUSED (nobody listens), EHOSTUNREACH, ENETUNREACH (no way there),
 * ECONNRESET (turned away, during the handshake), ETIMEDOUT (no answer), or what else connect(2)
 * says.
 */
PIPC_API pipc_t *pipc_open_tcp(const char *host, uint16_t port, int timeout_ms,
                               const pipc_options_t *options);

/*
 * pipc_close - be done with a handle. NULL is allowed; errno is kept. Never blocks.
 *
 * Messages that arrived and were not read are lost. What is already in the kernel, or in the shared
 * memory, still reaches the other side; what the handle still held (6) does not, and a message of
 * which a part had gone is torn there (ECONNRESET). The other side sees an end (EPIPE), no goodbye.
 *
 * Nobody may use the handle in this process afterwards, but on pipc_open other threads may, and each
 * closes for itself, in any order or at once:
 *   - Each thread of this process that has made a call on the handle (any but pipc_close, pipc_stats,
 *     pipc_peer and pipc_bye_text) uses it until it closes it, or ends. Having said goodbye, or
 *     having been refused with EBUSY, changes nothing.
 *   - The handle is freed when somebody has closed it and no thread uses it any more: by the last
 *     close, or by the end of the last user if it was closed before. The end of a thread alone frees
 *     nothing.
 *   - The thread that opened it may close it once in any case, also when it never used it and
 *     everybody else has closed. If it does not, some hundred bytes stay until it ends.
 *   - A thread that is to use it makes its first call before anybody closes, and no thread closes
 *     that has neither opened the handle nor used it, unless it is the last one that knows of it.
 *   - After fork, only the child's own thread counts there, as the one that opened it.
 */
PIPC_API void pipc_close(pipc_t *pipe);

/* ---- Writing -------------------------------------------------------------------------------- */

/*
 * pipc_write - send one message.
 *
 * data, size   the message, size bytes; data may be NULL when size is 0. Not kept after the call
 *
 * Returns size: the message is sent or accepted (6). -1, and nothing of it was sent: EMSGSIZE (over
 * max_message), the usual errors (10). Blocks up to the write time-out.
 */
PIPC_API ssize_t pipc_write(pipc_t *pipe, const void *data, size_t size);

/*
 * pipc_writev - send one message that lies in several pieces.
 *
 * parts, count   the pieces, in order, at most 1,024; none make an empty message. Not kept after
 *                the call
 *
 * Returns the size of the message in bytes. -1: as pipc_write; EINVAL also for a count that is
 * negative or too large.
 * Blocks up to the write time-out.
 */
PIPC_API ssize_t pipc_writev(pipc_t *pipe, const struct iovec *parts, int count);

/*
 * pipc_write_batch - send many messages, one for each element, as if by as many pipc_write; small ones
 * share system calls, where there are any.
 *
 * messages, count   the messages, in order. Not kept after the call
 *
 * Returns how many were sent or accepted, from the first on: fewer than count when the time-out
 * passed or something failed after that many; a repetition of the rest says what. 0 only when count
 * is 0. -1, and none was sent: as pipc_write; EINVAL for an element with a size and no address,
 * wherever it stands (one over max_message merely ends the batch). Blocks up to the write time-out,
 * for all of them together.
 */
PIPC_API ssize_t pipc_write_batch(pipc_t *pipe, const struct iovec *messages, size_t count);

/* ---- Reading -------------------------------------------------------------------------------- */

/*
 * pipc_read - take the next message into a buffer.
 *
 * buffer, size   where it goes, and how many bytes fit; buffer may be NULL when size is 0
 *
 * Returns the size of the message; 0 is an empty message. -1: EMSGSIZE (it does not fit, and
 * stays), ESHUTDOWN (it was a goodbye, which is taken now), the usual errors (10); the buffer's
 * contents are then undefined. Blocks up to the read time-out.
 */
PIPC_API ssize_t pipc_read(pipc_t *pipe, void *buffer, size_t size);

/*
 * pipc_read_msg - take the next message, or goodbye, in memory that is allocated for it.
 *
 * message   filled in on success, and then to be given to pipc_msg_free; unchanged on failure
 *
 * Returns 0. -1: the usual errors (10); after ENOMEM the message stays. Blocks up to the read
 * time-out.
 */
PIPC_API int pipc_read_msg(pipc_t *pipe, pipc_msg_t *message);

/*
 * pipc_read_pending - take the messages, and goodbyes, that are there now. Never blocks.
 *
 * messages, max   an array, and how many it takes. Each one filled in is to be given to
 *                 pipc_msg_free; the others are unchanged
 *
 * Returns how many were taken, 0 to max; 0 when nothing is there now. Less than max may be less than
 * there is (4). -1, and none was taken: as
 * pipc_read_msg when there is an end or an error to be told. What ends a shorter count, the next
 * call tells.
 */
PIPC_API ssize_t pipc_read_pending(pipc_t *pipe, pipc_msg_t *messages, size_t max);

/*
 * pipc_peek - look at the next message, or goodbye, where it lies, and leave it there.
 *
 * view   filled in on success; its data belongs to the handle and stays until the next call that
 *        reads (pipc_read, _read_msg, _read_pending, _peek, _skip, _pending, _flush, _disconnect,
 *        _close). Not for pipc_msg_free
 *
 * Returns 0. -1: the usual errors (10). Blocks up to the read time-out.
 */
PIPC_API int pipc_peek(pipc_t *pipe, pipc_msg_t *view);

/*
 * pipc_skip - drop the next message, or goodbye, unread; the way past an EMSGSIZE.
 *
 * Returns 0. -1: the usual errors (10). Blocks up to the read time-out.
 */
PIPC_API int pipc_skip(pipc_t *pipe);

/*
 * pipc_bye_text - the text of the last goodbye that was read on this handle.
 *
 * Takes no end of a pipc_open handle. Returns a string that belongs to the handle (on pipc_open to the
 * calling thread's use of it), valid until the next goodbye is read or the handle is closed there,
 * also after the caller's own pipc_disconnect; "" for a goodbye without text. NULL, with errno unchanged, when none
 * was read, or pipe is NULL.
 */
PIPC_API const char *pipc_bye_text(const pipc_t *pipe);

/*
 * pipc_msg_free - free what pipc_read_msg or pipc_read_pending put into message, and empty it.
 *
 * In any thread, in any order, also after the handle is closed. NULL, and a message freed before, are
 * allowed; errno is kept. Short messages that were taken in together share blocks of up to 4 KiB, each of
 * which goes back with the last of its messages: copy one that is to be kept for long.
 */
PIPC_API void pipc_msg_free(pipc_msg_t *message);

/* ---- State ---------------------------------------------------------------------------------- */

/*
 * pipc_pending - take in what has arrived, and count the messages that can be read now, goodbyes
 * included. Never blocks. Where one call does not take in all of it (4), those are counted that it took in,
 * and those that lie whole in its reach behind them; the next call takes in more.
 *
 * Returns the number; 0 also when the other side is gone, which only reading tells. -1: EINVAL
 * (pipe is NULL), or no end could be taken (10).
 */
PIPC_API ssize_t pipc_pending(pipc_t *pipe);

/*
 * pipc_flush - take in what has arrived, up to max_pending, and push out what is held.
 *
 * Deletes nothing. Returns the number of messages that can be read now, also when the other side is
 * gone. -1: EAGAIN or ETIMEDOUT (some is still held), EINTR, EINVAL, ENOMEM, or no end could be
 * taken (10). Blocks, only while something is held, up to the write time-out.
 */
PIPC_API ssize_t pipc_flush(pipc_t *pipe);

/*
 * pipc_shutdown - send no more messages from here; reading goes on.
 *
 * What is held is still pushed out by later calls. The other side reads all, then gets EPIPE: on a
 * pair, FIFOs and adopted pipes once no process has a copy of this handle that can still write.
 * Writing here fails with EPIPE from now on, and so does pipc_disconnect. Twice is as once.
 *
 * Returns 0. -1: EINVAL (pipe is NULL), or no end could be taken (10).
 */
PIPC_API int pipc_shutdown(pipc_t *pipe);

/*
 * pipc_disconnect - say goodbye, after everything that was sent.
 *
 * text   a string for the other side's pipc_bye_text; NULL: none
 *
 * On pipc_open it frees the end (5), and with it its time-outs and descriptor: the next
 * call here takes an end anew. A message that has begun to arrive is taken in first, so that the
 * successor starts at a boundary. On the others it shuts down writing, as pipc_shutdown does.
 *
 * Returns 0. -1, and nothing has changed: EMSGSIZE (text over max_message, or, on pipc_open, over a
 * quarter of what the shared memory holds in one direction: 64 KiB, less a few bytes), the usual
 * errors (10). Blocks up to the write time-out.
 */
PIPC_API int pipc_disconnect(pipc_t *pipe, const char *text);

/*
 * pipc_fd - the descriptor to poll (7).
 *
 * Returns the same one as long as the handle, or the end of a pipc_open, is held. It belongs to the
 * handle. -1: EPERM (pipc_open_fds on a regular file), EMFILE, ENFILE, ENOMEM, EINVAL (pipe is
 * NULL), or no end could be taken (10).
 */
PIPC_API int pipc_fd(pipc_t *pipe);

/*
 * pipc_want - say what the descriptor of pipc_fd shall be readable for (7); on pipc_open, at this end.
 *
 * events   PIPC_WANT_READ, PIPC_WANT_WRITE, both (so it is at first), or 0
 *
 * On pipc_open, pipc_disconnect resets it, as time-outs.
 *
 * Returns 0. -1: EINVAL (other events, or pipe is NULL), or no end could be taken (10).
 */
PIPC_API int pipc_want(pipc_t *pipe, unsigned events);

/*
 * pipc_set_timeout - say how long reading and writing may wait (6); on pipc_open, at this end.
 *
 * read_ms, write_ms   milliseconds; -1 without limit (so it is at first), 0 not at all
 *
 * Returns 0. -1: EINVAL (below -1, or pipe is NULL), or no end could be taken (10).
 */
PIPC_API int pipc_set_timeout(pipc_t *pipe, int read_ms, int write_ms);

/*
 * pipc_peer - say who is there, as text for a log line. The wording may change between versions.
 *
 * buffer, size   where the text goes, with its terminating zero, and how many bytes fit
 *
 * Takes no end of a pipc_open handle. Returns 0. -1: EINVAL (NULL, or size 0), ERANGE (it does not
 * fit; what fits is there).
 */
PIPC_API int pipc_peer(pipc_t *pipe, char *buffer, size_t size);

/*
 * pipc_stats - fill in the counts.
 *
 * stats   with struct_size set, as PIPC_STATS_INIT does
 *
 * Takes no end of a pipc_open handle. Returns 0. -1: EINVAL (NULL, or a struct_size that is none).
 */
PIPC_API int pipc_stats(const pipc_t *pipe, pipc_stats_t *stats);

/* ---- Server --------------------------------------------------------------------------------- */

/*
 * pipc_server_open - wait for TCP connections.
 *
 * host      where to listen. NULL: loopback, 127.0.0.1 and ::1, so that nobody from outside comes
 *           in. A name: all of its addresses that this machine has, and both of loopback if it is a
 *           name for loopback, as localhost. An address: that one; "0.0.0.0": all of IPv4; "::":
 *           all of IPv6. "*": all of both. A family that this machine lacks is left out
 * port      the same at all of these addresses. 0: one that is free, which pipc_server_port tells
 * options   for the handles to come, too; with a key (which is copied) each client must have it
 *
 * Returns a server, for pipc_server_close; it belongs to this process, and one thread uses it at a
 * time. NULL: EADDRINUSE (at one of the addresses at least), EACCES (a port under 1,024),
 * EADDRNOTAVAIL (not an address of this machine), ENOENT (the host has no address), EAGAIN (the
 * resolver cannot tell now), EINVAL, ENOMEM, EMFILE, ENFILE.
 */
PIPC_API pipc_server_t *pipc_server_open(const char *host, uint16_t port,
                                         const pipc_options_t *options);

/*
 * pipc_server_accept - take the next client, once it has shown the key if there is one.
 *
 * timeout_ms   -1 without limit, 0 not at all, else milliseconds
 *
 * Clients that are slow, silent or wrong never end or hold up this call: they are turned away
 * beside it (5). Neither does a lack of descriptors: silent clients make room for who comes; when
 * there are none, it goes on within 100 ms of a descriptor coming free.
 *
 * Returns a handle like any other, for pipc_close; it outlives the server. NULL: EAGAIN or
 * ETIMEDOUT (nobody came), EINTR (PIPC_INTERRUPTIBLE), EINVAL, ENOMEM. Blocks up to timeout_ms.
 */
PIPC_API pipc_t *pipc_server_accept(pipc_server_t *server, int timeout_ms);

/*
 * pipc_server_fd - the descriptor to poll for input: readable when pipc_server_accept is worth
 * calling (with time-out 0). As with pipc_fd (7), now and then it is readable and nobody is there yet;
 * with a key that is usual, since each call moves the handshakes on. It belongs to the server.
 *
 * Returns the same one each time. -1: EINVAL.
 */
PIPC_API int pipc_server_fd(pipc_server_t *server);

/* pipc_server_port - the port that the server listens on. 0: server is NULL. */
PIPC_API uint16_t pipc_server_port(const pipc_server_t *server);

/*
 * pipc_server_close - stop listening. NULL is allowed; errno is kept. Never blocks.
 *
 * Who has not been accepted yet is turned away: its reads say EPIPE or ECONNRESET. After fork the
 * process that goes on without the server closes it as well, and disturbs nobody.
 */
PIPC_API void pipc_server_close(pipc_server_t *server);

/* pipc_version - the version of the library at run time, such as "0.1.0"; a constant string. */
PIPC_API const char *pipc_version(void);

#ifdef __cplusplus
}
#endif

#endif
