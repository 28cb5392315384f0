"""Damaged files of every format: read, or refused in one line; no death, no hang, little memory."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from functools import partial
from random import Random

import pytest
from limited_reader import load_reader
from mutations import FORMATS, Target, damaged

from organnet.batch.inputs import Input
from organnet.batch.worker import REPORT_IT, Answer, Worker

if sys.platform != "linux":
    pytest.skip("Linux alone limits and tells a process' memory", allow_module_level=True)

COUNT = int(os.environ.get("ORGANNET_MUTATIONS", "20"))
"""How many files of each format; `make fuzz` tries 1,000."""
MOST_MB = 64
"""Beyond what reading the whole file takes, which holds a few kB."""
LONGEST_S = 60.0
"""By the clock, of which a busy machine takes more than the 10 s of processor time allowed."""
FINDING = re.compile(f"{REPORT_IT}|the process that|given up|to allocate|bad_alloc|(?i:memory)")


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in FORMATS.items()}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A process that has read whole files of its own, as it does again where it died."""
    whole = {name: make(tmp_path_factory.mktemp(name)).read for name, make in FORMATS.items()}
    with contextlib.closing(Worker(partial(load_reader, whole))) as worker:
        yield worker


def fault(answer: Answer, usual_mb: int) -> str | None:
    """What is wrong with an answer to a damaged file."""
    if answer.peak_memory_mb is not None and answer.peak_memory_mb > usual_mb + MOST_MB:
        return f"took {answer.peak_memory_mb - usual_mb} MB: {answer.message}"
    if FINDING.search(answer.message) or "\n" in answer.message:
        return answer.message
    return None


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_read_or_refused_in_one_line(
    name: str,
    targets: dict[str, Target],
    reader: Worker,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("organnet.batch.worker.LONGEST_S", LONGEST_S)
    target = targets[name]
    given, content = Input(name, target.read), target.file.read_bytes()
    whole = reader.segment(given, target.read.parent)
    assert whole.message == ""
    faults, refused = {}, 0
    for attempt in range(COUNT):
        target.file.write_bytes(damaged(target, content, Random(f"{name} {attempt}")))
        answer = reader.segment(given, target.read.parent)
        refused += bool(answer.message)
        found = fault(answer, whole.peak_memory_mb)
        if found:
            faults[attempt] = found
    target.file.write_bytes(content)
    assert not faults
    assert COUNT / 10 < refused < COUNT, "the damage is too small or too large to show anything"
    assert capfd.readouterr() == ("", "")
