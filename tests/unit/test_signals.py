"""Signals that the kernel hands to another thread, while the main one waits in a lock without an end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from tagstream.cli.signals import answered

_WAITING = """
import signal, threading, time
from tagstream.cli import signals

def other():
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), signal.{number})
    threading.Event().wait(60)

lock = threading.Lock()
# Whoever started the tests with nohup ignores it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signals.listen()
try:
    signals.begin()
    with lock:
        threading.Thread(target=other, daemon=True).start()
        lock.acquire()
except signals.Interrupted as interrupt:
    signals.finish()
    raise SystemExit(signals.exit_code(interrupt.number))
"""


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_main_thread_in_a_lock_is_interrupted_whichever_thread_the_signal_came_to(number: str, code: int) -> None:
    program = [sys.executable, "-c", _WAITING.format(number=number)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (code, "")


def test_the_nth_signal_has_the_nth_answer_and_all_is_as_before_afterwards() -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGURG)]
    said: list[str] = []
    first, second = threading.Event(), threading.Event()

    def answer() -> None:
        said.append("first")
        first.set()
        raise OSError("the terminal is closed")

    def again() -> None:
        said.append("second")
        second.set()

    with answered(answer, again) as received:
        os.kill(os.getpid(), signal.SIGTERM)
        assert first.wait(60)
        os.kill(os.getpid(), signal.SIGINT)
        assert second.wait(60)
    assert said == ["first", "second"]
    assert received == [signal.SIGTERM, signal.SIGINT]
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGURG)]
    assert after == handlers
    assert signal.set_wakeup_fd(-1) == -1
