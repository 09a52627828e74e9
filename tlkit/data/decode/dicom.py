"""DICOM images as Pillow image files of 8 bits: the extra `dicom`.

The rules, from DICOM PS3.3 C.11 (https://dicom.nema.org/medical/dicom/current/output/html/part03.html):

- Stored values pass the modality transform (rescale slope and intercept, or a table: C.11.1).
- Then the first VOI look-up table, else the first window (C.11.2: linear, linear exact or sigmoid) gives 0 to 255. An
  image without either is scaled by its bit depth alone, without stretching.
- MONOCHROME1, whose lowest value is white, is inverted. Palettes are looked up, YBR becomes RGB.
- Of several frames the first is used, which the doctor and the log say.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

GRAY = ("MONOCHROME1", "MONOCHROME2")
PERSONAL = {
    "PatientName": "patient's name",
    "PatientID": "patient's ID",
    "PatientBirthDate": "patient's date of birth",
    "PatientAddress": "patient's address",
    "OtherPatientIDs": "patient's other IDs",
    "ReferringPhysicianName": "physician's name",
    "OperatorsName": "operator's name",
}
"""Elements of the header that identify a person: DICOM PS3.15, table E.1-1, some of them."""


class DicomImageFile(ImageFile.ImageFile):
    """A DICOM image: "L", or "RGB" where it is in color."""

    format = "DICOM"
    format_description = "DICOM"

    def _open(self) -> None:
        import pydicom

        assert self.fp is not None
        header = pydicom.dcmread(self.fp, stop_before_pixels=True)
        missing = [name for name in ("Rows", "Columns", "PhotometricInterpretation") if name not in header]
        if missing:
            raise SyntaxError(f"it has no {missing[0]}, so it holds no image")
        self._header = header
        self._size = (int(header.Columns), int(header.Rows))
        self._mode = "L" if header.PhotometricInterpretation in GRAY else "RGB"
        self.n_frames = int(header.get("NumberOfFrames") or 1)
        self.is_animated = self.n_frames > 1
        self._loaded = False

    @property
    def bits(self) -> int:
        """Bits stored per channel."""
        return int(self._header.get("BitsStored") or 8)

    @property
    def personal(self) -> list[str]:
        """What the header states about people, in words."""
        return [words for name, words in PERSONAL.items() if str(self._header.get(name) or "").strip("^ ")]

    @property
    def is_burned_in(self) -> bool:
        """Whether the header says that the pixels show who the patient is (Burned In Annotation, 0028,0301)."""
        return str(self._header.get("BurnedInAnnotation") or "").strip().upper() == "YES"

    def load(self) -> Any:
        """Decode the first frame."""
        import pydicom
        from pydicom.pixels import pixel_array

        if not self._loaded:
            assert self.fp is not None
            self.fp.seek(0)
            whole = pydicom.dcmread(io.BytesIO(self.fp.read()))
            if "PixelData" not in whole:
                raise ValueError("it has no pixels")
            try:
                stored = pixel_array(whole, index=0)
            except (RuntimeError, NotImplementedError) as error:  # no decoder for its compression is installed
                raise NotImplementedError(
                    f"its compression {whole.file_meta.TransferSyntaxUID.name} is not supported here; "
                    "decompress it, such as with: dcmdjpeg or gdcmconv --raw"
                ) from error
            self.im = Image.fromarray(_to_8_bits(stored, whole)).im
            self._loaded = True
        return self.im.pixel_access(self.readonly)


def _to_8_bits(stored: npt.NDArray[Any], header: Dataset) -> npt.NDArray[np.uint8]:
    """Return stored values, shape (H, W) or (H, W, 3), as 8 bits."""
    bits = int(header.BitsStored)
    if header.PhotometricInterpretation == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        looked_up = apply_color_lut(stored, header)
        depth = int(header.RedPaletteColorLookupTableDescriptor[2])
        return np.asarray(looked_up >> max(0, depth - 8), dtype=np.uint8)
    if stored.ndim == 3:
        return np.asarray(stored >> max(0, bits - 8), dtype=np.uint8)
    share = _shown(stored, header, bits)
    if header.PhotometricInterpretation == "MONOCHROME1":
        share = 1 - share
    return np.asarray(np.clip(np.round(share * 255), 0, 255), dtype=np.uint8)


def _shown(stored: npt.NDArray[Any], header: Dataset, bits: int) -> npt.NDArray[np.float64]:
    """Return how bright each value is shown, 0 to 1, before MONOCHROME1 is inverted."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    if header.get("VOILUTSequence"):
        table = header.VOILUTSequence[0]
        values = apply_voi_lut(apply_modality_lut(stored, header), header, index=0)
        return np.asarray(values / (2.0 ** int(table.LUTDescriptor[2]) - 1))
    values = np.asarray(apply_modality_lut(stored, header), dtype=np.float64)
    if header.get("WindowCenter") is not None and header.get("WindowWidth") is not None:
        return _window(values, header)
    low = -(2.0 ** (bits - 1)) if header.PixelRepresentation == 1 else 0.0
    ends = np.array([low, low + 2.0**bits - 1])
    if not header.get("ModalityLUTSequence"):
        ends = ends * float(header.get("RescaleSlope") or 1) + float(header.get("RescaleIntercept") or 0)
    else:
        ends = np.array([0.0, 2.0 ** int(header.ModalityLUTSequence[0].LUTDescriptor[2]) - 1])
    return np.asarray((values - ends.min()) / max(np.ptp(ends), 1.0))


def _window(values: npt.NDArray[np.float64], header: Dataset) -> npt.NDArray[np.float64]:
    """Return values through the first window: DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    center, width = _first(header.WindowCenter), _first(header.WindowWidth)
    function = str(header.get("VOILUTFunction") or "LINEAR").upper()
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - center) / max(width, 1e-9), -700, 700))))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width <= 0:
        return np.asarray(values > center, dtype=np.float64)
    return np.asarray(np.clip((values - center) / width + 0.5, 0, 1))


def _first(value: Any) -> float:
    return float(value[0] if isinstance(value, Sequence) else value)
