"""What the worker does with one scan: read, segment, write in every format, look, draw."""

from pathlib import Path

from organnet.batch.checks import warnings_of
from organnet.batch.formats import FORMATS, Segmented, writable
from organnet.batch.inputs import Input
from organnet.batch.measure import measure
from organnet.batch.record import How, picture_name
from organnet.batch.worker import Answer
from organnet.datasets.case import Case
from organnet.figures import every_organ, save
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
        formats = writable(self.how.formats, scan.series is not None)
        paths = [
            path for name in formats for path in FORMATS[name].write(found, folder, given.name)
        ]
        organs = measure(prediction.labels)
        case = Case(given.name, scan.ct, prediction.labels, frozenset(organs))
        save(every_organ(case), folder / picture_name(given.name))
        return Answer(
            outputs=tuple(path.relative_to(folder).as_posix() for path in paths),
            notes=(*scan.warnings, *_between_images(found)),
            warnings=warnings_of(prediction.labels, organs),
            volumes_ml={name: organ.volume_ml for name, organ in organs.items()},
        )


def _between_images(found: Segmented) -> list[str]:
    """What DICOM files lack of what was found."""
    if found.scan.series is None:
        return []
    from organnet.dicom.derived import between_images

    return [
        f"{spoken(name)} lies between the images and on none: rtstruct and seg are without it"
        for name in between_images(found.scan.series, found.prediction.labels)
    ]
