//! A small HTTP server on 127.0.0.1 that behaves like the Hub and its file stores.
//!
//! | path | answer |
//! | --- | --- |
//! | `/{owner}/{repo}/resolve/{revision}/{file}` | as the Hub: commit, linked etag and size, and a redirect to `/cdn/...` |
//! | `/cdn/{file}`, `/files/{file}` | the file, with ranges and `If-Range` |
//! | `/moved/{file}` | a relative redirect to `/files/{file}` |
//! | `/whole/{file}` | the file, ignoring ranges |
//! | `/broken/{file}` | drops the connection midway as often as told, then as `/files/` |
//!
//! A file whose name starts with `gated` needs a token; unknown files are 404.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// The commit of every repository.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The token that gated files want.
pub const TOKEN: &str = "hf_test_token";

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    pub headers: HashMap<String, String>,
}

#[derive(Default)]
struct State {
    files: HashMap<String, Vec<u8>>,
    drops: HashMap<String, usize>,
    seen: Vec<Seen>,
}

/// A running server; it ends with the test's process.
pub struct Server {
    state: Arc<Mutex<State>>,
    pub address: String,
}

impl Server {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || answer(stream, &shared));
            }
        });
        Self { state, address }
    }

    /// Puts a file on the server.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.state
            .lock()
            .unwrap()
            .files
            .insert(name.to_owned(), bytes.to_owned());
    }

    /// Drops the next `times` connections for a file of `/broken/` or of the Hub midway.
    pub fn drop_midway(&self, name: &str, times: usize) {
        self.state
            .lock()
            .unwrap()
            .drops
            .insert(name.to_owned(), times);
    }

    /// The requests since the last call.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let Some(request) = read_request(&stream) else {
        return;
    };
    let name = request
        .path
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let (file, drop) = {
        let mut state = state.lock().unwrap();
        state.seen.push(request.clone());
        let may_drop = request.path.starts_with("/broken/") || request.path.starts_with("/cdn/");
        // Asking for the first byte only is how the Hub's client asks for the size.
        let is_probe = request
            .headers
            .get("range")
            .is_some_and(|r| r == "bytes=0-0");
        let left = state.drops.get_mut(&name).filter(|left| **left > 0);
        let drop = match left {
            Some(left) if may_drop && !is_probe => {
                *left -= 1;
                true
            }
            _ => false,
        };
        (state.files.get(&name).cloned(), drop)
    };
    let Some(bytes) = file else {
        return reply(&mut stream, "404 Not Found", &[], b"no such file");
    };
    let etag = format!("\"{}\"", sha256(&bytes));
    if request.path.contains("/resolve/") {
        let token = format!("Bearer {TOKEN}");
        if name.starts_with("gated") && request.headers.get("authorization") != Some(&token) {
            return reply(
                &mut stream,
                "401 Unauthorized",
                &[],
                b"access is restricted",
            );
        }
        let host = request.headers.get("host").cloned().unwrap_or_default();
        let headers = [
            format!("X-Repo-Commit: {COMMIT}"),
            format!("X-Linked-Etag: {etag}"),
            format!("X-Linked-Size: {}", bytes.len()),
            format!("Location: http://{host}/cdn/{name}"),
        ];
        return reply(&mut stream, "302 Found", &headers, b"");
    }
    if request.path.starts_with("/moved/") {
        let headers = [format!("Location: /files/{name}")];
        return reply(&mut stream, "302 Found", &headers, b"");
    }
    let ranges = !request.path.starts_with("/whole/");
    let wanted = request.headers.get("range").filter(|_| ranges).filter(|_| {
        request
            .headers
            .get("if-range")
            .is_none_or(|known| *known == etag)
    });
    let (status, headers, body) = match wanted.map(|range| parse_range(range, bytes.len())) {
        Some(Some((start, end))) => (
            "206 Partial Content",
            vec![
                format!("Content-Range: bytes {start}-{}/{}", end - 1, bytes.len()),
                format!("ETag: {etag}"),
            ],
            &bytes[start..end],
        ),
        Some(None) => {
            let headers = [format!("Content-Range: bytes */{}", bytes.len())];
            return reply(&mut stream, "416 Range Not Satisfiable", &headers, b"");
        }
        None => ("200 OK", vec![format!("ETag: {etag}")], &bytes[..]),
    };
    if drop {
        write_head(&mut stream, status, &headers, body.len());
        // Half of what was promised, then nothing more.
        let _ = stream.write_all(&body[..body.len() / 2]);
        let _ = stream.flush();
        return;
    }
    reply(&mut stream, status, &headers, body);
}

fn read_request(stream: &TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split_whitespace().nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((key, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(key.to_ascii_lowercase(), value.trim().to_owned());
    }
    Some(Seen { path, headers })
}

/// `bytes=a-` or `bytes=a-b` as a half-open range; `None` where it lies outside.
fn parse_range(range: &str, length: usize) -> Option<(usize, usize)> {
    let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
    let start: usize = start.parse().ok()?;
    let end = end
        .parse()
        .map_or(length, |end: usize| (end + 1).min(length));
    (start < end).then_some((start, end))
}

fn reply(stream: &mut TcpStream, status: &str, headers: &[String], body: &[u8]) {
    write_head(stream, status, headers, body.len());
    let _ = stream.write_all(body);
    let _ = stream.flush();
}

fn write_head(stream: &mut TcpStream, status: &str, headers: &[String], length: usize) {
    let mut head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    let _ = stream.write_all(head.as_bytes());
}

/// Hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
