//! Exit codes: whose fault an error is, and how it is told.

use std::fmt;
use std::process::ExitCode;

/// Something the user can mend: a flag, a path, a file. Exit code 2.
#[derive(Debug)]
pub struct Mendable(String);

impl fmt::Display for Mendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mendable {}

/// An error for the user to mend.
pub fn mendable(message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Mendable(message.into()))
}

/// Whether a chain of errors starts with something the user can mend.
fn is_mendable(error: &anyhow::Error) -> bool {
    error.chain().any(is_mendable_cause)
}

fn is_mendable_cause(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<Mendable>()
        || cause.is::<domex_checkpoint::Error>()
        || cause.is::<domex_data::Error>()
        || cause
            .downcast_ref::<domex_stylegan2::Error>()
            .is_some_and(|e| !matches!(e, domex_stylegan2::Error::Candle(_)))
        || cause
            .downcast_ref::<domex_latent::Error>()
            .is_some_and(|e| !matches!(e, domex_latent::Error::Candle(_)))
        || cause.downcast_ref().is_some_and(is_mendable_training)
        || cause.downcast_ref().is_some_and(is_mendable_network)
        || cause.downcast_ref().is_some_and(is_mendable_expansion)
}

/// A full disk, a folder in use, settings that do not fit, losses that are not finite.
fn is_mendable_training(error: &domex_train::Error) -> bool {
    use domex_train::Error;
    match error {
        // What a job says stands in the chain behind it.
        Error::Candle(_) | Error::Kernel(_) | Error::Job(_) => false,
        // Why it could not be written lies in a box, where the chain does not look.
        Error::Snapshot { source, .. } | Error::Tick { source, .. } => {
            let first: &(dyn std::error::Error + 'static) = &**source;
            std::iter::successors(Some(first), |error| error.source()).any(is_mendable_cause)
        }
        _ => true,
    }
}

fn is_mendable_network(error: &domex_pretrain::Error) -> bool {
    use domex_pretrain::Error;
    match error {
        Error::Checkpoint(_) | Error::Data(_) | Error::Config { .. } => true,
        Error::Train(error) => is_mendable_training(error),
        Error::StyleGan2(error) => is_mendable_cause(error),
        _ => false,
    }
}

fn is_mendable_expansion(error: &domex_expand::Error) -> bool {
    use domex_expand::Error;
    match error {
        Error::Data(_) | Error::File { .. } | Error::Setting { .. } => true,
        Error::Nada(error) => is_mendable_words(error),
        Error::Replay(error) => matches!(**error, domex_replay::Error::Setting { .. }),
        Error::Train(error) => is_mendable_training(error),
        Error::StyleGan2(error) => is_mendable_cause(error.as_ref()),
        Error::Latent(error) => is_mendable_cause(error.as_ref()),
        _ => false,
    }
}

/// Texts that CLIP cannot take, or that are the same to it.
fn is_mendable_words(error: &domex_nada::Error) -> bool {
    use domex_nada::Error;
    match error {
        Error::Config { .. } => true,
        Error::Clip(error) => !matches!(
            error,
            domex_clip::Error::Candle(_) | domex_clip::Error::Ops(_)
        ),
        Error::Task { source, .. } => is_mendable_words(source),
        _ => false,
    }
}

/// Prints an error in one line on stderr and gives its exit code.
///
/// Each cause is printed once: our own errors already quote what they wrap.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let mut line = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
    }
    eprintln!("domex: {}", line.replace('\n', " "));
    ExitCode::from(if is_mendable(error) { 2 } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_full() -> std::io::Error {
        std::io::Error::from(std::io::ErrorKind::StorageFull)
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
        let candle = || candle_core::Error::Msg("ours".into());
        let network = domex_pretrain::Error::Data(written);
        for (error, mendable) in [
            (io(), true),
            (snapshot(io()), true),
            (tick(io()), true),
            (tick(candle().into()), false),
            (snapshot(Error::Job(Box::new(network))), true),
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
            (
                Error::Job(Box::new(domex_pretrain::Error::Candle(candle()))),
                false,
            ),
            (
                snapshot(Error::Job(Box::new(domex_stylegan2::Error::Candle(
                    candle(),
                )))),
                false,
            ),
        ] {
            let text = format!("{error:?}");
            assert_eq!(is_mendable(&anyhow::Error::new(error)), mendable, "{text}");
        }
    }
}
