"""Writes the files of this folder as the trajectory-matching family of programs writes them: experts
as replay_buffer_N.pt, a distilled set as images_best.pt and labels_best.pt.

    python make.py OUT_DIR

Needs nothing but PyTorch and safetensors. The network is a ConvNet of width 8 and depth 2 for images of 16x16 in ten
classes, trained on noise.

shapes/replay_buffer_N.pt   two experts and one, of three epochs each
shapes/smoothness.json      of each expert and epoch: length of the step, cosine with the step before,
                            length of the second difference, length of the path over the distance from its
                            start; all computed here, in float64
shared/…                    recorded on a CPU without a copy, so that all checkpoints are the last one
old/…                       in the format of torch before 1.6
parameters/…                the same expert as parameters in state dicts by name
states/…                    the same expert as state dicts, with what PyTorch writes beside the tensors
diverged/…                  one good expert and one that is not finite from its second epoch on
other/…                     a network of another width
width-4/…                   an expert of one epoch of a ConvNet of width 4 and depth 3 for images of 32x32
small.pt                    nested lists of small tensors, for fuzzing
distilled/…                 two images per class and their labels
soft/…                      the same with learned soft labels as logits, and a learned rate
parts/…                     the same in two files
set.safetensors             the set of distilled/ in one file
numbers/…                   two images per class, with labels that are stored as floats, and the rate as a number of Python
listed/…                    two images with their labels in a list of numbers, in one file
"""
import copy
import json
import os
import sys

import torch
import torch.nn as nn
from safetensors.torch import save_file

CLASSES, SIZE = 10, 16


def network(width=8, depth=2, size=SIZE):
    layers, channels = [], 3
    for _ in range(depth):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.GroupNorm(width, width), nn.ReLU(), nn.AvgPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * (size >> depth) ** 2, CLASSES))


def expert(seed, record, width=8, epochs=3):
    torch.manual_seed(seed)
    net = network(width)
    images, labels = torch.randn(40, 3, SIZE, SIZE), torch.arange(40) % CLASSES
    optimiser = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    checkpoints = [record(net)]
    for _ in range(epochs):
        for rows in torch.randperm(40).split(10):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(images[rows]), labels[rows]).backward()
            optimiser.step()
        checkpoints.append(record(net))
    return checkpoints


def copied(net):
    return [p.detach().cpu().clone() for p in net.parameters()]


def shared(net):
    return [p.detach().cpu() for p in net.parameters()]


def by_name(net):
    return {name: nn.Parameter(p.detach().clone()) for name, p in net.named_parameters()}


def smoothness(checkpoints):
    points = [torch.cat([t.flatten() for t in c]).double() for c in checkpoints]
    steps = [b - a for a, b in zip(points, points[1:])]
    rows, length = [], 0.0
    for e, step in enumerate(steps):
        before = steps[e - 1] if e else None
        length += step.norm().item()
        rows.append({
            "step_length": step.norm().item(),
            "turn": torch.cosine_similarity(before, step, 0).item() if e else None,
            "curvature": (step - before).norm().item() if e else None,
            "tortuosity": length / (points[e + 1] - points[0]).norm().item(),
        })
    return rows


def main(out):
    def path(*names):
        os.makedirs(os.path.join(out, *names[:-1]), exist_ok=True)
        return os.path.join(out, *names)

    experts = [expert(seed, copied) for seed in range(3)]
    torch.save(experts[:2], path("shapes", "replay_buffer_0.pt"))
    torch.save(experts[2:], path("shapes", "replay_buffer_1.pt"))
    with open(path("shapes", "smoothness.json"), "w") as file:
        json.dump([smoothness(e) for e in experts], file, indent=1)
    torch.save([expert(0, shared)], path("shared", "replay_buffer_0.pt"))
    torch.save(experts[:1], path("old", "replay_buffer_0.pt"), _use_new_zipfile_serialization=False)
    torch.save([expert(0, by_name)], path("parameters", "replay_buffer_0.pt"))
    torch.save([expert(0, lambda net: copy.deepcopy(net.state_dict()))], path("states", "replay_buffer_0.pt"))
    bad = expert(1, copied)
    for checkpoint in bad[2:]:
        checkpoint[0].fill_(float("nan"))
    torch.save([experts[0], bad], path("diverged", "replay_buffer_0.pt"))
    torch.save([expert(0, copied, width=4, epochs=1)], path("other", "replay_buffer_0.pt"))

    torch.manual_seed(8)
    net = network(width=4, depth=3, size=32)
    torch.save([[copied(net), [p + 0.1 for p in copied(net)]]], path("width-4", "replay_buffer_0.pt"))

    torch.manual_seed(9)
    torch.save([[torch.randn(2, 3), torch.randn(4).double()[1:]], [torch.arange(3), 1.5]], path("small.pt"))
    labels = torch.arange(CLASSES).repeat(2)
    images = torch.randn(len(labels), 3, SIZE, SIZE) + labels.view(-1, 1, 1, 1)
    torch.save(images.requires_grad_(True), path("distilled", "images_best.pt"))
    torch.save(labels, path("distilled", "labels_best.pt"))
    torch.save(images.detach().clone(), path("soft", "images_best.pt"))
    torch.save(4 * nn.functional.one_hot(labels, CLASSES) - torch.rand(len(labels), CLASSES), path("soft", "labels_best.pt"))
    torch.save(torch.tensor(0.02), path("soft", "lr_best.pt"))
    torch.save({"images": images.detach()[:2].clone(), "labels": [0, 1]}, path("listed", "images_best.pt"))
    torch.save(images.detach().clone(), path("numbers", "images_best.pt"))
    torch.save(labels.float(), path("numbers", "labels_best.pt"))
    torch.save(0.02, path("numbers", "lr_best.pt"))
    save_file({"images": images.detach().clone(), "labels": labels}, path("set.safetensors"))
    for part, (some, their) in enumerate(zip(images.detach().split(10), labels.split(10))):
        torch.save(some.clone(), path("parts", f"images_best_{part}.pt"))
        torch.save(their.clone(), path("parts", f"labels_best_{part}.pt"))


if __name__ == "__main__":
    main(sys.argv[1])
