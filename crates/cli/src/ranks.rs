//! The ranks of a run: found by what a launcher says, or started by `--ranks`, before anything else is done.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::process::{Command, ExitCode};
use std::time::Duration;

use domex_error::{AnyError, user_error};
use domex_ranks::{Children, Error, Group, Launch};
use domex_train::Team;

use crate::args::Common;
use crate::interrupt;

/// This process among those of its run.
#[derive(Debug, Default)]
pub struct Ranks {
    pub team: Team,
    /// The ranks that this one started; they end with it.
    _children: Option<Children>,
}

impl Ranks {
    /// Waits for the other ranks, if there are any; `wanted` is `--ranks`. Only rank 0 speaks, and each takes its share of the machine:
    /// the flags are changed accordingly.
    pub fn join(wanted: Option<u16>, common: &mut Common) -> domex_error::Result<Self> {
        let launched = Launch::from_env()?;
        let (group, children, launch) = match (launched, wanted.map(usize::from)) {
            (None, None | Some(1)) => return Ok(Self::default()),
            (Some(launch), Some(wanted)) if wanted != launch.size => {
                let error = user_error(format!(
                    "--ranks {wanted}: a launcher has started {} ranks; leave the flag out",
                    launch.size
                ));
                let ending = Ending::of(&error);
                let report = || {
                    error.report("domex");
                };
                return Err(ending.alike(&launch, report).into());
            }
            (Some(launch), _) => (Group::join(&launch, VERSION)?, None, launch),
            (None, Some(wanted)) => {
                let launch = Launch::local(wanted);
                let program = std::env::current_exe()?;
                let again = || {
                    let mut command = Command::new(&program);
                    command.args(std::env::args_os().skip(1));
                    command
                };
                let (group, children) = Group::start(&launch, VERSION, &again)?;
                (group, Some(children), launch)
            }
        };
        if launch.rank > 0 {
            common.quiet = true;
            common.json = false;
        }
        common.threads = common.threads.or_else(|| Some(threads(launch.local_size)));
        if common.device == "cuda" {
            common.device = format!("cuda:{}", launch.local_rank);
        }
        Ok(Self {
            team: Team::of(group),
            _children: children,
        })
    }

    /// What becomes of a verb's result: an error says which rank it is of. What rank 0 tells is not told again: that it ended, that
    /// another one was lost, and the error that it has too.
    pub fn tell(&self, done: domex_error::Result<ExitCode>) -> domex_error::Result<ExitCode> {
        let (error, rank) = match (done, self.team.rank()) {
            (Err(error), rank) if !self.team.is_alone() => (error, rank),
            (done, _) => return done,
        };
        let ending = Ending::of(&error);
        let is_told = match error.find::<Error>() {
            Some(Error::Lost { rank: 1.. } | Error::Ended { .. }) if rank > 0 => true,
            // Nobody is told of a signal.
            _ if rank > 0 && interrupt::exit_code(&error).is_some() => true,
            _ => self.team.end(ending.code, ending.words),
        };
        match (is_told, rank) {
            (true, _) => Err(ending.told().into()),
            (false, 0) => Err(error),
            (false, _) => Err(error.context(format!("rank {rank}"))),
        }
    }
}

/// The program's version: all ranks must have the same.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long a rank that ends before it has found the others looks for them: they began when it did.
const MOMENT: Duration = Duration::from_secs(3);

/// How a rank ends with an error.
#[derive(Clone, Copy)]
struct Ending {
    code: u8,
    words: u64,
}

impl Ending {
    fn of(error: &AnyError) -> Self {
        let ended = match error.find() {
            Some(Error::Ended { code, .. }) => Some(*code),
            _ => interrupt::exit_code(error),
        };
        let usual = if error.is_user_error() { 2 } else { 1 };
        Self::new(ended.unwrap_or(usual), &error.message())
    }

    fn new(code: u8, message: &str) -> Self {
        let mut words = DefaultHasher::new();
        message.hash(&mut words);
        Self {
            code,
            words: words.finish(),
        }
    }

    /// Of a rank that has found no others yet. `report` tells the error where rank 0 does not tell the same one.
    fn alike(self, launch: &Launch, report: impl Fn()) -> Error {
        // Nobody has to wait for what rank 0 says.
        if launch.rank == 0 {
            report();
        }
        let launch = Launch {
            patience: MOMENT,
            ..launch.clone()
        };
        let group = Group::join(&launch, VERSION);
        let is_told = group.is_ok_and(|mut group| group.end(self.code, self.words));
        if launch.rank > 0 && !is_told {
            report();
        }
        self.told()
    }

    /// What is left to say: nothing.
    fn told(self) -> Error {
        let Self { code, words } = self;
        Error::Ended { code, words }
    }
}

/// The exit code of an error that was told.
pub fn told(error: &AnyError) -> Option<u8> {
    match error.find() {
        Some(Error::Ended { code, .. }) => Some(*code),
        _ => None,
    }
}

/// Ends a command that cannot be read, or one for its help. Of several ranks with the same one, rank 0 says why.
pub fn unread(error: &clap::Error) -> ExitCode {
    let print = || drop(error.print());
    // Those that may have others.
    let is_run = std::env::args_os().any(|word| word == "expand" || word == "train");
    let code = u8::try_from(error.exit_code()).unwrap_or(1);
    match Launch::from_env() {
        Ok(Some(launch)) if is_run && error.use_stderr() => {
            let message = error.to_string();
            drop(Ending::new(code, &message).alike(&launch, print));
        }
        _ => print(),
    }
    ExitCode::from(code)
}

/// Of one of so many ranks on this machine: what SLURM gives each of them, or an even share of the cores.
fn threads(ranks: usize) -> u16 {
    let given = std::env::var("SLURM_CPUS_PER_TASK").ok();
    let given = given.and_then(|text| text.trim().parse().ok());
    let share = || {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        u16::try_from(cores / ranks.max(1)).unwrap_or(u16::MAX)
    };
    given.unwrap_or_else(share).max(1)
}
