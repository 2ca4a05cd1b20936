//! Other models in place of the one that is shown.

use serde_json::{Value as Json, json};

use crate::client::{Answer, Request};
use crate::painter::{BROKEN, HELD, OTHER, Served, png};
use crate::{ARRIVED, asked, refused, seed};

fn opened(studio: &Served, name: &str, settings: &Json) -> Answer {
    let asked = json!({ "name": name, "settings": settings });
    studio.ask(&Request::post("/api/model", &asked))
}

#[test]
fn another_model_is_shown_with_what_of_the_settings_it_has() {
    let studio = Served::new();
    let info = studio.ask(&Request::get("/api/info")).json();
    assert_eq!(info["models"], json!(["toy", "other", "broken"]));
    let elf = json!({ "source": { "seed": 7 }, "domains": { "elf": 0.5 } });
    let answer = opened(&studio, OTHER, &elf).json();
    assert_eq!(answer["settings"]["source"], json!({ "seed": 7 }));
    assert_eq!(answer["settings"]["domains"], json!({}));
    assert_eq!(answer["notes"].as_array().unwrap().len(), 1);
    let info = studio.ask(&Request::get("/api/info")).json();
    assert_eq!(
        [
            &info["model"],
            &info["info"]["model"],
            &info["info"]["domains"]
        ],
        [&json!(OTHER), &json!(OTHER), &json!(["owl"])]
    );
    refused(&studio.ask(&asked(&elf)), 422, "owl");
}

#[test]
fn settings_that_no_model_takes_are_refused_before_another_one_is_shown() {
    let studio = Served::new();
    let far = json!({ "source": { "seed": 7 }, "truncation": 20 });
    refused(&opened(&studio, OTHER, &far), 422, "20 is out of range");
    let backwards =
        json!({ "source": { "seed": 7 }, "mixing": { "seed": 1, "first": 2, "last": 1 } });
    let answer = opened(&studio, "toy", &backwards).json();
    assert_eq!(answer["settings"]["mixing"], Json::Null, "{answer}");
    let info = studio.ask(&Request::get("/api/info")).json();
    assert_eq!(info["model"], "toy");
}

#[test]
fn pictures_of_two_models_are_not_put_into_one_answer() {
    let studio = Served::new();
    // More than the engine draws in one turn.
    let mut settings = vec![seed(1); 12];
    settings[0] = seed(HELD);
    let held = studio.hold(&Request::post(
        "/api/pictures",
        &json!({ "settings": settings }),
    ));
    let change = json!({ "name": OTHER, "settings": seed(1) });
    let change = studio.ask_later(&Request::post("/api/model", &change));
    std::thread::sleep(ARRIVED);
    studio.release();
    assert_eq!(change.join().unwrap().status, 200);
    assert_eq!(held.join().unwrap().status, 204);
}

#[test]
fn the_model_before_goes_on_where_another_cannot_be_opened() {
    let studio = Served::new();
    refused(&opened(&studio, BROKEN, &seed(1)), 422, "damaged");
    refused(&opened(&studio, "nowhere", &seed(1)), 404, "nowhere");
    let info = studio.ask(&Request::get("/api/info")).json();
    assert_eq!(info["model"], "toy");
    assert_eq!(studio.ask(&asked(&seed(3))).status, 200);
}

#[test]
fn a_photo_stays_with_the_models_that_know_it() {
    let studio = Served::new();
    let found = studio.ask(&Request::new("POST", "/api/photo/3/center").body(png(8, 8)));
    let photo = json!({ "source": { "photo": found.json()["photo"] } });
    let back = opened(&studio, "toy", &photo).json();
    assert_eq!(back["settings"]["source"], photo["source"]);
    let other = opened(&studio, OTHER, &photo).json();
    assert_eq!(other["settings"]["source"], json!({ "seed": 0 }));
    assert!(other["notes"][0].as_str().unwrap().contains("photo"));
}

#[test]
fn the_model_of_an_expansion_that_is_done_can_be_shown() {
    let studio = Served::new();
    let wanted = json!({ "domains": ["an owl"], "steps": 2 });
    let begin = Request::new("PUT", "/api/runs/owls").json(&wanted);
    assert_eq!(studio.ask(&begin).status, 200);
    refused(&opened(&studio, "runs/owls", &seed(1)), 404, "runs/owls");
    std::fs::write(studio.path("workspace/runs/owls/model"), "").unwrap();
    assert_eq!(opened(&studio, "runs/owls", &seed(1)).status, 200);
    let info = studio.ask(&Request::get("/api/info")).json();
    assert_eq!(info["model"], "runs/owls");
}

#[test]
fn domains_in_one_pass_are_a_model_that_can_be_shown() {
    let studio = Served::new();
    let words = |name: &str, domains: &Json| {
        let body = json!({ "domains": domains });
        studio.ask(&Request::post(&format!("/api/domains/{name}"), &body))
    };
    let kept = |name: &str| {
        let path = studio.path(&format!("workspace/runs/{name}/domains"));
        std::fs::read_to_string(path).unwrap()
    };
    let made = words("owls", &json!(["an owl", "a grey elf"]));
    assert_eq!(made.json()["model"], "runs/owls");
    assert_eq!(kept("owls"), "an owl\na grey elf");
    assert_eq!(opened(&studio, "runs/owls", &seed(1)).status, 200);
    refused(&words("owls", &json!(["elf"])), 409, "already");
    refused(
        &words("none", &json!(["nothing"])),
        422,
        "no network serves",
    );
    refused(
        &words("none", &json!(["a=@/etc/passwd"])),
        422,
        "domain's words",
    );
    refused(&words("none", &json!([])), 422, "0 domains");
    refused(&words("..%2Fout", &json!(["elf"])), 422, "name");
    assert!(!studio.path("workspace/runs/none").exists());

    let picture = |name: &str, crop: &str, body: Vec<u8>| {
        let to = format!("/api/domains/{name}/{crop}");
        studio.ask(&Request::new("POST", &to).body(body))
    };
    let made = picture("grey", "center", png(12, 8));
    assert_eq!(made.json()["model"], "runs/grey");
    assert!(kept("grey").starts_with("grey of "), "{}", kept("grey"));
    refused(&picture("none", "middle", png(8, 8)), 422, "crop");
    refused(
        &picture("none", "center", b"no picture".to_vec()),
        422,
        "readable",
    );
}
