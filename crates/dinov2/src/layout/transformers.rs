//! Names of huggingface/transformers, `models/dinov2/modeling_dinov2.py`.

use super::Names;

pub(super) const NAMES: Names = Names {
    whole: [
        ("class_token", "embeddings.cls_token"),
        ("positions", "embeddings.position_embeddings"),
        (
            "patches.weight",
            "embeddings.patch_embeddings.projection.weight",
        ),
        (
            "patches.bias",
            "embeddings.patch_embeddings.projection.bias",
        ),
        ("norm.weight", "layernorm.weight"),
        ("norm.bias", "layernorm.bias"),
    ],
    blocks: "encoder.layer.",
    layers: [
        ("layer_norm1", "norm1"),
        ("self_attn.q_proj", "attention.attention.query"),
        ("self_attn.k_proj", "attention.attention.key"),
        ("self_attn.v_proj", "attention.attention.value"),
        ("self_attn.out_proj", "attention.output.dense"),
        ("layer_norm2", "norm2"),
        ("mlp.fc1", "mlp.fc1"),
        ("mlp.fc2", "mlp.fc2"),
    ],
    scales: [
        ("scale1", "layer_scale1.lambda1"),
        ("scale2", "layer_scale2.lambda1"),
    ],
    packed: None,
    gated: "mlp.weights_in",
    registers: "embeddings.register_tokens",
};
