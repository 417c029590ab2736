//! What is said when there is no conversation with a server.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::error::{Failure, RpcError};
use super::super::failover::AllFailed;
use super::super::tls::{Refusal, Trusted};
use crate::endpoint::Endpoint;
use crate::error::{Error, Sent};
use crate::id::ClusterId;
use crate::tests::shown;

fn at(port: u16, failure: Failure) -> Error {
    RpcError::new(&Endpoint::parse(&format!("10.0.0.1:{port}"), true).unwrap(), Sent::Maybe, failure).into()
}

fn reset() -> Arc<io::Error> {
    Arc::new(io::ErrorKind::ConnectionReset.into())
}

#[test]
fn of_calls() {
    let bound = Duration::from_millis(1_999);
    let lost = |during| Failure::Lost { during, source: reset() };
    let failures = [
        Failure::Dns { host: "etcd-1".to_owned(), source: reset() },
        Failure::Unreachable { source: reset() },
        Failure::ConnectTimeout { waiting_for: "the address of the host", bound },
        Failure::HandshakeTimeout { waiting_for: "the TLS handshake", bound },
        Failure::Timeout { waiting_for: "the answer to Status".to_owned(), bound },
        Failure::PlainToTlsPort,
        Failure::TlsToPlainPort,
        lost("before HTTP/2 began"),
        lost("during the TLS handshake"),
        lost("before the answer"),
        Failure::NotEtcd { answered: "TLS without HTTP/2".to_owned() },
        Failure::Protocol("it has no header".to_owned()),
        Failure::ClusterMismatch {
            found: ClusterId(0xb),
            known: "https://10.0.0.2:2379".to_owned(),
            expected: ClusterId(0xa),
        },
    ];
    let all = AllFailed::of(vec![at(1, Failure::PlainToTlsPort), at(2, Failure::TlsToPlainPort)]);
    insta::assert_snapshot!(shown(failures.map(|failure| at(2379, failure)).into_iter().chain([all])), @r#"
    dns: https://10.0.0.1:2379: the name "etcd-1" cannot be resolved
      because: connection reset
      help: check how the name is written, and that this machine can resolve it
    unreachable: https://10.0.0.1:2379: cannot connect
      because: connection reset
      help: check the address and the port, and that etcd runs there
    connect_timeout: https://10.0.0.1:2379: not connected within 2s; waited for the address of the host
      help: see whether the host is up and a firewall lets you through to this port
    handshake_timeout: https://10.0.0.1:2379: connected, but the server said nothing within 2s; waited for the TLS handshake
      help: see whether the process there is frozen, and whether it is etcd
    timeout: https://10.0.0.1:2379: no answer within 2s; waited for the answer to Status
      help: see with `health` which members answer; a slow one may need a longer timeout
    plain_to_tls_port: https://10.0.0.1:2379: this port speaks TLS, and the endpoint says http
      help: write https://10.0.0.1:2379, and give cacert
    tls_to_plain_port: https://10.0.0.1:2379: this port does not speak TLS, and the endpoint says https
      help: write http://10.0.0.1:2379 if the cluster has no TLS
    connection_lost: https://10.0.0.1:2379: the connection was lost before HTTP/2 began
      because: connection reset
      help: try again; if it happens again, the member's log may say why it hung up
    connection_lost: https://10.0.0.1:2379: the connection was lost during the TLS handshake
      because: connection reset
      help: try again; if it happens again, the member's log may say why it hung up
    connection_lost: https://10.0.0.1:2379: the connection was lost before the answer
      because: connection reset
      help: try again; if it happens again, the member's log may say why it hung up
    not_etcd: https://10.0.0.1:2379: this is not etcd; it answered "TLS without HTTP/2"
      help: give the members' client URLs; etcd's own port for them is 2379
    protocol: https://10.0.0.1:2379: the server's answer makes no sense: it has no header
      help: ask another member; this one, or what stands between, is not in order
    cluster_mismatch: https://10.0.0.1:2379: this is the cluster b, but https://10.0.0.2:2379 is the cluster a
      help: give endpoints of one cluster only
    plain_to_tls_port: none of the 2 endpoints answered: https://10.0.0.1:1: this port speaks TLS, and the endpoint says http; https://10.0.0.1:2: this port does not speak TLS, and the endpoint says https
      help: write https://10.0.0.1:1, and give cacert
    "#);
}

#[test]
fn of_tls() {
    let issuer = || "CN=Etcd CA".to_owned();
    let file = || Trusted::File(PathBuf::from("/etc/ca.crt").display().to_string());
    let (on, now) = (|| "2026-01-01 00:00:00 UTC".to_owned(), || "2026-02-01 00:00:00 UTC".to_owned());
    let other = |trusted| Refusal::OtherAuthority { issuer: "CN=Etcd CA".to_owned(), trusted };
    let rejected = |said: Option<&str>| Refusal::ClientCertificateRejected { said: said.map(str::to_owned) };
    let alert = |alert| Refusal::read(&rustls::Error::AlertReceived(alert), true, true);
    let refusals = [
        Refusal::UnknownAuthority { issuer: issuer(), trusted: file() },
        Refusal::UnknownAuthority { issuer: issuer(), trusted: Trusted::System },
        other(file()),
        other(Trusted::System),
        Refusal::Expired { on: on(), now: now() },
        Refusal::NotYetValid { from: now(), now: on() },
        Refusal::Name { wanted: "etcd-1".to_owned(), names: vec![] },
        Refusal::Name { wanted: "etcd-1".to_owned(), names: vec!["etcd-2".to_owned(), "etcd-3".to_owned()] },
        Refusal::Pin { found: "aa11".to_owned() },
        Refusal::Certificate { why: "it is for another use".to_owned(), found: "aa11".to_owned() },
        Refusal::ClientCertificateRequired,
        rejected(None),
        alert(rustls::AlertDescription::BadCertificate),
        alert(rustls::AlertDescription::CertificateExpired),
        alert(rustls::AlertDescription::CertificateRevoked),
        alert(rustls::AlertDescription::UnknownCA),
        alert(rustls::AlertDescription::AccessDenied),
        Refusal::Handshake { why: "no common version".to_owned() },
    ];
    insta::assert_snapshot!(shown(refusals.map(|refusal| at(2379, Failure::Tls(refusal)))), @r#"
    tls_unknown_authority: https://10.0.0.1:2379: the server's certificate was issued by "CN=Etcd CA", which is not in /etc/ca.crt
      help: give the certificate of that authority as cacert
    tls_unknown_authority: https://10.0.0.1:2379: the server's certificate was issued by "CN=Etcd CA", which this system does not trust
      help: give the certificate of the cluster's authority as cacert
    tls_unknown_authority: https://10.0.0.1:2379: the server's certificate was issued by "CN=Etcd CA", but not by the one of that name in /etc/ca.crt
      help: the authority was made anew; give its new certificate as cacert
    tls_unknown_authority: https://10.0.0.1:2379: the server's certificate was issued by "CN=Etcd CA", but not by the one of that name in this system's store
      help: the authority was made anew; give its new certificate as cacert
    tls_expired: https://10.0.0.1:2379: the server's certificate expired on 2026-01-01 00:00:00 UTC (your clock says 2026-02-01 00:00:00 UTC)
      help: renew it on the server, or set this machine's clock right
    tls_expired: https://10.0.0.1:2379: the server's certificate is valid from 2026-02-01 00:00:00 UTC on (your clock says 2026-01-01 00:00:00 UTC)
      help: set the clocks right
    tls_name: https://10.0.0.1:2379: the server's certificate is not for etcd-1: it names no host at all
      help: use one of its names in the endpoint, or give the expected one as server_name
    tls_name: https://10.0.0.1:2379: the server's certificate is not for etcd-1, but for etcd-2, etcd-3
      help: use one of its names in the endpoint, or give the expected one as server_name
    tls_pin: https://10.0.0.1:2379: the server's certificate is not the pinned one; its SHA-256 is aa11
      help: make sure that this is the right server before you change tls_pin
    tls_certificate: https://10.0.0.1:2379: the server's certificate cannot be used: it is for another use
      help: compare its SHA-256 with the server's own file, and if it is the same give tls_pin aa11
    tls_client_certificate_required: https://10.0.0.1:2379: the server requires a client certificate
      help: give cert and key
    tls_client_certificate_rejected: https://10.0.0.1:2379: the server closed the connection when it got the client certificate
      help: give a cert that the servers' --trusted-ca-file has issued for client use
    tls_client_certificate_rejected: https://10.0.0.1:2379: the server rejected the client certificate: it is bad or for another use
      help: give a cert that the servers' --trusted-ca-file has issued for client use
    tls_client_certificate_rejected: https://10.0.0.1:2379: the server rejected the client certificate: it has expired
      help: give a cert that the servers' --trusted-ca-file has issued for client use
    tls_client_certificate_rejected: https://10.0.0.1:2379: the server rejected the client certificate: it is revoked
      help: give a cert that the servers' --trusted-ca-file has issued for client use
    tls_client_certificate_rejected: https://10.0.0.1:2379: the server rejected the client certificate: its authority is unknown there
      help: give a cert that the servers' --trusted-ca-file has issued for client use
    tls_client_certificate_rejected: https://10.0.0.1:2379: the server rejected the client certificate: AccessDenied
      help: give a cert that the servers' --trusted-ca-file has issued for client use
    tls: https://10.0.0.1:2379: the TLS handshake failed: no common version
    "#);
}
