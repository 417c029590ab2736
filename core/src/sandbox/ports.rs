//! Free ports on loopback.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

use super::error::{SandboxError, cannot};

/// Below the ports that systems give to outgoing connections: a member that is down for a while would lose its port to one.
const RANGE: std::ops::Range<u16> = 14_000..32_768;

/// The ports that this process has given out. They are not given out again, because the member that owns one may be down just
/// now and come back.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port that is held until this is dropped, which is to be just before the server starts that listens there.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) port: u16,
    _listener: TcpListener,
}

/// Finds a free port and holds it.
pub(super) fn hold() -> Result<Held, SandboxError> {
    // Every process begins elsewhere, so that two of them seldom want the same.
    let start = RandomState::new().hash_one(std::process::id());
    let width = u64::from(RANGE.end - RANGE.start);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    for step in 0..width {
        let offset = (start % width + step) % width;
        let Ok(port) = u16::try_from(u64::from(RANGE.start) + offset) else { continue };
        if given.contains(&port) {
            continue;
        }
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => {
                given.insert(port);
                return Ok(Held { port, _listener: listener });
            }
            Err(error) => last = error,
        }
    }
    Err(cannot("find a free port on 127.0.0.1")(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_out_once_and_held() {
        let held: Vec<Held> = (0..50).map(|_| hold().unwrap()).collect();
        let ports: BTreeSet<u16> = held.iter().map(|held| held.port).collect();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err()));
        drop(held);
        assert!(!ports.contains(&hold().unwrap().port));
    }
}
