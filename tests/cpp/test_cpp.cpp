/* SPDX-License-Identifier: MIT */
/* pipc.hpp: what it adds to pipc.h, and that all of pipc.h is behind it. */
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpp.h"
#include "pipc.hpp"

using libpipc::bytes;
using libpipc::message;
using libpipc::options;
using libpipc::server;

namespace ipc = libpipc;

#define CHECK(condition)                              \
    do {                                              \
        if (!(condition))                             \
            cpp_fail(#condition, __FILE__, __LINE__); \
    } while (0)

/* A test that throws has failed. */
#define TEST(name)                                      \
    static void body_of_##name();                       \
    void name(void)                                     \
    {                                                   \
        try {                                           \
            body_of_##name();                           \
        } catch (const std::exception &error) {         \
            cpp_fail(error.what(), __FILE__, __LINE__); \
        }                                               \
    }                                                   \
    static void body_of_##name()

/* The errno with which a call fails; 0 if it does not throw. */
template <class Call> static int thrown(Call call)
{
    try {
        call();
    } catch (const std::system_error &error) {
        CHECK(error.code().category() == ipc::category());
        CHECK(std::strstr(error.what(), ipc::strerror(error.code().value())) != nullptr);
        return error.code().value();
    }
    return 0;
}

/* The errno that a call sets where it is given a code. */
template <class Call> static int reported(Call call)
{
    std::error_code code(ENOTTY, std::generic_category()); /* to be replaced or cleared */
    call(code);
    return code.value();
}

static void check_both_ways(ipc::pipe &one, ipc::pipe &other)
{
    char text[32];
    for (int i = 0; i < 2; i++) {
        ipc::pipe &from = i == 0 ? one : other, &to = i == 0 ? other : one;
        CHECK(from.write("there and back") == 14);
        CHECK(to.read(text) == 14 && std::memcmp(text, "there and back", 14) == 0);
    }
}

/* A directory for names, which goes with the object. */
struct directory {
    char path[32] = "/tmp/pipc-cpp-XXXXXX";
    directory()
    {
        CHECK(mkdtemp(path) != nullptr);
    }
    ~directory()
    {
        rmdir(path);
    }
    std::string name(const char *file) const
    {
        return std::string(path) + "/" + file;
    }
};

static void check_fifo()
{
    directory here;
    ipc::pipe other;
    std::thread caller(
        [&] { other = ipc::pipe::open_fifo("name", -1, options().directory(here.path)); });
    ipc::pipe one = ipc::pipe::open_fifo("name", -1, options().directory(here.path));
    caller.join();
    check_both_ways(one, other);
}

static void check_server(server listening, ipc::pipe client)
{
    ipc::pipe accepted = listening.accept();
    CHECK(listening.fd() >= 0);
    check_both_ways(client, accepted);
}

TEST(a_message_arrives_as_it_was_written_on_each_kind)
{
    auto [one, other] = ipc::pipe::open_pair();
    check_both_ways(one, other);
    check_fifo();

    server tcp = server::open(nullptr, 0);
    CHECK(tcp.port() != 0);
    ipc::pipe caller =
        ipc::pipe::open_tcp("127.0.0.1", tcp.port(), -1, options().flags(PIPC_CONNECT_ONLY));
    check_server(std::move(tcp), std::move(caller));

    directory here;
    std::string path = here.name("socket");
    server local = server::open_unix(path.c_str(), options().mode(0700));
    struct stat status;
    CHECK(stat(path.c_str(), &status) == 0 && (status.st_mode & 0777) == 0700);
    CHECK(local.port() == 0);
    caller = ipc::pipe::open_unix(path.c_str(), -1);
    check_server(std::move(local), std::move(caller));
    CHECK(std::strcmp(ipc::version(), pipc_version()) == 0);
}

static_assert(std::is_nothrow_move_constructible_v<ipc::pipe>);
static_assert(std::is_nothrow_move_assignable_v<ipc::pipe>);
static_assert(std::is_nothrow_move_constructible_v<server>);
static_assert(std::is_nothrow_move_assignable_v<server>);
static_assert(std::is_nothrow_move_constructible_v<message>);
static_assert(std::is_nothrow_move_assignable_v<message>);
static_assert(!std::is_copy_constructible_v<ipc::pipe> && !std::is_copy_assignable_v<ipc::pipe>);
static_assert(!std::is_copy_constructible_v<server> && !std::is_copy_assignable_v<server>);
static_assert(!std::is_copy_constructible_v<message> && !std::is_copy_assignable_v<message>);
static_assert(!std::is_constructible_v<bytes, char (&)[4]>); /* a text, or 4 bytes? */
static_assert(!std::is_constructible_v<bytes, std::nullptr_t>);
static_assert(!std::is_constructible_v<ipc::buffer, const std::string &>);

TEST(a_handle_that_was_moved_from_is_empty)
{
    auto [one, other] = ipc::pipe::open_pair();
    ipc::pipe moved = std::move(one);
    CHECK(!one && one.get() == nullptr && moved);
    CHECK(thrown([&end = one] { end.write("x"); }) == EINVAL);
    CHECK(one.bye_text() == nullptr);
    check_both_ways(moved, other);
}

TEST(a_handle_that_is_assigned_to_closes_what_it_had)
{
    auto [one, other] = ipc::pipe::open_pair();
    one = ipc::pipe();
    CHECK(reported([&end = other](std::error_code &code) { end.read_msg(code); }) == EPIPE);

    server here = server::open(nullptr, 0);
    uint16_t port = here.port();
    server moved = std::move(here);
    CHECK(!here && here.port() == 0 && moved.port() == port);
    moved = server::open(nullptr, 0);
    moved.close();
    CHECK(!moved && thrown([&] { moved.accept(0); }) == EINVAL);
}

TEST(an_error_is_thrown_with_its_errno)
{
    auto [one, other] = ipc::pipe::open_pair();
    one.set_timeout(0, 0);
    char text[1];
    CHECK(thrown([&text, &end = one] { end.read(text); }) == EAGAIN);
    other.write("two");
    CHECK(thrown([&text, &end = one] { end.read(text); }) == EMSGSIZE);
    one.skip();
    other.close();
    try {
        one.read(text);
        cpp_fail("nothing was thrown", __FILE__, __LINE__);
    } catch (const std::system_error &error) {
        CHECK(error.code() == std::errc::broken_pipe);
        CHECK(std::strncmp(error.what(), "pipc_read: ", 11) == 0);
    }
    CHECK(thrown([] { ipc::pipe::open_fds(-1, -1); }) == EBADF);
    CHECK(thrown([] { ipc::pipe::open_fifo("", 0); }) == EINVAL);
    CHECK(thrown([] { ipc::pipe::open_unix("/nowhere/at/all", 0); }) == EAGAIN);
    CHECK(thrown([] { server::open_unix("/nowhere/at/all"); }) == ENOENT);
    CHECK(thrown([] { server::open_fd(-1); }) == EBADF);
}

TEST(with_a_code_nothing_is_thrown)
{
    using code = std::error_code &;
    ipc::pipe none;
    server no_server;
    char room[8];
    int fds[1] = {0};
    iovec parts[] = {bytes("x")};
    std::array<message, 2> messages;
    options how, wrong = options().flags(~0u);

    CHECK(reported([&](code c) { CHECK(none.write("x", c) == 0); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(none.writev(parts, c) == 0); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(none.write_fds("x", fds, c) == 0); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(none.write_batch(parts, c) == 0); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(none.read(room, c) == 0); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(none.read_msg(c).data() == nullptr); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(none.read_pending(messages, c) == 0); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(none.peek(c).size() == 0); }) == EINVAL);
    CHECK(reported([&](code c) { none.skip(c); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(none.take_fds(fds, c) == 0); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(none.pending(c) == 0); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(none.flush(c) == 0); }) == EINVAL);
    CHECK(reported([&](code c) { none.shutdown(c); }) == EINVAL);
    CHECK(reported([&](code c) { none.disconnect(c); }) == EINVAL);
    CHECK(reported([&](code c) { none.disconnect("bye", c); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(none.fd(c) == -1); }) == EINVAL);
    CHECK(reported([&](code c) { none.want(0, c); }) == EINVAL);
    CHECK(reported([&](code c) { none.set_timeout(0, 0, c); }) == EINVAL);
    CHECK(reported([&](code c) { none.peer(room, c); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(none.credentials(c).pid == 0); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(none.stats(c).bytes_read == 0); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(none.detach(c).first == -1); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(!no_server.accept(0, c)); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(no_server.fd(c) == -1); }) == EINVAL);

    CHECK(reported([&](code c) { CHECK(!ipc::pipe::open(wrong, c)); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(!ipc::pipe::open_pair(wrong, c).first); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(!ipc::pipe::open_fds(0, 1, wrong, c)); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(!ipc::pipe::open_fifo("x", 0, wrong, c)); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(!ipc::pipe::open_tcp("", 1, 0, wrong, c)); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(!ipc::pipe::open_unix("x", 0, wrong, c)); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(!server::open(nullptr, 0, wrong, c)); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(!server::open_unix("x", wrong, c)); }) == EINVAL);
    CHECK(reported([&](code c) { CHECK(!server::open_fd(-1, how, c)); }) == EBADF);
}

TEST(a_code_is_cleared_by_success)
{
    CHECK(reported([](std::error_code &code) {
              auto [one, other] = ipc::pipe::open_pair({}, code);
              CHECK(!code);
              code.assign(ENOTTY, std::generic_category());
              one.write("x", code);
              CHECK(!code);
              code.assign(ENOTTY, std::generic_category());
              CHECK(other.peek(code).text() == "x");
              CHECK(!code);
              code.assign(ENOTTY, std::generic_category());
              CHECK(other.stats(code).messages_pending == 1);
          }) == 0);
}

TEST(a_goodbye_ends_read_and_is_a_message_for_read_msg)
{
    auto [one, other] = ipc::pipe::open_pair();
    one.disconnect("so long");
    CHECK(other.peek().kind() == PIPC_BYE && other.peek().bye_text() == "so long");
    char text[32];
    std::error_code code;
    CHECK(other.read(text, code) == 0 && ipc::is_goodbye(code));
    CHECK(std::strcmp(other.bye_text(), "so long") == 0);

    other.disconnect();
    message last = one.read_msg();
    CHECK(last.kind() == PIPC_BYE && last.text() == "BYE" && last.bye_text().empty());
    one.read_msg(code);
    CHECK(code == std::errc::broken_pipe && !ipc::is_goodbye(code));
}

TEST(messages_free_themselves_also_in_an_array_that_is_used_again)
{
    auto [one, other] = ipc::pipe::open_pair();
    std::vector<message> taken(3);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2 - round % 2; i++)
            one.write(std::string(300, static_cast<char>('a' + i)));
        size_t count = other.read_pending(taken);
        CHECK(count == (round == 1 ? 1u : 2u));
        CHECK(taken[0].text() == std::string(300, 'a'));
        CHECK(taken[1].size() == (count == 2 ? 300u : 0u) && taken[2].data() == nullptr);
    }
    message kept = std::move(taken[0]);
    CHECK(taken[0].data() == nullptr && kept.size() == 300);
    kept = std::move(taken[1]);
    CHECK(kept.text() == std::string(300, 'b'));
    message same = message(kept.release());
    CHECK(kept.size() == 0 && same.size() == 300);
}

TEST(pieces_and_batches_are_arrays_of_bytes)
{
    auto [one, other] = ipc::pipe::open_pair();
    std::string name = "name";
    iovec parts[] = {bytes(name), bytes("="), bytes(std::string_view("value"))};
    CHECK(one.writev(parts) == 10 && other.read_msg().text() == "name=value");
    CHECK(one.writev({}) == 0 && other.read_msg().size() == 0);
    CHECK(one.write_batch(parts) == 3 && other.pending() == 3);
    CHECK(one.write_batch(std::vector<iovec>{bytes("more")}) == 1 && other.flush() == 4);

    std::vector<int> numbers = {1, 2, 3}, read(3);
    other.read_pending(std::array<message, 4>());
    CHECK(one.write(numbers) == 3 * sizeof(int));
    CHECK(other.read(read) == 3 * sizeof(int) && read == numbers);
}

TEST(bytes_of_a_literal_have_no_zero_at_the_end)
{
    CHECK(bytes("abc").size() == 3 && bytes("").size() == 0);
    CHECK(bytes(std::string("a\0c", 3)).size() == 3);
    char array[4] = {};
    CHECK(bytes(array, 4).size() == 4 && ipc::buffer(array).size() == 4);
    const int number[] = {1, 2};
    CHECK(bytes(number).size() == sizeof number);
    ipc::view<const int> numbers(number);
    CHECK(numbers.size() == 2 && numbers.end() - numbers.begin() == 2);
}

TEST(options_reach_the_library)
{
    options how = options().max_message(4).max_pending(200).flags(PIPC_INTERRUPTIBLE);
    how.flags(PIPC_DUPLEX).key("secret").directory("/somewhere").mode(0640);
    const pipc_options_t *set = how.get();
    CHECK(set->struct_size == sizeof *set && set->flags == (PIPC_INTERRUPTIBLE | PIPC_DUPLEX));
    CHECK(set->key_size == 6 && std::memcmp(set->key, "secret", 6) == 0 && set->mode == 0640);
    CHECK(std::strcmp(set->directory, "/somewhere") == 0);

    auto [one, other] = ipc::pipe::open_pair(options().max_message(4).max_pending(200));
    CHECK(thrown([&end = one] { end.write("hello"); }) == EMSGSIZE);
    for (int i = 0; i < 8; i++)
        one.write("x");
    CHECK(other.pending() == 3); /* a message counts 64 bytes more */
    CHECK(thrown([] { ipc::pipe::open_pair(options().flags(1u << 31)); }) == EINVAL);
}

TEST(descriptors_come_with_their_message)
{
    auto [one, other] = ipc::pipe::open_pair(options().flags(PIPC_ACCEPT_FDS));
    int ends[2], taken[3];
    CHECK(::pipe(ends) == 0);
    one.write_fds("two", ends);
    CHECK(other.read_msg().text() == "two" && other.take_fds(taken) == 2);
    CHECK(::write(taken[1], "x", 1) == 1 && ::read(ends[0], taken + 2, 1) == 1);
    for (int fd : {ends[0], ends[1], taken[0], taken[1]})
        close(fd);
}

TEST(a_detached_pipe_is_empty_and_its_descriptors_go_on)
{
    auto [one, other] = ipc::pipe::open_pair();
    other.write("unread");
    CHECK(one.pending() == 1 && thrown([&end = one] { end.detach(); }) == EAGAIN && one);
    one.read_msg();
    auto [in, out] = one.detach();
    CHECK(!one && in >= 0 && out >= 0);
    ipc::pipe adopted = ipc::pipe::open_fds(in, out);
    check_both_ways(adopted, other);
}

/* With a key, a process is no client of its own. */
static pid_t start_client(const char *path, const char *key, int expected)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    int result = thrown([&] { ipc::pipe::open_unix(path, -1, options().key(key)).write("me"); });
    _exit(result == expected ? 0 : 1);
}

TEST(a_server_knows_its_clients_and_their_key)
{
    directory here;
    std::string path = here.name("socket");
    pid_t child[] = {start_client(path.c_str(), "Secret", EACCES),
                     start_client(path.c_str(), "secret", 0)};
    server listening = server::open_unix(path.c_str(), options().key("secret"));
    ipc::pipe accepted = listening.accept();
    CHECK(accepted.read_msg().text() == "me");
#ifndef PIPC_PLATFORM_POSIX // there nobody vouches for a client
    CHECK(accepted.credentials().pid == child[1] && accepted.credentials().uid == geteuid());
#endif
    char text[128];
    accepted.peer(text);
    CHECK(text[0] != '\0');
    std::error_code code;
    int status[2] = {-1, -1};
    while (waitpid(child[0], &status[0], WNOHANG) == 0)
        CHECK(!listening.accept(10, code));
    CHECK(waitpid(child[1], &status[1], 0) == child[1] && status[0] == 0 && status[1] == 0);
}

TEST(two_threads_have_a_handle_each_of_one_pipe)
{
    ipc::pipe shared = ipc::pipe::open();
    shared.set_timeout(-1, -1); /* the first call */
    std::thread other([handle = shared.get()] {
        ipc::pipe mine(handle);
        CHECK(mine.read_msg().text() == "ping");
        mine.write("pong");
        mine.disconnect();
    });
    shared.write("ping");
    CHECK(shared.fd() >= 0);
    shared.want(PIPC_WANT_READ);
    CHECK(shared.read_msg().text() == "pong" && shared.read_msg().kind() == PIPC_BYE);
    other.join();
    shared.shutdown();
}

/* What is on the stack of a thread: its handle has to be closed. */
struct reader {
    ipc::pipe end;
    std::atomic<bool> *closed;
    ~reader()
    {
        end.close();
        *closed = true;
    }
};

TEST(a_cancelled_thread_unwinds_through_a_read)
{
#ifdef __GLIBC__
    cpp_skip_if_cancelling_confuses();
    auto [one, other] = ipc::pipe::open_pair();
    std::atomic<bool> closed = false;
    std::thread waiting([&closed, &end = one] {
        reader mine = {std::move(end), &closed};
        char room[8];
        std::error_code code;
        mine.end.read(room, code);
    });
    CHECK(pthread_cancel(waiting.native_handle()) == 0);
    waiting.join();
    std::error_code code;
    CHECK(closed && (other.read_msg(code), code == std::errc::broken_pipe));
#endif
}
