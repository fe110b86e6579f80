"""Writes pixels.safetensors: operations on pixels as torchvision applies them to bytes.

    python make_pixels.py OUT_DIR

Needs torchvision 0.13. The metadata key "case" holds the settings as JSON: the name of each operation
and its argument.

in:  x (N, 3, H, W), whole numbers from 0 to 255
out: one tensor for each operation, of the same shape
"""
import json
import math
import os
import struct
import sys

import torch
import torchvision.transforms.functional as F

torch.manual_seed(3)
N, SIDE = 2, 9


def affine(x, translate=(0, 0), shear=(0., 0.), center=None):
    degrees = [math.degrees(math.atan(s)) for s in shear]
    return F.affine(x, 0., list(translate), 1., degrees, center=center)


OPERATIONS = {
    "ShearX": (0.23, lambda x, a: affine(x, shear=(a, 0.), center=[0, 0])),
    "ShearY": (-0.17, lambda x, a: affine(x, shear=(0., a), center=[0, 0])),
    "TranslateX": (3, lambda x, a: affine(x, translate=(a, 0))),
    "TranslateY": (-2, lambda x, a: affine(x, translate=(0, a))),
    "Rotate": (21.7, F.rotate),
    # factors without rounding, so that a fraction is never lost by an error of the last bit
    "Brightness": (1.375, F.adjust_brightness),
    "Color": (0.4375, F.adjust_saturation),
    "Contrast": (1.625, F.adjust_contrast),
    "Sharpness": (1.75, F.adjust_sharpness),
    "Posterize": (5, F.posterize),
    "Solarize": (113.3, F.solarize),
    "AutoContrast": (None, lambda x, _: F.autocontrast(x)),
    "Equalize": (None, lambda x, _: F.equalize(x)),
    "Invert": (None, lambda x, _: F.invert(x)),
    "Flip": (None, lambda x, _: F.hflip(x)),
}


def main(folder):
    # smooth, so that shapes are seen; one channel is the same everywhere
    noise = torch.rand(N, 3, SIDE, SIDE)
    x = (255 * torch.nn.functional.avg_pool2d(noise, 3, 1, 1)).to(torch.uint8)
    x[1, 2] = 77
    tensors = {"x": x}
    tensors |= {name: f(x, argument) for name, (argument, f) in OPERATIONS.items()}
    tensors = {name: t.to(torch.float64).contiguous() for name, t in tensors.items()}
    case = {"kind": "pixels", "operations": {name: argument for name, (argument, _) in OPERATIONS.items()}}
    header, data = {"__metadata__": {"case": json.dumps(case)}}, b""
    for name, t in tensors.items():
        content = struct.pack(f"<{t.numel()}d", *t.flatten().tolist())
        header[name] = {"dtype": "F64", "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "pixels.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


main(sys.argv[1])
