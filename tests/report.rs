//! The report of a run, as a browser sees it.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use domex_test_support::browser;
use domex_test_support::program::World;

/// The page's elements after the browser has loaded it, with no network.
fn loaded(browser: &Path, page: &Path, profile: &Path) -> String {
    let output = Command::new(browser)
        .args(browser::FLAGS)
        .args([
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--virtual-time-budget=2000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The number after `name="` in the page.
fn number(page: &str, name: &str) -> usize {
    let start = format!("{name}=\"");
    let at = page.find(&start).unwrap_or_else(|| panic!("no {name}")) + start.len();
    page[at..].split('"').next().unwrap().parse().unwrap()
}

/// Counts, once all is loaded: pictures, those that do not decode, what was fetched, and how high the page is.
const COUNT: &str = "<script>addEventListener('load', () => {
    const counts = document.documentElement.dataset, pictures = [...document.images];
    counts.pictures = pictures.length;
    counts.broken = pictures.filter(picture => !(picture.complete && picture.naturalWidth > 0)).length;
    const fetched = performance.getEntriesByType('resource');
    counts.fetched = fetched.filter(entry => !entry.name.startsWith('data:')).length;
    counts.height = document.body.scrollHeight;
})</script>";

/// A run with its report in `run`.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "report",
        |world| {
            world.ok(
                "expand --domain \"pencil sketch\" --domain zombie --out run --steps 2 --batch 2 --tick 1 --threads 2 \
                 --quiet",
            );
        },
    )
}

/// The page as the browser sees it, after `change`; nothing without a browser.
fn seen(name: &str, change: impl Fn(&str) -> String) -> Option<String> {
    let browser = browser::find()?;
    let world = world();
    let page = change(&world.text("run/report.html"));
    let counted = page.replacen("<head>", &format!("<head>{COUNT}"), 1);
    assert!(counted.len() > page.len(), "the page has a head");
    let file = format!("{name}.html");
    world.write(&file, counted);
    Some(loaded(&browser, &world.path(&file), &world.path(name)))
}

#[test]
fn the_page_allows_no_program_and_names_nothing_outside() {
    let page = world().text("run/report.html");
    assert!(page.contains("default-src 'none'"));
    for outside in ["http:", "https:", "src=\"/", "href=\"/", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn the_pages_command_makes_its_pictures_again() {
    let world = world();
    let page = world.text("run/report.html");
    let line = "domex generate --model model.safetensors --domains all --seeds 0-7 --out aligned";
    assert!(page.contains(line));
    world.ok("generate --model run/model.safetensors --domains all --seeds 0-7 --out aligned");
    for file in ["base/seed0003.png", "zombie/seed0007.png"] {
        let picture = BASE64.encode(world.read(&format!("aligned/{file}")));
        assert!(page.contains(&picture), "{file}");
    }
}

#[test]
fn a_browser_shows_all_pictures_of_the_page_and_fetches_nothing() {
    let Some(seen) = seen("whole", str::to_owned) else {
        return;
    };
    let pictures = world().text("run/report.html").matches("<img").count();
    assert!(pictures > 2);
    assert_eq!(number(&seen, "data-pictures"), pictures);
    assert_eq!(number(&seen, "data-broken"), 0);
    assert_eq!(number(&seen, "data-fetched"), 0);
    assert!(number(&seen, "data-height") > 500);
    assert!(seen.contains("zombie") && seen.contains("pencil sketch"));
}

#[test]
fn a_picture_that_is_cut_short_is_counted_as_broken() {
    let cut = |page: &str| {
        let start = page.find("data:image/png;base64,").unwrap() + 60;
        let end = start + page[start..].find('"').unwrap();
        format!("{}{}", &page[..start], &page[end..])
    };
    if let Some(seen) = seen("cut", cut) {
        assert_eq!(number(&seen, "data-broken"), 1);
    }
}
