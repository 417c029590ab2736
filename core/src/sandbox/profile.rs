//! The profile of a sandbox: as a value, and as the file that `--profile NAME` finds.

use super::files::write_private;
use super::state::State;
use super::{Sandbox, ca};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::profile::{DEFAULT_CONNECT_TIMEOUT, DEFAULT_TIMEOUT, Hosts, Profile, SANDBOX_PROFILE, Secret, Tls, User};

/// Who clients are where they have to say it.
pub(super) const USER: &str = "root";

impl Sandbox {
    /// Returns how to talk to the cluster.
    ///
    /// # Errors
    /// There is no such sandbox.
    pub fn profile(&self) -> Result<Profile> {
        let state = self.state()?;
        let path = |below: &str| self.folder.join(below);
        let tls = Tls {
            cacert: Some(path(ca::CA_CERT)),
            cert: Some(path(&ca::cert_path(ca::CLIENT))),
            key: Some(path(&ca::key_path(ca::CLIENT))),
            ..Tls::default()
        };
        let endpoints = state.members.iter().map(|member| Endpoint::parse(&state.client_url(member), state.tls));
        Ok(Profile {
            name: Some(self.name.clone()),
            endpoints: endpoints.collect::<Result<_, _>>()?,
            tls: if state.tls { tls } else { Tls::default() },
            user: state.password.map(|password| User { name: USER.to_owned(), password: Secret::new(password) }),
            cluster_id: None,
            timeout: DEFAULT_TIMEOUT,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            assumed: false,
            hosts: Some(Hosts::Sandbox { name: self.name.clone() }),
        })
    }

    /// Writes the file that makes `--profile NAME` find the cluster. Its paths are relative to it.
    pub(super) fn write_profile(&self, state: &State) -> Result<()> {
        let text = |text: String| toml::Value::String(text);
        let mut table = toml::Table::new();
        let endpoints = state.members.iter().map(|member| text(state.client_url(member))).collect();
        table.insert("endpoints".to_owned(), toml::Value::Array(endpoints));
        if state.tls {
            let files = [
                ("cacert", ca::CA_CERT.to_owned()),
                ("cert", ca::cert_path(ca::CLIENT)),
                ("key", ca::key_path(ca::CLIENT)),
            ];
            table.extend(files.map(|(name, path)| (name.to_owned(), text(path))));
        }
        if let Some(password) = &state.password {
            table.insert("user".to_owned(), text(USER.to_owned()));
            table.insert("password".to_owned(), text(password.clone()));
        }
        let hosts = [("driver", "sandbox"), ("sandbox", self.name())];
        let hosts = hosts.map(|(name, value)| (name.to_owned(), text(value.to_owned())));
        table.insert("hosts".to_owned(), toml::Value::Table(hosts.into_iter().collect()));
        let content = toml::to_string(&table).map_err(Error::internal)?;
        Ok(write_private(&self.folder.join(SANDBOX_PROFILE), content.as_bytes())?)
    }
}
