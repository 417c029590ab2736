//! The links between a member and the others are cut: those into it, over which it is fed, and then both ways, so that clients
//! still reach a member that none of the others does.

use std::cell::Cell;
use std::collections::BTreeMap;

use etcdsh_core::event::Event;
use etcdsh_core::sandbox::{MemberOptions, Options};
use etcdsh_tests::proxy::{Proxy, Times, Way, What, When};
use etcdsh_tests::{MATRIX, Running, Turn, free_port, row, side_by_side, until};
use serde_json::json;

use crate::failing::describe;
use crate::procedure_faults::{healthy, ids, pids, resume, start, told};

/// A cluster whose members reach each other only through a proxy each. What they say is not encrypted, so that a proxy can
/// tell who says it.
struct Linked {
    cluster: Running,
    proxies: BTreeMap<String, Proxy>,
}

impl Linked {
    fn start(turn: Turn) -> Self {
        let name = |number: usize| format!("infra{number}");
        let proxies: BTreeMap<_, _> = (1..=3).map(|number| (name(number), Proxy::new())).collect();
        let only = |(name, proxy): (&String, &Proxy)| {
            // The proxy must lead there before the member starts, so the flag that comes last says where that is.
            let listen = free_port();
            proxy.lead_to(listen);
            let flags = vec![format!("--listen-peer-urls=http://127.0.0.1:{listen}")];
            let url = format!("http://127.0.0.1:{}", proxy.port);
            (name.clone(), MemberOptions { advertise_peer_url: Some(url), flags, ..MemberOptions::default() })
        };
        let only = proxies.iter().map(only).collect();
        let cluster = start(turn.version, Options { tls: false, only, ..turn.options });
        let members = cluster.call("member list", json!({})).unwrap();
        for (name, proxy) in &proxies {
            assert_eq!(row(&members, name)["peer_urls"], json!([format!("http://127.0.0.1:{}", proxy.port)]));
            assert!(proxy.connections() > 0, "the others do not come through the proxy of {name}");
        }
        Linked { cluster, proxies }
    }

    /// Cuts a member off: nobody reaches it, and where both ways are meant it reaches nobody.
    fn cut(&self, member: &str, both: bool) {
        let says = format!("X-Server-From: {}\r\n", ids(&self.cluster)[member]);
        for (name, proxy) in &self.proxies {
            if name == member {
                proxy.arm(Times::Always, Way::Up, When::After(0), What::Cut);
            } else if both {
                proxy.arm(Times::Always, Way::Up, When::Sees(says.clone().into_bytes()), What::Cut);
            } else {
                continue;
            }
            proxy.cut();
        }
    }

    fn mend(&self) {
        self.proxies.values().for_each(Proxy::disarm);
    }

    /// Returns how often the faults have fired, of each proxy that is to cut something.
    fn fired(&self, member: &str, both: bool) -> Vec<usize> {
        let cuts = self.proxies.iter().filter(|(name, _)| both || *name == member);
        cuts.map(|(_, proxy)| proxy.fired()).collect()
    }
}

#[test]
fn a_link_into_a_member_that_is_cut_is_lived_with_or_told() {
    side_by_side(MATRIX, |turn| {
        let linked = Linked::start(turn);
        let follower = linked.cluster.followers().remove(0);
        during(&linked, "rolling-restart", &follower, false);
        during(&linked, "defrag", &follower, false);
    });
}

#[test]
fn a_member_that_is_cut_off_both_ways_stops_what_would_take_another_away() {
    side_by_side(MATRIX, |turn| {
        let linked = Linked::start(turn);
        for operation in ["rolling-restart", "defrag"] {
            // Whoever leads is the last one, so it is never the one whose turn it is when it is cut off.
            let leader = linked.cluster.leader();
            let error = during(&linked, operation, &leader, true).expect("nothing else may go away");
            assert!(error.contains("another voter does not serve: "), "{error}");
        }
    });
}

/// What a member knows that is cut off is old, and it is the only one whose address is given.
#[test]
fn a_member_that_is_cut_off_holds_nobody_up() {
    // Where there are users, nobody gets a token from such a member.
    side_by_side(&["3.4", "3.6"], |turn| {
        let linked = Linked::start(turn);
        let cluster = &linked.cluster;
        let cut_off = cluster.followers().remove(0);
        linked.cut(&cut_off, true);
        let profile = cluster.seeded(&[&cut_off]);
        let quorum = until("it knows that it is cut off", || {
            let quorum = cluster.call_with(&profile, "quorum", json!({})).map_err(|error| describe(&error))?;
            if quorum["down"] == json!([cut_off]) { Ok(quorum) } else { Err(quorum.to_string()) }
        });
        assert_eq!((&quorum["healthy_voters"], &quorum["verdict"]), (&json!(2), &json!("degraded")), "{quorum}");
        let others = cluster.seeded(&[&cluster.leader()]);
        let put = |value: &str| etcdsh_tests::run(cluster.ctl(&others).args(["put", "key", value]), "").unwrap();
        (0..5).for_each(|number| drop(put(&number.to_string())));
        let report = cluster.call_with(&profile, "compact", json!({ "keep": 1, "physical": true })).unwrap();
        let step = &report["steps"][0];
        assert_eq!((&step["step"], &step["outcome"]), (&json!("compact"), &json!("done")), "{report}");
        assert_eq!(step["detail"], format!("its space may still be taken on: {cut_off}"));
        put("newest");
        let hash = cluster.call_with(&profile, "hash", json!({ "wait": "3s" })).unwrap();
        assert_eq!(hash["verdict"], "not_comparable", "{hash}");
        assert!(hash["reason"].as_str().unwrap().starts_with(&format!("{cut_off} gave no hash; ")), "{hash}");
        linked.mend();
        healthy(cluster, 3);
    });
}

/// Cuts the links of a member as soon as the first step of an operation is over; mends them when the operation has ended, and
/// goes on with it where it stopped. Returns what it stopped with.
fn during(linked: &Linked, operation: &str, member: &str, both: bool) -> Option<String> {
    let cluster = &linked.cluster;
    healthy(cluster, 3);
    let (before, cut, fired) = (pids(cluster), Cell::new(false), linked.fired(member, both));
    let after_one = |event: &Event| {
        if matches!(event, Event::Outcome { .. }) && !cut.replace(true) {
            crate::procedure_faults::outside(|| linked.cut(member, both));
        }
    };
    let args = match operation {
        "defrag" => json!({ "wait": "8s" }),
        _ => json!({ "settle": "1s", "wait": "8s" }),
    };
    let ended = told(cluster, operation, args, &after_one);
    until("the members were cut off", || {
        let now = linked.fired(member, both);
        if now.iter().zip(&fired).all(|(now, before)| now > before) {
            Ok(())
        } else {
            Err(format!("{fired:?}, {now:?}"))
        }
    });
    let ended = ended.as_ref().map_err(describe);
    eprintln!("{operation} with the links of {member} cut: {ended:?}");
    linked.mend();
    healthy(cluster, 3);
    let stopped = match ended {
        Ok(report) => {
            assert_eq!(report["ok"], true, "{report}");
            None
        }
        Err(error) => {
            assert!(error.contains("help"), "{error}");
            resume(cluster);
            Some(error)
        }
    };
    healthy(cluster, 3);
    let after = pids(cluster);
    assert!(operation == "defrag" || after.iter().all(|(name, pid)| before[name] != *pid), "{before:?} {after:?}");
    stopped
}
