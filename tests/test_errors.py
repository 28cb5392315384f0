"""Errors that are no fault of the input, in one line."""

import pytest
import torch

from organnet import cli


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")],
)
def test_want_of_memory_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def run() -> None:
        raise error

    monkeypatch.setattr(cli, "app", run)
    monkeypatch.setattr(cli, "_stop_as_ctrl_c_does", lambda: None)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("organnet: not enough memory")
    error = RuntimeError("a fault of ours")
    with pytest.raises(RuntimeError, match="a fault of ours"):
        cli.main()
