//! From seeds to latents to pictures, as several verbs need it.

use candle_core::{DType, Tensor};
use domex_data::picture;
use domex_error::user_error;
use domex_random::{RandomState, Stream, Streams};
use domex_stylegan2::{Generator, Noise, NoiseMode, Precision, Truncation};
use domex_train::memory::{self, Held};
use image::RgbImage;

use crate::args::{self, SynthesisArgs};
use crate::context::Context;
use crate::diffae;
use crate::interrupt::Interrupt;
use crate::kinds::Model;
use crate::stylegan3;

/// How a generator of one kind makes pictures.
pub trait Paint {
    /// Truncated latents `[n, rows, D]` of seeds.
    fn latents(&mut self, seeds: &[u32]) -> domex_error::Result<Tensor>;

    /// Pictures `[n, c, h, w]` of latents `[n, rows, D]`. `first` is the place of the first of them among all that
    /// are painted: where a seed decides more than the latent, latents come in the order of the seeds, once or
    /// several times.
    fn paint(&mut self, ws: &Tensor, first: usize) -> domex_error::Result<Tensor>;

    /// Pictures of the first latents inside a region `[1, 1, h, w]` and of the others outside.
    fn paint_within(
        &mut self,
        inside: &Tensor,
        outside: &Tensor,
        region: &Tensor,
    ) -> domex_error::Result<Tensor> {
        let _ = (inside, outside, region);
        Err(user_error(
            "a region: this kind of generator has no layers to blend",
        ))
    }

    /// How many of so many pictures go through the network at once.
    fn at_once(&self, pictures: usize) -> usize {
        pictures
    }

    /// What of the seeds that [`latents`](Self::latents) was last asked for their latents leave out, `[n, c, h, w]`; nothing of a
    /// generator whose latents say all.
    fn noises(&self) -> Option<Tensor> {
        None
    }

    /// Has the next pictures painted with these noises.
    fn set_noises(&mut self, _: Option<Tensor>) {}

    /// Whether the next pictures may be smaller or coarser, to be there sooner.
    fn set_draft(&mut self, draft: bool);
}

/// Pictures of more pixels on a side have drafts of this size.
pub const DRAFT_SIDE: usize = 128;

/// A generator with the flags that say how it is used, checked against each other.
pub struct Painter<'a> {
    network: Box<dyn Paint + 'a>,
    generator: &'a dyn domex_latent::Generator,
    /// Of what a network computes with: float32, but where float16 is asked for.
    dtype: DType,
    batch: usize,
    interrupt: Interrupt,
}

impl<'a> Painter<'a> {
    /// Checks the flags against the network, before any work.
    pub fn new(
        context: &Context,
        model: &'a Model,
        args: &SynthesisArgs,
    ) -> domex_error::Result<Self> {
        if !args.trunc.is_finite() {
            return Err(user_error(format!(
                "--trunc {}: give a finite number, usually 0.5 to 1",
                args.trunc
            )));
        }
        Ok(Self {
            network: match model {
                Model::StyleGan2(model) => {
                    Box::new(StyleGan2::new(context, model.generator(), args)?)
                }
                Model::StyleGan3(model) => {
                    Box::new(stylegan3::Painter::new(model.generator(), args)?)
                }
                Model::DiffAe(model) => Box::new(diffae::Painter::new(model, args)?),
            },
            generator: model.generator(),
            dtype: match args.precision {
                args::Precision::Float16 => DType::F16,
                args::Precision::Auto | args::Precision::Float32 => DType::F32,
            },
            batch: args.batch.into(),
            interrupt: Interrupt::watch()?,
        })
    }

    /// Truncated latents `[n, rows, D]` of seeds.
    pub fn latents(&mut self, seeds: &[u32]) -> domex_error::Result<Tensor> {
        self.network.latents(seeds)
    }

    /// Pictures of latents `[n, rows, D]`, a batch at a time, each handed to `done` in order. They are those of the
    /// seeds that [`latents`](Self::latents) was last asked for, in that order, once or several times.
    pub fn paint(
        &mut self,
        ws: &Tensor,
        done: impl FnMut(usize, RgbImage) -> domex_error::Result<()>,
    ) -> domex_error::Result<()> {
        self.paint_where(ws, None, done)
    }

    /// The same inside a region `[1, 1, h, w]`, and outside it pictures of other latents.
    pub fn paint_where(
        &mut self,
        ws: &Tensor,
        outside: Option<(&Tensor, &Tensor)>,
        mut done: impl FnMut(usize, RgbImage) -> domex_error::Result<()>,
    ) -> domex_error::Result<()> {
        let count = ws.dim(0)?;
        let most = self.network.at_once(count.min(self.batch));
        check_batch(self.generator, self.dtype, most)?;
        for start in (0..count).step_by(self.batch) {
            let size = self.batch.min(count - start);
            let part = ws.narrow(0, start, size)?;
            let tensor = match outside {
                None => self.network.paint(&part, start)?,
                Some((region, outside)) => {
                    let outside = outside.narrow(0, start, size)?;
                    self.network.paint_within(&part, &outside, region)?
                }
            };
            // Eight bits would show black in their place.
            let spread = (&tensor * 0.0)?.sum_all()?.to_dtype(DType::F32)?;
            if spread.to_scalar::<f32>()? != 0.0 {
                return Err(user_error(
                    "a picture holds numbers that are not finite: its latent is too far out (--trunc, strengths, --distance), or the \
                     model's file is damaged",
                ));
            }
            for (offset, picture) in picture::to_rgb(&tensor)?.into_iter().enumerate() {
                done(start + offset, picture)?;
                self.interrupt.check()?;
            }
        }
        Ok(())
    }

    /// The network alone, for who looks after its noises and drafts.
    pub fn network(&mut self) -> &mut (dyn Paint + 'a) {
        &mut *self.network
    }

    /// All pictures of the latents.
    pub fn paint_all(
        &mut self,
        context: &Context,
        ws: &Tensor,
    ) -> domex_error::Result<Vec<RgbImage>> {
        let progress = context.progress("pictures", ws.dim(0)?);
        let mut pictures = Vec::new();
        self.paint(ws, |_, picture| {
            progress.advance(1);
            pictures.push(picture);
            Ok(())
        })?;
        Ok(pictures)
    }
}

/// Refuses so many pictures at once if they certainly do not fit into the machine's memory.
pub fn check_batch(
    generator: &dyn domex_latent::Generator,
    dtype: DType,
    pictures: usize,
) -> domex_error::Result<()> {
    let sizes = [pictures, generator.widest()];
    Ok(memory::check(Held::of(
        generator.device(),
        dtype,
        sizes,
        "--batch",
    ))?)
}

struct StyleGan2 {
    generator: Generator,
    mode: NoiseMode,
    truncation: Truncation,
    label: Option<Tensor>, // [1, c_dim]
    stream: Stream,
    draft: bool,
}

impl StyleGan2 {
    fn new(
        context: &Context,
        generator: &Generator,
        args: &SynthesisArgs,
    ) -> domex_error::Result<Self> {
        Ok(Self {
            truncation: truncation(generator, args)?,
            label: label(generator, args.class)?,
            generator: with_precision(generator, args.precision)?,
            mode: match args.noise_mode {
                args::Noise::Const => NoiseMode::Const,
                args::Noise::Random => NoiseMode::Random,
                args::Noise::None => NoiseMode::None,
            },
            stream: Streams::new(context.seed).stream("noise"),
            draft: false,
        })
    }
}

impl Paint for StyleGan2 {
    /// Fresh maps are drawn picture by picture: how many are computed at once does not change them.
    fn at_once(&self, pictures: usize) -> usize {
        match self.mode {
            NoiseMode::Random => 1,
            NoiseMode::Const | NoiseMode::None => pictures.max(1),
        }
    }

    /// Of NumPy seeds: `RandomState(seed).randn(1, z_dim)`.
    fn latents(&mut self, seeds: &[u32]) -> domex_error::Result<Tensor> {
        let z = noise_of(&self.generator, seeds)?;
        let label = repeated(self.label.as_ref(), seeds.len())?;
        Ok(self
            .generator
            .latents(&z, label.as_ref(), self.truncation)?)
    }

    fn paint(&mut self, ws: &Tensor, _: usize) -> domex_error::Result<Tensor> {
        let synthesis = self.generator.synthesis();
        let count = ws.dim(0)?;
        let size = self.at_once(count);
        let mut parts = Vec::new();
        for start in (0..count).step_by(size) {
            let part = ws.narrow(0, start, size)?;
            let noise = Noise::new(self.mode, &mut self.stream);
            parts.push(match self.draft {
                true => synthesis.forward_to(&part, DRAFT_SIDE, noise)?,
                false => synthesis.forward(&part, noise)?,
            });
        }
        Ok(Tensor::cat(&parts, 0)?)
    }

    fn paint_within(
        &mut self,
        inside: &Tensor,
        outside: &Tensor,
        region: &Tensor,
    ) -> domex_error::Result<Tensor> {
        let noise = Noise::new(self.mode, &mut self.stream);
        let synthesis = self.generator.synthesis();
        Ok(synthesis.forward_within(inside, outside, region, noise)?)
    }

    fn set_draft(&mut self, draft: bool) {
        self.draft = draft;
    }
}

/// The generator, on the same memory, with this number type in its highest resolutions.
fn with_precision(
    generator: &Generator,
    wanted: args::Precision,
) -> domex_error::Result<Generator> {
    let marked = generator.config().synthesis.num_fp16_res;
    if wanted == args::Precision::Float16 && marked == 0 {
        return Err(user_error(
            "--precision float16: the model's file marks no resolution for it; leave the flag out",
        ));
    }
    let mut generator = generator.clone();
    generator.synthesis_mut().set_precision(match wanted {
        args::Precision::Auto => Precision::Auto,
        args::Precision::Float32 => Precision::Full,
        args::Precision::Float16 => Precision::Half,
    });
    Ok(generator)
}

/// How latents of a StyleGAN are truncated, after the checks that its kinds share.
pub fn truncation(
    generator: &dyn domex_latent::Generator,
    args: &SynthesisArgs,
) -> domex_error::Result<Truncation> {
    let (rows, channels) = (generator.layers(), generator.channels());
    if let Some(steps) = args.sampling_steps {
        return Err(user_error(format!(
            "--sampling-steps {steps}: a StyleGAN makes a picture in one; leave the flag out"
        )));
    }
    if let Some(cutoff) = args.trunc_cutoff.filter(|&cutoff| cutoff > rows) {
        return Err(user_error(format!(
            "--trunc-cutoff {cutoff}: the network has {rows} rows; allowed: 0 to {rows}"
        )));
    }
    if channels != 3 && channels != 1 {
        return Err(user_error(format!(
            "the network makes pictures of {channels} channels; only 1 and 3 can be written"
        )));
    }
    Ok(Truncation {
        psi: args.trunc,
        cutoff: args.trunc_cutoff,
    })
}

/// The noise `[n, z_dim]` that seeds mean to the published programs: `RandomState(seed).randn(1, z_dim)`.
pub fn noise_of(
    generator: &dyn domex_latent::Generator,
    seeds: &[u32],
) -> domex_error::Result<Tensor> {
    let z_dim = generator.noise_dim();
    let values = seeds
        .iter()
        .flat_map(|&seed| RandomState::new(seed).randn(z_dim));
    let values: Vec<f32> = values.map(|value| value as f32).collect();
    let z = Tensor::from_vec(values, (seeds.len(), z_dim), generator.device())?;
    Ok(z.to_dtype(generator.dtype())?)
}

/// A label `[1, c_dim]` for each of `n` samples.
pub fn repeated(label: Option<&Tensor>, n: usize) -> domex_error::Result<Option<Tensor>> {
    let label = label.map(|label| label.broadcast_as((n, label.dim(1)?))?.contiguous());
    Ok(label.transpose()?)
}

/// The one-hot label `[1, c_dim]`, or an error that says which flag is missing or too much.
pub fn label(
    generator: &dyn domex_latent::Generator,
    class: Option<usize>,
) -> domex_error::Result<Option<Tensor>> {
    let classes = generator.label_dim();
    check_class(class, classes)?;
    let Some(class) = class else {
        return match classes {
            0 => Ok(None),
            _ => Err(user_error(format!(
                "the network is class-conditional: give --class, 0 to {}",
                classes - 1
            ))),
        };
    };
    let mut one_hot = vec![0f32; classes];
    one_hot[class] = 1.0;
    let label = Tensor::from_vec(one_hot, (1, classes), generator.device())?;
    Ok(Some(label.to_dtype(generator.dtype())?))
}

/// Refuses a class that a network of so many classes does not have.
pub fn check_class(class: Option<usize>, classes: usize) -> domex_error::Result<()> {
    match class {
        Some(class) if classes == 0 => Err(user_error(format!(
            "--class {class}: the network has no classes; leave the flag out"
        ))),
        Some(class) if class >= classes => Err(user_error(format!(
            "--class {class}: the network has {classes} classes; allowed: 0 to {}",
            classes - 1
        ))),
        _ => Ok(()),
    }
}
