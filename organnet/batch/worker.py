"""A process apart that segments one scan after another, and may die without harm.

It loads the weights once. Whatever a scan does to it, the caller gets an answer; after a death a
fresh process takes the next scan.
"""

import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

from tqdm import tqdm

from organnet.batch.inputs import Input
from organnet.errors import OrganNetError, is_out_of_memory, one_line

REPORT_IT = "please report it as an error of organnet"
LONGEST_S = 3600.0
"""A scan takes minutes. Whatever takes an hour, a decoder that hangs, will not end."""


@dataclass(frozen=True)
class Answer:
    """What became of one scan.

    Attributes:
        message: why it failed, one line; empty where it did not.
        outputs: files written, below the folder that was asked for; the picture is not among them.
        notes: what was odd about the scan and handled, one line each.
        warnings: what a physicist should look at in the contours, one line each.
        volumes_ml: by organ that was found.
        removed: what earlier runs had written otherwise, and is gone.
        seconds: how long it took.
        peak_memory_mb: most memory the process had at once meanwhile; Linux alone tells.
    """

    message: str = ""
    outputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    volumes_ml: dict[str, float] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    seconds: float | None = None
    peak_memory_mb: int | None = None

    def failed(self, message: str) -> "Answer":
        """What is left to say of a scan that failed, or whose files cannot be kept."""
        return Answer(message, seconds=self.seconds, peak_memory_mb=self.peak_memory_mb)


Segment = Callable[[Input, Path], Answer]
"""Segments a scan, writes its outputs and its picture into a folder, and says what it found."""


class Worker:
    """Segments scans in a process of its own, which is started when it is first needed.

    `load` is called in that process and returns what segments a scan; it must be importable there.
    """

    def __init__(self, load: Callable[[], Segment]) -> None:
        self._load = load
        self._process = None
        self._line = None

    @property
    def pid(self) -> int | None:
        """The process' id; None while there is none."""
        return self._process.pid if self._process else None

    def segment(self, given: Input, folder: Path) -> Answer:
        """Segment a scan into a folder. Whatever happens to the process is in the answer.

        Raises OrganNetError where `load` does: without weights nothing can be done.
        """
        started = time.perf_counter()
        try:
            if self._process is None:
                self._start()
                started = time.perf_counter()  # loading the weights is no part of the case
            self._line.send((given, folder))
            answer = self._line.recv() if self._line.poll(LONGEST_S) else self._given_up()
        except (EOFError, OSError) as error:
            answer = Answer(self._epitaph() if self._process else _stillborn(error))
        return replace(answer, seconds=time.perf_counter() - started)

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._line.close()
            self._process = None

    def _start(self) -> None:
        spawn = get_context("spawn")  # a fork would share the parent's threads and memory
        self._line, theirs = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(theirs, self._load), daemon=True)
        with _deaf_to_the_terminal():  # it is born so
            process.start()
        self._process = process
        theirs.close()
        refusal = self._line.recv()
        if refusal is not None:
            self.close()
            raise OrganNetError(refusal)

    def _given_up(self) -> Answer:
        self.close()
        return Answer(
            f"it took more than {LONGEST_S / 60:.0f} minutes and was given up: "
            "try it alone, or a smaller part of it"
        )

    def _epitaph(self) -> str:
        """One line on how the process ended."""
        self._process.join()
        code = self._process.exitcode
        self.close()
        if code is not None and code < 0:
            hints = {
                signal.SIGKILL: ", perhaps for want of memory",
                signal.SIGSEGV: ", perhaps by a broken file",
            }
            said = (signal.strsignal(-code) or f"signal {-code}").lower()
            hint = hints.get(-code, "")
            return f"the process that segmented it was ended ({said}){hint}: try it again alone"
        return f"the process that segmented it ended with code {code}: {REPORT_IT}"


def _stillborn(error: Exception) -> str:
    reason = one_line(str(error))
    return f"no process could be started for it ({reason}): close other programs, try it again"


@contextlib.contextmanager
def _deaf_to_the_terminal() -> Iterator[None]:
    """Ctrl-C and a closed terminal go to every process: the parent hears them and ends ours."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():  # which alone may set them
        numbers = []
    earlier = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _serve(line: connection.Connection, load: Callable[[], Segment]) -> None:
    """What the process does: load, then answer until the line is closed."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    _die_first()
    tqdm.set_lock(threading.RLock())  # its own would be left behind, with a warning, by a kill
    try:
        segment = load()
    except Exception as error:
        line.send(_said(error))
        return
    with contextlib.suppress(EOFError, OSError):  # the caller is gone
        line.send(None)
        while True:
            given, folder = line.recv()
            line.send(_answer(segment, given, folder))


def _answer(segment: Segment, given: Input, folder: Path) -> Answer:
    _forget_peak()
    # What is unpacked goes, however this process ends. Where nothing is to be named, not even a
    # kill of all may leave it among the outputs: beside the link, as which such an input is given
    tempfile.tempdir = str(folder if given.names_path else given.path.parent)
    try:
        answer = segment(given, folder)
    except Exception as error:
        answer = Answer(_said(error, given.names_path))
    return replace(answer, peak_memory_mb=_peak_mb())


def _said(error: Exception, names_path: bool = True) -> str:
    """An error in one line; where no path may be named, an unexpected one without its own words."""
    if isinstance(error, OrganNetError):
        return str(error)
    if is_out_of_memory(error):
        return "not enough memory for it: close other programs or use a larger computer"
    message = one_line(str(error)) if names_path else "its message may name a file"
    return f"unexpected {type(error).__name__} ({message or 'no message'}): {REPORT_IT}"


def _end_with_the_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _die_first() -> None:
    """Where memory runs out, Linux is to take this process and not the one with the books."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _forget_peak() -> None:
    """So that the peak is one scan's. Linux alone can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return None
