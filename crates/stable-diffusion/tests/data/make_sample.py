"""Writes reference.safetensors beside this file: what the published implementation makes of two tiny networks.

Needs Python 3 with torch, diffusers and transformers (0.42, 5.24 were used); run it without arguments. Everything is computed in
float64 and stored in float32. Weights are no part of the file: they follow from their names by `weight`, which the test has
in Rust. `config` in the metadata holds the files of both folders; names of tensors begin with that of the folder.

one   as Stable Diffusion 1.5: projections as convolutions, one number of heads, quick GELU, predicts the noise
two   as 2.x: linear projections, a number of heads for each level, GELU, padded by "!", predicts the velocity
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

HERE = Path(__file__).parent
TEXTS = {"source": "a photo", "target": "a Zombie!", "nothing": ""}
TIME, STEPS, GUIDANCE = 0.6, 4, 3.0

UNET = {
    "_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": 4, "block_out_channels": [32, 64],
    "center_input_sample": False, "cross_attention_dim": 16, "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "downsample_padding": 1, "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4, "layers_per_block": 1,
    "mid_block_scale_factor": 1, "norm_eps": 1e-05, "norm_num_groups": 32, "out_channels": 4, "sample_size": 8,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
}
VAE = {
    "_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": [8, 16], "down_block_types": ["DownEncoderBlock2D"] * 2,
    "in_channels": 3, "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 4, "out_channels": 3, "sample_size": 16,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
}
TEXT = {
    "architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "hidden_act": "quick_gelu", "hidden_size": 16,
    "intermediate_size": 24, "layer_norm_eps": 1e-05, "max_position_embeddings": 16, "num_attention_heads": 2,
    "num_hidden_layers": 2, "vocab_size": 514, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "projection_dim": 16,
}
SCHEDULER = {
    "_class_name": "PNDMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
    "num_train_timesteps": 1000, "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None,
}
FOLDERS = {
    "one": {"unet": UNET, "vae": VAE, "text_encoder": TEXT, "scheduler": SCHEDULER, "pad_token": "<|endoftext|>"},
    "two": {
        "unet": UNET | {
            "attention_head_dim": [2, 8], "block_out_channels": [16, 24], "norm_num_groups": 8, "layers_per_block": 2,
            "use_linear_projection": True, "upcast_attention": True, "dual_cross_attention": False, "num_class_embeds": None,
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"], "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
        },
        "vae": VAE | {"scaling_factor": 0.3, "layers_per_block": 2},
        "text_encoder": TEXT | {"hidden_act": "gelu", "num_hidden_layers": 1},
        "scheduler": SCHEDULER | {"prediction_type": "v_prediction"},
        "pad_token": "!",
    },
}


def weight(name, shape):
    """Numbers that follow from a tensor's name: a hash of its letters, and of each place in it."""
    seed = 2166136261
    for byte in name.encode():
        seed = (seed ^ byte) * 16777619 % 2**32
    x = np.arange(int(np.prod(shape)), dtype=np.uint64) * 0x9E3779B9 + seed & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ x >> shift) * factor & 0xFFFFFFFF
    x = (x ^ x >> 16).astype(np.float64) / 2**31 - 1
    if len(shape) > 1:
        x *= np.sqrt(3 / np.prod(shape[1:]))
    else:
        x = x * 0.2 + name.endswith("weight")
    return torch.from_numpy(x.astype(np.float32).reshape(shape)).double()


def filled(network):
    network.load_state_dict({name: weight(name, tuple(t.shape)) for name, t in network.state_dict().items()})
    return network.double().eval()


def signs():
    """The printable signs of bytes, in their order in the vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(256 - len(plain))]


def token_ids(pad):
    bytes_ = signs()
    words = bytes_ + [sign + "</w>" for sign in bytes_] + ["<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
        (Path(folder) / "merges.txt").write_text("#version: 0.2\n")
        tokenizer = CLIPTokenizer.from_pretrained(folder, pad_token=pad)
        ids = tokenizer(list(TEXTS.values()), padding="max_length", max_length=16)["input_ids"]
    return torch.tensor(ids)


def folder(name, files):
    clean = lambda config: {k: v for k, v in config.items() if k[0] != "_"}
    unet = filled(UNet2DConditionModel(**clean(files["unet"])))
    vae = filled(AutoencoderKL(**clean(files["vae"])))
    if name == "two":
        # With every entry that today's program writes.
        files["unet"], files["vae"] = (json.loads(network.to_json_string()) for network in (unet, vae))
    text = CLIPTextModel(CLIPTextConfig(**clean(files["text_encoder"]), attn_implementation="eager"))
    prefixed = any(key.startswith("text_model.") for key in text.state_dict())
    named = {k: weight(k if prefixed else f"text_model.{k}", tuple(v.shape)) for k, v in text.state_dict().items() if v.is_floating_point()}
    text.load_state_dict(named, strict=False)
    text = text.double().eval()
    betas = {k: SCHEDULER[k] for k in ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps")}
    kept = DDIMScheduler(**betas).alphas_cumprod.double()
    ids = token_ids(files["pad_token"])
    states = dict(zip(TEXTS, text(ids).last_hidden_state[:, None]))
    scale = vae.config.scaling_factor
    picture = 12 * weight("picture", (2, 3, 16, 16))
    latents = vae.encode(picture).latent_dist.mean * scale
    times = torch.tensor([7, 900])
    predicted = unet(latents, times, torch.cat([states["source"], states["target"]])).sample

    def noise(x, t, condition, guidance):
        both = [unet(x, t, states[c].expand(2, -1, -1)).sample for c in (condition, "nothing")]
        v = both[1] + guidance * (both[0] - both[1])
        velocity = files["scheduler"].get("prediction_type") == "v_prediction"
        return kept[t].sqrt() * v + (1 - kept[t]).sqrt() * x if velocity else v

    # DDIM there as the source and back as the target, to the noise of the first step, as `set_alpha_to_one` of these files says.
    steps = [round(i * (round(TIME * 1000) - 1) / (STEPS - 1)) for i in range(STEPS)]
    move = lambda x, t, e, end: ((x - (1 - kept[t]).sqrt() * e) / kept[t].sqrt()) * end.sqrt() + (1 - end).sqrt() * e
    x = latents
    for t, end in zip(steps, steps[1:]):
        x = move(x, t, noise(x, t, "source", 1.0), kept[end])
    noisy = x
    for t, end in zip(steps[::-1], steps[-2::-1]):
        x = move(x, t, noise(x, t, "target", GUIDANCE), kept[end])
    made = {
        "in.ids": ids, "out.states": torch.cat(list(states.values())), "in.picture": picture, "out.latents": latents,
        "in.times": times, "out.predicted": predicted, "out.decoded": vae.decode(latents / scale).sample,
        "out.noisy": noisy, "out.translated": x, "out.alphas_cumprod": kept,
    }
    return {f"{name}.{k}": v if v.dtype == torch.int64 else v.float().contiguous() for k, v in made.items()}


if __name__ == "__main__":
    tensors = {}
    with torch.no_grad():
        for name, files in FOLDERS.items():
            tensors |= folder(name, files)
    metadata = {
        "config": json.dumps({"folders": FOLDERS, "texts": TEXTS, "translation": {"time": TIME, "steps": STEPS, "guidance": GUIDANCE}}),
        "describes": "Two tiny Stable Diffusions: states of texts, latents, predictions, decoded pictures, translated latents",
        "source": "huggingface/diffusers and huggingface/transformers",
    }
    save_file(tensors, HERE / "reference.safetensors", metadata)
