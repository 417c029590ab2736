//! Running other programs. Children stay in the caller's process group, so that Ctrl-C reaches them too.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use crate::error::{Error, Result};
use crate::version::Version;

/// Runs a program to its end. What it prints goes where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    check(command, status)
}

/// Fails when a program has failed.
pub(crate) fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    Err(Error { message: format!("`{}` ended with {status}", line(command)), code: code(status) })
}

/// Runs a program to its end and keeps what it prints. The last line of its stderr explains a failure.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| cannot_start(command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let reason = stderr.lines().rfind(|line| !line.trim().is_empty());
    Err(Error {
        message: format!("`{}` ended with {}: {}", line(command), output.status, reason.unwrap_or("it gave no reason")),
        code: code(output.status),
    })
}

/// The version that a program prints for `--version`.
pub(crate) fn version(program: &Path) -> Result<Version> {
    let text = read(Command::new(program).arg("--version"))?;
    Version::find(&text).ok_or_else(|| Error::new(format!("{} prints no version", program.display())))
}

/// The command as a person would type it, near enough for a message.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name).chain(command.get_args()).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A program that did not start.
pub(crate) fn cannot_start(command: &Command, error: &io::Error) -> Error {
    Error::new(format!("cannot start {}: {error}", command.get_program().display()))
}

/// The exit code a shell would report.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_the_exit_code_and_the_reason() {
        let sh = |script| read(Command::new("sh").args(["-c", script]));
        assert_eq!(sh("echo out; echo err >&2").unwrap(), "out\n");
        let error = sh("echo first >&2; echo last >&2; exit 7").unwrap_err();
        assert_eq!(error.code, 7);
        assert!(error.message.ends_with(": last"), "{error}");
        assert_eq!(sh("kill -TERM $$").unwrap_err().code, 143);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(&mut Command::new("/nowhere/tool")).unwrap_err();
        assert!(error.message.contains("/nowhere/tool"), "{error}");
    }
}
