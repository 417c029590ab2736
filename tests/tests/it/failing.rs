//! One failure as a caller sees it, with what must hold of every failure checked on the way: it ends within its bound, no part
//! of the program panicked, and no password is in anything that it says.

use std::fmt::Write;
use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use etcdsh_core::error::Error;
use etcdsh_core::profile::Profile;
use etcdsh_tests::hostile::TOKEN;
use etcdsh_tests::{Caller, json, record};

/// The password that every case goes with.
pub(crate) const CANARY: &str = "canary-8f3a";

/// The bounds of every case that has no reason for others. They are small, because a hang is seen only after them.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Returns settings with these bounds and the password, for some endpoints, as flags would make them.
pub(crate) fn profile(caller: &Caller, endpoints: &str, more: &[(&str, &str)]) -> Profile {
    let user = format!("root:{CANARY}");
    let mut flags = vec![("endpoints", endpoints), ("timeout", "2s"), ("connect_timeout", "1s"), ("user", &user)];
    flags.extend_from_slice(more);
    caller.profile(&flags).unwrap()
}

/// Runs an operation that has to fail within a bound, and returns what a caller sees of it.
pub(crate) fn fails(
    caller: &Caller,
    profile: &Profile,
    name: &str,
    args: serde_json::Value,
    bound: Duration,
) -> String {
    let panics = panics();
    let mut attempts = 3;
    let error = loop {
        let start = Instant::now();
        let error = match caller.answer(profile, name, record(args.clone())) {
            Err(error) => error,
            Ok(answer) => panic!("{name} did not fail, and answered {}", json(&answer)),
        };
        let took = start.elapsed();
        if took <= bound + bound / 10 {
            break error;
        }
        // A busy machine may be late now and then; a bound that is not kept is not kept any time.
        attempts -= 1;
        assert!(attempts > 0, "{name} took {took:?} of {bound:?}: {error:?}");
    };
    assert_eq!(self::panics(), panics, "{name} panicked");
    keeps_secrets(&error);
    describe(&error)
}

/// Runs `snapshot save`, which has to fail within a bound and to leave no file, and returns what a caller sees of it.
pub(crate) fn snapshot_fails(caller: &Caller, profile: &Profile, bound: Duration) -> String {
    let folder = tempfile::tempdir_in(caller.home()).unwrap();
    let path = folder.path().join("backup.db");
    let args = serde_json::json!({"path": path.to_str().unwrap(), "idle": "1s"});
    let seen = fails(caller, profile, "snapshot save", args, bound);
    assert_eq!(files(folder.path()), [""; 0], "{seen}");
    seen
}

/// Returns the names of the files in a folder.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Writes down all that an error says.
pub(crate) fn describe(error: &Error) -> String {
    let mut text = format!("{}: {error}", error.code());
    for cause in error.causes() {
        write!(text, "\n    because: {cause}").unwrap();
    }
    if let Some(help) = error.help() {
        write!(text, "\n    help: {help}").unwrap();
    }
    if let Some(argument) = error.argument() {
        write!(text, "\n    argument: {argument}").unwrap();
    }
    if let Some(sent) = error.sent() {
        write!(text, "\n    sent: {}", sent.word()).unwrap();
    }
    text
}

fn keeps_secrets(error: &Error) {
    let report = error.report().map(|report| json(&report).to_string()).unwrap_or_default();
    let all = [format!("{error} {error:?} {error:#?}"), error.in_one_line(), describe(error), report].join("\n");
    for secret in [CANARY, TOKEN] {
        assert!(!all.contains(secret), "{all}");
    }
}

/// Cases with what is seen of each, for one snapshot that reads like a reference.
#[derive(Default)]
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn row(&mut self, case: &str, seen: &str) {
        write!(self.0, "{}{case}\n  {seen}", if self.0.is_empty() { "" } else { "\n" }).unwrap();
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Takes out of snapshots what is different every time. It holds for as long as the guard lives.
pub(crate) fn redacted(caller: &Caller) -> impl Drop {
    let mut settings = insta::Settings::clone_current();
    let folders = caller.home().parent().unwrap().to_str().unwrap();
    for (pattern, instead) in [
        (format!(r"{}/etcdsh-\w+", folders.replace('.', r"\.")).as_str(), "[home]"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
        // Which of these is noticed first is a matter of luck.
        (r"unexpected end of file|Broken pipe \(os error 32\)|Connection reset by peer \(os error 104\)", "[its end]"),
        (r"/\.tmp\w+", ""),
        (r"no answer within (1\.\d+|2)s", "no answer within [almost 2s]"),
        (r"after \d{5,} of \d{5,} bytes", "after [some] of [all] bytes"),
        (r"\d+ are free", "[free] are free"),
        (r"\.[0-9a-f]{16}\.part", ".[random].part"),
        (r"\b[0-9a-f]{64}\b", "[sha256]"),
        // An id loses the zeroes that it begins with.
        (r"\b[0-9a-f]{12,16}\b", "[id]"),
    ] {
        settings.add_filter(pattern, instead);
    }
    settings.bind_to_scope()
}

/// How often core has panicked: in its own threads, or in its own code. A test that fails panics too, and is not counted.
fn panics() -> usize {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic: &PanicHookInfo<'_>| {
            let here = panic.location().is_some_and(|location| location.file().contains("core/src"));
            if here || std::thread::current().name().is_some_and(|name| name.starts_with("tokio")) {
                COUNT.fetch_add(1, Ordering::SeqCst);
            }
            before(panic);
        }));
    });
    COUNT.load(Ordering::SeqCst)
}
