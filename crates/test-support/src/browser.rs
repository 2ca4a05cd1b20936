//! A headless browser, driven through the DevTools protocol over a pipe: what a page shows, and what it does when it is used.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// How long a page may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// What every headless browser of a test is started with.
pub const FLAGS: [&str; 7] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
];

/// A headless browser, if this machine has one. Where the environment says that it must, there is one or this panics.
pub fn find() -> Option<PathBuf> {
    const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut files = NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = files.find(|file| file.is_file());
    if found.is_none() {
        let required = std::env::var_os("DOMEX_BROWSER_REQUIRED").is_some();
        assert!(!required, "no headless browser on PATH, such as chromium");
        println!("skipped: no headless browser on PATH");
    }
    found
}

/// A browser with one page. It ends with this.
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<Json>,
    /// Of the last command.
    id: u64,
    session: Option<String>,
    complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts it. Nothing is looked up but names of this machine.
    pub fn start(program: &Path) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // The browser reads commands from file 3 and answers into file 4.
        let mut child = Command::new("sh")
            .args([
                "-c",
                r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#,
            ])
            .arg(program)
            .args(FLAGS)
            .args(["--hide-scrollbars", "--remote-debugging-pipe"])
            .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let output = child.stdout.take().unwrap();
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0) {
                let Ok(message) = message else { break };
                let Ok(message) = serde_json::from_slice(&message) else {
                    continue;
                };
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            child,
            commands,
            answers,
            id: 0,
            session: None,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", &target);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "DOM.enable"] {
            browser.call(domain, &json!({}));
        }
        browser
    }

    /// Opens a page in a window of this size, once it has loaded.
    pub fn open(&mut self, url: &str, width: u32, height: u32) {
        self.resize(width, height);
        self.call("Page.navigate", &json!({ "url": url }));
        self.wait_for("location.href !== 'about:blank' && document.readyState === 'complete'");
    }

    /// Gives the window another size.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Has the system ask for dark pages.
    pub fn darken(&mut self) {
        let dark = json!([{ "name": "prefers-color-scheme", "value": "dark" }]);
        self.call("Emulation.setEmulatedMedia", &json!({ "features": dark }));
    }

    /// What an expression of the page is; a promise's value once it has one.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Json {
        self.evaluated(expression)
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The value, or why there is none: the expression's own exception, or the page went away.
    fn evaluated(&mut self, expression: &str) -> Result<Json, Json> {
        let asked =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.answer("Runtime.evaluate", &asked)?;
        match answer.get("exceptionDetails") {
            Some(exception) => Err(exception.clone()),
            None => Ok(answer["result"]["value"].clone()),
        }
    }

    /// Waits until an expression is true, of this page or of one that takes its place.
    #[track_caller]
    pub fn wait_for(&mut self, expression: &str) {
        let begin = Instant::now();
        let asked = format!("Boolean({expression})");
        loop {
            let value = self.evaluated(&asked);
            if value == Ok(json!(true)) {
                return;
            }
            let complaints = &self.complaints;
            assert!(
                begin.elapsed() < PATIENCE,
                "never true: {expression}: {value:?} {complaints:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses a key, as `KeyboardEvent.key` calls it, where the focus is.
    pub fn press(&mut self, key: &str, code: u32) {
        for kind in ["rawKeyDown", "keyUp"] {
            let event =
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Chooses a file for an input, by its selector.
    pub fn choose_file(&mut self, selector: &str, file: &Path) {
        let root = self.call("DOM.getDocument", &json!({}))["root"]["nodeId"].clone();
        let node = self.call(
            "DOM.querySelector",
            &json!({ "nodeId": root, "selector": selector }),
        );
        let file = json!({ "nodeId": node["nodeId"], "files": [file] });
        self.call("DOM.setFileInputFiles", &file);
    }

    /// The window as a PNG picture.
    pub fn screenshot(&mut self) -> Vec<u8> {
        let shot = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        BASE64.decode(shot["data"].as_str().unwrap()).unwrap()
    }

    /// What the page logged as an error or warning so far, and exceptions that nobody caught.
    pub fn complaints(&mut self) -> &[String] {
        // What came before this answer is in.
        self.value("0");
        &self.complaints
    }

    #[track_caller]
    fn call(&mut self, method: &str, parameters: &Json) -> Json {
        self.answer(method, parameters)
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn answer(&mut self, method: &str, parameters: &Json) -> Result<Json, Json> {
        self.id += 1;
        let mut command = json!({ "id": self.id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).unwrap();
        self.commands.flush().unwrap();
        loop {
            let message = self.answers.recv_timeout(PATIENCE);
            let mut message = message.unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == self.id {
                let error = message["error"].take();
                return match error.is_null() {
                    true => Ok(message["result"].take()),
                    false => Err(error),
                };
            }
            self.note(&message);
        }
    }

    /// Keeps what is wrong.
    fn note(&mut self, event: &Json) {
        let parameters = &event["params"];
        let is_wrong = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => {
                matches!(
                    parameters["type"].as_str(),
                    Some("error" | "warning" | "assert")
                )
            }
            Some("Log.entryAdded") => {
                matches!(
                    parameters["entry"]["level"].as_str(),
                    Some("error" | "warning")
                )
            }
            _ => false,
        };
        if is_wrong {
            self.complaints.push(parameters.to_string());
        }
    }
}

impl Drop for Browser {
    /// The browser is asked to close, as processes of one that is killed go on to write into the profile, which then stays.
    fn drop(&mut self) {
        const CLOSE: &[u8] = b"{\"id\":0,\"method\":\"Browser.close\"}\0";
        drop(self.commands.write_all(CLOSE));
        drop(self.commands.flush());
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE / 10 && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
