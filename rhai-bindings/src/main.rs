//! The binary `etcdsh`.

/// Ends the process at once: taking runtimes and engines apart costs more than many a script takes to run.
#[expect(clippy::disallowed_methods, reason = "main decides the exit code")]
fn leave(code: i32) -> ! {
    std::process::exit(code)
}

fn main() {
    leave(etcdsh::app::run(leave))
}
