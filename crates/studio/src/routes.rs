//! What is asked for under which address, and the answers.
//!
//! | request | body | answer |
//! | --- | --- | --- |
//! | `GET /`, `GET /page/{file}` | | the page |
//! | `GET /api/info` | | what there is to set, as JSON |
//! | `POST /api/model` | a model's name and settings | another model is shown; the settings it can take, as JSON |
//! | `POST /api/pictures` | settings of 1 to 16 pictures | one PNG with all side by side |
//! | `POST /api/download` | settings | a PNG with the settings in it |
//! | `POST /api/sheet`, `POST /api/film` | `sheet`, `film` | a contact sheet, an animation |
//! | `POST /api/photo/{steps}/{crop}` | a picture file | the photo's name and what was done, as JSON |
//! | `POST /api/open` | a PNG with settings | the settings, as JSON |
//! | `GET /api/presets` | | names, as JSON |
//! | `GET`, `PUT`, `DELETE /api/presets/{name}` | settings, to put | a PNG with settings |
//! | `POST /api/domains/{name}` | domains in words | in one pass, without training: the name of the model that has them, as JSON |
//! | `POST /api/domains/{name}/{crop}` | a picture file | the same of one domain, that of the picture |
//! | `GET /api/runs` | | expansions and how far they are, as JSON |
//! | `PUT /api/runs/{name}` | domains and steps | the same, with one that begins |
//! | `POST /api/runs/{name}/stop`, `…/resume` | | the same |
//! | `GET /api/runs/{name}/picture` | | a PNG with its newest pictures |
//!
//! An error is JSON with `error`, in plain words.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use domex_data::picture::encode_png;
use image::{RgbImage, imageops};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::crop::Crop;
use crate::engine::Frame;
use crate::film::Film;
use crate::learn::{Given, State as Doing, Wanted, check_domains};
use crate::models;
use crate::page;
use crate::refusal::Refusal;
use crate::settings::{Settings, Source};
use crate::shared::{Shared, no_picture};
use crate::sheet::Sheet;
use crate::stamp::Stamp;
use crate::upload;
use crate::workspace::Name;

/// Pictures that are asked for at once.
const MOST_PICTURES: usize = 16;

/// Letters of a view's name.
const LONGEST_VIEW: usize = 64;

/// What every answer says of itself: the page loads nothing from elsewhere, and no other page may show or keep it.
const HEADERS: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

type Studio = State<Arc<Shared>>;
type Answer<T = Response> = Result<T, Refusal>;

/// Everything that is answered.
pub fn router(shared: Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/info", get(info))
        .route("/model", post(model))
        .route("/pictures", post(pictures))
        .route("/download", post(download))
        .route("/sheet", post(sheet))
        .route("/film", post(film))
        .route("/photo/{steps}/{crop}", post(photo))
        .route("/open", post(open))
        .route("/presets", get(presets))
        .route("/presets/{name}", get(preset).put(save).delete(remove))
        .route("/domains/{name}", post(adapt_words))
        .route("/domains/{name}/{crop}", post(adapt_picture))
        .route("/runs", get(runs))
        .route("/runs/{name}", put(begin_run))
        .route("/runs/{name}/stop", post(stop_run))
        .route("/runs/{name}/resume", post(resume_run))
        .route("/runs/{name}/picture", get(run_picture))
        .fallback(missing)
        .layer(middleware::from_fn_with_state(shared.clone(), own_page));
    Router::new()
        .route("/", get(page::index))
        .route("/page/{name}", get(page::file))
        .nest("/api", api)
        .fallback(missing)
        .method_not_allowed_fallback(async || Refusal::Method)
        .layer(middleware::from_fn_with_state(shared.clone(), own_host))
        .layer(middleware::map_response(with_headers))
        .with_state(shared)
}

async fn own_host(State(shared): Studio, request: Request, next: Next) -> Answer {
    shared.guard.check_host(request.headers())?;
    Ok(next.run(request).await)
}

async fn own_page(State(shared): Studio, request: Request, next: Next) -> Answer {
    shared.guard.check_request(request.headers())?;
    Ok(next.run(request).await)
}

async fn with_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        let (name, value) = (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        response.headers_mut().insert(name, value);
    }
    response
}

async fn missing() -> Refusal {
    Refusal::Missing("there is nothing at this address".into())
}

async fn info(State(shared): Studio) -> Response {
    let shown = shared.shown();
    let models = shared.models().into_iter().map(|named| named.name);
    document(&json!({
        "info": *shown.info,
        "model": shown.name,
        "models": models.collect::<Vec<_>>(),
        "version": env!("CARGO_PKG_VERSION"),
        "most_upload": shared.limits.upload,
        "no_faces": shared.faces.missing(),
        "workspace": shared.workspace.path().to_string_lossy(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    name: String,
    settings: Settings,
}

async fn model(State(shared): Studio, body: Body) -> Answer {
    let Open { name, settings } = shared.json(body).await?;
    let wanted = shared.models().into_iter().find(|named| named.name == name);
    let wanted = wanted.ok_or_else(|| {
        Refusal::Missing(format!(
            "there is no model {name:?} here any more; reload the page"
        ))
    })?;
    // What no model takes is refused before another one is shown.
    settings.check_numbers()?;
    shared.queue.open(wanted, shared.limits.search).await?;
    let (mut settings, mut notes) = settings.fit(&shared.info());
    if settings.photo().is_some() && try_out(&shared, &settings).await.is_err() {
        notes.push("left out: the photo was found among the pictures of another model".into());
        settings.source = Source::Seed(0);
    }
    settings.check(&shared.info())?;
    Ok(document(&json!({ "settings": settings, "notes": notes })))
}

/// Whether the engine can draw it: what is in the file of a photo only it can tell.
async fn try_out(shared: &Shared, settings: &Settings) -> Result<(), Refusal> {
    let frame = Frame::still(settings.clone());
    shared.draw(vec![frame], None, true).await.map(drop)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pictures {
    settings: Vec<Settings>,
    #[serde(default)]
    view: Option<String>,
    #[serde(default)]
    draft: bool,
}

async fn pictures(State(shared): Studio, body: Body) -> Answer {
    let asked: Pictures = shared.json(body).await?;
    if !(1..=MOST_PICTURES).contains(&asked.settings.len()) {
        return Err(Refusal::Settings(format!(
            "{} pictures at once; ask for 1 to {MOST_PICTURES}",
            asked.settings.len()
        )));
    }
    if asked
        .view
        .as_ref()
        .is_some_and(|view| view.len() > LONGEST_VIEW)
    {
        return Err(Refusal::Malformed("the view's name is too long".into()));
    }
    asked
        .settings
        .iter()
        .try_for_each(|settings| settings.check(&shared.info()))?;
    let frames: Vec<Frame> = asked.settings.into_iter().map(Frame::still).collect();
    let pictures = shared.draw_all(&frames, asked.view.as_deref(), asked.draft);
    let (_, pictures) = pictures.await?;
    let bytes = shared
        .apart(move || Ok(encode_png(&side_by_side(&pictures)?)?))
        .await?;
    Ok(file("image/png", bytes))
}

async fn download(State(shared): Studio, body: Body) -> Answer {
    let settings = shared.json(body).await?;
    Ok(file("image/png", shared.stamped(settings).await?))
}

async fn sheet(State(shared): Studio, body: Body) -> Answer {
    let sheet: Sheet = shared.json(body).await?;
    sheet.check(&shared.info())?;
    let (shown, pictures) = shared.draw_all(&sheet.frames(), None, false).await?;
    let stamp = shared.stamp(&shown, sheet.settings.clone())?;
    let bytes = shared.apart(move || stamp.encode(&sheet.draw(&pictures)?));
    Ok(file("image/png", bytes.await?))
}

async fn film(State(shared): Studio, body: Body) -> Answer {
    let film: Film = shared.json(body).await?;
    film.check(&shared.info())?;
    let (_, pictures) = shared.draw_all(&film.frames(), None, false).await?;
    let kind = film.media_type();
    Ok(file(
        kind,
        shared.apart(move || film.encode(pictures)).await?,
    ))
}

async fn photo(
    State(shared): Studio,
    Path((steps, crop)): Path<(String, String)>,
    body: Body,
) -> Answer {
    let info = shared.info();
    let Some(support) = &info.photos else {
        return Err(Refusal::Unusable(
            "photos cannot be found for this model".into(),
        ));
    };
    let steps = steps
        .parse()
        .ok()
        .filter(|steps| (support.least..=1000).contains(steps));
    let steps = steps
        .ok_or_else(|| Refusal::Settings(format!("steps go from {} to 1000", support.least)))?;
    let (photo, notes) = cropped(&shared, &crop, body).await?;
    let search = shared
        .queue
        .ask(None, shared.limits.search, move |engine, stop| {
            engine.find(&photo, steps, stop)
        });
    let found = search.await?;
    let id = shared.photos().keep(found.bytes.into());
    Ok(document(
        &json!({ "photo": id, "likeness": found.likeness, "notes": notes }),
    ))
}

/// A picture that was sent, as large as those of the model, and what was done to it.
async fn cropped(
    shared: &Shared,
    crop: &str,
    body: Body,
) -> Result<(RgbImage, Vec<String>), Refusal> {
    let crop: Crop = crop.parse()?;
    let bytes = upload::bytes(body, "the picture", shared.limits.upload).await?;
    let side = shared.info().resolution;
    let (pixels, faces) = (shared.limits.pixels, shared.faces.clone());
    let cut = shared.apart(move || {
        let (picture, mut notes) = upload::picture(&bytes, pixels)?;
        let (photo, further) = crop.cut(picture, side, &*faces)?;
        notes.extend(further);
        Ok((photo, notes))
    });
    cut.await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    domains: Vec<String>,
}

async fn adapt_words(State(shared): Studio, Path(name): Path<String>, body: Body) -> Answer {
    let name = Name::new(&name)?;
    let Words { domains } = shared.json(body).await?;
    check_domains(&domains)?;
    adapt(&shared, &name, Given::Words(domains), &[]).await
}

async fn adapt_picture(
    State(shared): Studio,
    Path((name, crop)): Path<(String, String)>,
    body: Body,
) -> Answer {
    let checked = Name::new(&name)?;
    let (picture, notes) = cropped(&shared, &crop, body).await?;
    adapt(
        &shared,
        &checked,
        Given::Picture(Box::new(picture), name),
        &notes,
    )
    .await
}

async fn adapt(shared: &Shared, name: &Name, given: Given, notes: &[String]) -> Answer {
    let folder = shared.workspace.new_run(name)?;
    let (learner, made) = (shared.learner.clone(), folder.clone());
    shared
        .apart(move || Ok(learner.adapt(&given, &made)?))
        .await?;
    let run = folder.file_name().unwrap_or_default().to_string_lossy();
    Ok(document(
        &json!({ "model": models::of_run(&run), "notes": notes }),
    ))
}

async fn open(State(shared): Studio, body: Body) -> Answer {
    let bytes = upload::bytes(body, "the picture", shared.limits.upload).await?;
    let stamp = shared.apart(move || Stamp::read(&bytes)).await?;
    let Some(stamp) = stamp else {
        return Ok(document(&json!({ "settings": null })));
    };
    let info = shared.info();
    let (mut settings, mut notes) = stamp.settings.fit(&info);
    if stamp.model != info.model {
        notes.push(format!(
            "the picture was made by the model {:?}",
            stamp.model
        ));
    }
    if let (Source::Photo(_), Some(bytes)) = (&settings.source, stamp.photo) {
        settings.source = Source::Photo(shared.photos().keep(bytes));
    }
    settings.check(&info)?;
    try_out(&shared, &settings).await?;
    Ok(document(&json!({ "settings": settings, "notes": notes })))
}

async fn presets(State(shared): Studio) -> Response {
    document(&json!({ "presets": shared.workspace.presets() }))
}

async fn preset(State(shared): Studio, Path(name): Path<String>) -> Answer {
    Ok(file(
        "image/png",
        shared.workspace.read(&Name::new(&name)?)?,
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Save {
    settings: Settings,
    replace: bool,
}

async fn save(State(shared): Studio, Path(name): Path<String>, body: Body) -> Answer {
    let name = Name::new(&name)?;
    let asked: Save = shared.json(body).await?;
    let bytes = shared.stamped(asked.settings).await?;
    shared.workspace.save(&name, &bytes, asked.replace)?;
    Ok(presets(State(shared)).await)
}

async fn remove(State(shared): Studio, Path(name): Path<String>) -> Answer {
    shared.workspace.remove(&Name::new(&name)?)?;
    Ok(presets(State(shared)).await)
}

async fn runs(State(shared): Studio) -> Response {
    let names = shared.workspace.runs().into_iter();
    let runs = names.filter_map(|name| {
        let folder = shared.workspace.run(&Name::new(&name).ok()?).ok()?;
        Some(json!({ "name": name, "progress": shared.learner.progress(&folder) }))
    });
    document(&json!({ "runs": runs.collect::<Vec<_>>() }))
}

async fn begin_run(State(shared): Studio, Path(name): Path<String>, body: Body) -> Answer {
    let name = Name::new(&name)?;
    let wanted: Wanted = shared.json(body).await?;
    wanted.check()?;
    refuse_second(&shared)?;
    let folder = shared.workspace.new_run(&name)?;
    shared.learner.begin(&wanted, &folder)?;
    Ok(runs(State(shared)).await)
}

async fn stop_run(State(shared): Studio, Path(name): Path<String>) -> Answer {
    let folder = shared.workspace.run(&Name::new(&name)?)?;
    shared.learner.stop(&folder)?;
    Ok(runs(State(shared)).await)
}

async fn resume_run(State(shared): Studio, Path(name): Path<String>) -> Answer {
    let folder = shared.workspace.run(&Name::new(&name)?)?;
    refuse_second(&shared)?;
    shared.learner.resume(&folder)?;
    Ok(runs(State(shared)).await)
}

async fn run_picture(State(shared): Studio, Path(name): Path<String>) -> Answer {
    let folder = shared.workspace.run(&Name::new(&name)?)?;
    let picture = shared.learner.picture(&folder);
    let none = || Refusal::Missing("this expansion has no picture yet".into());
    Ok(file("image/png", picture.ok_or_else(none)?))
}

/// Two at once would each take twice as long.
fn refuse_second(shared: &Shared) -> Result<(), Refusal> {
    let running = shared.workspace.runs().into_iter().find(|name| {
        let folder = Name::new(name).and_then(|name| shared.workspace.run(&name));
        folder.is_ok_and(|folder| shared.learner.progress(&folder).state == Doing::Running)
    });
    match running {
        None => Ok(()),
        Some(name) => Err(Refusal::Unusable(format!(
            "{name} is still learning; stop it first, or wait"
        ))),
    }
}

/// A JSON document.
pub fn document(value: &Value) -> Response {
    file("application/json", value.to_string().into_bytes())
}

fn file(kind: &'static str, bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")], bytes).into_response()
}

fn side_by_side(pictures: &[RgbImage]) -> Result<RgbImage, Refusal> {
    let (width, height) = pictures.first().ok_or_else(no_picture)?.dimensions();
    let mut joined = RgbImage::new(width * pictures.len() as u32, height);
    for (index, picture) in pictures.iter().enumerate() {
        imageops::replace(&mut joined, picture, i64::from(width) * index as i64, 0);
    }
    Ok(joined)
}
