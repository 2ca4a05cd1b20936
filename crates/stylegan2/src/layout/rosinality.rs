//! The layout of rosinality/stylegan2-pytorch and the many projects that build on it (`model.py`,
//! `convert_weight.py`). Its files are dicts `{g_ema, g, d, latent_avg, ...}`.
//!
//! The values agree with stylegan2-ada-pytorch without rescaling; the one difference in arithmetic
//! is [`Demodulation::FanIn`](crate::Demodulation::FanIn). The generator's filters are stored with
//! the gain of the upsampling (4) in them.

use std::collections::btree_map::Entry;

use domex_checkpoint::TensorData;

use super::Weights;
use super::table::{
    CHANNELS, Direction, PLANE, ROW, Row, SAME, SCALAR, UNBATCH3, UNBATCH4,
    add_discriminator_filters, add_generator_filters, binomial, convert, resolutions, scaled,
};
use crate::{Error, Result};

/// A generator under the names of stylegan2-ada-pytorch.
///
/// `average` is `latent_avg`, `[w]`, `[1, w]`, or the same row for every layer as pixel2style2pixel keeps it; it may also
/// stand among the tensors. Without it the result has no `mapping.w_avg`.
/// Files of early versions hold no noise; theirs becomes zero.
///
/// # Errors
/// [`crate::Error::Names`] for missing or unknown tensors; [`crate::Error::NotAModel`] for a network that lost the
/// embedding of its labels when it was brought into this layout.
pub fn generator_to_nvlabs(tensors: &Weights, average: Option<&TensorData>) -> Result<Weights> {
    refuse_lost_labels(tensors)?;
    let top = generator_size(tensors);
    let filter = match tensors.get("convs.0.conv.blur.kernel") {
        Some(kernel) => scaled(kernel, 0.25)?,
        None => binomial()?,
    };
    let rows = generator_rows(top, mapping_layers(tensors, "style.", 1));
    let ignored = |name: &str| name.ends_with(".kernel") || name == "latent_avg";
    let mut out = convert(
        "generator",
        tensors.clone(),
        &rows,
        Direction::ToOurs,
        ignored,
    )?;
    for (node, size) in layers(top) {
        let name = format!("{node}.noise_const");
        if let Entry::Vacant(slot) = out.entry(name) {
            slot.insert(TensorData::from_f32(
                vec![size, size],
                &vec![0.0; size * size],
            )?);
        }
    }
    add_generator_filters(&mut out, &filter);
    if let Some(average) = average.or_else(|| tensors.get("latent_avg")) {
        out.insert("mapping.w_avg".to_owned(), mean_row(average)?);
    }
    Ok(out)
}

/// In this layout z and w have one size. Programs that convert a class-conditional network leave its embedding out, and
/// with it what half of the first layer's inputs meant; the rest makes pictures of nothing.
fn refuse_lost_labels(tensors: &Weights) -> Result<()> {
    let first = tensors.get("style.1.weight").map(TensorData::shape);
    match first {
        Some(&[w, inputs]) if inputs != w => Err(Error::NotAModel {
            problem: format!(
                "its mapping network takes {inputs} values and gives {w}, which are one number in this layout: it was \
                 class-conditional, and lost the embedding of its labels when it was converted; take the file that it was \
                 converted from"
            ),
        }),
        _ => Ok(()),
    }
}

/// The mean of w, of one row or of equal ones.
fn mean_row(average: &TensorData) -> Result<TensorData> {
    let (rows, w) = match *average.shape() {
        [rows, w] if rows > 1 && w > 0 => (rows, w),
        ref found => {
            return ROW.forward(average).map_err(|_| Error::Shape {
                what: "latent_avg".to_owned(),
                expected: "[w], [1, w], or a row for each layer".to_owned(),
                found: found.to_vec(),
            });
        }
    };
    let values = average.to_f64_vec();
    let (first, others) = values.split_at(w);
    if others.chunks(w).any(|row| row != first) {
        return Err(Error::NotAModel {
            problem: format!("its latent_avg has {rows} rows that differ; expected one mean of w"),
        });
    }
    #[allow(clippy::cast_possible_truncation)] // Means are stored in 32 bits.
    let first: Vec<f32> = first.iter().map(|&value| value as f32).collect();
    Ok(TensorData::from_f32(vec![w], &first)?)
}

/// A generator under rosinality's names, and its `latent_avg` `[1, w]` if it has a mean.
///
/// # Errors
/// [`crate::Error::Names`] for a generator that this layout cannot express: with labels, or of another
/// architecture than `skip`.
pub fn generator_from_nvlabs(tensors: &Weights) -> Result<(Weights, Option<TensorData>)> {
    let top = nvlabs_size(tensors, "synthesis.b");
    let mut tensors = tensors.clone();
    let average = tensors
        .remove("mapping.w_avg")
        .map(|w| ROW.backward(&w))
        .transpose()?;
    let filter = match tensors.get("synthesis.b4.resample_filter") {
        Some(filter) => filter.clone(),
        None => binomial()?,
    };
    let rows = generator_rows(top, mapping_layers(&tensors, "mapping.fc", 0));
    let ignored = |name: &str| name.ends_with(".resample_filter");
    let mut out = convert("generator", tensors, &rows, Direction::ToForeign, ignored)?;
    let kernel = scaled(&filter, 4.0)?;
    for block in 0..resolutions(top).count() - 1 {
        out.insert(
            format!("convs.{}.conv.blur.kernel", 2 * block),
            kernel.clone(),
        );
        out.insert(format!("to_rgbs.{block}.upsample.kernel"), kernel.clone());
    }
    Ok((out, average))
}

/// A discriminator under the names of stylegan2-ada-pytorch.
///
/// # Errors
/// [`crate::Error::Names`] for missing or unknown tensors.
pub fn discriminator_to_nvlabs(tensors: &Weights) -> Result<Weights> {
    let blocks = (1..)
        .take_while(|i| tensors.contains_key(&format!("convs.{i}.conv1.0.weight")))
        .count();
    let filter = match tensors.get("convs.1.conv2.0.kernel") {
        Some(kernel) => kernel.clone(),
        None => binomial()?,
    };
    let rows = discriminator_rows(4 << blocks.min(16));
    let ignored = |name: &str| name.ends_with(".kernel");
    let mut out = convert(
        "discriminator",
        tensors.clone(),
        &rows,
        Direction::ToOurs,
        ignored,
    )?;
    add_discriminator_filters(&mut out, &filter);
    Ok(out)
}

/// A discriminator under rosinality's names.
///
/// # Errors
/// [`crate::Error::Names`] for a discriminator that this layout cannot express: with labels, or of another
/// architecture than `resnet`.
pub fn discriminator_from_nvlabs(tensors: &Weights) -> Result<Weights> {
    let top = nvlabs_size(tensors, "b");
    let filter = match tensors.get("b4.conv.resample_filter") {
        Some(filter) => filter.clone(),
        None => binomial()?,
    };
    let rows = discriminator_rows(top);
    let ignored = |name: &str| name.ends_with(".resample_filter");
    let mut out = convert(
        "discriminator",
        tensors.clone(),
        &rows,
        Direction::ToForeign,
        ignored,
    )?;
    for block in 1..resolutions(top).count() {
        for layer in ["conv2", "skip"] {
            out.insert(format!("convs.{block}.{layer}.0.kernel"), filter.clone());
        }
    }
    Ok(out)
}

fn generator_size(tensors: &Weights) -> usize {
    // At most 2048 pixels, so that names alone cannot ask for huge noise maps.
    let has = |j: &usize| tensors.contains_key(&format!("to_rgbs.{j}.bias"));
    4 << (0..9).take_while(has).count()
}

fn nvlabs_size(tensors: &Weights, prefix: &str) -> usize {
    let has = |res: &usize| {
        let block = format!("{prefix}{res}.");
        tensors
            .range(block.clone()..)
            .next()
            .is_some_and(|(name, _)| name.starts_with(&block))
    };
    resolutions(1 << 16).take_while(has).last().unwrap_or(4)
}

fn mapping_layers(tensors: &Weights, prefix: &str, first: usize) -> usize {
    (first..)
        .take_while(|i| tensors.contains_key(&format!("{prefix}{i}.weight")))
        .count()
}

/// The synthesis layers in the order of the noise buffers, each with its resolution.
fn layers(top: usize) -> Vec<(String, usize)> {
    let mut out = Vec::new();
    for res in resolutions(top) {
        for layer in ["conv0", "conv1"] {
            if res > 4 || layer == "conv1" {
                out.push((format!("synthesis.b{res}.{layer}"), res));
            }
        }
    }
    out
}

fn generator_rows(top: usize, mapping: usize) -> Vec<Row> {
    let mut rows = vec![Row::new("input.input", "synthesis.b4.const", UNBATCH3)];
    for i in 0..mapping {
        for part in ["weight", "bias"] {
            // style.0 is the normalisation, which has no weights.
            rows.push(Row::new(
                format!("style.{}.{part}", i + 1),
                format!("mapping.fc{i}.{part}"),
                SAME,
            ));
        }
    }
    for (index, (node, _)) in layers(top).iter().enumerate() {
        let name = match index {
            0 => "conv1".to_owned(),
            _ => format!("convs.{}", index - 1),
        };
        rows.push(Row::new(
            format!("{name}.noise.weight"),
            format!("{node}.noise_strength"),
            SCALAR,
        ));
        rows.push(Row::new(
            format!("{name}.activate.bias"),
            format!("{node}.bias"),
            SAME,
        ));
        let noise = format!("noises.noise_{index}");
        let noise = Row::new(noise, format!("{node}.noise_const"), PLANE);
        rows.push(Row {
            optional: true,
            ..noise
        });
        rows.extend(modulated(&name, node));
    }
    for (index, res) in resolutions(top).enumerate() {
        let name = match index {
            0 => "to_rgb1".to_owned(),
            _ => format!("to_rgbs.{}", index - 1),
        };
        let node = format!("synthesis.b{res}.torgb");
        rows.push(Row::new(
            format!("{name}.bias"),
            format!("{node}.bias"),
            CHANNELS,
        ));
        rows.extend(modulated(&name, &node));
    }
    rows
}

fn modulated(name: &str, node: &str) -> [Row; 3] {
    let row = |a: &str, b: &str, change| {
        Row::new(format!("{name}.conv.{a}"), format!("{node}.{b}"), change)
    };
    [
        row("weight", "weight", UNBATCH4),
        row("modulation.weight", "affine.weight", SAME),
        row("modulation.bias", "affine.bias", SAME),
    ]
}

fn discriminator_rows(top: usize) -> Vec<Row> {
    let row = |a: String, b: String| Row::new(a, b, SAME);
    let mut rows = vec![
        row("convs.0.0.weight".into(), format!("b{top}.fromrgb.weight")),
        row("convs.0.1.bias".into(), format!("b{top}.fromrgb.bias")),
        row("final_conv.0.weight".into(), "b4.conv.weight".into()),
        row("final_conv.1.bias".into(), "b4.conv.bias".into()),
    ];
    for (index, res) in resolutions(top).rev().filter(|&res| res > 4).enumerate() {
        let block = format!("convs.{}", index + 1);
        rows.extend([
            row(
                format!("{block}.conv1.0.weight"),
                format!("b{res}.conv0.weight"),
            ),
            row(
                format!("{block}.conv1.1.bias"),
                format!("b{res}.conv0.bias"),
            ),
            // The filter comes first where the resolution is halved.
            row(
                format!("{block}.conv2.1.weight"),
                format!("b{res}.conv1.weight"),
            ),
            row(
                format!("{block}.conv2.2.bias"),
                format!("b{res}.conv1.bias"),
            ),
            row(
                format!("{block}.skip.1.weight"),
                format!("b{res}.skip.weight"),
            ),
        ]);
    }
    for (index, node) in ["b4.fc", "b4.out"].iter().enumerate() {
        for part in ["weight", "bias"] {
            rows.push(row(
                format!("final_linear.{index}.{part}"),
                format!("{node}.{part}"),
            ));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use domex_checkpoint::foreign::{self, Foreign, state_dict};

    use super::super::{self as layout, Layout};
    use super::*;

    fn golden(name: &str) -> Foreign {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../checkpoint/tests/golden");
        foreign::read(folder.join(name)).unwrap()
    }

    fn network(file: &Foreign, name: &str) -> Weights {
        state_dict(file.get(name).unwrap()).unwrap()
    }

    #[test]
    fn generator_goes_there_and_back() {
        for name in ["rosinality_tiny.pt", "rosinality_tiny_legacy.pt"] {
            let file = golden(name);
            let theirs = network(&file, "g_ema");
            let average = file.get("latent_avg").unwrap().as_tensor();
            let (ours, found) = layout::generator(&theirs, average).unwrap().unwrap();
            assert_eq!(found, Layout::Rosinality);
            assert_eq!(ours["synthesis.b4.const"].shape(), [24, 4, 4]);
            assert_eq!(ours["synthesis.b32.conv1.noise_const"].shape(), [32, 32]);
            assert_eq!(ours["synthesis.b32.torgb.bias"].shape(), [3]);
            assert_eq!(ours["synthesis.b16.conv0.noise_strength"].shape(), [0; 0]);
            assert_eq!(
                ours["synthesis.b16.conv0.resample_filter"],
                binomial().unwrap()
            );
            let (back, mean) = generator_from_nvlabs(&ours).unwrap();
            assert_eq!(back, theirs);
            assert_eq!(mean.as_ref(), average);
            let mut inside = theirs;
            inside.insert("latent_avg".to_owned(), mean.unwrap());
            assert_eq!(generator_to_nvlabs(&inside, None).unwrap(), ours);
        }
    }

    #[test]
    fn published_nvlabs_networks_go_there_and_back() {
        let file = golden("nvlabs_tiny.pkl");
        let ours = network(&file, "G_ema");
        let (theirs, average) = generator_from_nvlabs(&ours).unwrap();
        assert_eq!(theirs["noises.noise_4"].shape(), [1, 1, 16, 16]);
        assert_eq!(theirs["to_rgbs.1.conv.weight"].shape(), [1, 3, 10, 1, 1]);
        assert_eq!(
            generator_to_nvlabs(&theirs, average.as_ref()).unwrap(),
            ours
        );
        let (same, found) = layout::generator(&ours, None).unwrap().unwrap();
        assert_eq!((same, found), (ours, Layout::Nvlabs));

        let ours = network(&file, "D");
        let theirs = discriminator_from_nvlabs(&ours).unwrap();
        assert_eq!(theirs["convs.0.0.weight"].shape(), [10, 3, 1, 1]);
        assert_eq!(theirs["convs.2.skip.0.kernel"].shape(), [4, 4]);
        assert_eq!(theirs["final_linear.1.weight"].shape(), [1, 20]);
        assert_eq!(theirs.len(), 2 + 2 * 7 + 2 + 4);
        let (back, found) = layout::discriminator(&theirs).unwrap().unwrap();
        assert_eq!((back, found), (ours, Layout::Rosinality));
    }

    #[test]
    fn a_conditional_network_that_lost_its_labels_is_refused() {
        let mut tensors = network(&golden("rosinality_tiny.pt"), "g_ema");
        let w = tensors["style.1.weight"].shape()[0];
        let wide = TensorData::from_f32(vec![w, 2 * w], &vec![0.0; 2 * w * w]).unwrap();
        tensors.insert("style.1.weight".to_owned(), wide);
        let error = generator_to_nvlabs(&tensors, None).unwrap_err().to_string();
        assert!(error.contains("class-conditional"), "{error}");
    }

    #[test]
    fn a_mean_of_equal_rows_is_one_row() {
        let tensors = network(&golden("rosinality_tiny.pt"), "g_ema");
        let w = tensors["style.1.weight"].shape()[0];
        let row: Vec<f32> = (0..w).map(|i| i as f32).collect();
        let mut rows = row.repeat(3);
        let of = |rows: &[f32]| TensorData::from_f32(vec![3, w], rows).unwrap();
        let ours = generator_to_nvlabs(&tensors, Some(&of(&rows))).unwrap();
        let expected = TensorData::from_f32(vec![w], &row).unwrap();
        assert_eq!(ours["mapping.w_avg"], expected);
        rows[w] = 7.0;
        let error = generator_to_nvlabs(&tensors, Some(&of(&rows)));
        assert!(error.unwrap_err().to_string().contains("rows that differ"));
        let empty = TensorData::from_f32(vec![3, 0], &[]).unwrap();
        let error = generator_to_nvlabs(&tensors, Some(&empty)).unwrap_err();
        assert!(error.to_string().contains("latent_avg: shape [3, 0]"));
    }

    #[test]
    fn early_files_without_noise_get_none() {
        let mut tensors = network(&golden("rosinality_tiny.pt"), "g_ema");
        tensors.retain(|name, _| !name.starts_with("noises."));
        let ours = generator_to_nvlabs(&tensors, None).unwrap();
        assert!(
            ours["synthesis.b8.conv0.noise_const"]
                .to_f64_vec()
                .iter()
                .all(|&v| v == 0.0)
        );
        assert!(!ours.contains_key("mapping.w_avg"));
    }

    #[test]
    fn missing_and_unknown_tensors_are_named() {
        let mut tensors = network(&golden("rosinality_tiny.pt"), "g_ema");
        let taken = tensors.remove("convs.3.activate.bias").unwrap();
        tensors.insert("convs.3.activate.extra".to_owned(), taken);
        let error = generator_to_nvlabs(&tensors, None).unwrap_err().to_string();
        assert!(
            error.contains("convs.3.activate.bias") && error.contains("extra"),
            "{error}"
        );
        let mut tensors = network(&golden("rosinality_tiny.pt"), "g_ema");
        let flat = tensors["convs.3.conv.weight"]
            .reshape(vec![16 * 16 * 9])
            .unwrap();
        tensors.insert("convs.3.conv.weight".to_owned(), flat);
        let error = generator_to_nvlabs(&tensors, None).unwrap_err();
        assert!(
            matches!(&error, Error::Shape { what, .. } if what.contains("convs.3")),
            "{error}"
        );
    }

    #[test]
    fn other_tensors_have_no_layout() {
        let other = [(
            "weight".to_owned(),
            TensorData::from_f32(vec![1], &[0.0]).unwrap(),
        )]
        .into();
        assert!(layout::generator(&other, None).unwrap().is_none());
        assert!(layout::discriminator(&other).unwrap().is_none());
    }
}
