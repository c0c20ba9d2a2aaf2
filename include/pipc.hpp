/* SPDX-License-Identifier: MIT */
/*
 * pipc.hpp - libpipc for C++17: handles that close themselves, and errors as exceptions or codes.
 *
 * pipc.h is the manual, also for this header. What it calls pipc_NAME is a member NAME here, and
 * each member is one call of that function. Nothing else happens, and nothing else is allocated,
 * but for the text of an exception. The library has a struct pipc, so the namespace is libpipc.
 *
 *     #include <pipc.hpp>
 *
 *     auto [here, there] = libpipc::pipe::open_pair();
 *     there.write("hello");
 *     libpipc::message message = here.read_msg();
 *     std::cout << message.text() << '\n';
 *
 * Errors. A function that can fail throws std::system_error, with the errno as its code; a goodbye
 * is an error of pipe::read too (is_goodbye). With a std::error_code as its last argument it throws
 * nothing, and sets or clears that code. After an error it returns 0, -1, or what is empty. With
 * -fno-exceptions, an error ends the program where that argument is not there.
 *
 * Handles. pipe, server and message own what they have, and can be moved but not copied. One that
 * was moved from is empty, as one without arguments: calls on it fail with EINVAL. On pipe::open,
 * each thread closes for itself (pipc_close). So a second thread makes a handle of its own, as in
 * `libpipc::pipe mine(shared.get())`. After fork, each process has its own copy anyway.
 *
 * Views. view, bytes and buffer own nothing: what they are made of must live as long as they do. So
 * must the key and the directory of options, until the constructor returns. A message_view is valid
 * as long as pipc_peek says.
 */
#ifndef PIPC_HPP
#define PIPC_HPP

#include <cerrno>
#include <climits>
#include <exception>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "pipc.h"

namespace libpipc
{

namespace detail
{
class category final : public std::error_category
{
  public:
    const char *name() const noexcept override { return "libpipc"; }
    std::string message(int error) const override { return pipc_strerror(error); }

    std::error_condition default_error_condition(int error) const noexcept override
    {
        return std::error_condition(error, std::generic_category());
    }
};
} // namespace detail

/* The values of its codes are errnos; they compare with std::errc. */
inline const std::error_category &category() noexcept
{
    static const detail::category instance;
    return instance;
}

/* ESHUTDOWN, for which std::errc has no name: pipe::read took a goodbye. */
inline bool is_goodbye(const std::error_code &code) noexcept
{
    return code.category() == category() && code.value() == ESHUTDOWN;
}

/* A last argument: the code to set or clear. Without one, an error is thrown. */
class on_error
{
  public:
    on_error() noexcept = default;
    on_error(std::error_code &code) noexcept : code_(&code) {}

    /* What a function of pipc.h returned: its result, unless that is below 0. */
    template <class Integer> Integer check(Integer result, const char *function) const
    {
        std::error_code code(result < 0 ? errno : 0, category());
        if (code_ != nullptr)
            *code_ = code;
        else if (code)
            fail(code, function);
        return result;
    }

    size_t count(ssize_t result, const char *function) const
    {
        return check(result, function) < 0 ? 0 : static_cast<size_t>(result);
    }

    template <class Handle> Handle *opened(Handle *handle, const char *function) const
    {
        check(handle == nullptr ? -1 : 0, function);
        return handle;
    }

  private:
    [[noreturn]] static void fail(const std::error_code &code, const char *function)
    {
#ifdef __cpp_exceptions
        throw std::system_error(code, function);
#else
        static_cast<void>(code), static_cast<void>(function);
        std::terminate();
#endif
    }

    std::error_code *code_ = nullptr;
};

namespace detail
{
template <class T> class range
{
  public:
    constexpr range() noexcept = default;
    constexpr range(T *data, size_t size) noexcept : data_(data), size_(size) {}

    constexpr T *data() const noexcept { return data_; }
    constexpr size_t size() const noexcept { return size_; }

    /* The number of elements for pipc.h. It takes no more than an int can say: EINVAL. */
    constexpr int number() const noexcept { return size_ > INT_MAX ? -1 : static_cast<int>(size_); }

  private:
    T *data_ = nullptr;
    size_t size_ = 0;
};

template <class C> using element = std::remove_pointer_t<decltype(std::data(std::declval<C &>()))>;

template <class C> constexpr bool is_literal = false;
template <size_t N> constexpr bool is_literal<char[N]> = true;
} // namespace detail

/* Elements side by side, as std::span of C++20: of an array, a vector and so on. */
template <class T> class view : public detail::range<T>
{
    template <class C>
    static constexpr bool suits = std::is_convertible_v<detail::element<C> (*)[], T (*)[]>;

  public:
    using detail::range<T>::range;
    template <class C, class = std::enable_if_t<!std::is_same_v<std::decay_t<C>, view>>,
              class = std::enable_if_t<suits<C>>>
    constexpr view(C &&elements) : view(std::data(elements), std::size(elements))
    {
    }

    constexpr T *begin() const noexcept { return this->data(); }
    constexpr T *end() const noexcept { return this->data() + this->size(); }
};

/* Room for bytes: of an array, a string, a vector of what may be copied as bytes, and so on. */
class buffer : public detail::range<void>
{
  public:
    using range::range;
    template <class C, class = std::enable_if_t<std::is_trivially_copyable_v<detail::element<C>> &&
                                                !std::is_const_v<detail::element<C>>>>
    constexpr buffer(C &room) : buffer(std::data(room), std::size(room) * sizeof *std::data(room))
    {
    }
};

/*
 * Bytes to read: of a literal or another C string, without its terminating zero, or as for buffer.
 * An array of char may be either, so it needs a size: bytes(array, size).
 */
class bytes : public detail::range<const void>
{
  public:
    using range::range;
    constexpr bytes(const char *text) : bytes(text, std::string_view(text).size()) {}
    constexpr bytes(buffer room) noexcept : bytes(room.data(), room.size()) {}
    template <class C,
              class = std::enable_if_t<std::is_trivially_copyable_v<detail::element<const C>> &&
                                       !detail::is_literal<C>>>
    constexpr bytes(const C &content)
        : bytes(std::data(content), std::size(content) * sizeof *std::data(content))
    {
    }
    template <size_t N> bytes(char (&array)[N]) = delete;
    bytes(std::nullptr_t) = delete;

    /* A piece of pipe::writev, or a message of pipe::write_batch. */
    operator iovec() const noexcept { return {const_cast<void *>(data()), size()}; }
};

/* pipc_options_t, as in `libpipc::options().max_message(4096).flags(PIPC_GATHER)`. */
class options
{
  public:
    options &max_message(size_t size) noexcept { return set(value_.max_message, size); }
    options &max_pending(size_t size) noexcept { return set(value_.max_pending, size); }

    options &key(bytes secret) noexcept
    {
        return set(value_.key, secret.data()).set(value_.key_size, secret.size());
    }

    options &directory(const char *path) noexcept { return set(value_.directory, path); }

    /* Beside those that are set. */
    options &flags(unsigned more) noexcept { return set(value_.flags, value_.flags | more); }
    options &mode(mode_t access) noexcept { return set(value_.mode, access); }
    const pipc_options_t *get() const noexcept { return &value_; }

  private:
    template <class T> options &set(T &field, T value) noexcept
    {
        field = value;
        return *this;
    }

    pipc_options_t value_ = PIPC_OPTIONS_INIT;
};

/* A message that belongs to a handle (pipe::peek), or the accessors of one that owns its memory. */
class message_view
{
  public:
    message_view() noexcept = default;
    explicit message_view(const pipc_msg_t &message) noexcept : value_(message) {}
    const void *data() const noexcept { return value_.data; }
    size_t size() const noexcept { return value_.size; }
    pipc_kind_t kind() const noexcept { return value_.kind; }
    bytes content() const noexcept { return bytes(data(), size()); }
    std::string_view text() const noexcept { return {static_cast<const char *>(data()), size()}; }

    /* Of a goodbye: what follows "BYE". */
    std::string_view bye_text() const noexcept
    {
        return kind() == PIPC_BYE ? text().substr(3) : std::string_view();
    }

  protected:
    pipc_msg_t value_ = {nullptr, 0, PIPC_DATA};
};

/* A message that frees itself. */
class message : public message_view
{
  public:
    message() noexcept = default;
    explicit message(const pipc_msg_t &owned) noexcept : message_view(owned) {}
    message(message &&other) noexcept : message_view(other.release()) {}

    message &operator=(message &&other) noexcept
    {
        if (this != &other)
            *put() = other.release();
        return *this;
    }

    ~message() { pipc_msg_free(&value_); }

    /* Empties it, for a function of pipc.h to fill in. */
    pipc_msg_t *put() noexcept { return pipc_msg_free(&value_), &value_; }

    /* Now it is the caller's to free. */
    pipc_msg_t release() noexcept { return std::exchange(value_, {nullptr, 0, PIPC_DATA}); }
};

/* An array of them is an array of pipc_msg_t (pipe::read_pending). */
static_assert(sizeof(message) == sizeof(pipc_msg_t) && std::is_standard_layout_v<message>);

namespace detail
{
/* A pointer that is closed once. */
template <class Handle, void (*close_handle)(Handle *)> class owner
{
  public:
    owner() noexcept = default;
    explicit owner(Handle *owned) noexcept : handle_(owned) {}
    owner(owner &&other) noexcept : handle_(other.release()) {}

    owner &operator=(owner &&other) noexcept
    {
        if (this != &other) {
            close();
            handle_ = other.release();
        }
        return *this;
    }

    ~owner() { close(); }
    void close() noexcept { close_handle(release()); }
    Handle *get() const noexcept { return handle_; }

    /* Now it is the caller's to close. */
    Handle *release() noexcept { return std::exchange(handle_, nullptr); }
    explicit operator bool() const noexcept { return handle_ != nullptr; }

  private:
    Handle *handle_ = nullptr;
};
} // namespace detail

/* One end of a pipe; of pipe::open both ends. */
class pipe : public detail::owner<pipc_t, pipc_close>
{
  public:
    using owner::owner;

    static pipe open(const options &how = {}, on_error then = {})
    {
        return pipe(then.opened(pipc_open(how.get()), "pipc_open"));
    }

    static std::pair<pipe, pipe> open_pair(const options &how = {}, on_error then = {})
    {
        pipc_t *end[2] = {nullptr, nullptr};
        then.check(pipc_open_pair(end, how.get()), "pipc_open_pair");
        return {pipe(end[0]), pipe(end[1])};
    }

    static pipe open_fds(int read_fd, int write_fd, const options &how = {}, on_error then = {})
    {
        return pipe(then.opened(pipc_open_fds(read_fd, write_fd, how.get()), "pipc_open_fds"));
    }

    static pipe open_fifo(const char *name, int timeout_ms, const options &how = {},
                          on_error then = {})
    {
        return pipe(then.opened(pipc_open_fifo(name, timeout_ms, how.get()), "pipc_open_fifo"));
    }

    static pipe open_tcp(const char *host, uint16_t port, int timeout_ms, const options &how = {},
                         on_error then = {})
    {
        return pipe(then.opened(pipc_open_tcp(host, port, timeout_ms, how.get()), "pipc_open_tcp"));
    }

    static pipe open_unix(const char *path, int timeout_ms, const options &how = {},
                          on_error then = {})
    {
        return pipe(then.opened(pipc_open_unix(path, timeout_ms, how.get()), "pipc_open_unix"));
    }

    size_t write(bytes content, on_error then = {})
    {
        return then.count(pipc_write(get(), content.data(), content.size()), "pipc_write");
    }

    size_t writev(view<const iovec> parts, on_error then = {})
    {
        return then.count(pipc_writev(get(), parts.data(), parts.number()), "pipc_writev");
    }

    size_t write_fds(bytes content, view<const int> fds, on_error then = {})
    {
        return then.count(
            pipc_write_fds(get(), content.data(), content.size(), fds.data(), fds.number()),
            "pipc_write_fds");
    }

    size_t write_batch(view<const iovec> messages, on_error then = {})
    {
        return then.count(pipc_write_batch(get(), messages.data(), messages.size()),
                          "pipc_write_batch");
    }

    size_t read(buffer room, on_error then = {})
    {
        return then.count(pipc_read(get(), room.data(), room.size()), "pipc_read");
    }

    message read_msg(on_error then = {})
    {
        message taken;
        then.check(pipc_read_msg(get(), taken.put()), "pipc_read_msg");
        return taken;
    }

    /* Empties the messages first. */
    size_t read_pending(view<message> messages, on_error then = {})
    {
        pipc_msg_t *array = nullptr;
        for (size_t i = messages.size(); i > 0; i--)
            array = messages.data()[i - 1].put();
        return then.count(pipc_read_pending(get(), array, messages.size()), "pipc_read_pending");
    }

    message_view peek(on_error then = {})
    {
        pipc_msg_t shown = {nullptr, 0, PIPC_DATA};
        then.check(pipc_peek(get(), &shown), "pipc_peek");
        return message_view(shown);
    }

    void skip(on_error then = {}) { then.check(pipc_skip(get()), "pipc_skip"); }

    size_t take_fds(view<int> fds, on_error then = {})
    {
        return then.count(pipc_take_fds(get(), fds.data(), fds.number()), "pipc_take_fds");
    }

    /* nullptr: no goodbye was read */
    const char *bye_text() const noexcept { return pipc_bye_text(get()); }
    size_t pending(on_error then = {}) { return then.count(pipc_pending(get()), "pipc_pending"); }
    size_t flush(on_error then = {}) { return then.count(pipc_flush(get()), "pipc_flush"); }
    void shutdown(on_error then = {}) { then.check(pipc_shutdown(get()), "pipc_shutdown"); }

    void disconnect(const char *text, on_error then = {})
    {
        then.check(pipc_disconnect(get(), text), "pipc_disconnect");
    }

    void disconnect(on_error then = {}) { disconnect(nullptr, then); }
    int fd(on_error then = {}) { return then.check(pipc_fd(get()), "pipc_fd"); }

    void want(unsigned events, on_error then = {})
    {
        then.check(pipc_want(get(), events), "pipc_want");
    }

    void set_timeout(int read_ms, int write_ms, on_error then = {})
    {
        then.check(pipc_set_timeout(get(), read_ms, write_ms), "pipc_set_timeout");
    }

    void peer(buffer text, on_error then = {})
    {
        then.check(pipc_peer(get(), static_cast<char *>(text.data()), text.size()), "pipc_peer");
    }

    pipc_credentials_t credentials(on_error then = {})
    {
        pipc_credentials_t who = PIPC_CREDENTIALS_INIT;
        then.check(pipc_credentials(get(), &who), "pipc_credentials");
        return who;
    }

    pipc_stats_t stats(on_error then = {})
    {
        pipc_stats_t counts = PIPC_STATS_INIT;
        then.check(pipc_stats(get(), &counts), "pipc_stats");
        return counts;
    }

    /* The descriptor to read from, and that to write to. The handle is empty then. */
    std::pair<int, int> detach(on_error then = {})
    {
        int fds[2] = {-1, -1};
        if (then.check(pipc_detach(get(), fds), "pipc_detach") == 0)
            release(); /* pipc_detach has closed it */
        return {fds[0], fds[1]};
    }
};

/* A socket that waits for clients. */
class server : public detail::owner<pipc_server_t, pipc_server_close>
{
  public:
    using owner::owner;

    static server open(const char *host, uint16_t port, const options &how = {}, on_error then = {})
    {
        return server(then.opened(pipc_server_open(host, port, how.get()), "pipc_server_open"));
    }

    static server open_unix(const char *path, const options &how = {}, on_error then = {})
    {
        return server(then.opened(pipc_server_open_unix(path, how.get()), "pipc_server_open_unix"));
    }

    static server open_fd(int listening_fd, const options &how = {}, on_error then = {})
    {
        return server(
            then.opened(pipc_server_open_fd(listening_fd, how.get()), "pipc_server_open_fd"));
    }

    pipe accept(int timeout_ms = -1, on_error then = {})
    {
        return pipe(then.opened(pipc_server_accept(get(), timeout_ms), "pipc_server_accept"));
    }

    int fd(on_error then = {}) { return then.check(pipc_server_fd(get()), "pipc_server_fd"); }
    uint16_t port() const noexcept { return pipc_server_port(get()); }
};

inline const char *version() noexcept { return pipc_version(); }
inline void set_trace(pipc_trace_t function, void *context) noexcept
{
    pipc_set_trace(function, context);
}
inline const char *strerror(int error) noexcept { return pipc_strerror(error); }

} // namespace libpipc

#endif
