//! Whose fault an error is: something the user can mend, a file, a flag, a full disk, or something of ours.
//!
//! The program and `xtask` share this file, so that both end with the same exit code for the same error.
//!
//! An error that only passes on another one (`#[error(transparent)]`) hides it from the chain of causes, and a box in an
//! error is not in the chain at all: both are opened here.

use std::error::Error as StdError;

/// Whether a cause in this chain is the user's to mend.
pub fn is_users(error: &(dyn StdError + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source()).any(is_users_cause)
}

fn is_users_cause(cause: &(dyn StdError + 'static)) -> bool {
    cause.is::<domex_checkpoint::Error>()
        || cause.is::<domex_data::Error>()
        || cause
            .downcast_ref::<domex_stylegan2::Error>()
            .is_some_and(|e| !matches!(e, domex_stylegan2::Error::Candle(_)))
        || cause
            .downcast_ref::<domex_latent::Error>()
            .is_some_and(|e| !matches!(e, domex_latent::Error::Candle(_)))
        || cause.downcast_ref().is_some_and(clip)
        || cause.downcast_ref().is_some_and(lpips)
        || cause.downcast_ref().is_some_and(training)
        || cause.downcast_ref().is_some_and(network)
        || cause.downcast_ref().is_some_and(expansion)
        || cause.downcast_ref().is_some_and(words)
}

/// Files that are no CLIP network, texts that it cannot take.
fn clip(error: &domex_clip::Error) -> bool {
    use domex_clip::Error;
    !matches!(error, Error::Candle(_) | Error::Ops(_))
}

/// Files that are no perceptual network, pictures too small for one.
fn lpips(error: &domex_lpips::Error) -> bool {
    use domex_lpips::Error;
    !matches!(error, Error::Candle(_) | Error::Ops(_))
}

/// A full disk, a folder in use, settings that do not fit, losses that are not finite.
fn training(error: &domex_train::Error) -> bool {
    use domex_train::Error;
    match error {
        // What a job says stands in the chain behind it.
        Error::Candle(_) | Error::Kernel(_) | Error::Job(_) => false,
        // Why it could not be written lies in a box, where the chain does not look.
        Error::Snapshot { source, .. } | Error::Tick { source, .. } => is_users(&**source),
        _ => true,
    }
}

fn network(error: &domex_pretrain::Error) -> bool {
    use domex_pretrain::Error;
    match error {
        Error::Checkpoint(_) | Error::Data(_) | Error::Config { .. } | Error::Json { .. } => true,
        Error::Clip(error) => is_users(error),
        Error::Lpips(error) => is_users(error),
        Error::Train(error) => is_users(error),
        Error::StyleGan2(error) => is_users(error),
        Error::Latent(error) => is_users(error),
        Error::Replay(error) => replay(error),
        _ => false,
    }
}

fn expansion(error: &domex_expand::Error) -> bool {
    use domex_expand::Error;
    match error {
        Error::Data(_) | Error::File { .. } | Error::Setting { .. } => true,
        Error::Nada(error) => is_users(error.as_ref()),
        Error::Replay(error) => replay(error),
        Error::Train(error) => is_users(error.as_ref()),
        Error::StyleGan2(error) => is_users(error.as_ref()),
        Error::Latent(error) => is_users(error.as_ref()),
        _ => false,
    }
}

fn replay(error: &domex_replay::Error) -> bool {
    use domex_replay::Error;
    match error {
        Error::Setting { .. } => true,
        Error::Lpips(error) => is_users(error),
        _ => false,
    }
}

/// Texts that CLIP cannot take, or that are the same to it.
fn words(error: &domex_nada::Error) -> bool {
    use domex_nada::Error;
    match error {
        Error::Config { .. } => true,
        Error::Clip(error) => clip(error),
        Error::Task { source, .. } => words(source),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_full() -> std::io::Error {
        std::io::Error::from(std::io::ErrorKind::StorageFull)
    }

    fn candle() -> candle_core::Error {
        candle_core::Error::Msg("ours".into())
    }

    #[test]
    fn what_stops_a_training_is_the_users_to_mend_or_ours() {
        use domex_train::Error;
        let snapshot = |source: Error| Error::Snapshot {
            step: 4,
            kept: String::new(),
            source: Box::new(source),
        };
        let tick = |source: Error| Error::Tick {
            step: 4,
            kept: String::new(),
            source: Box::new(source),
        };
        let io = || Error::Io {
            path: "x".into(),
            source: disk_full(),
        };
        let written = domex_data::Error::Write {
            path: "x".into(),
            source: disk_full(),
        };
        let job = |error: domex_pretrain::Error| Error::Job(Box::new(error));
        let ours = domex_stylegan2::Error::Candle(candle());
        for (error, users) in [
            (io(), true),
            (snapshot(io()), true),
            (tick(io()), true),
            (tick(candle().into()), false),
            (snapshot(job(written.into())), true),
            (Error::Job(Box::new(io())), true),
            (
                Error::NotFinite {
                    skipped: 20,
                    what: "loss".into(),
                    kept: String::new(),
                },
                true,
            ),
            (Error::Locked { path: "x".into() }, true),
            (Error::Candle(candle()), false),
            (snapshot(Error::Candle(candle())), false),
            (job(candle().into()), false),
            (snapshot(Error::Job(Box::new(ours))), false),
        ] {
            assert_eq!(is_users(&error), users, "{error:?}");
        }
    }

    #[test]
    fn a_wrong_file_is_the_users_through_every_crate_that_passes_it_on() {
        let file = || domex_lpips::Error::File {
            file: "x".into(),
            problem: "kind".into(),
        };
        let unread = serde_json::from_str::<u8>("{").unwrap_err();
        let json = domex_pretrain::Error::Json {
            what: "x".into(),
            source: unread,
        };
        let clip = domex_clip::Error::NotClip {
            problem: "no tower".into(),
        };
        let errors: [(Box<dyn StdError>, bool); 8] = [
            (Box::new(file()), true),
            (Box::new(domex_pretrain::Error::from(file())), true),
            (Box::new(json), true),
            (Box::new(domex_pretrain::Error::from(clip)), true),
            (
                Box::new(domex_expand::Error::from(domex_replay::Error::from(file()))),
                true,
            ),
            (Box::new(domex_lpips::Error::from(candle())), false),
            (
                Box::new(domex_pretrain::Error::from(domex_lpips::Error::from(
                    candle(),
                ))),
                false,
            ),
            (Box::new(domex_clip::Error::from(candle())), false),
        ];
        for (error, users) in errors {
            assert_eq!(is_users(&*error), users, "{error:?}");
        }
    }
}
