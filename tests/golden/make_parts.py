"""Writes the golden cases of the parts that other methods added to trajectory matching: which student
point is matched and with which parameters (ATT, PAD), flat experts (GSAM, FTD), soft labels by
experts (DATM), and images made of frequencies or tiles (FreD, IDC).

    python make_parts.py OUT_DIR

Needs nothing but PyTorch, and every derivative comes from its autograd. All tensors are float64 or
int64; the metadata key "case" holds the settings as JSON. The network is that of make_soft_labels.py.

kind          in                                       out
student       expert (E+1, P), noise, x, y, lr, order  start, student_end, final, middle, total, grad_x,
              and, of these, at most one each:         grad_lr and, for what is given:
              label_logits (n, K) instead of y         grad_label_logits (n, K)
              variables, positions instead of x        grad_variables; grad_x is that of their images
              settings match_at, drop_parameters       nearest (1), reach (1), alignment (1)
gsam          theta, x, x_augmented, y; rho, alpha,    grad (P) at theta, direction (P) of the step
              epoch, gp_weight, clip
expert_labels logits (E, n, K) of experts, classes     label_logits (n, K)
parameters    variables, derivative (n, C, H, W);      images, pulled_back, fitted (of start)
              start; real (K, N, C, H, W)              positions (K, m) of the kept frequencies
"""
import math
import os
import sys

import torch
import torch.nn.functional as F

from make_soft_labels import CLASSES, DEPTH, SIZE, WIDTH, forward, save, shapes

NET = {"width": WIDTH, "depth": DEPTH, "size": SIZE, "classes": CLASSES}
STEPS = 8


def fresh(gen):
    parts = []
    for block in shapes():
        t = torch.randn(block, generator=gen)
        fan = math.prod(block[1:])
        parts.append((t * (2 / fan) ** 0.5 if len(block) > 1 else 1 + 0.1 * t).flatten())
    return torch.cat(parts)


def dct(side):
    """One orthonormal cosine per row."""
    rows = []
    for k in range(side):
        row = torch.tensor([math.cos(math.pi * k * (2 * x + 1) / (2 * side)) for x in range(side)])
        rows.append(row / row.norm())
    return torch.stack(rows)


def to_frequencies(x):
    d = dct(x.shape[-1])
    return torch.einsum("kh,...hw,lw->...kl", d, x, d)


def from_frequencies(f):
    d = dct(f.shape[-1])
    return torch.einsum("kh,...kl,lw->...hw", d, f, d)


def strongest(real, count):
    """Per class, of the mean over the channels: positions (K, count) in ascending order."""
    found = []
    for of_class in real:
        flat = to_frequencies(of_class.mean(1)).flatten(1)
        variance = ((flat - flat.mean(0)) ** 2).mean(0)
        order = variance.sort(descending=True)
        gap = order.values[count - 1] / order.values[count] if count < len(variance) else 2.0
        assert gap > 1.0001, "a tie that float32 could decide otherwise"
        found.append(order.indices[:count].sort().values)
    return torch.stack(found)


def images_of(variables, kind, positions=None):
    if kind == "tiles":
        return F.interpolate(variables, size=(SIZE, SIZE), mode="bilinear", align_corners=False)
    n, channels, kept, _ = variables.shape
    full = torch.zeros(n, channels, SIZE * SIZE)
    where = positions.repeat_interleave(n // len(positions), 0)[:, None].expand(n, channels, kept)
    return from_frequencies(full.scatter(2, where, variables[..., 0]).view(n, channels, SIZE, SIZE))


def ratio(theta, start, target, dropped_share):
    differences, distances = (theta - target) ** 2, (start - target) ** 2
    kept = differences.detach().sort().indices[int(dropped_share * len(differences)):]
    moved, wanted = (theta - start)[kept], (target - start)[kept]
    reach = moved.norm() / wanted.norm()
    return differences[kept].sum() / distances[kept].sum(), reach, F.cosine_similarity(moved, wanted, 0)


def student_case(out, name, gen, labels="hard", kind="pixels", factor=1, ipc=1, intermediate="sum", match_at="end", drop=0.0, short=1.0):
    """`short` puts the last checkpoint on the student's way, so that a nearest point lies inside it."""
    momentum = 0.9
    n, epochs = CLASSES * ipc * factor, 2
    theta = fresh(gen)
    positions = None
    tensors, leaves = {}, {}
    if kind == "pixels":
        variables = torch.randn(n, 3, SIZE, SIZE, generator=gen)
    elif kind == "tiles":
        small = SIZE // math.isqrt(factor)
        variables = torch.randn(n, 3, small, small, generator=gen)
    else:
        positions = strongest(torch.randn(CLASSES, 12, 3, SIZE, SIZE, generator=gen), SIZE * SIZE // factor)
        variables = torch.randn(n, 3, SIZE * SIZE // factor, 1, generator=gen)
    variables.requires_grad_(True)
    x = images_of(variables, kind, positions) if kind != "pixels" else variables
    x.retain_grad()
    classes = torch.arange(CLASSES).repeat_interleave(ipc * factor)
    lr = torch.tensor([0.005], requires_grad=True)
    if labels == "soft":
        logits = (3 * F.one_hot(classes, CLASSES) + torch.randn(n, CLASSES, generator=gen)).requires_grad_(True)
        y = logits.softmax(1)
        leaves["label_logits"] = logits
    else:
        y = F.one_hot(classes, CLASSES).double()
        tensors["y"] = classes
    order = torch.stack([torch.randperm(n, generator=gen)[: n // 2] for _ in range(STEPS)])

    points, velocity = [theta.clone().requires_grad_(True)], None
    for rows in order:
        loss = -(y[rows] * F.log_softmax(forward(points[-1], x[rows]), 1)).sum(1).mean()
        (g,) = torch.autograd.grad(loss, points[-1], create_graph=True)
        velocity = g if velocity is None else momentum * velocity + g
        points.append(points[-1] - lr * velocity)
    walk = 0.02 * torch.randn(theta.shape, generator=gen)
    middle_target = theta + 0.5 * walk
    end_target = (theta + walk if short == 1.0 else points[5].detach() * short + theta * (1 - short) + 0.05 * walk)
    expert = torch.stack([theta, middle_target, end_target])

    distances = [(p - end_target).abs().sum().item() for p in points[1:]]
    nearest = max(i for i, d in enumerate(distances, 1) if d == min(distances))
    assert min(d for i, d in enumerate(distances, 1) if i != nearest) > 1.001 * distances[nearest - 1]
    at = nearest if match_at == "nearest" else STEPS
    final, reach, alignment = ratio(points[at], points[0], end_target, drop)
    middle = []
    if intermediate != "off":
        middle = [ratio(points[STEPS // epochs], points[0], middle_target, drop)[0]]
    weight = 0.5 if intermediate == "ramp" else 1.0
    total = final + weight * sum(middle)
    total.backward()

    tensors |= {"expert": expert, "noise": torch.zeros_like(theta), "lr": lr, "order": order, "x": x}
    tensors |= leaves
    if kind != "pixels":
        tensors["variables"] = variables
        tensors["grad_variables"] = variables.grad
    if positions is not None:
        tensors["positions"] = positions
    if labels == "soft":
        tensors["grad_label_logits"] = logits.grad
    tensors |= {
        "start": points[0], "student_end": points[-1], "final": final.reshape(1), "total": total.reshape(1),
        "middle": torch.stack(middle) if middle else torch.zeros(0), "grad_x": x.grad, "grad_lr": lr.grad,
        "nearest": torch.tensor([float(nearest)]), "reach": reach.reshape(1), "alignment": alignment.reshape(1),
    }
    case = {
        "kind": "student", **NET, "start_epoch": 0, "expert_epochs": epochs, "max_start_epoch": 1, "alpha": 0.0,
        "momentum": momentum, "balance": False, "intermediate": intermediate, "match_at": match_at,
        "drop_parameters": drop, "parameters": kind, "images_per_room": factor, "ipc": ipc,
    }
    save(os.path.join(out, name + ".safetensors"), case, tensors)
    print(f"{name:28} nearest {nearest}, final {final.item():.4f}, total {total.item():.4f}")


def gsam_case(out, name, gen, epoch, weight, clip, rho, alpha):
    theta = fresh(gen)
    x = torch.randn(6, 3, SIZE, SIZE, generator=gen)
    augmented = x.flip(3)
    y = torch.randint(0, CLASSES, (6,), generator=gen)

    def gradient(at):
        at = at.detach().requires_grad_(True)
        loss = F.cross_entropy(forward(at, augmented), y) * (min(1.0, 0.5 + 0.05 * epoch) if clip else 1.0)
        if weight > 0:
            seen = x.clone().requires_grad_(True)
            (slope,) = torch.autograd.grad(forward(at, seen).sum(), seen, create_graph=True)
            loss = loss + weight * ((slope.norm(dim=1) - 1) ** 2).mean()
        return torch.autograd.grad(loss, at)[0]

    g = gradient(theta)
    epsilon = rho * theta**2 * g / (theta.abs() * g).norm()
    there = gradient(theta + epsilon)
    cosine = (g @ there) / (g.norm() * there.norm())
    vertical = g - cosine * g.norm() * there / there.norm()
    direction = there - alpha * vertical
    case = {"kind": "gsam", **NET, "epoch": epoch, "gp_weight": weight, "clip": clip, "rho": rho, "alpha": alpha}
    save(os.path.join(out, name + ".safetensors"), case, {
        "theta": theta, "x": x, "x_augmented": augmented, "y": y, "grad": g, "direction": direction,
    })
    print(f"{name:28} cos {cosine.item():.4f}, ‖direction‖ {direction.norm().item():.4f} of {g.norm().item():.4f}")


def expert_labels_case(out, gen):
    experts, n = 4, 12
    classes = torch.arange(n) % CLASSES
    logits = torch.randn(experts, n, CLASSES, generator=gen)
    logits += 1.2 * F.one_hot(classes, CLASSES)
    logits[:, 3, classes[3]] = logits[:, 3].min() - 1  # no expert finds the class of this image
    label = torch.zeros(n, CLASSES)
    for i in range(n):
        right = [logits[e, i] for e in range(experts) if logits[e, i].argmax() == classes[i]]
        label[i] = torch.stack(right or list(logits[:, i])).mean(0)
    assert not any(logits[e, 3].argmax() == classes[3] for e in range(experts))
    case = {"kind": "expert_labels"}
    save(os.path.join(out, "expert_labels.safetensors"), case, {"logits": logits, "classes": classes, "label_logits": label})
    print("expert_labels")


def parameters_case(out, name, gen, kind, factor):
    classes, tensors = 2, {}
    n = classes * factor
    positions = None
    if kind == "frequency":
        count = SIZE * SIZE // factor
        shade = torch.linspace(2, 0.2, SIZE)[:, None] * torch.linspace(2, 0.2, SIZE)
        real = from_frequencies(torch.randn(classes, 12, 3, SIZE, SIZE, generator=gen) * shade) + 0.3
        positions = strongest(real, count)
        tensors |= {"real": real, "positions": positions}
        shape = (n, 3, count, 1)
    else:
        small = SIZE // math.isqrt(factor)
        shape = (n, 3, small, small)
    variables = torch.randn(shape, generator=gen).requires_grad_(True)
    start, derivative = (torch.randn(n, 3, SIZE, SIZE, generator=gen) for _ in range(2))
    images = images_of(variables, kind, positions)
    (pulled_back,) = torch.autograd.grad((images * derivative).sum(), variables)
    # the map is the same for every channel of a class: least squares by its matrix
    fitted = torch.zeros(shape)
    for i in range(n):
        # one channel of this image per variable that is 1
        units = torch.eye(shape[2] * shape[3]).view(-1, 1, *shape[2:])
        own = positions[i // factor][None] if positions is not None else None
        matrix = images_of(units, kind, own).flatten(1).T
        solved = torch.linalg.lstsq(matrix, start[i].flatten(1).T).solution
        fitted[i] = solved.T.reshape(shape[1:])
    case = {"kind": "parameters", "parameters": kind, "images_per_room": factor, "size": SIZE, "classes": classes}
    save(os.path.join(out, name + ".safetensors"), case, tensors | {
        "variables": variables, "derivative": derivative, "start": start, "images": images,
        "pulled_back": pulled_back, "fitted": fitted,
    })
    print(f"{name:28} {tuple(shape)}")


def main(out):
    gen = torch.Generator().manual_seed(12)
    student_case(out, "student_nearest", gen, ipc=2, match_at="nearest", intermediate="off", short=0.9)
    student_case(out, "student_drop_ramp", gen, ipc=2, drop=0.4, intermediate="ramp")
    student_case(out, "student_soft_nearest_drop", gen, labels="soft", ipc=2, match_at="nearest", drop=0.25, short=0.9)
    student_case(out, "student_frequency", gen, kind="frequency", factor=4, intermediate="off")
    student_case(out, "student_tiles_soft", gen, kind="tiles", factor=4, labels="soft")
    gsam_case(out, "gsam_plain", gen, epoch=3, weight=0.0, clip=False, rho=0.2, alpha=0.3)
    gsam_case(out, "gsam_clip_penalty", gen, epoch=4, weight=2.0, clip=True, rho=0.5, alpha=0.4)
    expert_labels_case(out, gen)
    parameters_case(out, "parameters_frequency", gen, "frequency", 5)
    parameters_case(out, "parameters_tiles", gen, "tiles", 4)


if __name__ == "__main__":
    main(sys.argv[1])
