# SPDX-License-Identifier: MIT
"""pipccat: whatever goes wrong, it ends, says why, and its exit code tells what it was."""
import os
import signal
import socket
import subprocess

from abuse import GARBAGE, GOODBYE, accept, listen, living
from pipccat import (BROKEN, GARBAGE_CAME, KEY, LOCAL, NO_PEER, OK, OUTPUT_CLOSED, PATIENCE,
                     PIPCCAT, PROGRAM, TIMEOUT, TOO_LARGE, USAGE, WORK, Plain, Started,
                     environment, interrupt, new_file, new_path, records, run, run_tests, test,
                     wait_until)

MIB = 1 << 20


@test
def garbage_arguments_are_refused():
    for arguments in [
            (), ("what",), ("fifo",), ("fifo", "a", "b"), ("tcp", "localhost"), ("serve",),
            ("tcp", "localhost", "0"), ("tcp", "localhost", "65536"), ("serve", "-1"),
            ("serve", "12x"), ("serve", " 1"), ("fd", "0"), ("fd", "x", "y"), ("fd", "-1", "1"),
            ("fd", "99999999999", "1"), ("fd", "0", "5"), ("fd", "500", "501"), ("exec",),
            ("exec", "--"), ("--bogus", "fifo", "a"), ("-i", "xml", "fifo", "a"),
            ("--output=", "fifo", "a"), ("-n", "0", "fifo", "a"), ("-n", "-1", "fifo", "a"),
            ("-t", "0", "fifo", "a"), ("-t", "1e3", "fifo", "a"), ("-t", "nan", "fifo", "a"),
            ("-w", "99999999999", "fifo", "a"), ("-m", "0", "fifo", "a"),
            ("-m", "1T", "fifo", "a"), ("-m", "99999999999999999999", "fifo", "a"),
            ("-m", "17179869184G", "fifo", "a"), ("-b", "1KK", "fifo", "a"),
            ("--mode=888", "serve-unix", "a"), ("--mode=600", "fifo", "a"),
            ("--once", "fifo", "a"), ("--pair", "unix", "a"), ("-d", "x", "unix", "a"),
            ("--host=::1", "fifo", "a"), ("--key-file=/nonexistent", "unix", "a"),
            ("--key-file=/dev/null", "unix", "a"), ("--key-env=PIPCCAT_NONE", "unix", "a"),
            ("--key-file=" + PIPCCAT, "unix", "a"), ("--key-md5", "unix", "a"),
            ("--echo", "--bench", "fifo", "a"), ("--echo", "-f", "x", "fifo", "a"),
            ("-i", "records", "-m", "3G", "fifo", "a"), ("-i", "blocks", "-m", "1K", "fifo", "a"),
            ("--bench", "-b", "1G", "fifo", "a"), ("fifo", "a/b"), ("fifo", ""), ("unix", "")]:
        run(*arguments, code=USAGE)


@test
def help_and_version_are_printed():
    assert run("--help")[0].startswith(b"usage: pipccat")
    assert run("-V", "nonsense")[0].startswith(b"pipccat (libpipc) ")
    with open("/dev/full", "wb") as full:
        process = subprocess.run([PIPCCAT, "--help"], stdout=full, timeout=PATIENCE)
        assert process.returncode == LOCAL


@test
def nobody_there_is_an_exit_code():
    path = new_path()
    run("-w", 0.1, "unix", path, code=NO_PEER)
    run("-w", 0, "fifo", "n", "-d", path, code=NO_PEER)
    run("-w", 0.1, "fifo", "n", "-d", path, code=NO_PEER)
    run("-w", 0.1, "serve-unix", path + "s", code=NO_PEER)
    assert not os.path.exists(path + "s") and os.listdir(path) == []
    with socket.socket() as bound: # and does not listen
        bound.bind(("127.0.0.1", 0))
        run("-w", 0.1, "tcp", "127.0.0.1", bound.getsockname()[1], code=NO_PEER)
    run("unix", PIPCCAT, code=NO_PEER) # no socket
    run("serve-unix", PIPCCAT, code=NO_PEER)
    run("serve-unix", path + "/no/such", code=NO_PEER)
    with Started("serve-unix", path + "t", "-v") as server:
        wait_until(lambda: b"listening" in server.complained(), "the server")
        run("serve-unix", path + "t", code=NO_PEER) # taken
        interrupt(server)


def serve(*arguments, **more):
    """A server on a path that listens. Returns it and the path."""
    path = new_path()
    server = Started("-v", *arguments, "serve-unix", path, **more)
    wait_until(lambda: b"listening" in server.complained(), "the server")
    return server, path


@test
def a_wrong_key_ends_the_client_and_not_the_server():
    secret = environment(SECRET="right")
    server, path = serve("--once", "--key-file=" + new_file(b"right"), stdin=b"in\n")
    with server:
        run("--key-file=" + new_file(b"wrong"), "unix", path, code=KEY)
        hint = run("--key-file=" + new_file(b"right\n"), "unix", path, code=KEY)[1]
        assert b"newline" in hint
        assert run("--key-env=SECRET", "unix", path, env=secret)[0] == b"in\n"
        server.ends()
    with Started("--once", "--key-env=SECRET", "serve", 0, env=secret) as tcp:
        port = tcp.port()
        run("--key-file=" + new_file(b"wrong"), "tcp", "127.0.0.1", port, code=KEY)
        run("--key-file=" + new_file(b"right"), "tcp", "127.0.0.1", port)
        tcp.ends()


@test
def programs_do_not_inherit_the_key():
    server, path = serve("--once", "--key-env=SECRET", "--reply", 'printf %s "<$SECRET>"',
                         env=environment(SECRET="right"))
    with server:
        run_key = ("--key-file=" + new_file(b"right"), "unix", path)
        assert run(*run_key, stdin=b"?\n")[0] == b"<>\n"
        server.ends()


@test
def a_silent_peer_is_a_timeout():
    with Plain() as peer, peer.start("-t", 0.2) as pipccat:
        pipccat.ends(TIMEOUT)
    with Plain() as peer, peer.start("-t", 0.2, stdin=records(b"x" * 8 * MIB)) as pipccat:
        pipccat.ends(TIMEOUT) # it reads nothing
    with Plain() as peer, peer.start("-t", 0.2, "--reply", "sleep 1000; true") as pipccat:
        peer.send(records(b"go"))
        pipccat.ends(TIMEOUT)
    run("-t", 0.2, "exec", "--", "sleep", 100, code=TIMEOUT)


@test
def a_killed_peer_is_an_end_or_a_broken_message():
    for sent, more, code in [(records(b"whole"), (), OK), (records(b"whole") + b"\0\0", (), BROKEN),
                             (records(b"whole") + b"\0\0\0\5ab", (), BROKEN),
                             (records(b"whole"), ("--need-bye",), BROKEN),
                             (records(b"whole") + GOODBYE, ("--need-bye",), OK)]:
        with Plain() as peer, peer.start(*more) as pipccat:
            peer.send(sent)
            peer.socket.close()
            assert pipccat.ends(code) == b"whole\n"
    path = new_path()
    with Started("-d", path, "fifo", "f") as receiver, \
            Started("-d", path, "fifo", "f", stdin=subprocess.PIPE) as sender:
        sender.process.stdin.write(b"before\n")
        sender.process.stdin.flush()
        wait_until(lambda: receiver.printed() == b"before\n", "a message")
        sender.process.kill()
        receiver.ends(OK)


@test
def a_peer_that_stops_reading_is_an_error_while_there_is_input():
    with open("/dev/zero", "rb") as endless, Plain() as peer, \
            peer.start("-i", "blocks", stdin=endless) as pipccat:
        peer.receive(1000000)
        peer.socket.close()
        pipccat.ends(BROKEN)


@test
def a_full_disk_and_a_closed_output_end_it():
    for form in ("text", "raw", "json"):
        with open("/dev/full", "wb") as full:
            run("-o", form, "exec", "--", "cat", stdin=b"a\n", stdout=full, code=LOCAL)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        run("exec", "--", "cat", stdin=b"a\n", stdout=closed, code=OUTPUT_CLOSED)
    command = '"$0" exec -- cat <"$1" >&-'
    process = subprocess.run(["sh", "-c", command, PIPCCAT, new_file(b"a\n")], timeout=PATIENCE,
                             stderr=subprocess.PIPE)
    assert process.returncode == LOCAL and b"standard output" in process.stderr


@test
def input_that_cannot_be_read_ends_it():
    run("-f", "/nonexistent", "exec", "--", "cat", code=LOCAL)
    run("-f", WORK, "exec", "--", "cat", code=LOCAL)
    for cut in (b"\0\0", records(b"abc")[:-1]):
        assert run("-i", "records", "exec", "--", "cat", stdin=cut, code=LOCAL)[0] == b""
    process = subprocess.run(["sh", "-c", '"$0" exec -- cat <&-', PIPCCAT], timeout=PATIENCE,
                             stderr=subprocess.PIPE)
    assert process.returncode == LOCAL and b"standard input" in process.stderr


@test
def messages_over_the_limit_are_an_error():
    limited = ("-m", "1K", "exec", "--", "cat")
    whole = b"x" * 1024
    for form, right, wrong in [("lines", whole + b"\n", whole + b"y\n"),
                               ("lines", whole, whole * 99),
                               ("file", whole, whole + b"y"),
                               ("records", records(whole), records(whole + b"y")),
                               ("records", records(b""), b"\xff\xff\xff\xff")]:
        run("-i", form, *limited, stdin=right)
        run("-i", form, *limited, stdin=wrong, code=TOO_LARGE)
    with Plain() as peer, peer.start("-m", "1K") as pipccat:
        peer.send(records(whole, whole + b"y"))
        assert pipccat.ends(GARBAGE_CAME) == whole + b"\n"


@test
def count_ends_it_after_so_many_messages():
    with Plain() as peer, peer.start("-n", 2, stdin=b"ask\n") as pipccat:
        assert peer.receive(7) == records(b"ask")
        peer.send(records(b"1", b"2", b"3"))
        assert pipccat.ends() == b"1\n2\n"
    server, path = serve("-n", 3)
    with server:
        run("unix", path, stdin=b"1\n2\n")
        run("unix", path, stdin=b"3\n")
        assert server.ends() == b"1\n2\n3\n"
    assert run("-n", 5, "-o", "none", "exec", "--", PIPCCAT, "-f", "/dev/zero", "-i", "blocks",
               "-o", "none", "fd", 0, 1)[0] == b""


@test
def an_end_before_so_many_messages_is_an_exit_code():
    with Plain() as peer, peer.start("-n", 2, stdin=b"ask\n") as pipccat:
        peer.send(records(b"1"))
        peer.end()
        assert pipccat.ends(BROKEN) == b"1\n"
    run("-n", 2, "exec", "--", PIPCCAT, "-f", "/dev/null", "-o", "none", "fd", 0, 1, code=BROKEN)
    server, path = serve("-n", 3, "--once")
    with server:
        run("unix", path, stdin=b"1\n2\n")
        assert server.ends(BROKEN) == b"1\n2\n"


@test
def reply_answers_each_message_with_what_a_command_prints():
    large = b"z" * MIB
    server, path = serve("--reply", "cat; echo .")
    with server:
        sent = records(b"a", b"", b"\0b\n", large)
        got = run("-i", "records", "-o", "records", "unix", path, stdin=sent)[0]
        assert got == records(b"a.\n", b".\n", b"\0b\n.\n", large + b".\n")
        interrupt(server)
    with Plain() as peer, peer.start("--reply", "echo ignored") as pipccat:
        peer.send(records(large, b"x"))
        assert peer.receive(24) == records(b"ignored\n", b"ignored\n")
        peer.end()
        pipccat.ends()
    with Plain() as peer, peer.start("--reply", "cat", "-n", 1) as pipccat:
        peer.send(records(b"1", b"2"))
        assert peer.receive(5) == records(b"1")
        pipccat.ends()


@test
def a_command_that_does_not_end_is_ended_with_all_that_it_started():
    group = new_path()
    command = "echo $$ >%s; mv %s %s.; sleep 1000; true" % (group, group, group)
    with Plain() as peer, peer.start("--reply", command) as pipccat:
        peer.send(records(b"go"))
        wait_until(lambda: os.path.exists(group + "."), "the command")
        interrupt(pipccat)
    with open(group + ".") as file:
        number = int(file.read())
    wait_until(lambda: all(int(fields[2]) != number for _, fields in living()), "all end")


@test
def a_command_that_fails_is_no_end_in_order_for_the_client_and_the_server_goes_on():
    server, path = serve("--bye=done", "--reply", 'read -r word; [ "$word" = ok ] && echo "$word"')
    with server:
        for option in ["--need-bye", "-n1"]:
            run("unix", path, option, stdin=b"no\n", code=BROKEN)
            assert run("unix", path, option, stdin=b"ok\n")[0] == b"ok\n\n"
        assert run("unix", path, "--need-bye", stdin=b"ok\nno\nok\n", code=BROKEN)[0] == b"ok\n\n"
        interrupt(server)
    for command, code in [("exit 3", PROGRAM), ("kill -9 $$", PROGRAM),
                          ("cat /dev/zero", TOO_LARGE)]:
        with Plain() as peer, peer.start("-m", "1M", "--reply", command) as pipccat:
            peer.send(records(b"x"))
            pipccat.ends(code)


@test
def a_program_that_fails_is_an_exit_code():
    run("exec", "--", "/nonexistent", code=PROGRAM)
    run("exec", "--", "sh", "-c", "exit 3", code=PROGRAM)
    run("exec", "--", "sh", "-c", "kill -9 $$", code=PROGRAM)
    run("exec", "--", "sh", "-c", "exec >&-; cat >/dev/null; exit 4", code=PROGRAM)
    run("exec", "--", "head", "-c", 3, stdin=b"more than three bytes\n", code=BROKEN)


@test
def hostile_bytes_end_it_in_order_and_reach_no_terminal():
    for bytes_ in GARBAGE:
        with Plain() as peer, peer.start() as pipccat:
            peer.send(bytes_)
            peer.socket.close()
            code = pipccat.process.wait(PATIENCE)
            assert code in (OK, BROKEN, GARBAGE_CAME), (bytes_, code, pipccat.complained())
            assert code == OK or pipccat.complained()
    with Plain() as peer, peer.start(stdin=subprocess.PIPE) as pipccat:
        peer.send(GARBAGE[0])
        pipccat.ends(GARBAGE_CAME) # also while there may be more input
    with Plain() as peer, peer.start() as pipccat:
        evil = b"BYE" + bytes(range(256)) + b"\x1b]0;x\x07"
        peer.send(b"\xff\xff\xff\xfe" + records(evil))
        peer.end()
        pipccat.ends()
        assert all(byte == 10 or 32 <= byte < 127 for byte in pipccat.complained())


@test
def a_server_survives_clients_that_break_off_or_send_garbage():
    with Started("--echo", "serve", 0) as server:
        address = ("127.0.0.1", server.port())
        for bytes_ in GARBAGE:
            with socket.create_connection(address, timeout=PATIENCE) as client:
                client.sendall(bytes_)
        assert run("tcp", *address, stdin=b"alive\n")[0] == b"alive\n"
        interrupt(server)


@test
def a_server_that_resets_is_an_error():
    listener, address, port = listen()
    with listener, Started("-i", "none", "tcp", address, port) as client:
        connection = accept(listener)
        connection.sendall(b"\0\0\0\5ab")
        connection.close()
        client.ends(BROKEN)


@test
def signals_end_it_and_leave_nothing():
    path = new_path()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        server, name = serve()
        with server:
            interrupt(server, number)
            assert not os.path.exists(name)
        with Started("-d", path, "fifo", "f") as waiter:
            wait_until(lambda: os.path.exists(path) and "f" in os.listdir(path), "the FIFO")
            interrupt(waiter, number)
            assert os.listdir(path) == []
    program = ("sh", "-c", "echo started >&2; exec sleep 1000")
    with Started("exec", "--", *program, stdin=subprocess.PIPE) as pipccat:
        wait_until(lambda: b"started" in pipccat.complained(), "the program")
        interrupt(pipccat)


@test
def bench_measures_a_peer_that_echoes_and_no_other():
    printed = run("--bench", "-n", 200, "exec", "--", PIPCCAT, "--echo", "fd", 0, 1)[0]
    assert printed.startswith(b"round trips  200 of 16 bytes") and b"rate" in printed
    run("--bench", "-n", 20, "-b", "1M", "exec", "--", PIPCCAT, "--echo", "fd", 0, 1)
    run("--bench", "exec", "--", PIPCCAT, "--reply", "echo", "fd", 0, 1, code=BROKEN)
    run("--bench", "exec", "--", "true", code=BROKEN)
    run("--bench", "-t", 0.2, "exec", "--", "sleep", 1000, code=TIMEOUT)


if __name__ == "__main__":
    run_tests()
