//! The calls that etcd-client cannot make, or makes in another way than we need.

use etcd_client::proto::PbRangeResponse;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;

use super::link::Sender;
use super::reframe::{Cut, Reframed};

/// `MemberListRequest`; etcd-client's always leaves `linearizable` unset.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MemberListRequest {
    #[prost(bool, tag = "1")]
    pub(super) linearizable: bool,
}

/// `AuthStatusRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AuthStatusRequest {}

/// `AuthStatusResponse`, without the header that we do not need.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AuthStatusResponse {
    #[prost(bool, tag = "2")]
    pub(super) enabled: bool,
}

/// `AuthRoleGetRequest`; etcd-client keeps its own to itself.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RoleGetRequest {
    #[prost(string, tag = "1")]
    pub(super) role: String,
}

/// `RangeRequest`, with the fields that we set; etcd-client keeps its own to itself.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) range_end: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub(super) limit: i64,
    #[prost(int64, tag = "4")]
    pub(super) revision: i64,
    #[prost(bool, tag = "7")]
    pub(super) serializable: bool,
    #[prost(bool, tag = "8")]
    pub(super) keys_only: bool,
    #[prost(bool, tag = "9")]
    pub(super) count_only: bool,
}

/// `RangeStreamResponse`; etcd-client keeps its own to itself.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RangeStreamResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) range_response: Option<PbRangeResponse>,
}

/// Makes a call.
pub(super) async fn unary<Q, R>(to: Sender, path: &'static str, request: Q) -> Result<R, etcd_client::Error>
where
    Q: prost::Message + Send + Sync + 'static,
    R: prost::Message + Default + Send + Sync + 'static,
{
    let codec = ProstCodec::<Q, R>::default();
    let answer = Grpc::new(to).unary(tonic::Request::new(request), PathAndQuery::from_static(path), codec).await?;
    Ok(answer.into_inner())
}

/// Makes a call whose answers may be large, and returns them in parts as they arrive.
pub(super) async fn in_parts<Q, R>(
    to: Sender,
    path: &'static str,
    request: Q,
    cut: Cut,
    largest: usize,
) -> Result<tonic::Streaming<R>, etcd_client::Error>
where
    Q: prost::Message + Send + Sync + 'static,
    R: prost::Message + Default + Send + Sync + 'static,
{
    let codec = ProstCodec::<Q, R>::default();
    let mut grpc = Grpc::new(Reframed(to, cut)).max_decoding_message_size(largest);
    let request = tonic::Request::new(request);
    Ok(grpc.server_streaming(request, PathAndQuery::from_static(path), codec).await?.into_inner())
}
