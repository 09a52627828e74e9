"""One epoch of JPEGs into float batches: tlkit beside torchvision, WebDataset and LitData, in turn.

    python benchmarks/data_path.py FOLDER [--torchvision PYTHON] [--webdataset PYTHON] [--litdata PYTHON]
        [--rounds 3] [--epochs 4] [--workers 2] [--batch-size 32]

FOLDER has split folders with class folders of JPEGs; all of them are taken, each once. Every way gives normalised
float32 batches (B, 3, 224, 224) with the same augmentation: a crop of 60 to 100 % of the area whose aspect ratio is
changed by up to 1.15, scaled by the antialiased bicubic filter, and a horizontal flip. Nothing trains on them.

Each way is a process of its own, in the environment of the interpreter that its option names, which is made so:

    python -m venv ENV && ENV/bin/pip install torch torchvision pillow             # --torchvision ENV/bin/python
    python -m venv ENV && ENV/bin/pip install torch torchvision webdataset==1.0.2   # --webdataset ENV/bin/python
    python -m venv ENV && ENV/bin/pip install torchvision litdata==0.2.76           # --litdata ENV/bin/python

Without an option its ways are left out. The first epoch starts the workers (and fills tlkit's image cache); `images/s`
is the median over all later epochs of all rounds, and `CPU ms` the processor time of the process and its workers per
image in them; `peak MB` adds up what each of these processes held at most, pages that they share included. What comes
before the first epoch (tlkit's check of all images, LitData's chunks) is not counted.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIDE, MEAN, STD = 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHARDS = 4
WAYS = {
    "tlkit, folder, image_cache: never": "tlkit",
    "tlkit, folder, image cache": "tlkit",
    "tlkit, tar shards, image_cache: never": "tlkit",
    "tlkit, tar shards, image cache": "tlkit",
    "torchvision, ImageFolder, v2 on Pillow images": "torchvision",
    "torchvision, ImageFolder, v2 on tensors": "torchvision",
    "torchvision, ImageFolder, decode_jpeg, v2 on tensors": "torchvision",
    "WebDataset, v2 on tensors": "webdataset",
    "LitData, v2 on tensors": "litdata",
}


def living_tree():
    """Return the numbers of this process and its living descendants (Linux)."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [os.getpid()]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def cpu_seconds():
    """Return the processor time of this process and its living descendants."""
    total, ticks = 0.0, os.sysconf("SC_CLK_TCK")
    for pid in living_tree():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / ticks
    return total


def peak_mb():
    """Return the sum of the largest memory of this process and of its living descendants; shared pages count twice."""
    lines = [line for pid in living_tree() for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def make_torchvision_importable():
    """Declare what torchvision looks for, where torch has no CUDA and torchvision was built for it (vision#9337)."""
    import torch

    if torch.version.cuda is None:
        keep = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            keep.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        make_torchvision_importable.keep = keep


def light(on_tensors):
    """Return torchvision's transforms of a Pillow image or a uint8 tensor to a normalised float tensor."""
    import torch
    from torchvision.transforms import v2

    return v2.Compose(
        [
            *([v2.ToImage()] if on_tensors else []),
            v2.RandomResizedCrop(
                SIDE,
                scale=(0.6, 1.0),
                ratio=(1 / 1.15, 1.15),
                interpolation=v2.InterpolationMode.BICUBIC,
                antialias=True,
            ),
            v2.RandomHorizontalFlip(),
            *([] if on_tensors else [v2.ToImage()]),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def tlkit_batches(way, given):
    from tlkit.data import Source, SplitPlan
    from tlkit.data.loading.datamodule import ImageFolderDataModule

    tars = "tar" in way
    source = Source(
        root=() if tars else Path(given.files) / "folder",
        shards=str(Path(given.files) / "shards" / "train-{0..3}.tar") if tars else (),
        plan=SplitPlan(val=0.0),
    )
    data = ImageFolderDataModule(
        source,
        augment="light",
        batch_size=given.batch_size,
        num_workers=given.workers,
        image_cache="never" if "never" in way else "auto",
    )
    data.setup()
    data.memory_format = "channels_last"
    loader = data.train_dataloader()
    return lambda: (data.on_after_batch_transfer(batch, 0).image for batch in loader)


def torchvision_batches(way, given):
    make_torchvision_importable()
    import torch
    from torchvision.datasets import ImageFolder

    options = {}
    if "decode_jpeg" in way:
        from torchvision.io import ImageReadMode, decode_jpeg, read_file

        options["loader"] = lambda path: decode_jpeg(read_file(path), mode=ImageReadMode.RGB)
        options["loader"](next((Path(given.files) / "folder").rglob("*.jpg")).as_posix())
    images = ImageFolder(Path(given.files) / "folder" / "train", light("tensors" in way), **options)
    loader = torch.utils.data.DataLoader(
        images,
        batch_size=given.batch_size,
        shuffle=True,
        num_workers=given.workers,
        persistent_workers=given.workers > 0,
    )
    return lambda: (batch for batch, _ in loader)


def webdataset_batches(_way, given):
    make_torchvision_importable()
    import webdataset as wds

    shards = str(Path(given.files) / "shards" / "train-{0..3}.tar")
    images = (
        wds.WebDataset(shards, shardshuffle=SHARDS, empty_check=False)
        .shuffle(1000)
        .decode("pil")
        .to_tuple("jpg", "cls")
        .map_tuple(light(on_tensors=True), int)
        .batched(given.batch_size)
    )
    loader = wds.WebLoader(images, batch_size=None, num_workers=given.workers, persistent_workers=given.workers > 0)
    return lambda: (batch for batch, _ in loader)


def litdata_batches(_way, given):
    make_torchvision_importable()
    from litdata import StreamingDataLoader

    chunks = Path(given.files) / "chunks"
    if not chunks.exists():
        from litdata import optimize

        files = [str(path) for path in sorted((Path(given.files) / "folder").rglob("*.jpg"))]
        optimize(fn=opened, inputs=files, output_dir=str(chunks), chunk_bytes="8MB", num_workers=1, mode="overwrite")
    loader = StreamingDataLoader(
        LitDataImages(str(chunks), shuffle=True),
        batch_size=given.batch_size,
        num_workers=given.workers,
        persistent_workers=given.workers > 0,
    )
    return lambda: iter(loader)


if importlib.util.find_spec("litdata"):  # at the top level, for its workers to find
    make_torchvision_importable()
    from litdata import StreamingDataset

    class LitDataImages(StreamingDataset):
        """Images of LitData's chunks as float tensors."""

        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.to_float = light(on_tensors=True)

        def __getitem__(self, index):
            return self.to_float(super().__getitem__(index)["image"])


def opened(path):
    """Return an image, of which LitData stores the bytes of the file."""
    from PIL import Image

    return {"image": Image.open(path), "label": Path(path).parent.name}


def measure(way, given):
    """Run the epochs of one way, and print what each took as JSON."""
    import torch

    torch.set_num_threads(1)
    start = time.perf_counter()
    epoch = {
        "tlkit": tlkit_batches,
        "torchvision": torchvision_batches,
        "webdataset": webdataset_batches,
        "litdata": litdata_batches,
    }[WAYS[way]](way, given)
    found = {"before": time.perf_counter() - start, "epochs": []}
    for _ in range(given.epochs):
        start, cpu, images = time.perf_counter(), cpu_seconds(), 0
        for batch in epoch():
            assert batch.dtype == torch.float32, batch.dtype
            assert tuple(batch.shape[1:]) == (3, SIDE, SIDE), batch.shape
            images += len(batch)
        found["epochs"].append((images, time.perf_counter() - start, cpu_seconds() - cpu))
    found["peak_mb"] = peak_mb()
    print(json.dumps(found), flush=True)


def write_files(source: Path, target: Path) -> int:
    """Write the JPEGs of all splits as one split, as a folder and as shards, and return how many there are."""
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    classes = sorted({path.parent.name for path in files})
    (target / "shards").mkdir(parents=True)
    with ExitStack() as stack:
        shards = [target / "shards" / f"train-{number}.tar" for number in range(SHARDS)]
        tars = [stack.enter_context(tarfile.open(shard, "w")) for shard in shards]
        for number, path in enumerate(files):
            copied = target / "folder" / "train" / path.parent.name / f"{number:06d}.jpg"
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copied)
            target_class = str(classes.index(path.parent.name)).encode()
            for name, content in ((copied.name, path.read_bytes()), (f"{copied.stem}.cls", target_class)):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tars[number % SHARDS].addfile(member, io.BytesIO(content))
    return len(files)


def run(way: str, python: str, files: Path, given: argparse.Namespace) -> dict[str, object] | str:
    """Return what one way printed, or why it does not run."""
    command = [python, str(Path(__file__).resolve()), "--way", way, "--files", str(files)]
    for name in ("epochs", "workers", "batch_size"):
        command += [f"--{name.replace('_', '-')}", str(getattr(given, name))]
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TLKIT_CACHE": str(files / "cache" / way),
        "PYTHONPATH": str(HERE.parent),
    }
    if WAYS[way] != "tlkit":
        del env["PYTHONPATH"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def compare(given: argparse.Namespace) -> None:
    pythons = {"tlkit": sys.executable, **{name: getattr(given, name) for name in WAYS.values() if name != "tlkit"}}
    first: dict[str, list[float]] = {}
    later: dict[str, list[tuple[float, float]]] = {}
    peak: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="tlkit-data-path-") as folder:
        files = Path(folder)
        count = write_files(given.folder, files)
        print(
            f"{count} JPEGs, {given.workers} workers, batches of {given.batch_size}, {os.cpu_count()} cores, ", end=""
        )
        print(f"load average {os.getloadavg()[0]:.1f}", flush=True)
        left_out = {way for way, group in WAYS.items() if pythons[group] is None}
        for number in range(given.rounds):
            shutil.rmtree(files / "cache", ignore_errors=True)
            for way in [way for way in WAYS if way not in left_out]:
                found = run(way, pythons[WAYS[way]], files, given)
                if isinstance(found, str):
                    print(f"{way}: left out: {found}", flush=True)
                    left_out.add(way)
                    continue
                epochs = found["epochs"]
                rates = [(images / wall, 1000 * cpu / images) for images, wall, cpu in epochs]
                peak[way] = max(peak.get(way, 0.0), found["peak_mb"])
                first.setdefault(way, []).append(rates[0][0])
                later.setdefault(way, []).extend(rates[1:])
                print(f"round {number + 1}: {way}: {rates}", file=sys.stderr, flush=True)
    medians = {way: tuple(statistics.median(one[i] for one in rates) for i in (0, 1)) for way, rates in later.items()}
    others = {way: one for way, one in medians.items() if WAYS[way] != "tlkit"}
    fastest, leanest = (max(v[0] for v in others.values()), min(v[1] for v in others.values())) if others else (0, 0)
    print("| way | first epoch images/s | images/s | times the best other | CPU ms | best other's by it | peak MB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for way, (rate, cpu) in medians.items():
        times, by = (f"{rate / fastest:.2f}", f"{leanest / cpu:.2f}") if others else ("", "")
        columns = f"{statistics.median(first[way]):.0f} | {rate:.0f} | {times} | {cpu:.2f} | {by} | {peak[way]:.0f}"
        print(f"| {way} | {columns} |")
    print(f"load average at the end {os.getloadavg()[0]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    for name in ("torchvision", "webdataset", "litdata"):
        parser.add_argument(f"--{name}", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--files", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        measure(given.way, given)
    else:
        compare(given)


if __name__ == "__main__":
    main()
