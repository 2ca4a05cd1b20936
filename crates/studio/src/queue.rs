//! The line in which requests wait for the engine: bounded, and without what nobody waits for any more.
//!
//! A job may belong to a *view* of a page, such as its large picture. Only the newest job of a view waits: an older one gives it its place.
//!
//! When another model is wanted, the engine's work ends with that, and what waits is dropped: it was asked of the model before. What
//! comes before that model is there waits for it; pictures of several turns have to be of one.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domex_error::AnyError;
use tokio::sync::oneshot;

use crate::engine::{Engine, Stop};
use crate::models::Named;
use crate::refusal::Refusal;

/// How often an engine without work asks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// The view of those who want another model.
const OPENING: &str = "opening";

type Task = Box<dyn FnOnce(&mut dyn Engine, &Stop) + Send>;

enum Work {
    Task(Task),
    Open(Opening),
}

struct Job {
    view: Option<String>,
    stop: Stop,
    work: Work,
}

/// Another model, and who waits for it.
pub struct Opening {
    /// Which one.
    pub model: Named,
    answer: oneshot::Sender<domex_error::Result<()>>,
}

impl Opening {
    /// It is there, or why not.
    pub fn answer(self, opened: domex_error::Result<()>) {
        // Nobody may wait any more.
        drop(self.answer.send(opened));
    }
}

/// See the [module docs](self). Clones are the same queue.
#[derive(Clone)]
pub struct Queue(Arc<Inner>);

struct Inner {
    jobs: Mutex<VecDeque<Job>>,
    arrived: Condvar,
    most: usize,
}

impl Queue {
    /// In which at most so many jobs wait.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Inner {
            jobs: Mutex::new(VecDeque::new()),
            arrived: Condvar::new(),
            most,
        }))
    }

    /// What the engine makes of `work`. When the caller is dropped, as it is when a page closes its connection, the work is stopped.
    ///
    /// # Errors
    ///
    /// The engine's; [`Refusal::Superseded`] by a newer job of the view, [`Refusal::Busy`] when too many wait, [`Refusal::TooLong`] after
    /// `limit`.
    pub async fn ask<T: Send + 'static>(
        &self,
        view: Option<String>,
        limit: Duration,
        work: impl FnOnce(&mut dyn Engine, &Stop) -> domex_error::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (sender, receiver) = oneshot::channel();
        let task = Box::new(move |engine: &mut dyn Engine, stop: &Stop| {
            // A fault of the engine with one request is no reason to close the page for all others.
            let done = catch_unwind(AssertUnwindSafe(|| work(engine, stop)));
            let done =
                done.unwrap_or_else(|_| Err(AnyError::internal("the program failed at this")));
            // Nobody may wait any more.
            drop(sender.send(done));
        });
        self.wait(view, limit, Work::Task(task), receiver).await
    }

    /// Has the studio open another model, and waits until it is there.
    ///
    /// # Errors
    ///
    /// As of [`ask`](Self::ask), and what keeps the model from being opened.
    pub async fn open(&self, model: Named, limit: Duration) -> Result<(), Refusal> {
        let (answer, receiver) = oneshot::channel();
        let work = Work::Open(Opening { model, answer });
        self.wait(Some(OPENING.to_owned()), limit, work, receiver)
            .await
    }

    async fn wait<T>(
        &self,
        view: Option<String>,
        limit: Duration,
        work: Work,
        receiver: oneshot::Receiver<domex_error::Result<T>>,
    ) -> Result<T, Refusal> {
        let stop = Stop::default();
        self.push(Job {
            view,
            stop: stop.clone(),
            work,
        })?;
        let _in_vain_after_this = StopOnDrop(stop);
        match tokio::time::timeout(limit, receiver).await {
            Err(_) => Err(Refusal::TooLong(limit)),
            // A job is dropped unasked only for a newer one.
            Ok(Err(_)) => Err(Refusal::Superseded),
            Ok(Ok(done)) => Ok(done?),
        }
    }

    fn push(&self, job: Job) -> Result<(), Refusal> {
        let mut jobs = self.jobs();
        jobs.retain(|waiting| !waiting.stop.is_set());
        let same = |waiting: &Job| waiting.view.is_some() && waiting.view == job.view;
        match jobs.iter().position(same) {
            Some(older) => jobs[older] = job,
            None if jobs.len() >= self.0.most => return Err(Refusal::Busy),
            None => jobs.push_back(job),
        }
        drop(jobs);
        self.0.arrived.notify_one();
        Ok(())
    }

    /// Gives one job after the other to the engine, until another model is wanted, or `ended`: `None`.
    pub fn serve(&self, engine: &mut dyn Engine, ended: &dyn Fn() -> bool) -> Option<Opening> {
        let mut opening = None;
        while opening.is_none() && !ended() {
            let job = self.next().filter(|job| !job.stop.is_set());
            match job.map(|job| (job.work, job.stop)) {
                Some((Work::Task(task), stop)) => task(engine, &stop),
                Some((Work::Open(wanted), _)) => opening = Some(wanted),
                None => {}
            }
        }
        self.jobs().clear();
        opening
    }

    fn next(&self) -> Option<Job> {
        let jobs = self.jobs();
        let waited = self
            .0
            .arrived
            .wait_timeout_while(jobs, LOOK, |jobs| jobs.is_empty());
        let (mut jobs, _) = waited.unwrap_or_else(PoisonError::into_inner);
        jobs.pop_front()
    }

    fn jobs(&self) -> MutexGuard<'_, VecDeque<Job>> {
        // No code that can panic runs under the lock.
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}
