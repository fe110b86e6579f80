"""Writes the golden cases network_*.safetensors of the networks that distilled sets are evaluated
with, from PyTorch's own modules: their logits in training and in testing, the running statistics of
batch norm, and first and second derivatives.

    python make_networks.py OUT_DIR

Needs nothing but PyTorch. The networks have up to 11 million parameters, so that parameters, images
and directions are no part of a case: they are numbers(seed, n) below, in the order of
module.parameters(). All outputs are float64; the metadata key "case" holds the settings as JSON.

theta      numbers(1): weights times sqrt(6 / fan in); vectors (norms, biases) as (1 + number) / 2
x          1.5 numbers(2), as (N, C, H, W); the label of image i is i modulo the number of classes
direction  numbers(3) / 100, for the second derivative; probe = numbers(4), for dot products

logits     (N, K) in training
running    (S) after this batch: of each batch norm its running mean, then its running variance
tested     (N, K) in testing, with these statistics
and, for some of them:
grad       of the mean cross-entropy in training, with respect to the parameters: the dot product with
           probe of each tensor
along      the same of the gradient of <gradient, direction>
along_x    the gradient of <gradient, direction> with respect to x, summed over columns: (N, C, H)
"""
import os
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from make_soft_labels import save

torch.set_default_dtype(torch.float64)


def numbers(seed, n):
    """n numbers in [-1, 1) from a hash of their position."""
    mask = 0xFFFFFFFF
    x = (torch.arange(n, dtype=torch.int64) + seed * 0x9E3779B9) & mask
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & mask
    x = ((x ^ (x >> 15)) * 0x846CA68B) & mask
    x = x ^ (x >> 16)
    return x.to(torch.float64) / 2**31 - 1


def norm(kind, channels):
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(channels, channels)


def convnet(kind, channels, size, classes, width, depth):
    layers, inputs = [], channels
    for block in range(depth):
        padding = 3 if channels == 1 and block == 0 else 1
        layers += [nn.Conv2d(inputs, width, 3, padding=padding), norm(kind, width), nn.ReLU(), nn.AvgPool2d(2)]
        inputs = width
    return head(layers, channels, size, classes)


def alexnet(channels, size, classes):
    first = 4 if channels == 1 else 2
    layers = [nn.Conv2d(channels, 128, 5, padding=first), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(128, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(192, 256, 3, padding=1), nn.ReLU()]
    layers += [nn.Conv2d(256, 192, 3, padding=1), nn.ReLU()]
    layers += [nn.Conv2d(192, 192, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return head(layers, channels, size, classes)


def vgg11(kind, channels, size, classes):
    layers, inputs = [], channels
    for width in [64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"]:
        if width == "pool":
            layers.append(nn.MaxPool2d(2))
        else:
            padding = 3 if inputs == 1 else 1
            layers += [nn.Conv2d(inputs, width, 3, padding=padding), norm(kind, width), nn.ReLU()]
            inputs = width
    return head(layers, channels, size, classes)


class Block(nn.Module):
    def __init__(self, kind, inputs, width, stride):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, width, 3, stride, 1, bias=False), norm(kind, width), nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False), norm(kind, width),
        )
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), norm(kind, width))

    def forward(self, x):
        return F.relu(self.main(x) + self.shortcut(x))


def resnet18(kind, channels, size, classes):
    layers = [nn.Conv2d(channels, 64, 3, 1, 1, bias=False), norm(kind, 64), nn.ReLU()]
    inputs = 64
    for width, stride in [(64, 1), (128, 2), (256, 2), (512, 2)]:
        layers += [Block(kind, inputs, width, stride), Block(kind, width, width, 1)]
        inputs = width
    return head(layers + [nn.AdaptiveAvgPool2d(1)], channels, size, classes)


def head(layers, channels, size, classes):
    features = nn.Sequential(*layers, nn.Flatten())
    with torch.no_grad():
        inputs = features.eval()(torch.zeros(1, channels, size, size)).shape[1]
    return nn.Sequential(features, nn.Linear(inputs, classes)).train()


def fill(model):
    shapes = [p.shape for p in model.parameters()]
    parts = numbers(1, sum(s.numel() for s in shapes)).split([s.numel() for s in shapes])
    with torch.no_grad():
        for p, part in zip(model.parameters(), parts):
            scale = (6 / p[0].numel()) ** 0.5
            p.copy_(part.view(p.shape) * scale if p.dim() > 1 else (1 + part) / 2)


def dots(gradients):
    probe = numbers(4, sum(g.numel() for g in gradients)).split([g.numel() for g in gradients])
    return torch.stack([g.flatten() @ v for g, v in zip(gradients, probe)])


def case(out, name, model, derivatives=False, **settings):
    images, channels, size, classes = (settings[k] for k in ("images", "channels", "size", "classes"))
    fill(model)
    x = (1.5 * numbers(2, images * channels * size * size)).view(images, channels, size, size).requires_grad_(True)
    y = torch.arange(images) % classes
    parameters = list(model.parameters())
    logits = model(x)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    running = [t.clone() for m in norms for t in (m.running_mean, m.running_var)]
    outputs = {"logits": logits, "running": torch.cat(running) if running else torch.zeros(0)}
    if derivatives:
        outputs |= differentiated(F.cross_entropy(logits, y), parameters, x)
    with torch.no_grad():
        outputs["tested"] = model.eval()(x)
    save(os.path.join(out, f"network_{name}.safetensors"), {"kind": "network_of_the_field", **settings}, outputs)


def differentiated(loss, parameters, x):
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    direction = numbers(3, sum(p.numel() for p in parameters)) / 100
    s = torch.cat([g.flatten() for g in gradients]) @ direction
    *along, along_x = torch.autograd.grad(s, parameters + [x], allow_unused=True)
    along = [torch.zeros_like(p) if g is None else g for g, p in zip(along, parameters)]
    return {"grad": dots(gradients), "along": dots(along), "along_x": along_x.sum(3)}


def main(out):
    small = {"images": 5, "channels": 3, "size": 16, "classes": 6, "width": 8, "depth": 3}
    task = {"channels": 3, "size": 16, "classes": 6}
    case(out, "convnet_bn", convnet("batch", **task, width=8, depth=3), derivatives=True, network="convnet-bn", **small)
    grey = {"channels": 1, "size": 28, "classes": 6}
    colour = {"channels": 3, "size": 32, "classes": 6}
    for sort, norms in [("instance", ""), ("batch", "-bn")]:
        for task, suffix in [(colour, ""), (grey, "_grey")]:
            if norms and suffix:
                continue
            for network, build in [("resnet18", resnet18), ("vgg11", vgg11)]:
                name = (network + norms).replace("-", "_") + suffix
                case(out, name, build(sort, **task), bool(norms), network=network + norms, images=2, **task)
    for task, suffix in [(colour, ""), (grey, "_grey"), ({**colour, "size": 20}, "_20")]:
        case(out, "alexnet" + suffix, alexnet(**task), task is colour, network="alexnet", images=2, **task)
    case(out, "resnet18_48", resnet18("instance", 3, 48, 6), network="resnet18", images=1, channels=3, size=48, classes=6)


if __name__ == "__main__":
    main(sys.argv[1])
