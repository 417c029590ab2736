//! The table of contents of the product: one line per operation. Both faces are built from this list.

use crate::change::Changing;
use crate::operation::{Entry, entry};
use crate::ops;

/// Every operation, in the order of the reference.
pub static CATALOGUE: &[Entry] = &[
    entry::<ops::status::Status>(),
    entry::<ops::health::Health>(),
    entry::<ops::quorum::QuorumOf>(),
    entry::<ops::can::CanDo>(),
    entry::<ops::alarm::list::AlarmList>(),
    entry::<Changing<ops::alarm::disarm::AlarmDisarm>>(),
    entry::<ops::hash::Hash>(),
    entry::<ops::cluster::upgrade_check::UpgradeCheck>(),
    entry::<ops::downgrade::status::DowngradeStatus>(),
    entry::<ops::downgrade::validate::DowngradeValidate>(),
    entry::<Changing<ops::downgrade::enable::DowngradeEnable>>(),
    entry::<Changing<ops::downgrade::cancel::DowngradeCancel>>(),
    entry::<ops::get::Get>(),
    entry::<ops::keys::Keys>(),
    entry::<ops::history::History>(),
    entry::<ops::usage::Usage>(),
    entry::<ops::lease::list::LeaseList>(),
    entry::<ops::user::list::UserList>(),
    entry::<ops::role::list::RoleList>(),
    entry::<ops::wal::list::WalList>(),
    entry::<ops::snapshot::save::SnapshotSave>(),
    entry::<ops::snapshot::status::SnapshotStatus>(),
    entry::<ops::snapshot::verify::SnapshotVerify>(),
    entry::<ops::snapshot::diff::SnapshotDiff>(),
    entry::<ops::snapshot::diff::keys::SnapshotDiffKeys>(),
    entry::<ops::snapshot::restore::SnapshotRestore>(),
    entry::<ops::snapshot::restore::plan::SnapshotRestorePlan>(),
    entry::<ops::snapshot::drill::SnapshotDrill>(),
    entry::<ops::backup::run::BackupRun>(),
    entry::<ops::backup::list::BackupList>(),
    entry::<ops::member::list::MemberList>(),
    entry::<Changing<ops::member::add::MemberAdd>>(),
    entry::<Changing<ops::member::promote::MemberPromote>>(),
    entry::<Changing<ops::member::remove::MemberRemove>>(),
    entry::<Changing<ops::member::update::MemberUpdate>>(),
    entry::<Changing<ops::member::replace::MemberReplace>>(),
    entry::<Changing<ops::leader::transfer::LeaderMove>>(),
    entry::<Changing<ops::rolling_restart::RollingRestart>>(),
    entry::<Changing<ops::compact::Compact>>(),
    entry::<Changing<ops::defrag::Defrag>>(),
    entry::<Changing<ops::space::recover::SpaceRecover>>(),
    entry::<ops::change::list::ChangeList>(),
    entry::<ops::change::show::ChangeShow>(),
    entry::<ops::change::resume::ChangeResume>(),
    entry::<ops::sandbox::start::SandboxStart>(),
    entry::<ops::sandbox::list::SandboxList>(),
    entry::<ops::sandbox::stop::SandboxStop>(),
    entry::<ops::sandbox::kill::SandboxKill>(),
    entry::<ops::sandbox::pause::SandboxPause>(),
    entry::<ops::sandbox::resume::SandboxResume>(),
    entry::<ops::sandbox::restart::SandboxRestart>(),
    entry::<ops::sandbox::wipe::SandboxWipe>(),
    entry::<ops::sandbox::join::SandboxJoin>(),
    entry::<ops::sandbox::breaking::SandboxBreak>(),
];

/// What a face binds by hand, because it belongs to the face's language and not to etcd: the name as the face's user writes
/// it, and why. The parity test allows exactly these beside the catalogue.
pub const HAND_WRITTEN: &[(&str, &str)] = &[
    ("nu: etcd", "the help of all subcommands; a record of what is loaded would be no operation on a cluster"),
    ("rhai: blob", "refuses a length that Rhai's own would fill the memory with"),
    ("rhai: connect", "returns a handle, which is a value of the Rhai face only"),
    ("rhai: exit", "sets the exit code; Rhai's own looks like an ordinary result"),
    ("rhai: now", "returns the time, for which Nushell has `date now`"),
    ("rhai: open_db", "returns the handle of a file, which is a value of the Rhai face only; Nushell has `--db`"),
    ("rhai: options", "reads what a script was told, for which Nushell has the parameters of `main`"),
    ("rhai: pad", "refuses a length that Rhai's own would fill the memory with"),
    ("rhai: parse_json", "keeps every digit of an id, which Rhai's own rounds"),
    ("rhai: run", "starts a program, for which Nushell needs no command"),
    ("rhai: sleep", "ends on Ctrl-C, which Rhai's own does not"),
    ("rhai: take", "reads a part of a stream, which is a value of the Rhai face only"),
    ("rhai: to_array", "reads the rest of a stream, which is a value of the Rhai face only"),
];

/// Finds an operation by its words.
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.card.name == name)
}
