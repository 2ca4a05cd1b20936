"""Inception-v3 as FID is defined on it (Szegedy et al. 2015, arXiv 1512.00567), frozen, with random weights and batch
normalisation folded into the convolutions, as a program that only measures can have it."""

import torch
from torch.nn import functional as F

SIDE = 299


class Conv:
    """A convolution, its bias and the rectifier; `valid` leaves the padding out."""

    def __init__(self, inputs, outputs, kernel, stride=1, valid=False):
        kh, kw = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        self.weight = torch.randn(outputs, inputs, kh, kw) * (2 / (inputs * kh * kw)) ** 0.5
        self.bias, self.stride = torch.zeros(outputs), stride
        self.padding = (0, 0) if valid else (kh // 2, kw // 2)

    def __call__(self, x):
        return F.relu_(F.conv2d(x, self.weight, self.bias, self.stride, self.padding))


def chain(inputs, *plans):
    layers = []
    for outputs, kernel, *rest in plans:
        layers.append(Conv(inputs, outputs, kernel, *rest))
        inputs = outputs

    def run(x):
        for layer in layers:
            x = layer(x)
        return x

    return run


def mean(inputs, outputs):
    conv = Conv(inputs, outputs, 1)
    return lambda x: conv(F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))


def maximum(inputs, outputs):
    conv = Conv(inputs, outputs, 1)
    return lambda x: conv(F.max_pool2d(x, 3, 1, 1))


def halve(x):
    return F.max_pool2d(x, 3, 2)


def fork(first, a, b):
    def run(x):
        x = first(x)
        return torch.cat([a(x), b(x)], 1)

    return run


def block(*branches):
    return lambda x: torch.cat([branch(x) for branch in branches], 1)


def a(inputs, pool):
    return block(
        chain(inputs, (64, 1)),
        chain(inputs, (48, 1), (64, 5)),
        chain(inputs, (64, 1), (96, 3), (96, 3)),
        mean(inputs, pool),
    )


def c(inner):
    row, column = (1, 7), (7, 1)
    return block(
        chain(768, (192, 1)),
        chain(768, (inner, 1), (inner, row), (192, column)),
        chain(768, (inner, 1), (inner, column), (inner, row), (inner, column), (192, row)),
        mean(768, 192),
    )


def e(inputs, pool):
    row, column = (1, 3), (3, 1)
    return block(
        chain(inputs, (320, 1)),
        fork(chain(inputs, (384, 1)), Conv(384, 384, row), Conv(384, 384, column)),
        fork(chain(inputs, (448, 1), (384, 3)), Conv(384, 384, row), Conv(384, 384, column)),
        pool(inputs, 192),
    )


def network():
    return [
        Conv(3, 32, 3, 2, True),
        Conv(32, 32, 3, 1, True),
        Conv(32, 64, 3),
        halve,
        Conv(64, 80, 1),
        Conv(80, 192, 3, 1, True),
        halve,
        a(192, 32),
        a(256, 64),
        a(288, 64),
        block(chain(288, (384, 3, 2, True)), chain(288, (64, 1), (96, 3), (96, 3, 2, True)), halve),
        c(128),
        c(160),
        c(160),
        c(192),
        block(
            chain(768, (192, 1), (320, 3, 2, True)),
            chain(768, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, True)),
            halve,
        ),
        e(1280, mean),
        e(2048, maximum),
    ]


def prepare(size, n, **rest):
    layers, pictures = network(), torch.rand(n, 3, size, size) * 255

    def run():
        with torch.no_grad():
            x = F.interpolate(pictures, (SIDE, SIDE), mode="bilinear", align_corners=False) / 127.5 - 1
            for layer in layers:
                x = layer(x)
            x.mean([2, 3])

    return run
