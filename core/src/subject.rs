//! What a call is about: a cluster that lives, or a file with the data of one.

use std::path::PathBuf;

use crate::args::{Args, BadArgument, Param, complete};
use crate::card::{Card, Target};
use crate::error::{Fault, Result};
use crate::places::Places;
use crate::profile::{Layers, Profile, Settings, resolve};
use crate::value::{Record, Value};

crate::args! {
    /// What stands in the place of a cluster, where an operation reads data at rest as well.
    pub struct AtRest() {
        /// Read this file in place of a cluster: a snapshot, or the data dir of a member that is stopped.
        db: Option<PathBuf>,
        /// Read the file also where the SHA-256 at its end is not that of its data: what is whole in it, or looks so.
        skip_hash_check: bool,
    }
}

/// What a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one for each call")]
pub enum Subject {
    /// A cluster that lives.
    Cluster(Profile),
    /// A snapshot, or the data dir of a member that is stopped.
    File(DbFile),
}

/// A file that is read in place of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Whether it is read also where the SHA-256 at its end is not that of its data.
    pub skip_hash_check: bool,
}

impl Subject {
    /// Decides what is meant: the file that the call itself names, or else the cluster that its layers of settings name.
    ///
    /// # Errors
    /// A setting that cannot be used, with the layer it stands in; a file and a cluster together.
    pub fn resolve(mut layers: Layers<'_>, places: &Places) -> Result<Self> {
        let of_file = AtRest::PARAMS.iter().filter_map(|param| Some((param.name, layers.flags.remove(param.name)?)));
        let of_file: Record = of_file.collect();
        let AtRest { db, skip_hash_check } =
            AtRest::read(complete(&[AtRest::PARAMS], of_file, &|path| places.absolute(path))?)?;
        let Some(path) = db else {
            if skip_hash_check {
                let help = "give the file with db; what a cluster answers has no SHA-256";
                return Err(BadArgument::invalid("skip_hash_check", "is given without db", help).into());
            }
            return resolve(layers, places).map(Subject::Cluster);
        };
        if layers.flags.iter().any(|(_, value)| *value != Value::Null) {
            let help = "give one of them: a file is read without any cluster";
            return Err(BadArgument::invalid("db", "is given together with a setting of a cluster", help).into());
        }
        Ok(Subject::File(DbFile { path, skip_hash_check }))
    }

    /// Refuses what cannot be done with a file.
    ///
    /// # Errors
    /// It is a file, and the operation works on clusters only.
    pub(crate) fn suits(&self, card: &Card) -> Result<()> {
        match self {
            Subject::File(DbFile { path, .. }) if card.target != Target::ClusterOrFile => {
                Err(NotOnAFile { operation: card.name, path: path.clone() }.into())
            }
            _ => Ok(()),
        }
    }
}

impl Target {
    /// Says whether a call with these arguments is about something beside them.
    pub fn is_asked(self, args: &Record) -> bool {
        match self {
            Target::Cluster | Target::ClusterOrFile => true,
            Target::ClusterIf(switches) => switches.iter().any(|switch| args.get(switch) == Some(&Value::Bool(true))),
            Target::Nothing => false,
        }
    }

    /// Returns the parameters that say what a call is about, which stand beside the operation's own.
    pub fn params(self) -> impl Iterator<Item = &'static Param> {
        let (cluster, file) = match self {
            Target::Cluster | Target::ClusterIf(_) => (Settings::PARAMS, [].as_slice()),
            Target::ClusterOrFile => (Settings::PARAMS, AtRest::PARAMS),
            Target::Nothing => ([].as_slice(), [].as_slice()),
        };
        file.iter().chain(cluster)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{operation} needs a cluster, and this is the file {}", path.display())]
struct NotOnAFile {
    operation: &'static str,
    path: PathBuf,
}

impl Fault for NotOnAFile {
    fn code(&self) -> &'static str {
        "not_on_a_file"
    }

    fn argument(&self) -> Option<&str> {
        Some("db")
    }

    fn help(&self) -> Option<String> {
        Some("name a cluster; `snapshot restore` makes one out of a snapshot".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::shown;

    fn resolved(flags: &[(&'static str, &str)]) -> Result<Subject> {
        let value = |text: &str| if text == "true" { Value::Bool(true) } else { Value::from(text) };
        let flags = flags.iter().map(|(name, text)| (*name, value(text))).collect();
        let places = Places::from_env("/home/me".into(), |_| None);
        Subject::resolve(Layers { flags, env: &|_| None, shell: None }, &places)
    }

    #[test]
    fn a_file_stands_in_place_of_a_cluster() {
        let file = |skip_hash_check| Subject::File(DbFile { path: "/home/me/b.db".into(), skip_hash_check });
        assert_eq!(resolved(&[("db", "b.db")]).unwrap(), file(false));
        assert_eq!(resolved(&[("db", "b.db"), ("skip_hash_check", "true")]).unwrap(), file(true));
        assert!(matches!(resolved(&[("endpoints", "a:1")]).unwrap(), Subject::Cluster(_)));
        let find = |name: &str| crate::catalogue::find(name).unwrap().card;
        let file = file(false);
        assert!(file.suits(&find("member list")).is_ok());
        let errors = [
            resolved(&[("db", "b.db"), ("endpoints", "a:1")]).map(drop).unwrap_err(),
            resolved(&[("db", "")]).map(drop).unwrap_err(),
            resolved(&[("skip_hash_check", "true"), ("endpoints", "a:1")]).map(drop).unwrap_err(),
            file.suits(&find("member remove")).unwrap_err(),
        ];
        insta::assert_snapshot!(shown(errors), @"
        invalid_argument (db): the argument db is given together with a setting of a cluster
          help: give one of them: a file is read without any cluster
        invalid_argument (db): the argument db is an empty path
          help: give a file or folder
        invalid_argument (skip_hash_check): the argument skip_hash_check is given without db
          help: give the file with db; what a cluster answers has no SHA-256
        not_on_a_file (db): member remove needs a cluster, and this is the file /home/me/b.db
          help: name a cluster; `snapshot restore` makes one out of a snapshot
        ");
    }

    #[test]
    fn a_cluster_is_asked_where_the_call_is_about_one() {
        let args = |live| [("live", Value::Bool(live))].into_iter().collect::<Record>();
        let asked = |target: Target, live| target.is_asked(&args(live));
        assert!(
            asked(Target::Cluster, false)
                && asked(Target::ClusterOrFile, false)
                && asked(Target::ClusterIf(&["live"]), true)
        );
        assert!(!asked(Target::ClusterIf(&["live"]), false) && !asked(Target::Nothing, true));
        assert!(!Target::ClusterIf(&["live"]).is_asked(&Record::new()));
    }
}
