//! What was typed before, in a file that only its owner reads. What may hold a password is not kept.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use reedline::{FileBackedHistory, History, HistoryItem, HistoryItemId, HistorySessionId, Result, SearchQuery};

use super::scan::{Kind, scan};

/// How many lines are kept.
const KEPT: usize = 5_000;

/// The history, without secrets.
pub(super) struct Discreet(FileBackedHistory);

impl Discreet {
    /// Opens the file, and makes it private.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        FileBackedHistory::with_file(KEPT, path.to_owned()).map(Discreet).map_err(io::Error::other)
    }
}

/// Says whether a line may hold a password: it speaks of one, or names a user together with something behind a colon.
pub(super) fn is_secret(line: &str) -> bool {
    let lower = line.to_lowercase();
    if ["password", "passwd", "secret"].iter().any(|word| lower.contains(word)) {
        return true;
    }
    let with_colon = |piece: &super::scan::Piece| {
        piece.kind == Kind::Text && line.get(piece.range.clone()).is_some_and(|text| text.contains(':'))
    };
    lower.find("user").is_some_and(|user| scan(line).iter().any(|piece| piece.range.start > user && with_colon(piece)))
}

impl History for Discreet {
    fn save(&mut self, item: HistoryItem) -> Result<HistoryItem> {
        if is_secret(&item.command_line) { Ok(item) } else { self.0.save(item) }
    }

    fn load(&self, id: HistoryItemId) -> Result<HistoryItem> {
        self.0.load(id)
    }

    fn count(&self, query: SearchQuery) -> Result<i64> {
        self.0.count(query)
    }

    fn search(&self, query: SearchQuery) -> Result<Vec<HistoryItem>> {
        self.0.search(query)
    }

    fn update(&mut self, id: HistoryItemId, updater: &dyn Fn(HistoryItem) -> HistoryItem) -> Result<()> {
        self.0.update(id, updater)
    }

    fn clear(&mut self) -> Result<()> {
        self.0.clear()
    }

    fn delete(&mut self, id: HistoryItemId) -> Result<()> {
        self.0.delete(id)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }

    fn session(&self) -> Option<HistorySessionId> {
        self.0.session()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("connect(#{ user: \"root:hunter2\" })", true)]
    #[case("connect(#{ user: \"root\", password: \"hunter2\" })", true)]
    #[case("let PASSWORD = 1", true)]
    #[case("etcd.user_add(\"ann:pw\")", true)]
    #[case("connect(#{ endpoints: [\"http://a:1\"], user: \"ann\" })", false)]
    #[case("etcd.health()", false)]
    fn secrets(#[case] line: &str, #[case] secret: bool) {
        assert_eq!(is_secret(line), secret);
    }

    #[test]
    fn the_file_is_private_and_holds_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/history");
        let mut history = Discreet::open(&path).unwrap();
        for line in ["etcd.health()", "let password = 1"] {
            history.save(HistoryItem::from_command_line(line)).unwrap();
        }
        history.sync().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), "etcd.health()\n");
    }
}
