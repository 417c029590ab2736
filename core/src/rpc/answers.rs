//! The errors that a server answers with, in one table.

use tonic::{Code, Status};

/// What is known about an error of the server.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// A part of the message that tells it from the others.
    says: &'static str,
    /// The stable word for it.
    pub code: &'static str,
    /// Whether the same call may succeed a moment later.
    pub retryable: bool,
    /// Whether the server may have done what was asked in spite of the error.
    pub maybe_done: bool,
    /// Whether another token may help.
    pub about_token: bool,
    /// What to do about it.
    pub help: Option<&'static str>,
}

const fn no(says: &'static str, code: &'static str) -> Answer {
    Answer { says, code, retryable: false, maybe_done: false, about_token: false, help: None }
}

impl Answer {
    const fn later(self) -> Self {
        Answer { retryable: true, ..self }
    }

    const fn maybe_done(self) -> Self {
        Answer { maybe_done: true, ..self }
    }

    const fn about_token(self) -> Self {
        Answer { about_token: true, ..self }
    }

    const fn help(self, help: &'static str) -> Self {
        Answer { help: Some(help), ..self }
    }
}

const BETWEEN: &str = "ask another member; this one, or what stands between, is not in order";
const LOG: &str = "the member's log may say more; ask another member";

/// The first entry whose text occurs in the message counts, so the longer text goes before the shorter.
static ANSWERS: &[Answer] = &[
    // Users.
    no("user name is empty", "unauthenticated")
        .about_token()
        .help("the cluster asks for a user; give user as NAME:PASSWORD, or in the profile; where none is chosen, ETCDCTL_USER counts"),
    no("invalid auth token", "unauthenticated").about_token().help("try again; the user's token was not accepted"),
    no("revision of auth store is old", "unauthenticated")
        .about_token()
        .help("try again; users have just been changed"),
    no("invalid user ID or password", "unauthenticated").help("check the user and the password"),
    no("user name not found", "unauthenticated").help("check the user"),
    // So says a stream of a server before 3.6.
    no("auth: user not found", "unauthenticated").help("check the user"),
    no("permission denied", "permission_denied")
        .help("use a user with the role that this needs; most of it needs root"),
    no("authentication is not enabled", "auth_not_enabled").help("leave the user out"),
    // The leader and the quorum. What was proposed before a leader went may still be applied.
    no("not leader", "not_leader").help("try again; the leader has changed"),
    no("no leader", "no_leader").later().maybe_done().help("see with `quorum` whether enough members answer"),
    no("leader changed", "no_leader").later().maybe_done().help("try again; the leader has changed"),
    no("leader transfer took too long", "timeout")
        .later()
        .maybe_done()
        .help("see with `status` who leads and who is behind"),
    no("request timed out", "timeout").later().maybe_done().help("see with `quorum` whether enough members answer"),
    no("context deadline exceeded", "timeout")
        .later()
        .maybe_done()
        .help("see with `quorum` whether enough members answer"),
    no("too many requests", "too_many_requests").later().help("try again when the cluster has less to do"),
    no("server stopped", "server_stopped").later().maybe_done().help("the member is shutting down; ask another one"),
    no("bad leader transferee", "bad_leader_transferee").help("choose a member that votes"),
    // Members.
    no("member not found", "member_not_found").help("see `member list`"),
    no("member ID already exist", "member_exists").help("see `member list`"),
    no("Peer URLs already exists", "peer_url_exists").help("see in `member list` whose it is"),
    no("member URLs are invalid", "invalid_peer_url").help("give a URL such as https://10.0.0.4:2380"),
    no("not enough started members", "not_enough_started_members")
        .later()
        .help("start the members that `member list` shows as unstarted"),
    no("unhealthy cluster", "unhealthy_cluster")
        .later()
        .help("see with `health` who is missing; wait some seconds after a change"),
    no("in sync with leader", "learner_not_ready").later().help("wait until it has caught up; `status` shows its lag"),
    no("can only promote a learner member", "not_a_learner").help("it votes already"),
    no("too many learner members", "too_many_learners").help("promote or remove the learner that is there first"),
    no("not supported for learner", "not_for_learners").help("ask a member that has a vote"),
    no("cluster ID mismatch", "cluster_mismatch").help("give endpoints of one cluster only"),
    // The store.
    no("database space exceeded", "nospace").help("compact and defragment, then disarm the alarm"),
    no("revision has been compacted", "compacted").help("ask for a newer revision, or leave it out"),
    no("is a future revision", "future_revision").help("`quorum` shows the newest revision; or leave it out"),
    // Versions.
    no("no inflight downgrade job", "no_downgrade").help("there is nothing to cancel; see `downgrade status`"),
    no("has a downgrade job in progress", "downgrade_in_progress")
        .help("see `downgrade status`; finish that one, or cancel it with `downgrade cancel`"),
    no("invalid downgrade target version", "bad_downgrade_target")
        .help("a cluster goes down by one minor version, for example from 3.6 to 3.5"),
    no("wrong downgrade target version format", "bad_downgrade_target").help("write the version as 3.5 or 3.5.0"),
    no("cluster version not found", "no_cluster_version")
        .later()
        .help("try again when the members have agreed on a version, some seconds after the start"),
    no("corrupt cluster", "corrupt").help("see with `alarm list` whose data differ, and replace that member"),
    no("request is too large", "too_large").help("send less at once; the server's --max-request-bytes is the limit"),
    // This one is ours, about the answer: the server has done what was asked.
    no("message length too large", "too_large")
        .maybe_done()
        .help("no cluster answers this with so much; ask another member"),
    no("message larger than max", "too_large").help("ask for less at once"),
    // The transport.
    no("unknown service", "not_etcd").help("give the members' client URLs; etcd's own port for them is 2379"),
    no("mapped from HTTP status code", "not_etcd")
        .help("give the members' client URLs; etcd's own port for them is 2379"),
    no("unknown method", "unsupported").help("the server's version does not have this yet"),
    no("not capable", "unsupported").help("a member's version does not have this yet"),
    no("missing grpc-status trailer", "connection_lost").later().maybe_done().help(BETWEEN),
    no("Unexpected EOF decoding stream", "connection_lost").later().maybe_done().help(BETWEEN),
    no("failed to decode Protobuf", "protocol").help(BETWEEN),
    no("Missing response message", "protocol").help(BETWEEN),
];

static PERMISSION_DENIED: Answer =
    no("", "permission_denied").help("use a user with the role that this needs; most of it needs root");
static UNAUTHENTICATED: Answer = no("", "unauthenticated").about_token().help("check the user and the password");
static UNSUPPORTED: Answer = no("", "unsupported").help("the server's version does not have this");
static UNAVAILABLE: Answer = no("", "server").later().maybe_done().help(LOG);
static OTHER: Answer = no("", "server").help(LOG);

/// Finds what is known about an error of the server: by its text, and only then by its code.
pub(super) fn find(status: &Status) -> &'static Answer {
    let known = ANSWERS.iter().find(|answer| status.message().contains(answer.says));
    known.unwrap_or(match status.code() {
        Code::PermissionDenied => &PERMISSION_DENIED,
        Code::Unauthenticated => &UNAUTHENTICATED,
        Code::Unimplemented => &UNSUPPORTED,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted | Code::Unknown => &UNAVAILABLE,
        _ => &OTHER,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_a_code_and_a_remedy() {
        let others = [&PERMISSION_DENIED, &UNAUTHENTICATED, &UNSUPPORTED, &UNAVAILABLE, &OTHER];
        let line = |answer: &Answer| {
            let help = answer.help.expect("every answer has a remedy");
            format!("{:?}: {}\n  help: {help}\n", answer.says, answer.code)
        };
        let all: String = ANSWERS.iter().chain(others).map(line).collect();
        insta::assert_snapshot!(all, @r#"
        "user name is empty": unauthenticated
          help: the cluster asks for a user; give user as NAME:PASSWORD, or in the profile; where none is chosen, ETCDCTL_USER counts
        "invalid auth token": unauthenticated
          help: try again; the user's token was not accepted
        "revision of auth store is old": unauthenticated
          help: try again; users have just been changed
        "invalid user ID or password": unauthenticated
          help: check the user and the password
        "user name not found": unauthenticated
          help: check the user
        "auth: user not found": unauthenticated
          help: check the user
        "permission denied": permission_denied
          help: use a user with the role that this needs; most of it needs root
        "authentication is not enabled": auth_not_enabled
          help: leave the user out
        "not leader": not_leader
          help: try again; the leader has changed
        "no leader": no_leader
          help: see with `quorum` whether enough members answer
        "leader changed": no_leader
          help: try again; the leader has changed
        "leader transfer took too long": timeout
          help: see with `status` who leads and who is behind
        "request timed out": timeout
          help: see with `quorum` whether enough members answer
        "context deadline exceeded": timeout
          help: see with `quorum` whether enough members answer
        "too many requests": too_many_requests
          help: try again when the cluster has less to do
        "server stopped": server_stopped
          help: the member is shutting down; ask another one
        "bad leader transferee": bad_leader_transferee
          help: choose a member that votes
        "member not found": member_not_found
          help: see `member list`
        "member ID already exist": member_exists
          help: see `member list`
        "Peer URLs already exists": peer_url_exists
          help: see in `member list` whose it is
        "member URLs are invalid": invalid_peer_url
          help: give a URL such as https://10.0.0.4:2380
        "not enough started members": not_enough_started_members
          help: start the members that `member list` shows as unstarted
        "unhealthy cluster": unhealthy_cluster
          help: see with `health` who is missing; wait some seconds after a change
        "in sync with leader": learner_not_ready
          help: wait until it has caught up; `status` shows its lag
        "can only promote a learner member": not_a_learner
          help: it votes already
        "too many learner members": too_many_learners
          help: promote or remove the learner that is there first
        "not supported for learner": not_for_learners
          help: ask a member that has a vote
        "cluster ID mismatch": cluster_mismatch
          help: give endpoints of one cluster only
        "database space exceeded": nospace
          help: compact and defragment, then disarm the alarm
        "revision has been compacted": compacted
          help: ask for a newer revision, or leave it out
        "is a future revision": future_revision
          help: `quorum` shows the newest revision; or leave it out
        "no inflight downgrade job": no_downgrade
          help: there is nothing to cancel; see `downgrade status`
        "has a downgrade job in progress": downgrade_in_progress
          help: see `downgrade status`; finish that one, or cancel it with `downgrade cancel`
        "invalid downgrade target version": bad_downgrade_target
          help: a cluster goes down by one minor version, for example from 3.6 to 3.5
        "wrong downgrade target version format": bad_downgrade_target
          help: write the version as 3.5 or 3.5.0
        "cluster version not found": no_cluster_version
          help: try again when the members have agreed on a version, some seconds after the start
        "corrupt cluster": corrupt
          help: see with `alarm list` whose data differ, and replace that member
        "request is too large": too_large
          help: send less at once; the server's --max-request-bytes is the limit
        "message length too large": too_large
          help: no cluster answers this with so much; ask another member
        "message larger than max": too_large
          help: ask for less at once
        "unknown service": not_etcd
          help: give the members' client URLs; etcd's own port for them is 2379
        "mapped from HTTP status code": not_etcd
          help: give the members' client URLs; etcd's own port for them is 2379
        "unknown method": unsupported
          help: the server's version does not have this yet
        "not capable": unsupported
          help: a member's version does not have this yet
        "missing grpc-status trailer": connection_lost
          help: ask another member; this one, or what stands between, is not in order
        "Unexpected EOF decoding stream": connection_lost
          help: ask another member; this one, or what stands between, is not in order
        "failed to decode Protobuf": protocol
          help: ask another member; this one, or what stands between, is not in order
        "Missing response message": protocol
          help: ask another member; this one, or what stands between, is not in order
        "": permission_denied
          help: use a user with the role that this needs; most of it needs root
        "": unauthenticated
          help: check the user and the password
        "": unsupported
          help: the server's version does not have this
        "": server
          help: the member's log may say more; ask another member
        "": server
          help: the member's log may say more; ask another member
        "#);
    }
}
