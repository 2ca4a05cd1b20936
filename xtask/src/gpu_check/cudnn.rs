//! Convolutions by cuDNN, beside those by our kernels.

use domex_cuda::cudnn::Cudnn;
use domex_error::Result;
use domex_ops::{allow_cudnn, computed_by_cudnn};
use serde_json::json;

use super::part::{Found, Setup};

/// What `run` makes without cuDNN, which may serve again afterwards, whatever happens.
pub fn without<R>(run: impl FnOnce() -> R) -> R {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            allow_cudnn(true);
        }
    }
    let _reset = Reset;
    allow_cudnn(false);
    run()
}

/// Why there is none, if there is none.
pub fn missing(setup: &Setup) -> Option<String> {
    match setup.on_card() {
        false => Some("the CPU has none".to_owned()),
        true => Cudnn::shared().err().map(|why| why.to_string()),
    }
}

/// What `run` finds, which is wrong where cuDNN had no part in it. It is not run where there is none.
pub fn served(setup: &Setup, run: impl FnOnce() -> Result<Found>) -> Result<Found> {
    if let Some(why) = missing(setup) {
        return Ok(Found {
            ok: true,
            text: format!("not run, for want of cuDNN: {why}"),
            figures: json!({}),
        });
    }
    let before = computed_by_cudnn();
    let found = run()?;
    if computed_by_cudnn() > before {
        return Ok(found);
    }
    Ok(Found {
        ok: false,
        text: format!("cuDNN did not compute it; {}", found.text),
        ..found
    })
}
