"""One iteration of distillation in plain PyTorch, timed: the whole path of the student stays in one autograd graph, as the
published trajectory-matching programs keep it. The options and keys are those of `astill bench student`.
"""
import statistics

import torch
import torch.nn.functional as F

from distillation import ConvNet, augment, now, options, report

a = options(ipc=1, syn_steps=20, width=128, size=32, depth=3, classes=10, batch=0, iterations=5)
device = torch.device(a.device)
net = ConvNet(a.classes, a.width, a.depth, a.size)
expert = [net.fresh(device)]
for _ in range(2):
    expert.append(expert[-1] + 0.003 * torch.randn_like(expert[-1]))
n = a.ipc * a.classes
images = torch.randn(n, 3, a.size, a.size, device=device, requires_grad=True)
labels = torch.arange(a.classes, device=device).repeat_interleave(a.ipc)
lr = torch.tensor(0.01, device=device, requires_grad=True)


def iteration():
    begin = now(device)
    start = expert[0]
    theta, velocity, points = start.detach().requires_grad_(True), 0, []
    left = []
    for _ in range(a.syn_steps):
        if not len(left):
            left = torch.randperm(n, device=device)
        rows, left = left[: a.batch or n], left[a.batch or n :]
        loss = F.cross_entropy(net(theta, augment(images[rows])), labels[rows])
        (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)
        velocity = 0.9 * velocity + gradient
        theta = theta - lr * velocity
        points.append(theta)

    def distance(point, target):
        return (point - target).square().sum() / (start - target).square().sum()

    # the intermediate matching: half of the steps for the first of two epochs
    total = distance(points[-1], expert[2]) + distance(points[a.syn_steps // 2 - 1], expert[1])
    d_images, d_lr = torch.autograd.grad(total, (images, lr))
    float(total.detach()), float(d_images.norm()), float(d_lr)
    return now(device) - begin


iteration()
seconds = [iteration() for _ in range(a.iterations)]
report(a, seconds_per_iteration=statistics.median(seconds), seconds_min=min(seconds))
