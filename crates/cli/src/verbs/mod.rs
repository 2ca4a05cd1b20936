//! One module per verb: its flags, and what it does.

pub mod adapt;
pub mod completions;
pub mod compose;
pub mod convert;
pub mod data;
pub mod decode;
pub mod doctor;
pub mod domains;
pub mod dormant;
pub mod edit;
pub mod encode;
pub mod eval;
pub mod expand;
pub mod export;
pub mod fetch;
mod frozen;
pub mod generate;
pub mod info;
pub mod invert;
pub mod mix;
mod network_run;
pub mod person;
pub mod studio;
pub mod train;
pub mod train_degan;
pub mod train_encoder;
pub mod train_hyperdomain;
pub mod traverse;

use std::process::ExitCode;

use clap::Subcommand;

use crate::context::Context;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show what a checkpoint holds
    Info(info::Info),
    /// Generate pictures from seeds
    Generate(generate::Generate),
    /// Turn pictures into the codes of a diffusion autoencoder
    Encode(encode::Encode),
    /// Turn codes back into pictures
    Decode(decode::Decode),
    /// Draw pictures along a latent direction, as a grid and an animation
    Traverse(traverse::Traverse),
    /// Mix the styles of two sets of seeds in a grid
    Mix(mix::Mix),
    /// Show which latent directions the generator leaves unused
    Dormant(dormant::Dormant),
    /// Make a data set of pictures, or of portraits with known factors
    Data(data::Data),
    /// Train a StyleGAN2 on pictures
    Train(Box<train::Train>),
    /// Train an encoder that finds a generator's latents
    TrainEncoder(train_encoder::TrainEncoder),
    /// Expand a generator with new domains, given as text or pictures
    Expand(Box<expand::Expand>),
    /// Train a network that makes domains of texts
    TrainHyperdomain(Box<train_hyperdomain::TrainHyperdomain>),
    /// Train an encoder that makes domains of pictures
    TrainDegan(Box<train_degan::TrainDegan>),
    /// Show or store the domain of a text or a picture in one pass
    Adapt(Box<adapt::Adapt>),
    /// Combine several domains of an expanded model in one picture
    Compose(compose::Compose),
    /// List a model's domains, carry them between models, remove and merge them
    Domains(domains::Domains),
    /// Find the latents of real pictures
    Invert(Box<invert::Invert>),
    /// Show real pictures in the domains of an expanded model
    Edit(Box<edit::Edit>),
    /// Draw, find and edit a person in the space of its pictures (MyStyle)
    Person(Box<person::Person>),
    /// Explore a generator on a page in the browser
    Studio(studio::Studio),
    /// Measure an expanded model's domains, or any model's distance to a data set
    Eval(eval::Eval),
    /// Fetch published networks by name, or list them
    Fetch(fetch::Fetch),
    /// Convert a checkpoint to domex's own file, safetensors or a network pickle
    Convert(convert::Convert),
    /// Write a StyleGAN2 with its domains as an ONNX graph
    Export(export::Export),
    /// Show what this machine and this program have
    Doctor(doctor::Doctor),
    /// Print a completion script for a shell
    Completions(completions::Completions),
}

impl Verb {
    /// Runs the verb. The exit code is that of an interrupted run where there was one.
    pub fn run(self, context: &Context) -> domex_error::Result<ExitCode> {
        let done = match self {
            Self::Train(args) => return train::run(context, &args),
            Self::TrainEncoder(args) => return train_encoder::run(context, &args),
            Self::Expand(args) => return expand::run(context, &args),
            Self::TrainHyperdomain(args) => return train_hyperdomain::run(context, &args),
            Self::TrainDegan(args) => return train_degan::run(context, &args),
            Self::Adapt(args) => adapt::run(context, &args),
            Self::Info(args) => info::run(context, &args),
            Self::Generate(args) => generate::run(context, &args),
            Self::Encode(args) => encode::run(context, &args),
            Self::Decode(args) => decode::run(context, &args),
            Self::Traverse(args) => traverse::run(context, &args),
            Self::Mix(args) => mix::run(context, &args),
            Self::Dormant(args) => dormant::run(context, &args),
            Self::Compose(args) => compose::run(context, &args),
            Self::Domains(args) => domains::run(context, &args),
            Self::Invert(args) => invert::run(context, &args),
            Self::Edit(args) => edit::run(context, &args),
            Self::Person(args) => person::run(context, &args),
            Self::Studio(args) => studio::run(context, &args),
            Self::Eval(args) => eval::run(context, &args),
            Self::Data(args) => data::run(context, &args),
            Self::Fetch(args) => fetch::run(context, &args),
            Self::Convert(args) => convert::run(context, &args),
            Self::Export(args) => export::run(context, &args),
            Self::Doctor(args) => doctor::run(context, &args),
            Self::Completions(args) => completions::run(context, &args),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}
