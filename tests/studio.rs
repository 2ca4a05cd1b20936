//! `domex studio` as a browser sees it, on small networks.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::sync::OnceLock;

use domex_test_support::browser::{self, Browser};
use domex_test_support::process;
use domex_test_support::program::World;
use serde_json::Value as Json;

/// With an expanded model in `run`.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "studio",
        |world| {
            world.ok(
                "expand --domain \"pencil sketch\" --domain zombie --out run --steps 2 --batch 2 --tick 1 --threads 2 \
                 --quiet",
            );
        },
    )
}

/// The program while it serves. It is ended with this.
struct Running {
    child: Child,
    url: String,
}

impl Running {
    fn start(flags: &str) -> Self {
        let line = format!("studio --threads 2 --json {flags}");
        let mut command = world().command(&line);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let told: Json = serde_json::from_str(&line).unwrap();
        let url = told["url"].as_str().unwrap().to_owned();
        Self { child, url }
    }

    fn expanded(name: &str) -> Self {
        Self::of("run/model.safetensors", name)
    }

    /// On a port of the system's choice: tests run side by side.
    fn of(model: &str, name: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        Self::start(&format!("--model {model} --port {port} --workspace {name}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The page in a window of this size, with its first picture. Behind the workspace's name further flags may stand.
fn opened(name: &str, width: u32, height: u32) -> Option<(Running, Browser)> {
    let mut browser = Browser::start(&browser::find()?);
    let running = Running::expanded(name);
    browser.open(&running.url, width, height);
    browser.wait_for("document.documentElement.dataset.drawn >= 1");
    Some((running, browser))
}

/// The pixels of the large picture.
const PIXELS: &str = "document.getElementById('picture').toDataURL()";

/// Does something and waits until the picture is another; what it is then.
#[track_caller]
fn changed(browser: &mut Browser, act: impl FnOnce(&mut Browser)) -> Json {
    let before = browser.value(PIXELS);
    act(browser);
    browser.wait_for(&format!("{PIXELS} !== {before}"));
    browser.value(PIXELS)
}

fn slide(browser: &mut Browser, selector: &str, value: f64) {
    browser.value(&format!(
        "{{ const range = document.querySelector('{selector}'); range.value = {value};
            for (const kind of ['input', 'change']) range.dispatchEvent(new Event(kind)); 0 }}"
    ));
}

fn click(browser: &mut Browser, selector: &str) {
    browser.value(&format!("document.querySelector('{selector}').click()"));
}

#[track_caller]
fn quiet(browser: &mut Browser) {
    assert_eq!(browser.complaints(), [] as [&str; 0]);
    assert_eq!(
        browser.value("document.getElementById('message').hidden"),
        true
    );
}

#[test]
fn sliders_move_pixels_and_undo_moves_them_back() {
    let Some((_running, mut browser)) = opened("sliders", 1200, 800) else {
        return;
    };
    let first = browser.value(PIXELS);
    let zombie = changed(&mut browser, |browser| {
        slide(browser, "#domains .slider:nth-child(2) input", 1.0);
    });
    let both = changed(&mut browser, |browser| {
        browser.value("document.getElementById('directions-panel').open = true");
        browser.value("document.querySelector('#directions input').focus()");
        browser.press("PageUp", 33);
    });
    assert!(first != zombie && zombie != both);
    let undo = |browser: &mut Browser| click(browser, "#undo");
    assert_eq!(changed(&mut browser, undo), zombie);
    assert_eq!(changed(&mut browser, undo), first);
    let pad = |browser: &mut Browser| {
        browser.value("document.getElementById('pad').focus()");
        browser.press("ArrowUp", 38);
    };
    changed(&mut browser, pad);
    let label = browser.value("document.getElementById('picture').getAttribute('aria-label')");
    assert_eq!(label, "Picture: seed 0, zombie 0.05");
    quiet(&mut browser);
}

#[test]
fn layers_take_the_styles_of_another_seed() {
    let Some((_running, mut browser)) = opened("mixing", 1200, 800) else {
        return;
    };
    let type_in = |browser: &mut Browser, id: &str, value: &str| {
        browser.value(&format!(
            "{{ const field = document.getElementById('{id}'); field.value = '{value}';
                field.dispatchEvent(new Event('change')); 0 }}"
        ));
    };
    let own = browser.value(PIXELS);
    let mixed = changed(&mut browser, |browser| {
        type_in(browser, "mixing-last", "2");
        type_in(browser, "mixing-seed", "5");
    });
    let label = browser.value("document.getElementById('picture').getAttribute('aria-label')");
    assert_eq!(label, "Picture: seed 0, layers 0 to 2 of seed 5");
    // All layers of a seed are that seed.
    let all = changed(&mut browser, |browser| {
        let last = "document.getElementById('mixing-last').max";
        let last = browser.value(last).as_str().unwrap().to_owned();
        type_in(browser, "mixing-last", &last);
    });
    let none = changed(&mut browser, |browser| click(browser, "#mixing-none"));
    assert_eq!(none, own);
    let other = changed(&mut browser, |browser| type_in(browser, "seed", "5"));
    assert!(other == all && mixed != all);
    quiet(&mut browser);
}

#[test]
fn domains_show_in_the_region_that_is_painted() {
    let Some((_running, mut browser)) = opened("region", 1200, 800) else {
        return;
    };
    /// The pixels of the picture's right half.
    const RIGHT: &str =
        "(() => { const picture = document.getElementById('picture'); const side = picture.width;
        const copy = new OffscreenCanvas(side, side).getContext('2d', { willReadFrequently: true });
        copy.drawImage(picture, 0, 0);
        return String(copy.getImageData(side / 2 + 2, 0, side / 2 - 2, side).data); })()";
    let base = browser.value(PIXELS);
    let right = browser.value(RIGHT);
    let zombie = changed(&mut browser, |browser| {
        slide(browser, "#domains .slider:nth-child(2) input", 1.5);
    });
    assert_ne!(browser.value(RIGHT), right);
    let left = changed(&mut browser, |browser| {
        browser.value(
            "{ const shape = document.getElementById('region-shape'); shape.value = 'left half';
               shape.dispatchEvent(new Event('change')); 0 }",
        );
    });
    assert!(left != base && left != zombie);
    assert_eq!(browser.value(RIGHT), right);
    changed(&mut browser, |browser| {
        browser.value("document.getElementById('region-panel').open = true");
        click(browser, "#region-paint");
        browser.value(
            "{ const veil = document.getElementById('region'); const box = veil.getBoundingClientRect();
               const at = { clientX: box.left + 0.8 * box.width, clientY: box.top + 0.5 * box.height, pointerId: 1, button: 0 };
               veil.setPointerCapture = () => {};
               for (const kind of ['pointerdown', 'pointerup']) veil.dispatchEvent(new PointerEvent(kind, at)); 0 }",
        );
    });
    assert_ne!(browser.value(RIGHT), right);
    assert_eq!(
        browser.value("document.getElementById('region-shape').value"),
        "painted"
    );
    let label = browser.value("document.getElementById('picture').getAttribute('aria-label')");
    assert_eq!(label, "Picture: seed 0, zombie 1.5, in a region");
    quiet(&mut browser);
}

#[test]
fn a_photo_is_found_saved_and_loaded_again() {
    let Some((_running, mut browser)) = opened("photo-presets", 1200, 800) else {
        return;
    };
    let seed = browser.value(PIXELS);
    let photo = world().path("photo.png");
    image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 6, y as u8 * 8, 90]))
        .save(&photo)
        .unwrap();
    browser.value("document.getElementById('steps').value = 2");
    // Nothing finds faces here, and the page says what would.
    assert_eq!(
        browser.value("document.querySelector('#crop [value=face]').disabled"),
        true
    );
    let hint = browser.value("document.getElementById('photo-hint').textContent");
    assert!(hint.to_string().contains("`domex fetch yunet`"), "{hint}");
    let found = changed(&mut browser, |browser| {
        browser.choose_file("#photo", &photo);
    });
    let label = browser.value("document.getElementById('picture').getAttribute('aria-label')");
    assert_eq!(label, "Picture: photo");
    let mixing = |value: &str| {
        format!(
            "{{ const field = document.getElementById('mixing-seed'); field.value = '{value}';
                field.dispatchEvent(new Event('change')); 0 }}"
        )
    };
    browser.value("document.getElementById('preset-name').value = 'Anna 1'");
    click(&mut browser, "#preset-form button");
    browser.wait_for("document.querySelector('#presets img')?.naturalWidth > 0");
    assert!(world().has("photo-presets/Anna 1.png"));
    let back = changed(&mut browser, |browser| click(browser, "#strip button"));
    assert_eq!(back, seed);
    // A preset takes the place of all settings, also of such as it has none of.
    changed(&mut browser, |browser| {
        browser.value(&mixing("5"));
    });
    let loaded = changed(&mut browser, |browser| click(browser, "#presets button"));
    assert_eq!(loaded, found);
    assert_eq!(browser.complaints(), [] as [&str; 0]);
}

#[test]
fn a_domain_is_learnt_in_a_process_of_its_own() {
    let Some((running, mut browser)) = opened("learnt --seed 7", 1200, 800) else {
        return;
    };
    let begin = |browser: &mut Browser, name: &str, words: &str, steps: u32| {
        browser.value(&format!(
            "{{ document.getElementById('learn-panel').open = true;
                document.getElementById('learn-domains').value = '{words}';
                document.getElementById('learn-name').value = '{name}';
                document.getElementById('learn-steps').value = {steps};
                document.querySelector('#learn-form button').click(); 0 }}"
        ));
    };
    let says = |index: u32, words: &str| {
        format!("document.querySelectorAll('.run .hint')[{index}]?.textContent.includes('{words}')")
    };
    begin(&mut browser, "elves", "elf", 2);
    browser.wait_for(&says(0, "Learnt."));
    browser.wait_for("document.querySelector('.run img').naturalWidth > 100");
    assert!(world().has("learnt/runs/elves/model.safetensors"));
    assert_eq!(world().document("learnt/runs/elves/run.json")["seed"], 7);

    // Its model is shown, with the settings that were there.
    slide(&mut browser, "#domains input", 0.5);
    click(&mut browser, ".run button");
    browser.wait_for("document.title.startsWith('elves/model.safetensors')");
    browser.wait_for(
        "document.querySelector('#domains .slider:nth-child(3) label')?.textContent === 'elf'",
    );
    let label = "document.getElementById('picture').getAttribute('aria-label')";
    browser.wait_for(&format!("{label} === 'Picture: seed 0, pencil sketch 0.5'"));
    changed(&mut browser, |browser| {
        slide(browser, "#domains .slider:nth-child(3) input", 1.0);
    });
    quiet(&mut browser);
    // And the first one again.
    browser.value(
        "{ const models = document.getElementById('models'); models.selectedIndex = 0;
           models.dispatchEvent(new Event('change')); 0 }",
    );
    browser.wait_for("document.title.startsWith('run/model.safetensors')");
    browser.wait_for("document.getElementById('message').textContent.includes('no domain')");
    browser.wait_for("document.documentElement.dataset.drawn >= 1");
    click(&mut browser, "#message button");

    // A long one is stopped, and goes on when the studio has ended and another is there.
    begin(&mut browser, "owls", "old owl", 5000);
    browser.wait_for("document.querySelector('.run:nth-child(2) button')?.textContent === 'Stop'");
    browser.wait_for("document.querySelectorAll('.run img')[1]?.naturalWidth > 100");
    click(&mut browser, ".run:nth-child(2) button");
    browser
        .wait_for("document.querySelector('.run:nth-child(2) button')?.textContent === 'Resume'");
    click(&mut browser, ".run:nth-child(2) button");
    browser.wait_for("document.querySelector('.run:nth-child(2) button')?.textContent === 'Stop'");
    quiet(&mut browser);
    drop(running);
    let again = Running::expanded("learnt");
    browser.open(&again.url, 1200, 800);
    browser.wait_for("document.documentElement.dataset.drawn >= 1");
    browser.value("{ document.getElementById('learn-panel').open = true; 0 }");
    browser.wait_for("document.querySelector('.run:nth-child(2) button')?.textContent === 'Stop'");
    click(&mut browser, ".run:nth-child(2) button");
    browser
        .wait_for("document.querySelector('.run:nth-child(2) button')?.textContent === 'Resume'");
    quiet(&mut browser);
}

#[test]
fn domains_are_made_at_once_by_words_and_by_a_picture() {
    let Some(program) = browser::find() else {
        return;
    };
    let world = world();
    world.write("texts.txt", "sketch\nzombie\n");
    let short = "--kimg 0.01 --batch 4 --tick 0.01 --clip one";
    world.ok(&format!(
        "train-hyperdomain {short} --texts texts.txt --out hyper"
    ));
    world.ok(&format!("train-degan {short} --fade-in 2 --out degan"));
    for (run, name) in [("hyper", "hyperdomain"), ("degan", "degan")] {
        let to = world.path(&format!("shipped/{name}.safetensors"));
        std::fs::copy(world.path(&format!("{run}/model.safetensors")), to).unwrap();
    }
    let mut browser = Browser::start(&program);
    let running = Running::of("shipped/generator.safetensors", "at-once");
    browser.open(&running.url, 1200, 800);
    browser.wait_for("document.documentElement.dataset.drawn >= 1");
    let named = |browser: &mut Browser, name: &str| {
        browser.value(&format!(
            "{{ document.getElementById('learn-panel').open = true;
                document.getElementById('learn-domains').value = 'elf\\nold owl';
                document.getElementById('learn-name').value = '{name}'; 0 }}"
        ));
    };
    let labels =
        "[...document.querySelectorAll('#domains label')].map((l) => l.textContent).join()";
    named(&mut browser, "elves");
    click(&mut browser, "#adapt-words");
    browser.wait_for(&format!("{labels} === 'elf,old owl'"));
    quiet(&mut browser);

    // Onto these, that of a picture. It is wide, and its middle is taken.
    let style = world.path("style.png");
    image::RgbImage::from_fn(48, 32, |x, _| image::Rgb([250, 5 * x as u8, 0]))
        .save(&style)
        .unwrap();
    named(&mut browser, "red");
    browser.choose_file("#adapt-picture", &style);
    browser.wait_for(&format!("{labels} === 'elf,old owl,red'"));
    assert!(world.has("at-once/runs/red/style.png"));
    named(&mut browser, "red");
    click(&mut browser, "#adapt-words");
    let message = "document.getElementById('message').textContent";
    browser.wait_for(&format!("{message}.includes('already')"));
    assert!(world.has("at-once/runs/red/model.safetensors"));
}

#[test]
fn sheets_and_films_are_shown() {
    let Some((_running, mut browser)) = opened("films", 1200, 800) else {
        return;
    };
    let shown = "document.querySelector('#result[open] img')?.naturalWidth > 100";
    click(&mut browser, "#sheet");
    browser.wait_for(shown);
    click(&mut browser, "#result .close");
    click(&mut browser, "#add-keyframe");
    changed(&mut browser, |browser| browser.press("]", 221));
    browser.press("k", 75);
    browser.wait_for("document.querySelectorAll('#keyframes canvas[width=\"16\"]').length === 2");
    click(&mut browser, "#film");
    browser.wait_for(shown);
    click(&mut browser, "#result .close");
    browser.value("document.getElementById('film-format').value = 'mp4'");
    click(&mut browser, "#film");
    browser.wait_for("document.querySelector('#result[open] video')?.videoWidth > 100");
    browser.wait_for("document.querySelector('#result[open] video').currentTime > 0.1");
    quiet(&mut browser);
}

#[test]
fn a_phone_shows_the_page_without_scrolling_to_the_side() {
    let Some((_running, mut browser)) = opened("phone", 360, 740) else {
        return;
    };
    browser.darken();
    browser
        .value("document.querySelectorAll('details').forEach((panel) => { panel.open = true; })");
    for width in [320, 360, 600] {
        browser.resize(width, 740);
        let wide = browser.value("document.documentElement.scrollWidth - innerWidth");
        assert_eq!(wide, 0, "{width}");
    }
    let unlabelled = browser.value(
        "[...document.querySelectorAll('input, select, button, canvas')]
            .filter((one) => !one.labels?.length && !one.ariaLabel && !one.textContent.trim() && !one.closest('button, li')).length",
    );
    assert_eq!(unlabelled, 0);
    quiet(&mut browser);
}

#[test]
fn what_the_program_refuses_the_page_shows_in_words() {
    let Some((mut running, mut browser)) = opened("refused", 1200, 800) else {
        return;
    };
    let message = "document.getElementById('message').textContent";
    let file = world().path("no-picture.png");
    std::fs::write(&file, "text").unwrap();
    browser.choose_file("#photo", &file);
    browser.wait_for(&format!("{message}.includes('not a readable')"));
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    slide(&mut browser, "#domains input", 1.0);
    browser.wait_for(&format!("{message}.includes('does not answer')"));
}

#[test]
fn an_interrupt_ends_it_and_is_no_failure() {
    let mut running = Running::expanded("ended");
    process::signal(&running.child, "INT");
    assert!(running.child.wait().unwrap().success());
    assert!(
        !world().has("ended"),
        "a workspace in which nothing was saved is not made"
    );
}

#[test]
fn other_machines_need_the_token_that_is_in_the_address() {
    let running = Running::start("--host 0.0.0.0");
    let (address, token) = running.url.split_once("/#").unwrap();
    assert!(address.starts_with("http://localhost:"));
    assert_eq!(token.len(), 32);
}

#[test]
fn flags_that_cannot_be_followed_are_refused() {
    let world = world();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    world.refused(
        &format!("studio --port {port}"),
        &["--port", &port.to_string()],
    );
    world.refused("studio --port 0", &["leave the flag out"]);
    // A name of nothing, and an address that is kept for examples.
    for host in ["nowhere.invalid", "192.0.2.1"] {
        let line = format!("studio --host {host}");
        world.refused(&line, &[&format!("--host {host}")]);
    }
    world.refused("studio --clip nowhere", &["nowhere", "CLIP"]);
    world.write("a-file", "");
    world.refused(
        "studio --workspace a-file",
        &["--workspace a-file", "no folder"],
    );
}
