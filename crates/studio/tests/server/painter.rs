//! An engine that paints plain colours, and a studio of it in a folder of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use domex_error::{AnyError, user_error};
use domex_studio::learn::{Given, State};
use domex_studio::{
    Config, Direction, Engine, Faces, Found, Frame, Info, Learner, Limits, Models, Named,
    PhotoBytes, PhotoId, PhotoSupport, Port, Progress, Source, Stop, Studio, Token, Wanted,
};
use image::{Rgb, RgbImage};
use tempfile::TempDir;

use crate::client::{Answer, Request};

/// Pixels on a side.
const SIDE: u32 = 8;

/// A seed at which the engine waits until it is released.
pub const HELD: u32 = 1_000_000;

/// A seed at which the engine panics.
pub const FAULTY: u32 = 1_000_001;

/// A model with another domain, in which photos of the first lie nowhere.
pub const OTHER: &str = "other";

/// A model that cannot be opened.
pub const BROKEN: &str = "broken";

/// What it finds for every photo.
const PHOTO: &[u8] = b"toy";

/// Paints every model but `broken`, and writes its name into the info.
struct Painters {
    drawn: Arc<Mutex<Vec<u32>>>,
    gate: Arc<Gate>,
}

impl Models for Painters {
    fn open(
        &mut self,
        model: &str,
        work: &mut dyn FnMut(&mut dyn Engine),
    ) -> domex_error::Result<()> {
        if model == BROKEN {
            return Err(user_error("it is damaged"));
        }
        let mut painter = Painter {
            model: model.to_owned(),
            drawn: self.drawn.clone(),
            gate: self.gate.clone(),
        };
        work(&mut painter);
        Ok(())
    }
}

struct Painter {
    model: String,
    drawn: Arc<Mutex<Vec<u32>>>,
    gate: Arc<Gate>,
}

/// Where the engine waits.
#[derive(Default)]
struct Gate {
    reached: AtomicBool,
    open: AtomicBool,
}

/// Waits for somebody else, for at most some seconds.
fn wait_for(flag: &AtomicBool) {
    for _ in 0..2000 {
        if flag.load(Ordering::SeqCst) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Engine for Painter {
    fn info(&self) -> Info {
        Info {
            model: self.model.clone(),
            kind: "plain colours".into(),
            resolution: SIDE,
            domains: match self.model == OTHER {
                true => vec!["owl".into()],
                false => vec!["elf".into(), "sketch".into()],
            },
            directions: vec![Direction {
                dimension: 4,
                reach: 0.5,
            }],
            styles: 0,
            regions: false,
            drafts: false,
            photos: Some(PhotoSupport {
                steps: 3,
                least: 0,
                how: "by looking".into(),
            }),
        }
    }

    fn draw(
        &mut self,
        frames: &[Frame],
        photos: &BTreeMap<PhotoId, PhotoBytes>,
        _: bool,
        _: &Stop,
    ) -> domex_error::Result<Vec<RgbImage>> {
        let paint = |frame: &Frame| {
            let green = (frame.from.domains.get("elf").unwrap_or(&0.0) * 100.0) as u8;
            let colour = match &frame.from.source {
                Source::Photo(id) if *photos[id] == *PHOTO && self.model != OTHER => {
                    [0, green, 200]
                }
                Source::Photo(_) => return Err(user_error("no photo of the toy")),
                Source::Seed(FAULTY) => panic!("as it was asked to"),
                Source::Seed(seed) => {
                    if *seed == HELD {
                        self.gate.reached.store(true, Ordering::SeqCst);
                        wait_for(&self.gate.open);
                    }
                    self.drawn.lock().unwrap().push(*seed);
                    [*seed as u8, green, 0]
                }
            };
            Ok::<_, AnyError>(RgbImage::from_pixel(SIDE, SIDE, Rgb(colour)))
        };
        frames.iter().map(paint).collect()
    }

    fn find(&mut self, photo: &RgbImage, steps: u32, _: &Stop) -> domex_error::Result<Found> {
        assert_eq!(photo.dimensions(), (SIDE, SIDE));
        Ok(Found {
            bytes: PHOTO.to_vec(),
            likeness: format!("{steps} steps"),
        })
    }
}

/// Sees two faces in every photo.
struct Two;

impl Faces for Two {
    fn missing(&self) -> Option<String> {
        None
    }

    fn cut(
        &self,
        photo: &RgbImage,
        number: Option<u16>,
        side: u32,
    ) -> domex_error::Result<(RgbImage, Vec<String>)> {
        let (number, (width, height)) = (number.unwrap_or(1), photo.dimensions());
        match number {
            1 | 2 => Ok((
                RgbImage::new(side, side),
                vec![format!("face {number} of {width} × {height}")],
            )),
            _ => Err(user_error(format!("there is no face {number}"))),
        }
    }
}

/// Learns nothing: a run is a folder, and stopped once it has a file `stopped`.
struct Idler;

impl Learner for Idler {
    fn begin(&self, wanted: &Wanted, folder: &Path) -> domex_error::Result<()> {
        std::fs::create_dir(folder)?;
        Ok(std::fs::write(
            folder.join("domains"),
            wanted.domains.join("\n"),
        )?)
    }

    fn resume(&self, folder: &Path) -> domex_error::Result<()> {
        Ok(std::fs::remove_file(folder.join("stopped"))?)
    }

    fn stop(&self, folder: &Path) -> domex_error::Result<()> {
        Ok(std::fs::write(folder.join("stopped"), "")?)
    }

    fn adapt(&self, given: &Given, folder: &Path) -> domex_error::Result<()> {
        let domains = match given {
            Given::Words(words) if words.contains(&"nothing".to_owned()) => {
                return Err(user_error("no network serves this model"));
            }
            Given::Words(words) => words.join("\n"),
            Given::Picture(picture, name) => format!("{name} of {} pixels", picture.width()),
        };
        std::fs::create_dir(folder)?;
        std::fs::write(folder.join("model"), "")?;
        Ok(std::fs::write(folder.join("domains"), domains)?)
    }

    fn progress(&self, folder: &Path) -> Progress {
        Progress {
            state: match folder.join("stopped").exists() {
                true => State::Stopped,
                false => State::Running,
            },
            step: 1,
            steps: 2,
            seconds_left: None,
            losses: BTreeMap::new(),
            picture: None,
            told: None,
        }
    }

    fn model(&self, folder: &Path) -> Option<PathBuf> {
        let model = folder.join("model");
        model.exists().then_some(model)
    }

    fn picture(&self, _: &Path) -> Option<Vec<u8>> {
        None
    }
}

/// A studio that answers until it is dropped.
pub struct Served {
    address: SocketAddr,
    drawn: Arc<Mutex<Vec<u32>>>,
    gate: Arc<Gate>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    root: TempDir,
}

impl Served {
    pub fn new() -> Self {
        Self::with(Limits::default(), None)
    }

    pub fn with(limits: Limits, token: Option<Token>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let config = Config {
            host: "127.0.0.1".into(),
            port: Port::Only(0),
            token,
            workspace: root.path().join("workspace"),
            models: ["toy", OTHER, BROKEN]
                .map(|name| Named {
                    name: name.to_owned(),
                    model: name.to_owned(),
                })
                .to_vec(),
            limits,
        };
        let studio = Studio::bind(config).unwrap();
        let (ended, drawn) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let gate = Arc::new(Gate::default());
        let mut painters = Painters {
            drawn: Arc::clone(&drawn),
            gate: Arc::clone(&gate),
        };
        let (address, end) = (studio.address(), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            studio
                .run(&mut painters, Arc::new(Idler), Arc::new(Two), &|| {
                    end.load(Ordering::Relaxed)
                })
                .unwrap();
        });
        Self {
            address,
            drawn,
            gate,
            ended,
            thread: Some(thread),
            root,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn ask(&self, request: &Request) -> Answer {
        request.answer(self.address)
    }

    pub fn ask_later(&self, request: &Request) -> JoinHandle<Answer> {
        let (request, address) = (request.clone(), self.address);
        std::thread::spawn(move || request.answer(address))
    }

    /// Closes the connection before there is an answer.
    pub fn ask_and_leave(&self, request: &Request) {
        let stream = request.send(self.address);
        std::thread::sleep(Duration::from_millis(100));
        drop(stream);
    }

    /// Asks for a picture of the seed at which the engine waits, once it does.
    pub fn hold(&self, request: &Request) -> JoinHandle<Answer> {
        let held = self.ask_later(request);
        wait_for(&self.gate.reached);
        held
    }

    /// Lets the engine go on.
    pub fn release(&self) {
        self.gate.open.store(true, Ordering::SeqCst);
    }

    /// The seeds of all pictures so far.
    pub fn drawn(&self) -> Vec<u32> {
        self.drawn.lock().unwrap().clone()
    }

    /// A file in the folder in which the workspace lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// All files in the folder in which the workspace lies.
    pub fn files(&self) -> Vec<String> {
        let mut folders = vec![self.root.path().to_owned()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => files.push(
                        path.strip_prefix(self.root.path())
                            .unwrap()
                            .to_str()
                            .unwrap()
                            .to_owned(),
                    ),
                }
            }
        }
        files
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// The picture in an answer.
pub fn picture(answer: &Answer) -> RgbImage {
    assert_eq!(answer.status, 200, "{}", answer.text());
    domex_data::picture::decode(&answer.body, "answer".as_ref()).unwrap()
}

/// A PNG file of this size.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    domex_data::picture::encode_png(&RgbImage::from_pixel(width, height, Rgb([9, 99, 199])))
        .unwrap()
}
