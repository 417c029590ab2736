//! A large answer in small messages. A page of keys comes as one message, and tonic hands it on when all of it is there; we cut
//! it, as it arrives, into messages that hold some of its fields each. Every part of a protobuf message that ends between two
//! fields is a message too, so nothing else has to know. A message that is nothing but another one in its first field is cut
//! inside of that, and each part is wrapped again. What cannot be cut is handed on as it is, and is judged there.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderMap;
use hyper::body::{Bytes, Frame};
use tonic::body::Body;
use tower::Service;

/// How large the parts are, about.
const PART: usize = 512 << 10;
/// What stands before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// What begins a message that has another one in its first field.
const WRAPPED: u8 = 0x0a;

/// What is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Cut {
    /// The messages themselves.
    #[default]
    Outside,
    /// The message that is the first field of each.
    Inside,
}

/// A service whose answers come in small messages.
#[derive(Clone)]
pub(super) struct Reframed<S>(pub(super) S, pub(super) Cut);

impl<S> Service<http::Request<Body>> for Reframed<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        let cutter = Cutter { cut: self.1, ..Cutter::default() };
        let parts = |body| Parts { body, cutter, trailers: None, ended: false };
        Box::pin(async move { Ok(answer.await?.map(|body| Body::new(parts(body)))) })
    }
}

/// A body whose messages are cut.
struct Parts {
    body: Body,
    cutter: Cutter,
    trailers: Option<HeaderMap>,
    ended: bool,
}

impl hyper::body::Body for Parts {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        loop {
            if let Some(part) = self.cutter.take(PART) {
                return Poll::Ready(Some(Ok(Frame::data(part))));
            }
            if self.ended {
                let rest = self.cutter.rest().map(Frame::data);
                return Poll::Ready(rest.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok));
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => self.ended = true,
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.cutter.push(&data),
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok();
                        self.ended = true;
                    }
                },
            }
        }
    }
}

/// Cuts messages.
#[derive(Default)]
struct Cutter {
    cut: Cut,
    /// What has come and was not handed on.
    buffer: Vec<u8>,
    /// How many of its first bytes have been handed on; they are cleared now and then, because that moves all others.
    gone: usize,
    /// How many bytes after those are whole fields.
    whole: usize,
    /// How much of the message that has begun is still to be handed on.
    left: Option<usize>,
    /// Whether the message that has begun was unwrapped.
    wrapped: bool,
    /// Nothing is cut any more, because something came that cannot be.
    raw: bool,
}

impl Cutter {
    fn push(&mut self, data: &[u8]) {
        self.buffer.drain(..self.gone);
        self.gone = 0;
        self.buffer.extend_from_slice(data);
    }

    fn waiting(&self) -> &[u8] {
        self.buffer.get(self.gone..).unwrap_or_default()
    }

    /// Returns a part, if one of the wanted size, or the end of a message, is there.
    fn take(&mut self, wanted: usize) -> Option<Bytes> {
        if self.raw {
            return self.hand_on(self.waiting().len(), false);
        }
        let left = match self.left {
            Some(left) => left,
            None => self.begin()?,
        };
        while self.whole < left.min(wanted) {
            match field(self.waiting().get(self.whole..).unwrap_or_default()) {
                Field::Of(head, body) if head + body <= left - self.whole => self.whole += head + body,
                Field::Unfinished => break,
                // Whoever reads it finds out what is wrong with it.
                Field::Of(..) | Field::Broken => {
                    self.raw = true;
                    return self.hand_on(self.waiting().len(), true);
                }
            }
        }
        // A field may be announced as larger than what has come of it.
        let whole = self.whole;
        if whole > self.waiting().len() || (whole < left && whole < wanted) {
            return None;
        }
        let part = self.hand_on(whole, true);
        self.whole = 0;
        self.left = Some(left - whole).filter(|left| *left > 0);
        part
    }

    /// Reads the prefix of a message, and of the one that it wraps.
    fn begin(&mut self) -> Option<usize> {
        let ([compressed, a, b, c, d], after) = self.waiting().split_first_chunk::<PREFIX>()?;
        let size = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).ok().filter(|_| *compressed == 0);
        // How long the wrapper is, and what is in it.
        let inside = match (self.cut, size, after.first()) {
            (Cut::Outside, size, _) => size.map(|size| (0, size)),
            (Cut::Inside, Some(0), _) => Some((0, 0)),
            (Cut::Inside, Some(size), Some(&WRAPPED)) => match field(after) {
                Field::Of(head, body) => Some((head, body)).filter(|_| head + body == size),
                Field::Unfinished => return None,
                Field::Broken => None,
            },
            (Cut::Inside, Some(_), None) => return None,
            (Cut::Inside, ..) => None,
        };
        self.raw = inside.is_none();
        let (head, left) = inside?;
        self.wrapped = head > 0;
        self.gone += PREFIX + head;
        self.left = Some(left);
        self.left
    }

    /// Hands on so many bytes, as a message if asked to; in raw mode the first part announces all that is left.
    fn hand_on(&mut self, size: usize, prefixed: bool) -> Option<Bytes> {
        let bytes = self.waiting().get(..size)?;
        if bytes.is_empty() && !prefixed {
            return None;
        }
        let mut part = Vec::with_capacity(2 * PREFIX + 1 + size);
        if prefixed {
            let length = if self.raw { self.left.unwrap_or_default() } else { size };
            part.resize(PREFIX, 0);
            if self.wrapped {
                part.push(WRAPPED);
                // What is written to grows.
                let _ = prost::encode_length_delimiter(length, &mut part);
            }
            let length = u32::try_from(part.len() - PREFIX + length).unwrap_or(u32::MAX);
            part.splice(1..PREFIX, length.to_be_bytes());
        }
        part.extend_from_slice(bytes);
        self.gone += size;
        Some(part.into())
    }

    /// Returns what is left when nothing comes any more: part of a message, or nothing.
    fn rest(&mut self) -> Option<Bytes> {
        let unfinished = !self.raw && self.left.is_some();
        self.raw = true;
        let rest = self.hand_on(self.waiting().len(), unfinished);
        self.left = None;
        rest
    }
}

/// What stands at the beginning of some bytes.
enum Field {
    /// A field, by the sizes of what says how long it is, and of what it holds; not everything may have come.
    Of(usize, usize),
    /// The beginning of a field.
    Unfinished,
    /// No field.
    Broken,
}

/// Looks at the field that begins here.
fn field(bytes: &[u8]) -> Field {
    let (key, key_size) = match varint(bytes) {
        Ok(Some(read)) => read,
        Ok(None) => return Field::Unfinished,
        Err(()) => return Field::Broken,
    };
    let after = varint(bytes.get(key_size..).unwrap_or_default());
    let (head, body) = match (key & 7, after) {
        (0 | 2, Ok(None)) => return Field::Unfinished,
        (0, Ok(Some((_, size)))) => (key_size, Ok(size)),
        (1, _) => (key_size, Ok(8)),
        (2, Ok(Some((length, size)))) => (key_size + size, usize::try_from(length)),
        (5, _) => (key_size, Ok(4)),
        _ => return Field::Broken,
    };
    match body {
        // Together they have a size too.
        Ok(body) if head.checked_add(body).is_some() => Field::Of(head, body),
        _ => Field::Broken,
    }
}

/// Reads a number with its size in bytes; nothing if it has not all come.
fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, ()> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((number, at + 1)));
        }
    }
    if bytes.len() < 10 { Ok(None) } else { Err(()) }
}

#[cfg(test)]
mod tests {
    use super::super::raw::RangeStreamResponse;
    use super::*;
    use etcd_client::proto::{PbKeyValue, PbRangeResponse};
    use prost::Message;

    fn page() -> PbRangeResponse {
        let pair = |n: usize| PbKeyValue {
            key: format!("key/{n}").into_bytes(),
            value: vec![0xff; n * 7],
            version: 1,
            ..PbKeyValue::default()
        };
        PbRangeResponse { kvs: (0..20).map(pair).collect(), more: true, count: 77, ..PbRangeResponse::default() }
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(message);
        bytes
    }

    /// Everything that comes out when these come in one after the other.
    fn cut<'a>(chunks: impl Iterator<Item = &'a [u8]>, wanted: usize) -> Vec<u8> {
        cut_at(Cut::Outside, chunks, wanted)
    }

    fn cut_at<'a>(cut: Cut, chunks: impl Iterator<Item = &'a [u8]>, wanted: usize) -> Vec<u8> {
        let mut cutter = Cutter { cut, ..Cutter::default() };
        let mut out = Vec::new();
        for chunk in chunks {
            cutter.push(chunk);
            while let Some(part) = cutter.take(wanted) {
                out.extend_from_slice(&part);
            }
        }
        out.extend_from_slice(&cutter.rest().unwrap_or_default());
        assert!(cutter.rest().is_none(), "the rest comes once");
        out
    }

    /// Splits what came out into messages; the last may be cut off.
    fn messages(mut bytes: &[u8]) -> (Vec<&[u8]>, &[u8]) {
        let mut messages = Vec::new();
        while let Some((prefix, after)) = bytes.split_first_chunk::<5>() {
            let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
            let Some((message, next)) = after.split_at_checked(length) else { break };
            messages.push(message);
            bytes = next;
        }
        (messages, bytes)
    }

    #[test]
    fn the_parts_together_are_the_message_however_it_comes() {
        let whole = page().encode_to_vec();
        let two = [framed(&whole), framed(&whole)].concat();
        for chunk in 1..two.len() {
            let out = cut(two.chunks(chunk), 100);
            let (parts, rest) = messages(&out);
            assert!(rest.is_empty() && parts.len() > 6, "{chunk}: {}", parts.len());
            assert_eq!(parts.concat(), [whole.clone(), whole.clone()].concat(), "{chunk}");
            let read = parts.iter().map(|part| PbRangeResponse::decode(*part).unwrap());
            assert_eq!(read.map(|part| part.kvs.len()).sum::<usize>(), 40);
        }
    }

    #[test]
    fn what_is_wrapped_is_wrapped_in_every_part() {
        let page = page();
        let wrap = |range_response| RangeStreamResponse { range_response }.encode_to_vec();
        let stream =
            [wrap(Some(page.clone())), vec![], wrap(Some(PbRangeResponse::default())), wrap(Some(page.clone()))];
        let all = stream.iter().map(|message| framed(message)).collect::<Vec<_>>().concat();
        for chunk in 1..all.len() {
            let out = cut_at(Cut::Inside, all.chunks(chunk), 100);
            let (parts, rest) = messages(&out);
            assert!(rest.is_empty() && parts.len() > 14, "{chunk}: {}", parts.len());
            assert!(parts.iter().all(|part| part.len() < 300), "{chunk}: a part was not cut");
            let read = parts.iter().map(|part| RangeStreamResponse::decode(*part).unwrap().range_response);
            let read: Vec<_> = read.flatten().flat_map(|part| part.kvs).collect();
            assert_eq!(read, [page.kvs.clone(), page.kvs.clone()].concat(), "{chunk}");
        }
        // Cut off anywhere, it stays so.
        let whole = all.get(..stream[0].len() + PREFIX).unwrap();
        for end in 1..whole.len() {
            let out = cut_at(Cut::Inside, [&whole[..end]].into_iter(), 100);
            assert!(!messages(&out).1.is_empty(), "{end}");
        }
    }

    #[test]
    fn what_is_not_just_wrapped_goes_through_as_it_is() {
        let wrapped = RangeStreamResponse { range_response: Some(page()) }.encode_to_vec();
        let more: [&[u8]; 4] = [&[0x12, 1, 9], &[0x0a, 0], &[0xff], &[0]];
        let with_more = more.map(|more| [&wrapped[..], more].concat());
        let broken =
            [vec![0x12, 1, 9], vec![0x0a, 9, 1], vec![0x0a, 0xff, 0xff], [&[0x0a, 4, 0x0b, 1, 2, 3][..]].concat()];
        for message in with_more.into_iter().chain(broken) {
            let bytes = framed(&message);
            for chunk in 1..=bytes.len() {
                assert_eq!(cut_at(Cut::Inside, bytes.chunks(chunk), 100), bytes, "{message:?} in chunks of {chunk}");
            }
        }
    }

    #[test]
    fn an_empty_message_stays_one() {
        assert_eq!(cut([&framed(&[])[..]].into_iter(), 100), framed(&[]));
        assert_eq!(cut([].into_iter(), 100), [0; 0]);
    }

    #[test]
    fn what_is_cut_off_stays_cut_off() {
        let whole = framed(&page().encode_to_vec());
        for end in 0..whole.len() {
            let out = cut([&whole[..end]].into_iter(), 100);
            let (parts, rest) = messages(&out);
            // Either a prefix is unfinished, or one announces more than there is.
            assert!(end == 0 || !rest.is_empty(), "{end}");
            let so_far = parts.concat();
            assert_eq!(so_far[..], whole[whole.len().min(5)..][..so_far.len()], "{end}");
        }
    }

    #[test]
    fn what_is_no_message_goes_through_as_it_is() {
        let broken: [&[u8]; 4] =
            [&[0x0b, 1, 2, 3], &[0xff; 12], &[0x12, 0xff, 0xff, 0xff, 0xff, 0x7f, 1], &[0x12, 9, 1]];
        for message in broken {
            let bytes = framed(message);
            for chunk in 1..=bytes.len() {
                assert_eq!(cut(bytes.chunks(chunk), 100), bytes, "{message:?} in chunks of {chunk}");
            }
        }
        let mut compressed = framed(&page().encode_to_vec());
        compressed[0] = 1;
        assert_eq!(cut(compressed.chunks(7), 100), compressed);
    }
}
