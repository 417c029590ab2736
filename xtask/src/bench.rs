//! `cargo xtask bench`: what we promise about time and memory, measured beside etcdctl and etcdutl in the same run.

mod cluster;
mod files;
mod measure;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::faces::Faces;
use crate::interrupts::Interrupts;
use crate::process;
use crate::settings::Settings;
use crate::setup::{self, Need, say, took};
use crate::version::Version;
use crate::workspace::{self, Build};
use cluster::Cluster;
use measure::{compare, first_output, median_time, peak};
use report::Report;

/// The versions whose reading is measured: the first reads in pages, the second has streams.
const MINORS: [&str; 2] = ["3.6", "3.7"];
/// How many bytes each value has.
const VALUE: usize = 500;
const MEGABYTE: u64 = 1_000_000;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Size {
    keys: usize,
    /// How many pairs of runs that take seconds.
    long: usize,
    /// How many pairs of runs that take milliseconds.
    short: usize,
    /// How many calls in one nu.
    calls: usize,
}

const FULL: Size = Size { keys: 1_000_000, long: 5, short: 41, calls: 301 };
const QUICK: Size = Size { keys: 20_000, long: 3, short: 11, calls: 51 };

/// Measures, and prints one table. A missed bound is an error only when the caller wants it to be.
pub(crate) fn run(settings: &Settings, options: &[&str]) -> Result<()> {
    let known = ["--quick", "--check"];
    if let Some(unknown) = options.iter().find(|option| !known.contains(option)) {
        return Err(Error::usage(&format!("bench has no option `{unknown}`; it has {}", known.join(" and "))));
    }
    let size = if options.contains(&"--quick") { QUICK } else { FULL };
    setup::run(settings, Need::Test)?;
    say("build", "the workspace with all optimizations: some minutes the first time");
    let programs = workspace::build(settings, Build::Release)?;
    let home = settings.cache.join("bench");
    let loader = cluster::build_loader(settings, &home)?;
    let mut faces = Faces::new(settings, programs, &home)?;
    faces.set("XDG_STATE_HOME", home.join("state"));
    let bench = Bench { settings, faces, home, loader, size, interrupts: Interrupts::hold()? };
    let started = Instant::now();
    let mut report = Report::default();
    bench.calls(&mut report)?;
    for minor in MINORS {
        bench.data(&mut report, setup::etcd::built(minor)?)?;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("\n{}", report.table());
    println!(
        "Medians of pairs of runs, ours and theirs in turn (etcdctl's where nothing else is said); {} keys with values of {VALUE} bytes, TLS, one member; calls on \
         three members of 3.6; nu {}, {cores} cores, {}.",
        size.keys,
        setup::nu::VERSION,
        took(started)
    );
    match report.missed() {
        0 => println!("Every bound is met."),
        missed if options.contains(&"--check") => return Err(Error::new(format!("{missed} bounds are missed"))),
        missed => println!("{missed} bounds are missed."),
    }
    Ok(())
}

struct Bench<'a> {
    settings: &'a Settings,
    faces: Faces,
    home: PathBuf,
    loader: PathBuf,
    size: Size,
    interrupts: Interrupts,
}

impl Bench<'_> {
    fn start(&self, version: Version, members: usize) -> Result<Cluster<'_>> {
        say(&format!("etcd {version}"), &format!("a cluster of {members}"));
        Cluster::start(self.settings, &self.faces, &self.home.join("state"), version, members)
    }

    /// Small questions to three members.
    fn calls(&self, report: &mut Report) -> Result<()> {
        let cluster = self.start(setup::etcd::built("3.6")?, 3)?;
        let commands = format!(
            "1..20 | each {{ etcd health }} | ignore; 1..{} | each {{ timeit {{ etcd health | ignore }} }} | math median | into int",
            self.size.calls
        );
        let median = process::read(&mut cluster.nu(&commands))?;
        let median = median.trim().parse().map_err(|_| Error::new(format!("nu measured {median:?}")))?;
        report.time("warm `etcd health` in nu".to_owned(), Duration::from_nanos(median), Duration::from_millis(3));
        self.interrupts.check()?;
        let theirs = cluster.etcdctl(&["endpoint", "health", "--cluster"]);
        let pair = compare(self.size.short, cluster.eval("etcd.health()"), theirs)?;
        report.pair("whole `etcdsh eval 'etcd.health()'`".to_owned(), pair, Some(1.0));
        self.interrupts.check()
    }

    /// Much data in one member.
    fn data(&self, report: &mut Report, version: Version) -> Result<()> {
        let cluster = self.start(version, 1)?;
        let started = Instant::now();
        cluster.load(&self.loader, self.size.keys, VALUE)?;
        say(&format!("etcd {version}"), &format!("{} keys written in {}", self.size.keys, took(started)));
        let keys = [
            ("keys", "etcd.keys()", "etcd keys | length", &["get", "", "--prefix"][..]),
            (
                "keys, without values",
                "etcd.keys(#{keys_only: true})",
                "etcd keys --keys-only | length",
                &["get", "", "--prefix", "--keys-only"],
            ),
        ];
        for (what, ours, nu, theirs) in keys {
            let pair = compare(self.size.long, cluster.eval(ours), cluster.etcdctl(theirs))?;
            report.pair(format!("{version} {what}"), pair, Some(1.1));
            self.interrupts.check()?;
            let (our_peak, their_peak) = (peak(cluster.eval(ours))?, peak(cluster.etcdctl(theirs))?);
            report.memory(format!("{version} {what}: memory"), our_peak, their_peak, 64 * MEGABYTE);
            let first = first_output(self.size.long, cluster.eval(ours))?;
            report.time(format!("{version} {what}: first row"), first, Duration::from_millis(300));
            self.interrupts.check()?;
            report.only(format!("{version} {what}: through nu, `| length`"), median_time(3, cluster.nu(nu))?);
            self.interrupts.check()?;
        }
        self.snapshot(report, &cluster, version)
    }

    fn snapshot(&self, report: &mut Report, cluster: &Cluster<'_>, version: Version) -> Result<()> {
        let (ours, theirs) = (self.home.join("ours.db"), self.home.join("theirs.db"));
        let script = format!("etcd.snapshot_save({:?}, #{{force: true}})", ours.display().to_string());
        let save = || cluster.eval(&script);
        let other = || cluster.etcdctl(&["snapshot", "save", &theirs.display().to_string()]);
        let pair = compare(self.size.long, save(), other())?;
        report.pair(format!("{version} snapshot save, {} MB", megabytes(&ours)?), pair, Some(1.05));
        self.interrupts.check()?;
        // What a process has that does nothing with the data is no growth.
        let idle = peak(cluster.eval("etcd.health()"))?;
        let growth = peak(save())?.zip(idle).map(|(save, idle)| save.saturating_sub(idle));
        report.memory(format!("{version} snapshot save: growth of memory"), growth, peak(other())?, 32 * MEGABYTE);
        self.files(report, version, &ours)?;
        for file in [&ours, &theirs] {
            fs::remove_file(file).map_err(Error::io("remove", file))?;
        }
        self.interrupts.check()
    }
}

fn megabytes(file: &Path) -> Result<u64> {
    Ok(file.metadata().map_err(Error::io("look at", file))?.len() / MEGABYTE)
}
