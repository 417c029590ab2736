//! Everything that can be wrong between two ends of a TLS connection, on a real etcd.

use std::path::{Path, PathBuf};

use etcdsh_core::profile::{Profile, Tls};
use etcdsh_core::sandbox::Options;
use etcdsh_tests::certs::{Authority, Files, Good, write};
use etcdsh_tests::ports::Port;
use etcdsh_tests::{Caller, Running};
use serde_json::json;

use crate::failing::{CONNECT_TIMEOUT, Table, fails, profile, redacted, snapshot_fails};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn files_that_cannot_be_used_are_refused_before_anything_is_contacted() {
    let caller = Caller::new();
    let _redacted = redacted(&caller);
    let home = caller.home();
    let file = |name: &str, content: &str| write(home, name, content);
    let good = Authority::new(home, "good", Good::Now);
    let (ca, client) = (good.cacert(), good.client("client", Good::Now));
    let other = good.client("other", Good::Now);
    let pem = std::fs::read_to_string(&ca).unwrap();
    let damaged = file("damaged.crt", &pem.replacen("\nM", "\nX", 1));
    let der = home.join("der.crt");
    let status = std::process::Command::new("openssl")
        .args(["x509", "-in", text(&ca), "-outform", "der", "-out", text(&der)])
        .status();
    assert!(status.unwrap().success());
    let encrypted = home.join("encrypted.key");
    let status = std::process::Command::new("openssl")
        .args(["pkey", "-in", text(&client.key), "-aes256", "-passout", "pass:canary-8f3a", "-out", text(&encrypted)])
        .status();
    assert!(status.unwrap().success());
    let (expired, future) = (good.client("expired", Good::Before), good.client("future", Good::Later));
    let old = Authority::new(home, "old", Good::Before).cacert();
    let with = |files: &Files| vec![("cert", files.cert.clone()), ("key", files.key.clone())];
    let cases: Vec<(&str, Vec<(&str, PathBuf)>)> = vec![
        ("no such file", vec![("cacert", home.join("missing.crt"))]),
        ("a folder", vec![("cacert", home.to_owned())]),
        ("an empty authority", vec![("cacert", file("empty.crt", ""))]),
        ("a garbage authority", vec![("cacert", file("garbage.crt", "\u{1b}[2Jnot a certificate\0\u{7}"))]),
        ("a damaged authority", vec![("cacert", damaged)]),
        ("an authority in DER", vec![("cacert", der)]),
        ("a key in place of the authority", vec![("cacert", client.key.clone())]),
        ("an authority that has expired", vec![("cacert", old)]),
        ("a certificate without its key", vec![("cert", client.cert.clone())]),
        ("a key without its certificate", vec![("key", client.key.clone())]),
        ("a foreign key", vec![("cert", client.cert.clone()), ("key", other.key)]),
        ("an encrypted key", vec![("cert", client.cert.clone()), ("key", encrypted)]),
        ("a garbage key", vec![("cert", client.cert.clone()), ("key", file("garbage.key", "canary-8f3a"))]),
        ("a certificate in place of the key", vec![("cert", client.cert.clone()), ("key", client.cert.clone())]),
        ("a client that has expired", with(&expired)),
        ("a client of the future", with(&future)),
        ("a pin that is none", vec![("tls_pin", "12:34".into())]),
        ("a name that is none", vec![("server_name", "not a name".into())]),
    ];
    let port = Port::silent();
    let endpoint = format!("https://127.0.0.1:{}", port.port);
    let mut table = Table::default();
    for (case, flags) in &cases {
        let flags: Vec<(&str, &str)> = flags.iter().map(|(name, path)| (*name, text(path))).collect();
        table.row(case, &fails(&caller, &profile(&caller, &endpoint, &flags), "status", json!({}), CONNECT_TIMEOUT));
    }
    for (case, endpoint) in [
        ("certificates for a plain endpoint", format!("http://127.0.0.1:{}", port.port)),
        ("a password for a plain endpoint", "http://192.0.2.1:2379".to_owned()),
    ] {
        let flags: &[(&str, &str)] = if endpoint.contains("127") { &[("cacert", text(&ca))] } else { &[] };
        table.row(case, &fails(&caller, &profile(&caller, &endpoint, flags), "status", json!({}), CONNECT_TIMEOUT));
    }
    assert_eq!(port.accepted(), 0, "somebody was contacted");
    insta::assert_snapshot!(table, @r#"
    no such file
      tls_bad_file: the cacert file [home]/missing.crt cannot be read
        because: No such file or directory (os error 2)
        help: give the path of a file that you may read
        argument: cacert
    a folder
      tls_bad_file: the cacert file [home] cannot be read
        because: Is a directory (os error 21)
        help: give the path of a file that you may read
        argument: cacert
    an empty authority
      tls_bad_file: the cacert file [home]/empty.crt is not PEM
        help: give a PEM file with the certificate in it
        argument: cacert
    a garbage authority
      tls_bad_file: the cacert file [home]/garbage.crt is not PEM
        help: give a PEM file with the certificate in it
        argument: cacert
    a damaged authority
      tls_bad_file: the cacert file [home]/damaged.crt holds a certificate that is damaged: number 1
        help: give a PEM file with the certificate in it
        argument: cacert
    an authority in DER
      tls_bad_file: the cacert file [home]/der.crt is not PEM but DER
        help: convert it with `openssl x509 -inform der -in [home]/der.crt`
        argument: cacert
    a key in place of the authority
      tls_bad_file: the cacert file [home]/good-client.key holds no certificate
        help: give a PEM file with the certificate in it
        argument: cacert
    an authority that has expired
      tls_file_expired: the cacert file [home]/old-ca.crt holds a certificate that expired on [time]
        help: renew it
        argument: cacert
    a certificate without its key
      tls_bad_file: the cert file [home]/good-client.crt is of no use without the setting key
        help: give key too
        argument: cert
    a key without its certificate
      tls_bad_file: the key file [home]/good-client.key is of no use without the setting cert
        help: give cert too
        argument: key
    a foreign key
      tls_key_mismatch: the key file [home]/good-other.key holds the key of another certificate than [home]/good-client.crt
        help: give the key that the certificate was made with
        argument: key
    an encrypted key
      tls_key_encrypted: the key file [home]/encrypted.key holds a key that is encrypted
        help: decrypt it with `openssl pkey -in [home]/encrypted.key`
        argument: key
    a garbage key
      tls_bad_file: the key file [home]/garbage.key is not PEM
        help: give a PEM file with the private key in it
        argument: key
    a certificate in place of the key
      tls_bad_file: the key file [home]/good-client.crt holds no private key
        help: give a PEM file with the private key in it
        argument: key
    a client that has expired
      tls_file_expired: the cert file [home]/good-expired.crt holds a certificate that expired on [time]
        help: renew it
        argument: cert
    a client of the future
      tls_file_expired: the cert file [home]/good-future.crt holds a certificate that is valid from [time] on; your clock says [time]
        help: set the clocks right
        argument: cert
    a pin that is none
      invalid_config: tls_pin is not a SHA-256 in hex
        help: it is what `openssl x509 -in FILE -noout -fingerprint -sha256` prints
        argument: tls_pin
    a name that is none
      invalid_config: server_name is "not a name", which is neither a host name nor an IP address
        help: give a name of the server's certificate
        argument: server_name
    certificates for a plain endpoint
      plain_endpoint: the endpoint http://127.0.0.1:[port] is not encrypted, so cacert would be without effect
        help: write https://127.0.0.1:[port], or leave these settings out
        argument: endpoints
    a password for a plain endpoint
      plaintext_credentials: the endpoint http://192.0.2.1:2379 is not encrypted, so the password of "root" is not sent to it
        help: write https://192.0.2.1:2379; only to this machine a password goes in the clear
        argument: endpoints
    "#);
}

#[test]
fn a_silent_tls_port_is_given_up_within_the_connect_timeout() {
    let caller = Caller::new();
    let _redacted = redacted(&caller);
    let port = Port::silent();
    let profile = profile(&caller, &format!("https://127.0.0.1:{}", port.port), &[]);
    let seen = fails(&caller, &profile, "member list", json!({}), CONNECT_TIMEOUT);
    assert!(port.accepted() > 0);
    insta::assert_snapshot!(seen, @r"
    handshake_timeout: https://127.0.0.1:[port]: connected, but the server said nothing within 1s; waited for the TLS handshake
        help: see whether the process there is frozen, and whether it is etcd
        sent: never
    ");
}

/// A TLS cluster of one member, whose server certificate can be changed while it runs: etcd reads it for every connection.
struct Server {
    cluster: Running,
    authority: Authority,
}

impl Server {
    fn start() -> Self {
        let cluster = Running::start("3.6", Options { members: 1, ..Options::default() }).unwrap();
        let authority = Authority::new(cluster.home(), "test", Good::Now);
        Server { cluster, authority }
    }

    /// Lets the server show another certificate from now on.
    fn shows(&self, names: &[&str], good: Good) -> Tls {
        let files = self.authority.server("server", names, good);
        let folder = self.cluster.sandbox.folder().join("certs");
        for (from, to) in [(files.cert, "infra1.crt"), (files.key, "infra1.key")] {
            std::fs::copy(from, folder.join(to)).unwrap();
        }
        Tls { cacert: Some(self.authority.cacert()), ..self.cluster.profile().tls }
    }

    /// Returns the settings of a user with these certificates.
    fn with(&self, tls: Tls) -> Profile {
        Profile { tls, ..profile(&self.cluster.caller, &self.cluster.profile().endpoints[0].to_string(), &[]) }
    }
}

#[test]
fn every_refusal_of_a_tls_server_or_by_one_says_what_was_refused() {
    let server = Server::start();
    let Server { cluster, authority } = &server;
    let caller = &cluster.caller;
    let _redacted = redacted(caller);
    let right = cluster.profile().tls;
    let foreign = authority.client("client", Good::Now);
    let port = cluster.profile().endpoints[0].port();
    let mut table = Table::default();
    let mut row = |case: &str, profile: Profile| {
        table.row(case, &fails(caller, &profile, "member list", json!({}), CONNECT_TIMEOUT));
        snapshot_fails(caller, &profile, CONNECT_TIMEOUT);
    };

    row("the wrong authority", server.with(Tls { cacert: Some(authority.cacert()), ..right.clone() }));
    row("the system's authorities", server.with(Tls { cacert: None, ..right.clone() }));
    row("another pin", server.with(Tls { pin: Some("00".repeat(32)), ..right.clone() }));
    row("another server name", server.with(Tls { server_name: Some("etcd.example".into()), ..right.clone() }));
    row("no client certificate", server.with(Tls { cert: None, key: None, ..right.clone() }));
    let by_others = Tls { cert: Some(foreign.cert), key: Some(foreign.key), ..right.clone() };
    row("a client certificate of another authority", server.with(by_others));
    row("http to a TLS port", profile(caller, &format!("http://127.0.0.1:{port}"), &[]));
    cluster.call_with(&server.with(right), "member list", json!({})).unwrap();

    row("the server's certificate has expired", server.with(server.shows(&["127.0.0.1"], Good::Before)));
    row("the server's certificate is of the future", server.with(server.shows(&["127.0.0.1"], Good::Later)));
    row(
        "the server's certificate has other names",
        server.with(server.shows(&["192.0.2.7", "etcd.example"], Good::Now)),
    );
    row("the server's certificate has no name", server.with(server.shows(&[], Good::Now)));
    let good = server.shows(&["127.0.0.1"], Good::Now);
    cluster.call_with(&server.with(good), "member list", json!({})).unwrap();
    insta::assert_snapshot!(table, @r#"
    the wrong authority
      tls_unknown_authority: https://127.0.0.1:[port]: the server's certificate was issued by "CN=etcdsh sandbox", which is not in [home]/test-ca.crt
        help: give the certificate of that authority as cacert
        sent: never
    the system's authorities
      tls_unknown_authority: https://127.0.0.1:[port]: the server's certificate was issued by "CN=etcdsh sandbox", which this system does not trust
        help: give the certificate of the cluster's authority as cacert
        sent: never
    another pin
      tls_pin: https://127.0.0.1:[port]: the server's certificate is not the pinned one; its SHA-256 is [sha256]
        help: make sure that this is the right server before you change tls_pin
        sent: never
    another server name
      tls_name: https://127.0.0.1:[port]: the server's certificate is not for etcd.example, but for 127.0.0.1, ::1, localhost, infra1
        help: use one of its names in the endpoint, or give the expected one as server_name
        sent: never
    no client certificate
      tls_client_certificate_required: https://127.0.0.1:[port]: the server requires a client certificate
        help: give cert and key
        sent: never
    a client certificate of another authority
      tls_client_certificate_rejected: https://127.0.0.1:[port]: the server rejected the client certificate: its authority is unknown there
        help: give a cert that the servers' --trusted-ca-file has issued for client use
        sent: never
    http to a TLS port
      plain_to_tls_port: http://127.0.0.1:[port]: this port speaks TLS, and the endpoint says http
        help: write https://127.0.0.1:[port], and give cacert
        sent: never
    the server's certificate has expired
      tls_expired: https://127.0.0.1:[port]: the server's certificate expired on [time] (your clock says [time])
        help: renew it on the server, or set this machine's clock right
        sent: never
    the server's certificate is of the future
      tls_expired: https://127.0.0.1:[port]: the server's certificate is valid from [time] on (your clock says [time])
        help: set the clocks right
        sent: never
    the server's certificate has other names
      tls_name: https://127.0.0.1:[port]: the server's certificate is not for 127.0.0.1, but for 192.0.2.7, etcd.example
        help: use one of its names in the endpoint, or give the expected one as server_name
        sent: never
    the server's certificate has no name
      tls_name: https://127.0.0.1:[port]: the server's certificate is not for 127.0.0.1: it names no host at all
        help: use one of its names in the endpoint, or give the expected one as server_name
        sent: never
    "#);
}

#[test]
fn tls_to_a_plain_port_is_named() {
    let cluster = Running::start("3.6", Options { members: 1, tls: false, ..Options::default() }).unwrap();
    let _redacted = redacted(&cluster.caller);
    let port = cluster.profile().endpoints[0].port();
    let profile = profile(&cluster.caller, &format!("https://127.0.0.1:{port}"), &[]);
    snapshot_fails(&cluster.caller, &profile, CONNECT_TIMEOUT);
    let seen = fails(&cluster.caller, &profile, "member list", json!({}), CONNECT_TIMEOUT);
    insta::assert_snapshot!(seen, @r"
    tls_to_plain_port: https://127.0.0.1:[port]: this port does not speak TLS, and the endpoint says https
        help: write http://127.0.0.1:[port] if the cluster has no TLS
        sent: never
    ");
}
