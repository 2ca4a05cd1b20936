//! The studio as a browser, or somebody else, meets it: over HTTP, with an engine that paints plain colours.

#![allow(clippy::unwrap_used)]

mod client;
mod models;
mod painter;

use std::time::Duration;

use domex_studio::{Limits, Token};
use serde_json::{Value as Json, json};

use crate::client::{Answer, Request};
use crate::painter::{Served, picture, png};

/// A request of this machine has arrived by then.
const ARRIVED: Duration = Duration::from_millis(400);

fn seed(seed: u32) -> Json {
    json!({ "source": { "seed": seed }, "truncation": 1.0, "domains": {}, "directions": {} })
}

fn asked(settings: &Json) -> Request {
    Request::post("/api/pictures", &json!({ "settings": [settings] }))
}

#[test]
fn pictures_are_those_of_their_settings_side_by_side() {
    let studio = Served::new();
    let domain = json!({ "source": { "seed": 7 }, "domains": { "elf": 0.5 } });
    let all = json!({ "settings": [seed(3), domain] });
    let answer = studio.ask(&Request::post("/api/pictures", &all));
    let drawn = picture(&answer);
    assert_eq!(drawn.dimensions(), (16, 8));
    // The toy paints the seed in red and the strength in green.
    assert_eq!(drawn.get_pixel(0, 0).0, [3, 0, 0]);
    assert_eq!(drawn.get_pixel(8, 0).0, [7, 50, 0]);
}

#[test]
fn the_page_and_its_files_are_there_and_load_nothing_from_elsewhere() {
    let studio = Served::new();
    let page = studio.ask(&Request::get("/").without("x-domex-studio"));
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let page = page.text();
    let mut files = 0;
    for part in page.split("\"page/").skip(1) {
        let name = part.split('"').next().unwrap();
        let file = studio.ask(&Request::get(&format!("/page/{name}")).without("x-domex-studio"));
        assert_eq!(file.status, 200, "{name}");
        files += 1;
    }
    assert!(files >= 3);
    assert!(!page.contains("http://") && !page.contains("https://"));
}

#[test]
fn info_says_what_there_is_to_set() {
    let info = Served::new().ask(&Request::get("/api/info")).json();
    assert_eq!(info["info"]["domains"], json!(["elf", "sketch"]));
    assert_eq!(info["info"]["directions"][0]["dimension"], 4);
}

#[track_caller]
fn refused(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let told = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(told.contains(words), "{told}");
}

#[test]
fn names_of_other_machines_are_not_answered() {
    let studio = Served::new();
    for path in ["/", "/api/info", "/page/main.js"] {
        let answer = studio.ask(&Request::get(path).with("host", "evil.example:7860"));
        refused(&answer, 403, "evil.example");
    }
}

#[test]
fn other_pages_of_the_browser_are_refused() {
    let studio = Served::new();
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        refused(
            &studio.ask(&asked(&seed(1)).with(name, value)),
            403,
            "another page",
        );
    }
    refused(
        &studio.ask(&asked(&seed(1)).without("x-domex-studio")),
        403,
        "x-domex-studio",
    );
    // What a browser asks before it lets another page send the header.
    let preflight = studio
        .ask(&Request::new("OPTIONS", "/api/pictures").with("origin", "https://evil.example"));
    assert!((400..500).contains(&preflight.status));
    assert!(preflight.header("access-control-allow-origin").is_none());
    let own = format!("http://{}", studio.address());
    assert_eq!(
        studio.ask(&asked(&seed(1)).with("origin", &own)).status,
        200
    );
}

#[test]
fn a_token_is_needed_where_there_is_one() {
    let token = Token::random().unwrap();
    let studio = Served::with(Limits::default(), Some(token.clone()));
    refused(&studio.ask(&asked(&seed(1))), 403, "token");
    refused(
        &studio.ask(&asked(&seed(1)).with("x-domex-studio", "0")),
        403,
        "token",
    );
    let answer = studio.ask(&asked(&seed(1)).with("x-domex-studio", token.reveal()));
    assert_eq!(answer.status, 200);
    // Behind the token any name is as good as another: a machine is reached by many.
    let named = Request::get("/").with("host", "gpu.example");
    assert_eq!(studio.ask(&named).status, 200);
}

#[test]
fn what_the_model_does_not_have_is_refused_by_name() {
    let studio = Served::new();
    for (settings, words) in [
        (
            json!({ "source": { "seed": 0 }, "domains": { "owl": 1 } }),
            "elf, sketch",
        ),
        (
            json!({ "source": { "seed": 0 }, "region": "f".repeat(256) }),
            "region",
        ),
        (
            json!({ "source": { "seed": 0 }, "directions": { "5": 1 } }),
            "direction 5",
        ),
        (json!({ "source": { "seed": 0 }, "truncation": 99 }), "99"),
    ] {
        refused(&studio.ask(&asked(&settings)), 422, words);
    }
    let photo = json!({ "source": { "photo": "0123456789abcdef" } });
    refused(&studio.ask(&asked(&photo)), 404, "photo");
    refused(
        &studio.ask(&Request::post("/api/pictures", &json!({ "settings": [] }))),
        422,
        "0 pictures",
    );
}

#[test]
fn requests_that_cannot_be_read_are_told_why() {
    let studio = Served::new();
    refused(
        &studio.ask(&Request::post(
            "/api/pictures",
            &json!({ "file": "/etc/passwd" }),
        )),
        400,
        "file",
    );
    let broken = Request::new("POST", "/api/pictures").body(b"{\"settings\":".to_vec());
    refused(&studio.ask(&broken), 400, "cannot be read");
    refused(
        &studio.ask(&Request::get("/api/nothing")),
        404,
        "nothing at this address",
    );
    refused(
        &studio.ask(&Request::get("/page/..%2f..%2fsecret")),
        404,
        "no such file",
    );
    refused(
        &studio.ask(&Request::new("DELETE", "/api/info")),
        405,
        "does not take",
    );
}

#[test]
fn too_much_is_refused_with_an_answer_and_not_with_a_closed_connection() {
    let limits = Limits {
        upload: 10_000,
        request: 1000,
        ..Limits::default()
    };
    let studio = Served::with(limits, None);
    let photo = Request::new("POST", "/api/photo/0/center").body(vec![7; 60_000]);
    refused(&studio.ask(&photo), 413, "more than 9 KB");
    let settings = Request::new("POST", "/api/pictures").body(vec![b' '; 5000]);
    refused(&studio.ask(&settings), 413, "the request");
}

#[test]
fn hostile_uploads_are_refused() {
    let studio = Served::with(
        Limits {
            pixels: 5000,
            ..Limits::default()
        },
        None,
    );
    let bomb = b"P6 60000 60000 255\n".to_vec();
    for (bytes, words) in [
        (bomb, "more than 5000"),
        (png(100, 100), "more than 5000"),
        (png(1, 90), "strip"),
        (b"<svg onload=alert(1)>".to_vec(), "not a readable"),
        (Vec::new(), "empty"),
        (png(20, 20)[..90].to_vec(), "not a readable"),
    ] {
        let photo = Request::new("POST", "/api/photo/0/center").body(bytes);
        refused(&studio.ask(&photo), 422, words);
    }
    let photo =
        |steps: &str| Request::new("POST", &format!("/api/photo/{steps}/center")).body(png(9, 9));
    for steps in ["-1", "1001", "many"] {
        refused(&studio.ask(&photo(steps)), 422, "steps go from 0");
    }
    let crop = |crop: &str| Request::new("POST", &format!("/api/photo/0/{crop}")).body(png(9, 8));
    for (word, words) in [
        ("upper", "center, none, face"),
        ("face-0", "numbered from 1"),
        ("none", "9 × 8"),
    ] {
        refused(&studio.ask(&crop(word)), 422, words);
    }
}

#[test]
fn a_photo_is_found_and_drawn() {
    let studio = Served::new();
    let found = studio.ask(&Request::new("POST", "/api/photo/3/center").body(png(40, 20)));
    let found = found.json();
    assert_eq!(found["likeness"], "3 steps");
    assert!(found["notes"][0].as_str().unwrap().contains("40 × 20"));
    let drawn = studio.ask(&asked(&json!({ "source": { "photo": found["photo"] } })));
    // The toy paints a photo in blue.
    assert_eq!(picture(&drawn).get_pixel(0, 0).0, [0, 0, 200]);
}

#[test]
fn a_photo_is_cropped_by_its_face_where_faces_can_be_found() {
    let studio = Served::new();
    let info = studio.ask(&Request::get("/api/info")).json();
    assert_eq!(info["no_faces"], Json::Null);
    let post = |crop: &str| Request::new("POST", &format!("/api/photo/1/{crop}")).body(png(40, 20));
    let found = studio.ask(&post("face-2")).json();
    assert_eq!(found["notes"], json!(["face 2 of 40 × 20"]));
    refused(&studio.ask(&post("face-3")), 422, "no face 3");
}

#[test]
fn settings_go_round_through_a_picture_also_those_of_a_photo_and_to_another_studio() {
    let studio = Served::new();
    let found = studio
        .ask(&Request::new("POST", "/api/photo/3/center").body(png(8, 8)))
        .json();
    let settings = json!({
        "source": { "photo": found["photo"] }, "truncation": 0.5, "domains": { "elf": 0.25 }, "directions": { "4": -0.1 }
    });
    let file = studio.ask(&Request::post("/api/download", &settings));
    assert_eq!(file.header("content-type"), Some("image/png"));
    let other = Served::new();
    let opened = other
        .ask(&Request::new("POST", "/api/open").body(file.body.clone()))
        .json();
    assert_eq!(opened["settings"], settings);
    assert_eq!(opened["notes"], json!([]));
    assert_eq!(picture(&other.ask(&asked(&settings))), picture(&file));
}

#[test]
fn other_pictures_have_no_settings_and_such_with_a_damaged_photo_are_refused() {
    let studio = Served::new();
    let open = |bytes: Vec<u8>| studio.ask(&Request::new("POST", "/api/open").body(bytes));
    assert_eq!(open(png(8, 8)).json()["settings"], Json::Null);
    let stamp = domex_studio::stamp::Stamp::new(
        "toy",
        serde_json::from_value(json!({ "source": { "photo": "0123456789abcdef" } })).unwrap(),
        Some(b"not the toy's".to_vec().into()),
    );
    let file = stamp.encode(&image::RgbImage::new(8, 8)).unwrap();
    refused(&open(file), 422, "no photo of the toy");
}

#[test]
fn presets_are_saved_in_the_workspace_and_nowhere_else() {
    let studio = Served::new();
    let save = |name: &str, replace: bool| {
        let body = json!({ "settings": seed(9), "replace": replace });
        studio.ask(&Request::new("PUT", &format!("/api/presets/{name}")).json(&body))
    };
    assert_eq!(save("an%20elf", false).json()["presets"], json!(["an elf"]));
    refused(&save("an%20elf", false), 409, "already");
    assert_eq!(save("an%20elf", true).status, 200);
    let preset = studio.ask(&Request::get("/api/presets/an%20elf"));
    let opened = studio
        .ask(&Request::new("POST", "/api/open").body(preset.body))
        .json();
    assert_eq!(opened["settings"], seed(9));
    for name in ["..%2Fout", "%2Fetc%2Fpasswd", "a%00b", "a.png", "%FF"] {
        let answer = save(name, true);
        assert!(
            (400..500).contains(&answer.status),
            "{name}: {}",
            answer.text()
        );
    }
    assert_eq!(studio.files(), ["workspace/an elf.png"]);
    let removed = studio.ask(&Request::new("DELETE", "/api/presets/an%20elf"));
    assert_eq!(removed.json()["presets"], json!([]));
    refused(
        &studio.ask(&Request::get("/api/presets/an%20elf")),
        404,
        "no preset",
    );
}

#[test]
fn sheets_and_films_are_drawn() {
    let studio = Served::new();
    let axis = |domain: &str| json!({ "domain": domain, "from": 0, "to": 1, "steps": 3 });
    let sheet = json!({ "settings": seed(1), "x": axis("elf"), "y": axis("sketch") });
    let sheet = studio.ask(&Request::post("/api/sheet", &sheet));
    assert!(picture(&sheet).width() > 3 * 128);
    let film = |frames: u32, format: &str| {
        let film = json!({ "keyframes": [seed(1), seed(9)], "frames": frames, "fps": 10, "closed": true, "format": format });
        studio.ask(&Request::post("/api/film", &film))
    };
    assert_eq!(film(3, "gif").body[..4], *b"GIF8");
    assert_eq!(film(3, "webp").body[8..12], *b"WEBP");
    refused(&film(0, "gif"), 422, "1 to 120");
    refused(&film(3, "avi"), 400, "avi");
    let alone =
        json!({ "keyframes": [seed(1)], "frames": 3, "fps": 10, "closed": true, "format": "gif" });
    refused(
        &studio.ask(&Request::post("/api/film", &alone)),
        422,
        "two keyframes",
    );
}

#[test]
fn a_newer_request_of_a_view_takes_the_place_of_one_that_waits() {
    let studio = Served::new();
    let view = |number: u32| {
        let asked = json!({ "settings": [seed(number)], "view": "main" });
        Request::post("/api/pictures", &asked)
    };
    let held = studio.hold(&view(painter::HELD));
    let older = studio.ask_later(&view(1));
    std::thread::sleep(ARRIVED);
    let newer = studio.ask_later(&view(2));
    // It is told at once.
    let older = older.join().unwrap();
    assert_eq!((older.status, older.text().as_str()), (204, ""));
    studio.release();
    assert_eq!(picture(&newer.join().unwrap()).get_pixel(0, 0).0[0], 2);
    assert_eq!(held.join().unwrap().status, 200);
    assert!(!studio.drawn().contains(&1), "nobody waited for it");
}

#[test]
fn what_a_closed_connection_asked_for_is_not_drawn() {
    let studio = Served::new();
    let held = studio.hold(&asked(&seed(painter::HELD)));
    studio.ask_and_leave(&asked(&seed(5)));
    std::thread::sleep(ARRIVED);
    studio.release();
    assert_eq!(held.join().unwrap().status, 200);
    assert_eq!(studio.ask(&asked(&seed(6))).status, 200);
    assert!(!studio.drawn().contains(&5));
}

#[test]
fn a_full_queue_is_told() {
    let limits = Limits {
        queue: 1,
        ..Limits::default()
    };
    let studio = Served::with(limits, None);
    let held = studio.hold(&asked(&seed(painter::HELD)));
    // One of them waits, whichever comes first, and the others are told at once.
    let (sender, answers) = std::sync::mpsc::channel();
    for number in 0..3 {
        let (answer, sender) = (studio.ask_later(&asked(&seed(number))), sender.clone());
        std::thread::spawn(move || sender.send(answer.join().unwrap()));
    }
    for _ in 0..2 {
        refused(&answers.recv().unwrap(), 503, "too many");
    }
    studio.release();
    assert_eq!(answers.recv().unwrap().status, 200);
    assert_eq!(held.join().unwrap().status, 200);
}

#[test]
fn a_picture_that_takes_too_long_is_told() {
    let limits = Limits {
        draw: Duration::from_millis(50),
        ..Limits::default()
    };
    let studio = Served::with(limits, None);
    let held = studio.ask(&asked(&seed(painter::HELD)));
    refused(&held, 504, "no answer within");
    studio.release();
}

#[test]
fn a_fault_of_the_engine_is_told_and_the_next_picture_is_drawn() {
    let studio = Served::new();
    refused(&studio.ask(&asked(&seed(painter::FAULTY))), 500, "failed");
    assert_eq!(studio.ask(&asked(&seed(3))).status, 200);
}

#[test]
fn an_expansion_is_begun_stopped_and_resumed_and_none_beside_it() {
    let studio = Served::new();
    let wanted = json!({ "domains": ["elf", "old owl"], "steps": 5 });
    let begin = |name: &str, wanted: &Json| {
        studio.ask(&Request::new("PUT", &format!("/api/runs/{name}")).json(wanted))
    };
    let state = |answer: &Answer| answer.json()["runs"][0]["progress"]["state"].clone();
    let begun = begin("elves", &wanted);
    assert_eq!(state(&begun), "running");
    assert!(
        studio
            .files()
            .iter()
            .any(|file| file.ends_with("runs/elves/domains"))
    );
    let second = begin("others", &wanted);
    assert_eq!(second.status, 422);
    assert!(second.text().contains("elves is still learning"));

    let post = |act: &str| {
        studio.ask(&Request::post(
            &format!("/api/runs/elves/{act}"),
            &json!({}),
        ))
    };
    assert_eq!(state(&post("stop")), "stopped");
    assert_eq!(begin("elves", &wanted).status, 409);
    assert_eq!(state(&post("resume")), "running");
    assert_eq!(
        studio.ask(&Request::get("/api/runs/elves/picture")).status,
        404
    );
    assert_eq!(
        studio
            .ask(&Request::post("/api/runs/owls/stop", &json!({})))
            .status,
        404
    );
}

#[test]
fn an_expansion_has_words_alone_and_a_folder_below_the_workspace() {
    let studio = Served::new();
    let files = json!({ "domains": ["mine=@/etc"], "steps": 5 });
    let refused = studio.ask(&Request::new("PUT", "/api/runs/a").json(&files));
    assert_eq!(refused.status, 422);
    let wanted = json!({ "domains": ["elf"], "steps": 5 });
    let outside = studio.ask(&Request::new("PUT", "/api/runs/..%2Fout").json(&wanted));
    assert_eq!(outside.status, 422);
    assert!(studio.files().is_empty());
}
