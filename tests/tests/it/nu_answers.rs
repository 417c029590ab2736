//! What the reading commands answer in the real Nushell: columns, types, and that calls share their connections.

use etcdsh_core::args::Kind;
use etcdsh_core::report::Shape;
use etcdsh_tests::{Caught, Running};
use serde_json::{Value, json};

/// Every command that can be asked without an argument.
const READING: &[&str] = &["status", "health", "quorum", "member list", "alarm list", "keys", "sandbox list"];

fn columns(name: &str) -> Vec<Value> {
    let entry = etcdsh_core::catalogue::find(name).unwrap();
    entry.shape.columns().iter().map(|column| json!(column.name)).collect()
}

/// Says whether a value that Nushell describes so may stand in a column.
fn fits(kind: Kind, optional: bool, described: &str) -> bool {
    let expected = match kind {
        Kind::Bool => "bool",
        Kind::Int => "int",
        Kind::Float => "float",
        Kind::Size => "filesize",
        Kind::Elapsed => "duration",
        Kind::Time => "datetime",
        Kind::List(_) => "list",
        Kind::Record(_) => "record",
        Kind::Octets => return matches!(described, "string" | "binary") || (optional && described == "nothing"),
        _ => "string",
    };
    let described_list = described.starts_with("table") || described.starts_with("list");
    described.starts_with(expected) || (expected == "list" && described_list) || (optional && described == "nothing")
}

#[test]
fn columns_and_types_are_those_of_the_card() {
    let cluster = Running::three("3.6").unwrap();
    cluster.etcdctl(&["put", "/a", "b"]);
    for name in READING {
        let script = format!(
            "$env.ETCDSH_PROFILE = 'sandbox'; let rows = etcd {name} | do {{ let it = $in; if ($it | describe) =~ '^record' {{ [$it] }} else {{ $it }} }}
             $rows | each {{|row| $row | items {{|column, value| [$column, ($value | describe)]}} }} | to json --raw"
        );
        let rows = cluster.nu(&script).json();
        let entry = etcdsh_core::catalogue::find(name).unwrap();
        assert!(!rows.as_array().unwrap().is_empty() || *name == "alarm list", "{name}");
        for row in rows.as_array().unwrap() {
            let row = row.as_array().unwrap();
            assert_eq!(row.iter().map(|cell| cell[0].clone()).collect::<Vec<_>>(), columns(name), "{name}");
            for (cell, column) in row.iter().zip(entry.shape.columns()) {
                let described = cell[1].as_str().unwrap();
                assert!(fits(column.kind, column.optional, described), "{name} {}: {described}", column.name);
            }
        }
    }
}

#[test]
fn a_broken_member_has_a_row_in_every_table() {
    let cluster = Running::three("3.6").unwrap();
    cluster.kill(&["infra3"]);
    let script = "$env.ETCDSH_PROFILE = 'sandbox'; {health: (etcd health | select name verdict error | sort-by name), \
                  status: (etcd status | get name | sort), quorum: (etcd quorum)} | to json --raw";
    let said = cluster.nu(script).json();
    let verdicts: Vec<_> = said["health"].as_array().unwrap().iter().map(|row| row["verdict"].clone()).collect();
    assert_eq!(verdicts, ["healthy", "healthy", "down"], "{said:#}");
    assert!(said["health"][2]["error"].is_string(), "{said:#}");
    assert_eq!(said["status"], json!(["infra1", "infra2", "infra3"]));
    assert_eq!(said["quorum"]["tolerance"], 0, "{said:#}");
}

#[test]
fn keys_and_values_keep_their_bytes() {
    let cluster = Running::three("3.6").unwrap();
    cluster.etcdctl(&["put", "/text", "né"]);
    cluster.etcdctl(&["put", "/nul", "a\u{1}b"]);
    let script = "$env.ETCDSH_PROFILE = 'sandbox'; [(etcd get /text | get value) (etcd get /nul | get value | describe) \
                  (etcd keys --prefix / | get key) (etcd keys --keys-only | get value | uniq) (etcd get 0x[2f 74 65 78 74] | get value)] \
                  | to json --raw";
    let expected = json!(["né", "binary", ["/nul", "/text"], [null], "né"]);
    assert_eq!(cluster.nu(script).json(), expected);
}

#[test]
fn a_missing_key_is_nothing() {
    let cluster = Running::three("3.6").unwrap();
    let entry = etcdsh_core::catalogue::find("get").unwrap();
    assert!(matches!(entry.shape, Shape::Maybe(_)));
    let said = cluster.nu("etcd get /none --profile sandbox | to json --raw");
    assert_eq!(said.json(), Value::Null);
}

#[test]
fn a_change_reports_what_it_did() {
    let cluster = Running::three("3.6").unwrap();
    let script = "$env.ETCDSH_PROFILE = 'sandbox'; let dry = etcd member remove infra3 --dry-run; \
                  let done = etcd member remove infra3; \
                  {dry: ($dry | select executed ok), done: ($done | select executed ok), left: (etcd member list | get name | sort)} \
                  | to json --raw";
    let said = cluster.nu(script).json();
    assert_eq!(said["dry"], json!({"executed": false, "ok": true}), "{said:#}");
    assert_eq!(said["done"], json!({"executed": true, "ok": true}), "{said:#}");
    assert_eq!(said["left"], json!(["infra1", "infra2"]));
}

#[test]
fn a_refused_change_says_why() {
    let cluster = Running::three("3.6").unwrap();
    let [gone, there] = cluster.followers().try_into().unwrap();
    cluster.kill(&[&gone]);
    let Caught { code, details, .. } = cluster.caught(&format!("etcd member remove {there} --profile sandbox"));
    assert_eq!(code, "etcd::quorum_at_risk", "{details:#}");
    let inner = details["inner"].as_array().unwrap().iter().find(|inner| inner["code"] == "etcd::report").unwrap();
    let read = format!("r#'{}'#", inner["msg"].as_str().unwrap());
    let codes = cluster.nu(&format!("{read} | from nuon | get code | to json --raw")).json();
    assert_eq!(codes, json!(["quorum_at_risk", "server_would_refuse"]), "{details:#}");
}
