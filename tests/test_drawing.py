"""Patches drawn on a GPU, a batch ahead; without a GPU."""

import contextlib
import multiprocessing
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from training_parts import CASES, settings

from organnet.checkpoints import Clock
from organnet.errors import RunError
from organnet.patches import CPU, Batch, volumes_on
from organnet.prepared import PreparedCase
from organnet.training import batches, drawn_ahead


@pytest.fixture
def read_by(monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    """CUDA streams where there is no CUDA: work on them is done at once; who reads what is kept."""
    kept: dict[int, str] = {}
    monkeypatch.setattr(torch.cuda, "Stream", lambda: SimpleNamespace(synchronize=lambda: None))
    monkeypatch.setattr(torch.cuda, "stream", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: "the network's")
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda x, who: kept.update({id(x): who}))
    return kept


def drawing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("drawing")]


def one_patch(value: int) -> Batch:
    labels = torch.full((1, 2, 2, 2), value, dtype=torch.uint8)
    return Batch(labels[None].float(), labels, torch.ones(1, 10, dtype=torch.bool))


def test_a_gpu_draws_one_batch_ahead_and_keeps_it_until_it_is_learned_from(
    read_by: dict[int, str],
) -> None:
    drawn = [threading.Event() for _ in range(4)]

    def draw() -> Iterator[Batch]:
        for n, event in enumerate(drawn):
            event.set()
            yield one_patch(n)

    for n, batch in enumerate(drawn_ahead(draw())):
        assert batch.labels.unique().item() == n
        assert read_by[id(batch.ct)] == read_by[id(batch.labels)] == "the network's"
        assert n == 3 or drawn[n + 1].wait(10), "the next is not drawn before it is asked for"
        assert n > 1 or not drawn[n + 2].is_set()
    assert n == 3 and not drawing_threads()


@pytest.mark.usefixtures("read_by")
def test_a_gpu_that_cannot_draw_says_so_and_its_thread_ends() -> None:
    def draw() -> Iterator[Batch]:
        yield one_patch(0)
        raise RunError("out of memory")

    ahead = drawn_ahead(draw())
    next(ahead)
    with pytest.raises(RunError, match="out of memory"):
        next(ahead)
    ahead = drawn_ahead(draw())
    next(ahead)
    assert len(drawing_threads()) == 1
    ahead.close()
    assert not drawing_threads()


def test_a_gpu_holds_the_cases_takes_no_workers_and_draws_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But for where it lies a batch is the CPU's: there is no GPU here to make other noise."""
    gpu, asked = torch.device("cuda"), []
    plain = list(batches(CASES, settings(epochs=1), Clock(), CPU))

    def on_cpu(device: torch.device, case: PreparedCase) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append((device, case))
        return volumes_on(CPU, case)

    def ahead(drawn: Iterator[Batch]) -> Iterator[Batch]:
        for batch in drawn:
            assert not multiprocessing.active_children()
            yield batch

    monkeypatch.setattr("organnet.patches.volumes_on", on_cpu)
    monkeypatch.setattr("organnet.training.drawn_ahead", ahead)
    drawn = list(batches([*CASES, CASES[0]], settings(epochs=1, workers=2), Clock(), gpu))
    assert asked == [(gpu, case) for case in CASES]  # each once, however often it is shown
    drawn = list(batches(CASES, settings(epochs=1, workers=2), Clock(), gpu))
    for one, two in zip(plain, drawn, strict=True):
        assert torch.equal(one.ct, two.ct) and torch.equal(one.labels, two.labels)
