//! What is done with a snapshot, beside etcdutl and beside what only reads or copies the file.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::measure::{compare, peak};
use super::{Bench, MEGABYTE, megabytes};
use crate::cache;
use crate::error::{Error, Result};
use crate::version::Version;

use super::report::Report;

/// How much memory anything may take, whatever the size of the file.
const MEMORY: u64 = 64 * MEGABYTE;

impl Bench<'_> {
    /// Measures everything that reads a snapshot, and a restore.
    pub(super) fn files(&self, report: &mut Report, version: Version, file: &Path) -> Result<()> {
        let (path, size) = (file.display().to_string(), megabytes(file)?);
        let etcdutl = cache::etcd(&self.settings.cache, version).join("etcdutl");
        let eval = |script: &str| self.faces.etcdsh(["eval", "--output", "jsonl", script]);
        let (verify, status) = (format!("etcd.snapshot_verify({path:?})"), format!("etcd.snapshot_status({path:?})"));
        let usage = format!("open_db({path:?}).usage(#{{depth: 1}})");
        let theirs = || {
            let mut command = self.faces.command(&etcdutl);
            command.args(["snapshot", "status", &path]);
            command
        };
        let cat = || {
            let mut command = Command::new("cat");
            command.arg(file);
            command
        };
        let pairs = self.size.long;
        let mut measured = |what: &str, ours: Command, theirs: Command, bound: f64| -> Result<()> {
            report.pair(format!("{version} {what}, {size} MB"), compare(pairs, ours, theirs)?, Some(bound));
            self.interrupts.check()
        };
        measured("verify, cold, beside cat", cold(file, &eval(&verify)), cold(file, &cat()), 1.5)?;
        measured("usage, cold, beside cat", cold(file, &eval(&usage)), cold(file, &cat()), 2.0)?;
        measured("status, cold, beside etcdutl", cold(file, &eval(&status)), cold(file, &theirs()), 1.0)?;
        measured("verify, warm, beside etcdutl status", eval(&verify), theirs(), 1.0)?;
        measured("status, warm, beside etcdutl", eval(&status), theirs(), 1.0)?;
        let (made, copy) = (self.home.join("made"), self.home.join("copy"));
        let restore = format!("etcd.snapshot_restore({path:?}, #{{data_dir: {:?}}})", made.display().to_string());
        let anew = |command: &Command| wrapped("rm -rf -- \"$0\"; exec \"$@\"", &made, command);
        let mut copied = Command::new("sh");
        copied.args(["-c", "rm -f -- \"$1\"; cp -- \"$0\" \"$1\" && sync -- \"$1\""]).arg(file).arg(&copy);
        measured("restore, beside cp && sync", anew(&eval(&restore)), copied, 1.3)?;
        let mut other = self.faces.command(&etcdutl);
        other.args(["snapshot", "restore", &path, "--data-dir"]).arg(&made);
        measured("restore, beside etcdutl", anew(&eval(&restore)), anew(&other), 1.0)?;
        let keys = format!("open_db({path:?}).keys()");
        let hash = format!("open_db({path:?}).hash()");
        let whole = [
            ("verify", &verify),
            ("status", &status),
            ("usage", &usage),
            ("hash of the file", &hash),
            ("keys of the file", &keys),
        ];
        for (what, script) in whole {
            report.memory(format!("{version} {what}: memory"), peak(eval(script))?, peak(theirs())?, MEMORY);
            self.interrupts.check()?;
        }
        for place in [&made, &copy] {
            let gone = if place.is_dir() { fs::remove_dir_all(place) } else { fs::remove_file(place) };
            gone.map_err(Error::io("remove", place))?;
        }
        let (ours, theirs) = (peak(eval(&restore))?, {
            fs::remove_dir_all(&made).map_err(Error::io("remove", &made))?;
            peak(other)?
        });
        fs::remove_dir_all(&made).map_err(Error::io("remove", &made))?;
        report.memory(format!("{version} restore: memory"), ours, theirs, MEMORY);
        self.interrupts.check()
    }
}

/// The same command with a file that is not in memory.
fn cold(file: &Path, command: &Command) -> Command {
    wrapped("dd if=\"$0\" iflag=nocache count=0 status=none; exec \"$@\"", file, command)
}

/// Lets a shell do something with a path first.
fn wrapped(script: &str, path: &Path, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(path).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_the_same_behind_something_else() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo \"$A $1\"", "0", "one two"]).env("A", "b");
        let output = wrapped("printf '%s ' \"$0\"; exec \"$@\"", Path::new("/x y"), &command).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "/x y b one two\n");
    }
}
