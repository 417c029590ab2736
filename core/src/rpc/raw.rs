//! The calls that etcd-client cannot make, or makes in another way than we need.

use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;

use super::link::Sender;

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
