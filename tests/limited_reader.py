"""A worker that reads files of every format as the commands do, with its memory and time limited.

Nothing heavy is imported here: the worker's process imports this file.
"""

import re
import resource
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from organnet.batch.inputs import KINDS, Input, kind_of
from organnet.batch.worker import Answer, Segment

if TYPE_CHECKING:
    from organnet.dicom.images import DicomCT

MOST_SECONDS = 10
"""Of the processor, since other programs may have it meanwhile."""
ADDRESSES_MB = 512
"""No more memory may be asked for, used or not."""


def load_reader(whole: dict[str, Path]) -> Segment:
    """What reads a file of the format by which its input is called; RT Structure Sets on a series.

    Each whole file is read once, so that all there is to import is in memory; then comes the limit.
    """
    from organnet.dicom.ct import read_dicom_ct

    reader = partial(_read, read_dicom_ct(whole["rtstruct"].parent / "series"))
    for name, path in whole.items():
        reader(Input(name, path), path.parent)
    size_kb = re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1]
    most = (int(size_kb) + ADDRESSES_MB * 1024) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    return reader


def _read(series: "DicomCT", given: Input, folder: Path) -> Answer:
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)  # its signal ends the process
    try:
        if given.name == "rtstruct":
            from organnet.dicom.rtstruct import read_rtstruct

            read_rtstruct(given.path, series)
        elif given.name == "weights":
            from organnet.weights import load_network

            load_network(given.path)
        else:
            KINDS[kind_of(given.path)].read(given.path, False)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return Answer()
