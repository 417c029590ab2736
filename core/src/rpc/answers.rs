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

/// The first entry whose text occurs in the message counts, so the longer text goes before the shorter.
static ANSWERS: &[Answer] = &[
    // Users.
    no("user name is empty", "unauthenticated").about_token().help("the cluster asks for a user; give one"),
    no("invalid auth token", "unauthenticated").about_token(),
    no("revision of auth store is old", "unauthenticated").about_token(),
    no("invalid user ID or password", "unauthenticated").help("check the user and the password"),
    no("user name not found", "unauthenticated").help("check the user"),
    // So says a stream of a server before 3.6.
    no("auth: user not found", "unauthenticated").help("check the user"),
    no("permission denied", "permission_denied")
        .help("use a user with the role that this needs; most of it needs root"),
    no("authentication is not enabled", "auth_not_enabled"),
    // The leader and the quorum. What was proposed before a leader went may still be applied.
    no("not leader", "not_leader"),
    no("no leader", "no_leader").later().maybe_done(),
    no("leader changed", "no_leader").later().maybe_done(),
    no("leader transfer took too long", "timeout").later().maybe_done(),
    no("request timed out", "timeout").later().maybe_done().help("see with quorum whether enough members answer"),
    no("context deadline exceeded", "timeout").later().maybe_done(),
    no("too many requests", "too_many_requests").later(),
    no("server stopped", "server_stopped").later().maybe_done(),
    no("bad leader transferee", "bad_leader_transferee"),
    // Members.
    no("member not found", "member_not_found"),
    no("member ID already exist", "member_exists"),
    no("Peer URLs already exists", "peer_url_exists"),
    no("member URLs are invalid", "invalid_peer_url"),
    no("not enough started members", "not_enough_started_members").later(),
    no("unhealthy cluster", "unhealthy_cluster").later(),
    no("in sync with leader", "learner_not_ready").later(),
    no("can only promote a learner member", "not_a_learner"),
    no("too many learner members", "too_many_learners"),
    no("not supported for learner", "not_for_learners").help("ask a member that has a vote"),
    no("cluster ID mismatch", "cluster_mismatch"),
    // The store.
    no("database space exceeded", "nospace"),
    no("revision has been compacted", "compacted"),
    no("is a future revision", "future_revision"),
    no("corrupt cluster", "corrupt"),
    no("request is too large", "too_large"),
    // This one is ours, about the answer: the server has done what was asked.
    no("message length too large", "too_large").maybe_done(),
    no("message larger than max", "too_large"),
    // The transport.
    no("unknown service", "not_etcd"),
    no("mapped from HTTP status code", "not_etcd"),
    no("unknown method", "unsupported").help("the server's version does not have this yet"),
    no("not capable", "unsupported").help("a member's version does not have this yet"),
    no("missing grpc-status trailer", "connection_lost").later().maybe_done(),
    no("Unexpected EOF decoding stream", "connection_lost").later().maybe_done(),
    no("failed to decode Protobuf", "protocol"),
    no("Missing response message", "protocol"),
];

static PERMISSION_DENIED: Answer = no("", "permission_denied");
static UNAUTHENTICATED: Answer = no("", "unauthenticated").about_token();
static UNSUPPORTED: Answer = no("", "unsupported");
static UNAVAILABLE: Answer = no("", "server").later().maybe_done();
static OTHER: Answer = no("", "server");

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
