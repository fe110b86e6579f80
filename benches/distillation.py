"""What the programs in this folder share: dataset distillation in plain PyTorch, as one would write it without astill.

The parameters of the network are one flat vector, so that a student's whole path can stay in one autograd graph.
"""
import argparse, json, math, resource, time

import torch
import torch.nn.functional as F


def options(**defaults):
    """The options of a program, its threads set and its device found."""
    parser = argparse.ArgumentParser()
    for name, value in dict(defaults, threads=2).items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tf32", action="store_true", help="on a GPU, round the factors of products to TF32, as astill bench does with it")
    parser.add_argument("--json", action="store_true", help="always; for the same command line as astill bench")
    arguments = parser.parse_args()
    del arguments.json
    torch.set_num_threads(arguments.threads)
    # PyTorch's own default is exact products and rounded convolutions, which astill has not
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = arguments.tf32
    torch.manual_seed(0)
    return arguments


def now(device):
    """Seconds on a clock, once the device has done all that it was asked to."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def report(arguments, **measured):
    """Prints one JSON object: the options, what was measured, the most memory."""
    measured = {key: round(value, 4) if isinstance(value, float) else value for key, value in measured.items()}
    measured["peak_rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if arguments.device.startswith("cuda"):
        measured["peak_gpu_mib"] = torch.cuda.max_memory_allocated() >> 20
    print(json.dumps({**vars(arguments), **measured}))


class ConvNet:
    """`depth` blocks of [3×3 convolution, instance norm, relu, 2×2 average pooling] and a linear layer."""

    def __init__(self, classes, width, depth, size):
        self.width, self.shapes, channels = width, [], 3
        for _ in range(depth):
            self.shapes += [(width, channels, 3, 3), (width,), (width,), (width,)]
            channels = width
        self.shapes += [(classes, width * (size >> depth) ** 2), (classes,)]
        self.sizes = [math.prod(shape) for shape in self.shapes]

    def fresh(self, device):
        """Random parameters (P), as PyTorch's layers have them at first."""
        parts = []
        for index in range(0, len(self.shapes) - 2, 4):
            bound = math.prod(self.shapes[index][1:]) ** -0.5
            parts += [torch.empty(size).uniform_(-bound, bound) for size in self.sizes[index : index + 2]]
            parts += [torch.ones(self.width), torch.zeros(self.width)]
        bound = self.shapes[-2][1] ** -0.5
        parts += [torch.empty(size).uniform_(-bound, bound) for size in self.sizes[-2:]]
        return torch.cat(parts).to(device)

    def __call__(self, flat, x):
        parts = [part.view(shape) for part, shape in zip(flat.split(self.sizes), self.shapes)]
        for index in range(0, len(parts) - 2, 4):
            weight, bias, gamma, beta = parts[index : index + 4]
            x = F.group_norm(F.conv2d(x, weight, bias, padding=1), self.width, gamma, beta)
            x = F.avg_pool2d(F.relu(x), 2)
        return F.linear(x.flatten(1), *parts[-2:])


def draw(n, device):
    return torch.rand(n, 1, 1, 1, device=device)


def colour(x):
    n, device = len(x), x.device
    x = x + (draw(n, device) - 0.5)
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * (2 * draw(n, device)) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (draw(n, device) + 0.5) + mean


def crop(x):
    n, _, side, _ = x.shape
    reach = round(side * 0.125)
    rows, columns = (
        torch.arange(side, device=x.device) + torch.randint(0, 2 * reach + 1, (n, 1), device=x.device) for _ in range(2)
    )
    padded = F.pad(x, (reach,) * 4).permute(0, 2, 3, 1)
    images = torch.arange(n, device=x.device).view(-1, 1, 1)
    return padded[images, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cutout(x):
    n, _, side, _ = x.shape
    square, cells = side // 2, torch.arange(side, device=x.device)

    def covered():
        first = torch.randint(0, side + 1, (n, 1), device=x.device) - square // 2
        return (cells >= first.clamp(0, side - 1)) & (cells <= (first + square - 1).clamp(0, side - 1))

    return x * ~(covered()[:, None, :, None] & covered()[:, None, None, :])


def flip(x):
    return torch.where(draw(len(x), x.device) < 0.5, x.flip(3), x)


def warp(x, *entries):
    """Sampled at the places that these four entries (N) of a matrix an image, row by row, say."""
    matrix = torch.stack(entries, 1).view(-1, 2, 2)
    grid = F.affine_grid(F.pad(matrix, (0, 1)), list(x.shape), align_corners=True)
    return F.grid_sample(x, grid, align_corners=True)


def scale(x):
    across, down = (torch.rand(len(x), device=x.device) * (1.2 - 1 / 1.2) + 1 / 1.2 for _ in range(2))
    none = torch.zeros_like(across)
    return warp(x, across, none, none, down)


def rotate(x):
    angle = (torch.rand(len(x), device=x.device) - 0.5) * math.radians(30)
    return warp(x, angle.cos(), -angle.sin(), angle.sin(), angle.cos())


FAMILIES = [colour, crop, cutout, flip, scale, rotate]


def augment(x):
    """Differentiable Siamese augmentation: one family for all images, other numbers for each."""
    return FAMILIES[int(torch.randint(0, len(FAMILIES), ()))](x)
