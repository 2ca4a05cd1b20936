"""StyleGAN2's discriminator (Karras et al. 2020, arXiv 1912.04958), residual, with random weights; of several domains by
projection.

Weights are divided by the root of their fan-in at run time; each block halves the size after the binomial filter.
"""

import math

import torch
from torch.nn import functional as F

from stylegan2 import GAIN, SQUARE, TAPS


class Discriminator:
    def __init__(self, resolution, base, best, domains=0):
        self.best, self.parameters, self.blocks = best, [], []
        features = lambda r: min(base // r, 512)
        size = resolution
        self.from_rgb = self.convolution(3, features(size), 1)
        while size > 4:
            here, below = features(size), features(size // 2)
            self.blocks.append(
                (
                    self.convolution(here, here, 3),
                    self.convolution(here, below, 3),
                    self.convolution(here, below, 1, bias=False),
                )
            )
            size //= 2
        last = features(4)
        self.last = self.convolution(last + 1, last, 3)
        self.dense = self.kept(torch.randn(last, last * 16)), self.kept(torch.zeros(last))
        features = last if domains else 1
        self.out = self.kept(torch.randn(features, last)), self.kept(torch.zeros(features))
        self.embedding = self.kept(torch.randn(domains, last)) if domains else None

    def kept(self, tensor):
        self.parameters.append(tensor.requires_grad_())
        return tensor

    def convolution(self, inputs, outputs, kernel, bias=True):
        weight = self.kept(torch.randn(outputs, inputs, kernel, kernel))
        return weight, self.kept(torch.zeros(outputs)) if bias else None

    def filter(self, x, pad, step):
        """Four taps each way; only every `step`-th result is wanted."""
        x = F.pad(x, pad)
        if not self.best:
            channels = x.shape[1]
            kernel = SQUARE[None, None].repeat(channels, 1, 1, 1)
            return F.conv2d(x, kernel, groups=channels)[..., ::step, ::step]
        for dim in (2, 3):
            count = (x.shape[dim] - 4) // step + 1
            a, b, c, d = (
                x[(slice(None),) * dim + (slice(i, i + (count - 1) * step + 1, step),)] for i in range(4)
            )
            x = (a + d).mul_(TAPS[0].item()).add_(b + c, alpha=TAPS[1].item())
        return x

    def layer(self, x, parts, down=False, gain=1.0):
        weight, bias = parts
        kernel = weight.shape[2]
        scale = 1 / math.sqrt(weight[0].numel())
        if self.best and bias is not None:
            # Scale and gain go with the weight: the activation is linear in positive factors.
            scale, bias = scale * GAIN * gain, bias * (GAIN * gain)
        weight = weight * scale
        if down and kernel == 1:
            x = F.conv2d(self.filter(x, [1, 1, 1, 1], 2), weight)
        elif down:
            x = F.conv2d(self.filter(x, [2, 2, 2, 2], 1), weight, stride=2)
        else:
            x = F.conv2d(x, weight, padding=kernel // 2)
        if bias is None:
            return x * gain
        x = x + bias[None, :, None, None]
        return F.leaky_relu_(x, 0.2) if self.best else F.leaky_relu(x, 0.2) * (GAIN * gain)

    def statistics(self, x):
        """One channel more: how varied the batch is, in groups of four."""
        n, c, h, w = x.shape
        group = min(4, n)
        y = x.reshape(group, n // group, c * h * w)
        y = ((y - y.mean(0)).square().mean(0) + 1e-8).sqrt().mean(1)
        return torch.cat([x, y.repeat(group)[:, None, None, None].expand(n, 1, h, w)], 1)

    def linear(self, x, parts):
        weight, bias = parts
        return F.linear(x, weight / math.sqrt(weight.shape[1]), bias)

    def __call__(self, pictures, domain=None):
        x = self.layer(pictures, self.from_rgb)
        for first, second, around in self.blocks:
            skip = self.layer(x, around, down=True, gain=0.5**0.5)
            x = skip + self.layer(self.layer(x, first), second, down=True, gain=0.5**0.5)
        x = self.layer(self.statistics(x), self.last)
        x = F.leaky_relu(self.linear(x.flatten(1), self.dense), 0.2) * GAIN
        x = self.linear(x, self.out)
        if self.embedding is None:
            return x
        label = F.normalize(self.embedding[domain], dim=0)
        return torch.mv(x, label)[:, None]
