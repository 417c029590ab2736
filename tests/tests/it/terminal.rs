//! A real pseudo-terminal with a screen, for programs that talk to people.

use std::io::{Read, Write};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// How long anything may take until it is seen on the screen.
const BOUND: Duration = Duration::from_secs(20);

/// The question where the cursor is. A terminal answers it, and a line editor waits for the answer.
const WHERE: &[u8] = b"\x1b[6n";

/// A program on a screen.
pub(crate) struct Terminal {
    screen: Arc<(Mutex<Screen>, Condvar)>,
    input: Arc<Mutex<Box<dyn Write + Send>>>,
    child: Box<dyn Child + Send + Sync>,
    /// Holds the terminal open.
    _master: Box<dyn MasterPty + Send>,
}

struct Screen {
    parser: vt100::Parser,
    /// Everything that was written, also what is gone again.
    written: Vec<u8>,
    ended: bool,
}

impl Terminal {
    /// Starts a program on a screen of this size.
    pub(crate) fn start(command: &Command, rows: u16, cols: u16) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut builder = CommandBuilder::new(command.get_program());
        builder.args(command.get_args());
        builder.env("TERM", "xterm-256color");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => builder.env(name, value),
                None => builder.env_remove(name),
            }
        }
        if let Some(folder) = command.get_current_dir() {
            builder.cwd(folder);
        }
        let child = pair.slave.spawn_command(builder).unwrap();
        drop(pair.slave);
        let screen = Screen { parser: vt100::Parser::new(rows, cols, 500), written: Vec::new(), ended: false };
        let screen = Arc::new((Mutex::new(screen), Condvar::new()));
        let input = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let output = pair.master.try_clone_reader().unwrap();
        let (shown, answers) = (Arc::clone(&screen), Arc::clone(&input));
        std::thread::spawn(move || show(output, &shown, &answers));
        Terminal { screen, input, child, _master: pair.master }
    }

    /// Types.
    pub(crate) fn type_in(&self, text: &str) {
        let mut input = self.input.lock().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Waits until the screen shows a text, and returns the whole screen.
    pub(crate) fn see(&self, text: &str) -> String {
        self.see_that(&format!("{text:?} is shown"), |screen| screen.contains(text))
    }

    /// Waits until something holds of the screen, and returns the screen.
    pub(crate) fn see_that(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let (screen, changed) = &*self.screen;
        let content = |screen: &Screen| screen.parser.screen().contents();
        let not_yet = |screen: &mut Screen| !screen.ended && !holds(&content(screen));
        let screen = changed.wait_timeout_while(lock(screen), BOUND, not_yet).unwrap().0;
        let content = content(&screen);
        assert!(holds(&content), "waited until {what}; the screen is:\n{content}");
        content
    }

    /// Returns everything that was written so far, also what was erased.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&lock(&self.screen.0).written).into_owned()
    }

    /// Returns the screen as it is.
    pub(crate) fn screen(&self) -> String {
        lock(&self.screen.0).parser.screen().contents()
    }

    /// Waits until something holds of everything that was written.
    pub(crate) fn written_that(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let (screen, changed) = &*self.screen;
        let written = |screen: &Screen| String::from_utf8_lossy(&screen.written).into_owned();
        let not_yet = |screen: &mut Screen| !screen.ended && !holds(&written(screen));
        let screen = changed.wait_timeout_while(lock(screen), BOUND, not_yet).unwrap().0;
        let written = written(&screen);
        assert!(holds(&written), "waited until {what}; what was written is:\n{written:?}");
        written
    }

    /// Waits until the program has ended, and returns its exit code.
    pub(crate) fn end(&mut self) -> u32 {
        let (screen, changed) = &*self.screen;
        let running = |screen: &mut Screen| !screen.ended;
        let screen = changed.wait_timeout_while(lock(screen), BOUND, running).unwrap().0;
        assert!(screen.ended, "the program goes on; the screen is:\n{}", screen.parser.screen().contents());
        drop(screen);
        self.child.wait().unwrap().exit_code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lock(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn show(mut output: Box<dyn Read + Send>, shown: &(Mutex<Screen>, Condvar), answers: &Mutex<Box<dyn Write + Send>>) {
    let (screen, changed) = shown;
    let mut bytes = [0; 4096];
    // A terminal whose program has ended reports an error on some systems, and an end on others.
    while let Ok(count @ 1..) = output.read(&mut bytes) {
        let mut screen = lock(screen);
        let bytes = &bytes[..count];
        screen.parser.process(bytes);
        screen.written.extend_from_slice(bytes);
        if bytes.windows(WHERE.len()).any(|window| window == WHERE) {
            let (row, column) = screen.parser.screen().cursor_position();
            let _ = write!(answers.lock().unwrap(), "\x1b[{};{}R", row + 1, column + 1);
        }
        changed.notify_all();
    }
    lock(screen).ended = true;
    changed.notify_all();
}
