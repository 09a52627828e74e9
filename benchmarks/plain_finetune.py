"""The plain tutorial loop that fine-tunes everything: torchvision's ImageFolder, a timm backbone, float32.

Usage: python plain_finetune.py FOLDER EPOCHS [keep]   (prints one line of JSON)

With "keep", glibc keeps freed memory, as on tlkit's command line.
"""

import sys

import torch
from plain_loop import BICUBIC, END, keep_freed_memory, lite0, loaders, train
from torchvision import transforms


def main(folder, epochs, keep=""):
    if keep:
        keep_freed_memory()
    torch.manual_seed(0)
    crop = transforms.RandomResizedCrop(224, scale=(0.6, 1.0), interpolation=BICUBIC)
    train_batches, val_batches = loaders(folder, transforms.Compose([crop, transforms.RandomHorizontalFlip(), *END]))
    model = lite0(len(train_batches.dataset.classes))
    torch.nn.init.normal_(model.get_classifier().weight, std=0.01)
    head = {id(parameter) for parameter in model.get_classifier().parameters()}
    groups = [
        {"params": [p for p in model.parameters() if id(p) in head], "lr": 1e-3},
        {"params": [p for p in model.parameters() if id(p) not in head], "lr": 1e-4},
    ]
    train(model, train_batches, val_batches, torch.optim.AdamW(groups), epochs)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
