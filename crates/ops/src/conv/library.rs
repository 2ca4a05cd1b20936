//! Whether cuDNN may compute convolutions on a CUDA device, where it is there.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static ALLOWED: AtomicBool = AtomicBool::new(true);
static COMPUTED: AtomicUsize = AtomicUsize::new(0);

/// Whether convolutions on CUDA devices may be cuDNN's. They may until this says otherwise; without cuDNN it changes nothing.
pub fn allow_cudnn(allow: bool) {
    ALLOWED.store(allow, Ordering::Relaxed);
}

/// How many convolutions of this process cuDNN has computed: for those who want to know whether it does.
#[must_use]
pub fn computed_by_cudnn() -> usize {
    COMPUTED.load(Ordering::Relaxed)
}

#[cfg(feature = "cuda")]
pub(super) fn allowed() -> bool {
    ALLOWED.load(Ordering::Relaxed)
}

/// One more.
#[cfg(feature = "cuda")]
pub(super) fn computed() {
    COMPUTED.fetch_add(1, Ordering::Relaxed);
}
