//! Is it the person? By the judge on samples, and by how near the person's space comes to pictures that nothing saw.

use std::{collections::BTreeMap, fmt};

use candle_core::{DType, Device, Tensor};
use domex_data::{grid::Grid, picture};
use domex_error::Result;
use domex_invert::{Config, Likeness, Place, Projector as Search};
use domex_latent::{Generator as _, subspace::Subspaces};
use domex_mystyle::{
    Anchors, Degradation,
    alpha::{AlphaSpace, Regularization},
    hull::{self, ANCHORS_PER_POINT},
    project::{ProjectionConfig, Projector},
};
use domex_random::Streams;
use domex_replay::Perceptual;
use domex_stylegan2::{Generator, Model, mapping::broadcast};
use image::RgbImage;
use serde::Serialize;

use super::{Given, ON_TOP, Person};

/// What a person keeps on every occasion, of the factors that the judge names.
const IDENTITY: [&str; 9] = [
    "age",
    "beard",
    "eye colour",
    "face width",
    "glasses",
    "hair colour",
    "hair style",
    "hat",
    "skin",
];

/// Rows of W+ of the published regularisation's generator, of which it holds back two thirds.
const HELD: (usize, usize) = (12, 18);

/// Pictures that are made at once.
const BATCH: usize = 10;

/// Pictures of each kind in a row of the grid.
pub const SHOWN: usize = 3;

/// How far coordinates can move in a search: as in the published 1000 steps of 0.005.
const TRAVEL: f64 = 5.0;

/// How far along a direction a domain lies for all of it.
const WHOLE: f64 = 1.0;

/// All figures.
#[derive(Debug, Serialize)]
pub struct Found {
    samples: usize,
    people: Vec<Row>,
    /// Mean distance of the base's pictures from the source's of the same latents, by the judge's features.
    base: f64,
    /// The same of source pictures of two latents.
    apart: f64,
}

/// A person's figures. Identity: the share of the judge's answers, over all factors that a person keeps, that are its most frequent
/// answer on the person's taught pictures.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// Identity of the person's other pictures: the ceiling.
    true_pictures: f64,
    samples: f64,
    /// Identity of the source's own samples: what chance gives.
    anybody: f64,
    /// Of held-out pictures and what is found of them between the anchors.
    between: Errors,
    /// And of what is found anywhere, by the encoder and a short search.
    anywhere: Errors,
    /// Of the samples moved along another domain too: how often the judge sees that, and what of the identity is kept.
    on_top: BTreeMap<String, (f64, f64)>,
}

/// Mean distances of pictures from what the source finds of them, and from what the expanded model finds on the person's subspace.
#[derive(Debug, Serialize)]
struct Errors {
    source: Error,
    person: Error,
}

/// How far pictures are from what was found of them.
#[derive(Debug, Serialize)]
struct Error {
    /// By the perceptual network, which trained.
    perceptual: f64,
    /// By the judge's features.
    judge: f64,
    /// The share of the judge's answers, over all that a person keeps, that are not the person's.
    identity: f64,
}

impl Given<'_> {
    /// The figures, and a row of pictures for each person.
    pub fn measure(&self, model: &Model, people: &[Person]) -> Result<(Found, RgbImage)> {
        let streams = Streams::new(self.args.seed);
        let mut stream = streams.stream("anybody");
        let n = self.args.samples;
        let z: Vec<f32> = (0..n * self.source.config().mapping.z_dim)
            .map(|_| stream.normal_f32())
            .collect();
        let z = Tensor::from_vec(z, (n, ()), &Device::Cpu)?;
        let w = self.source.generator().mapping().forward(Some(&z), None)?;
        let own = Own::of(model, &self.source.generator().dtype())?;
        let anybody = pictures(self.source.generator(), &w)?;
        let base = pictures(model.generator(), &own.base(&w)?)?;
        let (mut rows, mut cells) = (Vec::new(), Vec::new());
        for person in people {
            let (row, shown) = self.person(&own, model, person, &anybody, &streams)?;
            rows.push(row);
            cells.extend(shown);
        }
        let columns = [
            "given",
            "sampled",
            "zombie",
            "sketch",
            "held out",
            "by the source",
            "by the person",
        ];
        let labels = columns
            .iter()
            .flat_map(|&label| (0..SHOWN).map(move |i| if i == 0 { label } else { "" }));
        let grid = Grid::new(columns.len() * SHOWN)
            .column_labels(labels)
            .row_labels(people.iter().map(|person| person.name.clone()));
        let rolled = Tensor::cat(&[anybody.narrow(0, 1, n - 1)?, anybody.narrow(0, 0, 1)?], 0)?;
        let found = Found {
            samples: n,
            people: rows,
            base: mean(&self.judge.distance(&base, &anybody)?)?,
            apart: mean(&self.judge.distance(&rolled, &anybody)?)?,
        };
        Ok((found, grid.draw(&cells)?))
    }

    fn person(
        &self,
        own: &Own<'_>,
        model: &Model,
        person: &Person,
        anybody: &Tensor,
        streams: &Streams,
    ) -> Result<(Row, Vec<RgbImage>)> {
        let given = rgb(&person.taught)?;
        let held_out = rgb(&person.held_out)?;
        let anchors = person.anchors(self.source.config().mapping.w_dim)?;
        let moved = own.moved(&anchors, &[&person.name])?;
        let mut stream = streams.stream(&person.name);
        let n = self.args.samples;
        let points = hull::sample(&Anchors::new(&moved)?, n, ANCHORS_PER_POINT, &mut stream)?;
        let samples = pictures(model.generator(), &points)?;
        let who = self.most_frequent(&given)?;
        let mut cells = vec![given.narrow(0, 0, SHOWN)?, samples.narrow(0, 0, SHOWN)?];
        let mut on_top = BTreeMap::new();
        for domain in ON_TOP {
            let both = own.moved(&points, &[&person.name, domain.name()])?;
            let both = pictures(model.generator(), &both)?;
            let seen = self.seen(&both, domain.name())?;
            on_top.insert(
                domain.name().to_owned(),
                (seen, self.identity(&who, &both)?),
            );
            cells.push(both.narrow(0, 0, SHOWN)?);
        }
        let between = [
            self.between(self.source.generator(), &anchors, &held_out)?,
            self.between(model.generator(), &moved, &held_out)?,
        ];
        let anywhere = [
            self.anywhere(self.source.generator(), None, &held_out)?,
            self.anywhere(
                model.generator(),
                Some(&own.place(&person.name)?),
                &held_out,
            )?,
        ];
        for part in [&held_out, &anywhere[0], &anywhere[1]] {
            cells.push(part.narrow(0, 0, SHOWN)?);
        }
        let row = Row {
            name: person.name.clone(),
            true_pictures: self.identity(&who, &held_out)?,
            samples: self.identity(&who, &samples)?,
            anybody: self.identity(&who, anybody)?,
            between: self.errors(&between, &held_out, &who)?,
            anywhere: self.errors(&anywhere, &held_out, &who)?,
            on_top,
        };
        Ok((row, picture::to_rgb(&Tensor::cat(&cells, 0)?)?))
    }

    /// Pictures of what comes nearest to `wanted` between the anchors `[n, D]`.
    fn between(&self, generator: &Generator, anchors: &Tensor, wanted: &Tensor) -> Result<Tensor> {
        let rows = generator.config().num_ws();
        let space = AlphaSpace::new(&Anchors::new(anchors)?, rows, Some(0.02))?;
        let synthesize = |w: &Tensor| generator.synthesize(w);
        let distance = Perceptual::load(
            &self.args.assets.join("perceptual.safetensors"),
            &Device::Cpu,
        )?;
        let projector = Projector {
            space: &space,
            synthesize: &synthesize,
            distance: &distance,
            degradation: &Degradation::None,
            config: ProjectionConfig {
                steps: self.args.search,
                lr: TRAVEL / self.args.search as f64,
                regularization: Regularization {
                    layers: rows * HELD.0 / HELD.1,
                    ..Regularization::default()
                },
                ..ProjectionConfig::default()
            },
        };
        let found = projector.project(wanted, &mut |_, _| std::ops::ControlFlow::Continue(()))?;
        Ok(generator
            .synthesize(&found.latents)?
            .detach()
            .clamp(-1.0, 1.0)?)
    }

    /// Pictures of what comes nearest to `wanted` from where the encoder sees it.
    fn anywhere(
        &self,
        generator: &Generator,
        place: Option<&Place>,
        wanted: &Tensor,
    ) -> Result<Tensor> {
        let search = Search {
            generator: generator.into(),
            perceptual: self.perceptual,
            place,
            config: Config::near(),
        };
        let near = self.encoder.encode(wanted)?;
        let streams = Streams::new(self.args.seed);
        let found = search.invert_from(wanted, &near, &streams, &mut |_, _| {})?;
        Ok(found.pictures.clamp(-1.0, 1.0)?)
    }

    fn errors(&self, by: &[Tensor; 2], wanted: &Tensor, who: &[u32]) -> Result<Errors> {
        let [source, person] = by;
        Ok(Errors {
            source: self.error(source, wanted, who)?,
            person: self.error(person, wanted, who)?,
        })
    }

    fn error(&self, made: &Tensor, wanted: &Tensor, who: &[u32]) -> Result<Error> {
        let all = Likeness::between(self.perceptual, made, wanted)?.distance;
        Ok(Error {
            perceptual: all.iter().sum::<f64>() / all.len().max(1) as f64,
            judge: mean(&self.judge.distance(made, wanted)?)?,
            identity: 1.0 - self.identity(who, made)?,
        })
    }

    /// The judge's answers of a factor, for each picture.
    fn answers(&self, pictures: &Tensor, factor: &str) -> Result<Vec<u32>> {
        let factors = &self.judge.config().factors;
        let at = factors.iter().position(|known| known.name == factor);
        let at = at.ok_or_else(|| {
            domex_error::user_error(format!(
                "the judge does not tell {factor}; another judge is in the folder of assets"
            ))
        })?;
        Ok(self.judge.forward(pictures)?[at].argmax(1)?.to_vec1()?)
    }

    /// For each factor of [`IDENTITY`] the answer that the judge gives most.
    fn most_frequent(&self, pictures: &Tensor) -> Result<Vec<u32>> {
        let most = |factor: &&str| -> Result<u32> {
            let mut counts = BTreeMap::<u32, usize>::new();
            for answer in self.answers(pictures, factor)? {
                *counts.entry(answer).or_default() += 1;
            }
            let most = counts.into_iter().max_by_key(|&(_, count)| count);
            Ok(most.map_or(0, |(answer, _)| answer))
        };
        IDENTITY.iter().map(most).collect()
    }

    /// The share of the judge's answers that are these.
    fn identity(&self, who: &[u32], pictures: &Tensor) -> Result<f64> {
        let (mut same, mut all) = (0, 0);
        for (factor, who) in IDENTITY.iter().zip(who) {
            let answers = self.answers(pictures, factor)?;
            same += answers.iter().filter(|answer| *answer == who).count();
            all += answers.len();
        }
        Ok(same as f64 / all.max(1) as f64)
    }

    /// How often the judge names this domain.
    fn seen(&self, pictures: &Tensor, domain: &str) -> Result<f64> {
        let classes = &self.judge.config().factors[0].classes;
        let wanted = classes.iter().position(|class| class == domain);
        let answers = self.answers(pictures, "domain")?;
        let seen = answers
            .iter()
            .filter(|&&answer| Some(answer as usize) == wanted);
        Ok(seen.count() as f64 / answers.len().max(1) as f64)
    }
}

/// An expanded model's subspaces.
struct Own<'a> {
    model: &'a Model,
    subspaces: Subspaces,
    mean: Tensor,
}

impl<'a> Own<'a> {
    fn of(model: &'a Model, dtype: &DType) -> Result<Self> {
        let expansion = model
            .expansion()
            .ok_or_else(|| domex_error::user_error("the run's model has no domains"))?;
        Ok(Self {
            model,
            subspaces: expansion
                .layout
                .subspaces(&expansion.basis, &Device::Cpu, *dtype)?,
            mean: expansion.mean.to_dtype(*dtype)?,
        })
    }

    fn base(&self, w: &Tensor) -> Result<Tensor> {
        Ok(self.subspaces.project(w, Some(&self.mean))?)
    }

    /// A person's subspace.
    fn place(&self, name: &str) -> Result<Place> {
        let layout = self.model.expansion().map(|expansion| &expansion.layout);
        let strengths = layout.map(|layout| layout.strengths(&[(name, WHOLE)]));
        Ok(Place {
            subspaces: self.subspaces.clone(),
            mean: self.mean.clone(),
            strengths: strengths.transpose()?.unwrap_or_default(),
        })
    }

    /// On the base subspace, and from there as far along these domains as they lie.
    fn moved(&self, w: &Tensor, domains: &[&str]) -> Result<Tensor> {
        let layout = self.model.expansion().map(|expansion| &expansion.layout);
        let parts: Vec<(&str, f64)> = domains.iter().map(|&name| (name, WHOLE)).collect();
        let strengths = layout.map(|layout| layout.strengths(&parts)).transpose()?;
        Ok(self
            .subspaces
            .compose(&self.base(w)?, &strengths.unwrap_or_default())?)
    }
}

fn rgb(pictures: &[RgbImage]) -> Result<Tensor> {
    Ok(picture::from_rgb(pictures, DType::F32, &Device::Cpu)?)
}

/// Of latents `[n, D]`, clamped to what is seen.
fn pictures(generator: &Generator, w: &Tensor) -> Result<Tensor> {
    let n = w.dim(0)?;
    let mut all = Vec::new();
    for start in (0..n).step_by(BATCH) {
        let w = w.narrow(0, start, BATCH.min(n - start))?;
        let ws = broadcast(&w, generator.config().num_ws())?;
        all.push(generator.synthesize(&ws)?.detach().clamp(-1.0, 1.0)?);
    }
    Ok(Tensor::cat(&all, 0)?)
}

fn mean(values: &Tensor) -> Result<f64> {
    Ok(f64::from(values.mean_all()?.to_scalar::<f32>()?))
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.people {
            let Row {
                name,
                true_pictures,
                samples,
                anybody,
                ..
            } = row;
            writeln!(
                f,
                "{name}  identity of {} samples {samples:.2}, of true pictures {true_pictures:.2}, of anybody {anybody:.2}",
                self.samples
            )?;
            for (how, errors) in [
                ("between anchors", &row.between),
                ("anywhere", &row.anywhere),
            ] {
                let Errors { source, person } = errors;
                for (by, source, person) in [
                    ("perceptual distance", source.perceptual, person.perceptual),
                    ("judge's features", source.judge, person.judge),
                    ("identity", source.identity, person.identity),
                ] {
                    writeln!(
                        f,
                        "          error of held-out pictures {how}, {by}: {person:.3}, by the source {source:.3} (ratio {:.2})",
                        person / source
                    )?;
                }
            }
            for (domain, (seen, kept)) in &row.on_top {
                writeln!(
                    f,
                    "          as a {domain}: seen {seen:.2}, identity {kept:.2}"
                )?;
            }
        }
        write!(
            f,
            "base, judge's features: {:.4} from the source's pictures; two of those are {:.4} apart",
            self.base, self.apart
        )
    }
}
