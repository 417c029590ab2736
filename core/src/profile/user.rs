//! The user that a connection speaks for, out of the three places in which a password may stand.

use std::path::Path;

use super::{BadSettings, Secret, User};
use crate::args::BadArgument;
use crate::error::{Error, Result};
use crate::value::Value;

/// Puts a user together: NAME or NAME:PASSWORD, a password, and a file that holds one.
pub(super) fn read(user: Option<String>, password: Option<Value>, file: Option<&Path>) -> Result<Option<User>> {
    let Some(user) = user else {
        return match (password, file) {
            (None, None) => Ok(None),
            _ => {
                Err(BadArgument::invalid("user", "is missing, although a password is given", "give the user too")
                    .into())
            }
        };
    };
    let (name, inline) = match user.split_once(':') {
        Some((name, password)) => (name.to_owned(), Some(password.to_owned())),
        None => (user, None),
    };
    if name.is_empty() {
        return Err(BadArgument::invalid("user", "has no name", "give NAME or NAME:PASSWORD").into());
    }
    let password = match (inline, file, password) {
        (Some(password), _, _) => password,
        (None, Some(file), _) => {
            let unreadable = |source| BadSettings::Unreadable { path: file.to_owned(), source };
            let text = std::fs::read_to_string(file)
                .map_err(|source| Error::from(unreadable(source)).for_argument("password_file"))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        (None, None, Some(Value::Text(password))) => password,
        (None, None, _) => {
            let help = "give NAME:PASSWORD, password_file, or ETCDCTL_PASSWORD";
            return Err(BadArgument::invalid("user", "has no password", help).into());
        }
    };
    Ok(Some(User { name, password: Secret::new(password) }))
}
