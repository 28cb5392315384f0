"""Where the data lie and how often to measure; the defaults are the places of data/README.md."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.clock import REPOSITORY
from organnet.errors import OrganNetError


@dataclass(frozen=True)
class Options:
    """What a benchmark is given.

    Attributes:
        case: folder of one PDDCA case.
        observers: folder nrrds of the scans drawn twice.
        openkbp: OpenKBP's provided-data.
        weights: as `organnet inference` takes them.
        repeats: turns of every side.
        scratch: folder for what is made on the way; it may be deleted.
        figure: picture to draw.
    """

    case: Path = REPOSITORY / "data/pddca/0522c0014"
    observers: Path = REPOSITORY / "data/observers/nrrds"
    openkbp: Path = REPOSITORY / "data/openkbp/provided-data"
    weights: Path = Path("openkbp")
    repeats: int = 3
    scratch: Path = REPOSITORY / "runs/benchmarks"
    figure: Path = REPOSITORY / "docs/performance.png"


def there(path: Path) -> Path:
    """The path; raises OrganNetError where nothing is there."""
    if not path.exists():
        raise OrganNetError(f"{path} is missing: see data/README.md")
    return path
