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
    let message = status.message().to_owned();
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
