//! The ranks of a run: found by what a launcher says, or started by `--ranks`, before anything else is done.

use std::process::{Command, ExitCode};

use domex_error::{AnyError, user_error};
use domex_ranks::{Children, Error, Group, Launch};
use domex_train::Team;

use crate::args::Common;

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
        const VERSION: &str = env!("CARGO_PKG_VERSION");
        let launched = Launch::from_env()?;
        let (group, children, launch) = match (launched, wanted.map(usize::from)) {
            (None, None | Some(1)) => return Ok(Self::default()),
            (Some(launch), Some(wanted)) if wanted != launch.size => {
                return Err(user_error(format!(
                    "--ranks {wanted}: a launcher has started {} ranks; leave the flag out",
                    launch.size
                )));
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

    /// What becomes of a verb's result: an error says which rank it is of. That a rank was lost is told by rank 0, if that is not the
    /// one.
    pub fn tell(&self, done: domex_error::Result<ExitCode>) -> domex_error::Result<ExitCode> {
        match (done, self.team.rank()) {
            (Err(error), rank) if rank > 0 => match error.find::<Error>() {
                Some(Error::Lost { rank: 1.. }) => Ok(ExitCode::from(USER_ERROR)),
                _ => Err(named(error, rank)),
            },
            (done, _) => done,
        }
    }
}

/// The exit code for a lost rank.
const USER_ERROR: u8 = 2;

fn named(error: AnyError, rank: usize) -> AnyError {
    error.context(format!("rank {rank}"))
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
