//! The failures that everybody meets one day. Each has a code of its own, the same through core, in Nushell and in Rhai, and
//! whatever is written down about it, down to the most talkative log, holds no secret.

use std::any::Any;
use std::collections::BTreeSet;
use std::path::PathBuf;

use etcdsh_core::sandbox::Options;
use etcdsh_tests::certs::{Authority, Files, Good, write};
use etcdsh_tests::hostile::wire::Snapshot;
use etcdsh_tests::hostile::{Hostile, Step, TOKEN, send, snapshot};
use etcdsh_tests::ports::{BlackHole, Port};
use etcdsh_tests::proxy::{Times, Way, What, When};
use etcdsh_tests::{Caller, Running, Said, program};
use serde_json::{Value, json};

use crate::failing::{CANARY, TIMEOUT, Table, fails, files, redacted};
use crate::proxied::Proxied;

/// What a user gives and asks for.
struct Case {
    name: &'static str,
    endpoints: Vec<String>,
    files: Vec<(&'static str, PathBuf)>,
    user: &'static str,
    saves: bool,
    /// What has to live as long as the case.
    _keep: Box<dyn Any>,
}

impl Case {
    fn new(name: &'static str, endpoints: &[&str]) -> Self {
        let endpoints = endpoints.iter().map(|endpoint| (*endpoint).to_owned()).collect();
        Case { name, endpoints, files: Vec::new(), user: "root", saves: false, _keep: Box::new(()) }
    }

    fn at(name: &'static str, scheme: &str, port: u16) -> Self {
        Case::new(name, &[&format!("{scheme}://127.0.0.1:{port}")])
    }

    fn with(mut self, files: &[(&'static str, &PathBuf)]) -> Self {
        self.files = files.iter().map(|(name, path)| (*name, (*path).clone())).collect();
        self
    }

    fn user(self, user: &'static str) -> Self {
        Case { user, ..self }
    }

    fn saving(self) -> Self {
        Case { saves: true, ..self }
    }

    fn keeping(self, keep: impl Any) -> Self {
        Case { _keep: Box::new(keep), ..self }
    }

    /// The flags that both faces share, but for how they write lists and durations.
    fn flags(&self) -> Vec<String> {
        self.files.iter().flat_map(|(name, path)| [format!("--{name}"), path.to_str().unwrap().to_owned()]).collect()
    }

    /// Runs it through core, and returns what is seen of it.
    fn core(&self, caller: &Caller) -> String {
        let (endpoints, user) = (self.endpoints.join(","), format!("{}:{CANARY}", self.user));
        let mut flags =
            vec![("endpoints", endpoints.as_str()), ("user", &user), ("timeout", "2s"), ("connect_timeout", "1s")];
        flags.extend(self.files.iter().map(|(name, path)| (*name, path.to_str().unwrap())));
        let profile = caller.profile(&flags).unwrap();
        let (name, args) = match self.saves {
            true => ("snapshot save", json!({"path": "backup.db", "idle": "1s"})),
            false => ("member list", json!({})),
        };
        fails(caller, &profile, name, args, TIMEOUT * 2)
    }

    /// Runs it in a script of `etcdsh`, and returns its code and its message.
    fn rhai(&self, caller: &Caller) -> (String, String) {
        let call =
            if self.saves { "etcd.snapshot_save(\"backup.db\", #{ idle: \"1s\" })" } else { "etcd.member_list()" };
        let mut command = caller.shells().command(program("etcdsh"));
        command.args(["--endpoints", &self.endpoints.join(","), "--timeout", "2s", "--connect-timeout", "1s"]);
        command.args(self.flags()).args(["eval", "-o", "json"]);
        command.arg(format!("let seen = (); try {{ {call}; }} catch (e) {{ seen = [e.code, e.message]; }} seen"));
        self.seen(caller, command)
    }

    /// Runs it in Nushell, and returns its code and its message.
    fn nu(&self, caller: &Caller) -> (String, String) {
        let call = if self.saves { "etcd snapshot save backup.db --idle 1sec" } else { "etcd member list" };
        let flags = self.flags().join(" ");
        let endpoints = self.endpoints.join(" ");
        let script = format!(
            "try {{ {call} --endpoints [{endpoints}] --timeout 2sec --connect-timeout 1sec {flags} | ignore }} \
             catch {{|e| [$e.details.code $e.msg] | to json --raw }}"
        );
        let (code, message) = self.seen(caller, caller.shells().nu_with("nu_plugin_etcd", &script));
        (code.strip_prefix("etcd::").unwrap_or(&code).to_owned(), message)
    }

    fn seen(&self, caller: &Caller, mut command: std::process::Command) -> (String, String) {
        let log = caller.home().join("trace.log");
        command.env("ETCDCTL_USER", format!("{}:{CANARY}", self.user));
        command.env("ETCDSH_LOG", "trace").env("ETCDSH_LOG_FILE", &log);
        let said = Said::by(&mut command);
        let logged = std::fs::read_to_string(&log).unwrap_or_default();
        for secret in [CANARY, TOKEN] {
            assert!(!format!("{said:?}").contains(secret), "{}: {said:?}", self.name);
            assert!(!logged.contains(secret), "{}: {logged}", self.name);
        }
        assert!(said.status.success(), "{}: {said:?}", self.name);
        let pair: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned())
    }
}

fn cases(caller: &Caller, secure: &Running, plain: &Proxied) -> Vec<Case> {
    let right = secure.profile().tls;
    let (ca, cert, key) = (right.cacert.unwrap(), right.cert.unwrap(), right.key.unwrap());
    let endpoint = secure.profile().endpoints[0].to_string();
    let (secure_port, plain_port) = (secure.profile().endpoints[0].port(), plain.proxy.port);
    let other = Authority::new(caller.home(), "other", Good::Now);
    let garbage = write(caller.home(), "garbage.crt", "garbage");
    let (silent, hole, fake) = (Port::silent(), BlackHole::new(), Hostile::new());
    let (stalled, full) = (Hostile::new(), Hostile::new());
    stalled.answer("Snapshot", snapshot().iter().take(2).map(send).chain([Step::Silence]));
    full.answer("Snapshot", [send(&Snapshot { remaining: 1 << 50, blob: vec![0; 512], ..Default::default() })]);
    let secure_with = |name, ca: &PathBuf, cert: &PathBuf, key: &PathBuf| {
        Case::new(name, &[&endpoint]).with(&[("cacert", ca), ("cert", cert), ("key", key)])
    };
    let client = |name, Files { cert, key }: &Files| secure_with(name, &ca, cert, key);
    let (expired, foreign) = (other.client("expired", Good::Before), other.client("foreign", Good::Now));
    vec![
        secure_with("wrong CA", &other.cacert(), &cert, &key),
        secure_with("garbage CA", &garbage, &cert, &key),
        client("expired client certificate", &expired),
        client("foreign client certificate", &foreign),
        secure_with("foreign client key", &ca, &cert, &foreign.key),
        Case::at("http to a TLS port", "http", secure_port),
        Case::at("TLS to a plain port", "https", plain_port),
        Case::at("silent port", "http", silent.port).keeping(silent),
        Case::at("black hole", "http", hole.port).keeping(hole),
        Case::new("dead DNS name", &["https://name.invalid:2379"]),
        secure_with("wrong password", &ca, &cert, &key),
        secure_with("permission denied", &ca, &cert, &key).user("guest").saving(),
        Case::new(
            "endpoints of two clusters",
            &[&format!("http://127.0.0.1:{plain_port}"), &format!("http://127.0.0.1:{}", fake.port)],
        )
        .keeping(fake),
        Case::at("cut snapshot", "http", plain.proxy.port).saving(),
        Case::at("stalled snapshot", "http", stalled.port).saving().keeping(stalled),
        Case::at("full disk", "http", full.port).saving().keeping(full),
    ]
}

#[test]
fn every_promised_failure_has_a_code_of_its_own_in_core_and_in_both_faces() {
    let caller = Caller::new();
    let _redacted = redacted(&caller);
    let secure = Running::start("3.6", Options { members: 1, auth: true, ..Options::default() }).unwrap();
    let plain = Proxied::start(false);
    plain.fill(10);
    // Nothing but a snapshot is so large.
    plain.proxy.arm(Times::Always, Way::Down, When::After(5 << 20), What::Cut);
    secure.etcdctl(&["user", "add", &format!("guest:{CANARY}")]);
    let cases = cases(&caller, &secure, &plain);
    let before = files(caller.home()).into_iter().collect::<BTreeSet<_>>();
    let mut codes = BTreeSet::new();
    let mut table = Table::default();
    for case in &cases {
        let seen = case.core(&caller);
        let first = seen.lines().next().unwrap();
        let (code, message) = first.split_once(": ").unwrap();
        let expected = (code.to_owned(), message.to_owned());
        for found in [case.rhai(&caller), case.nu(&caller)] {
            // These tell what they happened to find.
            let varies = matches!(code, "cluster_mismatch" | "disk_full" | "snapshot_cut");
            assert!(if varies { found.0 == expected.0 } else { found == expected }, "{}: {found:?}", case.name);
        }
        assert!(codes.insert(expected.0), "{}: {code} is the code of another failure too", case.name);
        table.row(case.name, first);
        let left: Vec<_> = files(caller.home()).into_iter().filter(|file| !before.contains(file)).collect();
        assert!(left.iter().all(|file| file == "trace.log" || file == "config"), "{}: {left:?}", case.name);
    }
    assert!(plain.proxy.fired() >= 3, "no snapshot was cut");
    let log = std::fs::read_to_string(caller.home().join("trace.log")).unwrap();
    assert!(log.contains("Authenticate"), "the log does not show the calls: {log}");
    insta::assert_snapshot!(table, @r#"
    wrong CA
      tls_unknown_authority: https://127.0.0.1:[port]: the server's certificate was issued by "CN=etcdsh sandbox", which is not in [home]/other-ca.crt
    garbage CA
      tls_bad_file: the cacert file [home]/garbage.crt is not PEM
    expired client certificate
      tls_file_expired: the cert file [home]/other-expired.crt holds a certificate that expired on [time]
    foreign client certificate
      tls_client_certificate_rejected: https://127.0.0.1:[port]: the server rejected the client certificate: its authority is unknown there
    foreign client key
      tls_key_mismatch: the key file [home]/other-foreign.key holds the key of another certificate than [home]/state/etcdsh/sandbox/sandbox/certs/client.crt
    http to a TLS port
      plain_to_tls_port: http://127.0.0.1:[port]: this port speaks TLS, and the endpoint says http
    TLS to a plain port
      tls_to_plain_port: https://127.0.0.1:[port]: this port does not speak TLS, and the endpoint says https
    silent port
      handshake_timeout: http://127.0.0.1:[port]: connected, but the server said nothing within 1s; waited for HTTP/2 to begin
    black hole
      connect_timeout: http://127.0.0.1:[port]: not connected within 1s; waited for the connection
    dead DNS name
      dns: https://name.invalid:2379: the name "name.invalid" cannot be resolved
    wrong password
      unauthenticated: https://127.0.0.1:[port]: etcdserver: authentication failed, invalid user ID or password
    permission denied
      permission_denied: https://127.0.0.1:[port]: etcdserver: permission denied
    endpoints of two clusters
      cluster_mismatch: http://127.0.0.1:[port]: this is the cluster c, but http://127.0.0.1:[port] is the cluster [id]
    cut snapshot
      snapshot_cut: the snapshot broke off after [some] of [all] bytes
    stalled snapshot
      snapshot_stalled: the snapshot broke off after 2048 of 4128 bytes
    full disk
      disk_full: [home]/backup.db does not fit: it needs [id] bytes, and [free] are free
    "#);
}
