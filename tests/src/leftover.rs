//! Nothing outlives a test binary, however it ends. The sandboxes of tests end with their guards, which a killed process does
//! not drop; so a small process waits for the end of this one, and then ends what was started from its homes.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Reads folders until their writer is gone. Every process of a sandbox has a file below its home among its arguments; a home
/// has a name of its own, so nobody else's process has.
const WATCH: &str = r#"
while read -r home; do set -- "$@" "$home"; done
for home; do
    for process in /proc/[0-9]*; do
        if tr '\0' '\n' < "$process/cmdline" | grep -qF -- "$home/"; then kill -KILL "${process#/proc/}"; fi
    done
    rm -rf -- "$home"
done
"#;

/// Has everything ended that was started from this folder when this process is gone.
pub(crate) fn ends_with_us(home: &Path) {
    static WATCHER: OnceLock<Mutex<Child>> = OnceLock::new();
    let watcher = WATCHER.get_or_init(|| {
        let mut command = Command::new("sh");
        command.args(["-c", WATCH, "sh"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Ctrl-C is for the tests; this one goes when they have gone.
        Mutex::new(command.process_group(0).spawn().expect("sh"))
    });
    let mut watcher = watcher.lock().unwrap_or_else(PoisonError::into_inner);
    let pipe = watcher.stdin.as_mut().expect("a pipe");
    writeln!(pipe, "{}", home.display()).expect("somebody reads until we are gone");
}
