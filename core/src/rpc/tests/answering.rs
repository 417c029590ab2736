//! Servers that answer nonsense, down to the frames.

#![expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]

use rstest::rstest;

use super::*;
use crate::error::{Error, Sent};
use crate::rpc::Consistency;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Writes a frame of the first call's stream.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[0, high, low, kind, flags, 0, 0, 0, 1], payload].concat()
}

/// Writes headers in HPACK's plainest form.
fn headers(start: &[u8], pairs: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let pair = |(name, value): &(&str, &str)| [vec![0], text(name), text(value)].concat();
    [start.to_vec(), pairs.iter().flat_map(pair).collect()].concat()
}

/// The first entry of HPACK's table that says `:status: 200`.
const OK: &[u8] = &[0x88];
const GRPC: (&str, &str) = ("content-type", "application/grpc");

/// Writes a whole answer: headers, one message, trailers.
fn answer(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [
        frame(HEADERS, END_HEADERS, &headers(OK, &[GRPC])),
        frame(DATA, 0, &[&[0], &length[..], message].concat()),
        frame(HEADERS, END_HEADERS | END_STREAM, &headers(&[], &[("grpc-status", "0")])),
    ]
    .concat()
}

/// Serves one answer to the first call of each connection.
async fn serve_answer(answer: Vec<u8>) -> u16 {
    serve(move |mut stream| {
        let answer = answer.clone();
        async move {
            if connecting::until_headers(&mut stream).await.is_ok() {
                let _ = stream.write_all(&answer).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    })
    .await
}

async fn nonsense(answer: Vec<u8>) -> Error {
    status("http", serve_answer(answer).await, Tls::default()).await.unwrap_err()
}

/// The beginning of a good answer: a header with a cluster id and a member id.
const HEADER: &[u8] = b"\x0a\x04\x08\x01\x10\x02";
const MINUS_ONE: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";

#[tokio::test]
async fn a_good_answer_passes() {
    let port = serve_answer(answer(&[HEADER, b"\x12\x053.6.1"].concat())).await;
    let status = status("http", port, Tls::default()).await.unwrap();
    assert_eq!((status.cluster_id.0, status.member_id.0, status.version.as_str()), (1, 2, "3.6.1"));
}

#[rstest]
#[case(b"".as_slice(), "it has no header")]
#[case(b"\xff\xff\xff", "failed to decode Protobuf message")]
#[case(&[HEADER, b"\x18", MINUS_ONE].concat(), "the db size -1")]
#[case(&[HEADER, b"\x28", MINUS_ONE].concat(), "the raft index 18446744073709551615")]
#[case(&[HEADER, b"\x0a\x0b\x18", MINUS_ONE].concat(), "the revision -1")]
#[tokio::test]
async fn numbers_that_cannot_be(#[case] message: &[u8], #[case] problem: &str) {
    let error = nonsense(answer(message)).await;
    // A change that is answered so may have been made.
    assert_eq!((error.code(), error.sent()), ("protocol", Some(Sent::Maybe)));
    assert!(error.to_string().contains(problem), "{error}");
}

#[tokio::test]
async fn a_message_larger_than_it_may_be_is_refused_before_it_is_read() {
    let begin = frame(HEADERS, END_HEADERS, &headers(OK, &[GRPC]));
    let error = nonsense([begin, frame(DATA, 0, b"\0\x7f\xff\xff\xff")].concat()).await;
    assert_eq!(error.code(), "too_large");
}

#[tokio::test]
async fn an_http2_server_that_does_not_speak_grpc() {
    let page = headers(OK, &[("content-type", "text/html")]);
    let error = nonsense(frame(HEADERS, END_HEADERS | END_STREAM, &page)).await;
    assert_eq!((error.code(), error.sent()), ("connection_lost", Some(Sent::Maybe)));
    // HPACK's entry 13 says `:status: 404`.
    let error = nonsense(frame(HEADERS, END_HEADERS | END_STREAM, &[0x8d])).await;
    assert_eq!(error.code(), "not_etcd");
}

#[tokio::test]
async fn a_header_on_which_tonic_would_panic() {
    let refusal = [GRPC, ("grpc-status", "5"), ("grpc-message", "etcdserver: member not found")];
    let bad = [&refusal[..], &[("grpc-status-details-bin", "!")]].concat();
    let in_headers = frame(HEADERS, END_HEADERS | END_STREAM, &headers(OK, &bad));
    assert_eq!(nonsense(in_headers).await.code(), "member_not_found");
    let in_trailers = [
        frame(HEADERS, END_HEADERS, &headers(OK, &[GRPC])),
        frame(HEADERS, END_HEADERS | END_STREAM, &headers(&[], &bad[1..])),
    ];
    assert_eq!(nonsense(in_trailers.concat()).await.code(), "member_not_found");
}

#[rstest]
#[case(b"".as_slice(), "a cluster of 0 members")]
#[case(b"\x12\x02\x08\x07\x12\x02\x08\x07", "two members with the id 7")]
#[case(&b"\x12\x00".repeat(1001), "a cluster of 1001 members")]
#[tokio::test]
async fn memberships_that_cannot_be(#[case] members: &[u8], #[case] problem: &str) {
    let port = serve_answer(answer(&[HEADER, members].concat())).await;
    let cluster = Cluster::new(profile(&format!("http://127.0.0.1:{port}"), Tls::default())).unwrap();
    let error = cluster.membership(Consistency::Serializable, Instant::now() + TIMEOUT).await.unwrap_err();
    assert_eq!(error.code(), "protocol");
    assert!(error.to_string().contains(problem), "{error}");
}

#[tokio::test]
async fn alarms_of_an_unknown_kind_are_kept_as_such() {
    // etcd-client's own reading of them would be undefined behaviour.
    let port = serve_answer(answer(&[HEADER, b"\x12\x04\x08\x07\x10\x63\x12\x04\x08\x08\x10\x01"].concat())).await;
    let cluster = Cluster::new(profile(&format!("http://127.0.0.1:{port}"), Tls::default())).unwrap();
    let alarms = cluster.node(&cluster.seeds()[0]).unwrap().alarms(Instant::now() + TIMEOUT).await.unwrap();
    let found: Vec<_> = alarms.iter().map(|alarm| (alarm.member_id.0, alarm.kind)).collect();
    assert_eq!(found, [(7, super::super::AlarmKind::Unknown), (8, super::super::AlarmKind::NoSpace)]);
}

#[tokio::test]
async fn endpoints_of_two_clusters() {
    let one = serve_answer(answer(HEADER)).await;
    let other = serve_answer(answer(b"\x0a\x02\x08\x09")).await;
    let mut profile = profile(&format!("http://127.0.0.1:{one}"), Tls::default());
    profile.endpoints.push(Endpoint::parse(&format!("127.0.0.1:{other}"), false).unwrap());
    let cluster = Cluster::new(profile).unwrap();
    let ask = async |index: usize| {
        let node = cluster.node(&cluster.seeds()[index]).unwrap();
        node.status(Instant::now() + TIMEOUT).await
    };
    ask(0).await.unwrap();
    let error = ask(1).await.unwrap_err();
    assert_eq!(error.code(), "cluster_mismatch");
    let text = format!("http://127.0.0.1:{other}: this is the cluster 9, but http://127.0.0.1:{one} is the cluster 1");
    assert_eq!(error.to_string(), text);
}
