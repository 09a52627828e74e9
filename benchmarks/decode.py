"""Time to decode and scale 12-megapixel JPEGs to 224 px by tlkit, PIL, cv2 and torchvision; error of reduced decoding.

The JPEGs are made in a temporary folder: shapes, edges and sensor noise, 4000 x 3000 pixels, quality 90, 4:2:0. The
decoders take turns, one image at a time, on one thread; the median per image is printed. With FOLDER the difference
between full and reduced decoding is also measured on its photos: 8-bit pixels after scaling, at several input sizes, so
that photos of ordinary size are reduced by 2, 4 and 8. Peak memory is read from Linux's /proc.

    OMP_NUM_THREADS=1 python benchmarks/decode.py [FOLDER]
"""

import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tlkit.data.decode.decoding import open_rgb
from tlkit.data.decode.resizing import reduction, resize_image
from tlkit.preprocess import Preprocess

IMAGES, ROUNDS = 6, 5
REDUCED = Preprocess()
FULL = REDUCED.replace(decode="full")


def photo(seed: int) -> Image.Image:
    """Return a synthetic photo: detail at every scale, a few hard edges, noise."""
    generator = np.random.default_rng(seed)
    pixels = np.zeros((3000, 4000, 3), np.float32)
    for side in (4, 12, 40, 120, 400):
        coarse = generator.normal(0, 1, (side * 3 // 4, side, 3)).astype(np.float32)
        pixels += cv2.resize(coarse, (4000, 3000), interpolation=cv2.INTER_CUBIC) * (30 * (4 / side) ** 0.4)
    for _ in range(12):
        x, y, radius = (int(value) for value in generator.integers((0, 0, 100), (4000, 3000, 700)))
        cv2.circle(pixels, (x, y), radius, generator.normal(0, 60, 3).tolist(), thickness=-1)
    pixels += generator.normal(128, 4, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def tlkit_with(preprocess: Preprocess) -> Callable[[bytes], object]:
    def decode(data: bytes) -> object:
        image, facts = open_rgb(data, reduction=reduction_by(preprocess))
        return np.array(resize_image(image, preprocess, facts.frame))

    return decode


def reduction_by(preprocess: Preprocess) -> Callable[[int, int], int]:
    return lambda width, height: reduction(width, height, preprocess)


def plain_pil(data: bytes) -> object:
    image = Image.open(io.BytesIO(data)).convert("RGB").resize((341, 256), Image.Resampling.BICUBIC)
    return np.array(image.crop((58, 16, 282, 240)))


def pil_draft(data: bytes) -> object:
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (341, 256))
    return np.array(image.convert("RGB").resize((341, 256), Image.Resampling.BICUBIC).crop((58, 16, 282, 240)))


def with_cv2(data: bytes) -> object:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return cv2.resize(image, (341, 256), interpolation=cv2.INTER_AREA)[16:240, 58:282]


def with_cv2_reduced(data: bytes) -> object:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_4)[..., ::-1]
    return cv2.resize(image, (341, 256), interpolation=cv2.INTER_AREA)[16:240, 58:282]


def with_torchvisions_transforms() -> Callable[[bytes], object]:
    """Return the transforms of torchvision's pretrained weights; Pillow decodes, as in ImageFolder."""
    import tlkit.torchvision_cure  # noqa: F401  before torchvision

    from torchvision.transforms import v2

    transform = v2.Compose([v2.Resize(256, interpolation=v2.InterpolationMode.BICUBIC), v2.CenterCrop(224)])
    return lambda data: np.array(transform(Image.open(io.BytesIO(data)).convert("RGB")))


def with_torchvisions_decoder() -> Callable[[bytes], object] | str:
    import tlkit.torchvision_cure  # noqa: F401  before torchvision

    import torch
    from torchvision.io import ImageReadMode, decode_jpeg
    from torchvision.transforms.v2.functional import center_crop, resize

    torch.set_num_threads(1)

    def decode(data: bytes) -> object:
        pixels = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB)
        return center_crop(resize(pixels, [256], antialias=True), [224, 224])

    try:
        decode(saved(photo(0).resize((64, 48))))
    except (RuntimeError, AttributeError, OSError) as error:
        return f"torchvision's decoder does not work here: {str(error).splitlines()[0]}"
    return decode


def saved(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def race(files: list[Path]) -> None:
    ways: dict[str, Callable[[bytes], object]] = {
        "tlkit, decode: reduced": tlkit_with(REDUCED),
        "tlkit, decode: full": tlkit_with(FULL),
        "PIL, convert and resize (bicubic)": plain_pil,
        "PIL with draft to the size itself": pil_draft,
        "cv2, INTER_AREA": with_cv2,
        "cv2, IMREAD_REDUCED_COLOR_4, INTER_AREA": with_cv2_reduced,
        "torchvision, ImageFolder's loader and v2": with_torchvisions_transforms(),
    }
    torchvision = with_torchvisions_decoder()
    if isinstance(torchvision, str):
        print(torchvision)
    else:
        ways["torchvision, decode_jpeg and resize"] = torchvision
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for file in files:
            data = file.read_bytes()
            for name, way in ways.items():
                start = time.process_time()
                way(data)
                took[name].append(time.process_time() - start)
    least = statistics.median(took["tlkit, decode: reduced"])
    print(f"{len(files)} JPEGs of 4000 x 3000, {ROUNDS} rounds: median CPU ms per image; as a multiple of the first")
    for name, times in took.items():
        median = statistics.median(times)
        print(f"  {name:42s} {median * 1000:7.1f}  {median / least:5.2f}")


def peak_mb(file: Path, decode: str) -> float:
    """Return by how much one image raises the peak memory of a process of its own."""
    command = [sys.executable, __file__, "--peak", str(file), decode]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(file: str, decode: str) -> None:
    data = Path(file).read_bytes()
    tlkit_with(FULL)(saved(Image.new("RGB", (600, 400))))
    before = peak_kb()
    tlkit_with(FULL if decode == "full" else REDUCED)(data)
    print((peak_kb() - before) / 1024)


def peak_kb() -> int:
    """Return the peak memory of this process (Linux); getrusage returns the parent's where that is larger."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def deviate(files: list[Path]) -> None:
    """Print the difference between the backbone's input after reduced and after full decoding."""
    print("input px  reduced by  images  mean |difference|  99th percentile  largest  (of 255)")
    for side in (16, 24, 32, 48, 64, 96, 128, 224):
        by_scale: dict[int, list[np.ndarray]] = {}
        for file in files:
            data = file.read_bytes()
            preprocess = REDUCED.replace(image_size=(side, side))
            try:
                full = open_rgb(data)[0]
            except ValueError:
                continue
            scale = reduction(full.width, full.height, preprocess)
            if scale > 1 and data.startswith(b"\xff\xd8"):
                reduced, facts = open_rgb(data, reduction=reduction_by(preprocess))
                frames = ((full, None), (reduced, facts.frame))
                pair = (np.asarray(resize_image(image, preprocess, frame)).astype(int) for image, frame in frames)
                by_scale.setdefault(scale, []).append(np.abs(next(pair) - next(pair)).ravel())
        for scale, found in sorted(by_scale.items()):
            every = np.concatenate(found)
            print(
                f"{side:8d}  {scale:10d}  {len(found):6d}  {every.mean():17.2f}  "
                f"{np.percentile(every, 99):15.0f}  {every.max():7d}"
            )


def main() -> None:
    if sys.argv[1:2] == ["--peak"]:
        print_peak(*sys.argv[2:])
        return
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="tlkit-decode-") as folder:
        files = [Path(folder, f"{number}.jpg") for number in range(IMAGES)]
        for number, file in enumerate(files):
            file.write_bytes(saved(photo(number)))
        print(f"file size: {statistics.median(file.stat().st_size for file in files) / 1e6:.1f} MB")
        race(files)
        print(
            f"peak memory of one image: {peak_mb(files[0], 'reduced'):.0f} MB reduced, "
            f"{peak_mb(files[0], 'full'):.0f} MB full"
        )
        deviate(files)
    for root in sys.argv[1:]:
        deviate(sorted(path for path in Path(root).rglob("*.jpg")))


if __name__ == "__main__":
    main()
