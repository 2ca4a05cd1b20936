//! What a person wants to know of the settings before a long run, a line each.

use domex_expand::methods::Kind as _;
use domex_expand::methods::diffusion::Diffusion;
use domex_expand::{ParametrisationKind, TaskSpec};

use super::settings::{Settings, by_discriminator};
use crate::assets;

/// A word, and what there is to say of it.
type Line = (&'static str, String);

/// All lines, in their order.
pub fn lines(settings: &Settings) -> domex_error::Result<Vec<Line>> {
    let (c, length) = (&settings.config, &settings.length);
    let teacher = settings.teacher.as_ref();
    let teacher = teacher.map(|files| files.line(&c.diffusion)).transpose()?;
    let mut lines = vec![("clip", clip(settings))];
    lines.extend(teacher.map(|line| ("teacher", line)));
    let data = settings.data.clone();
    lines.push(("data", data.unwrap_or_else(|| "none".to_owned())));
    lines.push(("weights", weights(settings)));
    lines.push(("learning", learning(settings)));
    let length = format!(
        "{} steps, a tick every {} steps, a snapshot every {} ticks",
        length.steps, length.tick, length.snap
    );
    lines.push(("length", length));
    if c.half_losses {
        let line = "CLIP models and perceptual network in float16".to_owned();
        lines.push(("losses", line));
    }
    if c.reserve > 0 {
        let line = format!(
            "{} free directions are held as the model has them",
            c.reserve
        );
        lines.push(("reserve", line));
    }
    lines.extend(adversary(settings).map(|line| ("adversary", line)));
    Ok(lines)
}

fn clip(settings: &Settings) -> String {
    let models = settings.clip.iter();
    let models = models.map(|model| format!("{} × {}", assets::shown(&model.path), model.weight));
    match settings.clip.is_empty() {
        true => "none".to_owned(),
        false => models.collect::<Vec<_>>().join(", "),
    }
}

fn weights(settings: &Settings) -> String {
    let objective = &settings.config.objective;
    let (alignment, nada) = (objective.alignment, &settings.config.nada.weights);
    let by_clip = match settings.clip.is_empty() {
        true => String::new(),
        false => format!(" (direction {}, global {})", nada.direction, nada.global),
    };
    // Without pictures the source is not trained on, whatever its weight.
    let source = settings.pictures.as_ref();
    let source = source.map_or(0.0, |_| settings.source_weight());
    // What no domain can change needs nothing that holds it.
    let held = match settings.config.parametrisation {
        ParametrisationKind::Full => format!(
            ", source {source}, perceptual {}, squared {}",
            alignment.lpips, alignment.l2
        ),
        _ => String::new(),
    };
    format!("expand {}{by_clip}{held}", objective.expand)
}

fn learning(settings: &Settings) -> String {
    let c = &settings.config;
    let passes = c.passes().first().copied().filter(|pass| *pass < c.batch);
    let mut passes = passes.map_or(String::new(), |pass| format!(" in passes of {pass}"));
    if c.low_memory {
        passes += " that compute their activations twice";
    }
    let falling = match c.cooldown {
        1.0.. => " falling to 0 over the whole run".to_owned(),
        part if part > 0.0 => format!(" falling to 0 over the last {:.0} %", 100.0 * part),
        _ => String::new(),
    };
    let own = &c.styledomain;
    let mut trained = match c.parametrisation {
        ParametrisationKind::Full => String::new(),
        kind => format!(", parametrisation {}", kind.name()),
    };
    if c.parametrisation == ParametrisationKind::AffineLight {
        trained += &format!(" of rank {}", own.rank);
    }
    if let Some(block) = own.block {
        trained += &format!(" and weights of block {block}");
    }
    if own.top < 1.0 {
        trained += &format!(", of whose offsets {:.0} % are kept", 100.0 * own.top);
    }
    format!(
        "batch {}{passes}, learning rate {}{falling}{trained}, seed {}",
        c.batch, c.lr, settings.seed
    )
}

/// Of the discriminators of domains, where there are any.
fn adversary(settings: &Settings) -> Option<String> {
    let (c, own) = (&settings.config, &settings.config.adversarial);
    let tasks = settings.tasks.iter();
    let mut learnt = tasks.filter(|task| by_discriminator(c, task)).peekable();
    learnt.peek()?;
    // Translations keep people apart where edited pictures are held to them.
    let unpaired = |task: &TaskSpec| task.method() != Diffusion.name() || c.diffusion.paired == 0.0;
    let correspondence = match learnt.any(unpaired) {
        true => own.correspondence,
        false => 0.0,
    };
    Some(format!(
        "learning rate {}, gamma {} every {} steps, freeze-D {}, ADA target {} over {} kimg, correspondence {correspondence}",
        own.lr, own.gamma, own.r1_interval, own.freeze_d, own.ada_target, own.ada_kimg
    ))
}
