"""The run over a batch: what is done is skipped, the rest is segmented, and every case answered."""

import contextlib
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from organnet.batch.books import Books
from organnet.batch.finding import find_inputs, numbered
from organnet.batch.formats import apart, choose_formats, holds_entropy, lacking, why_not
from organnet.batch.inputs import Input
from organnet.batch.opening import numbers_given, open_books
from organnet.batch.record import How
from organnet.batch.report import REPORT
from organnet.batch.worker import Answer, Segment, Worker
from organnet.errors import OrganNetError, RunError
from organnet.files import sha256
from organnet.layout import WEIGHTS_NAME, find_weights


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
    that was done before in these formats, with the same input, weights and software, is skipped.
    With `anonymise` no path of an input is written anywhere.

    Returns how many cases failed while others did not; each is printed when it fails and again at
    the end. Raises OrganNetError where nothing could be done at all.
    """
    chosen = choose_formats(formats or ["nrrd"])
    if deep and not holds_entropy(chosen):
        print("no entropy map is written: add --format nrrd or nifti for it", file=sys.stderr)
    try:
        str(out).encode()
    except UnicodeEncodeError:
        shown = str(out).encode(errors="replace").decode()
        raise OrganNetError(f"{shown} is no UTF-8 name: choose another --out") from None
    found = find_inputs(inputs, out)
    if not found.inputs:
        raise OrganNetError(f"all that was given lies below {out}: choose another --out")
    files = [find_weights(named) for named in weights]
    names = tuple(map(_called, weights))
    how = How(tuple(sha256(file) for file in files), chosen, deep, anonymise, names=names)
    scans = numbered(found.inputs, numbers_given(out)) if anonymise else found.inputs
    scans = apart(scans, chosen, deep, out)
    reasons = [why_not(given, chosen) for given in scans]
    if all(reasons):
        raise OrganNetError(str(reasons[0]))
    _tell_of(found.passed_over, anonymise)
    with contextlib.closing(Worker(partial(_load, files, how))) as worker:
        return run_batch(scans, worker, out, how)


def _called(weights: Path) -> str:
    """What weights are called in manifest and report: by their run's folder, file or own name."""
    path = weights.resolve()
    name = path.parent.name if path.name == WEIGHTS_NAME else path.name
    return name.encode(errors="replace").decode()


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
            books.clear_stage()
            _tell(_removed(answer), given)
            if answer is None or not answer.message:
                books.lacking[given.name] = lacking(how.formats, given.is_dicom)
            if answer is None:
                _say(f"{given.name} was done before")
                for path in books.edited(given):
                    _say(f"{path} was changed since, and is kept")
                _tell(books.lacking[given.name], given)
            elif answer.message:
                failures[given.name] = answer.message
                if len(inputs) > 1:
                    _say(f"{given.name} failed: {answer.message}", file=sys.stderr)
            else:
                for name in answer.outputs:
                    _say(str(out / name))
                for path in books.edited(given):
                    _say(
                        f"{path} was changed since, and is kept; new files are without that change"
                    )
                _tell(books.lacking[given.name], given)
                _tell(map(books.one_line, _of_scan(answer, out)), given)
        books.finish()
    return _told(failures, len(inputs))


def _say(line: str, file: TextIO | None = None) -> None:
    """A line above the bar.

    Without tqdm's lock: where Ctrl-C comes before it is taken, letting go of it is an error.
    """
    tqdm.write(line, file=file, nolock=True)


def _tell(lines: Iterable[str], given: Input) -> None:
    for line in lines:
        _say(f"{given.name}: {line}", file=sys.stderr)


def _removed(answer: Answer | None) -> list[str]:
    """What is gone of earlier runs, in one line."""
    if answer is None or not answer.removed:
        return []
    first, rest = answer.removed[:3], answer.removed[3:]
    names = ", ".join(first) + (f" and {len(rest)} more" if rest else "")
    return [f"{names} of an earlier run, made otherwise, removed"]


def _of_scan(answer: Answer, out: Path) -> list[str]:
    """What is to be known at once of a scan, and where the rest stands."""
    if len(answer.warnings) < 2:
        return [*answer.notes, *answer.warnings]
    count = len(answer.notes) + len(answer.warnings)
    return [*answer.notes, f"{count} warnings, see {out / REPORT}"]


def _segment(given: Input, books: Books, worker: Worker, only: bool) -> Answer | None:
    """Segment one scan and keep what came of it; None where that was done before.

    The only scan of a run leaves nothing where it fails, unless the books have an earlier result
    of it. Where something is in the way, all stays as it is.
    """
    hashed, scan, note = "", given, books.keep
    try:
        hashed = given.sha256()
        reason = why_not(given, books.how.formats)
        if not reason and not books.to_write(given, hashed):
            return None
        if not reason:
            reason = books.in_the_way(given, hashed)
            note = books.leave if reason else books.keep
        if not reason:
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
