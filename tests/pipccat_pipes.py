# SPDX-License-Identifier: MIT
"""pipccat: every kind of pipe, every format, and much of it."""
import base64
import hashlib
import json
import multiprocessing.connection
import os
import socket
import subprocess
import time

from pipccat import (EVERY_BYTE, PATIENCE, PIPCCAT, Plain, Started, interrupt, is_posix, new_file,
                     new_path, records, run, run_tests, test, wait_until)

MESSAGES = [b"one", b"", EVERY_BYTE, b"x" * 100000, b"last"]


def talk(one, other):
    """Both send a line, and print that of the other."""
    with one, other:
        assert other.ends() == b"from one\n"
        assert one.ends() == b"from the other\n"


def both(*arguments, **more):
    return Started(*arguments, stdin=b"from one\n", **more)


def other(*arguments, **more):
    return Started(*arguments, stdin=b"from the other\n", **more)


@test
def a_fifo_carries_lines_both_ways():
    path = new_path()
    talk(both("fifo", "n", "-d", path), other("--directory", path, "fifo", "n"))


@test
def a_server_and_a_client_carry_lines_both_ways():
    with both("--once", "serve", 0) as server:
        talk(server, other("tcp", "127.0.0.1", server.port()))
    path = new_path()
    talk(both("--once", "--mode=0666", "serve-unix", path), other("unix", path))
    if is_posix(): # there are no such names
        return
    name = "@pipccat" + os.path.basename(os.path.dirname(path))
    talk(both("--once", "serve-unix", name), other("unix", name))


@test
def two_calls_of_tcp_with_pair_find_each_other():
    """The port was free a moment ago; if it is taken meanwhile, another one is tried."""
    for _ in range(10):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        arguments = ("--pair", "-w", 10, "tcp", "localhost", port)
        with both(*arguments) as one, other(*arguments) as two:
            if [p.process.wait(PATIENCE) for p in (one, two)] == [0, 0]:
                assert one.printed() == b"from the other\n" and two.printed() == b"from one\n"
                return
    raise AssertionError("they never met")


@test
def descriptors_that_it_inherits_carry_lines_both_ways():
    a, b = socket.socketpair()
    with a, b:
        one = both("fd", a.fileno(), a.fileno(), pass_fds=(a.fileno(),))
        two = other("fd", b.fileno(), b.fileno(), pass_fds=(b.fileno(),))
    talk(one, two)


@test
def a_program_carries_messages_on_its_standard_input_and_output():
    assert run("exec", "--", PIPCCAT, "--echo", "fd", 0, 1, stdin=b"a\nb")[0] == b"a\nb\n"
    assert run("exec", "--", "cat", stdin=b"a\nb\n")[0] == b"a\nb\n" # frames are bytes


@test
def pythons_multiprocessing_is_a_peer_with_a_key():
    key = ("--key-file=" + new_file(b"secret"), "--key-md5") # MD5: before Python 3.12
    with multiprocessing.connection.Listener(new_path(), "AF_UNIX", authkey=b"secret") as listener:
        with Started("-n", 1, *key, "unix", listener.address, stdin=b"ask\n") as pipccat, \
                listener.accept() as connection:
            assert connection.recv_bytes() == b"ask"
            connection.send_bytes(b"answer")
            assert pipccat.ends() == b"answer\n"


@test
def a_server_serves_one_client_after_the_other_and_gives_each_the_files():
    path, file = new_path(), new_file(b"for each\n")
    with Started("-f", file, "serve-unix", path) as server:
        for i in range(3):
            assert run("unix", path, stdin=b"client %d\n" % i)[0] == b"for each\n"
        wait_until(lambda: server.printed() == b"client 0\nclient 1\nclient 2\n", "all lines")
        interrupt(server)
    data = os.urandom(4 << 20)
    with Started("-i", "blocks", "-f", new_file(data), "serve-unix", path) as server:
        run("-n", 1, "-o", "none", "unix", path) # which leaves in the middle
        assert run("-o", "raw", "unix", path)[0] == data
        interrupt(server)


@test
def files_follow_each_other_as_messages():
    one, two = new_file(b"1\n2"), new_file(b"3\n")
    lines = run("--file", one, "-f", two, "exec", "--", "cat")[0]
    assert lines == b"1\n2\n3\n"
    whole = run("-f", one, "-f", two, "-i", "file", "-o", "json", "exec", "--", "cat")[0]
    assert [json.loads(line)["text"] for line in whole.splitlines()] == ["1\n2", "3\n"]


def printed_as(form, messages):
    return run("-i", "records", "-o", form, "exec", "--", "cat", stdin=records(*messages))[0]


@test
def each_output_format_shows_every_byte():
    assert printed_as("records", MESSAGES) == records(*MESSAGES)
    assert printed_as("raw", MESSAGES) == b"".join(MESSAGES)
    assert printed_as("text", MESSAGES) == b"".join(m + b"\n" for m in MESSAGES)
    lines = printed_as("hex", MESSAGES).decode().splitlines()
    assert [bytes.fromhex(line) for line in lines] == MESSAGES
    assert printed_as("none", MESSAGES) == b""


@test
def json_has_text_where_it_is_utf8_and_base64_elsewhere():
    odd = [b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"a\xffb", b"\x80",
           b"\xe0\x80\x80", b"\xf0\x80\x80\x80", EVERY_BYTE * 1000]
    texts = ["plain", "quote \" and \\ and \x00\x1f\x7f", "\u00e4\u20ac\U0001f600", "", "x" * 99999]
    messages = odd + [text.encode() for text in texts]
    lines = [json.loads(line) for line in printed_as("json", messages).decode().splitlines()]
    assert [line["size"] for line in lines] == list(map(len, messages))
    assert [base64.b64decode(line["base64"]) for line in lines[:len(odd)]] == odd
    assert [line["text"] for line in lines[len(odd):]] == texts


def messages_of(form, data, *more):
    got = run("-i", form, *more, "-o", "hex", "exec", "--", "cat", stdin=data)[0]
    return [bytes.fromhex(line) for line in got.decode().splitlines()]


@test
def each_input_format_makes_its_messages():
    assert messages_of("lines", b"a\n\n\0b\r\nend") == [b"a", b"", b"\0b\r", b"end"]
    assert messages_of("lines", b"") == []
    long = b"y" * 300000
    assert messages_of("lines", long + b"\n" + long) == [long, long]
    assert messages_of("blocks", b"abcdefg", "-b", 3) == [b"abc", b"def", b"g"]
    assert messages_of("blocks", b"") == []
    assert messages_of("file", EVERY_BYTE + b"\n") == [EVERY_BYTE + b"\n"]
    assert messages_of("file", long) == [long]
    assert messages_of("file", b"") == [b""]
    assert messages_of("records", records(*MESSAGES)) == MESSAGES


@test
def the_bytes_on_the_wire_are_frames_and_a_goodbye():
    with Plain() as peer, peer.start("--bye=so it", stdin=b"hello\n\n") as pipccat:
        expected = records(b"hello", b"") + b"\xff\xff\xff\xfe" + records(b"BYEso it")
        assert peer.receive(len(expected)) == expected
        peer.end()
        pipccat.ends()


@test
def what_is_held_arrives_and_output_goes_on_after_the_end_of_input():
    with Plain() as peer, peer.start(stdin=b"ask\n") as pipccat:
        assert peer.receive(7) == records(b"ask")
        assert peer.socket.recv(1) == b"" # the end of stream has come
        peer.send(records(b"answer", b"and more"))
        peer.end()
        assert pipccat.ends() == b"answer\nand more\n"


@test
def without_input_writing_stays_open_until_the_peer_ends():
    with Plain() as peer, peer.start("-i", "none") as pipccat:
        peer.send(records(b"one"))
        wait_until(lambda: pipccat.printed() == b"one\n", "the message")
        peer.socket.setblocking(False)
        try:
            raise AssertionError(peer.socket.recv(1))
        except BlockingIOError:
            pass
        peer.end()
        pipccat.ends()


@test
def input_goes_on_after_the_end_of_the_peer():
    with Plain() as peer, peer.start(stdin=subprocess.PIPE) as pipccat:
        peer.end()
        wait_until(lambda: stands_still(pipccat), "it waits for input")
        pipccat.process.stdin.write(b"still here\n")
        pipccat.process.stdin.flush()
        assert peer.receive(14) == records(b"still here")
        pipccat.process.stdin.close()
        assert peer.socket.recv(1) == b""
        pipccat.ends()


@test
def it_ends_when_the_peer_has_gone_though_the_input_is_open():
    with Plain() as peer, peer.start(stdin=subprocess.PIPE) as pipccat:
        peer.send(records(b"bye"))
        peer.socket.close()
        assert pipccat.ends() == b"bye\n"
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as idle, os.fdopen(writing, "wb"):
        run("exec", "--", "true", stdin=idle)
        where = new_path()
        with Started("-d", where, "fifo", "f", stdin=idle) as pipccat:
            with Started("-d", where, "fifo", "f", stdin=subprocess.PIPE) as killed:
                killed.process.stdin.write(b"bye\n")
                killed.process.stdin.flush()
                wait_until(lambda: pipccat.printed() == b"bye\n", "the message")
            pipccat.ends()


def big_file(size):
    data = os.urandom(1 << 20) * (size >> 20)
    return new_file(data), hashlib.sha256(data).hexdigest()


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@test
def a_large_file_arrives_whole():
    path, sum_ = big_file(40 << 20)
    where = new_path()
    with Started("-o", "raw", "--need-bye", "-d", where, "fifo", "f") as receiver:
        run("-i", "blocks", "--bye=all", "-f", path, "-d", where, "fifo", "f")
        receiver.ends()
        assert digest(receiver.out) == sum_
    with Started("-o", "raw", "--once", "serve", 0) as receiver, open(path, "rb") as file:
        port = receiver.port()
        run("-i", "file", "tcp", "127.0.0.1", port, stdin=file) # one message
        receiver.ends()
        assert digest(receiver.out) == sum_


@test
def pipes_on_both_sides_carry_much_both_ways_at_once():
    path, sum_ = big_file(20 << 20)
    with open(path, "rb") as file, \
            subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) as cat, \
            Started("-i", "blocks", "-b", 100000, "-o", "raw", "exec", "--", PIPCCAT, "--echo",
                    "fd", 0, 1, stdin=cat.stdout, stdout=subprocess.PIPE) as pipccat:
        cat.stdout.close()
        data = pipccat.process.stdout.read()
        pipccat.ends()
    assert hashlib.sha256(data).hexdigest() == sum_


def processor_time(pid):
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def stands_still(*processes):
    """Both wait for somebody: neither has used the processor for a while."""
    before = [processor_time(p.process.pid) for p in processes]
    time.sleep(0.3)
    return before == [processor_time(p.process.pid) for p in processes]


def resident(started):
    with open("/proc/%d/statm" % started.process.pid) as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@test
def an_output_that_nobody_reads_holds_the_sender_back():
    """Neither spins nor collects meanwhile; the rest arrives when somebody reads."""
    size = 300 << 20
    path, where = new_path(), new_path()
    with open(path, "wb") as file:
        file.truncate(size)
    with Started("-o", "raw", "-d", where, "fifo", "f", stdout=subprocess.PIPE) as receiver, \
            Started("-i", "blocks", "-f", path, "-d", where, "fifo", "f") as sender:
        wait_until(lambda: stands_still(sender, receiver), "both wait")
        assert sender.process.poll() is None
        assert resident(receiver) < size / 2 and resident(sender) < size / 2
        count = 0
        while True:
            piece = receiver.process.stdout.read(1 << 20)
            if not piece:
                break
            count += len(piece)
        assert count == size
        sender.ends()
        receiver.ends()


@test
def it_stands_still_while_nobody_reads_what_a_dead_peer_has_sent():
    sent = [bytes(90000)] * 2 # the first fills the output, the second waits in the socket
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as idle, os.fdopen(writing, "wb"), Plain() as peer, \
            peer.start("-o", "raw", stdin=idle, stdout=subprocess.PIPE) as pipccat:
        peer.send(records(*sent))
        peer.socket.close()
        wait_until(lambda: stands_still(pipccat), "it waits")
        assert pipccat.process.stdout.read() == b"".join(sent)
        pipccat.ends()


if __name__ == "__main__":
    run_tests()
