//! Clients of etcd for one endpoint each, with the settings of a profile.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use etcd_client::{
    AlarmAction, AlarmOptions, AlarmType, Certificate, Client, ConnectOptions, Error, Identity, TlsOptions,
};
use etcdsh_core::profile::Profile;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::cluster::{Running, driver};
use crate::look::row;

/// How long connecting may take, and then logging in.
const CONNECT: Duration = Duration::from_secs(1);

/// How to reach a cluster.
#[derive(Clone)]
pub(super) struct Dial(ConnectOptions);

impl Dial {
    /// Reads the files of a profile.
    pub(super) fn of(profile: &Profile) -> Self {
        // Simple tokens are lost when a member restarts, so a new one is fetched when the old one is refused.
        let mut options = ConnectOptions::new().with_connect_timeout(CONNECT).with_auto_token_refresh(true);
        if let Some(user) = &profile.user {
            options = options.with_user(&user.name, user.password.expose());
        }
        if profile.tls.is_set() {
            let read = |path: &std::path::PathBuf| std::fs::read(path).expect("a file of the profile");
            let mut tls = TlsOptions::new().timeout(CONNECT);
            if let Some(cacert) = &profile.tls.cacert {
                tls = tls.ca_certificate(Certificate::from_pem(read(cacert)));
            }
            if let (Some(cert), Some(key)) = (&profile.tls.cert, &profile.tls.key) {
                tls = tls.identity(Identity::from_pem(read(cert), read(key)));
            }
            if let Some(name) = &profile.tls.server_name {
                tls = tls.domain_name(name);
            }
            options = options.with_tls(tls);
        }
        Dial(options)
    }

    /// Makes a client for one endpoint; with a user it logs in, and otherwise nothing is contacted yet.
    pub(super) async fn client(&self, url: &str) -> Result<Client, Failure> {
        let connect = Client::connect([url], Some(self.0.clone()));
        // Nothing but a login was sent, so nothing can have been done.
        match timeout(CONNECT * 2, connect).await {
            Ok(connected) => connected.map_err(|error| Failure { never: true, ..Failure::of(&error) }),
            Err(_) => Err(Failure { never: true, timed_out: true, message: "no login in time".to_owned() }),
        }
    }
}

impl Running {
    /// Raises an alarm about a member, as a server does that finds something wrong with it.
    ///
    /// # Panics
    /// The cluster does not take it.
    pub fn raise(&self, alarm: AlarmType, member: &str) {
        let list = self.call("member list", serde_json::json!({})).expect("a list of the members");
        let id = row(&list, member)["member_id"].as_str().and_then(|id| u64::from_str_radix(id, 16).ok());
        let mut about = AlarmOptions::new();
        about.with_member(id.expect("a member has an id"));
        let (dial, url) = (Dial::of(&self.profile()), self.member(member).client_url().to_owned());
        driver().block_on(async {
            let mut client = dial.client(&url).await.expect("the member can be reached");
            client.alarm(AlarmAction::Activate, alarm, Some(about)).await.expect("an alarm is taken");
        });
    }
}

impl Running {
    /// Puts a key as often as this, the number of the put as its value, each at a revision of its own.
    ///
    /// # Panics
    /// The cluster does not take it.
    pub fn put_again(&self, key: &str, times: usize) {
        let (dial, url) = (Dial::of(&self.profile()), self.member("infra1").client_url().to_owned());
        driver().block_on(async {
            let mut client = dial.client(&url).await.expect("the member can be reached");
            for number in 0..times {
                client.put(key, number.to_string(), None).await.expect("a put is taken");
            }
        });
    }
}

/// A client, once it is there.
type Slot = Arc<OnceCell<Client>>;

/// The clients that several tasks share. A connection that breaks is made again by the client itself.
pub(super) struct Clients {
    dial: Dial,
    /// By a number, so that there can be several for one endpoint, and by the endpoint.
    open: Mutex<HashMap<(usize, String), Slot>>,
}

impl Clients {
    pub(super) fn of(profile: &Profile) -> Self {
        Clients { dial: Dial::of(profile), open: Mutex::default() }
    }

    /// Returns a client, and makes it on its first use; who comes meanwhile waits for it, because logging in is expensive.
    pub(super) async fn of_endpoint(&self, number: usize, url: &str) -> Result<Client, Failure> {
        let slot = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(open.entry((number, url.to_owned())).or_default())
        };
        slot.get_or_try_init(|| self.dial.client(url)).await.cloned()
    }
}

/// Why a call failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// Whether it is certain that nothing was done.
    pub(super) never: bool,
    /// Whether the bound passed.
    pub(super) timed_out: bool,
    /// What was said.
    pub(super) message: String,
}

impl Failure {
    /// A member that nobody has started cannot be asked.
    pub(super) fn unstarted() -> Self {
        Failure { never: true, timed_out: false, message: "it was not started".to_owned() }
    }

    /// A stream has ended before it should.
    pub(super) fn broken_off() -> Self {
        Failure { never: false, timed_out: false, message: "the stream broke off".to_owned() }
    }

    fn of(error: &Error) -> Self {
        Failure { never: nothing_was_done(error), timed_out: false, message: error.to_string() }
    }
}

/// Waits for the answer of a call, no longer than the bound.
pub(super) async fn within<T>(bound: Duration, call: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
    match timeout(bound, call).await {
        Ok(answer) => answer.map_err(|error| Failure::of(&error)),
        Err(_) => Err(Failure { never: false, timed_out: true, message: format!("no answer within {bound:?}") }),
    }
}

/// Says whether an error is certain to mean that nothing was done: there was no connection, or the server has refused. Where in
/// doubt it is not.
fn nothing_was_done(error: &Error) -> bool {
    use tonic::Code::{FailedPrecondition, InvalidArgument, PermissionDenied, ResourceExhausted, Unauthenticated};
    let Error::GRpcStatus(status) = error else { return false };
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    matches!(
        status.code(),
        FailedPrecondition | InvalidArgument | PermissionDenied | ResourceExhausted | Unauthenticated
    )
}
