"""Writes soft_labels.safetensors: the loss of a student step with soft labels, its gradient, and the
derivatives of that gradient along a direction.

    python make_soft_labels.py OUT_DIR

Needs nothing but PyTorch, and everything comes from its autograd. All tensors are float64; the
metadata key "case" holds the settings as JSON.

in:  theta (P), x (N, C, H, W), p (N, K) with a sum of 1 per image, direction u (P)
out: loss (1) = factor * mean over images of -sum_k p_k ln softmax(f)_k, its gradient g (P) with
     respect to theta, and the derivatives of g . u: along_theta (P), along_x (N, C, H, W), along_p (N, K)
"""
import json
import math
import os
import struct
import sys

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)

WIDTH, DEPTH, SIZE, CLASSES, IMAGES, FACTOR = 8, 2, 16, 5, 7, 1.3


def shapes():
    """Per block conv weight, conv bias, norm weight, norm bias; then linear weight, linear bias."""
    out, channels, side = [], 3, SIZE
    for _ in range(DEPTH):
        out += [(WIDTH, channels, 3, 3), (WIDTH,), (WIDTH,), (WIDTH,)]
        channels, side = WIDTH, side // 2
    return out + [(CLASSES, WIDTH * side * side), (CLASSES,)]


def forward(theta, x):
    sizes = [math.prod(s) for s in shapes()]
    parts = iter(t.view(s) for t, s in zip(theta.split(sizes), shapes()))
    for _ in range(DEPTH):
        x = F.conv2d(x, next(parts), next(parts), padding=1)
        x = F.group_norm(x, WIDTH, next(parts), next(parts), 1e-5)
        x = F.avg_pool2d(F.relu(x), 2)
    return F.linear(x.flatten(1), next(parts), next(parts))


def save(path, case, tensors):
    """A safetensors file: the length of a JSON header, the header, the numbers."""
    header, data = {"__metadata__": {"case": json.dumps(case)}}, b""
    for name, t in tensors.items():
        values = t.detach().flatten().tolist()
        dtype, code = ("F64", "d") if t.is_floating_point() else ("I64", "q")
        raw = struct.pack(f"<{len(values)}{code}", *values)
        header[name] = {"dtype": dtype, "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main(out):
    gen = torch.Generator().manual_seed(7)
    parts = []
    for block in shapes():
        t = torch.randn(block, generator=gen)
        fan = math.prod(block[1:])
        parts.append((t * (2 / fan) ** 0.5 if len(block) > 1 else 1 + 0.1 * t).flatten())
    theta = torch.cat(parts).requires_grad_(True)
    x = torch.randn(IMAGES, 3, SIZE, SIZE, generator=gen).requires_grad_(True)
    p = torch.randn(IMAGES, CLASSES, generator=gen).mul(2).softmax(1).requires_grad_(True)
    u = torch.randn(theta.shape, generator=gen)
    loss = FACTOR * -(p * F.log_softmax(forward(theta, x), 1)).sum(1).mean()
    (g,) = torch.autograd.grad(loss, theta, create_graph=True)
    along = torch.autograd.grad(g @ u, (theta, x, p))
    case = {"kind": "soft_labels", "width": WIDTH, "depth": DEPTH, "size": SIZE, "classes": CLASSES, "factor": FACTOR}
    save(os.path.join(out, "soft_labels.safetensors"), case, {
        "theta": theta, "x": x, "p": p, "direction": u, "loss": loss.reshape(1), "grad": g,
        "along_theta": along[0], "along_x": along[1], "along_p": along[2],
    })


if __name__ == "__main__":
    main(sys.argv[1])
