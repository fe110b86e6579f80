"""Trains networks on what `astill export RUN --to DIR --with-test` wrote, and tests them: python use_astill.py DIR [NETWORKS]"""
import json, math, pathlib, sys, numpy as np, torch, torch.nn as nn, torch.nn.functional as F
folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
t = {file.stem: torch.load(file) for file in folder.glob("*.pt")}
if "test_images" not in t: sys.exit(f"{folder} has no test_images.pt: export with --with-test")
p = json.loads((folder / "astill.json").read_text(encoding="utf-8"))["protocol"]
n, images, labels = p["network"], t["images_best"], t["labels_best"]  # labels: a class, or a probability of each
if "convnet" not in p["networks"] or n["norm"] == "batch": sys.exit(f"this trains ConvNets without batch norm, not {p['networks']} with {n}")
def normalised(pixels):  # bytes (n, C, H, W) to what the networks see
    if "mean" in t: return (pixels / 255 - t["mean"].view(1, -1, 1, 1)) / t["std"].view(1, -1, 1, 1)
    x, u, eps = (pixels / 255).flatten(1) - t["zca_mean"], t["zca_directions"], t["zca_eps"].float()
    return (x * eps ** -0.5 + x @ u * ((t["zca_variances"].clamp(0) + eps) ** -0.5 - eps ** -0.5) @ u.T).view(pixels.shape)
def convnet():
    layers, shape = [], images.shape[1:]
    for block in range(n["depth"]):
        layers.append(nn.Conv2d(shape[0], n["width"], 3, padding=3 if shape[0] == 1 and block == 0 else 1))
        c, height, width = nn.Sequential(*layers)(images[:1]).shape[1:]
        layers.append({"instance": nn.GroupNorm(c, c), "group": nn.GroupNorm(math.gcd(4, c), c),
                       "layer": nn.LayerNorm([c, height, width]), "none": nn.Identity()}[n["norm"]])
        layers += [{"relu": nn.ReLU(), "leaky_relu": nn.LeakyReLU(0.01), "sigmoid": nn.Sigmoid()}[n["activation"]],
                   {"avg": nn.AvgPool2d(2), "max": nn.MaxPool2d(2), "none": nn.Identity()}[n["pooling"]]]
        shape = nn.Sequential(*layers)(images[:1]).shape[1:]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(shape.numel(), p["classes"]))

def augmented(x):  # DSA: one family for the batch, its numbers for every image
    a, side, u = p["augment"], x.shape[3], lambda: torch.rand(len(x), 1, 1, 1)
    family = np.random.choice(a["families"] or ["none"])
    if family == "color":
        x = torch.lerp(x.mean(1, keepdim=True), x, 2 * u()) + u() - 0.5
        x = torch.lerp(x.mean((1, 2, 3), keepdim=True), x, u() + 0.5)
    elif family == "flip":
        x = torch.where(u() < 0.5, x.flip(3), x)
    elif family == "crop":
        corners = np.random.randint(0, 2 * (reach := round(a["crop"] * side)) + 1, (len(x), 2))
        x = torch.stack([i[:, r:r + side, c:c + side] for i, (r, c) in zip(F.pad(x, [reach] * 4), corners)])
    elif family == "cutout":
        size, x = int(a["cutout"] * side + 0.5), x.clone()
        for image, corner in zip(x, np.random.randint(0, side + 1, (len(x), 2)) - size // 2):
            (top, left), (bottom, right) = corner.clip(0, side - 1), (corner + size - 1).clip(0, side - 1)
            image[:, top:bottom + 1, left:right + 1] = 0
    elif family in ("scale", "rotate"):
        most, turn = (a["scale"], 0) if family == "scale" else (1, math.radians(a["rotate"]))
        (sx, sy), angle = torch.rand(2, len(x)) * (most - 1 / most) + 1 / most, (torch.rand(len(x)) * 2 - 1) * turn
        map = torch.stack([angle.cos() * sx, -angle.sin(), 0 * angle, angle.sin(), angle.cos() * sy, 0 * angle], 1).view(-1, 2, 3)
        x = F.grid_sample(x, F.affine_grid(map, x.shape, align_corners=True), align_corners=True)
    return x

def accuracy(seed):
    torch.manual_seed(seed), np.random.seed(seed)
    net = convnet()
    for lr, epochs in (p["lr"], p["lr_decay_epoch"]), (p["lr"] * p["lr_decay"], p["epochs"] - p["lr_decay_epoch"]):
        optimizer = torch.optim.SGD(net.parameters(), lr, p["momentum"], weight_decay=p["weight_decay"])  # momentum starts afresh
        for rows in (rows for _ in range(epochs) for rows in torch.randperm(len(images)).split(p["batch"])):
            optimizer.zero_grad()
            F.cross_entropy(net(augmented(images[rows])), labels[rows]).backward()
            optimizer.step()
    guesses = torch.cat([net(normalised(part)).argmax(1) for part in t["test_images"].split(256)])
    return 100 * (guesses == t["test_labels"]).double().mean().item()
found = [accuracy(seed) for seed in range(int(sys.argv[2]) if len(sys.argv) > 2 else p["repeats"])]
print(f"test accuracy of ConvNets {np.mean(found):.1f} ± {np.std(found, ddof=len(found) > 1):.1f} % ({len(found)} networks)")
