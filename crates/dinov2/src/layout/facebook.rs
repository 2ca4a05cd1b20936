//! Names of facebookresearch/dinov2, `dinov2/models/vision_transformer.py`.

use super::Names;

pub(super) const NAMES: Names = Names {
    whole: [
        ("class_token", "cls_token"),
        ("positions", "pos_embed"),
        ("patches.weight", "patch_embed.proj.weight"),
        ("patches.bias", "patch_embed.proj.bias"),
        ("norm.weight", "norm.weight"),
        ("norm.bias", "norm.bias"),
    ],
    blocks: "blocks.",
    layers: [
        ("layer_norm1", "norm1"),
        ("self_attn.q_proj", "attn.qkv"),
        ("self_attn.k_proj", "attn.qkv"),
        ("self_attn.v_proj", "attn.qkv"),
        ("self_attn.out_proj", "attn.proj"),
        ("layer_norm2", "norm2"),
        ("mlp.fc1", "mlp.fc1"),
        ("mlp.fc2", "mlp.fc2"),
    ],
    scales: [("scale1", "ls1.gamma"), ("scale2", "ls2.gamma")],
    packed: Some("attn.qkv"),
    gated: "mlp.w12",
    registers: "register_tokens",
};
