//! The functions that the engine has, by name and number of parameters.

use std::any::TypeId;
use std::collections::HashMap;

use etcdsh_core::catalogue::CATALOGUE;
use rhai::{Dynamic, Engine};

use crate::cluster::Cluster;

/// Functions that the engine treats in a way of its own, whatever they are given.
const SPECIAL: &[&str] = &[
    "call",
    "curry",
    "debug",
    "Fn",
    "is_def_fn",
    "is_def_var",
    "is_shared",
    "print",
    "to_debug",
    "to_string",
    "type_of",
];

/// The functions of an engine.
pub(super) struct Functions(HashMap<String, Vec<Form>>);

/// One form of a function.
struct Form {
    params: usize,
    first: First,
}

/// What the first parameter takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Cluster,
    Anything,
    Other,
}

impl Functions {
    /// Reads an engine.
    pub(super) fn of(engine: &Engine) -> Self {
        let mut functions: HashMap<String, Vec<Form>> = HashMap::new();
        let found = engine.collect_fn_metadata(
            None,
            |info| {
                let first = info.metadata.param_types.first().map_or(First::Other, |first| match *first {
                    cluster if cluster == TypeId::of::<Cluster>() => First::Cluster,
                    any if any == TypeId::of::<Dynamic>() => First::Anything,
                    _ => First::Other,
                });
                Some((info.metadata.name.to_string(), Form { params: info.metadata.num_params, first }))
            },
            true,
        );
        for (name, form) in found {
            functions.entry(name).or_default().push(form);
        }
        Functions(functions)
    }

    /// Says whether nothing can be said about calls of a name.
    pub(super) fn is_special(name: &str) -> bool {
        SPECIAL.contains(&name)
    }

    fn forms(&self, name: &str) -> impl Iterator<Item = &Form> {
        self.0.get(name).into_iter().flatten()
    }

    /// Says whether there is a function of a name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Says whether there is a function of a name and a number of parameters.
    pub(super) fn has(&self, name: &str, params: usize) -> bool {
        self.forms(name).any(|form| form.params == params)
    }

    /// Says whether a function can be given a cluster first.
    pub(super) fn takes_cluster(&self, name: &str) -> bool {
        self.forms(name).any(|form| form.params > 0 && form.first != First::Other)
    }

    /// Says whether a function of this many parameters can be given nothing but a cluster first.
    pub(super) fn takes_only_cluster(&self, name: &str, params: usize) -> bool {
        self.forms(name).filter(|form| form.params == params).all(|form| form.first == First::Cluster)
    }

    /// Returns all names that a script can call.
    pub(super) fn names(&self) -> Vec<&str> {
        let named = |name: &&str| name.starts_with(|c: char| c.is_alphabetic()) && !name.contains('$');
        let mut names: Vec<_> = self.0.keys().map(String::as_str).filter(named).collect();
        names.sort_unstable();
        names
    }

    /// Returns the names of all operations.
    pub(super) fn operations() -> Vec<String> {
        CATALOGUE.iter().map(|entry| entry.card.identifier()).collect()
    }
}
