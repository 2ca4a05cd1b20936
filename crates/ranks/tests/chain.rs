//! Ranks as threads of one process.

#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use domex_ranks::{Error, Group, Launch, Part, Result};

const VERSION: &str = "1";

/// Ranks on a port that was free a moment ago.
fn launches(size: usize) -> Vec<Launch> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let launch = |rank| Launch {
        rank,
        port,
        patience: Duration::from_secs(20),
        ..Launch::local(size)
    };
    (0..size).map(launch).collect()
}

/// What each rank makes of its group.
fn together<T: Send>(size: usize, work: impl Fn(Group) -> T + Sync) -> Vec<T> {
    let launches = launches(size);
    thread::scope(|scope| {
        let work = &work;
        let ranks = launches.iter();
        let ranks: Vec<_> = ranks
            .map(|launch| scope.spawn(move || work(Group::join(launch, VERSION).unwrap())))
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

#[test]
fn every_rank_gets_the_bytes_of_all_in_their_order() {
    let all = together(4, |mut group| {
        let mine = vec![group.rank() as u8; 3 * group.rank()];
        group.gather(&mine).unwrap()
    });
    let expected: Vec<Vec<u8>> = (0..4).map(|rank| vec![rank as u8; 3 * rank]).collect();
    for found in all {
        assert_eq!(found, expected);
    }
}

#[test]
fn more_bytes_than_a_frame_holds_arrive() {
    let large =
        |rank: usize| -> Vec<u8> { (0..3_000_001).map(|i| (i * 31 + rank) as u8).collect() };
    let all = together(3, |mut group| {
        let mine = large(group.rank());
        group.gather(&mine).unwrap()
    });
    let expected: Vec<_> = (0..3).map(large).collect();
    assert!(all.iter().all(|found| *found == expected));
}

/// Numbers whose sum depends on the order.
fn numbers(rank: usize, count: usize) -> Vec<f32> {
    let number =
        |i: usize| ((i * 7919 + rank * 104_729) % 1009) as f32 * 1.1f32.powi(rank as i32 * 20);
    (0..count).map(number).collect()
}

#[test]
fn a_sum_has_the_bits_of_additions_in_the_order_of_ranks() {
    // More than a frame, and not a whole number of frames.
    const COUNT: usize = (1 << 17) + 1234;
    let mut expected = numbers(0, COUNT);
    for rank in 1..4 {
        let parts = numbers(rank, COUNT);
        expected
            .iter_mut()
            .zip(parts)
            .for_each(|(sum, x)| *sum += x);
    }
    let all = together(4, |mut group| {
        let part = Part {
            values: numbers(group.rank(), COUNT),
            has: vec![true, true],
        };
        let begun = [group.rank() > 0; 2];
        let lengths = [1000, COUNT - 1000];
        group.sum(&lengths, &begun, &[part]).unwrap()
    });
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    for found in all {
        assert!(bits(&found) == bits(&expected));
    }
    let mut backwards = numbers(3, COUNT);
    for rank in (0..3).rev() {
        let parts = numbers(rank, COUNT);
        backwards
            .iter_mut()
            .zip(parts)
            .for_each(|(sum, x)| *sum += x);
    }
    assert!(bits(&backwards) != bits(&expected), "the order shows");
}

#[test]
fn a_segment_that_only_some_ranks_have_is_the_sum_of_theirs() {
    let all = together(3, |mut group| {
        let rank = group.rank();
        let part = Part {
            values: vec![-0.0, 10.0 * rank as f32],
            // The first segment is rank 1's alone.
            has: vec![rank == 1, true],
        };
        group.sum(&[1, 1], &[rank > 1, rank > 0], &[part]).unwrap()
    });
    for found in all {
        assert_eq!(found[0].to_bits(), (-0f32).to_bits());
        assert_eq!(found[1], 30.0);
    }
}

#[test]
fn every_rank_learns_which_one_was_lost() {
    let began = Instant::now();
    let all = together(4, |mut group| {
        group.gather(&[]).unwrap();
        if group.rank() == 2 {
            return Ok(Vec::new());
        }
        let lost = group.gather(b"more");
        assert_eq!(group.gather(b"again"), lost);
        lost
    });
    for (rank, found) in all.into_iter().enumerate().filter(|(rank, _)| *rank != 2) {
        assert_eq!(found, Err(Error::Lost { rank: 2 }), "on rank {rank}");
    }
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn who_was_lost_arrives_in_the_middle_of_a_sum() {
    let all = together(4, |mut group| -> Result<Vec<f32>> {
        if group.rank() == 3 {
            return Ok(Vec::new());
        }
        // More than the buffers between two ranks hold.
        let part = Part {
            values: vec![1.0; 4 << 20],
            has: vec![true],
        };
        group.sum(&[4 << 20], &[group.rank() > 0], &[part])
    });
    for found in &all[..3] {
        assert_eq!(*found, Err(Error::Lost { rank: 3 }));
    }
}

#[test]
fn an_error_that_rank_0_has_too_is_known() {
    let began = Instant::now();
    let same = together(4, |mut group| group.end(2, 7));
    assert_eq!(same, [false, true, true, true]);
    // One that differs in words or in the exit code is no such error.
    let other = together(4, |mut group| {
        let own = [(2, 7), (2, 7), (2, 8), (1, 7)][group.rank()];
        group.end(own.0, own.1)
    });
    assert_eq!(other, [false, true, false, false]);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_error_of_one_rank_alone_is_its_own() {
    for failing in 0..3 {
        let all = together(3, |mut group| match group.rank() == failing {
            true => Err(group.end(2, 7)),
            false => Ok(group.gather(b"others")),
        });
        for (rank, found) in all.into_iter().enumerate() {
            let expected = match (rank == failing, failing) {
                (true, _) => Err(false),
                (false, 0) => Ok(Err(Error::Ended { code: 2, words: 7 })),
                (false, _) => Ok(Err(Error::Lost { rank: failing })),
            };
            assert_eq!(found, expected, "on rank {rank} of {failing}");
        }
    }
}

/// The other rank of a pair, and what comes of it.
fn with_other(change: impl FnOnce(&mut Launch), version: &str) -> Error {
    let mut launches = launches(2);
    launches[0].patience = Duration::from_millis(800);
    change(&mut launches[1]);
    thread::scope(|scope| {
        let first = scope.spawn(|| Group::join(&launches[0], VERSION));
        let error = Group::join(&launches[1], version).unwrap_err();
        let waited = first.join().unwrap().unwrap_err();
        assert!(matches!(waited, Error::Missing { .. }), "{waited}");
        assert!(
            waited.to_string().contains("rank 1; one was refused: it"),
            "{waited}"
        );
        error
    })
}

#[test]
fn a_rank_of_another_run_or_version_is_refused_with_the_reason() {
    let refused = |error: Error, text: &str| {
        assert!(
            matches!(error, Error::Refused { rank: 1, by: 0, .. }),
            "{error}"
        );
        assert!(error.to_string().contains(text), "{error}");
    };
    let error = with_other(|other| other.job = "another".to_owned(), VERSION);
    refused(error, "it is of run \"another\", this is \"\"");
    let error = with_other(|_| (), "2");
    refused(error, "it has version \"2\", here is \"1\"");
    let error = with_other(|other| other.size = 3, VERSION);
    refused(error, "it is one of 3 ranks, here are 2");
}

#[test]
fn strangers_on_the_port_disturb_nobody() {
    let launches = launches(2);
    let port = launches[0].port;
    thread::scope(|scope| {
        let first = scope.spawn(|| Group::join(&launches[0], VERSION));
        for message in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            Vec::new(),
            // A length of 4 GiB.
            [b"domexrk1".as_slice(), &[0xff; 40]].concat(),
            [b"domexrk1".as_slice(), &4u32.to_le_bytes(), b"null"].concat(),
        ] {
            let mut stream = connect(port);
            stream.write_all(&message).unwrap();
            drop(stream.shutdown(std::net::Shutdown::Write));
            // Until it is sent away.
            let mut answer = Vec::new();
            drop(stream.read_to_end(&mut answer));
        }
        let other = scope.spawn(|| Group::join(&launches[1], VERSION));
        assert_eq!(first.join().unwrap().unwrap().size(), 2);
        assert_eq!(other.join().unwrap().unwrap().rank(), 1);
    });
}

fn connect(port: u16) -> TcpStream {
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => return stream,
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

#[test]
fn a_port_that_is_taken_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut launch = launches(2).remove(0);
    launch.port = listener.local_addr().unwrap().port();
    let error = Group::join(&launch, VERSION).unwrap_err();
    assert!(matches!(error, Error::Port { .. }), "{error}");
    assert!(error.to_string().contains("MASTER_PORT"), "{error}");
}

#[test]
fn ranks_that_do_not_come_are_told() {
    let mut launches = launches(3);
    for launch in &mut launches {
        launch.patience = Duration::from_millis(50);
    }
    let error = Group::join(&launches[0], VERSION).unwrap_err().to_string();
    assert!(
        error.contains("rank 0 waited 0 s for ranks 1, 2"),
        "{error}"
    );
    let error = Group::join(&launches[2], VERSION).unwrap_err();
    assert!(
        matches!(error, Error::Unreachable { rank: 2, to: 0, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("MASTER_ADDR"), "{error}");
}

#[test]
fn a_server_of_another_kind_at_the_address_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut launch = launches(2).remove(1);
    launch.port = listener.local_addr().unwrap().port();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
        });
        let error = Group::join(&launch, VERSION).unwrap_err().to_string();
        assert!(error.contains("no rank of domex"), "{error}");
    });
}
