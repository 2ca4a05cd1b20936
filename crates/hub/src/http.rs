//! A plain download over HTTP that can be resumed.
//!
//! Bytes go to `FILE.part`. A dropped connection is tried again from where it stopped, also by a
//! later run; the server's `ETag` is kept beside the part, so that a file that has changed in the
//! meantime is begun anew (`If-Range`). A server that ignores ranges is taken from the start.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use ureq::{Agent, Body, http::Response};

use crate::{Entry, Error, Result, Watch};

/// Attempts without a single new byte before giving up.
const ATTEMPTS: u32 = 5;

/// How one attempt ended without success.
enum Stop {
    /// Trying again cannot help.
    Final(Error),
    /// The connection or the server failed for now.
    ForNow(String),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::ForNow(error.to_string())
    }
}

/// Downloads `url` to `part`, going on where a part left off. On failure the part stays.
pub fn download(url: &str, part: &Path, entry: &Entry, watch: &dyn Watch) -> Result<()> {
    let agent = agent();
    let mut failures = 0;
    loop {
        let before = length(part);
        match attempt(&agent, url, part, entry, watch) {
            Ok(()) => return Ok(()),
            Err(Stop::Final(error)) => return Err(error),
            Err(Stop::ForNow(reason)) => {
                if length(part) > before {
                    failures = 0;
                    std::thread::sleep(Duration::from_millis(50));
                    continue;
                }
                failures += 1;
                if failures == ATTEMPTS {
                    return Err(Error::Unreachable {
                        place: url.to_owned(),
                        reason,
                        attempts: ATTEMPTS,
                        bytes: Some(length(part)),
                    });
                }
                std::thread::sleep(Duration::from_millis(250 << failures));
            }
        }
    }
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        // Compression would make ranges and sizes meaningless.
        .accept_encoding("identity")
        .timeout_resolve(Some(Duration::from_secs(20)))
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .user_agent(concat!("domex/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

fn attempt(
    agent: &Agent,
    url: &str,
    part: &Path,
    entry: &Entry,
    watch: &dyn Watch,
) -> Result<(), Stop> {
    let have = length(part);
    let etag_path = beside(part, "etag");
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
        if let Ok(etag) = std::fs::read_to_string(&etag_path) {
            request = request.header("If-Range", etag);
        }
    }
    let response = request.call().map_err(|error| match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => Stop::Final(Error::Client {
            place: url.to_owned(),
            reason: error.to_string(),
        }),
        other => Stop::ForNow(other.to_string()),
    })?;

    let start = match response.status().as_u16() {
        200 => 0,
        206 => range_start(&response)
            .filter(|start| *start == have)
            .ok_or_else(|| {
                // Not what was asked for: begin anew.
                discard(part);
                Stop::ForNow("the server sent another range than the one asked for".to_owned())
            })?,
        416 => {
            // The part is as long as the file or longer: its hash will tell, or it is stale.
            if total_of_unsatisfied(&response) == Some(have) {
                return Ok(());
            }
            discard(part);
            return Err(Stop::ForNow(
                "the part on disk did not fit the file".to_owned(),
            ));
        }
        status @ (408 | 429 | 500..=599) => {
            return Err(Stop::ForNow(format!("the server answered {status}")));
        }
        status => {
            return Err(Stop::Final(Error::Refused {
                place: url.to_owned(),
                status,
            }));
        }
    };
    let total = content_length(&response).map(|length| length + start);
    if let (Some(expected), Some(found)) = (entry.size, total)
        && expected != found
    {
        return Err(Stop::Final(Error::Size {
            place: url.to_owned(),
            found,
            expected,
        }));
    }
    match header(&response, "etag").filter(|etag| !etag.starts_with("W/")) {
        Some(etag) => std::fs::write(&etag_path, etag)?,
        None => drop(std::fs::remove_file(&etag_path)),
    }
    let mut file = open(part, start)?;
    watch.begin(&entry.name, start, total.or(entry.size));
    let written = copy(response, &mut file, part, watch)? + start;
    match total {
        Some(total) if written < total => Err(Stop::ForNow(format!(
            "the connection ended after {written} of {total} bytes"
        ))),
        _ => Ok(()),
    }
}

/// Writes the body to the file as it comes, so that what has arrived survives a drop.
fn copy(
    response: Response<Body>,
    file: &mut File,
    part: &Path,
    watch: &dyn Watch,
) -> Result<u64, Stop> {
    let mut reader = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 16];
    let mut written = 0;
    loop {
        let n = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Stop::ForNow(format!("the connection dropped: {e}"))),
        };
        file.write_all(&buffer[..n])
            .map_err(|e| Stop::Final(Error::io(part)(e)))?;
        written += n as u64;
        watch.advance(n as u64);
    }
    file.sync_all()?;
    Ok(written)
}

fn open(part: &Path, start: u64) -> Result<File, Stop> {
    let mut options = OpenOptions::new();
    if start > 0 {
        options.append(true);
    } else {
        options.write(true).create(true).truncate(true);
    }
    options
        .open(part)
        .map_err(|e| Stop::Final(Error::io(part)(e)))
}

/// Removes a part and what is known of it.
pub fn discard(part: &Path) {
    // Absent files are what is wanted.
    drop(std::fs::remove_file(part));
    drop(std::fs::remove_file(beside(part, "etag")));
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// Bytes of a file; none of an absent one.
pub fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| m.len())
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn content_length(response: &Response<Body>) -> Option<u64> {
    header(response, "content-length")?.trim().parse().ok()
}

/// `start` of `Content-Range: bytes start-end/total`.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = header(response, "content-range")?.strip_prefix("bytes ")?;
    range.split('-').next()?.trim().parse().ok()
}

/// `total` of `Content-Range: bytes */total`.
fn total_of_unsatisfied(response: &Response<Body>) -> Option<u64> {
    header(response, "content-range")?
        .strip_prefix("bytes */")?
        .trim()
        .parse()
        .ok()
}
