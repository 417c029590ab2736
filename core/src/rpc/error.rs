//! What can go wrong between us and a member.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::error::{Fault, Sent};
use crate::id::ClusterId;

use super::answers::Answer;
use super::tls::Refusal;

/// A call that failed: where, and whether it was sent.
#[derive(Debug, Clone)]
pub struct RpcError(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    sent: Sent,
    failure: Failure,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The name of the host leads to no address.
    #[error("the name {host:?} cannot be resolved")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        source: Arc<io::Error>,
    },
    /// There is no connection to be had.
    #[error("cannot connect")]
    Unreachable {
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Connecting took too long.
    #[error("not connected within {:?}; waited for {waiting_for}", rounded(*bound))]
    ConnectTimeout {
        /// What was awaited at the end.
        waiting_for: &'static str,
        /// For how long.
        bound: Duration,
    },
    /// Somebody accepts connections, and begins no conversation.
    #[error("connected, but the server said nothing within {:?}; waited for {waiting_for}", rounded(*bound))]
    HandshakeTimeout {
        /// What was awaited.
        waiting_for: &'static str,
        /// For how long.
        bound: Duration,
    },
    /// The answer took too long.
    #[error("no answer within {:?}; waited for {waiting_for}", rounded(*bound))]
    Timeout {
        /// What was awaited at the end.
        waiting_for: String,
        /// For how long.
        bound: Duration,
    },
    /// The server speaks TLS only.
    #[error("this port speaks TLS, and the endpoint says http")]
    PlainToTlsPort,
    /// The server does not speak TLS.
    #[error("this port does not speak TLS, and the endpoint says https")]
    TlsToPlainPort,
    /// One side refused the other's certificate, or they have no TLS in common.
    #[error("{0}")]
    Tls(Refusal),
    /// The connection ended.
    #[error("the connection was lost {during}")]
    Lost {
        /// When.
        during: &'static str,
        /// How it ended.
        source: Arc<io::Error>,
    },
    /// Whoever listens there is not etcd.
    #[error("this is not etcd; it answered {answered:?}")]
    NotEtcd {
        /// The first that it said.
        answered: String,
    },
    /// The server answered with an error.
    #[error("{message}")]
    Answered {
        /// What is known about that error.
        answer: &'static Answer,
        /// In the server's words.
        message: String,
    },
    /// The server's answer makes no sense.
    #[error("the server's answer makes no sense: {0}")]
    Protocol(String),
    /// The endpoint belongs to another cluster than the one that was seen before.
    #[error("this is the cluster {found}, but {known} is the cluster {expected}")]
    ClusterMismatch {
        /// The cluster of this endpoint.
        found: ClusterId,
        /// What said otherwise: an endpoint, or the profile.
        known: String,
        /// The cluster that it named.
        expected: ClusterId,
    },
}

/// Rounds a bound up to hundredths of a second: it is what was left of a call's time, so its last digits say nothing.
fn rounded(bound: Duration) -> Duration {
    let step = Duration::from_millis(10);
    let steps = bound.as_nanos().div_ceil(step.as_nanos());
    step.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
}

impl RpcError {
    pub(super) fn new(endpoint: &Endpoint, sent: Sent, failure: Failure) -> Self {
        RpcError(Arc::new(Inner { endpoint: endpoint.clone(), sent, failure }))
    }

    pub(super) fn never_sent(endpoint: &Endpoint, failure: Failure) -> Self {
        RpcError::new(endpoint, Sent::Never, failure)
    }

    /// An answer that makes no sense does not tell whether the call was done.
    pub(super) fn protocol(endpoint: &Endpoint, problem: impl Into<String>) -> Self {
        RpcError::new(endpoint, Sent::Maybe, Failure::Protocol(problem.into()))
    }

    /// Says that the call itself was not sent when this happened on the way to it.
    pub(super) fn before_sending(self) -> Self {
        if self.0.sent != Sent::Maybe {
            return self;
        }
        let Inner { endpoint, failure, .. } = &*self.0;
        match failure {
            Failure::Timeout { waiting_for, bound } => {
                let failure = Failure::Timeout { waiting_for: waiting_for.clone(), bound: *bound };
                RpcError::never_sent(endpoint, failure)
            }
            Failure::Lost { during, source } => {
                RpcError::never_sent(endpoint, Failure::Lost { during, source: Arc::clone(source) })
            }
            _ => self,
        }
    }

    /// Returns why.
    pub fn failure(&self) -> &Failure {
        &self.0.failure
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.endpoint, self.0.failure)
    }
}

impl std::error::Error for RpcError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The failure's own text is part of ours, so the chain goes on with what lies behind it.
        self.0.failure.source()
    }
}

impl Fault for RpcError {
    fn code(&self) -> &'static str {
        match self.failure() {
            Failure::Dns { .. } => "dns",
            Failure::Unreachable { .. } => "unreachable",
            Failure::ConnectTimeout { .. } => "connect_timeout",
            Failure::HandshakeTimeout { .. } => "handshake_timeout",
            Failure::Timeout { .. } => "timeout",
            Failure::PlainToTlsPort => "plain_to_tls_port",
            Failure::TlsToPlainPort => "tls_to_plain_port",
            Failure::Tls(refusal) => refusal.code(),
            Failure::Lost { .. } => "connection_lost",
            Failure::NotEtcd { .. } => "not_etcd",
            Failure::Answered { answer, .. } => answer.code,
            Failure::Protocol(_) => "protocol",
            Failure::ClusterMismatch { .. } => "cluster_mismatch",
        }
    }

    fn help(&self) -> Option<String> {
        let authority = || format!("{}:{}", self.0.endpoint.host(), self.0.endpoint.port());
        let help = match self.failure() {
            Failure::Answered { answer, .. } => return answer.help.map(str::to_owned),
            Failure::Tls(refusal) => return refusal.help(),
            Failure::PlainToTlsPort => return Some(format!("write https://{}, and give cacert", authority())),
            Failure::TlsToPlainPort => return Some(format!("write http://{} if the cluster has no TLS", authority())),
            Failure::Dns { .. } => "check how the name is written, and that this machine can resolve it",
            Failure::Unreachable { .. } => "check the address and the port, and that etcd runs there",
            Failure::ConnectTimeout { .. } => "see whether the host is up and a firewall lets you through to this port",
            Failure::HandshakeTimeout { .. } => "see whether the process there is frozen, and whether it is etcd",
            Failure::Timeout { .. } => "see with `health` which members answer; a slow one may need a longer timeout",
            Failure::Lost { .. } => "try again; if it happens again, the member's log may say why it hung up",
            Failure::Protocol(_) => "ask another member; this one, or what stands between, is not in order",
            Failure::NotEtcd { .. } => "give the members' client URLs; etcd's own port for them is 2379",
            Failure::ClusterMismatch { .. } => "give endpoints of one cluster only",
        };
        Some(help.to_owned())
    }

    fn sent(&self) -> Option<Sent> {
        Some(self.0.sent)
    }

    fn retryable(&self) -> bool {
        match self.failure() {
            Failure::Answered { answer, .. } => answer.retryable,
            Failure::Unreachable { .. }
            | Failure::ConnectTimeout { .. }
            | Failure::HandshakeTimeout { .. }
            | Failure::Timeout { .. }
            | Failure::Lost { .. } => true,
            _ => false,
        }
    }

    fn endpoint(&self) -> Option<String> {
        Some(self.0.endpoint.to_string())
    }
}
