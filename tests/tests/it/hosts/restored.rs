//! A cluster that has lost its quorum is made again out of a snapshot, on units of systemd and static pods, here and over ssh.

use std::path::Path;

use etcdsh_tests::{MATRIX, column, side_by_side};
use serde_json::json;

use super::fleet::Fleet;
use crate::at_rest::fill;

#[test]
fn a_whole_cluster_is_made_again_on_its_machines() {
    side_by_side(MATRIX, |turn| {
        // Two of the four have the WAL of each member apart.
        let apart = turn.number % 2 == 0;
        let fleet = Fleet::of_turn_with(&turn, 2, apart);
        fill(&fleet.cluster);
        let file = fleet.cluster.home().join("backup.db");
        fleet.call("snapshot save", json!({ "path": file })).unwrap();
        fleet.cluster.etcdctl(&["put", "later", "1"]);
        fleet.damage("infra1");
        fleet.damage("infra2");
        let old = fleet.pid("infra3").unwrap();
        let report = match turn.number % 2 {
            0 => fleet.nu(&format!("etcd snapshot restore plan {} --hosts --profile prod", file.display())),
            _ => {
                fleet.rhai(&format!("etcd.snapshot_restore_plan({:?}, #{{ hosts: true }})", file.display().to_string()))
            }
        };
        assert_eq!(report["ok"], true, "{report}");
        let members = report["members"].as_array().unwrap();
        for member in members {
            let (name, aside) = (member["name"].as_str().unwrap(), member["data_dir_aside"].as_str().unwrap());
            assert_eq!((aside.contains(" and "), &member["outcome"]), (apart, &json!("restored")), "{report}");
            assert!(aside.split(" and ").all(|aside| Path::new(aside).exists()), "{aside}");
            assert_eq!(Path::new(member["data_dir"].as_str().unwrap()), fleet.data_dir(name), "{report}");
            assert_eq!(
                member["host"].as_str().unwrap().contains(&format!("root@{name}.test")),
                fleet.kind.is_away(),
                "{report}"
            );
            // Nothing of the copying is left.
            let names = std::fs::read_dir(fleet.data_dir(name)).unwrap().flatten().map(|entry| entry.file_name());
            assert!(names.into_iter().all(|name| !name.to_string_lossy().contains("etcdsh")), "{name}");
        }
        fleet.healthy();
        assert_ne!(fleet.pid("infra3"), Some(old));
        // A server of 3.4 cannot hash yet.
        let open = usize::from(turn.version == "3.4");
        let ok = column(&report["checks"], "ok");
        assert_eq!(ok.iter().filter(|ok| **ok == true).count(), ok.len() - open, "{report}");
        let get = |key: &str| fleet.cluster.etcdctl(&["get", key, "--print-value-only"]);
        assert_eq!((get("/k/07/x").trim(), get("later").trim()), ("value 2", ""));
        fleet.cluster.etcdctl(&["put", "after", "1"]);
    });
}
