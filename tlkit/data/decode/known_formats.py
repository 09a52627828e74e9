"""Image formats that Pillow's usual readers do not read: which extra reads them, or how they are converted."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import NamedTuple


class KnownFormat(NamedTuple):
    """An image format that is read by an extra, or not at all.

    Attributes:
        name: as people call it.
        endings: of file names, in lower case.
        remedy: what to do, as a sentence.
        module: what reads it where it is installed; "" where nothing does.
    """

    name: str
    endings: tuple[str, ...]
    remedy: str
    module: str = ""

    @property
    def advice(self) -> str:
        """The remedy as a clause."""
        return self.remedy[:1].lower() + self.remedy[1:].rstrip(".")


def _extra(name: str) -> str:
    return f'Install what reads it: pip install "tlkit[{name}]", or convert it to PNG or JPEG.'


KNOWN_FORMATS = (
    KnownFormat("HEIC", (".heic", ".heif", ".hif", ".heics", ".heifs"), _extra("heif"), "pillow_heif"),
    KnownFormat("DICOM", (".dcm", ".dicom", ".dic"), _extra("dicom"), "pydicom"),
    KnownFormat("JPEG XL", (".jxl",), _extra("jxl"), "pillow_jxl"),
    KnownFormat(
        "JPEG 2000",
        (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".jpm", ".jph", ".jhc"),
        "Convert it to PNG, such as with: opj_decompress -i IMAGE.jp2 -o IMAGE.png",
    ),
    KnownFormat(
        "camera raw",
        (
            *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos"),
            *(".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
        ),
        "Develop it to JPEG, PNG or TIFF, such as with: darktable-cli IMAGE.dng IMAGE.tif",
    ),
    KnownFormat(
        "whole-slide image",
        (".svs", ".svslide", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs", ".bif", ".czi", ".vsi", ".isyntax", ".qptiff"),
        "Cut it into tiles, such as with OpenSlide, and give each tile the class of its slide.",
    ),
    KnownFormat("Targa", (".tga", ".icb", ".vda", ".vst", ".tpic"), "Convert it to PNG: magick IMAGE.tga IMAGE.png"),
    KnownFormat("Photoshop", (".psd", ".psb"), "Export it as PNG or TIFF: magick 'IMAGE.psd[0]' IMAGE.png"),
    KnownFormat(
        "PostScript", (".eps", ".epsf", ".epsi", ".ps"), "Render it to PNG: gs -sDEVICE=png16m -o IMAGE.png IMAGE.eps"
    ),
    KnownFormat("SVG", (".svg", ".svgz"), "Render it to PNG: resvg IMAGE.svg IMAGE.png"),
    KnownFormat("PDF", (".pdf",), "Render its pages to PNG: pdftoppm -png IMAGE.pdf IMAGE"),
    KnownFormat(
        "volume or microscope image",
        (*(".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".mnc", ".mrc"), *(".nd2", ".lif", ".oib", ".oif", ".lsm")),
        "Export its slices as PNG or TIFF.",
    ),
    KnownFormat("high-dynamic-range image", (".exr", ".hdr", ".pfm"), "Map its tones to 8 or 16 bits and save a PNG."),
    KnownFormat(
        "image of a rare format",
        (
            *(".ico", ".icns", ".cur", ".dds", ".pcx", ".dcx", ".xcf", ".sgi", ".rgb", ".bw", ".ras", ".pam", ".qoi"),
            *(".flif", ".bpg", ".jxr", ".wdp", ".hdp", ".jls", ".jbig", ".jbig2", ".jb2", ".djvu", ".djv", ".wmf"),
            *(".emf", ".xbm", ".xpm", ".fits", ".fit", ".fts", ".cin", ".dpx", ".kra", ".clip", ".ai"),
        ),
        "Convert it to PNG: magick IMAGE.ico IMAGE.png",
    ),
)
"""The formats by name; a file of one of them is an image, whether or not it is read."""

_BY_ENDING = {ending: known for known in KNOWN_FORMATS for ending in known.endings}
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")
_STARTS = (
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"8BPS", "Photoshop"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"%PDF", "PDF"),
    (b"\x76\x2f\x31\x01", "high-dynamic-range image"),
    *((start, "high-dynamic-range image") for start in (b"PF\n", b"Pf\n")),
    (b"P7\n", "image of a rare format"),
    (b"#?RADIANCE", "high-dynamic-range image"),
    (b"FUJIFILMCCD-RAW", "camera raw"),
    (b"IIRO", "camera raw"),
    (b"IIRS", "camera raw"),
    (b"IIU\x00", "camera raw"),
    (b"FOVb", "camera raw"),
    (b"SIMPLE  =", "image of a rare format"),
    (b"qoif", "image of a rare format"),
    (b"DDS ", "image of a rare format"),
    (b"gimp xcf", "image of a rare format"),
    (b"AT&TFORM", "image of a rare format"),
)
_BY_NAME = {known.name: known for known in KNOWN_FORMATS}


@lru_cache
def is_installed(module: str) -> bool:
    """Return whether the package of an extra is installed; it is not imported."""
    return find_spec(module) is not None


def known_by_name(name: str) -> KnownFormat | None:
    """Return the known format that a file's name states, or None.

    Example:
        >>> known_by_name("a/phone.HEIC").name
        'HEIC'
    """
    base = name.rsplit("/", 1)[-1].lower()
    double = ".".join(["", *base.rsplit(".", 2)[1:]])
    return _BY_ENDING.get(double) or _BY_ENDING.get(f".{base.rsplit('.', 1)[-1]}" if "." in base else "")


def known_by_content(data: bytes) -> KnownFormat | None:
    r"""Return the known format of a file by its first bytes, or None.

    Example:
        >>> known_by_content(bytes(128) + b"DICM").name
        'DICOM'
    """
    if data[128:132] == b"DICM":
        return _BY_NAME["DICOM"]
    if data[4:8] == b"ftyp":
        if data[8:12] == b"crx ":
            return _BY_NAME["camera raw"]
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, min(len(data), 64), 4))]
        if data[8:12] in HEIF_BRANDS or any(brand in HEIF_BRANDS[:8] for brand in brands):
            return _BY_NAME["HEIC"]
    named = next((name for start, name in _STARTS if data.startswith(start)), None)
    text = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if named is None and (text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in data[:4096].lower())):
        named = "SVG"
    return None if named is None else _BY_NAME[named]
