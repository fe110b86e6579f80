"""Scores what `astill export --format dd-ranking` wrote with DD-Ranking's own package.

    pip install ddranking==0.2.0
    python dd_ranking.py FOLDER CIFAR [--epochs N] [--test N] [--repeats N]

CIFAR is the parent of cifar-10-batches-py. Prints the best test accuracy of each network, as the package measures
it: a network of its own, with FOLDER/config.yaml as the protocol. --epochs and --test (the first N test images)
make it quicker and the figure rougher. The accuracies of real and of random images, which the scores are differences
to, are left out: they say nothing about the set.
"""
import argparse
import contextlib
import io
import os

import numpy as np
import torch
import torchvision
from ddranking.config import Config
from ddranking.metrics import LabelRobustScoreHard

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("cifar")
parser.add_argument("--epochs", type=int)
parser.add_argument("--test", type=int)
parser.add_argument("--repeats", type=int)
given = parser.parse_args()

# torchvision compares the MD5 of the release, which re-encoded images cannot have
torchvision.datasets.cifar.check_integrity = lambda path, md5=None: os.path.isfile(path)

path = lambda name: os.path.join(given.folder, name)
config = Config.from_file(path("config.yaml"))
config.config |= {"device": "cpu", "real_data_path": given.cifar, "num_workers": 0, "save_path": path("scores.csv")}
if given.epochs:
    config.config |= {"num_epochs": given.epochs, "step_size": given.epochs // 2}
images, labels, rate = (torch.load(path(f"{name}.pt")) for name in ["images", "labels", "lr"])
scorer = LabelRobustScoreHard(config)
# the package tests every ten epochs and takes the best; once in the middle and at the end is quicker
scorer.test_interval = max(scorer.num_epochs // 2, 1)
if given.test:
    some = torch.utils.data.Subset(scorer.test_loader_syn.dataset, range(given.test))
    scorer.test_loader_syn = torch.utils.data.DataLoader(some, batch_size=256)
accuracies = []
for _ in range(given.repeats or scorer.num_eval):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        accuracy, _ = scorer._compute_hard_label_metrics_helper(
            image_tensor=images, image_path=None, hard_labels=labels, lr=rate.item(), mode="syn"
        )
    accuracies.append(accuracy)
    print(f"{accuracy:.2f}", flush=True)
print(f"mean {np.mean(accuracies):.2f} ± {np.std(accuracies):.2f}")
