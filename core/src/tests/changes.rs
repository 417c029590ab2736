//! Why a change is refused, and why one that was begun did not come to its end.

use std::path::Path;

use super::shown;
use crate::change::Change;
use crate::change::exhaustive::{State, member};
use crate::change::failed::{AlreadyResumed, NobodyToAsk, OtherCluster, OutcomeUnknown};
use crate::change::guard::check;
use crate::change::journal::Journal;
use crate::change::plan::Action;
use crate::change::stopped::Stopped;
use crate::change::view::{ClusterView, MemberView};
use crate::error::{Error, Interrupted, Sent};
use crate::id::{ClusterId, MemberId};
use crate::member::MemberRef;
use crate::ops::leader::transfer::{Args as Move, LeaderMove};
use crate::ops::member::{add, promote, update};
use crate::rpc::{Alarm, AlarmKind};

fn voters(states: &[State]) -> ClusterView {
    let members = states.iter().zip(1..).map(|(state, id)| member(id, *state, false, Some(1), 0)).collect();
    ClusterView {
        cluster_id: ClusterId(1),
        confirmed: true,
        members,
        alarms: vec![],
        hosting: Default::default(),
        facts: Default::default(),
    }
}

fn with(mut view: ClusterView, other: MemberView) -> ClusterView {
    view.members.push(other);
    view
}

fn alarmed(mut view: ClusterView, kind: AlarmKind) -> ClusterView {
    view.alarms.push(Alarm { member_id: MemberId(2), kind });
    view
}

fn add(name: &str, url: &str, learner: bool) -> Action {
    Action::AddMember { name: name.to_owned(), peer_urls: vec![url.to_owned()], learner }
}

fn update(id: u64, url: &str) -> Action {
    Action::UpdatePeerUrls { id: MemberId(id), peer_urls: vec![url.to_owned()] }
}

#[test]
fn of_guards() {
    use State::{Cut, Down, Healthy};
    let three = || voters(&[Healthy, Healthy, Healthy]);
    let two = || voters(&[Healthy, Healthy, Down]);
    let learner = |state, lag| with(three(), member(9, state, true, Some(1), lag));
    let (remove, promote) =
        (|id| Action::RemoveMember { id: MemberId(id) }, Action::PromoteMember { who: MemberId(9).into() });
    let (to, stop) = (
        |id| Action::MoveLeader { to: MemberId(id), from: None },
        |id| Action::StopMember { id: MemberId(id), name: String::new() },
    );
    let mut behind = three();
    behind.members[1] = member(2, Healthy, false, Some(1), 500);
    let mut old = learner(Healthy, 0);
    if let Some(Ok(status)) = &mut old.members[3].status {
        status.version = "3.5.12".to_owned();
    }
    let free = "http://10.0.0.7:2380";
    let cases = [
        (voters(&[Healthy, Down, Down]), remove(2)),
        (voters(&[Healthy]), remove(1)),
        (two(), add("infra7", free, false)),
        (two(), remove(2)),
        (two(), stop(2)),
        (two(), update(2, free)),
        (with(two(), member(9, Down, true, Some(1), 0)), promote.clone()),
        (three(), add("infra2", free, true)),
        (three(), add("infra7", "http://10.0.0.2:2380", true)),
        (three(), add("infra7", "https://10.0.0.7:2380", true)),
        (alarmed(three(), AlarmKind::Corrupt), remove(3)),
        (learner(Healthy, 500), promote.clone()),
        (learner(Down, 0), promote),
        (old, update(9, free)),
        (learner(Healthy, 0), to(9)),
        (voters(&[Healthy, Cut, Healthy]), to(2)),
        (behind, to(2)),
        (alarmed(three(), AlarmKind::Corrupt), to(2)),
    ];
    let mut text = String::new();
    for (view, action) in cases {
        text.push_str(&format!("{} {}\n", action.word(), action.target_label(&view)));
        for refusal in check(&action, &view) {
            text.push_str(&format!("  {}: {}\n    remedy: {}\n", refusal.code.word(), refusal.message, refusal.remedy));
        }
    }
    insta::assert_snapshot!(text, @r#"
    remove_member infra2 (2)
      no_quorum: 1 of 3 voters are healthy; a change needs a quorum of 2
        remedy: bring voters back first; `health` names those that are down
      server_would_refuse: the server would answer: etcdserver: request timed out
        remedy: see `health` and `member list` for what the server misses
    remove_member infra1 (1)
      last_voter: it is the only voter, and a cluster without voters is lost
        remedy: to end a cluster, stop its process and keep its data dir
      server_would_refuse: the server would answer: etcdserver: re-configuration failed due to not enough started members
        remedy: see `health` and `member list` for what the server misses
    add_member infra7
      quorum_at_risk: adding a voter would leave 2 of 4 voters healthy; quorum needs 3
        remedy: add it as a learner, start it, and promote it when it has caught up
      server_would_refuse: the server would answer: etcdserver: unhealthy cluster
        remedy: bring the other members back first, or take out what is lost with `member remove`; `health` names them
    remove_member infra2 (2)
      quorum_at_risk: removing it would leave 1 of 2 voters healthy; quorum needs 2
        remedy: bring the other voters back first; `health` names those that are down
      server_would_refuse: the server would answer: etcdserver: unhealthy cluster
        remedy: bring the other members back first, or take out what is lost with `member remove`; `health` names them
    stop_member infra2 (2)
      quorum_at_risk: stopping it would leave 1 of 3 voters healthy; quorum needs 2
        remedy: bring the other voters back first; `health` names those that are down
    update_peer_urls infra2 (2)
      quorum_at_risk: a mistake in its new peer URLs would leave 1 of 3 voters healthy; quorum needs 2
        remedy: bring the other voters back first; `health` names those that are down
    promote_member infra9 (9)
      learner_lagging: it does not answer, so nobody knows how far it is behind
        remedy: start it, and wait until it has caught up
      quorum_at_risk: promoting it would leave 2 of 4 voters healthy; quorum needs 3
        remedy: bring the other voters back first; `health` names those that are down
      server_would_refuse: the server would answer: etcdserver: can only promote a learner member which is in sync with leader
        remedy: see `health` and `member list` for what the server misses
    add_member infra2
      name_in_use: the name "infra2" is that of infra2 (2)
        remedy: choose another name, or remove the old member first
    add_member infra7
      peer_url_in_use: the peer URL http://10.0.0.2:2380 is that of infra2
        remedy: give another URL, or remove infra2 first
      server_would_refuse: the server would answer: etcdserver: Peer URLs already exists
        remedy: see `health` and `member list` for what the server misses
    add_member infra7
      peer_scheme_differs: every other member's peer URL is http, and https://10.0.0.7:2380 is not
        remedy: give an http URL
    remove_member infra3 (3)
      corrupt_alarm: infra2 (2) has a CORRUPT alarm, and the quorum would rest on it
        remedy: replace infra2 (2) first
    promote_member infra9 (9)
      learner_lagging: it is 500 log entries behind; at most 100 are fit for a vote
        remedy: wait until it has caught up; `status` shows its lag
      server_would_refuse: the server would answer: etcdserver: can only promote a learner member which is in sync with leader
        remedy: see `health` and `member list` for what the server misses
    promote_member infra9 (9)
      learner_lagging: it does not answer, so nobody knows how far it is behind
        remedy: start it, and wait until it has caught up
      server_would_refuse: the server would answer: etcdserver: can only promote a learner member which is in sync with leader
        remedy: see `health` and `member list` for what the server misses
    update_peer_urls infra9 (9)
      update_promotes_learner: etcd 3.5.12 makes a voter of a learner whose peer URLs are updated
        remedy: remove the learner and add it with its new URLs, or upgrade etcd first
    move_leader infra9 (9)
      bad_transferee: it is a learner and cannot lead
        remedy: choose a follower that is healthy and caught up, or none, to let the best be chosen
      server_would_refuse: the server would answer: etcdserver: bad leader transferee
        remedy: see `health` and `member list` for what the server misses
    move_leader infra2 (2)
      bad_transferee: it does not serve linearizable reads
        remedy: choose a follower that is healthy and caught up, or none, to let the best be chosen
    move_leader infra2 (2)
      bad_transferee: it is 500 log entries behind
        remedy: choose a follower that is healthy and caught up, or none, to let the best be chosen
    move_leader infra2 (2)
      bad_transferee: it has an alarm
        remedy: see `alarm list`
    "#);
}

#[test]
fn of_plans() {
    let alone = voters(&[State::Healthy]);
    let wanted = |name: &str| MemberRef(name.to_owned());
    let urls = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
    let added = |name: &str, given: &[&str]| {
        let args = add::Args { name: name.to_owned(), peer_urls: urls(given), voter: false };
        add::MemberAdd::plan(&alone, args).map(drop).unwrap_err()
    };
    let errors = [
        LeaderMove::plan(&alone, Move { member: None }).map(drop).unwrap_err(),
        promote::MemberPromote::plan(&alone, promote::Args { member: wanted("infra1") }).map(drop).unwrap_err(),
        update::MemberUpdate::plan(&alone, update::Args { member: wanted("infra1"), peer_urls: urls(&[]) })
            .map(drop)
            .unwrap_err(),
        added("infra 4", &["http://a:1"]),
        added("infra4", &["a:2380"]),
        added("infra4", &["ftp://a:1"]),
        added("infra4", &["http://a"]),
    ];
    insta::assert_snapshot!(shown(errors), @r#"
    invalid_argument (member): the argument member is not given, and no healthy follower can be chosen
      help: `health` shows which voters serve linearizable reads
    invalid_argument (member): the argument member names infra1, which votes already
      help: `member list` shows who is a learner
    invalid_argument (peer_urls): the argument peer_urls is empty
      help: give URLs such as https://host:2380, each with its scheme and port
    invalid_argument (name): the argument name cannot be "infra 4"
      help: give a name without blanks, commas, equals signs, quotes and slashes, such as infra4
    invalid_argument (peer_urls): the argument peer_urls has "a:2380" without a scheme
      help: give URLs such as https://host:2380, each with its scheme and port
    invalid_argument (peer_urls): the argument peer_urls has "ftp://a:1" with the scheme "ftp"
      help: give URLs such as https://host:2380, each with its scheme and port
    invalid_argument (peer_urls): the argument peer_urls has "http://a", which is not scheme, host and port
      help: give URLs such as https://host:2380, each with its scheme and port
    "#);
}

#[test]
fn of_what_was_begun() {
    let stopped = |source: Error| Stopped {
        operation: "member remove".to_owned(),
        done: 1,
        of: 2,
        by_closure: false,
        profile: None,
        report: None,
        source,
    };
    let lost = crate::change::view::Failure {
        code: "connection_lost",
        message: "http://10.0.0.1:2379: the connection was lost before the answer".to_owned(),
        help: None,
        sent: Sent::Maybe,
    };
    let errors: [Error; 5] = [
        stopped(Interrupted.into()).into(),
        stopped(OutcomeUnknown { step: "remove_member", source: lost.into() }.into()).into(),
        stopped(OtherCluster { planned: ClusterId(0xa), found: ClusterId(0xb) }.into()).into(),
        AlreadyResumed {
            run: "20261126T031500Z-defrag-1111".to_owned(),
            by: "20261126T031700Z-defrag-2222".to_owned(),
        }
        .into(),
        stopped(NobodyToAsk.into()).into(),
    ];
    let outcomes: Vec<_> = [Sent::Never, Sent::Maybe, Sent::Answered]
        .map(|sent| Error::from(crate::change::view::Failure { code: "x", message: "x".to_owned(), help: None, sent }))
        .map(|error| error.of_a_change().outcome())
        .into_iter()
        .flatten()
        .collect();
    insta::assert_snapshot!(format!("{}{}", shown(errors), outcomes.join("\n")), @"
    interrupted: member remove stopped after 1 of 2 steps
      because: interrupted
      help: run it again to go on from what is there
    outcome_unknown: member remove stopped after 1 of 2 steps
      because: the answer to remove_member was lost, and the cluster does not show it
      because: http://10.0.0.1:2379: the connection was lost before the answer
      help: it may still be applied; look at `member list` before you run this again
    cluster_mismatch: member remove stopped after 1 of 2 steps
      because: the plan was made for cluster a, and the endpoints lead to cluster b now
      help: check the endpoints; nothing was changed on the other cluster
    already_resumed: the run 20261126T031500Z-defrag-1111 was gone on with meanwhile, by the run 20261126T031700Z-defrag-2222
      help: `change show 20261126T031700Z-defrag-2222` says how that went; if something is left to do, resume it
    no_quorum: member remove stopped after 1 of 2 steps
      because: no healthy voter can be asked
      help: bring voters back first; `health` names those that are down
    it was not sent, so it was not applied
    it was sent and no answer came, so it may have been applied
    ");
}

#[test]
fn of_journals() {
    let error = Journal::start(Path::new("/dev/null"), "member remove").map(drop).unwrap_err();
    insta::assert_snapshot!(shown([error]), @r"
    journal_failed: cannot write the journal /dev/null/changes
      because: Not a directory (os error 20)
      help: no change is made without a journal; make room there, or move it with XDG_STATE_HOME
    ");
}

#[test]
fn of_what_procedures_meet() {
    use crate::change::failed::{
        Ended, NoHost, NotEqual, NotOurs, NotRestarted, NotStarted, SnapshotFailed, StillFull,
    };
    let full = || crate::change::view::Failure {
        code: "wait_timeout",
        message: "waited 5s until every database is below nine tenths of its quota".to_owned(),
        help: None,
        sent: Sent::Answered,
    };
    let log = vec!["tocommit(74) is out of range [lastIndex(0)]".to_owned()];
    let ended = |log: Vec<String>| Ended { member: "infra2".to_owned(), host: "the sandbox".to_owned(), log };
    let errors: [Error; 10] = [
        NotRestarted {
            member: "infra2".to_owned(),
            host: Some("the systemd unit etcd on 10.0.0.1".to_owned()),
            source: full().into(),
        }
        .into(),
        NotStarted { member: "infra2".to_owned(), source: full().into() }.into(),
        NotOurs { path: "/backup.db".into() }.into(),
        NotRestarted { member: "infra2".to_owned(), host: None, source: full().into() }.into(),
        NoHost { member: "infra2".to_owned() }.into(),
        ended(log).into(),
        ended(vec![]).into(),
        NotEqual { told: "divergent: 1 of 3 voters differs from the others".to_owned() }.into(),
        StillFull { source: full().into() }.into(),
        SnapshotFailed { source: NobodyToAsk.into() }.into(),
    ];
    insta::assert_snapshot!(shown(errors), @"
    not_restarted: the restart by the systemd unit etcd on 10.0.0.1 has ended, and infra2 was not seen to go away
      because: waited 5s until every database is below nine tenths of its quota
      help: it was another one's process: correct hosts in the profile; `health` shows how the members are
    not_started: the closure has ended, and infra2 was not seen to serve
      because: waited 5s until every database is below nine tenths of its quota
      help: see in its log why; data of an older member, or a process that was not stopped, keep a new one from starting: move them aside on its host, which a closure is not asked for again, and go on
    file_exists (snapshot): /backup.db exists already
      help: choose another name; only a snapshot that is saved now is one to go back to
    not_restarted: the closure has ended, and infra2 was not seen to go away
      because: waited 5s until every database is below nine tenths of its quota
      help: see that the closure restarts the member that it is given; give wait the time that a reboot takes to begin; to go on with members that were not restarted, allow not_restarted
    no_host: nothing says how infra2 is stopped and started
      help: say it in the profile, under `hosts`, or give a closure that does it
    member_ended: infra2 ended instead of serving, on the sandbox: tocommit(74) is out of range [lastIndex(0)]
      help: its log says why; mend that, and resume the run
    member_ended: infra2 ended instead of serving, on the sandbox
      help: its log says why; mend that, and resume the run
    data_differ: the members are not known to hold the same data: divergent: 1 of 3 voters differs from the others
      help: `hash` shows all of it; replace a member that differs, and bring back one that does not answer
    space_not_free: there is not enough room after compaction and defragmentation
      because: waited 5s until every database is below nine tenths of its quota
      help: what fills it is needed now: delete keys, or raise --quota-backend-bytes on every member; then run this again
    no_snapshot: no snapshot could be saved first, so nothing was changed
      because: no healthy voter can be asked
      help: bring voters back first; `health` names those that are down; to do without a snapshot, allow no_snapshot
    ");
}
