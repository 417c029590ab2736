//! What is wrong with arguments and settings.

use std::collections::HashMap;
use std::path::PathBuf;

use super::shown;
use crate::args::BadArgument;
use crate::endpoint::Endpoint;
use crate::error::{Error, Interrupted};
use crate::member::NoSuchMember;
use crate::places::Places;
use crate::profile::{Layers, resolve};
use crate::value::{Record, Value};

#[test]
fn of_arguments() {
    let (name, near) = (Some("wait".to_owned()), Some("member".to_owned()));
    let unknown = |suggestion, known| BadArgument::Unknown { name: "membr".to_owned(), suggestion, known };
    let choice = |found: &str| BadArgument::Choice {
        name: Some("action".to_owned()),
        found: found.to_owned(),
        expected: ["remove", "restart"].map(str::to_owned).to_vec(),
    };
    let errors = [
        BadArgument::Missing { name: "member", doc: " The member to remove." },
        unknown(near, vec!["member", "wait"]),
        unknown(None, vec!["wait"]),
        unknown(None, vec![]),
        BadArgument::TooMany { operation: "member remove", takes: 1, given: 2 },
        BadArgument::Type { name, expected: "a duration".to_owned(), found: "the text \"x\"".to_owned() },
        BadArgument::Type { name: None, expected: "a boolean".to_owned(), found: "the integer 3".to_owned() },
        choice("remov"),
        choice("xyz"),
        BadArgument::invalid("wait", "is negative", "give 0 or more"),
    ];
    insta::assert_snapshot!(shown(errors.map(Into::into)), @r#"
    invalid_argument (member): the argument member is missing
      help: give member: The member to remove.
    invalid_argument (membr): there is no argument named membr
      help: did you mean member?
    invalid_argument (membr): there is no argument named membr
      help: it takes wait
    invalid_argument (membr): there is no argument named membr
      help: it takes no named arguments
    invalid_argument: too many arguments: member remove takes 1 by position, and 2 were given
    invalid_argument (wait): the argument wait should be a duration, not the text "x"
    invalid_argument: the value should be a boolean, not the integer 3
    invalid_argument (action): the argument action should be one of remove, restart, not "remov"
      help: did you mean remove?
    invalid_argument (action): the argument action should be one of remove, restart, not "xyz"
    invalid_argument (wait): the argument wait is negative
      help: give 0 or more
    "#);
}

#[test]
fn of_arguments_in_a_call() {
    let get = crate::catalogue::find("get").unwrap();
    let twice = get.takes.join("get", vec![Value::from("a")], [("key", Value::from("a"))].into_iter().collect());
    insta::assert_snapshot!(shown([twice.unwrap_err().into()]), @r"
    invalid_argument (key): the argument key is given twice
      help: give it once, by place or by name
    ");
}

#[test]
fn of_endpoints() {
    let bad = [
        "",
        "unix:///run/etcd.sock",
        "ftp://a:1",
        "https://root:hunter2@a:1",
        "http://a:1/path",
        "a b:1",
        "a:0",
        "a:x",
        ":1",
    ];
    let errors = bad.map(|text| Endpoint::parse(text, false).unwrap_err().into());
    insta::assert_snapshot!(shown(errors), @r#"
    invalid_argument (endpoints): the argument endpoints has an empty entry
      help: give host:port
    invalid_argument (endpoints): the argument endpoints has "unix:///run/etcd.sock", which is a Unix socket; only TCP is spoken here
      help: give host:port, http://host:port or https://host:port
    invalid_argument (endpoints): the argument endpoints has "ftp://a:1", which has an unknown scheme
      help: give host:port, http://host:port or https://host:port
    invalid_argument (endpoints): the argument endpoints has "(not shown, because it may hold a password)", which carries a user; give user and password as settings of their own
      help: give host:port, http://host:port or https://host:port
    invalid_argument (endpoints): the argument endpoints has "http://a:1/path", which carries a path
      help: give host:port, http://host:port or https://host:port
    invalid_argument (endpoints): the argument endpoints has "a b:1", which is not a host and port
      help: give host:port, http://host:port or https://host:port
    invalid_argument (endpoints): the argument endpoints has "a:0", which has the port 0
      help: give host:port, http://host:port or https://host:port
    invalid_argument (endpoints): the argument endpoints has "a:x", which has a port that is not a number up to 65535
      help: give host:port, http://host:port or https://host:port
    invalid_argument (endpoints): the argument endpoints has ":1", which has no host
      help: give host:port, http://host:port or https://host:port
    "#);
}

#[test]
fn of_names() {
    let unknown = |suggestion: Option<&str>| NoSuchMember::Unknown {
        wanted: "infra22".to_owned(),
        suggestion: suggestion.map(str::to_owned),
        candidates: "infra1 (1), 2 (unstarted)".to_owned(),
    };
    let candidates = "infra1 (1), infra1 (2)".to_owned();
    let errors: [Error; 5] = [
        unknown(None).into(),
        unknown(Some("infra2")).into(),
        NoSuchMember::Ambiguous { wanted: "infra1".to_owned(), candidates }.into(),
        Interrupted.into(),
        Error::internal("two and two are five"),
    ];
    insta::assert_snapshot!(shown(errors), @r#"
    member_not_found (member): no member is named "infra22"; the members are infra1 (1), 2 (unstarted)
      help: name it by its name, its id in hex, or one of its URLs
    member_not_found (member): no member is named "infra22"; the members are infra1 (1), 2 (unstarted)
      help: did you mean infra2?
    member_ambiguous (member): several members are named "infra1": infra1 (1), infra1 (2)
      help: name it by its id
    interrupted: interrupted
    internal: a mistake inside etcdsh: two and two are five
      help: this is a bug; please report it with the command that led here
    "#);
}

#[test]
fn of_settings() {
    let home = tempfile::tempdir().unwrap();
    let text = home.path().to_string_lossy().into_owned();
    let config = home.path().join(".config/etcdsh/config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    let none = HashMap::new();
    let bad = |config_toml: &str, flags: &[(&'static str, Value)], env: &HashMap<&str, &str>| {
        std::fs::write(&config, config_toml).unwrap();
        let places = Places::from_env(PathBuf::from("/here"), |name| (name == "HOME").then(|| text.clone()));
        let env = |name: &str| env.get(name).map(|value| (*value).to_owned());
        let flags: Record = flags.iter().cloned().collect();
        resolve(Layers { flags, env: &env, shell: None }, &places).map(drop).unwrap_err()
    };
    let flag = |name, value: &str| [(name, Value::from(value))];
    let errors = [
        bad("", &flag("profile", "dev"), &none),
        bad("[profiles.dev]\n", &flag("profile", "dve"), &none),
        bad("[profiles.dev]\n", &flag("profile", "xyz"), &none),
        bad("profiles = { dev = 3 }\n", &flag("profile", "dev"), &none),
        bad("endpoint = 'a:1'\n", &[], &none),
        bad("endpoints = [\n", &[], &none),
        bad("timeout = 0\n", &[], &none),
        bad("cacert = 5\n", &[], &none),
        bad("", &[], &HashMap::from([("ETCDCTL_DIAL_TIMEOUT", "soon")])),
        bad("", &[], &HashMap::from([("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "true")])),
        bad("", &[], &HashMap::from([("ETCDCTL_DISCOVERY_SRV", "a.example")])),
        bad("", &flag("cluster_id", "xyz"), &none),
        bad("", &flag("user", ":secret"), &none),
        bad("", &flag("user", "root"), &none),
        bad("", &flag("password", "secret"), &none),
        bad("", &[("password", Value::Int(5))], &none),
        bad("", &[("user", Value::from("root")), ("password_file", Value::from("/none"))], &none),
    ];
    let shown = shown(errors).replace(&text, "[home]");
    assert!(!shown.contains("secret"), "{shown}");
    insta::assert_snapshot!(shown, @r#"
    invalid_config (profile): there is no profile named "dev"
      help: there are no profiles yet; `sandbox start` makes one, or write [profiles.NAME] into config.toml
    invalid_config (profile): there is no profile named "dve"
      help: the profiles are dev
    invalid_config (profile): there is no profile named "xyz"
      help: the profiles are dev
    invalid_config (profile): the profile "dev" should be a record of settings, not an integer
      help: give it settings such as endpoints
    invalid_config: [home]/.config/etcdsh/config.toml cannot be used
      because: there is no argument named endpoint
      help: did you mean endpoints?
    invalid_config: [home]/.config/etcdsh/config.toml is not valid TOML: line 1: unclosed array, expected `]`
    invalid_config: [home]/.config/etcdsh/config.toml cannot be used
      because: the argument timeout must be more than nothing
      help: give a duration such as "5s"
    invalid_config: [home]/.config/etcdsh/config.toml cannot be used
      because: the argument cacert should be text, not the integer 5
    invalid_config: the variable ETCDCTL_DIAL_TIMEOUT cannot be used
      because: the argument connect_timeout should be a duration such as "250ms", "30s" or "5min", not the text "soon"
    invalid_config: the variable ETCDCTL_INSECURE_SKIP_TLS_VERIFY is set, and what it asks for is not offered here
      help: pin the server's certificate with tls_pin in place of not checking it
    invalid_config: the variable ETCDCTL_DISCOVERY_SRV is set, and what it asks for is not offered here
      help: give the endpoints themselves
    invalid_argument (cluster_id): the argument cluster_id should be an id in hex such as 8e9e05c52164694d, not "xyz"
    invalid_argument (user): the argument user has no name
      help: give NAME or NAME:PASSWORD
    invalid_argument (user): the argument user has no password
      help: give NAME:PASSWORD, password_file, or ETCDCTL_PASSWORD
    invalid_argument (user): the argument user is missing, although a password is given
      help: give the user too
    invalid_argument (password): the argument password should be text
      help: give it as text
    invalid_config (password_file): cannot read /none
      because: No such file or directory (os error 2)
      help: give the path of a file that you may read
    "#);
}
