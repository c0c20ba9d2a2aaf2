# SPDX-License-Identifier: MIT
"""local_server and activated_server, driven by Python's Client.
usage: local_client.py EXAMPLES"""
import contextlib
import os
import socket
import subprocess
import tempfile
import time
from multiprocessing.connection import Client

from abuse import EXAMPLES, GARBAGE, GOODBYE, PATIENCE, wait_until

WORK = tempfile.mkdtemp(prefix="pipc-local-")
PATH = os.path.join(WORK, "socket")


def example(name):
    return os.path.join(EXAMPLES, name)


def start_server(*uids, descriptors=100, namespaces=()):
    command = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', str(descriptors), *namespaces]
    server = subprocess.Popen([*command, example("local_server"), PATH, *map(str, uids)],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert server.stdout.readline() == b"ready\n"
    return server


def stop(server):
    server.kill()
    server.communicate()


def many_clients_are_answered():
    server = start_server(os.getuid())
    clients = [Client(PATH) for _ in range(20)]
    number = 0
    for text in b"one", b"", b"x" * 100000:
        for client in clients:
            number += 1
            client.send_bytes(text)
            assert client.recv_bytes() == b"%d " % number + text
    clients[7].close()
    clients[3].send_bytes(b"after")
    assert clients[3].recv_bytes() == b"%d after" % (number + 1)
    stop(server)


def must_turn_away(server):
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(PATH)
            goodbye = client.recv(1000)
            assert goodbye.endswith(b"BYEthis user is not served"), goodbye
            assert client.recv(1) == b""
    finally:
        stop(server)  # in a namespace it would survive what abuse.py does at the end


def a_user_who_is_not_on_the_list_is_turned_away():
    must_turn_away(start_server(os.getuid() + 1))  # where the one before was killed


def in_namespaces(*options):
    """The command for it, or None where it is forbidden."""
    command = ["unshare", *options]
    try:
        result = subprocess.run([*command, "true"], stderr=subprocess.PIPE)
    except FileNotFoundError as missing:
        print("skipped:", missing)
        return None
    if result.returncode != 0:
        print("skipped:", result.stderr.decode().strip())
        return None
    return command


def a_user_without_a_number_here_is_turned_away():
    with open("/proc/sys/kernel/overflowuid") as overflow:
        nobody = int(overflow.read())
    namespaces = in_namespaces("--user")
    if namespaces is not None:
        must_turn_away(start_server(nobody, os.getuid(), namespaces=namespaces))


def a_process_without_a_number_here_is_turned_away():
    # There the client's user is 0, which the list has.
    namespaces = in_namespaces("--user", "--map-root-user", "--pid", "--fork", "--kill-child")
    if namespaces is not None:
        must_turn_away(start_server(0, namespaces=namespaces))


def a_client_that_does_not_read_is_dropped():
    server = start_server(os.getuid())
    with Client(PATH) as greedy, Client(PATH) as other:
        try:
            for _ in range(1000):
                greedy.send_bytes(b"x" * 10000)
            raise SystemExit("it is still there")
        except OSError:
            pass
        other.send_bytes(b"hello")
        assert other.recv_bytes().endswith(b" hello")
    stop(server)


def open_descriptors(server):
    return len(os.listdir("/proc/%d/fd" % server.pid))


def must_be_answered(client):
    client.send_bytes(b"hello")
    assert client.recv_bytes().endswith(b" hello")


def garbage_ends_only_its_sender():
    server = start_server(os.getuid())
    with Client(PATH) as honest:
        must_be_answered(honest)
        before = open_descriptors(server)
        for garbage in [*GARBAGE, GOODBYE, GOODBYE[:9]]:
            with socket.socket(socket.AF_UNIX) as hostile:
                hostile.settimeout(PATIENCE)
                hostile.connect(PATH)
                hostile.sendall(garbage)
                with contextlib.suppress(OSError):  # it may have closed already
                    hostile.shutdown(socket.SHUT_WR)
                    while hostile.recv(65536):
                        pass
            must_be_answered(honest)
        wait_until(lambda: open_descriptors(server) == before, "all descriptors back")
    stop(server)


def cpu_seconds(server):
    with open("/proc/%d/stat" % server.pid) as stat:
        return sum(map(int, stat.read().split()[13:15])) / os.sysconf("SC_CLK_TCK")


def without_free_descriptors_it_goes_on():
    server = start_server(os.getuid(), descriptors=16)
    with Client(PATH) as honest:
        crowd = []
        for _ in range(30):
            crowd.append(socket.socket(socket.AF_UNIX))
            crowd[-1].connect(PATH)
        for _ in range(20):
            must_be_answered(honest)
        before = cpu_seconds(server)
        time.sleep(0.5)  # an idle server takes no time
        assert cpu_seconds(server) - before < 0.3
        for hostile in crowd:
            hostile.close()
        must_be_answered(honest)
        with Client(PATH) as late:
            must_be_answered(late)
    stop(server)


def a_second_server_is_refused():
    server = start_server(0)
    second = subprocess.run([example("local_server"), PATH, "0"], stderr=subprocess.PIPE)
    assert second.returncode == 1 and b"in use" in second.stderr, second
    stop(server)


def exchange_capitals(client):
    for text in b"hello", b"", b"x" * 100000:
        client.send_bytes(text)
        assert client.recv_bytes() == text.upper()


def activate(listener, how):
    """As a service manager does: the socket is descriptor 3, or 0, and stays with the manager."""
    def pass_socket():
        os.dup2(listener.fileno(), 3 if how == "systemd" else 0)
    command = [example("activated_server")]
    if how == "systemd":  # LISTEN_PID is the process's own
        command = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0"', *command]
    return subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=pass_socket, pass_fds=(3,))


def activated(listener, address, how, named):
    with Client(address) as client:  # before the server runs
        client.send_bytes(b"first")
        server = activate(listener, how)
        assert client.recv_bytes() == b"FIRST"
        exchange_capitals(client)
    with Client(address) as client:
        exchange_capitals(client)
    _, error = server.communicate()  # it ends by itself, and the socket still listens
    assert server.returncode == 0 and error.startswith(named), error
    with Client(address) as client:
        server = activate(listener, how)
        exchange_capitals(client)
    server.communicate()


def a_service_manager_activates_a_server():
    for how in "systemd", "inetd":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(PATH + how)
            listener.listen()
            activated(listener, PATH + how, how, b"user %d\n" % os.getuid())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        activated(listener, listener.getsockname(), "systemd", b"127.0.0.1:")


def without_a_socket_it_says_so():
    server = subprocess.run([example("activated_server")], stdin=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)
    assert server.returncode == 1 and server.stderr.startswith(b"no listening socket"), server


many_clients_are_answered()
a_user_who_is_not_on_the_list_is_turned_away()
a_user_without_a_number_here_is_turned_away()
a_process_without_a_number_here_is_turned_away()
a_client_that_does_not_read_is_dropped()
garbage_ends_only_its_sender()
without_free_descriptors_it_goes_on()
a_second_server_is_refused()
a_service_manager_activates_a_server()
without_a_socket_it_says_so()
subprocess.run(["rm", "-rf", WORK], check=True)
