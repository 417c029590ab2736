//! The log and the `.snap` file of a restored member: raft's history of a cluster in which nothing happened but that its members
//! were added, one after the other in the order of their ids.
//!
//! | record of the log | |
//! | ----------------- | --- |
//! | checksum | 0 |
//! | metadata | this member and the cluster |
//! | snapshot | index 0, term 0 |
//! | an entry for each member | term 1, index 1 and on: the member is added |
//! | hard state | term 1, a vote for the member with the lowest id, all entries committed |
//! | snapshot | the last index, term 1, all members vote |
//!
//! The file is as long as etcd makes it, and zero from there on. The `.snap` file has the same index and term, and the old store.
//! One form serves all versions: that of 3.5, to the byte. Source: etcd's `etcdutl/snapshot/v3_snapshot.go`.

use super::{NewCluster, TERM};
use crate::format::schema::ConfState;
use crate::format::snap::Snap;
use crate::format::v2;
use crate::format::wal::{Change, ChangeKind, Entry, EntryKind, HardState, Item, Metadata, Snapshot, Writer};
use crate::member::Member;

/// The name of the first file of a log.
pub(super) const WAL_NAME: &str = "0000000000000000-0000000000000000.wal";
/// How long etcd makes a file of a log, in bytes.
pub(super) const WAL_SIZE: u64 = 64_000_000;

/// Returns the records of the log.
pub(super) fn wal(cluster: &NewCluster) -> Vec<u8> {
    let last = cluster.members.len() as u64;
    let mut writer = Writer::default();
    writer.put(&Item::Checksum(0));
    writer.put(&Item::Metadata(Metadata { member: cluster.local, cluster: cluster.id }));
    writer.put(&Item::Snapshot(Snapshot::default()));
    for (index, member) in (1..).zip(&cluster.members) {
        let change = Change { kind: ChangeKind::Add, member: member.id, told: Some(member.clone()) };
        let data = change.write();
        writer.put(&Item::Entry(Entry { kind: EntryKind::Change, term: TERM, index, data: &data }));
    }
    let vote = cluster.members.first().map_or(0, |member: &Member| member.id.0);
    writer.put(&Item::HardState(HardState { term: TERM, vote, commit: last }));
    writer.put(&Item::Snapshot(Snapshot { index: last, term: TERM, conf_state: Some(voters(cluster)) }));
    writer.take()
}

/// Returns the `.snap` file.
pub(super) fn snap(cluster: &NewCluster) -> Snap {
    let index = cluster.members.len() as u64;
    let store = v2::fresh(&cluster.members).into_bytes();
    Snap { term: TERM, index, conf_state: voters(cluster), store }
}

fn voters(cluster: &NewCluster) -> ConfState {
    ConfState { voters: cluster.members.iter().map(|member| member.id).collect(), ..ConfState::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_three_members_is_that_of_etcdutl() {
        let list = [("m1", "http://a:2380"), ("m2", "https://b:2381"), ("m2", "http://b:2380"), ("m3", "unix://c:23")];
        let list = list.map(|(name, url)| (name.to_owned(), url.to_owned()));
        let own = ["http://b:2380", "https://b:2381"].map(str::to_owned);
        let cluster = NewCluster::of("m2", &list, "etcd-cluster", &own).unwrap();
        let wal = wal(&cluster);
        // etcdutl 3.5.35 wrote a log of as many bytes with this sum, and a `.snap` file too.
        assert_eq!((wal.len(), crc32c::crc32c(&wal)), (528, 0x8f9c_d935));
        let snap = snap(&cluster);
        assert_eq!(snap.name(), "0000000000000001-0000000000000003.snap");
        assert_eq!((snap.write().len(), crc32c::crc32c(&snap.write())), (7550, 0xb612_e67a));
    }
}
