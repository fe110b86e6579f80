"""Reads what make.py wrote with the programs that people read such files with: check.py OUT_DIR

    pip install torch torchvision medmnist numpy pillow datasets webdataset

Compares every image and label with what make.py draws, and prints a line for every program.
"""
import glob
import os
import shutil
import sys
import tarfile
import tempfile

import datasets
import medmnist
import numpy as np
import torchvision
import webdataset
from PIL import Image

OUT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else sys.exit(__doc__))
CLASSES = ["cat", "dog", "owl"]
TRAIN = [(c, i) for i in range(4) for c in range(3)]
TEST = [(c, i) for i in range(8, 10) for c in range(3)]


def picture(c, i, side=8):
    return np.broadcast_to(np.array([2 * c, 10 * i, 100], np.uint8), (side, side, 3))


def grey(c, i, side=8):
    return np.full((side, side), 20 * c + i, np.uint8)


def equal(read, pairs, draw, error=0):
    """Whether `read`, pairs of image and label, is what `draw` gives for these classes and numbers."""
    read = list(read)
    assert len(read) == len(pairs), (len(read), len(pairs))
    for (image, label), (c, i) in zip(read, pairs):
        image = np.asarray(image).astype(int)
        assert int(np.squeeze(label)) == c, (label, c)
        assert np.abs(image - draw(c, i)).max() <= error, (c, i, image[0, 0], draw(c, i)[0, 0])


with tempfile.TemporaryDirectory() as home:
    # torchvision compares the MD5 of the release, which such a small set cannot have
    torchvision.datasets.cifar.check_integrity = lambda path, md5=None: os.path.isfile(path)
    for name, cls in [("cifar-10", torchvision.datasets.CIFAR10), ("cifar-100", torchvision.datasets.CIFAR100)]:
        tarfile.open(f"{OUT}/{name}-python.tar.gz").extractall(home, filter="data")
        side = lambda c, i: picture(c, i, 32)
        if name == "cifar-10":
            train, test = [(c, b) for b in range(1, 6) for c in range(10)], [(c, 9) for c in reversed(range(10))]
        else:
            train, test = [(c, 1) for c in range(100)], [(c, 2) for c in range(100)]
        equal(cls(home, train=True), train, side)
        equal(cls(home, train=False), test, side)
    raw = f"{home}/MNIST/raw"
    os.makedirs(raw)
    for path in glob.glob(f"{OUT}/mnist/*.gz"):
        unpacked = f"{raw}/{os.path.basename(path)[:-3]}"
        torchvision.datasets.utils.extract_archive(path, raw)
        assert os.path.isfile(unpacked)
    for is_train, pairs in [(True, TRAIN), (False, TEST)]:
        equal(torchvision.datasets.MNIST(home, train=is_train), pairs, lambda c, i: grey(c, i, 28))
    # one class after the other; number 6 is a GIF, which torchvision passes over; JPEGs differ a little
    for split, numbers in [("train", [i for i in range(16) if i != 6]), ("test", range(3))]:
        pairs = [(c, i) for c in range(3) for i in numbers]
        found = torchvision.datasets.ImageFolder(f"{OUT}/folders/{split}")
        assert found.classes == CLASSES
        equal(found, pairs, picture, error=3)
    print("torchvision", torchvision.__version__)

    shutil.copy(f"{OUT}/medmnist.npz", f"{home}/pathmnist.npz")
    for split, pairs in [("train", TRAIN), ("val", TEST[:3]), ("test", TEST[3:])]:
        found = medmnist.PathMNIST(split=split, root=home)
        assert len(found.imgs) == len(pairs)  # len(found) compares with the real set
        equal([found[i] for i in range(len(pairs))], pairs, picture)
    print("medmnist", medmnist.__version__)

    read = lambda path, split: [
        (row["img"], row["label"]) for row in datasets.load_dataset(path, split=split, cache_dir=f"{home}/hf")
    ]
    equal(read(f"{OUT}/parquet", "train"), TRAIN, picture)
    equal(read(f"{OUT}/parquet", "test"), TEST, picture)
    equal(read(f"{OUT}/parquet-zstd", "train"), TRAIN, grey)
    equal(read(f"{OUT}/parquet-zstd", "validation"), TEST[:3], grey)
    print("datasets", datasets.__version__)

    shards = lambda split: sorted(glob.glob(f"{OUT}/webdataset/{split}-*.tar"))
    for split, pairs in [("train", TRAIN), ("test", TEST)]:
        read = webdataset.WebDataset(shards(split), shardshuffle=False, empty_check=False).decode("pil")
        equal(read.to_tuple("png", "cls"), pairs, picture)
    print("webdataset", webdataset.__version__)

    for name, draw in [("medmnist", picture), ("grey", grey)]:
        arrays = np.load(f"{OUT}/{name}.npz")
        images, labels = ("train_images", "train_labels") if name == "medmnist" else ("x_train", "y_train")
        equal(zip(arrays[images], arrays[labels]), TRAIN, draw)
    print("numpy", np.__version__)
