/* SPDX-License-Identifier: MIT */
/* A program of somebody else in C++17: what main.c does, with pipc.hpp. */
#include <cstdio>
#include <pipc.hpp>
#include <stdexcept>
#include <string>

static void talk(libpipc::pipe &left, libpipc::pipe &right)
{
    char buffer[64];
    left.write("How far?");
    if (right.read(buffer) != 8)
        throw std::runtime_error("another question");
    right.write(std::string("Two miles."));
    if (left.read_msg().text() != "Two miles.")
        throw std::runtime_error("another answer");
    right.disconnect("enough");
    std::error_code code;
    left.read(buffer, code);
    if (!libpipc::is_goodbye(code) || left.bye_text() != std::string_view("enough"))
        throw std::runtime_error("no goodbye");
}

int main()
{
    try {
        auto [left, right] = libpipc::pipe::open_pair(libpipc::options().max_message(1000));
        left.set_timeout(5000, 5000);
        right.set_timeout(5000, 5000);
        talk(left, right);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    std::printf("a pair of libpipc %s works in C++17\n", libpipc::version());
    return 0;
}
