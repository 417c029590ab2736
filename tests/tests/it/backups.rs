//! Backups in a folder: made, noted, kept by the rules, and found by time.

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{MATRIX, side_by_side};
use serde_json::{Value as Json, json};

use crate::at_rest::{filled, saved};
use crate::failing::describe;

#[test]
fn backups_are_made_and_kept_by_the_rules() {
    side_by_side(MATRIX, |turn| {
        let cluster = filled(turn.version, turn.options);
        let folder = cluster.home().join("backups");
        let run = |args: Json| {
            let mut given = json!({ "folder": folder });
            given.as_object_mut().unwrap().extend(args.as_object().unwrap().clone());
            cluster.call("backup run", given).unwrap_or_else(|error| panic!("{}", describe(&error)))
        };
        let first = run(json!({}));
        let saved = &first["saved"];
        let verified = cluster.call("snapshot verify", json!({ "file": saved["path"], "live": true })).unwrap();
        for column in ["revision", "hash", "total_keys", "version"] {
            assert_eq!(saved[column], verified[column], "{column}: {saved}");
        }
        assert!(saved["verified"] == true && saved["raft_index"].as_i64() > Some(10), "{saved}");
        // Files of a second have one name, so the next one waits for another.
        let second = etcdsh_tests::until("the next second has come", || {
            cluster.etcdctl(&["put", "/k/new", "v"]);
            let args = json!({ "folder": folder, "keep_last": 1, "dry_run": false });
            cluster.call("backup run", args).map_err(|error| error.to_string())
        });
        assert_eq!(second["removed"][0]["path"], saved["path"], "{second}");
        assert!(!std::path::Path::new(saved["path"].as_str().unwrap()).exists());
        let listed = cluster.call("backup list", json!({ "folder": folder })).unwrap();
        assert_eq!(listed, json!([second["saved"]]), "{listed}");
        assert_eq!(
            cluster.call("backup list", json!({ "folder": folder, "at": "2020-01-01T00:00:00Z" })).unwrap(),
            json!([])
        );
        // What is nobody's is left alone, and so is everything in a dry run.
        std::fs::write(folder.join("mine.db"), b"x").unwrap();
        let dry = run(json!({ "keep_daily": 1, "dry_run": true }));
        assert_eq!((&dry["saved"], dry["kept"].as_array().unwrap().len()), (&Json::Null, 1), "{dry}");
        assert!(folder.join("mine.db").exists());
    });
}

#[test]
fn a_backup_that_cannot_be_made_removes_nothing() {
    let cluster = filled("3.6", Options::default());
    let folder = saved(&cluster, "file.db");
    for args in [json!({ "folder": folder }), json!({ "folder": cluster.home().join("b"), "keep_last": -1 })] {
        let error = cluster.call("backup run", args).unwrap_err();
        assert!(["file_failed", "invalid_argument"].contains(&error.code()), "{}", describe(&error));
    }
    assert!(!cluster.home().join("b").exists());
}
