//! Giving a program on a member's machine more than fits in memory.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::{Does, Done, Machine, UNREACHABLE, code, last_line, read};
use crate::host::HostError;

impl Machine {
    /// Gives a program what another one on this machine writes, and tells how much it was. Neither has a bound, as long as something
    /// moves; the program may take its time for what it has got.
    pub(in crate::host) async fn pour(
        &self,
        from: &[&str],
        words: &[&str],
        moved: &dyn Fn(u64),
    ) -> Result<(), HostError> {
        let here = Machine { host: None, ..self.clone() };
        let io = |words: &[&str]| {
            let program = words.first().copied().unwrap_or_default().to_owned();
            move |source| HostError::Io { program, source }
        };
        let mut source = here.command(from, Does::Asks)?.spawn().map_err(io(from))?;
        let mut sink = self.command(words, Does::Asks)?.spawn().map_err(io(words))?;
        drop((source.stdin.take(), sink.stdout.take()));
        let (out, into) = (source.stdout.take(), sink.stdin.take());
        let (mut said_here, mut said_there) = (Vec::new(), Vec::new());
        let (flowed, (), ()) = tokio::join!(
            flow(out, into, self.bound, moved),
            read(source.stderr.take(), &mut said_here),
            read(sink.stderr.take(), &mut said_there),
        );
        let late = |machine: &Machine, words: &[&str], bound: Duration| HostError::TooSlow {
            place: machine.place(),
            command: words.join(" "),
            bound: bound.into(),
        };
        if flowed.is_none() {
            return Err(late(self, words, self.bound));
        }
        for (machine, child, words, said) in
            [(self, &mut sink, words, said_there), (&here, &mut source, from, said_here)]
        {
            let patience = self.bound * 10;
            let status = timeout(patience, child.wait()).await.map_err(|_| late(machine, words, patience))?;
            let code = code(status.map_err(io(words))?);
            let said = String::from_utf8_lossy(&said).into_owned();
            match &machine.host {
                Some(host) if code == UNREACHABLE => {
                    return Err(HostError::Unreachable { host: host.clone(), said: last_line(&said) });
                }
                _ => machine.succeeded(words, Done { code, out: Vec::new(), said })?,
            };
        }
        Ok(())
    }
}

/// Moves everything from one pipe to another. Returns nothing when nothing moved within the bound; who reads no more says why itself.
async fn flow(
    from: Option<impl AsyncRead + Unpin>,
    into: Option<impl AsyncWrite + Unpin>,
    bound: Duration,
    moved: &dyn Fn(u64),
) -> Option<()> {
    let (Some(mut from), Some(mut into)) = (from, into) else { return Some(()) };
    let (mut part, mut total) = (vec![0; 256 * 1024], 0);
    loop {
        let Ok(length) = timeout(bound, from.read(&mut part)).await.ok()? else { return Some(()) };
        let Some(read) = part.get(..length).filter(|read| !read.is_empty()) else { return Some(()) };
        if timeout(bound, into.write_all(read)).await.ok()?.is_err() {
            return Some(());
        }
        total += read.len() as u64;
        moved(total);
    }
}
