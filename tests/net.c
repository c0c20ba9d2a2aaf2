/* SPDX-License-Identifier: MIT */
/* The kinds of pipes that the library makes over TCP, for the tests of the contract. */
#include "net.h"

/* Of a fixed size: buffers that the kernel tunes may take more a moment after they were full, and
 * hold many megabytes. A handle does not show its socket, so all open sockets are changed. */
static void fix_buffers(void)
{
    int size = 128 * 1024;
    for (int fd = net_find_socket(0, false); fd >= 0; fd = net_find_socket(fd + 1, false)) {
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
    }
}

void net_open_rendezvous(pipc_t *end[2], const pipc_options_t *options)
{
    struct net_port port = net_reserve();
    struct net_call call = {"127.0.0.1", port.number, 10000, options, NULL, 0, 0};
    net_start_call(&call);
    end[0] = pipc_open_tcp("127.0.0.1", port.number, 10000, options);
    int error = errno;
    end[1] = net_finish_call(&call);
    close(port.fd);
    if (end[0] == NULL || end[1] == NULL)
        fail_msg("pipc_open_tcp: %s, %s", strerror(error), strerror(call.error));
    fix_buffers();
}

void net_open_server(pipc_t *end[2], const pipc_options_t *options)
{
    hosts_need_loopback();
    pipc_server_t *server = pipc_server_open(NULL, 0, options);
    if (server == NULL)
        fail_msg("pipc_server_open: %s", strerror(errno));
    end[0] = pipc_open_tcp("127.0.0.1", pipc_server_port(server), 10000, options);
    if (end[0] == NULL)
        fail_msg("pipc_open_tcp: %s", strerror(errno));
    end[1] = pipc_server_accept(server, 10000);
    if (end[1] == NULL)
        fail_msg("pipc_server_accept: %s", strerror(errno));
    pipc_server_close(server);
    fix_buffers();
}
