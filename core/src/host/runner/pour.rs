//! Giving a program on a member's machine more than fits in memory.

use std::cell::Cell;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Does, Done, Machine, UNREACHABLE, code, last_line, talk};
use crate::host::HostError;
use crate::wait::sleep;

/// For how many times the bound of a small thing a program may go on when it has got everything: it may have to flush it.
const LONGER: u32 = 10;

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
        drop(source.stdin.take());
        let (out, into) = (source.stdout.take(), sink.stdin.take());
        let (patience, moving_ended) = (Cell::new(self.bound * LONGER), Notify::new());
        let give = async {
            if flow(out, into, self.bound, moved).await.is_none() {
                patience.set(self.bound);
            }
            moving_ended.notify_one();
        };
        let too_long = async {
            moving_ended.notified().await;
            sleep(patience.get()).await;
        };
        let both = async { tokio::join!(talk(&mut sink, give), talk(&mut source, async {})) };
        let (there, here_done) = tokio::select! {
            ended = both => ended,
            () = too_long => {
                let bound = patience.get().into();
                return Err(HostError::TooSlow { place: self.place(), command: words.join(" "), bound });
            }
        };
        for (machine, words, done) in [(self, words, there), (&here, from, here_done)] {
            let (status, out, said) = done.map_err(io(words))?;
            let done = Done { code: code(status), out, said: String::from_utf8_lossy(&said).into_owned() };
            match &machine.host {
                Some(host) if done.code == UNREACHABLE => {
                    return Err(HostError::Unreachable { host: host.clone(), said: last_line(&done.said) });
                }
                _ => machine.succeeded(words, done)?,
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

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
mod tests {
    use super::*;
    use crate::places::Places;

    fn machine(bound: Duration) -> Machine {
        Machine { bound, ..Machine::new(&Places::from_env("/".into(), |_| None), None) }
    }

    #[tokio::test]
    async fn what_one_program_writes_another_one_gets() {
        let home = tempfile::tempdir().unwrap();
        let to = home.path().join("to").display().to_string();
        let (here, moved) = (machine(Duration::from_secs(20)), Cell::new(0));
        let of = format!("of={to}");
        here.pour(&["head", "-c", "3000000", "/dev/zero"], &["dd", &of, "status=none"], &|n| moved.set(n))
            .await
            .unwrap();
        assert_eq!((std::fs::metadata(&to).unwrap().len(), moved.get()), (3_000_000, 3_000_000));
        let nothing = |_: u64| {};
        // The one that reads, the one that writes, one that is not there, and one that does not read on.
        let errors = [
            here.pour(&["head", "-c", "3000000", "/dev/zero"], &["ls", "/none"], &nothing).await.unwrap_err(),
            here.pour(&["ls", "/none"], &["cat"], &nothing).await.unwrap_err(),
            here.pour(&["no-such-program"], &["cat"], &nothing).await.unwrap_err(),
            machine(Duration::from_millis(300))
                .pour(&["head", "-c", "3000000", "/dev/zero"], &["sleep", "60"], &nothing)
                .await
                .unwrap_err(),
        ];
        insta::assert_snapshot!(crate::tests::shown(errors.map(Into::into)), @"
        host_failed: on this machine, `ls /none` ended with exit code 2: ls: cannot access '/none': No such file or directory
          help: see on that machine why; when that is mended, go on, or run this again
        host_failed: on this machine, `ls /none` ended with exit code 2: ls: cannot access '/none': No such file or directory
          help: see on that machine why; when that is mended, go on, or run this again
        program_not_found: the program no-such-program is not in a folder of PATH
          help: install it, or add its folder to PATH
        host_failed: on this machine, `sleep 60` did not end within 300ms
          help: see what keeps that machine busy, and run this again
        ");
    }
}
