//! The files of a sandbox. Nobody but their owner may read them, because keys and passwords are among them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::error::{SandboxError, cannot};

/// Makes a folder and those above it.
pub(super) fn make_folder(path: &Path) -> Result<(), SandboxError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(cannot(format!("make the folder {}", path.display())))
}

/// Writes a file so that a reader sees the old content or the new one, and never a part.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<(), SandboxError> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(content)?;
        std::fs::rename(&part, path)
    };
    write().map_err(cannot(format!("write {}", path.display())))
}

/// Reads a file as text.
pub(super) fn read_text(path: &Path) -> Result<String, SandboxError> {
    std::fs::read_to_string(path).map_err(cannot(format!("read {}", path.display())))
}

/// Opens a log to write at its end.
pub(super) fn open_log(path: &Path) -> Result<File, SandboxError> {
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    opened.map_err(cannot(format!("open the log {}", path.display())))
}

/// Removes a file or a folder with all that is in it; what is not there is fine.
pub(super) fn remove(path: &Path) -> Result<(), SandboxError> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(cannot(format!("remove {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}

/// Moves a file or a folder.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), SandboxError> {
    std::fs::rename(from, to).map_err(cannot(format!("move {} to {}", from.display(), to.display())))
}
/// Copies a folder with all that is in it.
pub(super) fn copy_folder(from: &Path, to: &Path) -> Result<(), SandboxError> {
    make_folder(to)?;
    let what = || format!("copy {}", from.display());
    for entry in std::fs::read_dir(from).map_err(cannot(what()))? {
        let entry = entry.map_err(cannot(what()))?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(cannot(what()))?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target).map_err(cannot(what()))?;
        }
    }
    Ok(())
}
