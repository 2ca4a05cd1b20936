//! The report of a run, as a browser sees it.

#![allow(clippy::unwrap_used)]

#[expect(dead_code, reason = "these tests need some of it")]
#[path = "tiny/program.rs"]
mod program;
mod tiny;

use std::path::{Path, PathBuf};
use std::process::Command;

use program::{domex, ok, world};

/// A headless browser, if this machine has one.
fn browser() -> Option<PathBuf> {
    const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let files = NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.into_iter().find(|file| file.is_file())
}

/// The page's elements after it has been shown, with no network.
fn shown(browser: &Path, page: &Path, profile: &Path) -> String {
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--no-first-run",
            "--disable-extensions",
            "--disable-background-networking",
        ])
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

/// Counts, once all is loaded: pictures, those that do not decode, what was fetched, and what is wider than the page.
const LOOK: &str = "<script>addEventListener('load', () => {
    const seen = document.documentElement.dataset, pictures = [...document.images];
    seen.pictures = pictures.length;
    seen.broken = pictures.filter(picture => !(picture.complete && picture.naturalWidth > 0)).length;
    const fetched = performance.getEntriesByType('resource');
    seen.fetched = fetched.filter(entry => !entry.name.startsWith('data:')).length;
    seen.height = document.body.scrollHeight;
})</script>";

#[test]
fn the_report_of_a_run_opens_in_a_browser_with_all_its_pictures() {
    let Some(browser) = browser() else {
        println!("skipped: no headless browser on PATH");
        return;
    };
    let root = world();
    let root = root.path();
    let words = "--domain \"pencil sketch\" --domain zombie";
    ok(&domex(
        root,
        &format!("expand {words} --out run --steps 2 --batch 2 --tick 1 --threads 2 --quiet"),
    ));
    let page = std::fs::read_to_string(root.join("run/report.html")).unwrap();
    for outside in ["http:", "https:", "src=\"/", "href=\"/", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let pictures = page.matches("<img").count();
    assert!(pictures > 2);
    // The page allows no program: the look goes into a copy, before the line that says so.
    assert!(page.contains("default-src 'none'"));
    let copy = root.join("copy.html");
    let with_look = page.replacen("<head>", &format!("<head>{LOOK}"), 1);
    assert!(with_look.len() > page.len(), "a head");
    std::fs::write(&copy, with_look).unwrap();
    let dom = shown(&browser, &copy, &root.join("profile"));
    assert_eq!(number(&dom, "data-pictures"), pictures);
    assert_eq!(number(&dom, "data-broken"), 0);
    assert_eq!(number(&dom, "data-fetched"), 0);
    assert!(number(&dom, "data-height") > 500);
    assert!(dom.contains("zombie") && dom.contains("pencil sketch"));

    // A picture that is cut short is found, so the look can fail.
    let cut = page.find("data:image/png;base64,").unwrap() + 60;
    let end = cut + page[cut..].find('"').unwrap();
    let broken = format!("{}{}", &page[..cut], &page[end..]);
    std::fs::write(
        &copy,
        broken.replacen("<head>", &format!("<head>{LOOK}"), 1),
    )
    .unwrap();
    let dom = shown(&browser, &copy, &root.join("profile"));
    assert_eq!(number(&dom, "data-broken"), 1);
}
