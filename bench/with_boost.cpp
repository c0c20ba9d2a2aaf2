/* SPDX-License-Identifier: MIT */
/*
 * boost::interprocess::message_queue: one queue for each direction, of a megabyte of messages (at
 * most 1,024, and at least 2), since it takes the memory for all of them when it is made. The
 * priority of all messages is 0.
 */
#include <boost/interprocess/ipc/message_queue.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/statvfs.h>
#include <unistd.h>

#include "bench.h"

namespace ipc = boost::interprocess;

namespace
{

const std::size_t ROOM = 1 << 20;

struct queues {
    ipc::message_queue *queue[2]; /* what each side receives from */
};

struct end {
    ipc::message_queue *in, *out;
    std::size_t size; /* of each message */
    void *buffer;
};

std::size_t depth(std::size_t size)
{
    std::size_t count = ROOM / size;
    return count < 2 ? 2 : count > 1024 ? 1024 : count;
}

/* Its name is gone at once; the mapping stays, also in a child. */
ipc::message_queue *make_queue(std::size_t size)
{
    static unsigned number;
    char name[64];
    std::snprintf(name, sizeof name, "bench-%d-%u", static_cast<int>(getpid()), number++);
    try {
        auto *queue = new ipc::message_queue(ipc::create_only, name, depth(size), size);
        ipc::message_queue::remove(name);
        return queue;
    } catch (const std::exception &) {
        fail("message_queue");
    }
}

void prepare(struct link *link)
{
    link->end[0] = link->end[1] = new queues{make_queue(link->size), make_queue(link->size)};
}

void join(struct link *link, int side)
{
    auto *made = static_cast<queues *>(link->end[side]);
    auto *joined =
        new end{made->queue[side], made->queue[1 - side], link->size, std::malloc(link->size)};
    if (joined->buffer == nullptr)
        fail("memory");
    link->end[side] = joined;
}

void send_one(void *at, const void *data, std::size_t size)
{
    try {
        static_cast<end *>(at)->out->send(data, size, 0);
    } catch (const std::exception &) {
        fail("send");
    }
}

std::size_t receive(void *at, const void **data)
{
    auto *from = static_cast<end *>(at);
    ipc::message_queue::size_type size = 0;
    unsigned priority = 0;
    try {
        from->in->receive(from->buffer, from->size, size, priority);
    } catch (const std::exception &) {
        fail("receive");
    }
    *data = from->buffer;
    return size;
}

/* A process that touches shared memory that is not there is killed. */
const char *lacks(std::size_t size)
{
    struct statvfs room;
    double wanted = 2.0 * static_cast<double>(depth(size)) * static_cast<double>(size + 4096);
    if (statvfs("/dev/shm", &room) != 0 ||
        static_cast<double>(room.f_bavail) * static_cast<double>(room.f_frsize) > 2 * wanted)
        return nullptr;
    return "over the room that is left in /dev/shm";
}

} // namespace

const struct contender with_boost[] = {
    {"boost", "message_queue", "plain", "1 MiB of messages each way, at least 2", prepare, nullptr,
     join, send_one, receive, nullptr, nullptr, 2, 100, true, lacks, nullptr},
    {},
};
