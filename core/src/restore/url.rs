//! Where the other members reach a member. It goes into the database and the log as it is written, and the member's id is made of
//! it, so that only what etcd would write the same way is taken.

/// Reads a peer URL, and returns it as etcd writes it.
///
/// # Errors
/// What is wrong with it, to be read after "which".
pub(super) fn peer_url(text: &str) -> Result<String, &'static str> {
    let (scheme, rest) = text.trim().split_once("://").ok_or("has no scheme")?;
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "http" | "https" => {
            if rest.contains('/') {
                return Err("has a path");
            }
            let (host, port) = split(rest).ok_or("is not scheme, host and port")?;
            check_host(host)?;
            check_port(port)?;
        }
        "unix" | "unixs" => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
            let (socket, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            match split(socket) {
                Some((host, port)) => check_host(host).and_then(|()| check_port(port))?,
                None if socket.is_empty() => {}
                None => check_host(socket)?,
            }
            if rest.is_empty() || !path.chars().all(plain) {
                return Err("names a socket that etcd might write in another way");
            }
        }
        _ => return Err("has another scheme than http, https, unix and unixs"),
    }
    Ok(format!("{scheme}://{rest}"))
}

/// Splits host and port. The colons of an IPv6 address are within brackets.
fn split(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    (!port.contains(']')).then_some((host, port))
}

fn check_host(host: &str) -> Result<(), &'static str> {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)),
    };
    if good { Ok(()) } else { Err("has no name and no address of a host") }
}

fn check_port(port: &str) -> Result<(), &'static str> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let good = digits && port.parse::<u16>().is_ok_and(|port| port > 0);
    if good { Ok(()) } else { Err("has a port that is not a number from 1 to 65535") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("http://a:2380", Ok("http://a:2380"))]
    #[case(" HTTPS://A.b-c_d:1 ", Ok("https://A.b-c_d:1"))]
    #[case("http://[::1]:2380", Ok("http://[::1]:2380"))]
    #[case("unix://localhost:12345", Ok("unix://localhost:12345"))]
    #[case("unixs:///run/etcd.sock", Ok("unixs:///run/etcd.sock"))]
    #[case("unix://etcd", Ok("unix://etcd"))]
    #[case("a:2380", Err("has no scheme"))]
    #[case("ftp://a:2380", Err("has another scheme than http, https, unix and unixs"))]
    #[case("http://a", Err("is not scheme, host and port"))]
    #[case("http://[::1]", Err("is not scheme, host and port"))]
    #[case("http://a:2380/", Err("has a path"))]
    #[case("http://a:2380/b", Err("has a path"))]
    #[case("http://a:2380?b", Err("has a port that is not a number from 1 to 65535"))]
    #[case("http://a:0", Err("has a port that is not a number from 1 to 65535"))]
    #[case("http://a:+1", Err("has a port that is not a number from 1 to 65535"))]
    #[case("http://a:65536", Err("has a port that is not a number from 1 to 65535"))]
    #[case("http://:2380", Err("has no name and no address of a host"))]
    #[case("http://u:p@a:2380", Err("has no name and no address of a host"))]
    #[case("http://a b:2380", Err("has no name and no address of a host"))]
    #[case("http://[::g]:2380", Err("has no name and no address of a host"))]
    #[case("unix://", Err("names a socket that etcd might write in another way"))]
    #[case("unix:///a b", Err("names a socket that etcd might write in another way"))]
    fn only_what_etcd_writes_the_same_way_is_taken(#[case] text: &str, #[case] read: Result<&str, &'static str>) {
        assert_eq!(peer_url(text), read.map(str::to_owned));
    }
}
