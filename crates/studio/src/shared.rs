//! What all answers are made of, and the ways to a picture.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use image::RgbImage;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::crop::Faces;
use crate::engine::{Frame, Info};
use crate::guard::Guard;
use crate::learn::Learner;
use crate::models::{self, Named};
use crate::photos::Photos;
use crate::queue::Queue;
use crate::refusal::Refusal;
use crate::server::{Config, Limits};
use crate::settings::Settings;
use crate::stamp::Stamp;
use crate::upload;
use crate::workspace::Workspace;

/// Pictures of one request after which others get their turn.
const TURN: usize = 8;

/// The model whose engine works.
#[derive(Clone)]
pub struct Shown {
    /// As the page calls it.
    pub name: String,
    pub info: Arc<Info>,
}

/// See the [module docs](self).
pub struct Shared {
    pub queue: Queue,
    pub guard: Guard,
    pub workspace: Workspace,
    pub learner: Arc<dyn Learner>,
    pub faces: Arc<dyn Faces>,
    pub limits: Limits,
    /// Those that the studio was told of.
    models: Vec<Named>,
    shown: Arc<Mutex<Shown>>,
    photos: Mutex<Photos>,
    /// Pictures are decoded and encoded by so many at once.
    coders: Semaphore,
}

impl Shared {
    pub fn new(
        shown: Shown,
        guard: Guard,
        config: Config,
        workspace: Workspace,
        learner: Arc<dyn Learner>,
        faces: Arc<dyn Faces>,
    ) -> Self {
        Self {
            queue: Queue::new(config.limits.queue),
            guard,
            workspace,
            learner,
            faces,
            limits: config.limits,
            models: config.models,
            shown: Arc::new(Mutex::new(shown)),
            photos: Mutex::default(),
            coders: Semaphore::new(2),
        }
    }

    pub fn shown(&self) -> Shown {
        locked(&self.shown).clone()
    }

    /// What there is to set.
    pub fn info(&self) -> Arc<Info> {
        self.shown().info
    }

    /// From now on this model's engine works.
    pub fn show(&self, shown: Shown) {
        *locked(&self.shown) = shown;
    }

    /// All models that the page can show.
    pub fn models(&self) -> Vec<Named> {
        let learnt = models::learnt(&self.workspace, &*self.learner);
        self.models.iter().cloned().chain(learnt).collect()
    }

    pub fn photos(&self) -> MutexGuard<'_, Photos> {
        locked(&self.photos)
    }

    /// Pictures of frames, in one turn of the engine, and whose engine it was.
    pub async fn draw(
        &self,
        frames: Vec<Frame>,
        view: Option<String>,
        draft: bool,
    ) -> Result<(Shown, Vec<RgbImage>), Refusal> {
        let photos = self.photos().of(&frames)?;
        let shown = self.shown.clone();
        let work = self.queue.ask(view, self.limits.draw, move |engine, stop| {
            // It may have waited while another model was opened.
            let shown = locked(&shown).clone();
            Ok((shown, engine.draw(&frames, &photos, draft, stop)?))
        });
        work.await
    }

    /// Pictures of many frames, all by one model. Other requests get their turn in between.
    pub async fn draw_all(
        &self,
        frames: &[Frame],
        view: Option<&str>,
        draft: bool,
    ) -> Result<(Shown, Vec<RgbImage>), Refusal> {
        // Where drafts are worth their while a picture takes long.
        let turn = if self.info().drafts { 1 } else { TURN };
        let mut pictures = Vec::with_capacity(frames.len());
        let mut first: Option<Shown> = None;
        for turn in frames.chunks(turn) {
            let drawn = self.draw(turn.to_vec(), view.map(str::to_owned), draft);
            let (shown, drawn) = drawn.await?;
            let first = first.get_or_insert_with(|| shown.clone());
            if !Arc::ptr_eq(&first.info, &shown.info) {
                return Err(Refusal::Superseded);
            }
            pictures.extend(drawn);
        }
        Ok((first.ok_or_else(no_picture)?, pictures))
    }

    /// A picture with its settings in it.
    pub async fn stamped(&self, settings: Settings) -> Result<Vec<u8>, Refusal> {
        settings.check(&self.info())?;
        let frames = vec![Frame::still(settings.clone())];
        let (shown, mut pictures) = self.draw(frames, None, false).await?;
        let picture = pictures.pop().ok_or_else(no_picture)?;
        let stamp = self.stamp(&shown, settings)?;
        self.apart(move || stamp.encode(&picture)).await
    }

    pub fn stamp(&self, shown: &Shown, settings: Settings) -> Result<Stamp, Refusal> {
        let photo = settings
            .photo()
            .map(|id| self.photos().get(id))
            .transpose()?;
        Ok(Stamp::new(&shown.info.model, settings, photo))
    }

    /// Work on pictures' bytes, which would keep all other answers waiting.
    pub async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let failed = || Refusal::Failed("the program failed at this picture".into());
        let _permit = self.coders.acquire().await.map_err(|_| failed())?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| failed())?
    }

    pub async fn json<T: DeserializeOwned>(&self, body: Body) -> Result<T, Refusal> {
        upload::json(body, self.limits.request).await
    }
}

/// No code that can panic runs under these locks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An engine that draws nothing is at fault.
pub fn no_picture() -> Refusal {
    Refusal::Failed("the generator made no picture".into())
}
