//! Which request an entry of a log holds: the number of the one field that is set, besides the request's own header and id.
//! Source: etcd's `etcdserverpb/raft_internal.proto`.

use crate::format::proto::{Content, fields};

/// The fields that every request may have: its header and its id.
const OF_ALL: [u32; 2] = [100, 1];
/// Fields and the words for them, as etcd names them.
const NAMES: [(u32, &str); 31] = [
    (2, "v2"),
    (3, "range"),
    (4, "put"),
    (5, "delete_range"),
    (6, "txn"),
    (7, "compaction"),
    (8, "lease_grant"),
    (9, "lease_revoke"),
    (10, "alarm"),
    (11, "lease_checkpoint"),
    (1000, "auth_enable"),
    (1011, "auth_disable"),
    (1012, "authenticate"),
    (1013, "auth_status"),
    (1100, "auth_user_add"),
    (1101, "auth_user_delete"),
    (1102, "auth_user_get"),
    (1103, "auth_user_change_password"),
    (1104, "auth_user_grant_role"),
    (1105, "auth_user_revoke_role"),
    (1106, "auth_user_list"),
    (1107, "auth_role_list"),
    (1200, "auth_role_add"),
    (1201, "auth_role_delete"),
    (1202, "auth_role_get"),
    (1203, "auth_role_grant_permission"),
    (1204, "auth_role_revoke_permission"),
    (1300, "cluster_version_set"),
    (1301, "cluster_member_attr_set"),
    (1302, "downgrade_info_set"),
    (9900, "downgrade_version_test"),
];
/// An entry without data: a leader began to lead.
const EMPTY: &str = "empty";
/// Nothing that this version knows.
const UNKNOWN: &str = "unknown";
/// A request of the old interface, which older versions wrote as a message of its own.
const OLD: &str = "v2_request";
/// The field of such a message that no other request has at that place: its method, as text.
const OLD_METHOD: u32 = 2;

/// Returns the word for the request in the data of a normal entry.
pub fn request_name(data: &[u8]) -> &'static str {
    if data.is_empty() {
        return EMPTY;
    }
    let mut name = UNKNOWN;
    for field in fields(data) {
        let Ok(field) = field else { return UNKNOWN };
        if OF_ALL.contains(&field.number) || name != UNKNOWN {
            continue;
        }
        name = NAMES.iter().find(|(number, _)| *number == field.number).map_or(UNKNOWN, |(_, name)| name);
        if let (OLD_METHOD, Content::Bytes(b"PUT" | b"POST" | b"GET" | b"DELETE" | b"QGET" | b"SYNC")) =
            (field.number, field.content)
        {
            name = OLD;
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(b"", "empty")]
    #[case(b"\x22\x00", "put")]
    #[case(b"\x08\x07\x32\x00", "txn")]
    #[case(b"\xa2\x06\x02\x08\x01\xaa\x51\x00", "cluster_member_attr_set")]
    #[case(b"\x08\x07\x12\x03PUT\x1a\x02/a", "v2_request")]
    #[case(b"\x08\x07", "unknown")]
    #[case(b"\xff", "unknown")]
    fn requests_have_names(#[case] data: &[u8], #[case] name: &str) {
        assert_eq!(request_name(data), name);
    }
}
