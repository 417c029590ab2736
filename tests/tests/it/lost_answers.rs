//! Answers of changing calls that are lost on their way back: what came of each is found out by reading, and nothing is sent
//! twice.

use std::cell::{Cell, RefCell};

use etcdsh_core::endpoint::Endpoint;
use etcdsh_core::event::Event;
use etcdsh_core::profile::Profile;
use etcdsh_core::sandbox::{MemberOptions, Options};
use etcdsh_tests::proxy::Proxy;
use etcdsh_tests::{MATRIX, Running, Turn, json as to_json, record, side_by_side, until};
use serde_json::{Value as Json, json};

use crate::failing::describe;
use crate::procedure_faults::{healthy, ids, start};

/// A cluster whose members clients reach only through a proxy each.
pub(crate) struct Behind {
    pub(crate) cluster: Running,
    proxies: Vec<Proxy>,
}

impl Behind {
    /// What is said is not encrypted, so that the proxies can tell the calls.
    pub(crate) fn start(turn: Turn, flags: &[&str]) -> Self {
        let proxies: Vec<Proxy> = (0..3).map(|_| Proxy::new()).collect();
        let only = |(number, proxy): (usize, &Proxy)| {
            let advertise_client_url = Some(format!("http://127.0.0.1:{}", proxy.port));
            (format!("infra{}", number + 1), MemberOptions { advertise_client_url, ..MemberOptions::default() })
        };
        let only = proxies.iter().enumerate().map(only).collect();
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let cluster = start(turn.version, Options { tls: false, only, flags, ..turn.options });
        let behind = Behind { cluster, proxies };
        behind.lead_back();
        behind
    }

    /// Lets the proxies lead somewhere else, and ends what connections there are. They are told the members' own ports.
    pub(crate) fn lead_to(&self, port: impl Fn(u16) -> u16) {
        for (endpoint, proxy) in self.cluster.profile().endpoints.iter().zip(&self.proxies) {
            proxy.lead_to(port(endpoint.port()));
            proxy.cut();
        }
    }

    /// Lets each lead to its member.
    pub(crate) fn lead_back(&self) {
        self.lead_to(|port| port);
    }

    pub(crate) fn profile(&self) -> Profile {
        let endpoint = |proxy: &Proxy| Endpoint::parse(&format!("127.0.0.1:{}", proxy.port), false).unwrap();
        Profile { endpoints: self.proxies.iter().map(endpoint).collect(), ..self.cluster.profile() }
    }

    fn fired(&self) -> usize {
        self.proxies.iter().map(Proxy::fired).sum()
    }

    /// Runs an operation of which the answer to every changing call of these steps is lost. Returns the steps that were hit,
    /// with how often they were sent and what came of them.
    fn losing(&self, name: &str, args: Json, calls: &[(&str, &str)]) -> (Json, Vec<(String, usize, String)>) {
        let (before, hit) = (Cell::new(None), RefCell::new(Vec::new()));
        let events = |event: &Event| match event {
            Event::Intent { step, .. } => {
                let Some((_, path)) = calls.iter().find(|(of, _)| of == step) else { return };
                before.set(Some(self.fired()));
                self.proxies.iter().for_each(|proxy| proxy.lose_answers(path));
            }
            Event::Outcome { step, outcome, .. } if calls.iter().any(|(of, _)| of == step) => {
                self.proxies.iter().for_each(Proxy::disarm);
                // What there is nothing to do for was not sent.
                if let Some(before) = before.take() {
                    hit.borrow_mut().push((step.clone(), self.fired() - before, outcome.word().to_owned()));
                }
            }
            _ => {}
        };
        let answer = self.cluster.caller.answer_told(&self.profile(), name, record(args), &events);
        let answer = answer.unwrap_or_else(|error| panic!("{} {hit:?} {:?}", describe(&error), error.report()));
        (to_json(&answer), hit.into_inner())
    }
}

fn once(steps: &[&str]) -> Vec<(String, usize, String)> {
    steps.iter().map(|step| ((*step).to_owned(), 1, "done".to_owned())).collect()
}

/// Waits until a change of the membership is accepted: for some seconds after its start a server refuses each, and the loss
/// of a refusal is another matter.
fn takes_members(cluster: &Running) {
    let add = ["member", "add", "probe", "--learner", "--peer-urls=http://127.0.0.1:9"];
    until("a member can be added", || cluster.etcdctl_reading(&add, ""));
    let list = cluster.call("member list", json!({})).unwrap();
    let probe = list.as_array().unwrap().iter().find(|member| member["is_learner"] == true).unwrap();
    cluster.etcdctl(&["member", "remove", probe["member_id"].as_str().unwrap()]);
}

#[test]
fn a_replacement_finds_out_what_the_lost_answers_were() {
    side_by_side(MATRIX, replacement);
}

fn replacement(turn: Turn) {
    let behind = Behind::start(turn, &[]);
    let cluster = &behind.cluster;
    takes_members(cluster);
    let victim = cluster.followers().remove(0);
    let old = ids(cluster);
    cluster.kill(&[&victim]);
    let calls = [
        ("remove_member", "/etcdserverpb.Cluster/MemberRemove"),
        ("add_member", "/etcdserverpb.Cluster/MemberAdd"),
        ("promote_member", "/etcdserverpb.Cluster/MemberPromote"),
    ];
    let (report, hit) = behind.losing("member replace", json!({ "member": victim }), &calls);
    assert_eq!(hit, once(&["remove_member", "add_member", "promote_member"]), "{report}");
    assert_eq!(report["ok"], true, "{report}");
    healthy(cluster, 3);
    let new = ids(cluster);
    assert_eq!((new.len(), new[&victim] != old[&victim]), (3, true), "{new:?}");
}

#[test]
fn a_full_cluster_is_helped_although_answers_are_lost() {
    side_by_side(MATRIX, full_cluster);
}

fn full_cluster(turn: Turn) {
    let behind = Behind::start(turn, &["--quota-backend-bytes=16777216"]);
    let cluster = &behind.cluster;
    let value = "x".repeat(1 << 20);
    let full = (0..40).find_map(|_| cluster.etcdctl_reading(&["put", "big"], &value).err());
    assert!(full.is_some_and(|error| error.contains("database space exceeded")));
    let calls = [
        ("compact", "/etcdserverpb.KV/Compact"),
        ("defragment", "/etcdserverpb.Maintenance/Defragment"),
        ("disarm_alarm", "/etcdserverpb.Maintenance/Alarm"),
    ];
    let (report, mut hit) = behind.losing("space recover", json!({}), &calls);
    // That it was compacted is found out by reading; then each member is asked whether it has freed the space.
    assert_eq!(std::mem::replace(&mut hit[0].1, 1), 4, "{report}");
    let mut steps = vec!["compact", "defragment", "defragment", "defragment"];
    // Some of the members have raised an alarm, or all.
    steps.resize(hit.len().max(5), "disarm_alarm");
    assert_eq!(hit, once(&steps), "{report}");
    assert_eq!(report["ok"], true, "{report}");
    cluster.etcdctl_reading(&["put", "big"], &value).unwrap();
}
