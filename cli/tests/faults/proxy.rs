//! A way to a server that can be cut, held up, or closed on one side.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{sleep, spawn};
use std::time::Duration;

use anyhow::{Context, Result};

/// How often a connection that is held up looks whether it may go on.
const LOOK: Duration = Duration::from_millis(2);
/// Bytes that one read takes, at most.
const CHUNK_BYTES: usize = 64 << 10;

/// What becomes of the bytes of all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// They pass.
    Open,
    /// They wait, in both directions.
    Held,
    /// What the client sends passes; what the server answers waits.
    Mute,
}

/// Listens on loopback for one client.
#[derive(Clone)]
pub(crate) struct Proxy(Arc<Inner>);

struct Inner {
    port: u16,
    server: SocketAddr,
    way: Mutex<Way>,
    ended: AtomicBool,
    links: Mutex<Vec<Link>>,
}

/// Both ends of a connection.
struct Link {
    client: TcpStream,
    server: TcpStream,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

impl Proxy {
    /// A way to the server at this port.
    pub(crate) fn start(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a port for a proxy")?;
        let inner = Inner {
            port: listener.local_addr()?.port(),
            server: (Ipv4Addr::LOCALHOST, port).into(),
            way: Mutex::new(Way::Open),
            ended: AtomicBool::new(false),
            links: Mutex::default(),
        };
        let proxy = Self(Arc::new(inner));
        let accepting = proxy.clone();
        spawn(move || {
            let open = |_: &TcpStream| !accepting.0.ended.load(Ordering::SeqCst);
            listener.incoming().flatten().take_while(open).for_each(|client| accepting.connect(&client));
        });
        Ok(proxy)
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port
    }

    pub(crate) fn set(&self, way: Way) {
        *lock(&self.0.way) = way;
    }

    /// Closes every connection, whatever is on its way.
    pub(crate) fn cut(&self) {
        for link in lock(&self.0.links).drain(..) {
            close(&link.client, Shutdown::Both);
            close(&link.server, Shutdown::Both);
        }
    }

    /// Closes every connection, and takes no more.
    pub(crate) fn end(&self) {
        self.0.ended.store(true, Ordering::SeqCst);
        self.set(Way::Open);
        self.cut();
        // Wakes the listener, which sees that it is over.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.0.port));
    }

    /// Closes what the clients read; what they send still arrives.
    pub(crate) fn half_close(&self) {
        for link in &*lock(&self.0.links) {
            close(&link.client, Shutdown::Write);
        }
    }

    /// A server that is away refuses, and so does this.
    fn connect(&self, client: &TcpStream) {
        let Ok(server) = TcpStream::connect(self.0.server) else { return };
        let clones = || Some((client.try_clone().ok()?, server.try_clone().ok()?));
        let (Some(up), Some(down), Some(kept)) = (clones(), clones(), clones()) else { return };
        // Small messages go at once, as without a proxy.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        lock(&self.0.links).push(Link { client: kept.0, server: kept.1 });
        let (one, other) = (self.clone(), self.clone());
        spawn(move || one.pump(up.0, &up.1, Direction::ToServer));
        spawn(move || other.pump(down.1, &down.0, Direction::ToClient));
    }

    fn pump(&self, mut from: TcpStream, mut to: &TcpStream, direction: Direction) {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            while !self.passes(direction) {
                sleep(LOOK);
            }
            if to.write_all(&chunk[..read]).is_err() {
                break;
            }
        }
        close(to, Shutdown::Write);
    }

    fn passes(&self, direction: Direction) -> bool {
        match *lock(&self.0.way) {
            Way::Open => true,
            Way::Held => false,
            Way::Mute => direction == Direction::ToServer,
        }
    }
}

/// The other side may have closed it before.
fn close(stream: &TcpStream, how: Shutdown) {
    let _ = stream.shutdown(how);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
