//! Starting a member that joins a cluster which exists: the other half of `member add`.

use std::time::Duration;

use super::error::SandboxError;
use super::ports::hold;
use super::session::Session;
use super::state::{StoredMember, data_dir};
use super::{MemberRow, Sandbox, is_name};
use crate::args::BadArgument;
use crate::endpoint::Endpoint;
use crate::error::Result;

impl Sandbox {
    /// Starts a member with the start configuration that `member add` returned: one of the sandbox's own members that was
    /// removed and added again, or a new one. Waits until it serves, unless the bound is zero.
    ///
    /// # Errors
    /// It runs, or has data; the configuration does not name it, or names another machine; it ended, with the end of its log.
    pub async fn join(&self, name: &str, initial_cluster: &str, wait: Duration) -> Result<MemberRow> {
        {
            let mut session = self.session().await?;
            let member = session.joining(name, initial_cluster)?;
            session.take_in(member)?;
            session.spawn(name)?;
            self.write_profile(&session.state)?;
        }
        self.wait_started(&[name.to_owned()], wait).await?;
        self.member(name)?.row()
    }
}

impl Session<'_> {
    fn joining(&self, name: &str, initial_cluster: &str) -> Result<StoredMember> {
        expect_name(name)?;
        let dir = data_dir(&self.sandbox.folder, name);
        if self.known(name).is_some() {
            self.expect_down(name)?;
        }
        if dir.exists() {
            return Err(SandboxError::HasData { member: name.to_owned(), path: dir }.into());
        }
        self.configured(name, initial_cluster, peer_url(name, initial_cluster)?, "initial_cluster")
    }

    fn known(&self, name: &str) -> Option<&StoredMember> {
        self.state.members.iter().find(|member| member.name == name)
    }

    /// Returns what a member is started with that joins at a peer URL; the argument is the one that names the URL.
    pub(super) fn configured(
        &self,
        name: &str,
        initial_cluster: &str,
        url: &str,
        argument: &str,
    ) -> Result<StoredMember> {
        expect_name(name)?;
        let known = self.known(name);
        let mut member = match known {
            Some(member) => member.clone(),
            None => self.new_member(name)?,
        };
        if known.is_none_or(|known| self.state.peer_url(known) != url) {
            member.peer_port = self.local_port(url, argument)?;
            member.advertise_peer = None;
        }
        member.initial_cluster = initial_cluster.to_owned();
        member.joins = true;
        Ok(member)
    }

    fn new_member(&self, name: &str) -> Result<StoredMember> {
        let like =
            self.state.members.first().ok_or_else(|| crate::error::Error::internal("a sandbox without members"))?;
        Ok(StoredMember {
            name: name.to_owned(),
            etcd: like.etcd.clone(),
            client_port: hold()?.port,
            peer_port: 0,
            advertise_client: None,
            advertise_peer: None,
            flags: Vec::new(),
            initial_cluster: String::new(),
            joins: true,
            process: None,
            exit_code: None,
            log_from: 0,
        })
    }

    /// Returns the port of a peer URL, which has to be one of this machine and of the sandbox's scheme.
    fn local_port(&self, url: &str, argument: &str) -> Result<u16, BadArgument> {
        let expected = self.state.url(2380);
        let wrong = || {
            let problem =
                format!("has the peer URL {url:?}, where a sandbox can listen only at one such as {expected}");
            BadArgument::invalid(argument, problem, "add the member with such a URL")
        };
        let endpoint = Endpoint::parse(url, self.state.tls).map_err(|_| wrong())?;
        if endpoint.tls() != self.state.tls || endpoint.host() != "127.0.0.1" {
            return Err(wrong());
        }
        Ok(endpoint.port())
    }
}

/// Holds that a name can become part of a path.
fn expect_name(name: &str) -> Result<(), BadArgument> {
    let help = "use letters, digits, '-', '_' and '.'";
    if is_name(name) { Ok(()) } else { Err(BadArgument::invalid("member", "cannot be the name of a file", help)) }
}

/// Finds the peer URL of a member in a start configuration.
fn peer_url<'c>(name: &str, initial_cluster: &'c str) -> Result<&'c str, BadArgument> {
    let entries = || initial_cluster.split(',').filter_map(|entry| entry.trim().split_once('='));
    let own = entries().find(|(member, _)| *member == name).map(|(_, url)| url);
    own.ok_or_else(|| {
        let names: Vec<_> = entries().map(|(name, _)| name).collect();
        let problem = format!("does not name {name}; it names {}", names.join(", "));
        BadArgument::invalid("initial_cluster", problem, "give ETCD_INITIAL_CLUSTER as `member add` returned it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_configuration_names_the_member() {
        let cluster = "infra1=http://127.0.0.1:1,infra2=http://127.0.0.1:2, infra2=http://127.0.0.1:3";
        assert_eq!(peer_url("infra2", cluster).unwrap(), "http://127.0.0.1:2");
        let error = peer_url("infra3", cluster).unwrap_err().to_string();
        assert_eq!(error, "the argument initial_cluster does not name infra3; it names infra1, infra2, infra2");
    }
}
