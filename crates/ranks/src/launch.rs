//! What launchers say of a process in its environment.
//!
//! | launcher | rank, number of ranks, rank on this machine, number there | which run |
//! | --- | --- | --- |
//! | torchrun, and whoever sets the same | `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `LOCAL_WORLD_SIZE` | `TORCHELASTIC_RUN_ID` |
//! | Open MPI | `OMPI_COMM_WORLD_RANK`, `.._SIZE`, `.._LOCAL_RANK`, `.._LOCAL_SIZE` | `PMIX_NAMESPACE`, `OMPI_MCA_ess_base_jobid` |
//! | MPICH, Intel MPI | `PMI_RANK`, `PMI_SIZE`, `MPI_LOCALRANKID`, `MPI_LOCALNRANKS` | |
//! | SLURM | `SLURM_PROCID`, `SLURM_STEP_NUM_TASKS` or `SLURM_NTASKS`, `SLURM_LOCALID`, `SLURM_STEP_TASKS_PER_NODE` | `SLURM_JOB_ID`, `SLURM_STEP_ID` |
//!
//! The first launcher that is there is taken: what is more general may be left over from an outer one. `MASTER_ADDR` and
//! `MASTER_PORT` say where rank 0 is. Without them it is the first machine of SLURM's list of nodes, or this machine where all ranks are
//! on it; the port then follows from the run's name. `DOMEX_JOB` names a run that no launcher names.

use std::time::Duration;

use crate::{Error, Result};

/// One process of a run. See the [module docs](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Its number, from 0.
    pub rank: usize,
    /// How many there are, two at least.
    pub size: usize,
    /// Its number among those on its machine.
    pub local_rank: usize,
    /// How many are on its machine.
    pub local_size: usize,
    /// Machine of rank 0, by name or address.
    pub host: String,
    /// Port of rank 0.
    pub port: u16,
    /// The run's name: processes of another one are refused. May be empty.
    pub job: String,
    /// How long the others are waited for.
    pub patience: Duration,
    /// What may be the matter if they do not come.
    pub hint: &'static str,
}

/// How long ranks wait for one another at the beginning.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// This machine.
pub const LOCALHOST: &str = "127.0.0.1";

/// The port where nothing says which: that of PyTorch.
const PORT: u16 = 29_500;

/// The name of a run that no launcher names.
pub const JOB: &str = "DOMEX_JOB";

struct Launcher {
    rank: &'static str,
    /// The first that is set.
    size: &'static [&'static str],
    local_rank: &'static str,
    local_size: &'static str,
}

const LAUNCHERS: [Launcher; 4] = [
    Launcher {
        rank: "RANK",
        size: &["WORLD_SIZE"],
        local_rank: "LOCAL_RANK",
        local_size: "LOCAL_WORLD_SIZE",
    },
    Launcher {
        rank: "OMPI_COMM_WORLD_RANK",
        size: &["OMPI_COMM_WORLD_SIZE"],
        local_rank: "OMPI_COMM_WORLD_LOCAL_RANK",
        local_size: "OMPI_COMM_WORLD_LOCAL_SIZE",
    },
    Launcher {
        rank: MPICH,
        size: &["PMI_SIZE"],
        local_rank: "MPI_LOCALRANKID",
        local_size: "MPI_LOCALNRANKS",
    },
    Launcher {
        rank: SLURM,
        size: &["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"],
        local_rank: "SLURM_LOCALID",
        local_size: "SLURM_STEP_TASKS_PER_NODE",
    },
];

const MPICH: &str = "PMI_RANK";

const SLURM: &str = "SLURM_PROCID";

/// Where SLURM says which machines there are.
const NODES: [&str; 3] = [
    "SLURM_STEP_NODELIST",
    "SLURM_NODELIST",
    "SLURM_JOB_NODELIST",
];

impl Launch {
    /// That of this process; `None` where no launcher started it, or one started it alone.
    ///
    /// # Errors
    ///
    /// [`Error::Variable`] with what is missing, or makes no sense.
    pub fn from_env() -> Result<Option<Self>> {
        Self::from(&|name| std::env::var(name).ok())
    }

    /// The same by variables of any origin.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let variables = Variables(variable);
        for launcher in &LAUNCHERS {
            // srun's plug-in for PMI-2 sets rank and size as MPICH does, and nothing of this machine.
            let is_of_srun = launcher.rank == MPICH
                && variables.has(SLURM)
                && !variables.has(launcher.local_size);
            if is_of_srun {
                continue;
            }
            let size = launcher.size.iter().find(|name| variables.has(name));
            match (variables.has(launcher.rank), size) {
                (false, None) => {}
                (true, Some(size)) => return variables.launch(launcher, size),
                (true, None) => {
                    let why = format!(
                        "the number of processes, as {} is set; or neither of them",
                        launcher.rank
                    );
                    return Err(Error::variable(launcher.size[0], "nothing", why));
                }
                // SLURM sets the number in scripts too, that run once.
                (false, Some(_)) if launcher.rank == SLURM => {}
                (false, Some(size)) => {
                    let why =
                        format!("this process's number, as {size} is set; or neither of them");
                    return Err(Error::variable(launcher.rank, "nothing", why));
                }
            }
        }
        Ok(None)
    }
}

struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let value = (self.0)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn number(&self, name: &str) -> Result<Option<usize>> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::variable(name, format!("{text:?}"), "a number")),
        }
    }

    fn launch(&self, launcher: &Launcher, size_name: &str) -> Result<Option<Launch>> {
        let missing = |name: &str| Error::variable(name, "nothing", "a number");
        let rank = self.number(launcher.rank)?;
        let rank = rank.ok_or_else(|| missing(launcher.rank))?;
        let size = self.number(size_name)?.ok_or_else(|| missing(size_name))?;
        if size == 0 || size > MOST {
            return Err(Error::variable(size_name, size, format!("1 to {MOST}")));
        }
        if rank >= size {
            let expected = format!("below {size}, which is {size_name}");
            return Err(Error::variable(launcher.rank, rank, expected));
        }
        if size == 1 {
            return Ok(None);
        }
        let job = self.job();
        let local_size = match launcher.rank {
            SLURM => self.tasks_of_this_node(launcher.local_size),
            _ => self.number(launcher.local_size)?,
        };
        let host = self.host(launcher, local_size.is_none_or(|local| local >= size))?;
        let local_size = local_size.unwrap_or(match is_local(&host) {
            true => size,
            false => 1,
        });
        Ok(Some(Launch {
            rank,
            size,
            local_rank: self.number(launcher.local_rank)?.unwrap_or(0),
            local_size: local_size.clamp(1, size),
            host,
            port: self.port(&job)?,
            job,
            patience: PATIENCE,
            hint: match launcher.rank == SLURM && !self.has("SLURM_STEP_ID") {
                true => "; a script's commands are started as SLURM's tasks by srun",
                false => "",
            },
        }))
    }

    fn host(&self, launcher: &Launcher, on_one_machine: bool) -> Result<String> {
        if let Some(host) = self.get("MASTER_ADDR") {
            return Ok(host);
        }
        let nodes = NODES.iter().find_map(|name| self.get(name));
        let first = nodes.as_deref().and_then(first_host);
        let first = first.or_else(|| self.get("SLURM_LAUNCH_NODE_IPADDR"));
        match first {
            Some(host) if launcher.rank == SLURM || !on_one_machine => Ok(host),
            _ if on_one_machine => Ok(LOCALHOST.to_owned()),
            _ => Err(Error::variable(
                "MASTER_ADDR",
                "nothing",
                "the machine of rank 0, by name or address, as not all ranks are on one machine",
            )),
        }
    }

    fn port(&self, job: &str) -> Result<u16> {
        const NAME: &str = "MASTER_PORT";
        let Some(text) = self.get(NAME) else {
            return Ok(match job {
                "" => PORT,
                job => port_of(job),
            });
        };
        let port = text.parse::<u16>().ok().filter(|port| *port > 0);
        let port =
            port.ok_or_else(|| Error::variable(NAME, format!("{text:?}"), "a port, 1 to 65535"))?;
        // At the port itself torchrun's own store listens.
        let taken = self.get("TORCHELASTIC_USE_AGENT_STORE");
        Ok(match taken.as_deref() {
            Some("True") => port.checked_add(1).unwrap_or(port - 1),
            _ => port,
        })
    }

    fn job(&self) -> String {
        const NAMES: [&str; 4] = [
            JOB,
            "TORCHELASTIC_RUN_ID",
            "PMIX_NAMESPACE",
            "OMPI_MCA_ess_base_jobid",
        ];
        if let Some(job) = NAMES.iter().find_map(|name| self.get(name)) {
            return job;
        }
        let slurm = ["SLURM_JOB_ID", "SLURM_STEP_ID"];
        let slurm: Vec<String> = slurm.iter().filter_map(|name| self.get(name)).collect();
        slurm.join(".")
    }

    /// SLURM's tasks on each of its nodes, `2(x3),1`: those on the first, which has the most.
    fn tasks_of_this_node(&self, name: &str) -> Option<usize> {
        let text = self.get(name)?;
        let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    }
}

/// More processes are a mistake.
const MOST: usize = 1 << 16;

/// A port that follows from a run's name: below those that systems give away by themselves.
fn port_of(job: &str) -> u16 {
    // FNV-1a.
    let hash = job.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    20_000 + u16::try_from(hash % 12_000).unwrap_or(0)
}

/// Whether a host can only be this machine.
pub(crate) fn is_local(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The first of SLURM's list of machines: `gpu[007-010,12]-ib,login` gives `gpu007-ib`.
fn first_host(list: &str) -> Option<String> {
    let Some((before, rest)) = list
        .split_once('[')
        .filter(|(before, _)| !before.contains(','))
    else {
        let first = list.split(',').next()?.trim();
        return (!first.is_empty()).then(|| first.to_owned());
    };
    let (numbers, after) = rest.split_once(']')?;
    let number = numbers.split([',', '-']).next()?;
    let after = after.split(',').next()?;
    Some(format!("{before}{number}{after}"))
}

#[cfg(test)]
mod tests;
