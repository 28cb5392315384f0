"""The HU of one CT image: what is stored in it, decoded, and its own slope and intercept."""

import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from jaxtyping import Bool, Int16, Int32, UInt16
from pydicom import Dataset, config
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSNearLossless,
    RLELossless,
)

from organnet.dicom.header import (
    DicomFile,
    numbers,
    quiet_pydicom,
    read_with_pixels,
    text,
    unreadable,
    whole_number,
)
from organnet.errors import OrganNetError, one_line
from organnet.volume import LOWEST_HU, without_itk_log

_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
_BY_GDCM = (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
"""What pydicom has no decoder for and SimpleITK's GDCM has."""
_END_OF_IMAGE = b"\xff\xd9"
_HU_TYPES = ("", "HU", "US")
"""RescaleType of a CT in HU; US is "unspecified", which writers put where they mean HU."""
_IMAGE_PIXEL = (
    *("SOPClassUID", "SOPInstanceUID", "SamplesPerPixel", "PhotometricInterpretation", "Rows"),
    *("Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
)


def is_lossy(header: Dataset) -> bool:
    """Whether an image says that its compression lost something."""
    return text(header, "LossyImageCompression") == "01" or _transfer_syntax(header) in _LOSSY


def refuse_what_has_no_hu(header: Dataset, file: DicomFile) -> None:
    """Raise OrganNetError where an image is in colour, has several frames, or cannot be in HU."""
    if "NumberOfFrames" in header and whole_number(header, "NumberOfFrames", file) > 1:
        raise OrganNetError(
            f"{file.name} holds many frames in one file: convert it to one file for each slice"
        )
    photometric = text(header, "PhotometricInterpretation")
    samples = whole_number(header, "SamplesPerPixel", file)
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise OrganNetError(
            f"{file.name} is a colour picture ({photometric}): give the CT's own images"
        )
    allocated, stored, high = (
        whole_number(header, keyword, file)
        for keyword in ("BitsAllocated", "BitsStored", "HighBit")
    )
    if allocated != 16 or not 8 <= stored <= 16 or high != stored - 1:
        raise OrganNetError(
            f"{file.name} stores {stored} bits up to bit {high} in {allocated}, no CT's layout: "
            "export the series again"
        )
    if whole_number(header, "PixelRepresentation", file) not in (0, 1):
        raise OrganNetError(f"{file.name} has no valid PixelRepresentation: export it again")
    if header.get("RescaleSlope") is None or header.get("RescaleIntercept") is None:
        raise OrganNetError(
            f"{file.name} has no RescaleSlope and RescaleIntercept, so its values are no HU: "
            "export the CT with them"
        )
    if numbers(header, "RescaleSlope", 1, file)[0] == 0:
        raise OrganNetError(f"{file.name} has a RescaleSlope of 0: export the CT again")
    rescale_type = text(header, "RescaleType")
    if rescale_type not in _HU_TYPES:
        raise OrganNetError(
            f"{file.name} is in {rescale_type}, not in HU: export the CT in Hounsfield units"
        )


def read_hu(file: DicomFile) -> Int16[np.ndarray, "rows columns"]:
    """One image in HU, from -1024 to 32767; its padding is air, -1024.

    Raises OrganNetError as `refuse_what_has_no_hu`, and where the pixel data are missing,
    truncated, or compressed in a way that nothing here decodes.
    """
    image = read_with_pixels(file)
    with quiet_pydicom():
        refuse_what_has_no_hu(image, file)
        words = _stored_words(image, file)
        stored = _stored_values(words, image)
        slope, intercept = (
            float(numbers(image, keyword, 1, file)[0])
            for keyword in ("RescaleSlope", "RescaleIntercept")
        )
        padding = _padding(words, stored, image, file)
    hu = np.clip(np.rint(stored * slope + intercept), LOWEST_HU, np.iinfo(np.int16).max)
    hu[padding] = LOWEST_HU
    return hu.astype(np.int16)


def _stored_values(
    words: UInt16[np.ndarray, "rows columns"], image: Dataset
) -> Int32[np.ndarray, "rows columns"]:
    """Numbers of the 16-bit words: bits above BitsStored are not theirs (overlays, once)."""
    bits = int(image.BitsStored)
    values = words.astype(np.int32) & ((1 << bits) - 1)
    if image.PixelRepresentation == 1:
        sign = 1 << (bits - 1)
        values = (values ^ sign) - sign
    return values


def _padding(
    words: UInt16[np.ndarray, "rows columns"],
    stored: Int32[np.ndarray, "rows columns"],
    image: Dataset,
    file: DicomFile,
) -> Bool[np.ndarray, "rows columns"]:
    """Where the pixels are padding: PixelPaddingValue, or all between it and its limit.

    It may be larger than BitsStored allows, so the whole 16 bits are looked at too. Writers give
    a negative value as unsigned and the other way round; its 16 bits are the same.
    """
    if "PixelPaddingValue" not in image:
        return np.zeros(words.shape, np.bool_)
    word_type = np.int16 if image.PixelRepresentation == 1 else np.uint16
    ends = [
        int(np.array(whole_number(image, keyword, file) & 0xFFFF, np.uint16).view(word_type))
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        if keyword in image
    ]
    low, high = min(ends), max(ends)
    whole = words.view(word_type)
    return ((whole >= low) & (whole <= high)) | ((stored >= low) & (stored <= high))


def _stored_words(image: Dataset, file: DicomFile) -> UInt16[np.ndarray, "rows columns"]:
    """The pixels as 16-bit words, decompressed where need be."""
    shape = tuple(whole_number(image, keyword, file) for keyword in ("Rows", "Columns"))
    syntax = _transfer_syntax(image)
    try:
        if syntax.is_encapsulated and syntax != RLELossless:
            (frame,) = generate_frames(image.PixelData, number_of_frames=1)
            if not frame.rstrip(b"\0").endswith(_END_OF_IMAGE):  # libjpeg would fill it with grey
                raise ValueError("its pixel data end early")
        if syntax in _BY_GDCM:
            words = _decoded_by_gdcm(image)
        else:
            decoder = get_decoder(syntax)
            if not decoder.is_available:
                raise NotImplementedError(f"nothing here decodes {syntax.name}")
            # Unused bits stay: padding may lie in them
            words, _ = decoder.as_array(image, raw=True, correct_unused_bits=False)
    except NotImplementedError as error:
        raise OrganNetError(
            f"{file.name} is compressed as {one_line(syntax.name)}, which is not read here: "
            "export the series uncompressed"
        ) from error
    except Exception as error:  # whatever a decoder raises on bytes that are not its own
        raise unreadable(file, error) from error
    if words.shape != shape or words.dtype.kind not in "iu" or words.dtype.itemsize != 2:
        raise unreadable(file, "its pixel data do not fit its rows and columns")
    return np.ascontiguousarray(words.astype(words.dtype.newbyteorder("="))).view(np.uint16)


def _decoded_by_gdcm(image: Dataset) -> UInt16[np.ndarray, "rows columns"]:
    """Through a file that has the pixels alone: of a whole one GDCM would give HU of its own."""
    bare = Dataset()
    for keyword in _IMAGE_PIXEL:
        bare[keyword] = image[keyword]
    bare.file_meta = image.file_meta
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    with tempfile.TemporaryDirectory(prefix="organnet-") as folder:
        path = Path(folder) / "image.dcm"
        bare.save_as(path, enforce_file_format=True)
        reader.SetFileName(str(path))
        with without_itk_log():
            values = sitk.GetArrayFromImage(reader.Execute())
    return (values[0].astype(np.int64) & 0xFFFF).astype(np.uint16)


def _transfer_syntax(image: Dataset) -> UID:
    """How the pixels are stored; found by reading where the file does not say it."""
    stated = image.file_meta.get("TransferSyntaxUID")
    if stated:
        return UID(str(stated), config.IGNORE)
    implicit, little = image.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian
