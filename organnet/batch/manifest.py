"""OUT/manifest.csv: what came of every input, one row each, made of the records."""

import csv
from collections.abc import Collection, Iterable
from pathlib import Path

from organnet.batch.record import DONE, Record
from organnet.files import atomic_path

MANIFEST = "manifest.csv"
DONE_BEFORE = "done before"
COLUMNS = (
    *("case", "input", "outputs", "status", "message", "warnings", "seconds", "peak_memory_mb"),
    *("organnet_version", "weights", "weights_sha256"),
)


def write_manifest(out: Path, records: Iterable[Record], done_before: Collection[str]) -> None:
    """Write the table; `done_before` names the cases that an earlier run did.

    An input that is not to be named is told by its SHA-256. Lists are joined by semicolons.
    Of warnings it has the number; report.html has their words.
    """
    with (
        atomic_path(out / MANIFEST) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for record in records:
            before = record.status == DONE and record.case in done_before
            seconds, memory = record.measured.seconds, record.measured.peak_memory_mb
            table.writerow(
                [
                    record.case,
                    record.input if record.input is not None else record.input_sha256,
                    ";".join(record.outputs),
                    DONE_BEFORE if before else record.status,
                    record.message,
                    len(record.warnings) if record.status == DONE else "",
                    "" if seconds is None else f"{seconds:.1f}",
                    "" if memory is None else memory,
                    record.how.organnet,
                    ";".join(record.how.names),
                    ";".join(record.how.weights),
                ]
            )
