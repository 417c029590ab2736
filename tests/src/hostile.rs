//! A fake etcd that speaks real gRPC over real HTTP/2, and lies as it is told. Left alone it is an honest cluster of one member.

pub mod wire;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use prost::Message;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::background::{Background, listen};
use wire::{Authenticated, Header, KeyValue, Member, MemberList, Range, Snapshot, Status};

/// The ids of the cluster and of its member.
pub const CLUSTER: u64 = 0xc;
/// The only member.
pub const MEMBER: u64 = 0xa;
/// The token that the fake gives for any password: nobody but the server should ever see it.
pub const TOKEN: &str = "canary-token-8f3a";

/// A part of an answer. An answer whose last step is none of the ends is a good one.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends a message.
    Send(Bytes),
    /// Waits until the test goes on.
    Hold(Arc<Notify>),
    /// Sends a message again and again, without end.
    Forever(Bytes),
    /// Says nothing any more.
    Silence,
    /// Ends with an error.
    Fail(u16, String),
    /// Ends the stream in a way that HTTP/2 has for it.
    Reset(Reason),
    /// Ends the whole connection, with this request unanswered. It has to be the only step.
    GoAway(Reason),
    /// Answers as a plain web server. It has to be the only step.
    Http(u16),
}

/// Returns the step that sends a message.
pub fn send(message: &impl Message) -> Step {
    Step::Send(message.encode_to_vec().into())
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, VecDeque<Vec<Step>>>,
    asked: Vec<String>,
    sent: u64,
}

/// The fake server; it ends when it is dropped.
pub struct Hostile {
    /// Where it listens on 127.0.0.1, without TLS.
    pub port: u16,
    script: Arc<Mutex<Script>>,
    _work: Background,
}

impl Hostile {
    /// Starts an honest one.
    pub fn new() -> Self {
        let (listener, port) = listen(128);
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = Arc::clone(&script);
        let work = Background::run(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, port, Arc::clone(&shared)));
            }
        });
        Hostile { port, script, _work: work }
    }

    /// Says how a method is answered from now on, for example `Status`.
    pub fn answer(&self, method: &str, steps: impl IntoIterator<Item = Step>) {
        self.answer_in_turn(method, [steps.into_iter().collect()]);
    }

    /// Says how a method is answered the next times; the last of these answers is given from then on.
    pub fn answer_in_turn(&self, method: &str, answers: impl IntoIterator<Item = Vec<Step>>) {
        self.script().answers.insert(method.to_owned(), answers.into_iter().collect());
    }

    /// Returns how often a method was called.
    pub fn asked(&self, method: &str) -> usize {
        self.script().asked.iter().filter(|asked| *asked == method).count()
    }

    /// Returns how many messages it has sent.
    pub fn sent(&self) -> u64 {
        self.script().sent
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the honest header.
    pub fn header(&self) -> Header {
        header()
    }

    /// Returns the honest membership list.
    pub fn members(&self) -> MemberList {
        members(self.port)
    }

    /// Returns the honest status.
    pub fn status(&self) -> Status {
        status()
    }
}

impl Default for Hostile {
    fn default() -> Self {
        Hostile::new()
    }
}

/// Returns a snapshot that is honest, in pieces: 4 kB of data, and their SHA-256.
pub fn snapshot() -> Vec<Snapshot> {
    let data: Vec<u8> = (0..4096_u32).map(|number| (number % 251).to_le_bytes()[0]).collect();
    let sha = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &data);
    let piece = |blob: &[u8], remaining| Snapshot {
        header: Some(header()),
        remaining,
        blob: blob.to_vec(),
        ..Default::default()
    };
    let mut pieces = Vec::new();
    let mut remaining = data.len() as u64;
    for blob in data.chunks(1024) {
        remaining -= blob.len() as u64;
        pieces.push(piece(blob, remaining));
    }
    pieces.push(piece(sha.as_ref(), 0));
    pieces
}

fn header() -> Header {
    Header { cluster_id: CLUSTER, member_id: MEMBER, revision: 7, raft_term: 2 }
}

fn members(port: u16) -> MemberList {
    let member = Member {
        id: MEMBER,
        name: "infra1".to_owned(),
        peer_urls: vec!["http://127.0.0.1:1".to_owned()],
        client_urls: vec![format!("http://127.0.0.1:{port}")],
        is_learner: false,
    };
    MemberList { header: Some(header()), members: vec![member] }
}

fn status() -> Status {
    Status {
        header: Some(header()),
        version: "3.6.0".to_owned(),
        db_size: 20_480,
        leader: MEMBER,
        raft_index: 9,
        raft_term: 2,
        raft_applied_index: 9,
        db_size_in_use: 16_384,
        storage_version: "3.6.0".to_owned(),
        db_size_quota: 2 << 30,
        ..Default::default()
    }
}

fn honest(method: &str, port: u16) -> Vec<Step> {
    match method {
        "Authenticate" => vec![send(&Authenticated { header: Some(header()), token: TOKEN.to_owned() })],
        "MemberList" => vec![send(&members(port))],
        "Status" => vec![send(&status())],
        "Range" => {
            let key = KeyValue { key: b"a".to_vec(), value: b"1".to_vec(), create_revision: 5, ..Default::default() };
            let key = KeyValue { mod_revision: 6, version: 2, ..key };
            vec![send(&Range { header: Some(header()), kvs: vec![key], more: false, count: 1 })]
        }
        "Snapshot" => snapshot().iter().map(send).collect(),
        // As grpc-go says it.
        other => vec![Step::Fail(12, format!("unknown method {other}"))],
    }
}

async fn serve(stream: TcpStream, port: u16, script: Arc<Mutex<Script>>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let steps = {
            let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
            script.asked.push(method.clone());
            script.answers.get_mut(&method).and_then(|turns| match turns.len() {
                0 | 1 => turns.front().cloned(),
                _ => turns.pop_front(),
            })
        };
        let steps = steps.unwrap_or_else(|| honest(&method, port));
        if let [Step::GoAway(reason)] = steps.as_slice() {
            go_away(&mut connection, *reason).await;
            return;
        }
        tokio::spawn(answer(request, respond, steps, Arc::clone(&script)));
    }
}

/// Says goodbye, and sees to it that the client hears it.
async fn go_away(connection: &mut Connection<TcpStream, Bytes>, reason: Reason) {
    connection.abrupt_shutdown(reason);
    let _ = std::future::poll_fn(|cx| connection.poll_closed(cx)).await;
}

/// Answers one request; an error of HTTP/2 means that the client has gone.
async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    steps: Vec<Step>,
    script: Arc<Mutex<Script>>,
) -> Result<(), h2::Error> {
    // Questions may come as long as a watch goes on.
    let is_watch = request.uri().path().ends_with("/Watch");
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        if is_watch {
            break;
        }
    }
    if let [Step::Http(code)] = steps.as_slice() {
        let response = Response::builder().status(*code).body(()).expect("a status");
        return respond.send_response(response, true).map(drop);
    }
    let response = Response::builder().header("content-type", "application/grpc").body(()).expect("a response");
    let mut stream = respond.send_response(response, false)?;
    for step in steps {
        match step {
            Step::Send(message) => message_out(&mut stream, &message, &script).await?,
            Step::Hold(until) => until.notified().await,
            Step::Forever(message) => loop {
                message_out(&mut stream, &message, &script).await?;
                // There is always room for a small message, so nothing else would ever wait, and nothing would go out.
                tokio::task::yield_now().await;
            },
            // The stream has to stay, or the client is told that it ended.
            Step::Silence => std::future::pending().await,
            Step::Fail(code, message) => return stream.send_trailers(trailers(code, &message)),
            Step::Reset(reason) => {
                stream.send_reset(reason);
                return Ok(());
            }
            Step::GoAway(_) | Step::Http(_) => panic!("{step:?} has to be the only step"),
        }
    }
    stream.send_trailers(trailers(0, ""))
}

/// Sends a message as fast as the client takes it.
async fn message_out(stream: &mut SendStream<Bytes>, message: &Bytes, script: &Mutex<Script>) -> Result<(), h2::Error> {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("a message that gRPC can frame"));
    frame.put_slice(message);
    let mut frame = frame.freeze();
    while !frame.is_empty() {
        stream.reserve_capacity(frame.len());
        let room = match std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(room) => room?.min(frame.len()),
            None => return Err(Reason::CANCEL.into()),
        };
        stream.send_data(frame.split_to(room), false)?;
    }
    script.lock().unwrap_or_else(PoisonError::into_inner).sent += 1;
    Ok(())
}

fn trailers(code: u16, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.into());
    let plain = |byte: u8| matches!(byte, 0x20..=0x7e) && byte != b'%';
    let encode = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let text: String = message.bytes().map(encode).collect();
    trailers.insert("grpc-message", HeaderValue::from_str(&text).expect("plain text"));
    trailers
}
