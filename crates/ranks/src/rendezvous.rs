//! How ranks find one another.
//!
//! Rank 0 listens. Every other rank listens on a port of its own, comes to rank 0 and says which one, with what shows that it is of
//! this run. When all are there rank 0 tells each where the rank before it is; rank 1 keeps the connection it has. Who connects
//! and is none of them is sent away with the reason: a port scanner, a rank of another run or of another version of the program.
//!
//! A message is [`MAGIC`], its length in four bytes (at most [`LONGEST`]), and a JSON object.

use std::io::{self, Read as _, Write as _};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _,
};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::launch::is_local;
use crate::link::Link;
use crate::{Error, Group, Launch, Result};

const MAGIC: [u8; 8] = *b"domexrk1";

/// Bytes of a message.
const LONGEST: usize = 4096;

/// For a message of somebody who has connected.
const MESSAGE: Duration = Duration::from_secs(3);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// What a rank says when it has connected.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Hello {
    rank: usize,
    size: usize,
    version: String,
    job: String,
    /// Where it listens.
    port: u16,
}

/// What it is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Answer {
    /// Where the rank before it listens; without an address, on the machine of rank 0.
    Welcome {
        address: Option<IpAddr>,
        port: u16,
    },
    Refused(String),
}

impl Group {
    /// Finds the other ranks of this run. `version` is the program's; all must have the same.
    ///
    /// # Errors
    ///
    /// A port that is taken, ranks that do not come in time, or one that does not belong here.
    pub fn join(launch: &Launch, version: &str) -> Result<Self> {
        match launch.rank {
            0 => {
                let address = SocketAddr::new(own_address(&launch.host), launch.port);
                let listener = TcpListener::bind(address).map_err(|error| Error::Port {
                    port: launch.port,
                    reason: error.to_string(),
                })?;
                Self::host(&listener, launch, version, &mut || Ok(()))
            }
            _ => come(launch, version),
        }
    }

    /// As rank 0, on a port that is bound already. `check` is asked meanwhile, and may end the wait.
    pub(crate) fn host(
        listener: &TcpListener,
        launch: &Launch,
        version: &str,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Self> {
        let wait = Wait {
            launch,
            version,
            begin: Instant::now(),
        };
        let mut came: Vec<Option<(TcpStream, Hello)>> = (1..launch.size).map(|_| None).collect();
        let mut refused = None;
        while came.iter().any(Option::is_none) {
            let missing = || {
                let ranks = came.iter().enumerate();
                let ranks = ranks.filter(|(_, came)| came.is_none());
                ranks.map(|(at, _)| at + 1).collect::<Vec<_>>()
            };
            check()?;
            let Some(stream) = wait.accept(listener, &missing, &refused)? else {
                continue;
            };
            let known = |rank: usize| came[rank - 1].is_none();
            match wait.hello(&stream, &known) {
                Ok(hello) => {
                    let at = hello.rank - 1;
                    came[at] = Some((stream, hello));
                }
                Err(reason) => refused = Some(reason),
            }
        }
        let came: Vec<(TcpStream, Hello)> = came.into_iter().flatten().collect();
        let mut before = None;
        for (stream, hello) in &came {
            let answer = match before {
                // Rank 1 has its connection.
                None => Answer::Welcome {
                    address: None,
                    port: launch.port,
                },
                Some((address, port)) => Answer::Welcome { address, port },
            };
            let lost = |_| Error::Lost { rank: hello.rank };
            say(stream, &answer).map_err(lost)?;
            let address = stream.peer_addr().map_err(lost)?.ip();
            before = Some((Some(address).filter(|ip| !is_loopback(*ip)), hello.port));
        }
        let first = came.into_iter().next();
        let above = first.map(|(stream, _)| link(stream, 1)).transpose()?;
        Ok(Self::new(0, launch.size, None, above))
    }
}

/// As any other rank.
fn come(launch: &Launch, version: &str) -> Result<Group> {
    let wait = Wait {
        launch,
        version,
        begin: Instant::now(),
    };
    let rank = launch.rank;
    let system = |error| Error::system("a port for the next rank")(error);
    let any = SocketAddr::new(own_address(&launch.host), 0);
    let listener = TcpListener::bind(any).map_err(system)?;
    let port = listener.local_addr().map_err(system)?.port();
    let first = wait.connect(0, &|| {
        (&*launch.host, launch.port)
            .to_socket_addrs()
            .map(Iterator::collect)
    })?;
    let (address, port_below) = wait.introduce(&first, 0, port)?;
    let below = match rank {
        1 => first,
        _ => {
            let host = first.peer_addr().map_err(system)?.ip();
            let address = SocketAddr::new(address.unwrap_or(host), port_below);
            let below = wait.connect(rank - 1, &|| Ok(vec![address]))?;
            wait.introduce(&below, rank - 1, port)?;
            below
        }
    };
    let above = match rank + 1 == launch.size {
        true => None,
        false => Some(wait.next(&listener)?),
    };
    let above = above.map(|stream| link(stream, rank + 1)).transpose()?;
    let below = Some(link(below, rank - 1)?);
    Ok(Group::new(rank, launch.size, below, above))
}

/// The beginning of a run, as one rank sees it.
struct Wait<'a> {
    launch: &'a Launch,
    version: &'a str,
    begin: Instant,
}

impl Wait<'_> {
    fn is_over(&self) -> bool {
        self.begin.elapsed() > self.launch.patience
    }

    /// Somebody who connects; `None` for nobody yet.
    fn accept(
        &self,
        listener: &TcpListener,
        missing: &dyn Fn() -> Vec<usize>,
        refused: &Option<String>,
    ) -> Result<Option<TcpStream>> {
        let system = |error| Error::system("the port of this rank")(error);
        listener.set_nonblocking(true).map_err(system)?;
        match listener.accept() {
            Ok((stream, _)) => {
                // On some systems it is as its listener is.
                stream.set_nonblocking(false).map_err(system)?;
                return Ok(Some(stream));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Whoever connected has gone already.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(system(error)),
        }
        if self.is_over() {
            let missing = missing();
            let names = missing.iter().take(8).map(ToString::to_string);
            let names = names.collect::<Vec<_>>().join(", ");
            let (plural, more) = match missing.len() {
                1 => ("", String::new()),
                2..=8 => ("s", String::new()),
                all => ("s", format!(" and {} more", all - 8)),
            };
            let hint = match refused {
                Some(reason) => format!("; one was refused: {reason}"),
                None => self.launch.hint.to_owned(),
            };
            return Err(Error::Missing {
                rank: self.launch.rank,
                seconds: self.launch.patience.as_secs(),
                missing: format!("rank{plural} {names}{more}"),
                hint,
            });
        }
        std::thread::sleep(PAUSE);
        Ok(None)
    }

    /// Who has connected, if it is a rank that is waited for; it is told why not.
    fn hello(
        &self,
        stream: &TcpStream,
        is_missing: &dyn Fn(usize) -> bool,
    ) -> std::result::Result<Hello, String> {
        let hello = hear::<Hello>(stream, MESSAGE).map_err(|error| error.to_string())?;
        let Launch { size, job, .. } = self.launch;
        let reason = if hello.job != *job {
            Some(format!("it is of run {:?}, this is {job:?}", hello.job))
        } else if hello.version != self.version {
            let (there, here) = (&hello.version, self.version);
            Some(format!("it has version {there:?}, here is {here:?}"))
        } else if hello.size != *size {
            let there = hello.size;
            Some(format!("it is one of {there} ranks, here are {size}"))
        } else if !(1..*size).contains(&hello.rank) || !is_missing(hello.rank) {
            let rank = hello.rank;
            Some(format!("rank {rank} is not waited for, or there already"))
        } else {
            None
        };
        match reason {
            None => Ok(hello),
            Some(reason) => {
                // It may have gone.
                drop(say(stream, &Answer::Refused(reason.clone())));
                Err(reason)
            }
        }
    }

    /// A connection to a rank, which may not listen yet.
    fn connect(
        &self,
        to: usize,
        addresses: &dyn Fn() -> io::Result<Vec<SocketAddr>>,
    ) -> Result<TcpStream> {
        loop {
            let tried = addresses().and_then(|all| {
                let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
                for address in &all {
                    match TcpStream::connect_timeout(address, MESSAGE) {
                        Ok(stream) => return Ok(stream),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            });
            match tried {
                Ok(stream) => return Ok(stream),
                Err(error) if self.is_over() => return Err(self.unreachable(to, &error)),
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    fn unreachable(&self, to: usize, error: &io::Error) -> Error {
        let Launch { host, port, .. } = self.launch;
        Error::Unreachable {
            rank: self.launch.rank,
            to,
            address: match to {
                0 => format!("{host}:{port}"),
                _ => "the address that rank 0 gave".to_owned(),
            },
            seconds: self.begin.elapsed().as_secs(),
            reason: error.to_string(),
        }
    }

    /// Says who this is; where the rank before this one is.
    fn introduce(&self, stream: &TcpStream, to: usize, port: u16) -> Result<(Option<IpAddr>, u16)> {
        let hello = Hello {
            rank: self.launch.rank,
            size: self.launch.size,
            version: self.version.to_owned(),
            job: self.launch.job.clone(),
            port,
        };
        let left = self.launch.patience.saturating_sub(self.begin.elapsed());
        // It answers when all are there, and may have begun to wait later than this one.
        let answer = say(stream, &hello).and_then(|()| hear(stream, left + 2 * MESSAGE));
        match answer {
            Ok(Answer::Welcome { address, port }) => Ok((address, port)),
            Ok(Answer::Refused(reason)) => Err(Error::Refused {
                rank: self.launch.rank,
                by: to,
                reason,
            }),
            Err(error) => Err(self.unreachable(to, &error)),
        }
    }

    /// The next rank, when it connects.
    fn next(&self, listener: &TcpListener) -> Result<TcpStream> {
        let next = self.launch.rank + 1;
        let mut refused = None;
        loop {
            let Some(stream) = self.accept(listener, &|| vec![next], &refused)? else {
                continue;
            };
            match self.hello(&stream, &|rank| rank == next) {
                Ok(_) => {
                    let answer = Answer::Welcome {
                        address: None,
                        port: 0,
                    };
                    let lost = |_| Error::Lost { rank: next };
                    say(&stream, &answer).map_err(lost)?;
                    return Ok(stream);
                }
                Err(reason) => refused = Some(reason),
            }
        }
    }
}

fn link(stream: TcpStream, rank: usize) -> Result<Link> {
    Link::new(stream, rank).map_err(Error::system("a connection between ranks"))
}

/// Where to listen for those who may come to this host.
fn own_address(host: &str) -> IpAddr {
    match host.parse() {
        Ok(IpAddr::V6(address)) if address.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        Ok(IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        _ if is_local(host) => Ipv4Addr::LOCALHOST.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    }
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => {
            address.is_loopback()
                || address
                    .to_ipv4_mapped()
                    .is_some_and(|address| address.is_loopback())
        }
    }
}

fn say(mut stream: &TcpStream, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    stream.set_write_timeout(Some(MESSAGE))?;
    stream.write_all(&[&MAGIC[..], &length.to_le_bytes(), &text].concat())
}

/// A message that arrives in time.
fn hear<T: DeserializeOwned>(stream: &TcpStream, within: Duration) -> io::Result<T> {
    let end = Instant::now() + within;
    let stranger = || io::Error::other("what answers there is no rank of domex");
    let mut head = [0; 12];
    read(stream, &mut head, end)?;
    let length = <[u8; 4]>::try_from(&head[8..]).map_or(u32::MAX, u32::from_le_bytes) as usize;
    if head[..8] != MAGIC || length > LONGEST {
        return Err(stranger());
    }
    let mut text = vec![0; length];
    read(stream, &mut text, end)?;
    serde_json::from_slice(&text).map_err(|_| stranger())
}

fn read(mut stream: &TcpStream, mut into: &mut [u8], end: Instant) -> io::Result<()> {
    while !into.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(into) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => into = &mut into[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
