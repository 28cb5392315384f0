"""The network's arithmetic on one paper-size patch against the machine's matrix-product rate."""

import torch

from benchmarks.clock import Spent, here, in_turn, seconds, spread
from benchmarks.limits import CPU, MATRIX_SIDE, matrix_product, operations
from benchmarks.options import Options
from benchmarks.report import Table, percent
from organnet.memory import kept_memory
from organnet.model import OrganNet
from organnet.settings import ModelSettings, PatchSettings
from organnet.weights import autocast, fast_precision, folded

TITLE = "The network's arithmetic"
SHARE = 0.85


def run(options: Options) -> list[Table]:
    """Float32, and bfloat16 where the processor multiplies it in hardware."""
    precisions = ["float32"]
    if fast_precision(CPU) == "bfloat16":
        precisions.append("bfloat16")
    rows = [row(precision, options.repeats) for precision in precisions]
    if len(precisions) == 1:
        rows.append(("bfloat16", *["not in this processor's hardware: not run"], *[""] * 4))
    patch = " x ".join(str(n) for n in PatchSettings().size)
    note = (
        f"One forward pass of the paper's network (width {ModelSettings().width}), its norms "
        f"folded as for inference, on a patch of {patch}. Operations are counted as is usual: "
        "those of the convolutions alone, with what they multiply in the padding. *Limit*: a "
        "matrix product in the same precision, turn by turn. *Must reach*: "
        f"{percent(SHARE)} of its rate."
    )
    columns = ("precision", "one patch", "operations", "rate", "limit", "share of the limit")
    return [Table(columns, rows, note)]


def row(
    precision: str,
    repeats: int,
    model: ModelSettings | None = None,
    size: tuple[int, int, int] | None = None,
    matrix_side: int = MATRIX_SIDE,
) -> tuple:
    """One precision's row; the paper's network and patch where no other is named."""
    model, size = model or ModelSettings(), size or PatchSettings().size
    network = folded(OrganNet(model).eval())
    patch = torch.randn(1, 1, *size)

    @torch.inference_mode()
    def forward() -> None:
        with autocast(CPU, precision):
            network(patch)

    product, product_work = matrix_product(precision, side=matrix_side)
    with kept_memory():
        forward()  # the first call also loads kernels
        spent = in_turn({"network": here(forward), "product": product}, repeats)
    work = operations(model, size)

    def share(network_turn: Spent, product_turn: Spent) -> float:
        return work / network_turn.seconds / (product_work / product_turn.seconds)

    shares = spread([share(*pair) for pair in zip(*spent.values(), strict=True)])
    rate, limit = work / seconds(spent["network"]), product_work / seconds(spent["product"])
    return (
        *(precision, f"{seconds(spent['network']):.3g} s", f"{work / 1e9:.0f} G"),
        *(f"{rate / 1e9:.0f} G/s", f"{limit / 1e9:.0f} G/s"),
        f"{percent(shares.median)} ({percent(shares.low)} to {percent(shares.high)})",
    )
