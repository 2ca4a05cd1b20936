//! The pictures of the source domain, and whether they are still those that a run began with.

use domex_data::counted;
use domex_data::picture::Background;
use domex_data::portraits::Domain;
use domex_data::source::{LabelsFrom, Mirrored, Opened, Options, PictureSource, Portraits};
use domex_error::user_error;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Expand;
use super::inputs::PORTRAITS;
use super::settings::Settings;
use crate::context::Context;
use crate::datasets;
use crate::kinds::Model;

/// Seed of rendered portraits, so that the run's own seed need not be that of its pictures.
const PEOPLE: u64 = 0x0d0e_7415;

/// Pictures that stand for all: enough to tell two sets apart, and looked at in a moment.
const LOOKED_AT: u64 = 16;

/// What a run remembers of its pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// How many they are.
    pub count: u64,
    /// SHA-256 of some of them, evenly spread, as they are decoded.
    pub sha256: String,
}

impl Fingerprint {
    pub fn of(pictures: &dyn PictureSource) -> domex_error::Result<Self> {
        let count = pictures.len();
        let mut hash = Sha256::new();
        for at in 0..LOOKED_AT.min(count) {
            let index = u128::from(at) * u128::from(count) / u128::from(LOOKED_AT.min(count));
            let (picture, _) = pictures.get(u64::try_from(index)?)?;
            hash.update(picture.width().to_le_bytes());
            hash.update(picture.as_raw());
        }
        let hash = hash.finalize();
        Ok(Self {
            count,
            sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// Refuses them where a run began with others; `place` is what the message calls them.
    pub fn check(&self, place: &str, before: &Self) -> domex_error::Result<()> {
        match self == before {
            true => Ok(()),
            false => Err(user_error(format!(
                "{place}: has {} pictures and is not the set of {} that the run began with; put the old one back, or start a new \
                 run",
                self.count, before.count
            ))),
        }
    }
}

/// Refuses flags for pictures in files where there are none. A mirror image of a rendering is one more portrait.
pub fn refuse_unused(settings: &Settings) -> domex_error::Result<()> {
    let rendered = settings.data.as_deref() == Some(PORTRAITS);
    let in_files = settings.data.is_some() && !rendered || !settings.paths_of_sets()?.is_empty();
    let flags = [
        ("--mirror", settings.mirror && !rendered),
        ("--skip-bad", settings.skip_bad),
        ("--background", settings.background != Background::default()),
        ("--resize", settings.resize),
    ];
    match flags.into_iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) if !in_files => Err(user_error(format!(
            "{flag}: is for pictures in files, and the run has none; leave it out, or give a folder or a zip file as --data"
        ))),
        _ => Ok(()),
    }
}

/// Refuses flags for training on the source domain where there is none.
pub fn refuse_untrained(args: &Expand, settings: &Settings) -> domex_error::Result<()> {
    let why = match &settings.data {
        _ if settings.source_weight() == 0.0 => "by --lambda-src 0",
        None => "without pictures of it (--data)",
        Some(_) => return Ok(()),
    };
    let flags = &args.settings;
    let flags = [
        ("--gamma", flags.gamma.is_some()),
        ("--scale-src", flags.scale_src),
    ];
    match flags.into_iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(user_error(format!(
            "{flag}: is for training on the source domain, which is off {why}; leave it out"
        ))),
        None => Ok(()),
    }
}

/// The pictures, or a notice of what will be off without them. A new run's settings remember them; those of a resumed run
/// must match them.
pub fn open(
    context: &Context,
    settings: &mut Settings,
    model: &Model,
    notices: &mut Vec<String>,
) -> domex_error::Result<Option<Box<dyn PictureSource>>> {
    let needed = match model {
        Model::StyleGan2(_) | Model::StyleGan3(_) => false,
        // Without a latent prior pictures also say which latents occur.
        Model::DiffAe(model) => model.networks.latent_net.is_none() || model.statistics.is_none(),
    };
    let why = match (
        settings.source_weight() == 0.0,
        settings.config.moves_base(),
    ) {
        _ if needed => None,
        (true, _) => Some("--lambda-src 0 leaves out training on the source domain"),
        (_, false) => Some("the base stays as it is by itself"),
        (false, true) => None,
    };
    if let Some(why) = why {
        if let Some(path) = settings.data.as_ref().filter(|path| *path != PORTRAITS) {
            notices.push(format!(
                "--data {path}: {why}, so these pictures are not needed and not looked at"
            ));
        }
        return Ok(None);
    }
    let off = match model {
        Model::StyleGan2(_) | Model::StyleGan3(_) => "the adversarial loss",
        Model::DiffAe(_) => "training",
    };
    let off = format!(
        "{off} on the base subspace is off (--lambda-src 0 says so too); replay alignment alone holds it"
    );
    let trains = match model {
        Model::StyleGan2(model) => model.discriminator.is_some(),
        Model::StyleGan3(model) => model.discriminator.is_some(),
        Model::DiffAe(_) => true,
    };
    if !trains {
        notices.push(format!("the model has no discriminator: {off}"));
        return Ok(None);
    }
    let Some(path) = &settings.data else {
        notices.push(format!("there are no pictures (--data): {off}"));
        return Ok(None);
    };
    let generator = model.generator();
    let opened = read(
        context,
        path,
        settings,
        (generator.resolution(), generator.label_dim()),
    )?;
    for line in &opened.skipped {
        tracing::warn!("left out: {line}");
    }
    if !opened.skipped.is_empty() {
        let count = counted(opened.skipped.len(), "picture");
        notices.push(format!("left out: {count} that cannot be used"));
    }
    notices.extend(opened.notices);
    // Pictures of another size are refused by the run, which says more.
    let found = Fingerprint::of(&*opened.source)?;
    if let Some(before) = &settings.pictures {
        found.check(&format!("--data {path}"), before)?;
    }
    settings.pictures = Some(found);
    Ok(Some(opened.source))
}

fn read(
    context: &Context,
    path: &str,
    settings: &Settings,
    (side, classes): (usize, usize),
) -> domex_error::Result<Opened> {
    if path != PORTRAITS {
        let options = Options {
            skip_bad: settings.skip_bad,
            mirror: settings.mirror,
            labels: match classes {
                0 => LabelsFrom::Nowhere,
                _ => LabelsFrom::Json,
            },
            background: settings.background,
            resize: settings.resize.then_some(u32::try_from(side)?),
        };
        return datasets::open(context, path, options);
    }
    let portraits = Portraits::new(PEOPLE, Domain::Photo, u32::try_from(side)?)?;
    Ok(Opened::rendered(match settings.mirror {
        true => Box::new(Mirrored(portraits)),
        false => Box::new(portraits),
    }))
}
