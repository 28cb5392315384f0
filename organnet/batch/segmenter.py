"""What the worker does with one scan: read, segment, write in every format, look, draw."""

import itertools
from pathlib import Path

from organnet.batch.checks import warnings_of
from organnet.batch.formats import FORMATS, Segmented
from organnet.batch.inputs import Input
from organnet.batch.measure import measure
from organnet.batch.record import How, picture_name
from organnet.batch.worker import Answer
from organnet.datasets.case import Case
from organnet.figures import case_planes, save
from organnet.inference import predict
from organnet.organs import spoken
from organnet.weights import load_network


class Segmenter:
    """Networks that are loaded once, and what to write of each scan."""

    def __init__(self, weights: list[Path], how: How) -> None:
        """Load the networks; raises OrganNetError where one cannot be."""
        self.networks = [load_network(path) for path in weights]
        self.how = how

    def __call__(self, given: Input, folder: Path) -> Answer:
        """Segment a scan and write everything below `folder`.

        Raises OrganNetError where it cannot be read, segmented or written.
        """
        scan = given.read()
        prediction = predict(self.networks, scan.ct, self.how.deep)
        found = Segmented(scan, prediction, self.how.anonymise)
        paths = {name: FORMATS[name].write(found, folder, given.name) for name in self.how.formats}
        organs = measure(prediction.labels)
        case = Case(given.name, scan.ct, prediction.labels, frozenset(organs))
        save(case_planes(case), folder / picture_name(given.name))
        return Answer(
            outputs=tuple(
                path.relative_to(folder).as_posix()
                for path in itertools.chain.from_iterable(paths.values())
            ),
            warnings=(
                *scan.warnings,
                *_left_out(found, paths),
                *warnings_of(prediction.labels, organs),
            ),
            volumes_ml={name: organ.volume_ml for name, organ in organs.items()},
        )


def _left_out(found: Segmented, paths: dict[str, list[Path]]) -> list[str]:
    """What the files of some formats lack of what was found."""
    labels, series = found.prediction.labels, found.scan.series
    warnings = []
    dicom = [name for name in paths if FORMATS[name].needs_dicom]
    if dicom:
        from organnet.dicom.derived import between_images

        warnings += [
            f"{spoken(name)} lies between the images and on none: it is not in {', '.join(dicom)}"
            for name in between_images(series, labels)
        ]
    if not labels.array.any():
        warnings += [
            f"no organ was found: no {name} was written" for name in paths if not paths[name]
        ]
    return warnings
