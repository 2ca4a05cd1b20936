"""A Diffusion Autoencoder's U-Net (Preechakul et al. 2022, arXiv 2111.15640) at its published widths, with random weights:
its prediction, its gradients, pictures by DDIM, and a step of a domain expansion through a short chain of it.

Attention is PyTorch's own; the optimiser and the moving average take all tensors at once.
"""

import math

import torch
from torch.nn import functional as F

import perceptual
import vision
from expansion import EMA_BETA, LR, features

CODE, ATTENTION, STEPS, WITH_GRADIENT = 512, 16, 6, 2
WIDTHS = {64: (64, [1, 2, 4, 8]), 128: (128, [1, 1, 2, 3, 4])}


class UNet:
    def __init__(self, size):
        self.size, self.parameters = size, []
        self.width, factors = WIDTHS[size]
        widths = [self.width * factor for factor in factors]
        self.time = self.linear(self.width, CODE), self.linear(CODE, CODE)
        self.first = self.convolution(3, widths[0], 3)
        self.down, self.up, kept, channels = [], [], [widths[0]], widths[0]
        for level, width in enumerate(widths):
            for _ in range(2):
                self.down.append(self.stage(channels, width, size >> level))
                channels = width
                kept.append(channels)
            if level + 1 < len(widths):
                self.down.append([self.block(channels, channels, "down")])
                kept.append(channels)
        self.middle = [self.block(channels, channels), self.attention(channels), self.block(channels, channels)]
        for level, width in reversed(list(enumerate(widths))):
            for i in range(3):
                stage = self.stage(channels + kept.pop(), width, size >> level)
                channels = width
                if level > 0 and i == 2:
                    stage.append(self.block(channels, channels, "up"))
                self.up.append(stage)
        self.last = self.norm(channels), self.convolution(channels, 3, 3)

    def kept(self, tensor):
        self.parameters.append(tensor.requires_grad_())
        return tensor

    def linear(self, inputs, outputs):
        weight = torch.randn(outputs, inputs) / inputs**0.5
        return self.kept(weight), self.kept(torch.zeros(outputs))

    def convolution(self, inputs, outputs, kernel):
        weight = torch.randn(outputs, inputs, kernel, kernel) / (inputs**0.5 * kernel)
        return self.kept(weight), self.kept(torch.zeros(outputs))

    def norm(self, channels):
        return self.kept(torch.ones(channels)), self.kept(torch.zeros(channels))

    def stage(self, inputs, outputs, size):
        parts = [self.block(inputs, outputs)]
        return parts + [self.attention(outputs)] if size == ATTENTION else parts

    def block(self, inputs, outputs, resample=None):
        norms = self.norm(inputs), self.norm(outputs)
        convolutions = self.convolution(inputs, outputs, 3), self.convolution(outputs, outputs, 3)
        time, code = self.linear(CODE, 2 * outputs), self.linear(CODE, outputs)
        skip = self.convolution(inputs, outputs, 1) if inputs != outputs else None
        change = {
            None: lambda x: x,
            "down": lambda x: F.avg_pool2d(x, 2),
            "up": lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
        }[resample]

        def run(x, t, z):
            h = change(F.silu(F.group_norm(x, 32, *norms[0])))
            x = change(x)
            h = F.conv2d(h, *convolutions[0], padding=1)
            scale, shift = F.linear(t, *time)[:, :, None, None].chunk(2, 1)
            h = F.group_norm(h, 32, *norms[1]) * (1 + scale) + shift
            h = h * (1 + F.linear(z, *code))[:, :, None, None]
            h = F.conv2d(F.silu(h), *convolutions[1], padding=1)
            return (x if skip is None else F.conv2d(x, *skip)) + h

        return run

    def attention(self, channels):
        norm, qkv, out = self.norm(channels), self.linear(channels, 3 * channels), self.linear(channels, channels)

        def run(x, t, z):
            n, c, h, w = x.shape
            places = F.group_norm(x, 32, *norm).flatten(2).transpose(1, 2)
            q, k, v = F.linear(places, *qkv)[:, None].chunk(3, 3)
            y = F.linear(F.scaled_dot_product_attention(q, k, v)[:, 0], *out)
            return x + y.transpose(1, 2).reshape(n, c, h, w)

        return run

    def __call__(self, x, t, z):
        half = self.width // 2
        angles = t[:, None] * torch.exp(torch.arange(half) * (-math.log(10000) / half))
        t = F.linear(torch.cat([angles.cos(), angles.sin()], 1), *self.time[0])
        t, z = F.silu(F.linear(F.silu(t), *self.time[1])), F.silu(z)
        x = F.conv2d(x, *self.first, padding=1)
        kept = [x]
        for stage in self.down:
            for part in stage:
                x = part(x, t, z)
            kept.append(x)
        for part in self.middle:
            x = part(x, t, z)
        for stage in self.up:
            x = torch.cat([x, kept.pop()], 1)
            for part in stage:
                x = part(x, t, z)
        norm, convolution = self.last
        return F.conv2d(F.silu(F.group_norm(x, 32, *norm)), *convolution, padding=1)


class Chain:
    """DDIM without noise on a linear schedule, in evenly spaced steps."""

    def __init__(self, steps):
        kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)
        self.times = list(range(0, 1000, math.ceil(1000 / steps)))[::-1]
        self.kept = [kept[t].item() for t in self.times] + [1.0]

    def __call__(self, network, x, z, with_gradient=0):
        for i, t in enumerate(self.times):
            now, then = self.kept[i], self.kept[i + 1]
            with torch.set_grad_enabled(i >= len(self.times) - with_gradient):
                noise = network(x, torch.full((len(x),), float(t)), z)
                clean = ((x - (1 - now) ** 0.5 * noise) / now**0.5).clamp(-1, 1)
                noise = (x - now**0.5 * clean) / (1 - now) ** 0.5
                x = then**0.5 * clean + (1 - then) ** 0.5 * noise
        return x


def unet(size, n, **rest):
    network = UNet(size)
    x, z, t = torch.randn(n, 3, size, size), torch.randn(n, CODE), torch.full((n,), 500.0)
    if rest["pass"] == "forward":

        def run():
            with torch.inference_mode():
                network(x, t, z)

        return run
    x.requires_grad_()

    def run():
        torch.autograd.grad(network(x, t, z).sum(), [x, *network.parameters])

    return run


def sampling(n, steps):
    network, chain = UNet(64), Chain(steps)
    x, z = torch.randn(n, 3, 64, 64), torch.randn(n, CODE)

    def run():
        chain(network, x, z)

    return run


class Step:
    """Base and edited pictures by the trained network, base pictures by the source; the losses are those of expansion.py."""

    def __init__(self, n):
        self.n, self.chain = n, Chain(STEPS)
        self.network, self.source = UNet(64), UNet(64)
        self.average = [p.detach().clone() for p in self.network.parameters]
        self.adam = torch.optim.Adam(self.network.parameters, LR, (0.0, 0.99), 1e-8, fused=True)
        self.tower, self.distance = vision.Tower(), perceptual.Distance("vgg")
        self.directions = F.normalize(torch.randn(n, vision.FEATURES))
        self.codes, self.moves = torch.randn(n, CODE), F.normalize(torch.randn(n, CODE)) * CODE**0.5

    def __call__(self):
        noise = torch.randn(self.n, 3, 64, 64)
        codes = torch.cat([self.codes, self.codes + self.moves])
        pictures = self.chain(self.network, noise.repeat(2, 1, 1, 1), codes, WITH_GRADIENT)
        kept, edited = pictures[: self.n], pictures[self.n :]
        before = self.chain(self.source, noise, self.codes)
        with torch.no_grad():
            seen = features(self.tower, kept.detach())
        moved = F.normalize(features(self.tower, edited) - seen)
        loss = (1 - (moved * self.directions).sum(1)).sum() / self.n
        loss = loss + 10 * (kept - before).square().mean() + 10 * self.distance(kept, before).mean()
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, [p.detach() for p in self.network.parameters], 1 - EMA_BETA)


def expansion(n):
    return Step(n)
