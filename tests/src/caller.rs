//! A user of this machine: folders of its own, and the ways to use a cluster from there.

use std::path::Path;

use etcdsh_core::blocking::Call;
use etcdsh_core::context::{Cancel, HookFn};
use etcdsh_core::error::Result;
use etcdsh_core::event::Event;
use etcdsh_core::operation::Entry;
use etcdsh_core::places::Places;
use etcdsh_core::profile::{Layers, Profile, resolve};
use etcdsh_core::report::Answer;
use etcdsh_core::subject::{DbFile, Subject};
use etcdsh_core::value::{Record, Value};

use crate::cluster::{driver, json};
use crate::home::Home;

/// A user, whose home is gone when it is dropped.
pub struct Caller {
    /// The user's folders.
    pub places: Places,
    home: Home,
}

impl Caller {
    /// Makes a user without any configuration.
    pub fn new() -> Self {
        let home = Home::new();
        Caller { places: home.places(), home }
    }

    /// Returns the user's home, which is the current folder too.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Returns the settings that these flags make.
    ///
    /// # Errors
    /// A flag that cannot be used.
    pub fn profile(&self, flags: &[(&str, &str)]) -> Result<Profile> {
        let flags = flags.iter().map(|(name, value)| ((*name).to_owned(), Value::Text((*value).to_owned()))).collect();
        resolve(Layers { flags, env: &|_| None, shell: None }, &self.places)
    }

    /// Runs an operation through core, and returns its answer as core has it: columns are in their order, and bytes are bytes.
    /// A stream is read to its end.
    ///
    /// # Errors
    /// What the operation failed with.
    pub fn answer(&self, profile: &Profile, name: &str, args: Record) -> Result<Value> {
        self.answer_told(profile, name, args, &|_| {})
    }

    /// The same, with somebody who is told what happens.
    ///
    /// # Errors
    /// What the operation failed with.
    pub fn answer_told(&self, profile: &Profile, name: &str, args: Record, events: &dyn Fn(&Event)) -> Result<Value> {
        self.answer_hooked(profile, name, args, events, &[], Cancel::new())
    }

    /// The same with callbacks, which `Value::Hook` in the arguments refers to, and with what stands for Ctrl-C.
    ///
    /// # Errors
    /// What the operation failed with.
    pub fn answer_hooked<'h>(
        &self,
        profile: &Profile,
        name: &str,
        args: Record,
        events: &dyn Fn(&Event),
        hooks: &[HookFn<'h>],
        cancel: Cancel,
    ) -> Result<Value> {
        let subject = Some(Subject::Cluster(profile.clone()));
        self.ask(name, |entry| Call { entry, args, subject, places: &self.places, hooks, events, cancel })
    }

    /// Runs an operation on a file in place of a cluster, and returns its answer as JSON.
    ///
    /// # Errors
    /// What the operation failed with.
    pub fn call_on(&self, file: &Path, name: &str, args: serde_json::Value) -> Result<serde_json::Value> {
        let file = DbFile { path: file.to_owned(), skip_hash_check: false };
        let (args, subject) = (record(args), Some(Subject::File(file)));
        let (places, cancel) = (&self.places, Cancel::new());
        let answer = self.ask(name, |entry| Call { entry, args, subject, places, hooks: &[], events: &|_| {}, cancel });
        answer.map(|value| json(&value))
    }

    fn ask<'c>(&self, name: &str, call: impl FnOnce(&'static Entry) -> Call<'c>) -> Result<Value> {
        let entry = etcdsh_core::catalogue::find(name).unwrap_or_else(|| panic!("there is no operation {name:?}"));
        match driver().call(call(entry))? {
            Answer::Value(value) => Ok(value),
            Answer::Stream(stream) => Ok(Value::List(stream.collect::<Result<Vec<_>>>()?)),
        }
    }

    /// Runs an operation through core, and returns its answer as JSON.
    ///
    /// # Errors
    /// What the operation failed with.
    pub fn call(&self, profile: &Profile, name: &str, args: serde_json::Value) -> Result<serde_json::Value> {
        self.answer(profile, name, record(args)).map(|value| json(&value))
    }

    /// Returns the user's home with its shells.
    pub fn shells(&self) -> &Home {
        &self.home
    }
}

impl Default for Caller {
    fn default() -> Self {
        Caller::new()
    }
}

/// Turns a JSON object into arguments.
pub fn record(json: serde_json::Value) -> Record {
    let Value::Record(args) = value(json) else { panic!("arguments are a JSON object") };
    args
}

fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => Value::Int(number.as_i64().expect("a whole number")),
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(value).collect()),
        serde_json::Value::Object(fields) => {
            Value::Record(fields.into_iter().map(|(name, field)| (name, value(field))).collect::<Record>())
        }
    }
}
