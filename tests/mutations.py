"""Small files of every format that is read, and three ways to damage them: for test_mutations."""

import gzip
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
import SimpleITK as sitk
from dicom_parts import compress, ct_series, head_hu, write_images
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.uid import UID_dictionary

from organnet.dicom.ct import read_dicom_ct
from organnet.dicom.header import quiet_pydicom
from organnet.dicom.rtstruct import write_rtstruct
from organnet.volume import Volume

SHAPE = (6, 16, 18)
Change = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Target:
    """What is read, the one file of it that is damaged, and how its header is changed."""

    read: Path
    file: Path
    change_header: Change


# The three ways


def flipped(content: bytes, chance: Random) -> bytes:
    """A few bits or bytes changed, most of them near the beginning, where the header is."""
    changed = bytearray(content)
    for _ in range(chance.randrange(1, 9)):
        at = int(len(changed) * chance.random() ** 2)
        changed[at] = chance.choice([changed[at] ^ (1 << chance.randrange(8)), 0, 255])
    return bytes(changed)


def truncated(content: bytes, chance: Random) -> bytes:
    return content[: chance.randrange(len(content))]


def damaged(target: Target, content: bytes, chance: Random) -> bytes:
    """The file's content after one of the three, header changes as often as the other two."""
    way = chance.choice([flipped, truncated, target.change_header, target.change_header])
    return way(content, chance)


NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
NUMBERS = (
    *(b"", b"0", b"1", b"-1", b"3", b"1000", b"100000", b"2147483648", b"4294967295"),
    *(
        b"9223372036854775807",
        b"18446744073709551616",
        b"1e308",
        b"1e-320",
        b"nan",
        b"inf",
        b"-inf",
    ),
)
WORDS = (
    *(b"raw", b"gzip", b"bzip2", b"hex", b"ascii", b"big", b"little", b"none", b"double", b"block"),
    *(b"unsigned char", b"int64", b"left-anterior-superior-time", b"./img.raw", b"LIST", b"LOCAL"),
    *(b"True", b"False", b"MET_DOUBLE", b"MET_STRING", b"MET_CHAR_ARRAY", b"x" * 3000, b"%s%n\0"),
)


def change_lines(content: bytes, chance: Random, end: bytes) -> bytes:
    """One or two lines of a header of text, which ends so: another number or word, gone, twice."""
    header, end, values = content.partition(end)
    for _ in range(chance.randrange(1, 3)):
        lines = header.split(b"\n")
        n = chance.randrange(len(lines))
        key, colon, value = re.match(rb"([^:=]*)([:= ]*)(.*)", lines[n], re.DOTALL).groups()
        how = chance.randrange(6)
        if how < 3:
            lines[n] = key + colon + _other_number(value, chance)
        elif how == 3:
            lines[n] = key + colon + chance.choice(WORDS)
        elif how == 4:
            del lines[n]
        else:
            lines.insert(chance.randrange(len(lines)), lines[n])
        header = b"\n".join(lines)
    return header + end + values


def _other_number(text: bytes, chance: Random) -> bytes:
    numbers = list(NUMBER.finditer(text))
    if not numbers:
        return text + chance.choice(NUMBERS)
    number = chance.choice(numbers)
    return text[: number.start()] + chance.choice(NUMBERS) + text[number.end() :]


NIFTI_FIELDS = "i10x18xi2xcB8h3f4h8f3fhBB4f2i80x24x2h18f16x4s"
"""The 348 bytes of a NIfTI-1 header; x what no reader minds."""


def change_nifti(content: bytes, chance: Random) -> bytes:
    """One or two fields of the header, packed or not."""
    packed = content[:2] == b"\x1f\x8b"
    changed = bytearray(gzip.decompress(content) if packed else content)
    places = _nifti_places()
    for _ in range(chance.randrange(1, 3)):
        at, kind = chance.choice(places)
        if kind == "f":
            value = chance.choice([0.0, -1.0, 1e-40, 3e38, 352.0, np.nan, np.inf, -np.inf])
        elif kind in "cBs":
            value = chance.choice([0, 1, 2, 3, 127, 255])
            kind = "B"
        else:
            value = chance.choice([0, 1, -1, 2, 3, 4, 5, 8, 16, 64, 128, 256, 512, 2304, 32767])
        struct.pack_into(f"<{kind}", changed, at, value)
    return gzip.compress(bytes(changed), 1, mtime=0) if packed else bytes(changed)


def _nifti_places() -> list[tuple[int, str]]:
    places, at = [], 0
    for count, kind in re.findall(r"(\d*)([a-zA-Z])", NIFTI_FIELDS):
        for _ in range(int(count or 1)):
            if kind != "x":
                places.append((at, kind))
            at += struct.calcsize(kind)
    assert at == 348
    return places


SYNTAXES = [uid.encode() for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"]
VALUES = (
    *(struct.pack("<H", value) for value in (0, 1, 2, 8, 12, 17, 32, 255, 32768, 65535)),
    *(struct.pack("<I", value) for value in (0, 1, 2**31, 2**32 - 1)),
    *(number for number in NUMBERS if number),
    *(b"\\\\", b"1\\2", b"0\\0\\0", b"1\\0\\0\\0\\1\\0", b"nan\\0\\1e999", b"CT", b"MR", b"RGB"),
    *(b"", b"\0", b"A" * 3001, b"\xff\xfe\xfd", "ö^ü".encode(), b"ISO_IR 100", b"\\ISO 2022 IR 87"),
)


def change_dicom(content: bytes, chance: Random) -> bytes:
    """One or two elements, however deep: another value, another's value, another type, or gone."""
    with quiet_pydicom():
        dataset = dcmread(BytesIO(content))
        for _ in range(chance.randrange(1, 3)):
            parts = [dataset, dataset.file_meta, *_items(dataset)]
            part = chance.choice([part for part in parts if len(part)])
            tags = list(part.keys())
            tag = chance.choice([tag for tag in tags if tag != (0x7FE0, 0x10)])
            vr = part.get_item(tag).VR
            value = chance.choice(SYNTAXES if vr == "UI" else VALUES)
            if chance.random() < 0.1:
                vr = chance.choice(["US", "DS", "UN", "LO", "IS", "UI"])
            if chance.random() < 0.15:
                del part[tag]
            else:
                value += b"\0" * (len(value) % 2)
                raw = RawDataElement(tag, vr, len(value), value, 0, False, True)
                part._dict[tag] = raw
        try:
            out = BytesIO()
            dataset.save_as(out, enforce_file_format=False, implicit_vr=False, little_endian=True)
        except Exception:  # pydicom cannot write it: another change then
            return change_dicom(content, chance)
    return out.getvalue()


def _items(dataset: Dataset) -> list[Dataset]:
    """The items of all sequences, deep down."""
    found = []
    for tag in dataset.keys():  # noqa: SIM118
        if dataset.get_item(tag).VR == "SQ" and not dataset.get_item(tag).is_raw:
            for item in dataset[tag].value:
                found += [item, *_items(item)]
    return found


def change_zip(content: bytes, chance: Random) -> bytes:
    """A number in the headers of a member, of its place in the list, or of the list."""
    changed = bytearray(content)
    places = [match.start() for match in re.finditer(rb"PK(\x01\x02|\x03\x04|\x05\x06)", content)]
    at = min(chance.choice(places) + chance.randrange(4, 46), len(changed) - 4)
    number = chance.choice([0, 1, 8, 12, 14, 99, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
    if number > 0xFFFF:
        struct.pack_into("<I", changed, at, number)
    else:
        struct.pack_into("<H", changed, at, number)
    return bytes(changed)


def change_weights(content: bytes, chance: Random) -> bytes:
    """A number in the header's JSON, or the header's length."""
    (length,) = struct.unpack_from("<Q", content)
    header, tensors = content[8 : 8 + length], content[8 + length :]
    if chance.random() < 0.2:
        length = chance.choice([0, 1, length - 1, 2**31, 2**63, 2**64 - 1])
    else:
        header = _other_number(header, chance)
        length = len(header)
    return struct.pack("<Q", length) + header + tensors


# A whole file of each format


def _image(suffix: str, compressed: bool, change: Change, folder: Path) -> Target:
    path = folder / f"ct{suffix}"
    image = sitk.GetImageFromArray(head_hu(SHAPE))
    image.SetSpacing((1.1, 1.2, 2.5))
    sitk.WriteImage(image, str(path), useCompression=compressed)
    return Target(path, path, change)


def _nrrd(content: bytes, chance: Random) -> bytes:
    return change_lines(content, chance, b"\n\n")


def _mha(content: bytes, chance: Random) -> bytes:
    return change_lines(content, chance, b"= LOCAL\n")


def _dicom(how: str, folder: Path) -> Target:
    images = ct_series(head_hu(SHAPE)[:3])
    if how != "raw":
        for image in images:
            compress(image, how, folder)
    paths = write_images(images, folder / "series")
    return Target(folder / "series", paths[1], change_dicom)


def _zip(folder: Path) -> Target:
    path = folder / "series.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in write_images(ct_series(head_hu(SHAPE)[:3]), folder / "series"):
            archive.write(file, file.name)
    return Target(path, path, change_zip)


def _rtstruct(folder: Path) -> Target:
    hu = head_hu(SHAPE)
    write_images(ct_series(hu), folder / "series")
    series = read_dicom_ct(folder / "series")
    labels = np.zeros(hu.shape, np.uint8)
    labels[1:5, 4:12, 3:9], labels[2:4, 5:8, 11:15], labels[2, 6:8, 4:6] = 1, 6, 0
    path = folder / "structures.dcm"
    write_rtstruct(series, Volume(labels, series.ct.spacing_mm), path)
    return Target(path, path, change_dicom)


def _weights(folder: Path) -> Target:
    import torch  # takes seconds, and nothing else here needs it

    from organnet.model import OrganNet
    from organnet.settings import make_settings
    from organnet.weights import save_weights

    path = folder / "some.safetensors"
    torch.manual_seed(0)
    settings = make_settings("phantom", "smoke")
    save_weights(path, OrganNet(settings.model), settings)
    return Target(path, path, change_weights)


FORMATS: dict[str, Callable[[Path], Target]] = {
    "nrrd": lambda folder: _image(".nrrd", True, _nrrd, folder),
    "nrrd-raw": lambda folder: _image(".nrrd", False, _nrrd, folder),
    "nii": lambda folder: _image(".nii", False, change_nifti, folder),
    "nii-gz": lambda folder: _image(".nii.gz", True, change_nifti, folder),
    "mha": lambda folder: _image(".mha", True, _mha, folder),
    "mha-raw": lambda folder: _image(".mha", False, _mha, folder),
    "dicom": lambda folder: _dicom("raw", folder),
    "dicom-rle": lambda folder: _dicom("RLE", folder),
    "dicom-jpeg": lambda folder: _dicom("JPEG", folder),
    "dicom-jpeg2000": lambda folder: _dicom("JPEG2000", folder),
    "zip": _zip,
    "rtstruct": _rtstruct,
    "weights": _weights,
}
