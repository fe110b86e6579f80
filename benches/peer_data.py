"""CIFAR-10 from its binary files to whitened images in plain PyTorch, timed. The options and keys are those of `astill bench data`."""
import os, sys, time

import torch

from distillation import options, report

a = options(data="", train_limit=50_000)
folder = os.path.join(a.data, "cifar10")
if os.path.isdir(os.path.join(folder, "cifar-10-batches-bin")):
    folder = os.path.join(folder, "cifar-10-batches-bin")
if not os.path.isdir(folder):
    sys.exit(f"peer_data: no CIFAR-10 in {folder} (--data DIR)")


def read(files):
    """Pixels in [0, 1] (n, 3, 32, 32) and labels (n)."""
    raw = []
    for name in files:
        with open(os.path.join(folder, name), "rb") as file:
            raw.append(torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).view(-1, 3073))
    raw = torch.cat(raw)
    return raw[:, 1:].reshape(-1, 3, 32, 32).float().div_(255), raw[:, 0].long()


def whitening(x):
    """The mean (1, D) and the transform (D, D) of the pixels of x."""
    flat = x.flatten(1)
    mean = flat.mean(0, keepdim=True)
    centred = flat - mean
    covariance = centred.T @ centred / (len(flat) - 1)
    values, vectors = torch.linalg.eigh(covariance)
    spread = (values.clamp_min(0) + 0.1).sqrt()
    # what whitened images are shown with
    inverse = (vectors * spread) @ vectors.T
    return mean, (vectors / spread) @ vectors.T, inverse


def whitened(x, mean, transform):
    return ((x.flatten(1) - mean) @ transform).view_as(x)


with torch.no_grad():
    begin = time.perf_counter()
    train, train_labels = read([f"data_batch_{i}.bin" for i in range(1, 6)])
    train, train_labels = train[: a.train_limit], train_labels[: a.train_limit]
    test, test_labels = read(["test_batch.bin"])
    loaded = time.perf_counter()
    mean, transform, inverse = whitening(train)
    train, test = whitened(train, mean, transform), whitened(test, mean, transform)
    done = time.perf_counter()
report(a, train=len(train), test=len(test), seconds=done - begin, load_s=loaded - begin, zca_s=done - loaded)
