"""The evaluation of a distilled set in plain PyTorch, timed: fresh networks are trained on it and tested. The options and keys are
those of `astill bench evaluate`.
"""
import torch
import torch.nn.functional as F

from distillation import ConvNet, augment, now, options, report

a = options(ipc=1, epochs=1000, repeats=1, test=10_000, width=128, size=32, depth=3, classes=10)
device = torch.device(a.device)
net = ConvNet(a.classes, a.width, a.depth, a.size)
n = a.ipc * a.classes
images = torch.randn(n, 3, a.size, a.size, device=device)
labels = torch.arange(a.classes, device=device).repeat_interleave(a.ipc)
test_images = torch.randn(a.test, 3, a.size, a.size).to(device)
test_labels = (torch.arange(a.test) % a.classes).to(device)
BATCH = 256


def evaluate(epochs):
    """Seconds of training and of testing."""
    begin = now(device)
    theta = net.fresh(device).requires_grad_(True)
    for epoch in range(epochs):
        if epoch in (0, epochs // 2):
            optimiser = torch.optim.SGD([theta], lr=0.01 if epoch < epochs // 2 else 0.001, momentum=0.9, weight_decay=5e-4)
        for rows in torch.randperm(n, device=device).split(BATCH):
            loss = F.cross_entropy(net(theta, augment(images[rows])), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    trained = now(device)
    with torch.no_grad():
        correct = sum((net(theta, x).argmax(1) == y).sum() for x, y in zip(test_images.split(BATCH), test_labels.split(BATCH)))
    float(correct)
    return trained - begin, now(device) - trained


evaluate(min(5, a.epochs))
times = [evaluate(a.epochs) for _ in range(a.repeats)]
train, test = (sum(part) for part in zip(*times))
report(a, seconds=train + test, train_s=train, test_s=test)
