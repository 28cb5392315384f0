"""`python -m benchmarks [NAME ...]`: run these, or all but reproduce, into docs/performance.md."""

import argparse
import dataclasses
import importlib
import sys
import traceback
from pathlib import Path

from benchmarks.clock import REPOSITORY
from benchmarks.options import Options
from benchmarks.report import machine, put_section
from organnet.errors import OrganNetError

NAMES = (
    *("start", "network", "metrics", "preparing", "training"),
    *("inference", "scaling", "gpu", "reproduce"),
)
ONLY_WHERE_NAMED = ("reproduce",)


def main() -> int:
    """Run each; one whose data, package or GPU is missing is left out, and the rest go on.

    The exit code is 1 where one fails, or one that was named is left out.
    """
    named, options, document = arguments()
    left_out, failed = 0, 0
    for name in named or [name for name in NAMES if name not in ONLY_WHERE_NAMED]:
        print(f"{name} ...", flush=True)
        on = machine()
        try:
            benchmark = importlib.import_module(f"benchmarks.{name}")
            tables = benchmark.run(options)
        except OrganNetError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            left_out += 1
        except ModuleNotFoundError as error:
            print(f"{name} is left out: pip install '.[bench]' ({error})", file=sys.stderr)
            left_out += 1
        except Exception:
            traceback.print_exc()  # hours of other benchmarks are not to be lost with this one
            failed += 1
        else:
            text = "\n\n".join([on, *(table.markdown() for table in tables)])
            put_section(document, benchmark.TITLE, text)
            print(text, flush=True)
    return 1 if failed or (named and left_out) else 0


def arguments() -> tuple[list[str], Options, Path]:
    """Names, options and the document from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--document", type=Path, default=REPOSITORY / "docs/performance.md")
    for field in dataclasses.fields(Options):
        parser.add_argument(f"--{field.name}", type=type(field.default), default=field.default)
    given = vars(parser.parse_args())
    names, document = given.pop("names"), given.pop("document")
    if unknown := set(names) - set(NAMES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}: choose of {', '.join(NAMES)}")
    return names, Options(**given), document


if __name__ == "__main__":
    sys.exit(main())
