//! The variables of the caller's environment that say which cluster is meant.

use super::BadSettings;
use crate::error::Result;
use crate::value::{Record, Value};

/// The variables that are read, each with the setting it stands for.
const VARIABLES: &[(&str, &str)] = &[
    ("ETCDCTL_ENDPOINTS", "endpoints"),
    ("ETCDCTL_CACERT", "cacert"),
    ("ETCDCTL_CERT", "cert"),
    ("ETCDCTL_KEY", "key"),
    ("ETCDCTL_USER", "user"),
    ("ETCDCTL_PASSWORD", "password"),
    ("ETCDCTL_COMMAND_TIMEOUT", "timeout"),
    ("ETCDCTL_DIAL_TIMEOUT", "connect_timeout"),
];

/// Variables of etcdctl that would change whom we talk to in a way that we do not offer. To pass over them would be worse than
/// to say so.
const REFUSED: &[(&str, &str)] = &[
    ("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "pin the server's certificate with tls_pin in place of not checking it"),
    ("ETCDCTL_DISCOVERY_SRV", "give the endpoints themselves"),
];

/// Reads the settings that the environment holds.
///
/// # Errors
/// A variable asks for what is not offered.
pub(super) fn read(env: &dyn Fn(&str) -> Option<String>) -> Result<Record> {
    let set = |variable: &str| env(variable).filter(|value| !value.is_empty());
    // Endpoints are often exported for etcdctl; who names a profile too means the profile, and nothing of the rest.
    if let Some(profile) = set("ETCDSH_PROFILE") {
        return Ok([("profile", Value::Text(profile))].into_iter().collect());
    }
    for (variable, instead) in REFUSED {
        if set(variable).is_some_and(|value| !matches!(value.as_str(), "false" | "0")) {
            return Err(BadSettings::Variable { variable, instead }.into());
        }
    }
    let settings = VARIABLES.iter().filter_map(|(variable, setting)| Some((*setting, Value::Text(set(variable)?))));
    Ok(settings.collect())
}

/// Returns the variable that stands for a setting.
pub(super) fn variable(setting: Option<&str>) -> Option<&'static str> {
    let of = VARIABLES.iter().chain([&("ETCDSH_PROFILE", "profile")]);
    of.filter(|(_, known)| Some(*known) == setting).map(|(variable, _)| *variable).next()
}
