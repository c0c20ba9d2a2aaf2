# SPDX-License-Identifier: MIT
"""The examples in which data goes through other processes: see abuse.py."""
import contextlib
import json
import os
import signal
import struct
import subprocess

from abuse import *

# The leak checker has a child too, and waits for ever when that one is killed.
NO_LEAK_CHECK = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
LINES = b"".join(b"line %d of the text\n" % i for i in range(3000))


def run(name, *arguments, text):
    """What it printed, and its exit code; text may be more than it reads."""
    with Program(name, *arguments) as program:
        program.type(text)
        program.end_input()
        code = program.must_end()
        return program.printed(), code, program.complained()


def frames(data):
    found = []
    while data:
        size = struct.unpack("!i", data[:4])[0]
        if size == -2: # a goodbye
            size, data = struct.unpack("!i", data[4:8])[0], data[4:]
        assert 0 <= size <= len(data) - 4, data[:20]
        found.append(data[4:4 + size])
        data = data[4 + size:]
    return found


# ---- The pipeline ----

def numbered(text):
    return b"".join(b"%d %s" % (i + 1, line) for i, line in
                    enumerate(text.upper().splitlines(keepends=True)))


@test
def the_pipeline_delivers_every_line_in_order():
    for text in b"", b"\n", b"one\ntwo", LINES, b"x" * 3000000 + b"\n":
        printed, code, complained = run("pipeline", text=text)
        assert code == 0 and printed == numbered(text), (code, complained, printed[:100])


@test
def a_killed_stage_ends_the_pipeline_with_a_failure():
    for stage in range(3):
        with Program("pipeline", environment=NO_LEAK_CHECK) as pipeline:
            pipeline.type(b"hello\n")
            wait_until(lambda: len(pipeline.children()) == 3, "three stages")
            os.kill(sorted(pipeline.children())[stage], signal.SIGKILL)
            pipeline.type(LINES)
            pipeline.end_input()
            pipeline.must_end(1)
            assert numbered(b"hello\n" + LINES).startswith(pipeline.printed())


@test
def no_stage_outlives_the_others_when_the_pipeline_is_killed():
    with Program("pipeline", environment=NO_LEAK_CHECK) as pipeline:
        wait_until(lambda: len(pipeline.children()) == 3, "three stages")
        for pid in pipeline.children()[:1] + [pipeline.pid]:
            os.kill(pid, signal.SIGKILL)
        pipeline.process.wait()
        pipeline.end_input()
        wait_until(pipeline.group_is_empty, "its stages end")


@test
def a_stage_passes_a_goodbye_on_and_fails_after_any_other_end():
    printed, code, _ = run("pipeline", "capitals", text=frame(b"abc") + GOODBYE)
    assert code == 0 and frames(printed) == [b"ABC", b"BYE"]
    for text in GARBAGE + [b"", frame(b"hello")]:
        printed, code, _ = run("pipeline", "capitals", text=frame(b"abc") + text)
        assert code == 1 and printed.startswith(frame(b"ABC")) and b"BYE" not in printed


# ---- The pool ----

def outcome(printed):
    return sorted(printed.splitlines(keepends=True))


@test
def the_pool_answers_every_task_but_the_one_that_kills():
    for text in b"", b"one\n", LINES, b"x" * 4000 + b"\n" + LINES:
        printed, code, complained = run("worker_pool", text=text)
        assert code == 0 and outcome(printed) == outcome(text.upper()) and not complained
    crashes = LINES.replace(b"line 7 of the text\n", b"crash\n")
    printed, code, complained = run("worker_pool", text=crashes)
    assert code == 0 and outcome(printed) == outcome(crashes.upper().replace(b"CRASH\n", b""))
    assert complained.count(b"has died") == 3 and complained.count(b"given up") == 1


@test
def the_pool_replaces_workers_that_are_killed():
    with Program("worker_pool", environment=NO_LEAK_CHECK) as pool:
        # A worker that is stopped has its task, and is killed at it.
        wait_until(lambda: len(pool.children()) >= 1, "a worker")
        first = pool.children()[0]
        os.kill(first, signal.SIGSTOP)
        pool.type(LINES)
        os.kill(first, signal.SIGKILL)
        pool.end_input()
        pool.must_end(0)
        assert outcome(pool.printed()) == outcome(LINES.upper())
        assert pool.complained().count(b"has died") == 1 and b"given up" not in pool.complained()


@test
def no_worker_outlives_a_killed_pool():
    with Program("worker_pool", environment=NO_LEAK_CHECK) as pool:
        pool.type(LINES)
        wait_until(lambda: pool.children(), "a worker")
        os.kill(pool.pid, signal.SIGKILL)
        pool.process.wait()
        wait_until(pool.group_is_empty, "its workers end")


# ---- Records ----

def record(sensor=b"kitchen", value=-1500, time=1700000000, version=1):
    return frame(struct.pack("!qiI16s", time, value, version, sensor))


@test
def records_look_the_same_to_another_language():
    printed, code, _ = run("records", "send", "kitchen", "-1500", "roof", "21000", text=b"")
    fields = [struct.unpack("!qiI16s", data) for data in frames(printed)]
    assert code == 0 and [(f[1], f[2], f[3].rstrip(b"\0")) for f in fields] == [
        (-1500, 1, b"kitchen"), (21000, 1, b"roof")]
    printed, code, _ = run("records", "receive", text=record() + GOODBYE)
    assert code == 0 and printed == b"1700000000 kitchen -1.500\n"


@test
def what_is_no_record_is_reported_and_skipped():
    for odd in (frame(b""), record()[:4] + b"\0" * 32, record(version=2), record(b"x" * 16),
                frame(bytes(31)), frame(bytes(33))):
        printed, code, complained = run("records", "receive", text=odd + record())
        assert code == 0 and printed == b"1700000000 kitchen -1.500\n"
        assert b"no record" in complained
    for text in GARBAGE:
        printed, _, _ = run("records", "receive", text=record() + text)
        assert printed == b"1700000000 kitchen -1.500\n"


# ---- JSON ----

@test
def the_json_service_answers_sums_and_errors():
    if not os.path.exists(os.path.join(EXAMPLES, "json_service")):
        print("is not built here: skipped", end=" ")
        return
    def ask(*messages, ending=b""):
        text = b"".join(map(frame, messages)) + ending
        printed, code, complained = run("json_service", text=text)
        return [json.loads(data) for data in frames(printed)], code
    assert ask(b'{"numbers": [1, 2, 3.5]}', b' {"numbers":[]}\n') == ([{"sum": 6.5}, {"sum": 0}], 0)
    odd = [b"", b"{", b"[1]", b"null", b'{"numbers": 1}', b'{"numbers": [1]} x', b"\xff\0",
           b"[" * 999, b'{"numbers": [1e308, 1e308]}', b'{"numbers": [1]']
    answers, code = ask(*odd)
    assert code == 0 and len(answers) == len(odd) and all("error" in answer for answer in answers)
    for garbage in GARBAGE + [GOODBYE]:
        answers, code = ask(b'{"numbers": [1]}', ending=garbage)
        assert answers[0] == {"sum": 1} and (code == 0 or garbage in GARBAGE)


# ---- A program behind a command ----

def remote(*command, text):
    return run("remote", *command, text=text)


@test
def a_remote_program_answers_each_line():
    port_program = os.path.join(EXAMPLES, "port_program")
    text = b"one\n\ntwo words\n" + b"x" * 300000 + b"\nlast"
    printed, code, complained = remote("sh", "-c", 'exec "$0"', port_program, text=text)
    assert code == 0 and printed == text.upper(), (code, complained)


@test
def a_remote_program_that_is_none_is_a_failure():
    say = 'dd bs=1 count=9 >/dev/null 2>&1; printf "%b" "$0"; exec cat >/dev/null'
    for garbage in GARBAGE + [GOODBYE]:
        octal = "".join("\\0%03o" % byte for byte in garbage)
        # Who is silent after half a message is waited for: so here the end comes as well.
        _, code, _ = remote("sh", "-c", say.replace("exec cat >/dev/null", "exit"), octal,
                            text=b"hello")
        assert code == 1
    for command in "exit 0", "exit 3", "kill -9 $$":
        _, code, _ = remote("sh", "-c", command, text=b"hello\n")
        assert code == 1
    assert remote(os.path.join(WORK, "missing"), text=b"hello\n")[1] == 1


@test
def tls_by_socat_carries_messages_and_refuses_strangers():
    if not all(map(shutil.which, ("socat", "openssl"))):
        print("no socat or no openssl here: skipped", end=" ")
        return
    script = os.path.join(os.path.dirname(__file__), "..", "examples", "tls.sh")
    def call(**environment):
        return subprocess.run(["sh", script, EXAMPLES], input=b"hello\nthere\n", timeout=PATIENCE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=dict(os.environ, **environment))
    done = call()
    assert done.returncode == 0 and done.stdout == b"HELLO\nTHERE\n", done.stderr
    done = call(TLS_STRANGER="1")
    assert done.returncode != 0 and done.stdout == b""


run_tests()
