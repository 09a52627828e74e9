"""HEIC, DICOM and JPEG XL where an extra is installed; formats that are not read; sound images that Pillow refuses."""

from __future__ import annotations

import io

import numpy as np
import pytest
from decoded import decode_image
from messages import saying, says
from PIL import Image

import tlkit
from tlkit.data.checks.dataset_summary import summarize_data
from tlkit.data.checks.image_examination import _personal_metadata
from tlkit.data.decode import decoding
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.data.decode.formats import detect_format, format_by_name
from tlkit.data.decode.jpeg_xl import jpeg_xl_size
from tlkit.data.decode.known_formats import KNOWN_FORMATS, is_installed
from tlkit.data.sources.image_files import find_images
from tlkit.data.sources.read_samples import read_samples
from tlkit.errors import DataError

VALUES = np.array([[0, 1, 1000, 2047, 2048, 3000, 4094, 4095]], np.uint16)


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not is_installed(module), reason=f"{module} is not installed")


@pytest.fixture
def no_extras(monkeypatch):
    for place in ("formats", "decoding"):
        monkeypatch.setattr(f"tlkit.data.decode.{place}.is_installed", lambda module: False)


def reason(data: bytes, *options: DecodeOptions) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        open_rgb(data, *options)
    return caught.value.reason


def picture() -> Image.Image:
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return coarse.resize((64, 48), Image.Resampling.BICUBIC)


def heic(image: Image.Image, **options) -> bytes:
    import pillow_heif

    buffer = io.BytesIO()
    made = pillow_heif.from_pillow(image)
    for more in options.pop("more", ()):
        made.add_from_pillow(more)
    made.save(buffer, **options)
    return buffer.getvalue()


def jxl(image: Image.Image, **options) -> bytes:
    import pillow_jxl  # noqa: F401  registers the format

    buffer = io.BytesIO()
    image.save(buffer, "JXL", **options)
    return buffer.getvalue()


def dicom(pixels: np.ndarray, photometric: str = "MONOCHROME2", *, bits: int = 12, **elements) -> bytes:
    """A DICOM file of stored values, uncompressed."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    color = photometric in ("RGB", "YBR_FULL")
    made.Rows, made.Columns = pixels.shape[-3:-1] if color else pixels.shape[-2:]
    made.SamplesPerPixel = 3 if color else 1
    if color:
        made.PlanarConfiguration = 0
    made.PhotometricInterpretation = photometric
    made.BitsAllocated, made.BitsStored, made.HighBit = 8 * pixels.dtype.itemsize, bits, bits - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(made, name, value)
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_images_of_other_formats_are_left_out_with_a_remedy_not_ignored(photos, no_extras, lines):
    for number, known in enumerate(KNOWN_FORMATS):
        (photos / "ant" / f"other{number}{known.endings[0].upper()}").write_bytes(b"x")
    assert len(read_samples(photos)) == 20
    assert says(lines(), "other0.HEIC", len(KNOWN_FORMATS), 'pip install "tlkit[heif]"')
    (found,) = (one for one in tlkit.data_doctor(photos).findings if one.kind == "unread-format")
    assert (found.severity, found.count) == ("warning", len(KNOWN_FORMATS))
    for known, item in zip(
        KNOWN_FORMATS, sorted(found.items, key=lambda one: int(one[9 : one.index(".")])), strict=True
    ):
        assert says(item, known.name, known.advice)
    assert len(find_images([photos])) == 20
    assert says(lines()[-1], "other0.HEIC")


def test_a_folder_of_unread_formats_alone_says_so(tmp_path, no_extras):
    for label in ("ant", "bee"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "scan.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(DataError, match=saying("ant/scan.dcm", 'pip install "tlkit[dicom]"').pattern):
        read_samples(tmp_path)
    with pytest.raises(DataError, match=saying("ant/scan.dcm", 'pip install "tlkit[dicom]"').pattern):
        find_images([tmp_path])


def test_features_are_cached_by_the_versions_of_the_extras():
    for module, package in decoding.EXTRA_READERS.items():
        assert (package in decoding.DECODER) == is_installed(module)


def with_frame(data: bytes, *, marker: int = 0xC0, precision: int = 8) -> bytes:
    changed = bytearray(data)
    at = changed.index(b"\xff\xc0")
    changed[at + 1], changed[at + 4] = marker, precision
    return bytes(changed)


def tiff_with(tag: int, value: int) -> bytes:
    buffer = io.BytesIO()
    picture().save(buffer, "TIFF")
    data = bytearray(buffer.getvalue())
    start = int.from_bytes(data[4:8], "little")
    for at in range(start + 2, start + 2 + 12 * int.from_bytes(data[start : start + 2], "little"), 12):
        if int.from_bytes(data[at : at + 2], "little") == tag:
            data[at + 8 : at + 10] = value.to_bytes(2, "little")
    return bytes(data)


def test_sound_images_that_pillow_refuses_are_named_with_a_remedy(photos):
    buffer = io.BytesIO()
    picture().save(buffer, "JPEG", quality=90)
    data = buffer.getvalue()
    files = {
        "12": (with_frame(data, precision=12), saying("JPEG", "12 bits", "djpeg")),
        "16": (with_frame(data, marker=0xC3, precision=16), saying("lossless", "16 bits", "djpeg")),
        "hierarchical": (with_frame(data, marker=0xC5), saying("hierarchical", "djpeg")),
        "ls": (with_frame(data, marker=0xF7), saying("JPEG-LS", "PNG")),
        "lerc": (tiff_with(259, 34887), saying("TIFF", "LERC", "LZW")),
        "five": (tiff_with(277, 5), saying("TIFF", "5 channels", "save")),
        "double": (tiff_with(258, 64), saying("TIFF", "bits a channel", "save")),
    }
    for name, (content, words) in files.items():
        assert reason(content) == words, name
        (photos / "ant" / f"{name}.{'tif' if content[:2] == b'II' else 'jpg'}").write_bytes(content)
    (found,) = (one for one in tlkit.data_doctor(photos).findings if one.kind == "unsupported")
    assert found.count == len(files)
    whole = with_frame(data, precision=12)
    assert "12 bits" not in reason(whole[: len(whole) // 2])


def test_a_preview_within_a_raw_file_is_not_taken_for_the_picture():
    buffer = io.BytesIO()
    picture().save(buffer, "TIFF", tiffinfo={50706: b"\x01\x04\x00\x00"})
    assert reason(buffer.getvalue()) == saying("camera raw", "preview", "develop")


@needs("pillow_heif")
def test_heic_is_read_turned_by_its_own_header_and_names_its_frames():
    image = picture()
    data = heic(image, quality=-1)
    assert detect_format(data) == format_by_name("x.HEIF") == "HEIC"
    assert np.abs(decode_image(data).astype(int) - np.asarray(image)).mean() <= 8
    exif = Image.Exif()
    exif[274] = 6
    turned = heic(image, quality=-1, exif=exif.tobytes())
    assert np.abs(decode_image(turned).astype(int) - np.rot90(np.asarray(image), -1)).mean() <= 8
    assert open_rgb(heic(image, more=[image]))[1].oddities == (saying("several", "pages", "used"),)
    assert reason(data[: len(data) // 2]) and reason(data, DecodeOptions(max_pixels=100)) == saying("64", "48", "100")
    located = Image.Exif()
    located.get_ifd(0x8825).update({1: "N", 2: (52.0, 5.0, 0.0)})
    assert _personal_metadata(heic(image, exif=located.tobytes()), "HEIC") == {"gps": ""}


@needs("pillow_jxl")
def test_jpeg_xl_is_read_and_its_size_is_limited_before_it_is_decoded(monkeypatch):
    image = picture()
    data = jxl(image, lossless=True)
    assert detect_format(data) == format_by_name("x.jxl") == "JPEG XL"
    np.testing.assert_array_equal(decode_image(data), np.asarray(image))
    exif = Image.Exif()
    exif[274] = 6
    tagged = jxl(image, lossless=True, exif=exif.tobytes(), use_container=True)
    np.testing.assert_array_equal(decode_image(tagged), np.asarray(image))
    for size in ((1, 1), (8, 8), (640, 480), (257, 300), (1920, 1080), (3000, 17)):
        assert jpeg_xl_size(jxl(Image.new("RGB", size))) == size
    monkeypatch.setitem(decoding.OPENERS, "JPEG XL", None)
    assert reason(data, DecodeOptions(max_pixels=100)) == saying("64", "48", "max_pixels", "100")


@needs("pydicom")
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(2048, 2000), (40.5, 400), (1000, 1)])
def test_a_window_of_dicom_equals_pydicoms(function, center, width):
    import pydicom
    from pydicom.pixels import apply_modality_lut, apply_windowing

    elements = {"RescaleSlope": 1, "RescaleIntercept": -1024, "VOILUTFunction": function}
    data = dicom(VALUES, WindowCenter=[center, 1], WindowWidth=[width, 9], **elements)
    header = pydicom.dcmread(io.BytesIO(data))
    with np.errstate(over="ignore"):
        shown = apply_windowing(apply_modality_lut(VALUES, header), header)
    expected = 255 * (shown - -1024) / 4095
    assert np.abs(decode_image(data)[0, :, 0] - expected).max() <= 0.51
    inverted = dicom(VALUES, "MONOCHROME1", WindowCenter=center, WindowWidth=width, **elements)
    assert np.abs(decode_image(inverted)[0, :, 0] - (255 - expected)).max() <= 0.51


@needs("pydicom")
def test_dicom_without_a_window_is_scaled_by_its_bit_depth():
    data = dicom(VALUES)
    assert detect_format(data) == format_by_name("x.DCM") == "DICOM"
    assert decode_image(data)[0, :, 0].tolist() == np.round(VALUES[0] / 4095 * 255).astype(int).tolist()
    assert open_rgb(data)[1].oddities == (saying("8", "bits", "channel"), "grayscale")
    rescaled = dicom(VALUES, RescaleSlope=2, RescaleIntercept=-1024)
    np.testing.assert_array_equal(decode_image(rescaled), decode_image(data))
    np.testing.assert_array_equal(decode_image(dicom(VALUES, "MONOCHROME1")), 255 - decode_image(data))
    signed = dicom(np.array([[-2048, 0, 2047]], np.int16))
    assert decode_image(signed)[0, :, 0].tolist() == [0, 128, 255]
    eight = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    np.testing.assert_array_equal(decode_image(dicom(eight, bits=8))[..., 0], eight)


@needs("pydicom")
def test_dicom_in_color_and_of_several_frames():
    rgb = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode_image(dicom(rgb, "RGB", bits=8)), rgb)
    ybr = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    assert np.abs(decode_image(dicom(ybr, "YBR_FULL", bits=8)).astype(int) - rgb).max() <= 2
    frames = np.stack([VALUES, VALUES[:, ::-1]])
    data = dicom(frames, NumberOfFrames=2)
    np.testing.assert_array_equal(decode_image(data), decode_image(dicom(VALUES)))
    assert saying("several", "pages", "used") in open_rgb(data)[1].oddities


@needs("pydicom")
def test_unusable_dicom_is_refused_in_words():
    data = dicom(VALUES)
    assert reason(data[:-4]) == saying("DICOM")
    assert reason(data, DecodeOptions(max_pixels=4)) == saying("8", "max_pixels", "4")
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    report = Dataset()
    report.file_meta = FileMetaDataset()
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report.SOPClassUID, report.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.11", "1.2.3"
    buffer = io.BytesIO()
    report.save_as(buffer, enforce_file_format=True)
    assert reason(buffer.getvalue()) == saying("no Rows", "image")


@needs("pydicom")
def test_the_doctor_names_patients_and_training_reads_scans(photos, lines):
    scans = {
        "plain": {},
        "named": {"PatientName": "Doe^Jane", "PatientID": "7"},
        "burned": {"BurnedInAnnotation": "YES", "PatientName": ""},
    }
    for number, (name, elements) in enumerate(scans.items()):
        pixels = np.random.default_rng(number).integers(0, 4096, (40, 40)).astype(np.uint16)
        (photos / "ant" / f"{name}.dcm").write_bytes(dicom(pixels, **elements))
    found = {one.kind: one.items for one in tlkit.data_doctor(photos).findings}
    assert found["personal"] == (saying("ant/named.dcm", "patient's name", "patient's ID"),)
    assert found["burned-in"] == ("ant/burned.dcm",)
    assert len(read_samples(photos)) == 23
    assert summarize_data(photos)[0].formats["DICOM"] == 3
