//! Where a member listens for clients: parsed once, valid for ever.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Serialize;

use crate::args::BadArgument;

/// A client URL: scheme, host and port, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    tls: bool,
    host: String,
    port: u16,
}

impl Endpoint {
    /// Reads an endpoint. Without a scheme it is `https` where the profile has certificates and `http` otherwise, and without
    /// a port it is 2379.
    ///
    /// # Errors
    /// The text is not a host and port, or it carries what an endpoint cannot have: a password, a path, another scheme.
    pub fn parse(text: &str, tls: bool) -> Result<Self, BadArgument> {
        let text = text.trim();
        let invalid = |problem: &str| {
            let shown = if text.contains('@') { "(not shown, because it may hold a password)" } else { text };
            BadArgument::invalid(
                "endpoints",
                format!("has {shown:?}, which {problem}"),
                "give host:port, http://host:port or https://host:port",
            )
        };
        if text.is_empty() {
            return Err(BadArgument::invalid("endpoints", "has an empty entry", "give host:port"));
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let tls = match scheme {
            Some("https") => true,
            Some("http") => false,
            Some("unix" | "unixs") => return Err(invalid("is a Unix socket; only TCP is spoken here")),
            Some(_) => return Err(invalid("has an unknown scheme")),
            None => tls,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err(invalid("carries a user; give user and password as settings of their own"));
        }
        if rest.contains(['/', '?', '#']) {
            return Err(invalid("carries a path"));
        }
        let authority = http::uri::Authority::from_str(rest).map_err(|_| invalid("is not a host and port"))?;
        let host = authority.host().to_owned();
        let after_host = rest.get(host.len()..).unwrap_or_default();
        let port = match (authority.port_u16(), after_host) {
            (Some(0), _) => return Err(invalid("has the port 0")),
            (Some(port), _) => port,
            (None, "") => 2379,
            (None, _) => return Err(invalid("has a port that is not a number up to 65535")),
        };
        if host.is_empty() {
            return Err(invalid("has no host"));
        }
        Ok(Endpoint { tls, host, port })
    }

    /// Says whether the endpoint speaks TLS.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Returns the host without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Says whether the endpoint is on this machine, where nobody can listen in between.
    pub fn is_loopback(&self) -> bool {
        self.host().parse::<IpAddr>().map_or(self.host == "localhost", |ip| ip.is_loopback())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.tls { "https" } else { "http" }, self.host, self.port)
    }
}

impl Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl crate::args::Typed for Endpoint {
    const KIND: crate::args::Kind = crate::args::Kind::Text;
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("127.0.0.1:2379", false, "http://127.0.0.1:2379")]
    #[case("127.0.0.1:2379", true, "https://127.0.0.1:2379")]
    #[case("https://etcd-1.example.com", false, "https://etcd-1.example.com:2379")]
    #[case("http://[::1]:2379/", true, "http://[::1]:2379")]
    #[case(" etcd-1:2379 ", false, "http://etcd-1:2379")]
    fn reads(#[case] text: &str, #[case] tls: bool, #[case] expected: &str) {
        assert_eq!(Endpoint::parse(text, tls).unwrap().to_string(), expected);
    }

    #[rstest]
    #[case("")]
    #[case("ftp://a:1")]
    #[case("unix:///run/etcd.sock")]
    #[case("a:99999")]
    #[case("a:0")]
    #[case("a:b")]
    #[case("http://a:1/path")]
    #[case("http://")]
    #[case("a b:1")]
    fn refuses(#[case] text: &str) {
        assert!(Endpoint::parse(text, false).unwrap_err().to_string().contains("endpoints"));
    }

    #[test]
    fn a_password_in_an_endpoint_is_refused_and_not_repeated() {
        let error = Endpoint::parse("https://root:hunter2@a:1", false).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
