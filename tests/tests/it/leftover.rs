//! What is left when a test binary is killed: nothing.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Running, until};
use rustix::process::{Pid, Signal, kill_process};

/// Tells the other test that this process is the one to be killed.
const VICTIM: &str = "ETCDSH_TEST_VICTIM";

#[test]
fn a_cluster_ends_with_its_test_binary() {
    if std::env::var_os(VICTIM).is_some() {
        let cluster = Running::start("3.6", Options { members: 1, tls: false, ..Options::default() }).unwrap();
        let pid = cluster.member("infra1").row().unwrap().pid.unwrap();
        println!("cluster {pid} {}", cluster.home().display());
        loop {
            std::thread::park();
        }
    }
    let itself = std::env::current_exe().unwrap();
    let mut test = Command::new(itself)
        .args(["--exact", "leftover::a_cluster_ends_with_its_test_binary", "--nocapture"])
        .env(VICTIM, "yes")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(test.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.into_iter().find_map(|line| Some(line.split_once("cluster ")?.1.to_owned())).unwrap();
    let (pid, home) = line.split_once(' ').unwrap();
    // One that has ended and that nobody has asked about yet has no command line any more.
    let runs = || std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
    assert!(runs(), "{line}");
    kill_process(Pid::from_child(&test), Signal::KILL).unwrap();
    test.wait().unwrap();
    until("the cluster has ended", || {
        let left = Path::new(home).exists();
        if runs() || left { Err(format!("{pid} runs: {}, its folder is there: {left}", runs())) } else { Ok(()) }
    });
}
