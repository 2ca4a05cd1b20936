//! `domex adapt`: a domain in one pass, from a text or a picture.

mod degan;
mod hyperdomain;
mod show;

use std::path::{Path, PathBuf};

use clap::Args;
use domex_data::counted;
use domex_data::folder::{OutputFolder, prepare_file};
use domex_error::user_error;
use domex_latent::domain_file::DomainFile;
use domex_latent::domain_vectors::Gate;
use domex_latent::expansion::Rows;
use domex_latent::matrices::Matrices;
use domex_latent::subspace::Domain;
use domex_stylegan2::Model as StyleGan2;
use image::RgbImage;
use serde_json::{Value as Json, json};

use super::domains::file as domain_file;
use crate::args::{ModelArgs, OutArgs, SynthesisArgs, overwrite};
use crate::context::Context;
use crate::crop::{CropArgs, Cropper};
use crate::domains::check_name;
use crate::gallery::Gallery;
use crate::paths::text;
use crate::seeds::List;
use crate::{assets, kinds, models};

/// Flags of `domex adapt`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex adapt --image style.png --out style\n  domex adapt --text \"zombie\" --text \"comic\" --out words\n  domex adapt --image party.jpg --crop face --face 2 --out guest\n  domex adapt --image style.png --out style.safetensors\n  domex domains add style.safetensors --model portraits --out more.safetensors\n  domex adapt --model ffhq.pkl --image style.png --degan runs/degan/model.safetensors --out style\n  domex adapt --model ffhq.pkl --text \"zombie\" --hyperdomain runs/hyperdomain/model.safetensors\n\nNothing is trained: a network says what the domain does to the generator. For the shipped generator they ship; for another one `domex train-degan` makes one for pictures, `domex train-hyperdomain` one for texts. With a name that ends in .safetensors for --out the domain is stored; else the seeds are shown without and with it, a row for each text or picture."
)]
pub struct Adapt {
    /// The domain in words; may be given more than once, a domain each
    #[arg(long, value_name = "TEXT", required_unless_present = "image", conflicts_with_all = ["crop", "face"], value_parser = words)]
    pub text: Vec<String>,
    /// The domain by a picture; may be given more than once, a domain each
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    pub image: Vec<PathBuf>,
    /// What of a picture is seen.
    #[command(flatten)]
    pub crop: CropArgs,
    /// A network that `domex train-hyperdomain` made [default for a text: the shipped one]
    #[arg(long, value_name = "FILE", conflicts_with = "degan")]
    pub hyperdomain: Option<PathBuf>,
    /// An encoder that `domex train-degan` made, for a picture [default for a picture: the shipped one]
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    pub degan: Option<PathBuf>,
    /// The CLIP model whose embeddings the hypernetwork reads [default: the shipped one, if it is]
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "degan")]
    pub clip: Option<String>,
    /// What the domain is called, in the order of texts or pictures [default: the text, or the picture's name]
    #[arg(long, value_name = "NAME")]
    pub name: Vec<String>,
    /// Strength of the domain in the pictures
    #[arg(
        long,
        value_name = "ALPHA",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    pub alpha: f64,
    /// Use the network with another generator than its own; what comes of it seldom is a domain
    #[arg(long)]
    pub foreign: bool,
    /// Seeds, such as 0,3,10-19 [default: 0-7]
    #[arg(long, value_name = "LIST")]
    pub seeds: Option<List>,
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// How a latent becomes a picture.
    #[command(flatten)]
    pub synthesis: SynthesisArgs,
}

/// A text that says something.
fn words(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("is empty; give words that describe a picture".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// What says what a domain does.
struct Network {
    path: PathBuf,
    /// For pictures, of `train-degan`; else the hypernetwork.
    is_encoder: bool,
    is_shipped: bool,
}

impl Network {
    /// That of the flags, else the one that ships for a picture or for a text.
    fn of(args: &Adapt) -> domex_error::Result<Self> {
        let given = args.hyperdomain.as_ref().or(args.degan.as_ref());
        let is_encoder = args.hyperdomain.is_none() && !args.image.is_empty();
        let (kind, shipped, verb) = match is_encoder {
            true => (&kinds::DEGAN, assets::DEGAN, "train-degan"),
            false => (
                &kinds::HYPERDOMAIN,
                assets::HYPERDOMAIN,
                "train-hyperdomain",
            ),
        };
        if is_encoder && args.clip.is_some() {
            return Err(user_error(
                "--clip: says whose embeddings a hypernetwork reads; the encoder of pictures reads none. Leave it out, or give a hypernetwork as --hyperdomain",
            ));
        }
        let path = match given {
            Some(path) => path.clone(),
            None => assets::file(shipped)?.ok_or_else(|| {
                user_error(format!(
                    "no network: the shipped {shipped} is not there; give one that `domex {verb}` made as --{}",
                    kind.name()
                ))
            })?,
        };
        kinds::expect(&path, kind)?;
        Ok(Self {
            path,
            is_encoder,
            is_shipped: given.is_none(),
        })
    }

    /// How messages call it.
    fn shown(&self) -> String {
        let flag = match self.is_encoder {
            true => "--degan",
            false => "--hyperdomain",
        };
        match self.is_shipped {
            true => assets::shown(&self.path),
            false => format!("{flag} {}", self.path.display()),
        }
    }

    /// Refuses it for another generator than that it was trained for, unless that is wanted.
    fn check_generator(
        &self,
        args: &Adapt,
        model: &StyleGan2,
        wanted: &str,
    ) -> domex_error::Result<()> {
        if domain_file::fingerprint(model)? == wanted {
            return Ok(());
        }
        let other = format!("{}: was trained for another generator", self.shown());
        if !args.foreign {
            let model = models::name(&args.model);
            let mend = match (self.is_shipped, self.is_encoder) {
                (false, _) => "give that one as --model",
                (true, true) => "give one of `domex train-degan` for this generator as --degan",
                (true, false) => {
                    "give one of `domex train-hyperdomain` for this generator as --hyperdomain"
                }
            };
            return Err(user_error(format!(
                "{other} than --model {model}; {mend}, or --foreign to use it all the same"
            )));
        }
        tracing::warn!("{other}");
        Ok(())
    }
}

/// Where the result goes.
enum Output {
    /// With its folder, which goes away again where it was made and nothing is written.
    Domain(PathBuf, OutputFolder),
    Pictures(Gallery),
}

impl Output {
    /// As `--out` says, of so many domains.
    fn of(args: &Adapt, domains: usize) -> domex_error::Result<Self> {
        let is_domain = |out: &&PathBuf| out.extension().is_some_and(|it| it == "safetensors");
        let Some(out) = args.out.out.as_ref().filter(is_domain) else {
            return Ok(Self::Pictures(Gallery::new(&args.out)?));
        };
        let shown = out.display();
        if domains > 1 {
            return Err(user_error(format!(
                "--out {shown}: is the file of one domain, and there are {domains}; give one of them, or a folder to see all"
            )));
        }
        if args.alpha != 1.0 {
            return Err(user_error(format!(
                "--alpha {}: changes pictures, and --out {shown} is the domain itself, which any strength can be asked of; leave it out",
                args.alpha
            )));
        }
        if let Some(seeds) = &args.seeds {
            return Err(user_error(format!(
                "--seeds {seeds}: says which pictures are made, and with --out {shown} none are; leave it out, or give a folder to see them"
            )));
        }
        Ok(Self::Domain(
            out.clone(),
            prepare_file(out, args.out.force)?,
        ))
    }
}

/// What a network says of a domain.
struct Vectors {
    offsets: Rows,
    factors: Rows,
    /// What of the picture was seen.
    picture: Option<RgbImage>,
    /// How long it took.
    seconds: f64,
    /// What the file of the domain says of it.
    task: Json,
}

/// Domains in a model, in the order of the flags.
struct Made {
    model: StyleGan2,
    domains: Vec<DomainFile>,
    /// What was seen of the picture of each.
    pictures: Vec<Option<RgbImage>>,
    /// How long each took.
    seconds: Vec<f64>,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Adapt) -> domex_error::Result<()> {
    let network = Network::of(args)?;
    let names = names(args)?;
    let cropper = Cropper::new(args.crop)?;
    let output = Output::of(args, names.len())?;
    if !args.alpha.is_finite() {
        return Err(user_error(format!(
            "--alpha {}: give a finite number",
            args.alpha
        )));
    }
    let model = models::stylegan2(context, &args.model)?;
    let vectors = match network.is_encoder {
        true => degan::vectors(context, args, &network, &model, &cropper)?,
        false => hyperdomain::vectors(context, args, &network, &model, &cropper)?,
    };
    let made = put(model, names, vectors)?;
    match output {
        Output::Domain(path, _folder) => store(context, args, &made, &path),
        Output::Pictures(gallery) => show::show(context, args, made, gallery),
    }
}

/// What the domains are called, no two alike.
fn names(args: &Adapt) -> domex_error::Result<Vec<String>> {
    let of_picture = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    };
    let own = args.text.iter().cloned();
    let own: Vec<String> = own.chain(args.image.iter().map(of_picture)).collect();
    if args.name.len() > own.len() {
        return Err(user_error(format!(
            "--name: there are {} for {}",
            args.name.len(),
            counted(own.len(), "domain")
        )));
    }
    let given = args.name.iter().cloned();
    let names: Vec<String> = given.chain(own.into_iter().skip(args.name.len())).collect();
    for (at, name) in names.iter().enumerate() {
        check_name(name, "give it another --name")?;
        if names[..at].contains(name) {
            return Err(user_error(format!(
                "two domains are called {name:?}; give each a --name"
            )));
        }
    }
    Ok(names)
}

/// Adds the domains to the model, each on the most dormant direction that is free.
fn put(
    mut model: StyleGan2,
    names: Vec<String>,
    vectors: Vec<Vectors>,
) -> domex_error::Result<Made> {
    let mut expansion = match model.expansion.take() {
        Some(expansion) => expansion,
        None => domain_file::unexpanded(&model)?,
    };
    let mut made = Made {
        model,
        domains: Vec::new(),
        pictures: Vec::new(),
        seconds: Vec::new(),
    };
    for (name, vectors) in names.into_iter().zip(vectors) {
        let mut domain = DomainFile {
            domain: Domain {
                name,
                task: vectors.task,
                dimension: usize::MAX,
                distance: domex_expand_stylegan2::DISTANCE,
            },
            gate: Gate::Smooth,
            offsets: vectors.offsets,
            factors: vectors.factors,
            matrices: Matrices::default(),
        };
        domain.domain.dimension = expansion.put_in(&domain)?;
        made.domains.push(domain);
        made.pictures.push(vectors.picture);
        made.seconds.push(vectors.seconds);
    }
    made.model.expansion = Some(expansion);
    Ok(made)
}

/// Writes the file of the one domain.
fn store(context: &Context, args: &Adapt, made: &Made, path: &Path) -> domex_error::Result<()> {
    let (domain, seconds) = (&made.domains[0], made.seconds[0]);
    domain_file::write(domain, &made.model, path, overwrite(args.out.force))?;
    let numbers = domain.numbers()?;
    context.say(&format!(
        "{}: {numbers} numbers, made in {seconds:.2} s; `domex domains add` takes it",
        path.display(),
    ));
    context.result(&json!({ "out": text(path), "numbers": numbers, "seconds": seconds }));
    Ok(())
}
