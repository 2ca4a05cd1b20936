"""Real pictures to latents, with random weights: the projector of stylegan2-ada-pytorch in W, pivotal tuning (Roich et al.
2021, arXiv 2106.05744) with its locality, and a residual encoder. The generator is that of expansion.py in its fastest form.
"""

import math

import torch
from torch.nn import functional as F

import expansion
import perceptual
import stylegan2
from expansion import synthesis


class Given(expansion.Best):
    """Noise maps are given, not drawn."""

    def layer(self, x, layer, style):
        factor = (torch.matmul(style.square(), layer.squares) + 1e-8).rsqrt() * stylegan2.GAIN
        x = x * style[:, :, None, None]
        if layer.up:
            x = self.filter(F.conv_transpose2d(x, layer.weight.transpose(0, 1), stride=2), [1, 1, 1, 1], 4)
        else:
            x = F.conv2d(x, layer.weight, padding=1)
        noise = layer.noise * (layer.strength * stylegan2.GAIN)
        shift = noise + (layer.bias * stylegan2.GAIN)[None, :, None, None]
        return F.leaky_relu_(torch.addcmul(shift, x, factor[:, :, None, None]), 0.2)


class Likeness:
    """The distance to pictures whose features are kept."""

    def __init__(self, network, pictures):
        self.network, self.pictures = network, pictures
        with torch.no_grad():
            self.features = list(network.features(pictures))

    def __call__(self, pictures, l2):
        seen = zip(self.network.features(pictures), self.features, self.network.heads)
        each = sum(F.conv2d((a - b).square(), head).mean([1, 2, 3]) for a, b, head in seen)
        return each + l2 * (pictures - self.pictures).square().mean([1, 2, 3]) if l2 else each


class Frozen(Given):
    """Weights that stay: what follows from them is made once."""

    @staticmethod
    def prepare(generator):
        pass


def correlation(maps):
    """How much neighbours agree, at every size down to 8."""
    total = 0
    for noise in maps:
        while True:
            for axis in (3, 2):
                total = total + (noise * noise.roll(1, axis)).mean([1, 2, 3]).square()
            if noise.shape[2] <= 8:
                break
            noise = F.avg_pool2d(noise, 2)
    return total


def projector(resolution, channel_base, n, steps):
    generator = stylegan2.Generator(resolution, channel_base)
    Given.prepare(generator)
    how, network = Frozen(), perceptual.Distance("vgg")
    layers = [layer for layers, _ in generator.blocks for layer in layers]
    pictures = torch.rand(n, 3, resolution, resolution) * 2 - 1

    def run():
        likeness = Likeness(network, pictures)
        with torch.no_grad():
            drawn = generator.latent(torch.randn(512, 512))
            mean = drawn.mean(0)
            deviation = ((drawn - mean).square().sum() / len(drawn)).sqrt()
        latent = mean.repeat(n, 1).requires_grad_()
        maps = [torch.randn(n, 1, *layer.noise.shape[-2:]).requires_grad_() for layer in layers]
        for layer, noise in zip(layers, maps):
            layer.noise = noise
        adam = torch.optim.Adam([latent, *maps], 0.1, (0.9, 0.999), fused=True)
        for step in range(steps):
            t = step / steps
            shake = 0.05 * deviation * max(0.0, 1 - t / 0.75) ** 2
            fall = min(1.0, (1 - t) / 0.25)
            adam.param_groups[0]["lr"] = 0.1 * (0.5 - 0.5 * math.cos(fall * math.pi)) * min(1.0, t / 0.05)
            made = synthesis(generator, latent + torch.randn_like(latent) * shake, how)
            loss = (likeness(made, 0) + 1e5 * correlation(maps)).sum()
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
            with torch.no_grad():
                for noise in maps:
                    noise -= noise.mean([1, 2, 3], keepdim=True)
                    noise *= noise.square().mean([1, 2, 3], keepdim=True).rsqrt()
        with torch.no_grad():
            likeness(synthesis(generator, latent, how), 0)

    return run


def tuning(resolution, channel_base, n, steps):
    source = stylegan2.Generator(resolution, channel_base)
    Given.prepare(source)
    network = perceptual.Distance("vgg")
    rows = sum(len(layers) for layers, _ in source.blocks) + 1
    pictures = torch.rand(n, 3, resolution, resolution) * 2 - 1
    pivots, mean = torch.randn(n, rows, 512), torch.zeros(512)
    tuned = stylegan2.Generator(resolution, channel_base)
    parameters = expansion.parameters(tuned)
    begin = [p.detach().clone() for p in parameters]

    def run():
        with torch.no_grad():
            torch._foreach_copy_(parameters, begin)
        adam = torch.optim.Adam(parameters, 3e-4, (0.9, 0.999), fused=True)
        for _ in range(steps):
            likeness = Likeness(network, pictures)
            loss = likeness(synthesis(tuned, pivots, Given()), 1).sum()
            with torch.no_grad():
                random = mean + 0.5 * (source.latent(torch.randn(n, 512)) - mean)
                away = random[:, None] - pivots
                around = pivots + 30 * away / away.square().sum([1, 2], keepdim=True).sqrt()
                held = Likeness(network, synthesis(source, around, Frozen()))
            loss = loss + 0.1 * held(synthesis(tuned, around, Given()), 1).sum()
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()

    return run


def encoder(n):
    """Blocks that halve the size, after norms in groups of 16 channels; a linear head of 48 numbers."""
    widths = [32, 64, 128, 192]
    drawn = lambda *shape: torch.randn(*shape) / math.prod(shape[1:]) ** 0.5
    stem = drawn(widths[0], 3, 3, 3), torch.zeros(widths[0])
    blocks = []
    for before, after in zip(widths, widths[1:]):
        norms = [(torch.ones(c), torch.zeros(c)) for c in (before, after)]
        convolutions = [(drawn(after, c, 3, 3), torch.zeros(after)) for c in (before, after)]
        blocks.append((norms, convolutions, drawn(after, before, 1, 1)))
    last, head = (torch.ones(widths[3]), torch.zeros(widths[3])), (drawn(48, widths[3] * 16), torch.zeros(48))
    directions, mean, pictures = torch.randn(48, 512), torch.zeros(512), torch.rand(n, 3, 64, 64) * 2 - 1
    active = lambda x, norm: F.leaky_relu_(F.group_norm(x, x.shape[1] // 16, *norm), 0.2)

    def run():
        with torch.inference_mode():
            x = F.conv2d(pictures, *stem, stride=2, padding=1)
            for norms, convolutions, skip in blocks:
                h = F.conv2d(active(x, norms[0]), *convolutions[0], stride=2, padding=1)
                h = F.conv2d(active(h, norms[1]), *convolutions[1], padding=1)
                x = F.conv2d(F.avg_pool2d(x, 2), skip).add_(h)
            x = F.linear(active(x, last).flatten(1), *head)
            torch.addmm(mean, x, directions)

    return run
