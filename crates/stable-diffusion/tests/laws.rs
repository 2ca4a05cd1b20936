//! What holds for every model: the way there and back, batches, bits, precision, sizes of pictures.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::safetensors::{Overwrite, write};
use domex_checkpoint::{TensorData, foreign};
use domex_random::Streams;
use domex_stable_diffusion::{StableDiffusion, Translation, Way};
use domex_test_support::stable_diffusion::{self, SIDE};

fn model() -> StableDiffusion {
    let folder = tempfile::tempdir().unwrap();
    stable_diffusion::folder(folder.path(), &stable_diffusion::files());
    StableDiffusion::load(folder.path(), &Device::Cpu).unwrap()
}

/// Waves of different lengths.
fn pictures(n: usize, side: usize) -> Tensor {
    let value = |i: usize| {
        let (place, picture) = (i % (side * side), i / (side * side));
        let (x, y) = (place % side, place / side);
        let wave = (x as f32 / side as f32 * 5.0 + picture as f32).sin();
        0.8 * wave * (y as f32 / side as f32 * 3.0).cos()
    };
    let values: Vec<f32> = (0..n * 3 * side * side).map(value).collect();
    Tensor::from_vec(values, (n, 3, side, side), &Device::Cpu).unwrap()
}

fn apart(a: &Tensor, b: &Tensor) -> f32 {
    let d = (a - b).unwrap().abs().unwrap().max_all().unwrap();
    d.to_scalar().unwrap()
}

fn translated(model: &StableDiffusion, x: &Tensor, to: &str, how: Translation) -> Tensor {
    let n = x.dim(0).unwrap();
    let [source, target] =
        ["a photo", to].map(|text| model.text(text).unwrap().repeat((n, 1, 1)).unwrap());
    let mut stream = Streams::new(0).stream("noise");
    model
        .translate(x, &source, &target, &how, &mut stream)
        .unwrap()
}

fn how(way: Way, steps: usize, guidance: f64) -> Translation {
    Translation {
        way,
        time: 0.3,
        steps,
        guidance,
        ..Translation::default()
    }
}

#[test]
fn the_same_text_gives_what_the_autoencoder_gives_the_better_the_more_steps() {
    let (model, x) = (model(), pictures(1, SIDE));
    let round = model
        .decode(&model.encode(&x).unwrap(), [SIDE, SIDE])
        .unwrap();
    let error = |steps| {
        apart(
            &translated(&model, &x, "a photo", how(Way::Inversion, steps, 1.0)),
            &round,
        )
    };
    let (few, many) = (error(4), error(100));
    assert!(many < 0.1 * few && many < 0.05, "{few} {many}");
}

#[test]
fn another_text_gives_another_picture_and_guidance_carries_it_further() {
    let (model, x) = (model(), pictures(1, SIDE));
    for way in [Way::FlowEdit, Way::Inversion] {
        let same = translated(&model, &x, "a photo", how(way, 8, 1.0));
        let moved = |guidance| {
            apart(
                &translated(&model, &x, "zombie", how(way, 8, guidance)),
                &same,
            )
        };
        let (some, more) = (moved(1.0), moved(3.0));
        assert!(some > 1e-3 && more > some, "{way:?} {some} {more}");
    }
}

#[test]
fn a_batch_is_its_pictures_one_by_one_and_the_same_bits_come_twice() {
    let (model, x) = (model(), pictures(3, SIDE));
    let all = translated(&model, &x, "zombie", how(Way::Inversion, 3, 2.0));
    for row in 0..3 {
        let one = translated(
            &model,
            &x.narrow(0, row, 1).unwrap(),
            "zombie",
            how(Way::Inversion, 3, 2.0),
        );
        assert!(apart(&one, &all.narrow(0, row, 1).unwrap()) < 1e-4);
    }
    let again = translated(&model, &x, "zombie", how(Way::Inversion, 3, 2.0));
    assert_eq!(apart(&again, &all), 0.0);
    let edited = || translated(&model, &x, "zombie", how(Way::FlowEdit, 3, 2.0));
    assert_eq!(apart(&edited(), &edited()), 0.0);
}

#[test]
fn pictures_of_any_size_come_back_in_their_size() {
    let model = model();
    for side in [SIDE / 2, 3 * SIDE] {
        let x = pictures(2, side);
        let made = translated(&model, &x, "zombie", how(Way::FlowEdit, 2, 1.0));
        assert_eq!(made.dims(), x.dims());
        let largest = made.abs().unwrap().max_all().unwrap();
        assert!(largest.to_scalar::<f32>().unwrap() <= 1.0);
    }
}

#[test]
fn a_picture_is_drawn_anew_the_freer_the_more_noise_hides_it() {
    let (model, x) = (model(), pictures(2, SIDE));
    let noise = stable_diffusion::weight("noise", &model.latents(2));
    let noise = (noise * 10.0).unwrap();
    let text = |text: &str| model.text(text).unwrap().repeat((2, 1, 1)).unwrap();
    let (a, b) = (text("zombie"), text("a photo"));
    let draw = |times: [f64; 2], guidance| {
        let drawn = model.redraw(&x, &noise, &times, [&a, &b], guidance);
        drawn.unwrap()
    };
    let round = model
        .decode(&model.encode(&x).unwrap(), [SIDE, SIDE])
        .unwrap();
    let moved = |time| apart(&draw([time; 2], 1.0), &round);
    assert!(
        moved(0.02) < 0.5 * moved(0.6),
        "{} {}",
        moved(0.02),
        moved(0.6)
    );
    assert!(apart(&draw([0.6; 2], 1.0), &draw([0.6; 2], 3.0)) > 1e-3);
    // Each sample has its own time.
    let (both, late) = (draw([0.1, 0.6], 2.0), draw([0.6; 2], 2.0));
    let second = |x: &Tensor| x.narrow(0, 1, 1).unwrap();
    assert!(apart(&second(&both), &second(&late)) < 1e-4 && apart(&both, &late) > 1e-3);
    assert!(model.redraw(&x, &noise, &[0.0; 2], [&a, &b], 1.0).is_err());
}

/// The weights of a part under other names or in other types.
fn rewrite(folder: &Path, from: &str, to: &str, name: impl Fn(&str) -> String, dtype: DType) {
    let file = foreign::read(folder.join(from)).unwrap();
    let tensors = foreign::state_dict(&file.value).unwrap().into_iter();
    let tensors = tensors.map(|(key, data)| {
        let tensor = data.to_tensor(&Device::Cpu).unwrap().to_dtype(dtype);
        (
            name(&key),
            TensorData::from_tensor(&tensor.unwrap()).unwrap(),
        )
    });
    let tensors: BTreeMap<_, _> = tensors.collect();
    std::fs::remove_file(folder.join(from)).unwrap();
    write(
        folder.join(to),
        &BTreeMap::new(),
        &tensors,
        Overwrite::Replace,
    )
    .unwrap();
}

#[test]
fn half_precision_and_the_names_of_other_versions_are_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    stable_diffusion::folder(folder.path(), &stable_diffusion::files());
    for (part, stem) in [
        ("unet", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
    ] {
        let [from, to] = ["", ".fp16"].map(|kind| format!("{part}/{stem}{kind}.safetensors"));
        let name = |key: &str| key.trim_start_matches("text_model.").to_owned();
        rewrite(folder.path(), &from, &to, name, DType::F16);
    }
    let old = |key: &str| {
        let key = key.replace("attentions.0.to_q", "attentions.0.query");
        let key = key.replace("attentions.0.to_k", "attentions.0.key");
        let key = key.replace("attentions.0.to_v", "attentions.0.value");
        key.replace("attentions.0.to_out.0", "attentions.0.proj_attn")
    };
    let vae = "vae/diffusion_pytorch_model.safetensors";
    rewrite(folder.path(), vae, vae, old, DType::F32);
    let half = StableDiffusion::load(folder.path(), &Device::Cpu).unwrap();
    let (full, x) = (model(), pictures(1, SIDE));
    assert_eq!(
        apart(&half.encode(&x).unwrap(), &full.encode(&x).unwrap()),
        0.0
    );
    let made =
        [&half, &full].map(|model| translated(model, &x, "zombie", how(Way::FlowEdit, 3, 1.0)));
    let error = apart(&made[0], &made[1]);
    assert!(error > 0.0 && error < 0.02, "{error}");
    let files = half.folder().files().unwrap();
    let is_half = |file: &&std::path::PathBuf| file.to_string_lossy().contains("fp16");
    assert_eq!(files.iter().filter(is_half).count(), 2);
    assert!(
        files.iter().all(|file| file.is_file()) && files.len() == 11,
        "{files:?}"
    );
}
