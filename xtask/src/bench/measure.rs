//! How a command is measured: its time beside another's, its memory, and how soon it says something.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::process;

/// How often the memory of a command is looked at. What it ever had at once is kept by the system, so only the growth of the
/// last moment is missed.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The times of two commands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    /// The median of the first.
    pub(super) ours: Duration,
    /// The median of the second.
    pub(super) theirs: Duration,
    /// The median of what the first took of the second's time, pair by pair.
    pub(super) ratio: f64,
}

/// Runs two commands in turn, once to warm up and then so many times, so that whatever else the machine does falls on both.
pub(super) fn compare(pairs: usize, mut ours: Command, mut theirs: Command) -> Result<Pair> {
    let mut times = Vec::new();
    for _ in 0..=pairs {
        times.push((time(&mut ours)?, time(&mut theirs)?));
    }
    let times = times.get(1..).unwrap_or_default();
    let ratios = times.iter().map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64()).collect();
    Ok(Pair {
        ours: median(times.iter().map(|(ours, _)| *ours).collect(), Duration::cmp),
        theirs: median(times.iter().map(|(_, theirs)| *theirs).collect(), Duration::cmp),
        ratio: median(ratios, f64::total_cmp),
    })
}

/// The median time of one command.
pub(super) fn median_time(runs: usize, mut command: Command) -> Result<Duration> {
    let times = (0..runs).map(|_| time(&mut command)).collect::<Result<Vec<_>>>()?;
    Ok(median(times, Duration::cmp))
}

/// The most memory that a command has at once, in bytes; none where the system does not tell.
pub(super) fn peak(mut command: Command) -> Result<Option<u64>> {
    let mut child = start(command.stdout(Stdio::null()))?;
    let status = format!("/proc/{}/status", child.id());
    let (waits, ended) = mpsc::channel::<()>();
    let waiter = thread::spawn(move || {
        let status = child.wait();
        drop(waits);
        status
    });
    let mut peak = None;
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK_EVERY) {
        peak = peak.max(high_water(&status));
    }
    let status = waiter.join().map_err(|_| Error::new("a thread that waits has failed"))?;
    process::check(&command, status.map_err(|error| Error::new(error.to_string()))?)?;
    Ok(peak)
}

/// The median time until a command has written something. It is not let finish.
pub(super) fn first_output(runs: usize, mut command: Command) -> Result<Duration> {
    let once = |command: &mut Command| {
        let started = Instant::now();
        let mut child = start(command.stdout(Stdio::piped()))?;
        let read = child.stdout.take().map(|mut out| out.read_exact(&mut [0]));
        let took = started.elapsed();
        // It may have ended already, which is no failure.
        let _ = child.kill().and_then(|()| child.wait());
        match read {
            Some(Ok(())) => Ok(took),
            _ => Err(Error::new(format!("`{}` wrote nothing", process::line(command)))),
        }
    };
    let times = (0..runs).map(|_| once(&mut command)).collect::<Result<Vec<_>>>()?;
    Ok(median(times, Duration::cmp))
}

fn time(command: &mut Command) -> Result<Duration> {
    let started = Instant::now();
    let status = start(command.stdout(Stdio::null()))?.wait();
    let took = started.elapsed();
    process::check(command, status.map_err(|error| Error::new(error.to_string()))?)?;
    Ok(took)
}

fn start(command: &mut Command) -> Result<Child> {
    command.stdin(Stdio::null()).spawn().map_err(|error| process::cannot_start(command, &error))
}

/// What a process ever had in memory at once, in bytes.
fn high_water(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The middle one, which stays what it is when a few runs were disturbed.
fn median<T: Copy + Default>(mut values: Vec<T>, order: fn(&T, &T) -> std::cmp::Ordering) -> T {
    values.sort_by(order);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_median_is_not_moved_by_a_disturbed_run() {
        assert_eq!(median(vec![3, 900, 1, 2, 4], i32::cmp), 3);
    }

    #[test]
    fn pairs_are_compared_and_failures_are_not_times() {
        let pair = compare(3, sh("exit 0"), sh("head -c 30000000 /dev/zero | sha256sum")).unwrap();
        assert!(pair.ours < pair.theirs && pair.ratio < 1.0, "{pair:?}");
        assert!(compare(1, sh("exit 0"), sh("exit 3")).is_err());
        assert!(peak(sh("exit 3")).is_err());
        assert!(first_output(1, sh("exit 0")).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_is_what_a_process_had_at_most() {
        // It keeps what it has for a while, because what ends between two looks is not seen.
        let keeps =
            |bytes: u64| peak(sh(&format!("x=$(head -c {bytes} /dev/zero | tr '\\0' x); sleep 0.3"))).unwrap().unwrap();
        assert!(keeps(64 << 20) >= keeps(1) + (32 << 20));
    }

    #[test]
    fn the_first_output_is_not_the_end() {
        let took = first_output(1, sh("echo begin; exec sleep 60")).unwrap();
        assert!(took < Duration::from_secs(30));
    }
}
