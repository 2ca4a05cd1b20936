"""One training step of a domain expansion (Nitzan et al. 2023, arXiv 2301.05225) with random weights.

The phases, their networks and their weights are those of crates/expand/src/phases.rs:

expand       base and edited pictures; CLIP's directional loss on ViT-B/32, LPIPS on VGG16 and L2 against the frozen source
adversarial  the same, then a generator's and a discriminator's step on the base subspace (softplus losses)
regularised  the same, then path length on half of the batch, and R1

That is with CLIP as teacher. By a `diffusion` model the edited pictures are held to translations, which are at hand, by LPIPS
and L2, and to a discriminator of several domains; by `pictures` to that discriminator, and their distances from each
other to those of the base pictures. It begins from the source's, four layers of which stay, and learns in every step.

`published` computes what the published training code does on the CPU: a generator that trains multiplies its input by the
styles and its output by the demodulation factors, which it takes from each sample's own weights; the frozen one convolves with
each sample's own weights; filters are depthwise convolutions; optimiser and average go tensor by tensor. `best` is the
fastest formulation found.
"""

import torch
from torch.nn import functional as F

import judge
import perceptual
import stylegan2
import vision
from stylegan2 import GAIN

LR, GAMMA, PATH_WEIGHT, PATH_DECAY = 1e-3, 10.0, 2.0, 0.01
R1_INTERVAL, PATH_INTERVAL = 16, 4
EMA_BETA = 0.97
# Tensors of the first four layers of a discriminator.
FROZEN = 7
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])[None, :, None, None]
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])[None, :, None, None]


class Published(stylegan2.Published):
    """With gradients: shared weights, styles on the input, factors on the output, every operator by itself."""

    prepare = staticmethod(lambda generator: None)

    def convolution(self, x, layer, style):
        x = x * style[:, :, None, None]
        if layer.up:
            x = F.conv_transpose2d(x, layer.weight.transpose(0, 1), stride=2)
            return self.filter(x, [1, 1, 1, 1], 4)
        return F.conv2d(x, layer.weight, padding=layer.weight.shape[2] // 2)

    def layer(self, x, layer, style):
        own = layer.weight[None] * style[:, None, :, None, None]
        factor = (own.square().sum([2, 3, 4]) + 1e-8).rsqrt()
        x = self.convolution(x, layer, style)
        noise = torch.randn(len(x), 1, *x.shape[2:]) * layer.strength
        x = torch.addcmul(noise, x, factor[:, :, None, None])
        return F.leaky_relu(x + layer.bias[None, :, None, None], 0.2) * GAIN


class Source(stylegan2.Published):
    """Without gradients: the published generator outside of training."""

    prepare = staticmethod(lambda generator: None)

    def layer(self, x, layer, style):
        x = self.convolution(x, layer, style)
        x = x.add_(torch.randn(len(x), 1, *x.shape[2:]) * layer.strength)
        return F.leaky_relu(x + layer.bias[None, :, None, None], 0.2) * GAIN


class Best(stylegan2.Best):
    """What follows from the weights is made once for each pass of the network; nothing that a gradient needs is overwritten."""

    def __init__(self):
        pass

    @staticmethod
    def prepare(generator):
        for layers, _ in generator.blocks:
            for layer in layers:
                layer.squares = layer.weight.square().sum([2, 3]).t()

    def layer(self, x, layer, style):
        factor = (torch.matmul(style.square(), layer.squares) + 1e-8).rsqrt() * GAIN
        x = x * style[:, :, None, None]
        if layer.up:
            x = self.filter(F.conv_transpose2d(x, layer.weight.transpose(0, 1), stride=2), [1, 1, 1, 1], 4)
        else:
            x = F.conv2d(x, layer.weight, padding=1)
        noise = torch.randn(len(x), 1, *x.shape[2:]) * (layer.strength * GAIN)
        shift = noise + (layer.bias * GAIN)[None, :, None, None]
        return F.leaky_relu_(torch.addcmul(shift, x, factor[:, :, None, None]), 0.2)


def synthesis(generator, ws, how):
    """Pictures of w, one for each sample or, as path length has them, one for each layer."""
    how.prepare(generator)
    row = (lambda i: ws) if ws.dim() == 2 else (lambda i: ws[:, i])
    x, picture, at = how.start(generator.constant, len(ws)), None, 0
    for layers, to_rgb in generator.blocks:
        for layer in layers:
            x = how.layer(x, layer, layer.style(row(at)))
            at += 1
        rgb = how.rgb(x, to_rgb, to_rgb.style(row(at)))
        picture = rgb if picture is None else how.enlarge(picture) + rgb
    return picture


def parameters(generator):
    """All tensors of the synthesis that are trained, made to track gradients."""
    found = [generator.constant]
    for layers, to_rgb in generator.blocks:
        for layer in [*layers, to_rgb]:
            found += [*layer.affine, layer.weight, layer.bias] + ([] if layer.rgb else [layer.strength])
    return [p.requires_grad_() for p in found]


class Optimiser:
    """Adam without a first moment, corrected for a lazy regulariser's additional steps; gradients are made finite."""

    def __init__(self, parameters, interval, best):
        c = 1 if interval is None else interval / (interval + 1)
        self.parameters, self.best = parameters, best
        self.adam = torch.optim.Adam(parameters, LR * c, (0.0, 0.99**c), 1e-8, fused=best or None)

    def step(self, loss):
        self.adam.zero_grad(set_to_none=True)
        for p, g in zip(self.parameters, torch.autograd.grad(loss, self.parameters, allow_unused=True)):
            p.grad = g
            if g is not None and not self.best:
                torch.nan_to_num(g, 0.0, 1e5, -1e5, out=g)
        self.adam.step()


def features(tower, pictures):
    pixels = F.interpolate((pictures + 1) * 0.5, size=(224, 224), mode="bicubic", align_corners=False)
    return F.normalize(tower((pixels - MEAN) / STD))


class Step:
    def __init__(self, resolution, channel_base, n, teacher, phases, peer):
        self.best, self.n, self.phases, self.resolution = peer == "best", n, phases, resolution
        self.teacher = teacher
        self.how = Best() if self.best else Published()
        self.generator = stylegan2.Generator(resolution, channel_base)
        self.source = stylegan2.Generator(resolution, channel_base)
        self.parameters = parameters(self.generator)
        self.average = [p.detach().clone() for p in self.parameters]
        adversarial = phases != "expand"
        self.adam = Optimiser(self.parameters, PATH_INTERVAL if adversarial else None, self.best)
        self.distance = perceptual.Distance("vgg")
        if teacher == "clip":
            self.tower = vision.Tower()
            self.directions = F.normalize(torch.randn(n, vision.FEATURES))
        else:
            self.domains = judge.Discriminator(resolution, channel_base, self.best, domains=3)
            self.domains_adam = Optimiser(self.domains.parameters[FROZEN:], R1_INTERVAL, self.best)
            self.targets = torch.rand(n, 3, resolution, resolution) * 2 - 1
        self.moves = 20 * F.normalize(torch.randn(n, 512))
        self.projection, self.mean = torch.eye(512), torch.zeros(512)
        self.length = torch.zeros(())
        if adversarial:
            self.judge = judge.Discriminator(resolution, channel_base, self.best)
            self.judge_adam = Optimiser(self.judge.parameters, R1_INTERVAL, self.best)
            self.reals = torch.rand(n, 3, resolution, resolution) * 2 - 1

    def latents(self):
        """On the base subspace."""
        with torch.no_grad():
            w = self.generator.latent(torch.randn(self.n, 512))
            return self.mean + torch.matmul(w - self.mean, self.projection)

    def pictures(self, ws):
        return synthesis(self.generator, ws, self.how)

    def expand(self):
        base = self.latents()
        pictures = self.pictures(torch.cat([base, base + self.moves]))
        kept, edited = pictures[: self.n], pictures[self.n :]
        with torch.no_grad():
            before = synthesis(self.source, base, self.how if self.best else Source())
        loss = self.taught(kept, edited)
        loss = loss + 10 * (kept - before).square().mean() + 10 * self.distance(kept, before).mean()
        self.adam.step(loss)
        if self.teacher != "clip":
            said = self.domains(edited.detach(), 0), self.domains(self.targets, 0)
            self.domains_adam.step(F.softplus(said[0]).mean() + F.softplus(-said[1]).mean())

    def taught(self, kept, edited):
        """What the edited pictures lack to be of their domain."""
        if self.teacher == "clip":
            with torch.no_grad():
                seen = features(self.tower, kept.detach())
            moved = F.normalize(features(self.tower, edited) - seen)
            return (1 - (moved * self.directions).sum(1)).sum() / self.n
        loss = F.softplus(-self.domains(edited, 0)).sum() / self.n
        if self.teacher == "diffusion":
            far = self.distance(edited, self.targets) + 10 * (edited - self.targets).square().mean([1, 2, 3])
            return loss + far.sum() / self.n
        with torch.no_grad():
            expected = self.likenesses(kept.detach())
        return loss + 20 * (expected.exp() * (expected - self.likenesses(edited))).sum() / self.n

    def likenesses(self, pictures):
        """How alike each picture is to each other, as logarithms of shares."""
        first, second = torch.triu_indices(self.n, self.n, 1)
        seen = zip(self.distance.features(pictures), self.distance.heads)
        far = sum(F.conv2d((a[first] - a[second]).square(), head).mean([1, 2, 3]) for a, head in seen)
        square = torch.full((self.n, self.n), -torch.inf)
        alike = -far / (far.mean() + 1e-8)
        square = square.index_put((first, second), alike).index_put((second, first), alike)
        others = ~torch.eye(self.n, dtype=torch.bool)
        return square.log_softmax(1)[others].view(self.n, self.n - 1)

    def generate(self):
        self.adam.step(F.softplus(-self.judge(self.pictures(self.latents()))).mean())

    def path_length(self):
        n = max(self.n // 2, 1)
        with torch.no_grad():
            rows = sum(len(layers) for layers, _ in self.generator.blocks) + 1
            w, other = (self.generator.latent(torch.randn(n, 512)) for _ in range(2))
            ws = torch.stack([w if i < rows // 2 else other for i in range(rows)], 1)
        pictures = self.pictures(ws.requires_grad_())
        noise = torch.randn_like(pictures) / self.resolution
        (slope,) = torch.autograd.grad((pictures * noise).sum(), ws, create_graph=True)
        lengths = slope.square().sum(2).mean(1).sqrt()
        mean = self.length.lerp(lengths.mean(), PATH_DECAY)
        self.length = mean.detach()
        self.adam.step((lengths - mean).square().mean() * (PATH_WEIGHT * PATH_INTERVAL))

    def tell(self):
        with torch.no_grad():
            fakes = self.pictures(self.latents())
        loss = F.softplus(self.judge(fakes)).mean() + F.softplus(-self.judge(self.reals)).mean()
        self.judge_adam.step(loss)

    def r1(self):
        reals = self.reals.clone().requires_grad_()
        (slope,) = torch.autograd.grad(self.judge(reals).sum(), reals, create_graph=True)
        penalty = slope.square().sum([1, 2, 3])
        self.judge_adam.step((penalty * (GAMMA / 2)).mean() * R1_INTERVAL)

    def follow(self):
        with torch.no_grad():
            if self.best:
                torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - EMA_BETA)
            else:
                for average, p in zip(self.average, self.parameters):
                    average.copy_(p.lerp(average, EMA_BETA))

    def __call__(self):
        self.expand()
        if self.phases != "expand":
            self.generate()
            if self.phases == "regularised":
                self.path_length()
            self.tell()
            if self.phases == "regularised":
                self.r1()
        self.follow()


def prepare(**work):
    return Step(**work)
