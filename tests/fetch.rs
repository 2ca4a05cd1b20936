//! `domex fetch` against a local server that behaves like the Hub: redirects, ranges,
//! dropped connections, wrong hashes, 401, 404, and no network at all.

mod joined;
mod server;
mod waiting;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use server::{COMMIT, Server, TOKEN, sha256};

/// Bytes that compress badly and differ everywhere.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut x = seed.wrapping_mul(2_654_435_761) | 1;
    std::iter::repeat_with(|| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as u8
    })
    .take(length)
    .collect()
}

/// A server, a manifest and an empty cache.
struct World {
    server: Server,
    dir: tempfile::TempDir,
    manifest: String,
}

impl World {
    fn new() -> Self {
        Self {
            server: Server::start(),
            dir: tempfile::tempdir().unwrap(),
            manifest: String::new(),
        }
    }

    /// Adds an entry; `rest` says where it is and what is known of it.
    fn entry(&mut self, name: &str, rest: &str) {
        let rest = rest.replace("{server}", &self.server.address);
        self.manifest.push_str(&format!(
            "[[model]]\nname = \"{name}\"\nabout = \"a test\"\nkind = \"test\"\n\
             license = \"MIT\"\n{rest}\n\n"
        ));
    }

    fn url(&mut self, name: &str, path: &str, rest: &str) {
        self.entry(name, &format!("url = \"{{server}}{path}\"\n{rest}"));
    }

    fn hub(&mut self, name: &str, file: &str, rest: &str) {
        self.entry(
            name,
            &format!("repo = \"owner/repo\"\nfile = \"{file}\"\n{rest}"),
        );
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn cached(&self, name: &str, file: &str) -> PathBuf {
        self.cache().join("models").join(name).join(file)
    }

    fn command(&self, args: &[&str]) -> Command {
        let manifest = self.dir.path().join("models.toml");
        fs::write(&manifest, &self.manifest).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_domex"));
        command
            .arg("fetch")
            .arg("--manifest")
            .arg(manifest)
            .args(args)
            .env("DOMEX_CACHE", self.cache())
            .env("HF_ENDPOINT", &self.server.address)
            .env("HF_HOME", self.dir.path().join("hf"))
            .env_remove("HF_TOKEN")
            .env_remove("HF_HUB_OFFLINE");
        for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(proxy).env_remove(proxy.to_uppercase());
        }
        command
    }

    fn fetch(&self, args: &[&str]) -> Outcome {
        Outcome::of(self.command(args).output().unwrap())
    }
}

struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Outcome {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self
    }

    /// Exit code 2 and one line on stderr that holds all of `parts`.
    #[track_caller]
    fn refused(self, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(2), "{}{}", self.out, self.err);
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        for part in parts {
            assert!(self.err.contains(part), "`{part}` is not in: {}", self.err);
        }
        self
    }
}

#[track_caller]
fn holds(path: &Path, bytes: &[u8]) {
    assert!(
        fs::read(path).unwrap() == bytes,
        "{} differs",
        path.display()
    );
}

#[test]
fn a_file_is_fetched_once_and_then_cached() {
    let mut w = World::new();
    let bytes = noise(300_000, 1);
    w.server.put("a.bin", &bytes);
    w.url(
        "a",
        "/moved/a.bin",
        &format!("sha256 = \"{}\"\nsize = 300000", sha256(&bytes)),
    );
    assert!(w.fetch(&["a"]).ok().out.contains("fetched, verified"));
    holds(&w.cached("a", "a.bin"), &bytes);
    // A redirect was followed.
    let paths: Vec<_> = w
        .server
        .take_seen()
        .into_iter()
        .map(|seen| seen.path)
        .collect();
    assert_eq!(paths, ["/moved/a.bin", "/files/a.bin"]);

    assert!(w.fetch(&["a"]).ok().out.contains("cached, verified"));
    assert!(
        w.fetch(&["a", "--offline"])
            .ok()
            .out
            .contains("cached, verified")
    );
    assert!(
        w.server.take_seen().is_empty(),
        "nothing was asked of the server"
    );
    assert!(w.fetch(&["--list"]).ok().out.contains("cached"));
}

#[test]
fn a_damaged_cache_is_noticed_and_mended() {
    let mut w = World::new();
    let bytes = noise(10_000, 2);
    w.server.put("a.bin", &bytes);
    w.url(
        "a",
        "/files/a.bin",
        &format!("sha256 = \"{}\"", sha256(&bytes)),
    );
    w.fetch(&["a"]).ok();
    let file = w.cached("a", "a.bin");
    let mut damaged = bytes.clone();
    damaged[77] ^= 1;
    fs::write(&file, &damaged).unwrap();
    w.fetch(&["a", "--offline"])
        .refused(&[&sha256(&damaged), &sha256(&bytes)]);
    w.fetch(&["a"]).ok();
    holds(&file, &bytes);
}

#[test]
fn a_dropped_connection_is_resumed_where_it_stopped() {
    let mut w = World::new();
    let bytes = noise(1_000_000, 3);
    w.server.put("a.bin", &bytes);
    w.server.drop_midway("a.bin", 2);
    w.url(
        "a",
        "/broken/a.bin",
        &format!("sha256 = \"{}\"", sha256(&bytes)),
    );
    w.fetch(&["a"]).ok();
    holds(&w.cached("a", "a.bin"), &bytes);
    let ranges: Vec<_> = w
        .server
        .take_seen()
        .into_iter()
        .map(|seen| seen.headers.get("range").cloned().unwrap_or_default())
        .collect();
    assert_eq!(ranges, ["", "bytes=500000-", "bytes=750000-"]);
    let left: Vec<_> = fs::read_dir(w.cached("a", "a.bin").parent().unwrap())
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1, "no part is left behind: {left:?}");
}

#[test]
fn a_later_run_goes_on_with_the_part() {
    let mut w = World::new();
    let bytes = noise(64_000, 4);
    w.server.put("a.bin", &bytes);
    w.url(
        "a",
        "/files/a.bin",
        &format!("sha256 = \"{}\"", sha256(&bytes)),
    );
    let part = w.cached("a", "a.bin.part");
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    fs::write(&part, &bytes[..40_000]).unwrap();
    w.fetch(&["a"]).ok();
    holds(&w.cached("a", "a.bin"), &bytes);
    assert_eq!(w.server.take_seen()[0].headers["range"], "bytes=40000-");

    // A part that is complete already, or of a file that has changed since.
    for stale in [bytes.clone(), noise(70_000, 5), noise(30_000, 6)] {
        fs::remove_file(w.cached("a", "a.bin")).unwrap();
        fs::write(&part, &stale).unwrap();
        w.fetch(&["a"]).ok();
        holds(&w.cached("a", "a.bin"), &bytes);
    }
}

#[test]
fn a_part_of_another_version_is_not_mixed_in() {
    let mut w = World::new();
    let old = noise(90_000, 7);
    w.server.put("a.bin", &old);
    // The connection drops until the attempts are used up; each got some bytes, so the last
    // ones, which get none, count.
    w.server.drop_midway("a.bin", 60);
    w.url("a", "/broken/a.bin", "");
    w.fetch(&["a"])
        .refused(&["bytes are kept", "run the same command again"]);
    let part = w.cached("a", "a.bin.part");
    assert!(part.metadata().unwrap().len() > 45_000);
    // Same address, other file: `If-Range` makes the server send it whole.
    let new = noise(90_000, 8);
    w.server.put("a.bin", &new);
    w.server.drop_midway("a.bin", 0);
    w.fetch(&["a"]).ok();
    holds(&w.cached("a", "a.bin"), &new);
}

#[test]
fn a_server_without_ranges_is_taken_from_the_start() {
    let mut w = World::new();
    let bytes = noise(50_000, 9);
    w.server.put("a.bin", &bytes);
    w.url(
        "a",
        "/whole/a.bin",
        &format!("sha256 = \"{}\"", sha256(&bytes)),
    );
    let part = w.cached("a", "a.bin.part");
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    fs::write(&part, &bytes[..20_000]).unwrap();
    w.fetch(&["a"]).ok();
    holds(&w.cached("a", "a.bin"), &bytes);
}

#[test]
fn a_wrong_hash_is_deleted_and_both_are_shown() {
    let mut w = World::new();
    let (bytes, other) = (noise(5_000, 10), sha256(b"something else"));
    w.server.put("a.bin", &bytes);
    w.url("a", "/files/a.bin", &format!("sha256 = \"{other}\""));
    w.url("b", "/files/a.bin", "sha256_prefix = \"000000\"");
    w.fetch(&["a"])
        .refused(&[&sha256(&bytes), &other, "deleted"]);
    w.fetch(&["b"])
        .refused(&[&sha256(&bytes), "000000", "deleted"]);
    for name in ["a", "b"] {
        assert!(!w.cached(name, "a.bin").exists());
        assert!(!w.cached(name, "a.bin.part").exists());
    }
}

#[test]
fn a_wrong_size_is_refused_before_the_download() {
    let mut w = World::new();
    w.server.put("a.bin", &noise(5_000, 11));
    w.url("a", "/files/a.bin", "size = 4999");
    w.fetch(&["a"])
        .refused(&["5000", "4999", "nothing was downloaded"]);
}

#[test]
fn an_unknown_hash_is_pinned_on_first_use() {
    let mut w = World::new();
    let bytes = noise(8_000, 12);
    w.server.put("a.bin", &bytes);
    w.url("a", "/files/a.bin", "");
    let first = w.fetch(&["a"]).ok();
    assert!(first.out.contains(&sha256(&bytes)) && first.out.contains("trusted on first use"));
    // The file changes at its place: from now on that is an error.
    let changed = noise(8_000, 13);
    w.server.put("a.bin", &changed);
    fs::remove_file(w.cached("a", "a.bin")).unwrap();
    w.fetch(&["a"])
        .refused(&[&sha256(&changed), &sha256(&bytes)]);
    w.server.put("a.bin", &bytes);
    assert!(!w.fetch(&["a"]).ok().out.contains("first use"));
}

#[test]
fn mistakes_are_told_before_any_download() {
    let mut w = World::new();
    w.server.put("a.bin", &noise(10, 14));
    w.url("a", "/files/a.bin", "");
    w.url("gone", "/files/gone.bin", "");
    w.fetch(&["a", "b"]).refused(&["no model `b`", "a, gone"]);
    assert!(w.server.take_seen().is_empty());
    w.fetch(&["gone"]).refused(&["gone.bin", "404"]);
    w.fetch(&["a", "--offline"])
        .refused(&["not in ", "models/a", "network is not to be used"]);
    fs::write(w.dir.path().join("a-file"), b"").unwrap();
    let inside_a_file = w.dir.path().join("a-file").join("cache");
    w.fetch(&["a", "--dir", inside_a_file.to_str().unwrap()])
        .refused(&["a-file"]);
}

#[test]
fn nobody_answers() {
    let mut w = World::new();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    w.entry("a", &format!("url = \"http://127.0.0.1:{port}/a.bin\""));
    w.fetch(&["a"]).refused(&["127.0.0.1", "5 attempts"]);
}

#[test]
fn the_hub_by_its_own_client() {
    let mut w = World::new();
    let bytes = noise(400_000, 15);
    w.server.put("m.bin", &bytes);
    w.server.drop_midway("m.bin", 1);
    w.hub(
        "m",
        "m.bin",
        &format!("revision = \"{COMMIT}\"\nsha256 = \"{}\"", sha256(&bytes)),
    );
    w.fetch(&["m"]).ok();
    holds(&w.cached("m", "m.bin"), &bytes);
    let seen = w.server.take_seen();
    assert!(
        seen.iter()
            .any(|s| s.path == format!("/owner/repo/resolve/{COMMIT}/m.bin"))
    );
    assert!(
        seen.iter()
            .any(|s| s.headers.get("range").is_some_and(|r| r == "bytes=200000-")),
        "the dropped download was resumed: {seen:?}"
    );
    // Its cache is the Hub's own, which other programs share.
    let blob = w
        .dir
        .path()
        .join("hf/hub/models--owner--repo/blobs")
        .join(sha256(&bytes));
    holds(&blob, &bytes);
    // With our copy gone, the Hub's cache is enough, also without a network.
    fs::remove_file(w.cached("m", "m.bin")).unwrap();
    let mut offline = w.command(&["m"]);
    offline.env("HF_HUB_OFFLINE", "1");
    Outcome::of(offline.output().unwrap()).ok();
    assert!(w.server.take_seen().is_empty());
}

#[test]
fn the_hub_pins_a_branch_and_refuses_a_wrong_file() {
    let mut w = World::new();
    let bytes = noise(20_000, 16);
    w.server.put("m.bin", &bytes);
    w.hub("m", "m.bin", "revision = \"main\"");
    w.fetch(&["m"]).ok();
    let lock = fs::read_to_string(w.cache().join("models/lock.toml")).unwrap();
    assert!(
        lock.contains(COMMIT) && lock.contains(&sha256(&bytes)),
        "{lock}"
    );

    let other = sha256(b"something else");
    w.hub("n", "m.bin", &format!("sha256 = \"{other}\""));
    w.fetch(&["n"])
        .refused(&[&sha256(&bytes), &other, "deleted"]);
    let blob = w
        .dir
        .path()
        .join("hf/hub/models--owner--repo/blobs")
        .join(sha256(&bytes));
    assert!(!blob.exists() && !w.cached("n", "m.bin").exists());
}

#[test]
fn a_gated_file_of_the_hub_needs_a_token() {
    let mut w = World::new();
    let bytes = noise(9_000, 17);
    w.server.put("gated.bin", &bytes);
    w.hub("m", "gated.bin", "");
    w.hub("gone", "gone.bin", "");
    w.fetch(&["m"]).refused(&["401", "HF_TOKEN"]);
    w.fetch(&["gone"]).refused(&["404"]);
    w.fetch(&["m", "--offline"])
        .refused(&["not in ", "hub", "network is not to be used"]);
    let mut with_token = w.command(&["m"]);
    with_token.env("HF_TOKEN", TOKEN);
    Outcome::of(with_token.output().unwrap()).ok();
    holds(&w.cached("m", "gated.bin"), &bytes);
}

#[test]
fn the_files_of_a_folder_keep_their_paths() {
    let mut w = World::new();
    let (index, weights) = (noise(300, 18), noise(200_000, 19));
    w.server.put("model_index.json", &index);
    w.server.put("config.json", &weights[..500]);
    w.server.put("weights.bin", &weights);
    let files = "files = [\"model_index.json\", \"unet/config.json\", \"unet/weights.bin\"]";
    w.entry(
        "sd",
        &format!("repo = \"owner/repo\"\nrevision = \"main\"\n{files}"),
    );
    let listed = |w: &World| w.fetch(&["--list"]).ok().out;
    assert!(listed(&w).contains("hub:owner/repo@main, 3 files"));
    assert!(!listed(&w).contains("cached"));
    let out = w.fetch(&["sd"]).ok().out;
    assert!(out.contains("sd/unet/weights.bin: sha256"), "{out}");
    assert!(out.contains("fetched, verified"), "{out}");
    holds(&w.cached("sd", "model_index.json"), &index);
    holds(&w.cached("sd", "unet/config.json"), &weights[..500]);
    holds(&w.cached("sd", "unet/weights.bin"), &weights);
    assert!(listed(&w).contains("cached"));

    // Each is pinned: one that is damaged is fetched again, and no other.
    w.server.take_seen();
    // The Hub's cache has the same file by another name, which stays whole.
    fs::remove_file(w.cached("sd", "unet/config.json")).unwrap();
    fs::write(w.cached("sd", "unet/config.json"), b"damaged").unwrap();
    w.fetch(&["sd"]).ok();
    holds(&w.cached("sd", "unet/config.json"), &weights[..500]);
    let seen = w.server.take_seen();
    assert!(
        seen.iter().all(|seen| !seen.path.contains("weights.bin")),
        "{seen:?}"
    );
    assert!(
        w.fetch(&["sd", "--offline"])
            .ok()
            .out
            .contains("cached, verified")
    );
}
