//! The rows of the table: what is measured, and the ratio to the peer that is aimed at.
//!
//! A row travels as JSON to both sides, so that a shape is written down once.

use serde::{Deserialize, Serialize};

/// One line of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// As printed, and as `--rows` matches it.
    pub name: String,
    /// What is done.
    pub work: Work,
    /// Floating-point operations by the textbook formula; 0 where nobody counts them.
    pub flops: f64,
    /// The ratio to reach, peer's time over ours.
    pub target: f64,
}

/// The work of a row. Square pictures and kernels throughout.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    /// A convolution; transposed, it goes from `c_in` channels of `size`² to `(size − 1)·stride + kernel`.
    Conv {
        n: usize,
        c_in: usize,
        c_out: usize,
        size: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        transposed: bool,
        pass: Pass,
    },
    /// A matrix product, with operands that lie transposed in memory where it says so.
    Matmul {
        batch: usize,
        m: usize,
        n: usize,
        k: usize,
        a_transposed: bool,
        b_transposed: bool,
    },
    /// Attention of `heads` heads of 64 channels over `tokens` tokens.
    Attention {
        n: usize,
        tokens: usize,
        heads: usize,
        causal: bool,
        pass: Pass,
    },
    /// Noise to pictures.
    #[serde(rename = "stylegan2")]
    StyleGan2 {
        resolution: usize,
        channel_base: usize,
        n: usize,
        /// Which program of the peer's: `published` or `best`.
        peer: String,
    },
    /// CLIP ViT-B/32's image encoder.
    Clip { n: usize, pass: Pass },
    /// The perceptual distance of two batches; its gradient is that of the first.
    Lpips {
        backbone: String,
        size: usize,
        n: usize,
        pass: Pass,
    },
    /// The features that FID is taken of, from pictures of `size`² in `[0, 255]`.
    Inception { size: usize, n: usize },
    /// The U-Net of a Diffusion Autoencoder at its published widths, 64² or 128²; trained, the gradients of all weights too.
    #[serde(rename = "unet")]
    UNet { size: usize, n: usize, pass: Pass },
    /// Noise and codes to pictures by that of 64², in so many steps.
    Sampling { n: usize, steps: usize },
    /// One step of an expansion of that of 64²: pictures by six steps, of which two carry a gradient.
    DiffaeExpansion { n: usize },
    /// Real pictures to latents by so many steps of the published projector, in W.
    Projector {
        resolution: usize,
        channel_base: usize,
        n: usize,
        steps: usize,
    },
    /// So many steps of pivotal tuning around latents.
    Tuning {
        resolution: usize,
        channel_base: usize,
        n: usize,
        steps: usize,
    },
    /// Pictures of 64² to latents by the encoder that ships.
    Encoder { n: usize },
    /// One step of an expansion with the published settings.
    Expansion {
        resolution: usize,
        channel_base: usize,
        n: usize,
        teacher: Teacher,
        phases: Phases,
        /// Which program of the peer's: `published` or `best`.
        peer: String,
    },
}

/// What new domains are learnt from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Teacher {
    /// CLIP.
    Clip,
    /// A diffusion model, whose translations are at hand.
    Diffusion,
    /// Pictures, and a discriminator that begins from the source's.
    Pictures,
}

/// Which phases a step of an expansion has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phases {
    /// New domains and replay alignment.
    Expand,
    /// The same, then both networks' adversarial phases: what twelve steps of sixteen do.
    Adversarial,
    /// The same, path length and R1: what one step of sixteen does. Three of them do the former without the latter.
    Regularised,
}

impl Phases {
    const ALL: [Self; 3] = [Self::Expand, Self::Adversarial, Self::Regularised];

    pub fn word(self) -> &'static str {
        match self {
            Self::Expand => "without adversarial phases",
            Self::Adversarial => "with them",
            Self::Regularised => "with them and both regularisers",
        }
    }
}

/// What of a work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// The result.
    Forward,
    /// The result and the gradients of all operands.
    Training,
    /// The result and the gradient of the pictures: the network is frozen.
    Pixels,
}

impl Pass {
    pub fn word(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Training => "training",
            Self::Pixels => "pixel gradient",
        }
    }
}

/// All rows, in the order in which they are printed.
pub fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    convolutions(&mut rows);
    products(&mut rows);
    networks(&mut rows);
    diffusion(&mut rows);
    inversion(&mut rows);
    expansions(&mut rows);
    rows
}

/// n, c_in, c_out, size, kernel, stride, padding.
type Shape = [usize; 7];

const PLAIN: &[(&str, Shape)] = &[
    ("3×3 n4 c512 16²", [4, 512, 512, 16, 3, 1, 1]),
    ("3×3 n4 c256 64²", [4, 256, 256, 64, 3, 1, 1]),
    ("3×3 n4 c64 64²", [4, 64, 64, 64, 3, 1, 1]),
    ("3×3 n4 c128 128²", [4, 128, 128, 128, 3, 1, 1]),
    ("3×3 n8 c512 4²", [8, 512, 512, 4, 3, 1, 1]),
    ("3×3 n8 c512 8²", [8, 512, 512, 8, 3, 1, 1]),
    ("3×3 s2 n4 c512 17²", [4, 512, 512, 17, 3, 2, 0]),
    ("3×3 s2 n4 c128 129²", [4, 128, 128, 129, 3, 2, 0]),
    ("1×1 n4 c512 16²", [4, 512, 512, 16, 1, 1, 0]),
    ("1×1 n4 c128 o256 64²", [4, 128, 256, 64, 1, 1, 0]),
    ("1×1 n4 c128 o3 128²", [4, 128, 3, 128, 1, 1, 0]),
    ("11×11 s4 n8 c3 o64 224²", [8, 3, 64, 224, 11, 4, 2]),
    ("5×5 n8 c64 o192 27²", [8, 64, 192, 27, 5, 1, 2]),
    ("3×3 n4 c3 o64 224²", [4, 3, 64, 224, 3, 1, 1]),
    ("3×3 n2 c64 224²", [2, 64, 64, 224, 3, 1, 1]),
    ("7×7 s2 n8 c3 o64 224²", [8, 3, 64, 224, 7, 2, 3]),
    ("16×16 s16 n8 c3 o768 224²", [8, 3, 768, 224, 16, 16, 0]),
    ("32×32 s32 n8 c3 o768 224²", [8, 3, 768, 224, 32, 32, 0]),
];

const TRANSPOSED: &[(&str, Shape)] = &[
    ("transposed 3×3 s2 n4 c512 8²", [4, 512, 512, 8, 3, 2, 0]),
    ("transposed 3×3 s2 n4 c256 32²", [4, 256, 256, 32, 3, 2, 0]),
    ("transposed 3×3 s2 n4 c64 32²", [4, 64, 64, 32, 3, 2, 0]),
    ("transposed 3×3 s2 n4 c128 64²", [4, 128, 128, 64, 3, 2, 0]),
];

fn convolutions(rows: &mut Vec<Row>) {
    let both = PLAIN
        .iter()
        .map(|row| (row, false))
        .chain(TRANSPOSED.iter().map(|row| (row, true)));
    for (&(name, [n, c_in, c_out, size, kernel, stride, padding]), transposed) in both {
        // Each pixel of the smaller side meets each weight once.
        let side = if transposed {
            size
        } else {
            (size + 2 * padding - kernel) / stride + 1
        };
        let forward = 2.0 * (n * c_in * c_out * kernel * kernel * side * side) as f64;
        for (pass, times) in [(Pass::Forward, 1.0), (Pass::Training, 3.0)] {
            rows.push(Row {
                name: format!("conv {name} {}", pass.word()),
                work: Work::Conv {
                    n,
                    c_in,
                    c_out,
                    size,
                    kernel,
                    stride,
                    padding,
                    transposed,
                    pass,
                },
                flops: times * forward,
                target: 1.0,
            });
        }
    }
}

fn products(rows: &mut Vec<Row>) {
    let mut product = |name: &str, [batch, m, n, k]: [usize; 4], [a, b]: [bool; 2]| {
        rows.push(Row {
            name: format!("matmul {name}"),
            work: Work::Matmul {
                batch,
                m,
                n,
                k,
                a_transposed: a,
                b_transposed: b,
            },
            flops: 2.0 * (batch * m * n * k) as f64,
            target: 2.0,
        });
    };
    let cube = [1, 1024, 1024, 1024];
    product("1024³", cube, [false, false]);
    product("1024³ a·bᵀ", cube, [false, true]);
    product("1024³ aᵀ·b", cube, [true, false]);
    product("1024³ aᵀ·bᵀ", cube, [true, true]);
    product("batch 8 of 400×768×768", [8, 400, 768, 768], [false, false]);
    product("batch 96 of 50×64×50", [96, 50, 50, 64], [false, true]);
    for (n, tokens, heads, causal, what) in [
        (8, 50, 12, false, "n8 t50 h12"),
        (8, 257, 16, false, "n8 t257 h16"),
        (8, 77, 8, true, "n8 t77 h8 causal"),
    ] {
        let forward = 4.0 * (n * heads * tokens * tokens * 64) as f64;
        for (pass, times) in [(Pass::Forward, 1.0), (Pass::Training, 3.0)] {
            rows.push(Row {
                name: format!("attention {what} {}", pass.word()),
                work: Work::Attention {
                    n,
                    tokens,
                    heads,
                    causal,
                    pass,
                },
                flops: times * forward,
                target: 1.0,
            });
        }
    }
}

fn networks(rows: &mut Vec<Row>) {
    for (resolution, channel_base, n) in [(64, 16384, 8), (256, 16384, 4), (1024, 32768, 1)] {
        for (peer, target) in [("published", 2.5), ("best", 1.3)] {
            rows.push(Row {
                name: format!("StyleGAN2 {resolution}² n{n} against {peer}"),
                work: Work::StyleGan2 {
                    resolution,
                    channel_base,
                    n,
                    peer: peer.into(),
                },
                flops: 0.0,
                target,
            });
        }
    }
    for (pass, target) in [(Pass::Forward, 1.0), (Pass::Pixels, 1.5)] {
        rows.push(Row {
            name: format!("CLIP ViT-B/32 n8 {}", pass.word()),
            work: Work::Clip { n: 8, pass },
            flops: 0.0,
            target,
        });
        for (backbone, size) in [("alex", 64), ("alex", 256), ("vgg", 64), ("vgg", 256)] {
            rows.push(Row {
                name: format!("LPIPS {backbone} {size}² n8 {}", pass.word()),
                work: Work::Lpips {
                    backbone: backbone.into(),
                    size,
                    n: 8,
                    pass,
                },
                flops: 0.0,
                target,
            });
        }
    }
    rows.push(Row {
        name: "Inception 256² n8 features".into(),
        work: Work::Inception { size: 256, n: 8 },
        flops: 0.0,
        target: 1.3,
    });
}

fn expansions(rows: &mut Vec<Row>) {
    // At 256² a step takes half a minute of processor time: without the third kind, which at 64² tells as much.
    for (resolution, kinds) in [(64, &Phases::ALL[..]), (256, &Phases::ALL[..2])] {
        for (&phases, peer) in kinds
            .iter()
            .flat_map(|phases| ["published", "best"].map(|peer| (phases, peer)))
        {
            rows.push(Row {
                name: format!(
                    "expansion step {resolution}² n4 {} against {peer}",
                    phases.word()
                ),
                work: Work::Expansion {
                    resolution,
                    channel_base: 16384,
                    n: 4,
                    teacher: Teacher::Clip,
                    phases,
                    peer: peer.into(),
                },
                flops: 0.0,
                target: 1.0,
            });
        }
    }
    for (teacher, by) in [
        (Teacher::Diffusion, "a diffusion model"),
        (Teacher::Pictures, "pictures"),
    ] {
        rows.push(Row {
            name: format!("expansion step 64² n4 by {by} against best"),
            work: Work::Expansion {
                resolution: 64,
                channel_base: 16384,
                n: 4,
                teacher,
                phases: Phases::Expand,
                peer: "best".into(),
            },
            flops: 0.0,
            target: 1.5,
        });
    }
}

fn diffusion(rows: &mut Vec<Row>) {
    let mut row = |name: String, work| {
        rows.push(Row {
            name,
            work,
            flops: 0.0,
            target: 1.5,
        });
    };
    for (size, n) in [(64, 4), (128, 2)] {
        for pass in [Pass::Forward, Pass::Training] {
            let name = format!("U-Net {size}² n{n} {}", pass.word());
            row(name, Work::UNet { size, n, pass });
        }
    }
    let (n, steps) = (8, 20);
    let name = format!("U-Net 64² n{n} sampling in {steps} steps");
    row(name, Work::Sampling { n, steps });
    let name = "U-Net 64² n2 expansion step through six steps".to_owned();
    row(name, Work::DiffaeExpansion { n: 2 });
}

fn inversion(rows: &mut Vec<Row>) {
    let (resolution, channel_base, n, steps) = (256, 16384, 1, 4);
    let mut row = |name: String, work| {
        rows.push(Row {
            name,
            work,
            flops: 0.0,
            target: 1.5,
        });
    };
    row(
        format!("inversion {resolution}² n{n} {steps} steps of the projector"),
        Work::Projector {
            resolution,
            channel_base,
            n,
            steps,
        },
    );
    row(
        format!("inversion {resolution}² n{n} {steps} steps of pivotal tuning"),
        Work::Tuning {
            resolution,
            channel_base,
            n,
            steps,
        },
    );
    row(
        "inversion 64² n16 by the encoder".to_owned(),
        Work::Encoder { n: 16 },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_rows_survive_the_journey() {
        let rows = all();
        for (i, row) in rows.iter().enumerate() {
            assert!(rows[..i].iter().all(|other| other.name != row.name));
            let text = serde_json::to_string(&row.work).unwrap();
            let back: Work = serde_json::from_str(&text).unwrap();
            assert_eq!(format!("{back:?}"), format!("{:?}", row.work));
        }
    }

    #[test]
    fn flops_of_a_known_row() {
        let row = &all()[0];
        assert_eq!(row.name, "conv 3×3 n4 c512 16² forward");
        assert_eq!(row.flops, 2.0 * 4.0 * 512.0 * 512.0 * 9.0 * 256.0);
    }
}
