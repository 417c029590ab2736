//! What a server sends, before tonic reads it.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderMap;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

/// etcd never sends this header, and tonic panics when it is not base64.
const DETAILS: &str = "grpc-status-details-bin";

/// Takes out of the headers what tonic must not see.
pub(super) fn clean(headers: &mut HeaderMap) {
    headers.remove(DETAILS);
}

/// A body whose trailers are clean.
pub(super) struct Clean(pub(super) Incoming);

impl Body for Clean {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut frame = Pin::new(&mut self.0).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            clean(trailers);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
