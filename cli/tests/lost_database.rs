//! The database goes away in the middle of an `apply`: it stops and says where, and running the file
//! again finishes the work without doing any of it twice.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use support::{Postfold, file, server, short, transfer};

/// Commands in the file.
const COMMANDS: usize = 20_000;
/// Outcomes that are read before the database goes away.
const SEEN: usize = 3_000;
/// Events that open the accounts.
const OPENED: usize = 2;

/// A way to the database that can be cut.
struct Cable {
    url: String,
    is_cut: Arc<AtomicBool>,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cable {
    fn new() -> Self {
        let url = server("DATABASE_URL");
        let place = url.rsplit(['@', '/']).nth(1).expect("a place").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let url = url.replace(&place, &format!("127.0.0.1:{port}"));
        let (is_cut, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (told, kept) = (Arc::clone(&is_cut), Arc::clone(&ends));
        thread::spawn(move || {
            for ours in listener.incoming().map_while(Result::ok) {
                if told.load(Ordering::SeqCst) {
                    // Nobody listens here any more.
                    return;
                }
                let theirs = TcpStream::connect(&place).expect("the database");
                kept.lock().expect("a lock").extend([copy(&ours, &theirs), copy(&theirs, &ours)]);
            }
        });
        Self { url, is_cut, ends }
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for end in self.ends.lock().expect("a lock").iter() {
            // It may have gone by itself.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

/// Copies one way, on a thread of its own.
fn copy(from: &TcpStream, to: &TcpStream) -> TcpStream {
    let (mut reader, mut writer) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
    thread::spawn(move || {
        let _ = io::copy(&mut reader, &mut writer);
        let _ = writer.shutdown(Shutdown::Write);
    });
    from.try_clone().expect("a socket")
}

#[test]
fn apply_stops_says_where_and_can_be_run_again() {
    let postfold = Postfold::with_accounts();
    let commands: Vec<String> = (0..COMMANDS).map(|n| transfer(&format!("t-{n}"), "1.25").to_string()).collect();
    let commands = file(commands.join("\n"));
    let path = commands.path().to_str().expect("UTF-8");

    let cable = Cable::new();
    let mut running = postfold.start(&["--database-url", &cable.url, "apply", path]);
    for _ in 0..SEEN {
        assert_eq!(short(&running.next().expect("an outcome")), "ok");
    }
    cable.cut();
    let mut answered = SEEN;
    while running.next().is_some() {
        answered += 1;
    }
    let (status, stderr) = running.wait();
    assert_eq!(status.code(), Some(3), "{stderr}");
    for words in
        [format!("stopped at line {}", answered + 1), "lines of".to_owned(), "safe for every command".to_owned()]
    {
        assert!(stderr.contains(&words), "{words}: {stderr}");
    }

    let again = postfold.run(["apply", path]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let outcomes = again.lines();
    assert!(outcomes.iter().take(answered).all(|outcome| short(outcome) == "duplicate"), "what was answered was done");
    assert_eq!(postfold.head(), u64::try_from(COMMANDS + OPENED).expect("a count"));
    let all = "25000.00".to_owned();
    assert_eq!(postfold.posted(), [("assets:cash".into(), all.clone()), ("income:sales".into(), all)]);
}
