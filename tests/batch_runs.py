"""Runs over six tiny CTs, by a worker without a network: what the tests of batches share."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from batch_parts import (
    HOW,
    load_stand_in,
    manifest,
    write_tiny,
)

from organnet.batch.finding import find_inputs, numbered
from organnet.batch.opening import numbers_given
from organnet.batch.run import run_batch
from organnet.batch.worker import Worker


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of six tiny CTs."""
    folder = tmp_path_factory.mktemp("scans")
    for number, suffix in enumerate((".nrrd", ".mha", ".nii.gz") * 2):
        write_tiny(folder / f"scan{number}{suffix}", number)
    return folder


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """The stand-in's process, for many tests."""
    with contextlib.closing(Worker(load_stand_in)) as worker:
        yield worker


def run(folder: Path, out: Path, worker: Worker, how=HOW, anonymise=False) -> int:
    inputs = find_inputs([folder / "*"]).inputs
    if anonymise:
        inputs = numbered(inputs, numbers_given(out))
    return run_batch(inputs, worker, out, replace(how, anonymise=anonymise))


def statuses(out: Path) -> list[str]:
    return [row["status"] for row in manifest(out)]
