//! The server's thread: connections, and when it ends.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use domex_error::AnyError;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};

use crate::crop::Faces;
use crate::engine::Models;
use crate::guard::{Guard, Token};
use crate::learn::Learner;
use crate::models::Named;
use crate::queue::Opening;
use crate::routes::router;
use crate::shared::{Shared, Shown};
use crate::workspace::Workspace;
use crate::{Error, Result};

/// What is asked of a studio.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens: a name or an address of this machine.
    pub host: String,
    /// And at which port.
    pub port: Port,
    /// What others must know; needed where they can reach it.
    pub token: Option<Token>,
    /// Where presets are saved.
    pub workspace: PathBuf,
    /// The models that the page can show, beside those of expansions; the first is that which it begins with.
    pub models: Vec<Named>,
    /// How much it takes.
    pub limits: Limits,
}

/// A port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// This one alone.
    Only(u16),
    /// This one, or a free one.
    Preferably(u16),
}

/// How much is taken and waited for.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of settings.
    pub request: usize,
    /// Bytes of a picture file.
    pub upload: usize,
    /// Pixels of a picture.
    pub pixels: u64,
    /// Jobs that wait for the engine.
    pub queue: usize,
    /// Connections at once; others wait.
    pub connections: usize,
    /// Time for the head of a request, and that a connection may be idle.
    pub head: Duration,
    /// Time for pictures, with waiting.
    pub draw: Duration,
    /// Time for the search for a photo, with waiting.
    pub search: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: 256 << 10,
            upload: 32 << 20,
            pixels: 64_000_000,
            queue: 32,
            connections: 64,
            head: Duration::from_secs(30),
            draw: Duration::from_secs(120),
            search: Duration::from_secs(1800),
        }
    }
}

/// A studio that has its port and does not answer yet.
#[derive(Debug)]
pub struct Studio {
    listener: TcpListener,
    address: SocketAddr,
    workspace: Workspace,
    config: Config,
}

impl Studio {
    /// Takes the port.
    ///
    /// # Errors
    ///
    /// A host that is no address of this machine, or that others reach without a token; a port that is taken; a workspace that is no folder.
    pub fn bind(config: Config) -> Result<Self> {
        let ip = resolve(&config.host)?;
        if !ip.is_loopback() && config.token.is_none() {
            return Err(Error::Unguarded { host: config.host });
        }
        let workspace = Workspace::new(&config.workspace)?;
        let (listener, address) = listen(&config.host, ip, config.port)?;
        Ok(Self {
            listener,
            address,
            workspace,
            config,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to open in a browser of this machine, with the token.
    pub fn url(&self) -> String {
        let token = self.config.token.as_ref().map(Token::reveal);
        let token = token.map(|token| format!("#{token}")).unwrap_or_default();
        match self.address.ip().is_unspecified() {
            // All addresses, and so none that can be opened.
            true => format!("http://localhost:{}/{token}", self.address.port()),
            false => format!("http://{}/{token}", self.address),
        }
    }

    /// Answers until `ended`, which is asked some times a second between two jobs. Engines work on this thread, one at a time; what
    /// `learner` begins goes on afterwards; `faces` works on other threads. Where a model that the page wants cannot be opened, the one before is opened again.
    ///
    /// # Errors
    ///
    /// [`Error::Start`], [`Error::Model`].
    pub fn run(
        self,
        models: &mut dyn Models,
        learner: Arc<dyn Learner>,
        faces: Arc<dyn Faces>,
        ended: &dyn Fn() -> bool,
    ) -> Result<()> {
        let first = self.config.models.first().cloned();
        let mut now = first.ok_or(Error::Model(AnyError::internal("a studio without a model")))?;
        let mut begin = Some(|shown| self.begin(shown, learner, faces));
        let mut serving: Option<Result<Serving>> = None;
        // The model before, and who waits for the one that comes.
        let mut change: Option<(Named, Opening)> = None;
        loop {
            let mut next = None;
            let opened = models.open(&now.model, &mut |engine| {
                let shown = Shown {
                    name: now.name.clone(),
                    info: Arc::new(engine.info()),
                };
                if let Some(begin) = begin.take() {
                    serving = Some(begin(shown.clone()));
                }
                let Some(Ok(serving)) = &serving else { return };
                serving.shared.show(shown);
                if let Some((_, opening)) = change.take() {
                    opening.answer(Ok(()));
                }
                next = serving.shared.queue.serve(engine, ended);
            });
            match (opened, change.take(), next) {
                (Ok(()), _, Some(opening)) => {
                    let before = std::mem::replace(&mut now, opening.model.clone());
                    change = Some((before, opening));
                }
                (Ok(()), _, None) => return serving.transpose().map(drop),
                (Err(error), Some((before, opening)), _) => {
                    opening.answer(Err(error));
                    now = before;
                }
                (Err(error), None, _) => return Err(Error::Model(error)),
            }
        }
    }

    /// Starts the server's thread.
    fn begin(
        self,
        shown: Shown,
        learner: Arc<dyn Learner>,
        faces: Arc<dyn Faces>,
    ) -> Result<Serving> {
        let guard = Guard::new(self.address.ip(), self.config.token.clone());
        let (connections, head) = (self.config.limits.connections, self.config.limits.head);
        let shared = Shared::new(shown, guard, self.config, self.workspace, learner, faces);
        let shared = Arc::new(shared);
        let app = router(shared.clone());
        self.listener.set_nonblocking(true).map_err(Error::Start)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::Start)?;
        let (end, told_to_end) = oneshot::channel();
        let listener = self.listener;
        let server = std::thread::Builder::new()
            .name("studio".into())
            .spawn(move || {
                serve(runtime, listener, app, connections, head, told_to_end);
            });
        Ok(Serving {
            shared,
            end: Some(end),
            server: Some(server.map_err(Error::Start)?),
        })
    }
}

/// The server while it answers. It ends with this.
struct Serving {
    shared: Arc<Shared>,
    end: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.end.take().map(|end| end.send(()));
        drop(self.server.take().map(JoinHandle::join));
    }
}

/// The thread: until it is told to end.
fn serve(
    runtime: Runtime,
    listener: TcpListener,
    app: Router,
    connections: usize,
    head: Duration,
    told_to_end: oneshot::Receiver<()>,
) {
    runtime.spawn(accept(listener, app, connections, head));
    drop(runtime.block_on(told_to_end));
    // What is still being encoded is nobody's any more.
    runtime.shutdown_timeout(Duration::from_secs(1));
}

async fn accept(listener: TcpListener, app: Router, connections: usize, head: Duration) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("the server cannot listen: {error}"),
    };
    let free = Arc::new(Semaphore::new(connections));
    while let Ok(permit) = free.clone().acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Such as too many open files: others close some.
                tracing::warn!("a connection was not taken: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Answers are small and wanted at once.
        drop(stream.set_nodelay(true));
        let service = TowerToHyperService::new(app.clone());
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(head);
            if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!("a connection ended early: {error}");
            }
            drop(permit);
        });
    }
}

fn resolve(host: &str) -> Result<IpAddr> {
    let failed = |reason: String| Error::Host {
        host: host.to_owned(),
        reason,
    };
    let mut found = (host, 0)
        .to_socket_addrs()
        .map_err(|error| failed(error.to_string()))?;
    let first = found.next().ok_or_else(|| failed("no address".into()))?;
    Ok(first.ip())
}

fn listen(host: &str, ip: IpAddr, port: Port) -> Result<(TcpListener, SocketAddr)> {
    let (Port::Only(wanted) | Port::Preferably(wanted)) = port;
    let taken = |error: std::io::Error| match error.kind() {
        // No port of it can be had.
        ErrorKind::AddrNotAvailable => Error::Host {
            host: host.to_owned(),
            reason: error.to_string(),
        },
        _ => Error::Port {
            port: wanted,
            reason: error.to_string(),
        },
    };
    let listener = match (TcpListener::bind((ip, wanted)), port) {
        (Err(_), Port::Preferably(_)) => TcpListener::bind((ip, 0)),
        (bound, _) => bound,
    };
    let listener = listener.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    Ok((listener, address))
}
