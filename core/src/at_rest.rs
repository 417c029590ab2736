//! Reading a file in place of a cluster. The work has a thread of its own, because it waits for a disk; whoever waits for it is
//! told how far it is, and ends it by going away.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::context::Context;
use crate::error::{Error, Fault, Result};
use crate::event::Event;
use crate::format::ahead::Control;
use crate::format::bolt::Image;
use crate::format::problem;
use crate::ops::keys::about_revision;
use crate::report::Row;
use crate::stream::Rows;
use crate::units::Bytes;
use crate::wait;

/// How often the caller is told how far the reading is.
pub(crate) const TELL_EVERY: Duration = Duration::from_millis(500);
/// Where the database lies in a data dir, and in the folder `member` of one.
const IN_FOLDERS: [&str; 2] = ["member/snap/db", "snap/db"];

/// Finds the database: the file itself, or the one in a member's data dir.
///
/// # Errors
/// It is a folder, and no data dir.
pub fn database(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let inside = IN_FOLDERS.iter().map(|inside| path.join(inside)).find(|inside| inside.exists());
    inside.ok_or_else(|| NoDatabase { path: path.to_owned() }.into())
}

/// Ends the reading of a file when it goes.
#[derive(Default)]
pub(crate) struct Stopping(Arc<Control>);

impl Stopping {
    /// Makes what ends the reading for a call.
    fn new(ctx: &Context<'_>) -> Self {
        let skip_hash_check = ctx.file.as_ref().is_some_and(|file| file.skip_hash_check);
        Stopping(Arc::new(Control::new(skip_hash_check)))
    }

    /// Returns what is ended then.
    pub(crate) fn control(&self) -> Arc<Control> {
        Arc::clone(&self.0)
    }
}

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Reads a file, which the argument of this name gave, and tells the caller how far it is.
///
/// # Errors
/// The file cannot be read, or what the work fails with.
pub(crate) async fn read<T: Send + 'static>(
    ctx: &Context<'_>,
    argument: &'static str,
    path: &Path,
    work: impl FnOnce(&Image) -> problem::Result<T> + Send + 'static,
) -> Result<T> {
    make(ctx, argument, path, move |image| Ok(work(image)?)).await
}

/// The same for work that makes something of what it reads. Ctrl-C ends it, and it is waited for until it has taken back what it made.
///
/// # Errors
/// The file cannot be read, or what the work fails with.
pub(crate) async fn make<T: Send + 'static>(
    ctx: &Context<'_>,
    argument: &'static str,
    path: &Path,
    work: impl FnOnce(&Image) -> Result<T> + Send + 'static,
) -> Result<T> {
    let path = database(path).map_err(|error| error.for_argument(argument))?;
    let (what, total) = (format!("reading {}", name(&path)), path.metadata().map_or(0, |meta| meta.len()));
    let stopping = Stopping::new(ctx);
    let control = stopping.control();
    let mut working = tokio::task::spawn_blocking(move || work(&Image::open_with(&path, control)?));
    let worked = loop {
        tokio::select! {
            biased;
            worked = &mut working => break worked.map_err(Error::internal)?,
            () = ctx.cancel().cancelled(), if !stopping.0.is_stopped() => stopping.0.stop(),
            () = wait::sleep(TELL_EVERY) => {
                let done = Bytes::new(stopping.0.done().min(total));
                ctx.emit(&Event::Progress { what: what.clone(), done, total: Some(Bytes::new(total)) });
            }
        }
    };
    worked.map_err(|error| of(argument, error))
}

/// Says which argument a failure is about: the file, unless it says so itself or is about the revision that was asked for.
fn of(argument: &'static str, error: Error) -> Error {
    match error.argument() {
        Some(_) => error,
        None => about_revision(error).for_argument(argument),
    }
}

/// Where rows go while a file is read. It answers whether more of them are wanted.
pub(crate) type Take<'t, T> = &'t mut (dyn FnMut(Vec<T>) -> bool + Send);

/// Reads rows out of a file, which the argument of this name gave.
///
/// # Errors
/// What goes wrong before the first page.
pub(crate) async fn rows<T: Row + Send + 'static>(
    ctx: &Context<'_>,
    argument: &'static str,
    path: &Path,
    work: impl FnOnce(&Image, Take<'_, T>) -> Result<()> + Send + 'static,
) -> Result<Rows<T>> {
    let path = database(path).map_err(|error| error.for_argument(argument))?;
    let stopping = Stopping::new(ctx);
    ctx.rows(move |pages| async move {
        let control = stopping.control();
        let read = move || work(&Image::open_with(&path, control)?, &mut |page| pages.send_blocking(page));
        let read = tokio::task::spawn_blocking(read).await.map_err(Error::internal)?;
        read.map_err(|error| of(argument, error))
    })
    .await
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[derive(Debug, thiserror::Error)]
#[error("the folder {} holds no member's data", path.display())]
struct NoDatabase {
    path: PathBuf,
}

impl Fault for NoDatabase {
    fn code(&self) -> &'static str {
        "no_database"
    }

    fn help(&self) -> Option<String> {
        Some("name a snapshot file, or the data dir of a member, which has `member/snap/db` in it".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::shown;

    #[test]
    fn a_database_is_found_in_a_data_dir() {
        let folder = tempfile::tempdir().unwrap();
        let error = database(folder.path()).unwrap_err();
        let told = shown([error]).replace(&folder.path().display().to_string(), "/DIR");
        insta::assert_snapshot!(told, @"
        no_database: the folder /DIR holds no member's data
          help: name a snapshot file, or the data dir of a member, which has `member/snap/db` in it
        ");
        let db = folder.path().join("member/snap/db");
        std::fs::create_dir_all(db.parent().unwrap()).unwrap();
        std::fs::write(&db, b"").unwrap();
        let found = [folder.path(), &folder.path().join("member"), &db].map(|path| database(path).unwrap());
        assert_eq!(found, [db.clone(), db.clone(), db]);
        assert_eq!(database(Path::new("/no/such.db")).unwrap(), Path::new("/no/such.db"));
    }
}
