//! The thread on which a backward pass keeps the graph of the gradients.
//!
//! A walk of our own would need to know which operation made a tensor, and candle 0.11.1 tells nobody: `Tensor::op` and all
//! that makes a `BackpropOp` are private to it. Its own walk keeps the graph on threads that found
//! `CANDLE_GRAD_DO_NOT_DETACH` in the environment at their first backward pass (`candle-core/src/backprop.rs` keeps
//! the answer in a thread-local), and there is no other way to ask for it.
//!
//! The environment belongs to the whole process. Whoever sets a variable while other threads run may crash C code that
//! reads another one, and makes every thread whose first pass falls into that moment keep its graphs for good. So it is
//! set where no other thread exists: before `main`. There one thread is started and makes its first pass, and the variable
//! is removed; afterwards the environment is left alone, and that thread serves the passes of all others, one after
//! the other (each has all cores for its kernels).

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::ffi::OsString;
use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvError, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use candle_core::{Device, Tensor, Var, backprop::GradStore};
use rayon::Yield;

use super::NO_WEIGHT_GRADS;
use crate::{Error, Result};

const SWITCH: &str = "CANDLE_GRAD_DO_NOT_DETACH";

/// candle walks a graph by recursion, and second-order graphs are deep. Only the pages that are touched take memory.
const STACK_BYTES: usize = 256 << 20;

/// Where passes are sent; nothing where the thread could not be started, or candle does not read the variable.
static THREAD: OnceLock<Option<Sender<Pass>>> = OnceLock::new();

thread_local! {
    static KEEPS_GRAPH: Cell<bool> = const { Cell::new(false) };
}

/// One backward pass.
struct Pass {
    y: Tensor,
    no_weight_grads: bool,
    answer: Sender<Answer>,
}

/// What a pass came to, or what it panicked with.
type Answer = std::result::Result<candle_core::Result<GradStore>, Box<dyn Any + Send>>;

/// Whether backward passes on this thread keep the graph of the gradients.
pub(super) fn keeps_graph() -> bool {
    KEEPS_GRAPH.get()
}

/// `y.backward()` on the thread that keeps the graph.
pub(super) fn backward(y: &Tensor) -> Result<GradStore> {
    let passes = THREAD.get().and_then(Option::as_ref);
    let passes = passes.ok_or(Error::NoGraph)?;
    let (answer, answered) = channel();
    let pass = Pass {
        y: y.clone(),
        no_weight_grads: NO_WEIGHT_GRADS.get(),
        answer,
    };
    passes.send(pass).map_err(|_| Error::NoGraph)?;
    match wait(&answered) {
        Ok(Ok(grads)) => Ok(grads?),
        Ok(Err(panic)) => resume_unwind(panic),
        Err(RecvError) => Err(Error::NoGraph),
    }
}

/// Waits for the answer. A thread of rayon's pool helps meanwhile: the kernels of the pass are for the pool, which may have no
/// other thread.
fn wait(answered: &Receiver<Answer>) -> std::result::Result<Answer, RecvError> {
    while let Some(found) = rayon::yield_now() {
        let patience = match found {
            Yield::Executed => Duration::ZERO,
            Yield::Idle => Duration::from_micros(20),
        };
        match answered.recv_timeout(patience) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Disconnected) => return Err(RecvError),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    answered.recv()
}

/// Makes passes for as long as the process runs.
fn serve(passes: Receiver<Pass>) {
    for pass in passes {
        NO_WEIGHT_GRADS.set(pass.no_weight_grads);
        let result = catch_unwind(AssertUnwindSafe(|| pass.y.backward()));
        // A caller waits for exactly this message.
        let _ = pass.answer.send(result);
    }
}

/// One backward pass through `y = (2v)²`. Its last step multiplies the gradient of `2v` by a number, so what arrives at `v`
/// tracks only if that gradient was not detached.
pub(super) fn probe() -> candle_core::Result<bool> {
    let v = Var::new(1f64, &Device::Cpu)?;
    let grads = v.affine(2.0, 0.0)?.sqr()?.backward()?;
    Ok(grads.get(&v).is_some_and(Tensor::track_op))
}

/// glibc gives each thread a heap of its own, at its first allocation. Other threads free most of what a pass allocates, so
/// this one shall allocate from theirs. It cannot be told so later.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn use_one_heap() {
    let tuned = |(name, _): (OsString, _)| name.as_encoded_bytes().starts_with(b"MALLOC_");
    if !std::env::vars_os().any(tuned) {
        // SAFETY: `mallopt` takes two plain numbers, and refuses those it does not like.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn use_one_heap() {}

/// Starts the thread. No other one may be running.
fn start() -> Option<Sender<Pass>> {
    static ASKED: AtomicBool = AtomicBool::new(false);
    use_one_heap();
    let (passes, queue) = channel();
    let before = std::env::var_os(SWITCH);
    // SAFETY: this runs before `main`, where nothing else reads or writes the environment.
    unsafe { std::env::set_var(SWITCH, "1") };
    let started = thread::Builder::new()
        .name("keep-graph".into())
        .stack_size(STACK_BYTES)
        .spawn(|| {
            let kept = probe().unwrap_or(false);
            KEEPS_GRAPH.set(kept);
            ASKED.store(true, Ordering::Release);
            // A queue that nobody reads refuses what is sent.
            if kept {
                serve(queue);
            }
        })
        .ok();
    // The standard library cannot park the main thread before `main`.
    while let Some(thread) = &started
        && !ASKED.load(Ordering::Acquire)
        && !thread.is_finished()
    {
        thread::yield_now();
    }
    // SAFETY: as above; the thread that was started has read what it wants.
    unsafe {
        match before {
            Some(value) => std::env::set_var(SWITCH, value),
            None => std::env::remove_var(SWITCH),
        }
    }
    started.map(|_| passes)
}

ctor::declarative::ctor! {
    #[ctor(unsafe)]
    fn start_before_main() {
        THREAD.get_or_init(start);
    }
}
