//! Reading keys from real clusters.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use etcdsh_core::sandbox::Options;
use etcdsh_core::value::{Record, Value};
use etcdsh_tests::{Running, calls, run};
use rstest::rstest;
use serde_json::Value as Json;

const COLUMNS: [&str; 7] = ["key", "value", "version", "create_revision", "mod_revision", "lease", "size"];
/// Enough for three pages: the first holds 500 keys, and none more than eight times as many as the one before.
const MANY: usize = 5_000;

/// One member, which takes many keys in one transaction.
fn one(version: &str) -> Option<Running> {
    let flags = vec!["--max-txn-ops=10000".to_owned()];
    Running::start(version, Options { members: 1, flags, ..Options::default() })
}

fn read(cluster: &Running, name: &str, args: &[(&str, Value)]) -> etcdsh_core::Result<Value> {
    let args: Record = args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    cluster.answer(&cluster.profile(), name, args)
}

fn keys(cluster: &Running, args: &[(&str, Value)]) -> Vec<Record> {
    let answer = read(cluster, "keys", args).unwrap();
    let rows = answer.as_list().unwrap().iter().map(|row| row.as_record().unwrap().clone());
    rows.inspect(|row| assert_eq!(row.iter().map(|(name, _)| name).collect::<Vec<_>>(), COLUMNS)).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Text(text) => text.clone().into_bytes(),
        Value::Blob(bytes) => bytes.clone(),
        other => panic!("{other:?} is neither text nor bytes"),
    }
}

fn names(rows: &[Record]) -> Vec<Vec<u8>> {
    rows.iter().map(|row| bytes(row.get("key").unwrap())).collect()
}

/// Puts keys in one transaction.
fn put_all(cluster: &Running, pairs: impl Iterator<Item = (String, String)>) {
    let mut input = "\n".to_owned();
    for (key, value) in pairs {
        writeln!(input, "put {key} {value}").unwrap();
    }
    input.push_str("\n\n");
    cluster.etcdctl_reading(&["txn"], &input).unwrap();
}

/// Puts a key of any bytes.
fn put(cluster: &Running, key: &[u8], value: &[u8], more: &[&str]) {
    let mut etcdctl = cluster.ctl(&cluster.profile());
    run(etcdctl.arg("put").args(more).arg("--").arg(OsStr::from_bytes(key)).arg(OsStr::from_bytes(value)), "").unwrap();
}

fn fill(cluster: &Running) {
    put_all(cluster, (0..MANY).map(|n| (format!("many/{n:06}"), format!("value-{n}-{}", "x".repeat(40)))));
}

/// A key as etcdctl gives it: key, value, version, revisions, and the lease as the 64 bits that it is.
type Theirs = (Vec<u8>, Vec<u8>, [i64; 3], u64);

fn theirs(cluster: &Running) -> Vec<Theirs> {
    let json: Json = serde_json::from_str(&cluster.etcdctl(&["get", "", "--from-key", "-w", "json"])).unwrap();
    let number = |row: &Json, name: &str| row[name].as_i64().unwrap_or(0);
    let row = |row: &Json| {
        let numbers = ["version", "create_revision", "mod_revision"].map(|name| number(row, name));
        (base64(&row["key"]), base64(&row["value"]), numbers, number(row, "lease").cast_unsigned())
    };
    json["kvs"].as_array().unwrap().iter().map(row).collect()
}

pub(crate) fn base64(text: &Json) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} is no digit"),
    };
    let digits: Vec<u8> = text.as_str().unwrap_or("").bytes().filter(|byte| *byte != b'=').map(digit).collect();
    let group = |four: &[u8]| {
        let bits = four.iter().fold(0_u32, |bits, digit| (bits << 6) | u32::from(*digit)) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

#[rstest]
fn all_keys_are_those_of_etcdctl(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = one(version) else { return };
    assert_eq!(keys(&cluster, &[]), []);
    fill(&cluster);
    let granted = cluster.etcdctl(&["lease", "grant", "600"]);
    let lease = granted.split_whitespace().nth(1).unwrap();
    put(&cluster, b"leased", b"v", &["--lease", lease]);
    put(&cluster, b"empty", b"", &[]);
    put(&cluster, "schl\u{fc}ssel".as_bytes(), "w\u{e4}rt\tlich\n".as_bytes(), &[]);
    for value in [&b"\xff\xfe"[..], b"\x1b[31m", b"plain"] {
        put(&cluster, b"\x80bin\xff", value, &[]);
    }
    put(&cluster, b"\xff\xff", b"\xff", &[]);

    let (ours, made) = calls(cluster.member("infra1").client_url(), || keys(&cluster, &[]));
    let theirs = theirs(&cluster);
    assert_eq!((ours.len(), theirs.len()), (MANY + 5, MANY + 5));
    for (ours, (key, value, numbers, their_lease)) in ours.iter().zip(theirs) {
        let field = |name| ours.get(name).unwrap();
        assert_eq!((bytes(field("key")), bytes(field("value"))), (key.clone(), value.clone()));
        assert_eq!(
            COLUMNS[2..5].iter().map(|name| field(name)).collect::<Vec<_>>(),
            numbers.map(Value::Int).each_ref()
        );
        let hex = (their_lease != 0).then(|| Value::Text(format!("{their_lease:016x}")));
        assert_eq!(*field("lease"), hex.unwrap_or(Value::Null));
        assert_eq!(*field("size"), Value::Size(i64::try_from(key.len() + value.len()).unwrap()));
        // Text that a terminal can show is text, and everything else is bytes.
        assert_eq!(matches!(field("key"), Value::Blob(_)), key.contains(&0xff));
        assert_eq!(matches!(field("value"), Value::Blob(_)), value.contains(&0xff));
    }
    let leased = read(&cluster, "get", &[("key", Value::from("leased"))]).unwrap();
    assert_eq!(leased.as_record().unwrap().get("lease"), Some(&Value::from(lease)));

    // After the proof that the member serves reads and a first, small page the server of 3.7 streams them; the others give page
    // after page.
    let count = |method: &str| made.iter().filter(|made| *made == method).count();
    let pages = made.iter().filter(|made| *made == "Range").count();
    if version == "3.7" {
        assert_eq!((count("RangeStream"), pages), (1, 2), "{made:?}");
    } else {
        assert!(pages > 3, "{made:?}");
    }
    options(&cluster, &ours);
}

/// What prefix, from, limit and the others pick out of all of them.
fn options(cluster: &Running, all: &[Record]) {
    let (text, blob) = (|text: &str| Value::from(text), |bytes: &[u8]| Value::Blob(bytes.to_vec()));
    let pick = |wanted: &dyn Fn(&[u8]) -> bool| -> Vec<Record> {
        all.iter().filter(|row| wanted(&bytes(row.get("key").unwrap()))).cloned().collect()
    };
    let prefix = |with: &[u8], args: &[(&str, Value)]| {
        let with = with.to_vec();
        assert_eq!(keys(cluster, args), pick(&|key| key.starts_with(&with)), "{args:?}");
    };
    prefix(b"many/0001", &[("prefix", text("many/0001"))]);
    prefix(b"\x80", &[("prefix", blob(b"\x80"))]);
    prefix(b"\xff", &[("prefix", blob(b"\xff"))]);
    prefix(b"none", &[("prefix", text("none"))]);
    let from = keys(cluster, &[("from", text("many/004990"))]);
    assert_eq!(from, pick(&|key| key >= &b"many/004990"[..]));
    let both = keys(cluster, &[("prefix", text("many/")), ("from", text("many/004990"))]);
    assert_eq!((both.len(), both), (10, pick(&|key| key.starts_with(b"many/00499"))));
    assert_eq!(keys(cluster, &[("prefix", text("a")), ("from", text("b"))]), []);
    for limit in [0, 1, 499, 500, 501, 4_600, 9_000] {
        let rows = keys(cluster, &[("limit", Value::Int(i64::try_from(limit).unwrap()))]);
        assert_eq!(rows, all[..limit.min(all.len())], "limit {limit}");
    }
    let bare = keys(cluster, &[("keys_only", Value::Bool(true))]);
    assert_eq!(names(&bare), names(all));
    assert!(bare.iter().all(|row| row.get("value") == Some(&Value::Null) && row.get("size") == Some(&Value::Null)));
    let version = |row: &Record| row.get("version").cloned();
    assert_eq!(bare.iter().map(version).collect::<Vec<_>>(), all.iter().map(version).collect::<Vec<_>>());
    assert_eq!(keys(cluster, &[("serializable", Value::Bool(true))]), all);
    let error = read(cluster, "keys", &[("limit", Value::Int(-1))]).unwrap_err();
    assert_eq!((error.code(), error.argument()), ("invalid_argument", Some("limit")));
}

#[rstest]
fn a_long_read_is_of_one_revision(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = one(version) else { return };
    fill(&cluster);
    // Each write changes the first key and the last one together, and adds one in the middle.
    let write = |n: usize| {
        let input = format!("\nput a {n}\nput z {n}\nput many/002500/{n} new\n\n\n");
        cluster.etcdctl_reading(&["txn"], &input).unwrap();
    };
    let number = |row: &Record| String::from_utf8(bytes(row.get("value").unwrap())).unwrap().parse::<usize>().unwrap();
    write(0);
    let (done, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in (1..).take_while(|_| !done.load(Ordering::SeqCst)) {
                write(n);
                written.store(n, Ordering::SeqCst);
            }
        });
        let mut overtaken = 0;
        // A read proves something when a write began and ended while it went on; the writer always comes to that.
        while overtaken < 3 {
            let before = written.load(Ordering::SeqCst);
            let rows = keys(&cluster, &[]);
            overtaken += usize::from(written.load(Ordering::SeqCst) > before + 1);
            let (first, last) = (number(&rows[0]), number(rows.last().unwrap()));
            // The two and the additions are those of one moment.
            assert_eq!((last, rows.len()), (first, MANY + 2 + first + 1));
        }
        done.store(true, Ordering::SeqCst);
    });
}

#[rstest]
fn the_past_is_there_until_it_is_compacted(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = one(version) else { return };
    for value in ["one", "two", "three"] {
        put(&cluster, b"k", value.as_bytes(), &[]);
    }
    put(&cluster, b"later", b"", &[]);
    let at = |revision: i64| [("revision", Value::Int(revision))];
    let get = |revision: i64| {
        let answer = read(&cluster, "get", &[&at(revision)[..], &[("key", Value::from("k"))]].concat()).unwrap();
        answer.as_record().map(|row| bytes(row.get("value").unwrap()))
    };
    assert_eq!([1, 2, 3, 4].map(get), [None, Some(b"one".to_vec()), Some(b"two".to_vec()), Some(b"three".to_vec())]);
    assert_eq!(names(&keys(&cluster, &at(4))), [b"k"]);
    assert_eq!(names(&keys(&cluster, &at(5))), [&b"k"[..], b"later"]);
    cluster.etcdctl(&["compaction", "3"]);
    assert_eq!(names(&keys(&cluster, &at(4))), [b"k"]);
    for (revision, code) in [(2, "compacted"), (1_000, "future_revision")] {
        let error = read(&cluster, "keys", &at(revision)).unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
        let error = read(&cluster, "get", &[&at(revision)[..], &[("key", Value::from("k"))]].concat()).unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
    }
    let error = read(&cluster, "keys", &at(0)).unwrap_err();
    assert_eq!((error.code(), error.argument()), ("invalid_argument", Some("revision")));
    // What is not there is no error; the empty key cannot be there.
    assert_eq!(read(&cluster, "get", &[("key", Value::from("nothing"))]).unwrap(), Value::Null);
    let error = read(&cluster, "get", &[("key", Value::from(""))]).unwrap_err();
    assert_eq!((error.code(), error.argument()), ("invalid_argument", Some("key")));
}
