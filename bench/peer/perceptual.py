"""LPIPS (Zhang et al. 2018, arXiv 1801.03924) on AlexNet and VGG16, frozen, with random weights."""

import torch
from torch.nn import functional as F

# Per depth: what comes before, as (outputs, kernel, stride, padding) of convolutions or the side of a pooling.
ALEX = [[(64, 11, 4, 2)], [3, (192, 5, 1, 2)], [3, (384, 3, 1, 1)], [(256, 3, 1, 1)], [(256, 3, 1, 1)]]
VGG = [
    [(64, 3, 1, 1)] * 2,
    [2] + [(128, 3, 1, 1)] * 2,
    [2] + [(256, 3, 1, 1)] * 3,
    [2] + [(512, 3, 1, 1)] * 3,
    [2] + [(512, 3, 1, 1)] * 3,
]


class Distance:
    def __init__(self, backbone):
        self.depths, self.heads, channels = [], [], 3
        for layers in {"alex": ALEX, "vgg": VGG}[backbone]:
            depth = []
            for layer in layers:
                if isinstance(layer, int):
                    depth.append(layer)
                    continue
                outputs, kernel, stride, padding = layer
                weight = torch.randn(outputs, channels, kernel, kernel) * (2 / (channels * kernel**2)) ** 0.5
                depth.append((weight, torch.zeros(outputs), stride, padding))
                channels = outputs
            self.depths.append(depth)
            self.heads.append(torch.rand(1, channels, 1, 1))
        self.shift = torch.tensor([-0.030, -0.088, -0.188])[None, :, None, None]
        self.scale = torch.tensor([0.458, 0.448, 0.450])[None, :, None, None]

    def features(self, x):
        x = (x - self.shift) / self.scale
        for depth in self.depths:
            for layer in depth:
                if isinstance(layer, int):
                    x = F.max_pool2d(x, layer, 2)
                else:
                    weight, bias, stride, padding = layer
                    x = F.relu_(F.conv2d(x, weight, bias, stride, padding))
            yield x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)

    def __call__(self, a, b):
        # One after the other, as a program that keeps a target's features has them.
        with torch.no_grad():
            fixed = list(self.features(b))
        seen = zip(self.features(a), fixed, self.heads)
        return sum(F.conv2d((a - b).square(), head).mean([1, 2, 3]) for a, b, head in seen)


def prepare(backbone, size, n, **rest):
    distance = Distance(backbone)
    a, b = torch.rand(n, 3, size, size) * 2 - 1, torch.rand(n, 3, size, size) * 2 - 1
    if rest["pass"] == "forward":

        def run():
            with torch.no_grad():
                distance(a, b)

        return run
    a.requires_grad_()
    ones = torch.ones(n)

    def run():
        torch.autograd.grad(distance(a, b), a, ones)

    return run
