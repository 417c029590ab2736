//! From what the transport reports to what went wrong. The gRPC code comes last: it cannot be trusted.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use etcd_client::Error as EtcdError;
use tonic::Status;

use super::answers;
use super::error::{Failure, RpcError};
use super::wire::Wire;
use crate::endpoint::Endpoint;
use crate::error::Sent;
use crate::units::escape_word;

/// Classifies an error of a call.
pub(super) fn classify(endpoint: &Endpoint, error: EtcdError, wire: &Wire) -> RpcError {
    match error {
        EtcdError::GRpcStatus(status) => classify_status(endpoint, &status, wire),
        other => RpcError::protocol(endpoint, other.to_string()),
    }
}

fn classify_status(endpoint: &Endpoint, status: &Status, wire: &Wire) -> RpcError {
    if let Some(own) = find::<RpcError>(status) {
        return own.clone();
    }
    // A status that the server sent has no source; one that was made on this side has.
    if let Some(source) = status.source() {
        let source = wire.end().unwrap_or_else(|| Arc::new(io::Error::other(innermost(source))));
        return RpcError::new(endpoint, Sent::Maybe, Failure::Lost { during: "before the answer", source });
    }
    let answer = answers::find(status);
    // Nobody but the server knows what it says, so it must not look like lines of ours.
    let message = escape_word(status.message());
    match answer.code {
        "not_etcd" => return RpcError::new(endpoint, Sent::Answered, Failure::NotEtcd { answered: message }),
        "protocol" => return RpcError::protocol(endpoint, message),
        _ => {}
    }
    let sent = if answer.maybe_done { Sent::Maybe } else { Sent::Answered };
    RpcError::new(endpoint, sent, Failure::Answered { answer, message })
}

fn find<T: StdError + 'static>(status: &Status) -> Option<&T> {
    let mut next = status.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;
    use rstest::rstest;
    use tonic::Code;

    fn classified(status: Status) -> RpcError {
        let endpoint = Endpoint::parse("10.0.0.1:2379", false).unwrap();
        classify(&endpoint, status.into(), &Wire::default())
    }

    /// What servers from 3.4 to 3.7 send, word for word.
    #[rstest]
    #[case(Code::InvalidArgument, "etcdserver: user name is empty", "unauthenticated", "answered", false)]
    #[case(Code::Unknown, "auth: user name is empty", "unauthenticated", "answered", false)]
    #[case(Code::Unauthenticated, "etcdserver: invalid auth token", "unauthenticated", "answered", false)]
    #[case(Code::InvalidArgument, "etcdserver: revision of auth store is old", "unauthenticated", "answered", false)]
    #[case(
        Code::InvalidArgument,
        "etcdserver: authentication failed, invalid user ID or password",
        "unauthenticated",
        "answered",
        false
    )]
    #[case(Code::PermissionDenied, "etcdserver: permission denied", "permission_denied", "answered", false)]
    #[case(Code::Unknown, "auth: user not found", "unauthenticated", "answered", false)]
    #[case(Code::Unknown, "auth: permission denied", "permission_denied", "answered", false)]
    #[case(
        Code::FailedPrecondition,
        "etcdserver: authentication is not enabled",
        "auth_not_enabled",
        "answered",
        false
    )]
    #[case(Code::Unavailable, "etcdserver: no leader", "no_leader", "maybe", true)]
    #[case(Code::Unavailable, "etcdserver: leader changed", "no_leader", "maybe", true)]
    #[case(Code::FailedPrecondition, "etcdserver: not leader", "not_leader", "answered", false)]
    #[case(Code::Unavailable, "etcdserver: request timed out", "timeout", "maybe", true)]
    #[case(
        Code::Unavailable,
        "etcdserver: request timed out, possibly due to previous leader failure",
        "timeout",
        "maybe",
        true
    )]
    #[case(Code::Unavailable, "etcdserver: server stopped", "server_stopped", "maybe", true)]
    #[case(Code::Unavailable, "etcdserver: unhealthy cluster", "unhealthy_cluster", "answered", true)]
    #[case(Code::NotFound, "etcdserver: member not found", "member_not_found", "answered", false)]
    #[case(Code::FailedPrecondition, "etcdserver: Peer URLs already exists", "peer_url_exists", "answered", false)]
    #[case(
        Code::FailedPrecondition,
        "etcdserver: re-configuration failed due to not enough started members",
        "not_enough_started_members",
        "answered",
        true
    )]
    #[case(
        Code::FailedPrecondition,
        "etcdserver: can only promote a learner member which is in sync with leader",
        "learner_not_ready",
        "answered",
        true
    )]
    #[case(
        Code::FailedPrecondition,
        "etcdserver: can only promote a learner member",
        "not_a_learner",
        "answered",
        false
    )]
    #[case(
        Code::FailedPrecondition,
        "etcdserver: too many learner members in cluster",
        "too_many_learners",
        "answered",
        false
    )]
    #[case(Code::FailedPrecondition, "etcdserver: bad leader transferee", "bad_leader_transferee", "answered", false)]
    #[case(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded", "nospace", "answered", false)]
    #[case(Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted", "compacted", "answered", false)]
    #[case(
        Code::OutOfRange,
        "etcdserver: mvcc: required revision is a future revision",
        "future_revision",
        "answered",
        false
    )]
    #[case(
        Code::Unimplemented,
        "unknown method RangeStream for service etcdserverpb.KV",
        "unsupported",
        "answered",
        false
    )]
    #[case(Code::Unimplemented, "unknown service etcdserverpb.KV", "not_etcd", "answered", false)]
    #[case(
        Code::Unavailable,
        "grpc-status header missing, mapped from HTTP status code 502",
        "not_etcd",
        "answered",
        false
    )]
    #[case(
        Code::OutOfRange,
        "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
        "too_large",
        "maybe",
        false
    )]
    #[case(Code::Internal, "failed to decode Protobuf message: invalid tag", "protocol", "maybe", false)]
    #[case(Code::Unavailable, "something new", "server", "maybe", true)]
    #[case(Code::Internal, "something new", "server", "answered", false)]
    fn answers_of_servers(
        #[case] code: Code,
        #[case] message: &str,
        #[case] expected: &str,
        #[case] sent: &str,
        #[case] retryable: bool,
    ) {
        let error = classified(Status::new(code, message));
        assert_eq!((error.code(), error.retryable()), (expected, retryable));
        assert_eq!(error.sent().map(Sent::word), Some(sent));
        let text = error.to_string();
        assert!(text.starts_with("http://10.0.0.1:2379: ") && text.contains(message), "{text}");
    }

    #[test]
    fn our_own_error_on_the_way_through_comes_out_whole() {
        let endpoint = Endpoint::parse("10.0.0.1:2379", false).unwrap();
        let own = RpcError::never_sent(&endpoint, Failure::PlainToTlsPort);
        let error = classified(Status::from_error(Box::new(own)));
        assert_eq!((error.code(), error.sent()), ("plain_to_tls_port", Some(Sent::Never)));
    }

    #[test]
    fn a_failure_of_the_transport_is_no_answer() {
        let reset = io::Error::new(io::ErrorKind::ConnectionReset, "reset");
        let error = classified(Status::from_error(Box::new(reset)));
        assert_eq!((error.code(), error.sent()), ("connection_lost", Some(Sent::Maybe)));
        insta::assert_snapshot!(crate::Error::from(error).in_one_line(), @"http://10.0.0.1:2379: the connection was lost before the answer: reset");
    }
}
