//! Training a contrastive model.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use domex_checkpoint::container::Overwrite;
use domex_clip::{Clip, Overflow, Preprocess, Tokenizer, bundle, unit_length};
use domex_nada::Augment;
use domex_ops::upload;
use domex_random::{Stream, Streams};
use domex_train::{Clock, Job, JobResult, Losses, Measures, RunFolder, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::attack::Attack;
use super::calibrate::calibrate;
use super::config::ClipConfig;
use super::hard_negatives::HardNegatives;
use super::init;
use super::objective::{Losses as Parts, TextFeatures, Truth, losses};
use super::texts::Sentences;
use crate::feed::{Batch, Feed};
use crate::init::Tensors;
use crate::losses::{accuracy, one_hot};
use crate::scenes::Scenes;
use crate::trainer::Trainer;
use crate::{Error, Result};

/// Scenes whose statistics batch normalisation keeps.
const CALIBRATED: usize = 128;

/// A contrastive model in training. See [`super`].
pub struct ClipJob {
    config: ClipConfig,
    scenes: Arc<dyn Scenes>,
    sentences: Sentences,
    tokenizer: Tokenizer,
    trainer: Trainer,
    streams: Draws,
    hard_negatives: Option<HardNegatives>,
}

/// What a step's pictures are compared with, in words.
struct Texts {
    captions: Vec<String>,
    domains: Vec<String>,
    /// Question by question.
    answers: Vec<String>,
    /// How many each question has.
    counts: Vec<usize>,
}

/// Everything random.
#[derive(Serialize, Deserialize)]
struct Draws {
    scenes: Stream,
    words: Stream,
    attacks: Stream,
    views: Stream,
}

impl ClipJob {
    /// A new one.
    ///
    /// # Errors
    ///
    /// Settings out of range.
    pub fn new(config: ClipConfig, scenes: Arc<dyn Scenes>, device: &Device) -> Result<Self> {
        let mut tensors = init::init(&config.network, config.seed)?;
        let mut stream = Streams::new(config.seed).stream("clip calibration");
        let batch = config
            .feed
            .next(&*scenes, CALIBRATED, &mut stream, &Device::Cpu)?;
        calibrate(&mut tensors, &config.network, &batch.pixels)?;
        Self::from(tensors, config, scenes, device)
    }

    /// One that begins with a trained network, and with a new optimizer.
    ///
    /// # Errors
    ///
    /// Settings out of range, or tensors of another network.
    pub fn from(
        tensors: Tensors,
        config: ClipConfig,
        scenes: Arc<dyn Scenes>,
        device: &Device,
    ) -> Result<Self> {
        let tokenizer = Tokenizer::with_merges(&config.merges)?;
        let streams = Streams::new(config.seed);
        config.hard_negatives.validate()?;
        let job = Self {
            hard_negatives: None,
            trainer: Trainer::new(tensors, init::is_statistic, config.learning, device)?,
            sentences: Sentences::of(&*scenes),
            streams: Draws {
                scenes: streams.stream("clip scenes"),
                words: streams.stream("clip words"),
                attacks: streams.stream("clip attacks"),
                views: streams.stream("clip views"),
            },
            tokenizer,
            config,
            scenes,
        };
        job.clip()?;
        Ok(job)
    }

    /// The averaged network.
    ///
    /// # Errors
    ///
    /// Tensors of another network.
    pub fn clip(&self) -> Result<Clip> {
        Ok(Clip::new(&self.trainer.averaged(), &self.config.network)?)
    }

    fn ids(&self, texts: &[String]) -> Result<Tensor> {
        let context = self.config.network.text.context_length;
        Ok(self
            .tokenizer
            .tokenize(texts, context, Overflow::Truncate, self.trainer.device())?)
    }

    /// Captions of a batch, sentences for domains and answers, and what is true of which scenes.
    fn texts(&mut self, batch: &Batch) -> Result<(Texts, Truth)> {
        let words: Vec<u64> = batch
            .plan
            .iter()
            .map(|_| self.streams.words.next_u64())
            .collect();
        let caption = |(&(domain, seed), &words): (&(usize, u64), &u64)| {
            self.scenes.caption(domain, seed, words)
        };
        let captions: Vec<String> = batch.plan.iter().zip(&words).map(caption).collect();
        let n = captions.len();
        let mut truth = vec![0f32; n * n];
        for (row, &scene) in batch.plan.iter().enumerate() {
            for column in 0..n {
                let holds = row == column
                    || self
                        .scenes
                        .holds(&captions[column], batch.plan[column], scene);
                truth[row * n + column] = f32::from(u8::from(holds));
            }
        }
        let device = self.trainer.device();
        let domains = self.sentences.draw(&mut self.streams.words)?;
        let (answers, counts) = self.sentences.answers(&mut self.streams.words)?;
        let truth = Truth {
            captions: upload(&Tensor::from_vec(truth, (n, n), &Device::Cpu)?, device)?,
            domains: one_hot(&batch.domains(), self.scenes.domains(), device)?,
            answers: self.answers(batch, &counts)?,
        };
        let texts = Texts {
            captions,
            domains,
            answers,
            counts,
        };
        Ok((texts, truth))
    }

    /// For each question the right answers `[n, k]`.
    fn answers(&self, batch: &Batch, counts: &[usize]) -> Result<Vec<Tensor>> {
        let of = |(question, &count): (usize, &usize)| {
            let mut truth = vec![0f32; batch.plan.len() * count];
            for (row, &(domain, seed)) in batch.plan.iter().enumerate() {
                if let Some(right) = self.scenes.answer(question, domain, seed) {
                    truth[row * count + right] = 1.0;
                }
            }
            let dims = (batch.plan.len(), count);
            let truth = Tensor::from_vec(truth, dims, &Device::Cpu)?;
            Ok(upload(&truth, self.trainer.device())?)
        };
        counts.iter().enumerate().map(of).collect()
    }

    fn text_features(&self, clip: &Clip, texts: &Texts) -> Result<TextFeatures> {
        // Apart, because a batch is as long as its longest text, and sentences are short.
        let sentences = [texts.domains.as_slice(), &texts.answers].concat();
        let sentences = clip.encode_text(&self.ids(&sentences)?)?;
        let mut at = texts.domains.len();
        let domains = sentences.narrow(0, 0, at)?;
        let mut answers = Vec::with_capacity(texts.counts.len());
        for &count in &texts.counts {
            answers.push(sentences.narrow(0, at, count)?);
            at += count;
        }
        Ok(TextFeatures {
            captions: clip.encode_text(&self.ids(&texts.captions)?)?,
            domains,
            answers,
            scale: clip.logit_scale().clone(),
        })
    }

    /// How far each picture may be moved at this time.
    fn radii(&mut self, at: &Clock) -> Vec<f32> {
        let robust = &self.config.robust;
        let growth = robust.growth * self.config.learning.images as f64;
        let largest = robust.radius * (at.images as f64 / growth.max(1.0)).min(1.0);
        let attacks = &mut self.streams.attacks;
        let draw = |_| (largest * attacks.uniform_f64().sqrt()) as f32;
        (0..self.config.learning.batch).map(draw).collect()
    }

    fn descend(&mut self, at: &Clock) -> Result<Losses> {
        let (n, device) = (self.config.learning.batch, self.trainer.device().clone());
        let batch = self
            .config
            .feed
            .next(&*self.scenes, n, &mut self.streams.scenes, &device)?;
        let (words, truth) = self.texts(&batch)?;
        let (radii, domains) = (self.radii(at), batch.domains());
        let (steps, attacks) = (self.config.robust.steps, &mut self.streams.attacks);
        let mut attack = Attack::start(&batch.pixels, &radii, steps, attacks)?;
        self.start_hard_negatives(at)?;
        let mut report = Losses::default();
        for climbed in 0..=steps {
            let clip = Clip::trainable(&self.trainer.trainable(), &self.config.network)?;
            let texts = self.text_features(&clip, &words)?;
            let shown = self
                .hard_negatives
                .as_mut()
                .map(HardNegatives::show)
                .transpose()?;
            let pictures = match &shown {
                Some(shown) => {
                    Var::from_tensor(&Tensor::cat(&[&attack.at()?, &shown.pictures], 0)?)?
                }
                None => attack.at()?,
            };
            let images = features(&clip, &self.view(&pictures)?)?;
            let scenes = images.narrow(0, 0, n)?;
            let parts = losses(&scenes, &texts, &truth)?;
            let mut loss = self.weighed(&parts)?;
            if let (Some(negatives), Some(shown)) = (&self.hard_negatives, &shown) {
                let rest = images.narrow(0, n, images.dim(0)? - n)?;
                let (mistaken, taken) = negatives.loss(shown, &rest, &texts)?;
                loss = (loss + (mistaken * self.config.hard_negatives.weight)?)?;
                report.put("taken/hard_negatives", taken);
            }
            if climbed == steps {
                self.describe(&mut report, &parts, &texts, &scenes.detach(), &domains)?;
            }
            let (step, gradient) = self.trainer.descend_beside(&loss, at, &pictures)?;
            report.applied(step);
            let Some(gradient) = gradient else { break };
            attack.climb(&gradient.narrow(0, 0, n)?)?;
            if let Some(negatives) = &mut self.hard_negatives {
                let rest = gradient.narrow(0, n, self.config.hard_negatives.pictures)?;
                negatives.climb(&rest, &self.config.feed, &*self.scenes)?;
            }
        }
        self.trainer.move_average(at)?;
        Ok(report)
    }

    /// The loss of scenes.
    fn weighed(&self, parts: &Parts) -> Result<Tensor> {
        let loss = ((&parts.captions * self.config.captions)? + &parts.domains)?;
        Ok(match &parts.answers {
            Some(answers) => (loss + (answers * self.config.questions)?)?,
            None => loss,
        })
    }

    fn start_hard_negatives(&mut self, at: &Clock) -> Result<()> {
        let how = self.config.hard_negatives;
        let begins = how.after * self.config.learning.images as f64;
        if self.hard_negatives.is_none() && how.pictures > 0 && at.images as f64 >= begins {
            // The word names the numbers that are drawn: another one would draw others.
            let stream = Streams::new(self.config.seed).stream("clip forgeries");
            let (feed, device) = (&self.config.feed, self.trainer.device());
            let negatives = HardNegatives::start(how, feed, &*self.scenes, stream, device)?;
            self.hard_negatives = Some(negatives);
        }
        Ok(())
    }

    /// All under views of one strength of noise, which therefore tells none from another.
    fn view(&mut self, pictures: &Tensor) -> Result<Tensor> {
        let (n, _, h, w) = pictures.dims4()?;
        let stream = &mut self.streams.views;
        let views = self.config.views;
        let views = Augment {
            noise: views.noise * stream.uniform_f64(),
            ..views
        };
        Ok(views.draw(stream, [n, h, w])?.apply(pictures)?)
    }

    /// What the last place of an attack shows.
    fn describe(
        &self,
        report: &mut Losses,
        parts: &Parts,
        texts: &TextFeatures,
        images: &Tensor,
        domains: &[u32],
    ) -> Result<()> {
        let number = |x: &Tensor| Ok::<_, Error>(f64::from(x.to_scalar::<f32>()?));
        report.put("loss/captions", number(&parts.captions)?);
        report.put("loss/domains", number(&parts.domains)?);
        if let Some(answers) = &parts.answers {
            report.put("loss/answers", number(answers)?);
        }
        let right = accuracy(&texts.domain_logits(images)?.detach(), domains)?;
        report.put("right/attacked", right);
        report.put("scale", number(&texts.scale)?);
        Ok(())
    }

    /// The share of fresh scenes whose domain's sentence is the nearest, over all domains evenly.
    fn retrieval(&self) -> Result<f64> {
        let clip = self.clip()?;
        let plain: Vec<String> = self.sentences.plain(1).into_iter().flatten().collect();
        let texts = clip.encode_text(&self.ids(&plain)?)?;
        let mut stream = Streams::new(self.config.seed).stream("clip measurement");
        let feed = Feed {
            jitter: crate::jitter::Jitter::NONE,
            ..self.config.feed
        };
        let mut right = 0.0;
        for domain in 0..self.scenes.domains() {
            let n = self.config.measured.max(1);
            let batch =
                feed.of_domain(&*self.scenes, domain, n, &mut stream, self.trainer.device())?;
            let logits = clip.logits(&features(&clip, &batch.pixels)?, &texts)?;
            right += accuracy(&logits, &batch.domains())?;
        }
        Ok(right / self.scenes.domains().max(1) as f64)
    }
}

/// Unit features of pictures in `[-1, 1]` of any size, brought to the encoder's size as a guide would.
fn features(clip: &Clip, pictures: &Tensor) -> Result<Tensor> {
    let pixels = Preprocess::new(clip.image_size()).apply(pictures)?;
    Ok(unit_length(&clip.image_features(&pixels)?)?)
}

impl Job for ClipJob {
    fn batch(&self) -> usize {
        self.config.learning.batch
    }

    fn step(&mut self, at: &Clock) -> JobResult<Losses> {
        Ok(self.descend(at)?)
    }

    fn save(&self, state: &mut State) -> JobResult<()> {
        state.put("draws", &self.streams)?;
        if let Some(negatives) = &self.hard_negatives {
            negatives.save(state)?;
        }
        Ok(self.trainer.save(state)?)
    }

    fn restore(&mut self, state: &State) -> JobResult<()> {
        self.streams = state.get("draws")?;
        self.hard_negatives =
            HardNegatives::restore(self.config.hard_negatives, state, self.trainer.device())?;
        Ok(self.trainer.restore(state)?)
    }

    fn tick(&mut self, _: &Clock, _: &RunFolder) -> JobResult<Measures> {
        let right = self.retrieval()?;
        Ok(Measures {
            values: vec![("right/domain".into(), right)],
            // Robustness is bought with retrieval: the best network is not the one that retrieves best.
            score: None,
        })
    }

    fn export(&self, at: &Clock, path: &Path) -> JobResult<()> {
        let provenance = json!({ "settings": self.config, "images": at.images });
        let half = self.trainer.averaged_tensors().into_iter();
        let half = half.map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F16)?)));
        let half = half.collect::<candle_core::Result<Tensors>>()?;
        let writer = bundle::writer(
            &half,
            &self.config.network,
            &self.config.merges,
            &provenance,
        )?;
        Ok(writer.write(path, Overwrite::Replace)?)
    }
}
