//! A TCP proxy on loopback that breaks connections in the ways in which networks do, and counts how often it did: a test whose
//! fault did not fire has shown nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Notify;

use crate::background::{Background, listen};

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// When a fault fires, counted for each connection from the moment in which the fault was armed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// When so many bytes have passed in its direction. The byte behind them is the first that the fault meets.
    After(u64),
    /// When these bytes come by. They, and what came together with them, are the first that the fault meets.
    Sees(Vec<u8>),
}

/// What happens to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is closed in both directions, in an orderly way.
    Cut,
    /// It is reset on both sides.
    Reset,
    /// This direction is closed; the other goes on.
    HalfClose,
    /// Nothing moves any more in this direction, and the sender notices that when its buffers are full.
    Stall,
    /// What is sent in this direction gets lost, and its sender cannot tell.
    BlackHole,
    /// One bit of the byte is turned over.
    Flip,
    /// From here on every piece arrives later by so much.
    Delay(Duration),
    /// It passes, but from here on nothing comes back; and when there was time to do what was asked, the connection is reset.
    LoseAnswer,
}

/// How long a server has to do what it was asked before its answer is lost.
const TIME_TO_ACT: Duration = Duration::from_millis(500);

/// How often an armed fault fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// On the first connection that gets there.
    Once,
    /// On every connection that gets there, until it is disarmed.
    Always,
}

struct Armed {
    number: usize,
    way: Way,
    when: When,
    what: What,
    times: Times,
}

#[derive(Default)]
struct Shared {
    target: AtomicU16,
    armed: Mutex<Option<Armed>>,
    arms: AtomicUsize,
    fired: AtomicUsize,
    connections: AtomicUsize,
    cut: Notify,
    /// How often everything was cut.
    cuts: AtomicUsize,
}

/// The proxy; it ends when it is dropped.
pub struct Proxy {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    shared: Arc<Shared>,
    _work: Background,
}

impl Proxy {
    /// Starts a proxy that leads nowhere yet, so that a server can be told its address before it starts.
    pub fn new() -> Self {
        let (listener, port) = listen(128);
        let shared = Arc::new(Shared::default());
        let all = Arc::clone(&shared);
        let work = Background::run(async move {
            while let Ok((client, _)) = listener.accept().await {
                all.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(carry(client, Arc::clone(&all)));
            }
        });
        Proxy { port, shared, _work: work }
    }

    /// Starts a proxy for a port of this machine.
    pub fn to(port: u16) -> Self {
        let proxy = Proxy::new();
        proxy.lead_to(port);
        proxy
    }

    /// Says where further connections lead.
    pub fn lead_to(&self, port: u16) {
        self.shared.target.store(port, Ordering::SeqCst);
    }

    /// Arms a fault in place of the one before.
    pub fn arm(&self, times: Times, way: Way, when: When, what: What) {
        let number = self.shared.arms.fetch_add(1, Ordering::SeqCst) + 1;
        *self.shared.lock() = Some(Armed { number, way, when, what, times });
    }

    /// Arms the loss of every answer to a call of gRPC, by its path.
    pub fn lose_answers(&self, path: &str) {
        self.arm(Times::Always, Way::Up, When::Sees(crate::hpack::text(path)), What::LoseAnswer);
    }

    /// Takes the fault away; connections that have met it keep it.
    pub fn disarm(&self) {
        *self.shared.lock() = None;
    }

    /// Ends every connection that there is, also one that a fault holds.
    pub fn cut(&self) {
        self.shared.cuts.fetch_add(1, Ordering::SeqCst);
        self.shared.cut.notify_waiters();
    }

    /// Returns how often a fault has fired.
    pub fn fired(&self) -> usize {
        self.shared.fired.load(Ordering::SeqCst)
    }

    /// Returns how many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Proxy::new()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Armed>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why both directions end at once.
enum Broken {
    Closed,
    Reset,
}

async fn carry(mut client: TcpStream, shared: Arc<Shared>) {
    let cuts = shared.cuts.load(Ordering::SeqCst);
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, shared.target.load(Ordering::SeqCst)));
    let Ok(mut server) = TcpStream::connect(target).await else {
        // Nobody is there, and that is what the client should learn.
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    // Whoever was cut while the connection was being made is cut too.
    let mut cut = std::pin::pin!(shared.cut.notified());
    if cut.as_mut().enable() || shared.cuts.load(Ordering::SeqCst) != cuts {
        return;
    }
    let broken = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let link = Link::default();
        let up = Pipe::new(Way::Up, &shared, &link).run(from_client, to_server);
        let down = Pipe::new(Way::Down, &shared, &link).run(from_server, to_client);
        tokio::select! {
            ended = async { tokio::try_join!(up, down) } => ended.err(),
            () = cut => Some(Broken::Closed),
            () = link.acted() => Some(Broken::Reset),
        }
    };
    if let Some(Broken::Reset) = broken {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    } else {
        let _ = (client.shutdown().await, server.shutdown().await);
    }
}

/// What both directions of one connection know.
#[derive(Default)]
struct Link {
    /// Whether nothing comes back any more.
    mute: AtomicBool,
    muted: Notify,
}

impl Link {
    fn mute(&self) {
        self.mute.store(true, Ordering::SeqCst);
        self.muted.notify_one();
    }

    async fn acted(&self) {
        self.muted.notified().await;
        tokio::time::sleep(TIME_TO_ACT).await;
    }
}

/// One direction of one connection.
struct Pipe<'s> {
    way: Way,
    shared: &'s Shared,
    link: &'s Link,
    /// The fault that the count is for.
    number: usize,
    passed: u64,
    /// The end of what has passed, in case that a pattern is spread over two pieces.
    tail: Vec<u8>,
    delay: Duration,
}

impl<'s> Pipe<'s> {
    fn new(way: Way, shared: &'s Shared, link: &'s Link) -> Self {
        Pipe { way, shared, link, number: 0, passed: 0, tail: Vec::new(), delay: Duration::ZERO }
    }

    async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), Broken> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = from.read(&mut buffer).await.map_err(|_| Broken::Reset)?;
            let (bytes, _) = buffer.split_at_mut(read);
            if bytes.is_empty() {
                // The other direction may still be in use.
                let _ = to.shutdown().await;
                return Ok(());
            }
            if self.way == Way::Down && self.link.mute.load(Ordering::SeqCst) {
                continue;
            }
            let Some((at, what)) = self.meet(bytes) else {
                self.pass(&mut to, bytes).await?;
                continue;
            };
            let (before, rest) = bytes.split_at_mut(at);
            self.pass(&mut to, before).await?;
            match what {
                What::Cut => return Err(Broken::Closed),
                What::Reset => return Err(Broken::Reset),
                What::HalfClose => {
                    let _ = to.shutdown().await;
                    return Ok(());
                }
                What::Stall => std::future::pending::<()>().await,
                What::BlackHole => while from.read(&mut buffer).await.is_ok_and(|read| read > 0) {},
                What::Flip => {
                    if let Some(byte) = rest.first_mut() {
                        *byte ^= 1;
                    }
                    self.pass(&mut to, rest).await?;
                }
                What::LoseAnswer => {
                    self.link.mute();
                    self.pass(&mut to, rest).await?;
                }
                What::Delay(by) => {
                    self.delay = by;
                    self.pass(&mut to, rest).await?;
                }
            }
        }
    }

    async fn pass(&self, to: &mut WriteHalf<'_>, bytes: &[u8]) -> Result<(), Broken> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        to.write_all(bytes).await.map_err(|_| Broken::Reset)
    }

    /// Says whether the fault fires within these bytes, and at which of them.
    fn meet(&mut self, bytes: &[u8]) -> Option<(usize, What)> {
        let mut slot = self.shared.lock();
        let armed = slot.as_ref().filter(|armed| armed.way == self.way)?;
        if armed.number != self.number {
            (self.number, self.passed) = (armed.number, 0);
            self.tail.clear();
        }
        let at = match &armed.when {
            When::After(count) => {
                let left = usize::try_from(count.checked_sub(self.passed)?).ok()?;
                self.passed += bytes.len() as u64;
                (left < bytes.len()).then_some(left)?
            }
            When::Sees(pattern) => {
                self.tail.extend_from_slice(bytes);
                let seen = self.tail.windows(pattern.len()).any(|window| window == pattern.as_slice());
                let keep = self.tail.len().saturating_sub(pattern.len().saturating_sub(1));
                self.tail.drain(..keep);
                seen.then_some(0)?
            }
        };
        let what = armed.what;
        if armed.times == Times::Once {
            *slot = None;
        }
        self.shared.fired.fetch_add(1, Ordering::SeqCst);
        Some((at, what))
    }
}
