//! One connection between two ranks: frames of bytes, who was lost, and how rank 0 ended.
//!
//! The system closes the connections of a process that ends, however it ends. For a machine that is no longer there it sends
//! probes: after [`IDLE`] without traffic, and then every [`INTERVAL`] until [`PROBES`] are not answered. A process that stands still,
//! as a debugger has it, is waited for, but not by whoever has more to send than the system's buffers hold: on Linux a limit on bytes
//! under way, without which a machine that has gone would be waited for a quarter of an hour, counts for such a reader too.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};

use crate::{Error, Result};

/// Before the first probe of a connection.
pub const IDLE: Duration = Duration::from_secs(5);
/// Between two probes, and until what was sent must have arrived.
pub const INTERVAL: Duration = Duration::from_secs(3);
/// Probes that may go unanswered.
pub const PROBES: u32 = 3;

/// Bytes of the largest frame.
pub(crate) const LARGEST: usize = 1 << 20;

/// Bytes of what is sent as one, at most: more is a mistake.
const MOST: u64 = 1 << 36;

const DATA: u8 = 1;
const LOST: u8 = 2;
const ENDED: u8 = 3;

/// To one neighbour.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    /// The neighbour.
    pub rank: usize,
    /// A frame that is sent.
    buffer: Vec<u8>,
}

impl Link {
    pub fn new(stream: TcpStream, rank: usize) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(IDLE).with_interval(INTERVAL);
        #[cfg(unix)]
        let keepalive = keepalive.with_retries(PROBES);
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&keepalive)?;
        // Probes are for connections on which nothing is under way.
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(IDLE + INTERVAL * PROBES))?;
        Ok(Self {
            stream,
            rank,
            buffer: Vec::new(),
        })
    }

    /// Sends a frame of at most [`LARGEST`] bytes.
    pub fn send_frame(&mut self, bytes: &[u8]) -> Result<()> {
        match self.write(DATA, bytes) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.who_was_lost()),
        }
    }

    fn write(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.push(kind);
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.buffer.extend(length.to_le_bytes());
        self.buffer.extend(bytes);
        self.stream.write_all(&self.buffer)
    }

    /// Receives a frame.
    pub fn receive_frame(&mut self, into: &mut Vec<u8>) -> Result<()> {
        let kind = self.receive_any(into)?;
        match (kind, &into[..]) {
            (DATA, _) => Ok(()),
            (LOST, &[a, b, c, d]) => Err(Error::Lost {
                rank: u32::from_le_bytes([a, b, c, d]) as usize,
            }),
            (ENDED, &[code, ref words @ ..]) if words.len() == 8 => {
                let words = words.try_into().map_or(0, u64::from_le_bytes);
                Err(Error::Ended { code, words })
            }
            _ => Err(self.wrong(
                format!("a frame of kind {kind}"),
                format!("{DATA}, {LOST} or {ENDED}"),
            )),
        }
    }

    /// Receives a frame of any kind.
    fn receive_any(&mut self, into: &mut Vec<u8>) -> Result<u8> {
        let lost = Error::Lost { rank: self.rank };
        let mut head = [0; 5];
        let read = self.stream.read_exact(&mut head);
        read.map_err(|_| lost.clone())?;
        let [kind, length @ ..] = head;
        let length = u32::from_le_bytes(length) as usize;
        if length > LARGEST {
            return Err(self.wrong(
                format!("a frame of {length} bytes"),
                format!("at most {LARGEST}"),
            ));
        }
        into.resize(length, 0);
        self.stream.read_exact(into).map_err(|_| lost)?;
        Ok(kind)
    }

    /// What comes within `wait`, if it is how rank 0 ended.
    pub fn last_words(&mut self, wait: Duration) -> Option<Error> {
        self.stream.set_read_timeout(Some(wait)).ok()?;
        let received = self.receive_frame(&mut Vec::new());
        received
            .err()
            .filter(|error| matches!(error, Error::Ended { .. }))
    }

    /// Sends any number of bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.send_frame(&(bytes.len() as u64).to_le_bytes())?;
        let mut frames = bytes.chunks(LARGEST);
        frames.try_for_each(|frame| self.send_frame(frame))
    }

    /// Receives what [`send`](Self::send) sent. Memory is taken as bytes arrive.
    pub fn receive(&mut self) -> Result<Vec<u8>> {
        let mut frame = Vec::new();
        self.receive_frame(&mut frame)?;
        let length = <[u8; 8]>::try_from(&frame[..]).map(u64::from_le_bytes);
        let Some(length) = length.ok().filter(|length| *length <= MOST) else {
            return Err(self.wrong(format!("{} bytes", frame.len()), "a length".to_owned()));
        };
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < length {
            self.receive_frame(&mut frame)?;
            if frame.is_empty() || (bytes.len() + frame.len()) as u64 > length {
                let found = format!("a frame of {} bytes", frame.len());
                return Err(self.wrong(found, format!("what is left of {length}")));
            }
            bytes.extend(&frame);
        }
        Ok(bytes)
    }

    /// Says that a rank was lost.
    pub fn tell_lost(&mut self, rank: usize) {
        let rank = u32::try_from(rank).unwrap_or(u32::MAX);
        self.leave(LOST, &rank.to_le_bytes());
    }

    /// Says how rank 0 ended.
    pub fn tell_ended(&mut self, code: u8, words: u64) {
        let bytes = [&[code][..], &words.to_le_bytes()].concat();
        self.leave(ENDED, &bytes);
    }

    /// Sends the last frame, and ends the connection so that it arrives: bytes that nobody read would take it along.
    fn leave(&mut self, kind: u8, bytes: &[u8]) {
        const WAIT: Duration = Duration::from_secs(1);
        let begin = Instant::now();
        // Whoever cannot be told will see that this rank has gone.
        let told = self.stream.set_write_timeout(Some(WAIT)).is_ok()
            && self.write(kind, bytes).is_ok()
            && self.stream.shutdown(Shutdown::Write).is_ok()
            && self.stream.set_read_timeout(Some(WAIT)).is_ok();
        let mut rest = vec![0; 1 << 16];
        while told && begin.elapsed() < WAIT {
            match self.stream.read(&mut rest) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// After a write that failed: the neighbour may have said before whom it lost.
    fn who_was_lost(&mut self) -> Error {
        let own = Error::Lost { rank: self.rank };
        let wait = Some(Duration::from_millis(200));
        if self.stream.set_read_timeout(wait).is_err() {
            return own;
        }
        let mut frame = Vec::new();
        loop {
            match self.receive_frame(&mut frame) {
                Ok(()) => {}
                Err(error @ (Error::Lost { .. } | Error::Ended { .. })) => return error,
                Err(_) => return own,
            }
        }
    }

    pub fn wrong(&self, found: String, expected: String) -> Error {
        Error::Protocol {
            rank: self.rank,
            found,
            expected,
        }
    }
}
