//! Records as etcd writes them, and as it does not.

use super::*;
use crate::format::mvcc::BUCKET;
use crate::id::{LeaseId, MemberId};

type Row = (&'static str, &'static [u8], &'static [u8]);

const ROWS: [Row; 17] = [
    ("meta", b"consistent_index", b"\0\0\0\0\0\0\x01\x02"),
    ("meta", b"term", b"\0\0\0\0\0\0\0\x03"),
    ("meta", b"confState", br#"{"voters":[14819969595620948624],"auto_leave":false}"#),
    ("meta", b"finishedCompactRev", b"\0\0\0\0\0\0\0\x07_\0\0\0\0\0\0\0\0"),
    ("meta", b"scheduledCompactRev", b"\0\0\0\0\0\0\0\x09_\0\0\0\0\0\0\0\0"),
    ("meta", b"storageVersion", b"3.6.0"),
    ("meta", b"of a later etcd", b"?"),
    ("cluster", b"clusterVersion", b"3.6.0"),
    ("cluster", b"downgrade", br#"{"target-version":"3.5.0","enabled":true}"#),
    (
        "members",
        b"cdab1bd3e1137a90",
        br#"{"id":14819969595620948624,"peerURLs":["http://a:2380"],"name":"s1","clientURLs":["http://a:2379"]}"#,
    ),
    ("members", b"2", br#"{"id":2,"peerURLs":["http://b:2380"],"isLearner":true}"#),
    ("members_removed", b"abc", b"removed"),
    ("alarm", b"\x08\x02\x10\x01", b""),
    ("auth", b"authEnabled", b"\x01"),
    ("auth", b"authRevision", b"\0\0\0\0\0\0\0\x05"),
    ("authUsers", b"root", b"\x0a\x04root\x12\x03$2a\x1a\x04root\x1a\x03ops\x22\x00"),
    ("authRoles", b"ops", b"\x0a\x03ops\x12\x08\x08\x02\x12\x01a\x1a\x01b\x12\x03\x12\x01k"),
];

#[test]
fn records_are_read() {
    let mut records = Records::default();
    for (bucket, key, value) in ROWS {
        records.row(bucket.as_bytes(), key, value).unwrap_or_else(|flaw| panic!("{bucket}: {flaw:?}"));
    }
    insta::assert_debug_snapshot!(records, @r#"
    Records {
        applied: Applied {
            consistent_index: Some(
                258,
            ),
            term: Some(
                3,
            ),
            conf_state: Some(
                ConfState {
                    voters: [
                        cdab1bd3e1137a90,
                    ],
                    learners: [],
                    voters_outgoing: [],
                    learners_next: [],
                    auto_leave: false,
                },
            ),
            scheduled_compact: Some(
                9,
            ),
            finished_compact: Some(
                7,
            ),
            storage_version: Some(
                "3.6.0",
            ),
        },
        cluster_version: Some(
            "3.6.0",
        ),
        downgrade: Some(
            Downgrade {
                target_version: "3.5.0",
                enabled: true,
            },
        ),
        members: [
            Member {
                id: cdab1bd3e1137a90,
                name: "s1",
                peer_urls: [
                    "http://a:2380",
                ],
                client_urls: [
                    "http://a:2379",
                ],
                is_learner: false,
            },
            Member {
                id: 2,
                name: "",
                peer_urls: [
                    "http://b:2380",
                ],
                client_urls: [],
                is_learner: true,
            },
        ],
        removed: [
            abc,
        ],
        alarms: [
            Alarm {
                member_id: 2,
                kind: NoSpace,
            },
        ],
        auth_enabled: Some(
            true,
        ),
        auth_revision: Some(
            5,
        ),
        users: [
            User {
                name: "root",
                has_password: true,
                roles: [
                    "root",
                    "ops",
                ],
                no_password: false,
            },
        ],
        roles: [
            Role {
                name: "ops",
                permissions: [
                    Permission {
                        access: ReadWrite,
                        key: [
                            97,
                        ],
                        range_end: [
                            98,
                        ],
                    },
                    Permission {
                        access: Read,
                        key: [
                            107,
                        ],
                        range_end: [],
                    },
                ],
            },
        ],
        leases: 0,
        taken: 867,
    }
    "#);
}

#[test]
fn who_wrote_it_is_known_by_what_is_there() {
    let by = |term, version: Option<&str>| {
        let storage_version = version.map(str::to_owned);
        Applied { term, storage_version, ..Applied::default() }.written_by().to_owned()
    };
    assert_eq!([by(None, None), by(Some(2), None), by(Some(2), Some("3.7.0"))], ["3.4", "3.5", "3.7.0"]);
}

#[test]
fn a_lease_is_read_and_belongs_to_its_row() {
    let lease = Lease { id: LeaseId(0x1234), ttl: 60, remaining: 0 };
    assert_eq!(Lease::read(b"\0\0\0\0\0\0\x12\x34", b"\x08\xb4\x24\x10\x3c").unwrap(), lease);
    assert!(Lease::read(b"\0\0\0\0\0\0\x12\x35", b"\x08\xb4\x24\x10\x3c").is_err());
    // An id above 2^63 is a negative number in the message.
    let high = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x3c";
    assert_eq!(Lease::read(&[0xff; 8], high).unwrap().id, LeaseId(u64::MAX));
}

#[test]
fn damaged_records_are_told_apart() {
    let damaged: [Row; 14] = [
        ("meta", b"consistent_index", b"\0\0\0\0"),
        ("meta", b"confState", b"{"),
        ("meta", b"finishedCompactRev", b"\0\0\0\0\0\0\0\x07_\0\0\0\0\0\0\0\0t"),
        ("meta", b"storageVersion", b"\xff"),
        ("members", b"xyz", b"{}"),
        ("members", b"3", br#"{"id":2,"peerURLs":[]}"#),
        ("members", b"2", br#"{"id":"2"}"#),
        ("members_removed", b"", b"removed"),
        ("alarm", b"\x08", b""),
        ("alarm", b"\x08\x01\x10\x09", b""),
        ("auth", b"authEnabled", b"\x02"),
        ("authUsers", b"root", b"\x0a\x04toor"),
        ("authRoles", b"ops", b"\x0a\x03ops\x12\x02\x08\x07"),
        ("lease", b"\0\0", b""),
    ];
    let told = damaged.map(|(bucket, key, value)| {
        let flaw = Records::default().row(bucket.as_bytes(), key, value).unwrap_err();
        format!("{bucket}: {flaw}\n")
    });
    insta::assert_snapshot!(told.concat(), @r#"
    meta: the consistent index has 4 bytes, and should have 8
    meta: the list of voters cannot be read
    meta: the finished compaction is no revision
    meta: the storage version is no text
    members: the key "xyz" is no id of a member
    members: the entry of 3 says that it is 2
    members: the member cannot be read
    members_removed: the key "" is no id of a member
    alarm: the alarm cannot be read
    alarm: the kind of the alarm is 9, which means nothing
    auth: whether users have to log in is 2, which means nothing
    authUsers: the entry of root says that it is toor
    authRoles: the kind of the permission is 7, which means nothing
    lease: the id of the lease has 2 bytes, and should have 8
    "#);
}

#[test]
fn records_are_bounded() {
    let mut records = Records::default();
    let name = vec![b'u'; 1 << 20];
    let taken = (0..20).take_while(|_| records.row(b"other", &name, b"").is_ok()).count();
    assert_eq!((taken, BUCKET, MemberId(1).to_string()), (16, &b"key"[..], "1".to_owned()));
}

#[test]
fn a_list_in_a_row_counts_with_the_memory_that_it_takes() {
    let many = |head: &[u8], item: &[u8], tail: &[u8]| [head, &item.repeat(1 << 20), tail].concat();
    let rows = [
        (b"authUsers".as_slice(), many(b"\x0a\x01r", b"\x1a\x00", b"")),
        (b"authRoles", many(b"\x0a\x01r", b"\x12\x00", b"")),
        (b"members", many(br#"{"id":2,"peerURLs":["#, br#""","#, br#"""]}"#)),
        (b"meta", many(br#"{"voters":["#, b"1,", b"1]}")),
    ];
    for (bucket, value) in rows {
        let key = if bucket == b"meta" { &b"confState"[..] } else { b"r" };
        let refused = Records::default().row(bucket, key, &value).unwrap_err();
        assert!(matches!(refused, Flaw::TooMany(_)), "{refused}");
    }
}
