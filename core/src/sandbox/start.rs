//! Starting a cluster. When it does not work out, nothing is left but the logs.

use futures_util::future::join_all;

use super::error::{SandboxError, cut};
use super::etcd::find;
use super::files::{make_folder, remove};
use super::options::{MemberOptions, Options, Seat, Seed};
use super::ports::{Held, hold};
use super::profile::USER;
use super::session::Session;
use super::state::{Lock, State, StoredMember, data_dir, log_path};
use super::{Sandbox, ca, log};
use crate::args::BadArgument;
use crate::error::{Error, Result};
use crate::rpc::Cluster;

/// How often a start is repeated because somebody else took a port in the moment in which it was free.
const ATTEMPTS: usize = 3;

impl Sandbox {
    /// Starts the cluster.
    pub(crate) async fn launch(&self, options: &Options) -> Result<()> {
        if !(1..=9).contains(&options.members) {
            return Err(BadArgument::invalid("members", "should be from 1 to 9", "3 is the usual number").into());
        }
        make_folder(&self.places.sandboxes())?;
        for attempt in 1.. {
            let lock = self.lock().await?;
            if State::load(&self.folder)?.is_some() {
                return Err(SandboxError::Exists { name: self.name.clone() }.into());
            }
            remove(&self.folder)?;
            let mut undo = Undo(Some(self));
            let nothing = || "nothing was left running".to_owned();
            match self.unless_cancelled(self.bring_up(options, lock)).await.map_err(cut(nothing)) {
                Ok(()) => {
                    undo.0 = None;
                    break;
                }
                Err(_) if attempt < ATTEMPTS && self.port_was_taken() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn bring_up(&self, options: &Options, lock: Lock) -> Result<()> {
        let (state, mut held) = self.prepare(options)?;
        state.save(&self.folder)?;
        if let Some(seed) = &options.seed {
            self.seed(&state, seed).await?;
        }
        let mut session = Session::new(self, lock)?;
        let names = session.member_names();
        for name in &names {
            // The ports are free for a moment only; see `ATTEMPTS`.
            held.drain(..2.min(held.len()));
            session.spawn(name)?;
        }
        self.wait_ready(&names, options.wait).await?;
        if options.auth {
            session.state.password = Some(self.enable_auth().await?);
            session.save()?;
            self.wait_ready(&names, options.wait).await?;
        }
        self.write_profile(&session.state)
    }

    /// Gives the members what they are to have, all at the same time.
    async fn seed(&self, state: &State, seed: &Seed) -> Result<()> {
        let all: Vec<_> = state.members.iter().map(|m| (m.name.clone(), state.peer_url(m))).collect();
        let seats = all.iter().map(|(name, peer_url)| Seat {
            name: name.clone(),
            initial_cluster: all.clone(),
            token: state.token.clone(),
            peer_url: peer_url.clone(),
            data_dir: data_dir(&self.folder, name),
        });
        let put = seats.map(|seat| {
            let seed = seed.clone();
            tokio::task::spawn_blocking(move || (seed.0)(&seat))
        });
        for done in join_all(put).await {
            done.map_err(Error::internal)??;
        }
        Ok(())
    }

    /// Makes a user and asks everybody for one; returns the password.
    async fn enable_auth(&self) -> Result<String> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).map_err(Error::internal)?;
        let password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let cluster = Cluster::new(self.profile()?)?;
        let seed = cluster.profile().endpoints.first().ok_or_else(|| Error::internal("a sandbox without members"))?;
        cluster.node(seed)?.scratch().enable_auth(USER, &password, cluster.deadline()).await?;
        Ok(password)
    }

    /// Decides everything, and makes the files that the members need.
    fn prepare(&self, options: &Options) -> Result<(State, Vec<Held>)> {
        let etcd = find(options.etcd.as_deref(), &self.places)?;
        for folder in ["logs", "ca", "certs"] {
            make_folder(&self.folder.join(folder))?;
        }
        let mut held = Vec::new();
        let mut port = || -> Result<u16> {
            let new = hold()?;
            let port = new.port;
            held.push(new);
            Ok(port)
        };
        let mut state = State {
            tls: options.tls,
            detached: options.detached,
            token: format!("{}-{}", self.name, chrono::Utc::now().timestamp_micros()),
            flags: options.flags.clone(),
            password: None,
            members: Vec::new(),
        };
        for number in 1..=options.members {
            let name = format!("infra{number}");
            let only = options.only.get(&name).cloned().unwrap_or_default();
            let MemberOptions { etcd: other, flags, advertise_client_url, advertise_peer_url } = only;
            state.members.push(StoredMember {
                etcd: match other {
                    Some(other) => find(Some(&other), &self.places)?,
                    None => etcd.clone(),
                },
                name,
                client_port: port()?,
                peer_port: port()?,
                advertise_client: advertise_client_url,
                advertise_peer: advertise_peer_url,
                flags,
                initial_cluster: String::new(),
                joins: false,
                process: None,
                exit_code: None,
                log_from: 0,
            });
        }
        let all: Vec<_> = state.members.iter().map(|m| format!("{}={}", m.name, state.peer_url(m))).collect();
        for member in &mut state.members {
            member.initial_cluster = all.join(",");
        }
        if options.tls {
            ca::create(&self.folder)?;
            ca::issue_client(&self.folder)?;
            for member in &state.members {
                ca::issue_server(&self.folder, &member.name)?;
            }
        }
        Ok((state, held))
    }

    fn port_was_taken(&self) -> bool {
        let members = self.state().map(|state| state.members).unwrap_or_default();
        let logs = members.iter().flat_map(|member| log::lines(&log_path(&self.folder, &member.name), member.log_from));
        logs.into_iter().any(|line| line.contains("address already in use"))
    }
}

/// Takes everything back but the logs, unless it is told not to: also when the start is dropped half-way.
struct Undo<'a>(Option<&'a Sandbox>);

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let Some(sandbox) = self.0 else { return };
        sandbox.kill_now();
        for entry in std::fs::read_dir(&sandbox.folder).into_iter().flatten().flatten() {
            if entry.file_name() != "logs" {
                // The error of the start itself is the one that matters.
                let _ = remove(&entry.path());
            }
        }
    }
}
