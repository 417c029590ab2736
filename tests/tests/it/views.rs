//! What the reading operations say of a real cluster.

use etcdsh_tests::Running;
use rstest::rstest;
use serde_json::json;

#[rstest]
fn a_healthy_cluster_is_healthy(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    let health = cluster.call("health", json!({})).unwrap();
    let rows = health.as_array().unwrap();
    assert_eq!(rows.len(), 3, "{health}");
    for row in rows {
        assert_eq!(row["verdict"], "healthy", "{row}");
        assert_eq!((&row["reachable"], &row["linearizable"]), (&json!(true), &json!(true)), "{row}");
    }
    let quorum = cluster.call("quorum", json!({})).unwrap();
    assert_eq!((&quorum["verdict"], &quorum["tolerance"]), (&json!("healthy"), &json!(1)), "{quorum}");
    let status = cluster.call("status", json!({})).unwrap();
    assert_eq!(status[0]["version"], cluster.tools.version.as_str(), "{status}");
}
