//! `domex studio`: a page on which a generator is explored.

mod explorer;
mod faces;
mod learner;
mod photos;
mod start;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use domex_error::user_error;
use domex_studio::{Config, Engine, Limits, Models, Named, Port, Studio as Page, Token};
use serde_json::json;

use self::explorer::Explorer;
use self::faces::Photographs;
use self::learner::Expansions;
use crate::args::ModelArgs;
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::models;
use crate::paths::text;
use crate::verbs::expand::inputs;

/// The port, unless it is taken.
const PORT: u16 = 7860;

/// This machine alone.
const LOOPBACK: &str = "127.0.0.1";

/// The folder for what is saved, beside a model's file or in the current folder.
const WORKSPACE: &str = "studio";

/// Flags of `domex studio`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex studio\n  domex studio --model run/model.safetensors\n  domex studio --model run/model.safetensors --workspace presets --port 9000\n  domex studio --model run/model.safetensors --host 0.0.0.0\n\nOpen the address that it prints in a browser; Ctrl-C ends it. The page answers to this machine alone. With --host other machines reach it, and the address has a token, without which nothing is answered; what they send is not encrypted. From another machine, a tunnel is safer: ssh -L 7860:localhost:7860 MACHINE."
)]
pub struct Studio {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Port of the page [default: 7860; where that is taken, a free one]
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
    /// Address to listen at; others than this machine's own loopback need a token, which is printed
    #[arg(long, value_name = "HOST", default_value = LOOPBACK)]
    pub host: String,
    /// Ask for a token on this machine too, where others work on it
    #[arg(long)]
    pub token: bool,
    /// Folder for presets and expansions, made when the first is saved [default: studio, beside the model's file]
    #[arg(long, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// Class label of a class-conditional generator, which expansions that the page begins learn for too
    #[arg(long = "class", value_name = "N")]
    pub class: Option<usize>,
    /// Sampling steps of a diffusion autoencoder [default: 20]
    #[arg(long, value_name = "N")]
    pub sampling_steps: Option<usize>,
    /// Where the search for a photo starts: at what an encoder of `domex train-encoder` predicts, or at the mean latent (none)
    /// [default: the shipped encoder for the shipped generator and what was expanded from it, else none]
    #[arg(long, value_name = "FILE|none")]
    pub encoder: Option<String>,
    /// The perceptual network of that search and of expansions: a file, or a fetched one's name [default: the shipped one]
    #[arg(long, value_name = "FILE|NAME")]
    pub perceptual: Option<PathBuf>,
    /// CLIP models of expansions that the page begins: a file, or a shipped or fetched name [default: as of `domex expand`]
    #[arg(long, value_name = "NAME|FILE")]
    pub clip: Vec<String>,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Studio) -> domex_error::Result<()> {
    for clip in &args.clip {
        inputs::clip_model(clip)?;
    }
    // A port that is taken is known before a large model is read.
    let page = Page::bind(config(args)?)?;
    let learner = Arc::new(Expansions::new(context, args));
    let mut models = Opener {
        context,
        args,
        learner: learner.clone(),
        page: Some((page.url(), page.address())),
    };
    let interrupt = Interrupt::watch()?;
    // The one way to end it, and so no failure.
    Ok(page.run(&mut models, learner, Arc::new(Photographs), &|| {
        interrupt.check().is_err()
    })?)
}

/// Opens the models that the page shows, with the verb's other flags.
struct Opener<'a> {
    context: &'a Context,
    args: &'a Studio,
    learner: Arc<Expansions>,
    /// Where the page is, until that was said.
    page: Option<(String, SocketAddr)>,
}

impl Models for Opener<'_> {
    fn open(
        &mut self,
        model: &str,
        work: &mut dyn FnMut(&mut dyn Engine),
    ) -> domex_error::Result<()> {
        let random = self.args.model.random && model == models::name(&self.args.model);
        let wanted = ModelArgs {
            model: (!random).then(|| model.to_owned()),
            random,
        };
        let loaded = models::load(self.context, &wanted)?;
        let mut explorer = Explorer::new(self.context, &loaded, &shown(model), self.args)?;
        self.learner.expand(wanted.model);
        if let Some((url, address)) = self.page.take() {
            self.tell(&url, address);
        }
        work(&mut explorer);
        Ok(())
    }
}

impl Opener<'_> {
    /// Where to look, once the model is there.
    fn tell(&self, url: &str, address: SocketAddr) {
        let name = models::name(&self.args.model);
        self.context.say(&format!("{name}: {url} (Ctrl-C ends it)"));
        if address.ip().is_unspecified() {
            self.context
                .say("from another machine, the name of this one takes the place of localhost");
        }
        self.context.result(&json!({ "model": name, "url": url }));
    }
}

/// The model that was given, and the others that are at hand.
fn named(args: &Studio) -> domex_error::Result<Vec<Named>> {
    let given = models::name(&args.model);
    let others = models::at_hand()?.into_iter().filter(|name| name != given);
    let given = match Path::new(given).is_file() {
        true => text(&std::path::absolute(given)?),
        false => given.to_owned(),
    };
    let all = std::iter::once(given).chain(others);
    let named = all.map(|model| Named {
        name: shown(&model),
        model,
    });
    Ok(named.collect())
}

/// What the page calls a model. Of a file no more than its folder's name: pictures carry the name with them.
fn shown(model: &str) -> String {
    let path = Path::new(model);
    if !path.is_file() {
        return model.to_owned();
    }
    let folder = path.parent().and_then(Path::file_name);
    let parts = [folder, path.file_name()].into_iter().flatten();
    let parts: Vec<_> = parts.map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

fn config(args: &Studio) -> domex_error::Result<Config> {
    if args.port == Some(0) {
        return Err(user_error(
            "--port 0: leave the flag out, and a free port is taken",
        ));
    }
    // Whether an address is this machine's alone is known when its name is resolved: `bind` refuses others without a token.
    let is_guarded = args.token || !["localhost", LOOPBACK, "::1"].contains(&args.host.as_str());
    Ok(Config {
        host: args.host.clone(),
        port: args.port.map_or(Port::Preferably(PORT), Port::Only),
        token: is_guarded.then(Token::random).transpose()?,
        workspace: args.workspace.clone().unwrap_or_else(|| workspace(args)),
        models: named(args)?,
        limits: Limits::default(),
    })
}

/// Beside the model's file, where it is one that the user named.
fn workspace(args: &Studio) -> PathBuf {
    let file = args.model.wanted().map(|(_, model)| Path::new(model));
    let folder = file.filter(|file| file.is_file()).and_then(Path::parent);
    folder.unwrap_or(Path::new("")).join(WORKSPACE)
}
