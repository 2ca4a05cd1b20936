//! The page's files, as they are in the program.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::refusal::Refusal;

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($($name:literal $kind:expr,)+) => {
        &[$(($name, $kind, include_str!(concat!("page/", $name))),)+]
    };
}

/// Name, type and text of each.
const FILES: &[(&str, &str, &str)] = files! {
    "index.html" "text/html; charset=utf-8",
    "style.css" "text/css; charset=utf-8",
    "icon.svg" "image/svg+xml",
    "main.js" SCRIPT,
    "api.js" SCRIPT,
    "state.js" SCRIPT,
    "controls.js" SCRIPT,
    "view.js" SCRIPT,
    "strip.js" SCRIPT,
    "pad.js" SCRIPT,
    "sheet.js" SCRIPT,
    "mixing.js" SCRIPT,
    "models.js" SCRIPT,
    "region.js" SCRIPT,
    "learn.js" SCRIPT,
    "film.js" SCRIPT,
    "files.js" SCRIPT,
    "presets.js" SCRIPT,
};

/// `GET /`.
pub async fn index() -> Result<Response, Refusal> {
    file(Path("index.html".to_owned())).await
}

/// `GET /page/{name}`.
pub async fn file(Path(name): Path<String>) -> Result<Response, Refusal> {
    let found = FILES.iter().find(|(known, ..)| *known == name);
    let (_, kind, text) = found.ok_or_else(|| Refusal::Missing("there is no such file".into()))?;
    // The next program on this port may have another page.
    Ok(([(CONTENT_TYPE, *kind), (CACHE_CONTROL, "no-store")], *text).into_response())
}
