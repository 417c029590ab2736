//! The card of an operation: plain data that says what it is. Faces derive help, completion and the reference from it.

/// What an operation is.
#[derive(Debug, Clone, Copy)]
pub struct Card {
    /// Its words, for example `member add`. Nushell says `etcd member add`, Rhai says `etcd.member_add`.
    pub name: &'static str,
    /// One sentence, in the present tense, with its full stop.
    pub summary: &'static str,
    /// What its user should know: what can go wrong, what it never does. May be empty.
    pub details: &'static str,
    /// Other words under which people look for it.
    pub search: &'static [&'static str],
    /// What it does to its target.
    pub effect: Effect,
    /// What a script must have been granted to use it.
    pub capability: Capability,
    /// What it works on.
    pub target: Target,
    /// Calls that show how it is used.
    pub examples: &'static [Example],
}

impl Card {
    /// Returns the name as one identifier, for a language in which names have no spaces.
    pub fn identifier(&self) -> String {
        self.name.replace([' ', '-'], "_")
    }
}

/// What an operation does to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It only looks. Ctrl-C drops it where it is.
    Reads,
    /// It changes something. Ctrl-C stops it at the next safe point.
    Changes,
    /// It takes something away that cannot be had back.
    Destroys,
}

crate::choice! {
    /// A family of powers that the caller of a script grants or withholds. It is not derived from the effect: saving a
    /// snapshot only reads the cluster, and still writes all its data into a file.
    pub enum Capability {
        /// Looking. Every script may.
        Read = "read",
        /// Writing the data of a cluster into files.
        Snapshot = "snapshot",
        /// Changing how members work: alarms, compaction, defragmentation, leadership.
        Maintain = "maintain",
        /// Changing who belongs to a cluster.
        Membership = "membership",
        /// Making a data dir or a cluster out of saved data.
        Restore = "restore",
        /// Starting, breaking and stopping throwaway clusters on this machine.
        Sandbox = "sandbox",
        /// Starting programs on this machine.
        Exec = "exec",
    }
}

/// What an operation works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A live cluster.
    Cluster,
    /// A live cluster, or a file with the data of one.
    ClusterOrFile,
    /// Its arguments, and a live cluster where one of the switches of these names is given.
    ClusterIf(&'static [&'static str]),
    /// Nothing but its arguments.
    Nothing,
}

/// A call that shows how an operation is used. It is data, so that each face writes it in its own language.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// What it shows.
    pub about: &'static str,
    /// The arguments by name; positional ones are recognised by the parameters.
    pub args: &'static [(&'static str, Sample)],
}

/// An argument in an example.
#[derive(Debug, Clone, Copy)]
pub enum Sample {
    /// Text, a path, a duration or a word.
    Text(&'static str),
    /// A whole number.
    Int(i64),
    /// A switch that is on.
    On,
    /// A list of texts.
    List(&'static [&'static str]),
    /// A callback that looks at its record and does nothing.
    Hook,
}
