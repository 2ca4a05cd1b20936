"""CLIP's image tower ViT-B/32 (Radford et al. 2021, arXiv 2103.00020), frozen, with random weights."""

import torch
from torch.nn import functional as F

WIDTH, HEADS, LAYERS, PATCH, SIZE, FEATURES = 768, 12, 12, 32, 224, 512


def linear(outputs, inputs):
    return torch.randn(outputs, inputs) / inputs**0.5, torch.zeros(outputs)


class Block:
    def __init__(self):
        self.qkv = linear(3 * WIDTH, WIDTH)
        self.out = linear(WIDTH, WIDTH)
        self.up = linear(4 * WIDTH, WIDTH)
        self.down = linear(WIDTH, 4 * WIDTH)
        self.norms = [(torch.ones(WIDTH), torch.zeros(WIDTH)) for _ in range(2)]

    def __call__(self, x):
        n, t, w = x.shape
        y = F.layer_norm(x, [WIDTH], *self.norms[0])
        q, k, v = F.linear(y, *self.qkv).view(n, t, 3, HEADS, w // HEADS).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        x = x + F.linear(y.transpose(1, 2).reshape(n, t, w), *self.out)
        y = F.linear(F.layer_norm(x, [WIDTH], *self.norms[1]), *self.up)
        return x + F.linear(y * torch.sigmoid(1.702 * y), *self.down)


class Tower:
    def __init__(self):
        self.patches = torch.randn(WIDTH, 3, PATCH, PATCH) / (3 * PATCH * PATCH) ** 0.5
        self.first = torch.randn(1, 1, WIDTH)
        self.positions = torch.randn(1, (SIZE // PATCH) ** 2 + 1, WIDTH)
        self.blocks = [Block() for _ in range(LAYERS)]
        self.norms = [(torch.ones(WIDTH), torch.zeros(WIDTH)) for _ in range(2)]
        self.projection = torch.randn(FEATURES, WIDTH) / WIDTH**0.5

    def __call__(self, pixels):
        x = F.conv2d(pixels, self.patches, stride=PATCH).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(len(x), -1, -1), x], 1) + self.positions
        x = F.layer_norm(x, [WIDTH], *self.norms[0])
        for block in self.blocks:
            x = block(x)
        return F.linear(F.layer_norm(x[:, 0], [WIDTH], *self.norms[1]), self.projection)


def prepare(n, **rest):
    tower, pixels = Tower(), torch.randn(n, 3, SIZE, SIZE)
    if rest["pass"] == "forward":

        def run():
            with torch.no_grad():
                tower(pixels)

        return run
    pixels.requires_grad_()
    ones = torch.ones(n, FEATURES)

    def run():
        torch.autograd.grad(tower(pixels), pixels, ones)

    return run
