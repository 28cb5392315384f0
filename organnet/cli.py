"""The command line: each command a few lines over the module's functions.

Heavy modules are imported inside the commands, so that help appears at once.
"""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from organnet.errors import OrganNetError, RunError, is_out_of_memory
from organnet.layout import WEIGHTS_NAME
from organnet.settings import PROFILES, VARIANTS

if TYPE_CHECKING:
    import pandas as pd

INTERRUPTED = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    help="OrganNet2.5D: nine organs at risk in head-and-neck CT. Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DatasetName = Annotated[str, typer.Option("--dataset", help="phantom, pddca, openkbp or joint")]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="where the cases lie, or joint's list; data/DATASET without it, for the "
        "phantom data/phantom-SIZE",
    ),
]
Profile = Annotated[str, typer.Option("--profile", help=", ".join(PROFILES))]
OutFolder = Annotated[
    Path | None, typer.Option("--out", help="the run's folder; runs/DATASET-PROFILE without it")
]
Weights = Annotated[
    list[Path],
    typer.Option(
        help="a run, a weights file or a name such as openkbp, which comes with the package; "
        "several are averaged"
    ),
]
Deep = Annotated[
    bool,
    typer.Option(
        "--deep",
        help="more overlap, mirroring where the weights do not have it anyway, an entropy map",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0)]


@app.command()
def reproduce(
    dataset: DatasetName = "phantom",
    data: DataFolder = None,
    profile: Profile = "demo",
    out: OutFolder = None,
    seed: Seed = 0,
) -> None:
    """Run the four notebooks in order: explore, train, evaluate, draw. Goes on where it stopped."""
    from organnet.reproduce import report
    from organnet.reproduce import reproduce as run_notebooks

    print(report(run_notebooks(dataset, data, profile, out, seed)))


@app.command()
def training(
    dataset: DatasetName = "phantom",
    data: DataFolder = None,
    profile: Profile = "demo",
    variant: Annotated[str | None, typer.Option(help=", ".join(VARIANTS))] = None,
    every: Annotated[bool, typer.Option("--all", help="every variant, one after another")] = False,
    out: OutFolder = None,
    seed: Seed = 0,
    start: Annotated[
        Path | None, typer.Option(help="weights to start from: a run, a file or a shipped name")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="with --all: how many seeds, from 0")] = 1,
) -> None:
    """Train one variant; with --all train and score each of them. Goes on where it stopped."""
    from organnet.ablation import run_variants
    from organnet.experiment import open_run, project_root, train_run

    if every and (variant or start or seed):
        raise OrganNetError(
            "--all trains every variant anew, with seeds from 0: leave --variant, --start and "
            "--seed out"
        )
    if seeds > 1 and not every:
        raise OrganNetError("--seeds goes with --all: name one --seed, or train --all")
    if every:
        root = out or project_root() / "runs" / f"{dataset}-{profile}-variants"
        print(run_variants(dataset, profile, data, root, seeds))
        return
    run = open_run(dataset, profile, data, out, variant or "organnet", seed, start)
    train_run(run)
    print(f"weights: {run.folder / WEIGHTS_NAME}")


@app.command()
def inference(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help="CTs: .nrrd, .nii, .nii.gz, .mha, a DICOM folder or a .zip of one, a case folder; "
            "folders of these, or patterns ('a/*.mha')"
        ),
    ],
    weights: Weights,
    out: Annotated[
        Path, typer.Option(help="folder for CASE.nrrd, manifest.csv, report.html and records/")
    ],
    deep: Deep = False,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="nrrd, nifti, masks (one file per organ), seg.nrrd (3D Slicer); of DICOM also "
            "rtstruct and seg; several may be given, and without any it is nrrd; what an earlier "
            "run with the same options wrote in others stays",
        ),
    ] = None,
    anonymise: Annotated[
        bool,
        typer.Option(
            "--anonymise",
            help="call the cases case-001..., and name no input; in DICOM outputs the study's date "
            "and the UIDs stay",
        ),
    ] = False,
) -> None:
    """Segment CTs, on their own grids, with a report. Goes on where it stopped."""
    from organnet.batch.run import segment

    failed = segment(inputs, weights, out, deep, formats, anonymise)
    if failed:
        raise RunError(f"{failed} of the cases failed, see above: mend them and run it again")


@app.command()
def score(
    weights: Weights,
    dataset: DatasetName,
    out: Annotated[Path, typer.Option(help="folder for predictions and scores")],
    data: DataFolder = None,
    split: Annotated[str, typer.Option(help="training, validation or test")] = "test",
    deep: Deep = False,
) -> None:
    """Score weights on a data set: segment its test cases and compare with what was drawn."""
    from organnet.datasets import SPLITS
    from organnet.errors import choose
    from organnet.experiment import open_data
    from organnet.scoring import METRICS_NAME, score_weights

    choose("split", split, SPLITS)
    table = score_weights(weights, open_data(dataset, "demo", data), split, out, deep)
    _show(table, out / METRICS_NAME)


@app.command()
def evaluate(
    prediction: Annotated[
        Path,
        typer.Argument(
            help="label map (0 background, 1 to 9 the organs in docs/batch.md's order), case "
            "folder, or folder of them"
        ),
    ],
    reference: Annotated[Path, typer.Argument(help="the same, to compare with")],
    out: Annotated[Path, typer.Option(help="table to write, CSV")],
) -> None:
    """Score predictions against references: DSC, HD95 and surface DSC per case and organ."""
    from organnet.evaluation import match_cases, refuse_to_replace, score_pairs, write_metrics

    refuse_to_replace(out)
    pairs = match_cases(prediction, reference)
    print(f"prediction {prediction}, reference {reference}", file=sys.stderr)  # their order matters
    table = score_pairs(pairs.matched)
    write_metrics(table, out)
    if pairs.unmatched:
        print(f"on one side only, not scored: {', '.join(pairs.unmatched)}", file=sys.stderr)
    _show(table, out)


@app.command()
def agreement(
    data: Annotated[
        Path, typer.Argument(help="folder with oncologist/ and radiographer/, or of such folders")
    ],
    out: Annotated[Path, typer.Option(help="table to write, CSV")],
    openkbp: Annotated[
        Path | None,
        typer.Option(
            help="OpenKBP as cloned, or its provided-data: score the oncologist against its "
            "drawings instead"
        ),
    ] = None,
) -> None:
    """Score two people who drew the same scans, or one of them and OpenKBP, against each other."""
    from organnet.agreement import agreement_with_openkbp, observer_agreement
    from organnet.datasets.matched import PAIRS
    from organnet.evaluation import refuse_to_replace, write_metrics

    refuse_to_replace(out)
    table = agreement_with_openkbp(data, openkbp) if openkbp else observer_agreement(data)
    write_metrics(table, out)
    _show(table, out)
    if openkbp:
        _name_missing([pair.name for pair in PAIRS if pair.name not in set(table["case"])])


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="a run or a weights file")],
    out: Annotated[Path, typer.Argument(help="the smaller weights file to write")],
) -> None:
    """Write a run's weights in half precision, to share them."""
    from organnet.weights import export_weights

    export_weights(run, out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


@app.command()
def match(
    openkbp: Annotated[Path, typer.Option(help="OpenKBP as cloned, or its provided-data")],
    observers: Annotated[Path, typer.Option(help="the scans drawn again as cloned, or its nrrds")],
    out: Annotated[Path, typer.Option(help="folder to write the cases into")],
    atlas: Annotated[
        Path | None, typer.Option(help="PDDCA's folder, to place the chiasm that nobody drew")
    ] = None,
) -> None:
    """Put OpenKBP's CT and an oncologist's drawing of the same scans together, 15 cases."""
    from organnet.datasets.matched import write_matched

    _name_missing(write_matched(openkbp, observers, out, atlas))


def _name_missing(names: list[str]) -> None:
    if names:
        print(f"patient or scan not there, left out: {', '.join(names)}", file=sys.stderr)


def _show(scores: "pd.DataFrame", path: Path) -> None:
    from organnet.evaluation import summarise, table_text

    print(table_text(summarise(scores)))
    print(f"case by case: {path}")


@app.command()
def convert(
    series: Annotated[Path, typer.Argument(help="folder or .zip of a DICOM CT series")],
    rtstruct: Annotated[Path, typer.Argument(help="RT Structure Set drawn on it")],
    out: Annotated[Path, typer.Option(help="folder of cases; CASE/ is made in it")],
    name: Annotated[str | None, typer.Option(help="CASE; the folder's name without it")] = None,
    names: Annotated[
        Path | None, typer.Option(help='JSON of names of your own: {"Ohr li": "Parotid_L"}')
    ] = None,
) -> None:
    """Turn a DICOM CT and its structures into a case to train on, in PDDCA's layout."""
    from organnet.batch.finding import case_name
    from organnet.dicom.convert import convert as write_converted
    from organnet.dicom.ct import read_dicom_ct
    from organnet.dicom.names import read_names
    from organnet.dicom.structures import images_drawn_on
    from organnet.organs import ORGAN_NAMES

    known = read_names(names) if names else None
    ct = read_dicom_ct(series, images_drawn_on(rtstruct))
    case = name or case_name(series)
    for note in ct.warnings:  # which series was taken, before anything is held against it
        print(note, file=sys.stderr)
    drawn, notes = write_converted(ct, rtstruct, out, case, known)
    for note in notes:
        print(note, file=sys.stderr)
    for organ in ORGAN_NAMES:
        print(f"{organ:<16} {drawn.get(organ, 'not drawn')}", file=sys.stderr)
    print(out / case)


@app.command()
def phantom(
    out: Annotated[Path, typer.Option(help="folder to write the cases into")],
    cases: Annotated[int, typer.Option(min=1)] = 36,
    seed: Seed = 0,
    size: Annotated[str, typer.Option(help="smoke, demo or paper: how fine the CT is")] = "demo",
) -> None:
    """Write the embedded data set: head-and-neck CT phantoms in PDDCA's own layout."""
    from organnet.errors import choose
    from organnet.phantom import SIZES, write_phantom

    choose("size", size, tuple(SIZES))
    write_phantom(out, cases, seed, SIZES[size])
    print(out)


def main() -> None:
    """Entry point: errors that a user can mend are one line, exit code 2 or 1."""
    _stop_as_ctrl_c_does()
    try:
        app()
    except RunError as error:
        _leave(error, 1)
    except OrganNetError as error:
        _leave(error, 2)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _leave("not enough memory for it: close other programs, or use a larger machine", 1)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _leave("stopped: run the same command to go on", 1)
        raise


def _stop_as_ctrl_c_does() -> None:
    """Where the process is told to end or its terminal is closed: then it cleans up."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as of nohup
            signal.signal(number, signal.default_int_handler)


def _leave(message: object, code: int) -> None:
    print(f"organnet: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
