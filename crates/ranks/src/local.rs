//! Ranks on this machine without a launcher.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use crate::launch::{JOB, LOCALHOST, Launch, PATIENCE};
use crate::{Error, Group, Result};

/// The processes of the other ranks. Those that still run are killed when this goes.
#[derive(Debug)]
pub struct Children(Vec<Child>);

impl Launch {
    /// Rank 0 of `size` ranks on this machine.
    pub fn local(size: usize) -> Self {
        Self {
            rank: 0,
            size,
            local_rank: 0,
            local_size: size,
            host: LOCALHOST.to_owned(),
            port: 0,
            job: String::new(),
            patience: PATIENCE,
            hint: "",
        }
    }
}

impl Group {
    /// Starts the other ranks of `launch`, which is [local](Launch::local), and is its rank 0. `command` makes the command of one of
    /// them; what they are goes into its environment, and what they print on stdout nowhere.
    ///
    /// # Errors
    ///
    /// A process that cannot be started, or ends before it has come.
    pub fn start(
        launch: &Launch,
        version: &str,
        command: &dyn Fn() -> Command,
    ) -> Result<(Self, Children)> {
        let port = |error| Error::system("a port for the ranks of this machine")(error);
        let listener = TcpListener::bind((LOCALHOST, 0)).map_err(port)?;
        let port = listener.local_addr().map_err(port)?.port();
        let launch = Launch {
            port,
            job: format!("{}-{port}", std::process::id()),
            ..launch.clone()
        };
        let mut children = Children(Vec::new());
        for rank in 1..launch.size {
            let mut command = command();
            for (name, value) in [
                ("RANK", rank.to_string()),
                ("LOCAL_RANK", rank.to_string()),
                ("WORLD_SIZE", launch.size.to_string()),
                ("LOCAL_WORLD_SIZE", launch.size.to_string()),
                ("MASTER_ADDR", LOCALHOST.to_owned()),
                ("MASTER_PORT", port.to_string()),
                (JOB, launch.job.clone()),
            ] {
                command.env(name, value);
            }
            command.stdin(Stdio::null()).stdout(Stdio::null());
            let child = command.spawn().map_err(Error::system("another rank"))?;
            children.0.push(child);
        }
        let group = Self::host(&listener, &launch, version, &mut || children.check())?;
        Ok((group, children))
    }
}

impl Children {
    /// That none has ended.
    fn check(&mut self) -> Result<()> {
        for (at, child) in self.0.iter_mut().enumerate() {
            if !matches!(child.try_wait(), Ok(None)) {
                return Err(Error::Lost { rank: at + 1 });
            }
        }
        Ok(())
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
