//! Ports that are not what they should be: each gives its own error, in time, and with the call unsent.

#![expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]

use rstest::rstest;

use super::*;
use crate::error::{Error, Sent};

/// Asks, and returns the error with everything that a script sees of it.
async fn refused(scheme: &str, port: u16, tls: Tls) -> Error {
    let start = Instant::now();
    let error = status(scheme, port, tls).await.unwrap_err();
    assert!(start.elapsed() < TIMEOUT + Duration::from_millis(500), "took {:?}", start.elapsed());
    assert_eq!(error.endpoint(), Some(format!("{scheme}://127.0.0.1:{port}")));
    error
}

fn with_port(text: &str, port: u16) -> String {
    text.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:PORT")
}

fn shown(error: &Error, port: u16) -> String {
    assert_eq!(error.sent(), Some(Sent::Never), "{error:?}");
    with_port(&format!("{} [{}]", error.in_one_line(), error.code()), port)
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = refused("http", port, Tls::default()).await;
    assert!(error.retryable());
    insta::assert_snapshot!(shown(&error, port), @"http://127.0.0.1:PORT: cannot connect: Connection refused (os error 111) [unreachable]");
}

#[rstest]
#[case("http", "connected, but the server said nothing within 300ms; waited for HTTP/2 to begin [handshake_timeout]")]
#[case(
    "https",
    "connected, but the server said nothing within 300ms; waited for the TLS handshake [handshake_timeout]"
)]
#[tokio::test]
async fn a_port_that_accepts_and_says_nothing(#[case] scheme: &str, #[case] message: &str) {
    let port = serve(|mut stream| async move { drop(stream.read_to_end(&mut Vec::new()).await) }).await;
    let error = refused(scheme, port, Tls::default()).await;
    assert_eq!(shown(&error, port), format!("{scheme}://127.0.0.1:PORT: {message}"));
}

#[tokio::test]
async fn a_server_that_begins_and_never_answers_leaves_it_open_whether_the_call_was_done() {
    let port = serve(settings).await;
    let error = refused("http", port, Tls::default()).await;
    assert_eq!((error.code(), error.sent(), error.retryable()), ("timeout", Some(Sent::Maybe), true));
    insta::assert_snapshot!(with_port(&error.to_string(), port), @"http://127.0.0.1:PORT: no answer within 600ms; waited for the answer to Status");
}

/// Begins HTTP/2, and reads until the headers of a call have come.
pub(super) async fn until_headers(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await?;
    stream.read_exact(&mut [0; 24]).await?;
    loop {
        let mut frame = [0; 9];
        stream.read_exact(&mut frame).await?;
        let [_, high, low, kind, ..] = frame;
        stream.read_exact(&mut vec![0; usize::from(u16::from_be_bytes([high, low]))]).await?;
        if kind == 1 {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn a_server_that_ends_the_connection_instead_of_answering() {
    let port = serve(|mut stream| async move { drop(until_headers(&mut stream).await) }).await;
    let error = refused("http", port, Tls::default()).await;
    assert_eq!((error.code(), error.sent(), error.retryable()), ("connection_lost", Some(Sent::Maybe), true));
}

#[rstest]
#[case(b"HTTP/1.1 400 Bad Request\r\n\r\n", "this is not etcd; it answered \"HTTP/1.1 400 Bad Request\" [not_etcd]")]
#[case(b"SSH-2.0-OpenSSH_9.2\r\n", "this is not etcd; it answered \"SSH-2.0-OpenSSH_9.2\" [not_etcd]")]
#[case(
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    "this port speaks TLS, and the endpoint says http [plain_to_tls_port]"
)]
#[case(b"\x15\x03\x01\x00\x02\x02\x46", "this port speaks TLS, and the endpoint says http [plain_to_tls_port]")]
#[tokio::test]
async fn a_port_that_speaks_something_else(#[case] greeting: &'static [u8], #[case] message: &str) {
    let port = serve(move |mut stream| async move {
        let _ = stream.write_all(greeting).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let error = refused("http", port, Tls::default()).await;
    assert_eq!(shown(&error, port), format!("http://127.0.0.1:PORT: {message}"));
}

#[tokio::test]
async fn a_port_that_closes_at_once() {
    let port = serve(|stream| async move { drop(stream) }).await;
    for scheme in ["http", "https"] {
        let error = refused(scheme, port, Tls::default()).await;
        assert_eq!((error.code(), error.sent()), ("connection_lost", Some(Sent::Never)));
    }
}

#[tokio::test]
async fn plain_to_a_tls_port_and_tls_to_a_plain_port() {
    let server = Authority::new("the authority").sign(&params("server", &["127.0.0.1"]));
    let port = serve_tls(&server, None).await;
    let error = refused("http", port, Tls::default()).await;
    insta::assert_snapshot!(shown(&error, port), @"http://127.0.0.1:PORT: this port speaks TLS, and the endpoint says http [plain_to_tls_port]");

    // etcd's plain port closes the connection when it gets a TLS handshake.
    let plain = serve(|mut stream| async move {
        let mut first = [0; 3];
        if stream.read_exact(&mut first).await.is_ok() && &first == b"PRI" {
            settings(stream).await;
        } else {
            // What is left unread would make a reset of the end.
            let _ = stream.read(&mut [0; 4096]).await;
        }
    })
    .await;
    let error = refused("https", plain, Tls::default()).await;
    insta::assert_snapshot!(shown(&error, plain), @"https://127.0.0.1:PORT: this port does not speak TLS, and the endpoint says https [tls_to_plain_port]");
}

/// Serves with a certificate, and returns the error of a client that trusts an authority.
async fn presented(authority: &Authority, server: &Certificate) -> String {
    let folder = TempDir::new().unwrap();
    let tls = Tls { cacert: Some(write(&folder, "ca.crt", &authority.pem)), ..Tls::default() };
    let port = serve_tls(server, None).await;
    let error = refused("https", port, tls).await;
    tidy(&shown(&error, port), &folder)
}

#[tokio::test]
async fn a_server_of_another_authority() {
    let server = Authority::new("other").sign(&params("server", &["127.0.0.1"]));
    insta::assert_snapshot!(presented(&Authority::new("the authority"), &server).await, @r#"https://127.0.0.1:PORT: the server's certificate was issued by "CN=other", which is not in DIR/ca.crt [tls_unknown_authority]"#);
    // The other one has the same name.
    insta::assert_snapshot!(presented(&Authority::new("other"), &server).await, @r#"https://127.0.0.1:PORT: the server's certificate was issued by "CN=other", but not by the one of that name in DIR/ca.crt [tls_unknown_authority]"#);
}

#[tokio::test]
async fn a_server_out_of_date() {
    let authority = Authority::new("the authority");
    let found = presented(&authority, &authority.sign(&expired(params("server", &["127.0.0.1"])))).await;
    assert!(found.contains("the server's certificate expired on 2021-01-01T00:00:00Z (your clock says 2"), "{found}");
    assert!(found.ends_with("[tls_expired]"), "{found}");
    let found = presented(&authority, &authority.sign(&early(params("server", &["127.0.0.1"])))).await;
    assert!(found.contains("is valid from 2222-01-01T00:00:00Z on (your clock says 2"), "{found}");
    assert!(found.ends_with("[tls_expired]"), "{found}");
}

#[tokio::test]
async fn a_server_of_another_name_lists_its_names() {
    let authority = Authority::new("the authority");
    let named = authority.sign(&params("server", &["example.com", "10.0.0.1", "::1"]));
    insta::assert_snapshot!(presented(&authority, &named).await, @"https://127.0.0.1:PORT: the server's certificate is not for 127.0.0.1, but for example.com, 10.0.0.1, ::1 [tls_name]");
    insta::assert_snapshot!(presented(&authority, &authority.sign(&params("server", &[]))).await, @"https://127.0.0.1:PORT: the server's certificate is not for 127.0.0.1: it names no host at all [tls_name]");
}

/// Connects for real, which shows as a call that is sent and never answered.
async fn accepted(port: u16, tls: Tls) {
    let error = refused("https", port, tls).await;
    assert_eq!((error.code(), error.sent()), ("timeout", Some(Sent::Maybe)), "{error:?}");
}

#[tokio::test]
async fn the_right_server_by_its_authority_by_another_name_or_by_its_pin() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new("the authority");
    let ca = write(&folder, "ca.crt", &authority.pem);
    let server = authority.sign(&params("server", &["127.0.0.1"]));
    accepted(serve_tls(&server, None).await, Tls { cacert: Some(ca.clone()), ..Tls::default() }).await;

    let named = serve_tls(&authority.sign(&params("server", &["example.com"])), None).await;
    let tls = Tls { cacert: Some(ca), server_name: Some("example.com".to_owned()), ..Tls::default() };
    accepted(named, tls).await;
}

#[tokio::test]
async fn a_server_whose_certificate_is_an_authoritys_is_accepted_by_its_pin() {
    // So does etcd's --auto-tls make it.
    let folder = TempDir::new().unwrap();
    let own = Authority::new("self");
    let key = PrivateKeyDer::try_from(own.issuer.key().serialize_der()).unwrap();
    let port = serve_tls_with(own.der.clone(), key, None).await;
    let error =
        refused("https", port, Tls { cacert: Some(write(&folder, "ca.crt", &own.pem)), ..Tls::default() }).await;
    insta::assert_snapshot!(shown(&error, port), @"https://127.0.0.1:PORT: the server's certificate cannot be used: it is marked as an authority's, as --auto-tls makes it [tls_certificate]");
    let help = error.help().unwrap();
    let (_, pin) = help.split_once("give tls_pin ").unwrap();
    accepted(port, Tls { pin: Some(pin.to_owned()), ..Tls::default() }).await;

    let error = refused("https", port, Tls { pin: Some("00".repeat(32)), ..Tls::default() }).await;
    assert_eq!(error.code(), "tls_pin");
    assert!(error.to_string().contains(pin), "{error}");
}

#[tokio::test]
async fn a_server_that_demands_a_client_certificate() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new("the authority");
    let server = authority.sign(&params("server", &["127.0.0.1"]));
    let port = serve_tls(&server, Some(&authority)).await;
    let tls = |client: Option<&Certificate>| Tls {
        cacert: Some(write(&folder, "ca.crt", &authority.pem)),
        cert: client.map(|client| write(&folder, "client.crt", &client.pem)),
        key: client.map(|client| write(&folder, "client.key", client.key.serialize_pem())),
        ..Tls::default()
    };
    let error = refused("https", port, tls(None)).await;
    insta::assert_snapshot!(shown(&error, port), @"https://127.0.0.1:PORT: the server requires a client certificate [tls_client_certificate_required]");
    let foreign = Authority::new("foreign").sign(&params("client", &[]));
    let error = refused("https", port, tls(Some(&foreign))).await;
    insta::assert_snapshot!(shown(&error, port), @"https://127.0.0.1:PORT: the server rejected the client certificate: its authority is unknown there [tls_client_certificate_rejected]");
    accepted(port, tls(Some(&authority.sign(&params("client", &[]))))).await;
}
