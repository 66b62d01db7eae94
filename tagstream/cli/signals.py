"""Ctrl-C, SIGTERM and SIGHUP: always noticed, and answered in one place for every command.

Python runs the handler of a signal in the main thread, between two bytecodes. A main thread that is about to wait in a
lock when the signal comes, or that the kernel did not choose to interrupt, learns of it when the wait ends, which may
be never. So nothing is done in handlers here. A thread of its own reads the numbers of the signals from a pipe, which
Python's handler in C fills at once in whichever thread it runs (``signal.set_wakeup_fd``), and answers:

* usually by raising :class:`Interrupted` in the main thread, which it wakes again and again until that has happened;
* in a block of :func:`answered`, by calling the next of the functions that the block was given.

Who has no answer left gives the command ten seconds more to end, and then ends it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["Interrupted", "answered", "begin", "exit_code", "finish", "listen"]

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Ignored unless somebody asks for it, so that no harm is done when it comes before or after.
_WAKING = signal.SIGURG
_WAKING_SECONDS = 0.05
_LAST_SECONDS = 10.0

Answer = Callable[[], object]


class Interrupted(KeyboardInterrupt):
    """Signal ``number`` has come. What is to be typed next goes into notes (:meth:`add_note`)."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = number


def exit_code(number: int) -> int:
    """130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP: what shells say of a program that a signal ended."""
    return 128 + number


def listen() -> None:
    """Notice signals from now on until this process ends; :func:`begin` to :func:`finish` is what they interrupt."""
    if _Listener.current is None:
        _Listener().start()


def begin() -> None:
    """Who calls this catches :class:`Interrupted`: raise it from now on, also for a signal that has come before."""
    if _Listener.current is not None:
        _Listener.current.begun = True


def finish() -> None:
    """The command has said its last word: from now on no signal raises anything."""
    if _Listener.current is not None:
        _Listener.current.finish()


@contextmanager
def answered(*answers: Answer) -> Iterator[list[int]]:
    """In this block the n-th signal calls the n-th of ``answers``, in a thread, and nothing is raised.

    Yields the list of the signals' numbers, which grows as they come. Once there was one, the command is ending:
    further ones raise nothing after the block either.
    """
    listener = _Listener.current
    temporary = listener is None
    if listener is None:
        listener = _Listener()
        listener.start()
    before, listener.answers = listener.answers, answers
    try:
        yield listener.received
    finally:
        if not listener.received:
            listener.answers = before
        if temporary:
            listener.stop()


class _Listener:
    """The handlers, the pipe and the thread; at most one in a process."""

    current: _Listener | None = None

    def __init__(self) -> None:
        self.received: list[int] = []
        self.answers: tuple[Answer, ...] = (self._interrupt,)
        self.begun = False
        self._raising: int | None = None
        self._raised = False
        self._stopped = threading.Event()

    def start(self) -> None:
        """To be called in the main thread."""
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        # The pipe first: a handler without it would swallow its signal.
        self._fd_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._before = {_WAKING: signal.signal(_WAKING, self._on_waking)}
        for number in _NUMBERS:
            # nohup: who is to outlive the terminal.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, _on_signal)
        self._thread = threading.Thread(target=self._answer_all, name="signals", daemon=True)
        self._thread.start()
        _Listener.current = self

    def finish(self) -> None:
        self.answers = ()
        self._raised = True
        if self.received:
            # The interpreter's own end puts handlers back, and one signal more would change the exit code.
            for number in _NUMBERS:
                signal.signal(number, signal.SIG_IGN)
            threading.Thread(target=self._end_soon, daemon=True).start()

    def stop(self) -> None:
        """Put everything back as it was."""
        _Listener.current = None
        self._stopped.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        os.close(self._writer)
        self._thread.join(timeout=_LAST_SECONDS)
        os.close(self._reader)

    def _answer_all(self) -> None:
        while numbers := os.read(self._reader, 512):
            for number in numbers:
                if number in _NUMBERS:
                    self._answer(number)

    def _answer(self, number: int) -> None:
        self.received.append(number)
        count = len(self.received)
        if count <= len(self.answers):
            # A closed terminal takes no words any more; the rest of an answer is not about words.
            with suppress(OSError, ValueError):
                self.answers[count - 1]()
        else:
            self._end_soon()

    def _end_soon(self) -> None:
        if not self._stopped.wait(_LAST_SECONDS):
            with suppress(OSError):
                os.write(2, b"It did not end within 10 s, and is ended.\n")
            os._exit(exit_code(self.received[0]))

    def _interrupt(self) -> None:
        self._raising = self.received[0]
        main = threading.main_thread()
        while not self._raised and main.is_alive():
            if self.begun:
                signal.pthread_kill(main.ident or 0, _WAKING)
            time.sleep(_WAKING_SECONDS)

    def _on_waking(self, _number: int, _frame: FrameType | None) -> None:
        if self._raising is not None and not self._raised:
            self._raised = True
            raise Interrupted(self._raising)


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    """Without a handler of Python's there would be none in C that writes to the pipe."""
