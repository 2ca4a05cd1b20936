"""StyleGAN2's generator (Karras et al. 2020, arXiv 1912.04958) with random weights, written twice.

`published` does the arithmetic of the published CPU path: weights scaled and demodulated for each sample, one grouped
convolution over them, then filter, noise, bias, activation and gain as operators of their own.
`best` is the fastest formulation found: shared weights, the styles on the input and the demodulation on the output.
"""

import math

import torch
from torch.nn import functional as F

GAIN = math.sqrt(2)
TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
SQUARE = TAPS[:, None] * TAPS[None, :]


class Layer:
    """A modulated convolution; to RGB it has no demodulation, noise and activation."""

    def __init__(self, inputs, outputs, resolution, kernel, up, rgb):
        self.affine = torch.randn(inputs, 512) / 512**0.5, torch.ones(inputs)
        self.weight = torch.randn(outputs, inputs, kernel, kernel)
        self.bias = torch.zeros(outputs)
        self.noise = None if rgb else torch.randn(resolution, resolution)
        self.strength = torch.tensor(0.1)
        self.up, self.rgb, self.inputs = up, rgb, inputs
        self.scale = 1 / math.sqrt(inputs * kernel * kernel)

    def style(self, w):
        style = F.linear(w, *self.affine)
        return style * self.scale if self.rgb else style


class Generator:
    def __init__(self, resolution, base):
        features = lambda r: min(base // r, 512)
        self.mapping = [(torch.randn(512, 512), torch.zeros(512)) for _ in range(8)]
        self.constant = torch.randn(1, features(4), 4, 4)
        self.blocks, size, before = [], 4, features(4)
        while size <= resolution:
            out = features(size)
            layers = [Layer(before, out, size, 3, True, False)] if size > 4 else []
            layers.append(Layer(out, out, size, 3, False, False))
            self.blocks.append((layers, Layer(out, 3, size, 1, False, True)))
            size, before = 2 * size, out

    def latent(self, z):
        x = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for weight, bias in self.mapping:
            # Learning rate multiplier 0.01, He's factor, and the gain of the activation.
            x = F.leaky_relu(F.linear(x, weight * (0.01 / 512**0.5), bias * 0.01), 0.2) * GAIN
        return x

    def pictures(self, z, how):
        w = self.latent(z)
        x, picture = how.start(self.constant, len(z)), None
        for layers, to_rgb in self.blocks:
            for layer in layers:
                x = how.layer(x, layer, layer.style(w))
            rgb = how.rgb(x, to_rgb, to_rgb.style(w))
            picture = rgb if picture is None else how.enlarge(picture) + rgb
        return picture


class Published:
    """Weights for each sample, a grouped convolution, and one operator after the other."""

    def start(self, constant, n):
        return constant.repeat(n, 1, 1, 1)

    def filter(self, x, pad, gain):
        channels = x.shape[1]
        kernel = (SQUARE * gain)[None, None].repeat(channels, 1, 1, 1)
        return F.conv2d(F.pad(x, pad), kernel, groups=channels)

    def enlarge(self, x):
        n, c, h, w = x.shape
        x = F.pad(x.reshape(n, c, h, 1, w, 1), [0, 1, 0, 0, 0, 1]).reshape(n, c, 2 * h, 2 * w)
        return self.filter(x, [2, 1, 2, 1], 4)

    def convolution(self, x, layer, style):
        n, _, h, w = x.shape
        weight = layer.weight[None] * style[:, None, :, None, None]
        if not layer.rgb:
            weight = weight * (weight.square().sum([2, 3, 4]) + 1e-8).rsqrt()[:, :, None, None, None]
        x = x.reshape(1, -1, h, w)
        outputs, inputs, kernel = weight.shape[1], weight.shape[2], weight.shape[3]
        if layer.up:
            weight = weight.transpose(1, 2).reshape(n * inputs, outputs, kernel, kernel)
            x = F.conv_transpose2d(x, weight, stride=2, groups=n)
            x = self.filter(x, [1, 1, 1, 1], 4)
        else:
            weight = weight.reshape(n * outputs, inputs, kernel, kernel)
            x = F.conv2d(x, weight, padding=kernel // 2, groups=n)
        return x.reshape(n, outputs, *x.shape[2:])

    def layer(self, x, layer, style):
        x = self.convolution(x, layer, style).add_(layer.noise * layer.strength)
        x = x + layer.bias[None, :, None, None]
        return F.leaky_relu(x, 0.2) * GAIN

    def rgb(self, x, layer, style):
        return self.convolution(x, layer, style) + layer.bias[None, :, None, None]


class Best:
    """One convolution for the batch with weights prepared once; in place where nothing else reads."""

    def __init__(self, generator):
        for layers, to_rgb in generator.blocks:
            for layer in layers:
                layer.squares = layer.weight.square().sum([2, 3]).t().contiguous()
                if layer.up:
                    layer.weight = layer.weight.transpose(0, 1).contiguous()

    def start(self, constant, n):
        return constant.expand(n, -1, -1, -1)

    def filter(self, x, pad, gain):
        # Two passes of four taps as sums of shifted views: PyTorch's depthwise convolution takes many times longer.
        x = F.pad(x, pad)
        a, b = (gain**0.5 * t for t in (0.125, 0.375))
        x = (x[..., :-3, :] + x[..., 3:, :]).mul_(a).add_(x[..., 1:-2, :] + x[..., 2:-1, :], alpha=b)
        return (x[..., :-3] + x[..., 3:]).mul_(a).add_(x[..., 1:-2] + x[..., 2:-1], alpha=b)

    def enlarge(self, x):
        n, c, h, w = x.shape
        x = F.pad(x.reshape(n, c, h, 1, w, 1), [0, 1, 0, 0, 0, 1]).reshape(n, c, 2 * h, 2 * w)
        return self.filter(x, [2, 1, 2, 1], 4)

    def layer(self, x, layer, style):
        factor = torch.matmul(style.square(), layer.squares).add_(1e-8).rsqrt_().mul_(GAIN)
        x = x * style[:, :, None, None]
        if layer.up:
            x = self.filter(F.conv_transpose2d(x, layer.weight, stride=2), [1, 1, 1, 1], 4)
        else:
            x = F.conv2d(x, layer.weight, padding=1)
        # The activation is linear in positive factors, so its gain goes with the demodulation.
        shift = (layer.noise * (layer.strength * GAIN))[None, None] + (layer.bias * GAIN)[None, :, None, None]
        return F.leaky_relu_(torch.addcmul(shift, x, factor[:, :, None, None]), 0.2)

    def rgb(self, x, layer, style):
        weight = layer.weight[None, :, :, 0, 0] * style[:, None, :]
        n, c, h, w = x.shape
        return torch.baddbmm(layer.bias[None, :, None], weight, x.reshape(n, c, h * w)).view(n, 3, h, w)


def prepare(resolution, channel_base, n, peer):
    generator, z = Generator(resolution, channel_base), torch.randn(n, 512)
    how = Published() if peer == "published" else Best(generator)

    def run():
        with torch.inference_mode():
            generator.pictures(z, how)

    return run
