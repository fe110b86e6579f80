"""Reads what `astill export` wrote, with the programs that people use: readers.py FOLDER, which holds a folder for every format.

Prints a line for every format that was read, and "without LIBRARY" for those whose library is not installed here.
"""
import csv, json, pathlib, sys

import numpy as np

root = pathlib.Path(sys.argv[1])
truth = np.load(root / "npz/distilled.npz")  # allow_pickle is off
images, pixels, labels = truth["images"], truth["pixels"], truth["labels"]
classes = [str(c) for c in truth["classes"]]
metadata = json.loads(str(truth["metadata"]))
assert images.dtype == np.float32 and pixels.dtype == np.uint8 and labels.dtype == np.int64
assert images.shape == pixels.shape and len(images) == len(labels) and len(classes) == metadata["protocol"]["classes"]
shown = np.round(np.clip(images * truth["std"][:, None, None] + truth["mean"][:, None, None], 0, 1) * 255)
assert np.abs(shown - pixels).max() <= 1
soft = truth["soft_labels"] if "soft_labels" in truth else None
print("npz")

try:
    import torch
except ImportError:
    print("without torch")
else:
    load = lambda name: torch.load(root / name, weights_only=True)
    assert np.array_equal(load("pt/images_best.pt").numpy(), images)
    assert np.array_equal(load("pt/labels_best.pt").numpy(), labels if soft is None else soft)
    rate = load("pt/lr_best.pt")
    assert rate.shape == () and abs(rate.item() / truth["student_lr"] - 1) < 1e-6
    assert torch.load(root / "pt/images_best.pt", mmap=True).is_contiguous()
    test = load("pt/test_images.pt")
    assert test.dtype == torch.uint8 and len(test) == len(load("pt/test_labels.pt"))
    print("pt")

try:
    from safetensors import safe_open
except ImportError:
    print("without safetensors")
else:
    with safe_open(root / "safetensors/best.safetensors", "np") as file:
        assert np.array_equal(file.get_tensor("images"), images) and np.array_equal(file.get_tensor("pixels"), pixels)
        assert json.loads(file.metadata()["astill"])["protocol"] == metadata["protocol"]
    print("safetensors")

try:
    from PIL import Image
except ImportError:
    print("without pillow")
else:
    with open(root / "png/labels.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(r["label"]) for r in rows] == labels.tolist() and [classes[int(r["label"])] for r in rows] == [r["class"] for r in rows]
    for row, expected in zip(rows, pixels):
        assert np.array_equal(np.asarray(Image.open(root / "png" / row["file"])).transpose(2, 0, 1), expected)
    folders = sorted(path.name for path in (root / "png").iterdir() if path.is_dir())
    assert [folder.split("-", 1)[1] for folder in folders] == classes  # as ImageFolder numbers them
    print("png")

try:
    from datasets import ClassLabel, load_dataset
except ImportError:
    print("without datasets")
else:
    loaded = load_dataset(str(root / "hf"), split="train", cache_dir=str(root / "cache"))
    assert isinstance(loaded.features["label"], ClassLabel) and loaded.features["label"].names == classes
    assert loaded["label"] == labels.tolist()
    for row, expected in zip(loaded, pixels):
        assert np.array_equal(np.asarray(row["image"]).transpose(2, 0, 1), expected)
    if soft is not None:
        assert np.array_equal(np.array(loaded["probabilities"], dtype=np.float32), soft)
    print("hf")
