//! Laws of a teacher, on a network of made-up weights.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use domex_random::{Stream, Streams};
use domex_teacher::{Config, Network, Teacher, Translation, Way, write};

const SIDE: usize = 8;

fn config() -> Config {
    Config::new(SIDE, 6, &[8, 16])
}

fn normal(name: &str, dims: &[usize], scale: f32) -> Tensor {
    let mut values = vec![0f32; dims.iter().product()];
    Streams::new(1).stream(name).fill_normal(&mut values);
    values.iter_mut().for_each(|value| *value *= scale);
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

fn tensors() -> BTreeMap<String, Tensor> {
    let map = VarMap::new();
    Network::new(
        &VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu),
        &config(),
    )
    .unwrap();
    let data = map.data().lock().unwrap();
    let drawn = data.iter().map(|(name, var)| {
        let fan_in: usize = var.dims().iter().skip(1).product();
        let scale = 0.7 / (fan_in as f32).sqrt();
        (name.clone(), normal(name, var.dims(), scale))
    });
    drawn.collect()
}

fn teacher() -> Teacher {
    let tensors = tensors().into_iter().collect();
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    Teacher::new(Network::new(&vb, &config()).unwrap(), text("probe", 1)).unwrap()
}

fn text(name: &str, n: usize) -> Tensor {
    let text = normal(name, &[1, 6], 1.0);
    let length = text.sqr().unwrap().sum_all().unwrap().sqrt().unwrap();
    let unit = text.broadcast_div(&length).unwrap();
    unit.broadcast_as((n, 6)).unwrap().contiguous().unwrap()
}

fn pictures() -> Tensor {
    normal("pictures", &[2, 3, SIDE, SIDE], 0.5).tanh().unwrap()
}

fn stream() -> Stream {
    Streams::new(2).stream("noise")
}

fn apart(a: &Tensor, b: &Tensor) -> f32 {
    let d = (a - b).unwrap().abs().unwrap().mean_all().unwrap();
    d.to_scalar().unwrap()
}

#[test]
fn a_translation_to_the_same_text_comes_back_the_better_the_more_steps() {
    let error = |steps| {
        let how = Translation {
            way: Way::Inversion,
            time: 0.6,
            steps,
            guidance: 1.0,
            ..Translation::default()
        };
        let back = teacher().translate(
            &pictures(),
            &text("a", 2),
            &text("a", 2),
            &how,
            &mut stream(),
        );
        apart(&back.unwrap(), &pictures())
    };
    let (few, many) = (error(5), error(80));
    assert!(many < 0.3 * few && many < 0.05, "{few} {many}");
}

#[test]
fn another_text_gives_another_picture_and_guidance_carries_it_further() {
    for way in [Way::FlowEdit, Way::Inversion] {
        let to = |name: &str, guidance| {
            let how = Translation {
                way,
                time: 0.6,
                steps: 20,
                guidance,
                ..Translation::default()
            };
            let made = teacher().translate(
                &pictures(),
                &text("a", 2),
                &text(name, 2),
                &how,
                &mut stream(),
            );
            made.unwrap()
        };
        let same = to("a", 1.0);
        let (some, more) = (apart(&to("b", 1.0), &same), apart(&to("b", 3.0), &same));
        assert!(some > 1e-4 && more > some, "{way:?} {some} {more}");
    }
}

#[test]
fn a_picture_is_drawn_anew_the_freer_the_more_noise_hides_it() {
    let noise = normal("noise", &[2, 3, SIDE, SIDE], 1.0);
    let draw = |time: f64, against: &str, guidance| {
        let texts = [&text("a", 2), &text(against, 2)];
        teacher().redraw(&pictures(), &noise, &[time; 2], texts, guidance)
    };
    let moved = |time| apart(&draw(time, "b", 1.0).unwrap(), &pictures());
    assert!(
        moved(0.05) < 0.5 * moved(0.5),
        "{} {}",
        moved(0.05),
        moved(0.5)
    );
    let plain = draw(0.5, "b", 1.0).unwrap();
    assert!(apart(&draw(0.5, "a", 3.0).unwrap(), &plain) < 1e-4);
    assert!(apart(&draw(0.5, "b", 3.0).unwrap(), &plain) > 1e-3);
    assert!(draw(0.0, "b", 1.0).is_err() && draw(1.1, "b", 1.0).is_err());
}

#[test]
fn without_guidance_the_text_plays_no_role() {
    let noise = normal("noise", &[2, 3, SIDE, SIDE], 1.0);
    let draw = |name: &str, guidance| {
        teacher()
            .sample(&noise, &text(name, 2), 5, guidance)
            .unwrap()
    };
    assert_eq!(apart(&draw("a", 0.0), &draw("b", 0.0)), 0.0);
    assert!(apart(&draw("a", 1.0), &draw("b", 1.0)) > 0.0);
    assert_eq!(draw("a", 1.0).dims(), [2, 3, SIDE, SIDE]);
}

#[test]
fn a_file_holds_the_network_and_notices_another_text_encoder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("teacher.safetensors");
    write(
        &path,
        &config(),
        &tensors(),
        &text("probe", 1),
        &serde_json::Value::Null,
    )
    .unwrap();
    let read = Teacher::load(&path, &Device::Cpu).unwrap();
    read.check_text(&text("probe", 1)).unwrap();
    let noise = normal("noise", &[1, 3, SIDE, SIDE], 1.0);
    let draw = |teacher: &Teacher| teacher.sample(&noise, &text("a", 1), 5, 1.0).unwrap();
    assert!(apart(&draw(&read), &draw(&teacher())) < 0.02);
    for wrong in [text("other", 1), normal("probe", &[1, 5], 1.0)] {
        let message = read.check_text(&wrong).unwrap_err().to_string();
        assert!(message.contains("text encoder"), "{message}");
    }
}

#[test]
fn what_cannot_be_walked_is_refused() {
    let translate = |how: Translation| {
        let found = teacher().translate(
            &pictures(),
            &text("a", 2),
            &text("b", 2),
            &how,
            &mut stream(),
        );
        found.unwrap_err().to_string()
    };
    let with = |time, steps, guidance| Translation {
        time,
        steps,
        guidance,
        ..Translation::default()
    };
    assert!(translate(with(0.0, 5, 1.0)).contains("time"));
    assert!(translate(with(f64::NAN, 5, 1.0)).contains("time"));
    assert!(translate(with(0.5, 1, 1.0)).contains("steps"));
    assert!(translate(with(0.5, 5, -1.0)).contains("guidance"));
    let small = pictures().narrow(2, 0, 4).unwrap();
    let how = with(0.5, 5, 1.0);
    assert!(
        teacher()
            .translate(&small, &text("a", 2), &text("b", 2), &how, &mut stream())
            .is_err()
    );
    assert!(
        teacher()
            .translate(
                &pictures(),
                &text("a", 1),
                &text("b", 2),
                &how,
                &mut stream()
            )
            .is_err()
    );
}

#[test]
fn a_configuration_that_cannot_be_is_refused() {
    let vb = VarBuilder::zeros(DType::F32, &Device::Cpu);
    let refused = |config: Config| Network::new(&vb, &config).unwrap_err().to_string();
    let mut wrong = config();
    wrong.unet.patch = 0;
    assert!(refused(wrong).contains("patch"));
    let mut wrong = config();
    wrong.unet.out_channels = 12;
    assert!(refused(wrong).contains("red, green and blue"));
}
