//! The table of contents of the product: one line per operation. Both faces are built from this list.

use crate::operation::{Entry, entry};
use crate::ops;

/// Every operation, in the order of the reference.
pub static CATALOGUE: &[Entry] = &[entry::<ops::member::list::MemberList>()];

/// What a face binds by hand, because it belongs to the face's language and not to etcd: the name as the face's user writes
/// it, and why. The parity test allows exactly these beside the catalogue.
pub const HAND_WRITTEN: &[(&str, &str)] = &[
    ("nu: etcd", "the help of all subcommands; a record of what is loaded would be no operation on a cluster"),
    ("rhai: connect", "returns a handle, which is a value of the Rhai face only"),
];

/// Finds an operation by its words.
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.card.name == name)
}
