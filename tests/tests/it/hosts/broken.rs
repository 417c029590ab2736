//! How a member of a fleet breaks, as it happens to machines.

use std::io::Write;
use std::process::Command;

use etcdsh_tests::{run, until};

use super::fleet::Fleet;

/// How much of a database is overwritten: both of its meta pages, on every page size.
const DAMAGE: usize = 128 * 1024;

impl Fleet {
    /// Puts an old copy of a member's data in place of what it has, as when a virtual machine goes back to a snapshot, and waits
    /// until its process has noticed.
    pub(crate) fn make_stale(&self, name: &str) {
        let (data, old) = (self.data_dir(name).join("member"), self.data_dir(name).with_extension("old"));
        self.stop_by_hand(name);
        run(Command::new("cp").args(["-a", "--"]).args([&data, &old]), "").unwrap();
        self.start_by_hand(name);
        self.healthy();
        for number in 0..5 {
            self.cluster.etcdctl(&["put", &format!("newer/{number}"), "than the copy"]);
        }
        // A read that a quorum confirms is answered by who has everything that was written before.
        let own = self.cluster.member(name).client_url().to_owned();
        self.cluster.etcdctl(&["--endpoints", &own, "get", "newer/4"]);
        self.stop_by_hand(name);
        std::fs::remove_dir_all(&data).unwrap();
        std::fs::rename(&old, &data).unwrap();
        self.start_by_hand(name);
        until("it has noticed", || {
            let log = std::fs::read_to_string(self.log(name)).unwrap_or_default();
            if log.contains("tocommit(") && self.pid(name).is_none() { Ok(()) } else { Err(log) }
        });
    }

    /// Kills a member and takes all of its data away, and starts it again, which says that it was there before and ends.
    pub(crate) fn empty(&self, name: &str) {
        let pid = self.pid(name);
        self.kill(name);
        std::fs::remove_dir_all(self.data_dir(name).join("member")).unwrap();
        self.start_again(name);
        until("it has noticed", || {
            let log = std::fs::read_to_string(self.log(name)).unwrap_or_default();
            let ended = self.pid(name).is_none_or(|now| Some(now) == pid);
            if log.contains("has already been bootstrapped") && ended { Ok(()) } else { Err(log) }
        });
    }

    /// Kills a member and damages its database; it ends whenever it is started.
    pub(crate) fn damage(&self, name: &str) {
        self.kill(name);
        let database = self.data_dir(name).join("member/snap/db");
        let mut file = std::fs::OpenOptions::new().write(true).open(database).unwrap();
        file.write_all(&vec![0xa5; DAMAGE]).unwrap();
    }

    /// Starts what no kubelet starts by itself.
    fn start_again(&self, name: &str) {
        if self.kind.is_unit() {
            self.start_by_hand(name);
        }
    }
}
