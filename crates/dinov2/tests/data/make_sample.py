"""Makes tiny.safetensors: a DINOv2 of random weights, pictures, and the class tokens that it gives of them in float64.

Made with transformers 4.40.2 (whose position embeddings are interpolated as facebookresearch/dinov2 does it: by a scale factor
with an offset of 0.1), torch 1.13.1 on the CPU: `python make_sample.py tiny.safetensors`.

- `param.`: weights under the names of transformers, float32;
- `in.square`, `out.square`: pictures of the size that the positions are stored for, 5 x 5 patches, and their class tokens;
- `in.oblong`, `out.oblong`: of 2 x 3 patches, for which positions are interpolated;
- `in.grid`, `out.grid`: a grid of 37 x 37 numbers, as the published networks store positions, at 16 x 16, as pictures of 224 pixels need.
"""

import math
import sys

import torch
from safetensors.torch import save_file
from transformers import Dinov2Config, Dinov2Model

# transformers interpolates in float32.
plain = torch.nn.functional.interpolate
torch.nn.functional.interpolate = lambda x, **how: plain(x.double(), **how)

draw = torch.Generator().manual_seed(5)


def normal(shape):
    return torch.randn(shape, generator=draw).double()


config = Dinov2Config(
    hidden_size=16, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=70, patch_size=14
)
model = Dinov2Model(config).eval().double()
with torch.no_grad():
    for name, weight in model.named_parameters():
        value = 0.25 * normal(weight.shape)
        if name.endswith("lambda1"):
            value += 0.5
        elif "norm" in name and name.endswith("weight"):
            value += 1.0
        elif "projection.weight" in name:
            value *= 0.3
        weight.copy_(value.float())

tensors = {f"param.{name}": weight.float().contiguous() for name, weight in model.state_dict().items()}
for name, shape in [("square", (1, 3, 70, 70)), ("oblong", (2, 3, 28, 42))]:
    pictures = normal(shape).float()
    with torch.no_grad():
        seen = model(pictures.double()).last_hidden_state[:, 0]
    tensors[f"in.{name}"], tensors[f"out.{name}"] = pictures, seen.contiguous()
grid = normal((37, 37))
factor = float((16 + 0.1) / math.sqrt(37 * 37))
at16 = plain(grid[None, None], scale_factor=(factor, factor), mode="bicubic", align_corners=False)
tensors["in.grid"], tensors["out.grid"] = grid, at16[0, 0].contiguous()
save_file(tensors, sys.argv[1])
