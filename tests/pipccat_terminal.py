# SPDX-License-Identifier: MIT
"""pipccat in terminals: pseudo-terminals of this test, and windows of tmux where that is."""
import contextlib
import os
import pty
import select
import shutil
import subprocess
import time

from pipccat import (PATIENCE, PIPCCAT, Plain, new_file, new_path, records, run_tests, test,
                     wait_until)


class Terminal:
    """A terminal; `theirs` is for the program. What that prints is in `shown`."""

    def __init__(self):
        self.master, self.theirs = pty.openpty()
        self.shown = b""

    def wait_for(self, text):
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            left = deadline - time.monotonic()
            assert left > 0 and self.read(left), (text, self.shown)
        return self.shown

    def read(self, patience):
        if not select.select([self.master], [], [], patience)[0]:
            return False
        try:
            piece = os.read(self.master, 65536)
        except OSError: # nobody has it open any more
            return False
        self.shown += piece
        return bool(piece)

    def read_rest(self):
        os.close(self.theirs)
        self.theirs = None
        while self.read(PATIENCE):
            pass
        return self.shown

    def type(self, text):
        os.write(self.master, text)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        os.close(self.master)
        if self.theirs is not None:
            os.close(self.theirs)


SIZE = 8 << 20


@test
def the_progress_line_shows_rate_and_percentage():
    path = new_file(bytes(SIZE))
    with Terminal() as terminal, Plain() as peer, \
            peer.start("-p", "-i", "blocks", "-f", path, stderr=terminal.theirs) as pipccat:
        terminal.wait_for(b" %, ") # part of it has gone, and the peer does not read
        assert b"100 %" not in terminal.shown and b"iB/s" in terminal.shown, terminal.shown
        peer.receive(SIZE + SIZE // (256 << 10) * 4)
        peer.end()
        pipccat.ends()
        last = terminal.read_rest().rstrip().rpartition(b"\r")[2]
        assert b"sent 8.0 MiB, received 0 B, " in last and b"100 %" in last, last
        assert terminal.shown.endswith(b"\r\n")


@test
def progress_appears_by_itself_in_a_long_transfer():
    with Terminal() as terminal, Plain() as peer, \
            peer.start("-i", "blocks", "-f", new_file(bytes(SIZE)), stderr=terminal.theirs):
        terminal.wait_for(b" %, ")


@test
def a_receiver_shows_how_much_has_come():
    with Terminal() as terminal, Plain() as peer, \
            peer.start("--progress", stderr=terminal.theirs) as pipccat:
        peer.send(records(bytes(1 << 20)))
        terminal.wait_for(b"received 1.0 MiB")
        peer.end()
        pipccat.ends()
        assert b"%" not in terminal.read_rest()


@test
def a_short_transfer_a_file_or_quiet_show_no_progress():
    path = new_file(b"short\n")
    for more in ((), ("-q", "-p")):
        with Terminal() as terminal, Plain() as peer, \
                peer.start(*more, "-f", path, stderr=terminal.theirs) as pipccat:
            peer.end()
            pipccat.ends()
            assert terminal.read_rest() == b""
    with Plain() as peer, peer.start("-p", "-f", path) as pipccat:
        peer.end()
        pipccat.ends()
        assert pipccat.complained() == b""


@test
def a_peer_cannot_control_the_terminal():
    evil = b"\x1b]0;title\x07\x9b31m\x7f\ttab"
    fine = "grün € \u009b31m".encode()
    with Terminal() as terminal, Plain() as peer, peer.start(stdout=terminal.theirs) as pipccat:
        peer.send(records(evil, fine))
        peer.end()
        pipccat.ends()
        shown = terminal.read_rest()
    assert b"\\x1b]0;title\\x07\\x9b31m\\x7f\ttab\r\n" in shown.replace(b"        ", b"\t"), shown
    assert "grün € \\xc2\\x9b31m\r\n".encode() in shown, shown


@test
def typed_lines_are_sent_at_once_and_the_end_of_the_peer_is_the_end():
    with Terminal() as terminal, Plain() as peer, \
            peer.start(stdin=terminal.theirs, stdout=terminal.theirs) as pipccat:
        terminal.type(b"hello\n")
        assert peer.receive(9) == records(b"hello")
        peer.send(records(b"answer"))
        terminal.wait_for(b"answer\r\n")
        peer.end()
        pipccat.ends()
    with Terminal() as terminal, Plain() as peer, peer.start(stdin=terminal.theirs) as pipccat:
        terminal.type(b"\x04") # the end of input
        assert peer.socket.recv(1) == b""
        peer.end()
        pipccat.ends()


@test
def an_interrupt_from_the_keyboard_ends_it():
    path = new_path()
    with Terminal() as terminal:
        pid = os.fork()
        if pid == 0:
            os.setsid()
            os.close(os.open(os.ttyname(terminal.theirs), os.O_RDWR)) # it controls this session
            for fd in range(3):
                os.dup2(terminal.theirs, fd)
            os.execv(PIPCCAT, [PIPCCAT, "-v", "serve-unix", path])
        terminal.wait_for(b"listening")
        terminal.type(b"\x03")
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == 2 and not os.path.exists(path)


@contextlib.contextmanager
def tmux():
    socket = new_path()

    def call(*arguments):
        return subprocess.run(["tmux", "-f", "/dev/null", "-S", socket, *arguments], check=True,
                              stdout=subprocess.PIPE, timeout=PATIENCE).stdout

    try:
        yield call
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            call("kill-server")


@test
def two_windows_of_tmux_chat():
    if shutil.which("tmux") is None:
        print("(skipped: no tmux here)", end=" ")
        return
    where = new_path()
    # tmux itself may miss the end of a program, and its status.
    command = "'%s' -d '%s' fifo chat; echo ended with $?; exec cat" % (PIPCCAT, where)
    with tmux() as call:
        for name in ("one", "two"):
            call("new-session", "-d", "-s", name, "-x", "80", "-y", "24", command)

        def shows(name, text):
            wait_until(lambda: text in call("capture-pane", "-p", "-t", name), text.decode())

        call("send-keys", "-t", "one", "good morning", "Enter")
        shows("two", b"good morning")
        call("send-keys", "-t", "two", "good evening", "Enter")
        shows("one", b"good evening")
        call("send-keys", "-t", "one", "C-d")
        shows("one", b"ended with 0")
        shows("two", b"ended with 0")


if __name__ == "__main__":
    run_tests()
