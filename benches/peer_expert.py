"""Steps of an expert in plain PyTorch, timed: the cross-entropy of flipped images and the gradient penalty, which is differentiated
twice by autograd. The options and keys are those of `astill bench expert`.
"""
import statistics

import torch
import torch.nn.functional as F

from distillation import ConvNet, flip, now, options, report

a = options(batch=256, width=128, size=32, depth=3, classes=10, steps=5)
device = torch.device(a.device)
net = ConvNet(a.classes, a.width, a.depth, a.size)
theta = net.fresh(device).requires_grad_(True)
optimiser = torch.optim.SGD([theta], lr=1e-3, momentum=0.9, weight_decay=1e-3)


def step():
    x = torch.randn(a.batch, 3, a.size, a.size, device=device)
    y = torch.randint(0, a.classes, (a.batch,), device=device)
    begin = now(device)
    loss = F.cross_entropy(net(theta, flip(x)), y)
    x.requires_grad_(True)
    (slope,) = torch.autograd.grad(net(theta, x).sum(), x, create_graph=True)
    loss = loss + 2 * (slope.norm(dim=1) - 1).square().mean()
    optimiser.zero_grad()
    # into theta alone: what the images would get is not wanted
    loss.backward(inputs=[theta])
    optimiser.step()
    return now(device) - begin


step()
seconds = [step() for _ in range(a.steps)]
median = statistics.median(seconds)
report(a, seconds_per_step=median, images_per_second=round(a.batch / median, 1))
