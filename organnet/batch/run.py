"""The run over a batch: what is done is skipped, the rest is segmented, and every case answered."""

import contextlib
import sys
from functools import partial
from pathlib import Path

from tqdm import tqdm

from organnet.batch.books import Books, numbers_given, open_books
from organnet.batch.finding import find_inputs, numbered
from organnet.batch.formats import apart, choose_formats, why_not
from organnet.batch.inputs import Input
from organnet.batch.record import How
from organnet.batch.report import REPORT
from organnet.batch.worker import Answer, Segment, Worker
from organnet.errors import OrganNetError, RunError
from organnet.files import sha256
from organnet.layout import find_weights


def segment(
    inputs: list[Path],
    weights: list[Path],
    out: Path,
    deep: bool = False,
    formats: list[str] | None = None,
    anonymise: bool = False,
) -> int:
    """Segment every scan that `inputs` stand for and write it into `out` in every format.

    Beside the outputs lie manifest.csv, report.html and records/CASE.json with CASE.png. A case
    that was done before, with the same input, weights, formats and software, is skipped. With
    `anonymise` no path of an input is written anywhere.

    Returns how many cases failed while others did not; each is printed when it fails and again at
    the end. Raises OrganNetError where nothing could be done at all.
    """
    chosen = choose_formats(formats or ["nrrd"])
    try:
        str(out).encode()
    except UnicodeEncodeError:
        shown = str(out).encode(errors="replace").decode()
        raise OrganNetError(f"{shown} is no UTF-8 name: choose another --out") from None
    found = find_inputs(inputs, out)
    if not found.inputs:
        raise OrganNetError(f"all that was given lies below {out}: choose another --out")
    files = [find_weights(named) for named in weights]
    how = How(tuple(sha256(file) for file in files), chosen, deep, anonymise)
    scans = numbered(found.inputs, numbers_given(out)) if anonymise else found.inputs
    scans = apart(scans, chosen, deep, out)
    reasons = [why_not(given, chosen) for given in scans]
    if all(reasons):
        raise OrganNetError(str(reasons[0]))
    _tell_of(found.passed_over, anonymise)
    with contextlib.closing(Worker(partial(_load, files, how))) as worker:
        return run_batch(scans, worker, out, how)


def _tell_of(passed_over: list[Path], anonymise: bool) -> None:
    """Folders of patients without a CT are no failure, and yet should not go unseen."""
    if anonymise and passed_over:
        print(f"{len(passed_over)} folders hold no CT: passed over", file=sys.stderr)
        return
    for folder in passed_over:
        print(f"{folder} holds no CT: passed over", file=sys.stderr)


def _load(files: list[Path], how: How) -> Segment:
    """Called in the worker: what it needs is heavy, and stays out of the caller's process."""
    from organnet.batch.segmenter import Segmenter

    return Segmenter(files, how)


def run_batch(inputs: list[Input], worker: Worker, out: Path, how: How) -> int:
    """As `segment`, by this worker."""
    failures: dict[str, str] = {}
    with open_books(out, how, inputs) as books:
        for given in tqdm(inputs, unit="case", disable=None):
            answer = _segment(given, books, worker, only=len(inputs) == 1)
            if answer is None:
                tqdm.write(f"{given.name} was done before")
                for path in books.edited(given):
                    tqdm.write(f"{path} was changed since, and is kept")
            elif answer.message:
                failures[given.name] = answer.message
                if len(inputs) > 1:
                    tqdm.write(f"{given.name} failed: {answer.message}", file=sys.stderr)
            else:
                for name in answer.outputs:
                    tqdm.write(str(out / name))
                if answer.warnings:
                    count, s = len(answer.warnings), "" if len(answer.warnings) == 1 else "s"
                    told = f"{given.name}: {count} warning{s}, see {out / REPORT}"
                    tqdm.write(told, file=sys.stderr)
        books.finish()
    return _told(failures, len(inputs))


def _segment(given: Input, books: Books, worker: Worker, only: bool) -> Answer | None:
    """Segment one scan and keep what came of it; None where that was done before.

    The only scan of a run leaves nothing where it fails, unless the books have an earlier result
    of it. Where something is in the way, all stays as it is.
    """
    hashed, scan, note = "", given, books.keep
    try:
        hashed = given.sha256()
        if books.is_done(given, hashed):
            return None
        reason = books.in_the_way(given, hashed)
        if reason:
            note = books.leave
        else:
            reason = why_not(given, books.how.formats)
            scan = books.as_read(given)
    except OrganNetError as error:
        reason = str(error)
    answer = Answer(reason) if reason else worker.segment(scan, books.stage)
    if answer.message:
        answer = answer.failed(books.one_line(answer.message))
    if only and answer.message and not books.has_record(given):
        return answer
    return note(given, hashed, answer)


def _told(failures: dict[str, str], cases: int) -> int:
    """How many failed, after each was named once more; raises OrganNetError where all did."""
    if len(failures) == cases == 1:
        raise OrganNetError(*failures.values())
    for name, message in failures.items():
        print(f"{name} failed: {message}", file=sys.stderr)
    if len(failures) == cases:
        raise RunError(f"none of the {cases} cases could be segmented: see above")
    return len(failures)
