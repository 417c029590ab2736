//! The command line. Connection flags come from the settings of core, so that they are the same in both faces.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand};
use etcdsh_core::args::Kind;
use etcdsh_core::card::{Capability, Target};
use etcdsh_core::error::suggest;
use etcdsh_core::value::{Record, Value};

use crate::session::Grants;
use crate::show::Format;

/// Operate etcd clusters from Rhai: a shell, scripts, one-liners.
///
/// Without a command it is an interactive shell; what is piped into it is run as one script.
#[derive(Debug, Parser)]
#[command(name = "etcdsh", version)]
pub struct Cli {
    /// How to reach the cluster.
    #[command(flatten)]
    pub connection: Connection,
    /// What a script may do.
    #[command(flatten)]
    pub allow: Allow,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Verb>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a script.
    ///
    /// A script may look at a cluster; what else it needs is granted with --allow. Options stand before FILE, everything
    /// behind it belongs to the script.
    Run {
        /// What the script may do.
        #[command(flatten)]
        allow: Allow,
        /// Sets a field of `opts`, and an option of the script.
        #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
        set: Vec<(String, String)>,
        /// Writes out the value of the last expression.
        #[arg(long)]
        print_result: bool,
        /// Writes what happens to standard error as JSON, one object a line, in place of a line of progress; a failure too,
        /// with the fields of what is thrown.
        #[arg(long)]
        events: bool,
        /// The script; `-` for standard input.
        file: String,
        /// The script's own words and options, its `args`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Evaluate an expression and write out its value.
    Eval {
        /// How to write it.
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        /// Writes what happens to standard error as JSON, one object a line, in place of a line of progress; a failure too,
        /// with the fields of what is thrown.
        #[arg(long)]
        events: bool,
        /// The expression, or several statements.
        expr: String,
    },
    /// Look for mistakes in scripts without running them.
    Check {
        /// The scripts.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Write out the reference of all functions.
    Docs {
        /// How to write it.
        #[arg(long, value_enum, default_value = "markdown")]
        format: Reference,
    },
}

impl Verb {
    /// Says whether a program reads what happens.
    pub fn tells_programs(&self) -> bool {
        matches!(self, Verb::Run { events: true, .. } | Verb::Eval { events: true, .. })
    }
}

/// How the reference is written.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Reference {
    /// Markdown.
    Markdown,
    /// The metadata of all functions as JSON, for editors.
    Json,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if name.is_empty() { Err("the name is missing".to_owned()) } else { Ok((name.to_owned(), value.to_owned())) }
}

/// The connection flags.
#[derive(Debug, Clone, Default)]
pub struct Connection(pub Record);

impl Args for Connection {
    fn augment_args(command: Command) -> Command {
        let flags = Target::ClusterOrFile.params().map(|param| {
            let long = param.name.replace('_', "-");
            let value = match param.kind {
                Kind::Path => "FILE",
                Kind::Elapsed => "DURATION",
                Kind::List(_) => "URL,…",
                Kind::Profile => "NAME",
                _ => "TEXT",
            };
            let action = if matches!(param.kind, Kind::List(_)) { ArgAction::Append } else { ArgAction::Set };
            let flag = Arg::new(param.name)
                .long(long)
                .value_name(value)
                .help(param.doc().trim_end_matches('.'))
                .action(action);
            let flag = match param.kind {
                Kind::Bool => flag.num_args(0).default_missing_value("true"),
                _ => flag,
            };
            flag.global(true).help_heading("Connection")
        });
        command.args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Connection {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut connection = Connection::default();
        connection.update_from_arg_matches(matches)?;
        Ok(connection)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for param in Target::ClusterOrFile.params() {
            let Some(given) = matches.get_many::<String>(param.name) else { continue };
            let mut given: Vec<_> = given.map(|text| Value::Text(text.clone())).collect();
            let value = match param.kind {
                Kind::List(_) => Value::List(given),
                Kind::Bool => Value::Bool(true),
                _ => given.remove(0),
            };
            self.0.insert(param.name, value);
        }
        Ok(())
    }
}

/// What a script may do.
#[derive(Debug, Clone, Default, Args)]
pub struct Allow {
    /// Grants a script more than looking. What a person types, in the shell or for `eval`, may do everything.
    #[arg(long, value_delimiter = ',', value_name = "CAPABILITY,…", value_parser = capability)]
    allow: Vec<Granted>,
}

#[derive(Debug, Clone, Copy)]
enum Granted {
    All,
    One(Capability),
}

fn capability(text: &str) -> Result<Granted, String> {
    if text == "all" {
        return Ok(Granted::All);
    }
    let found = Capability::ALL.iter().find(|capability| capability.word() == text);
    found.map(|capability| Granted::One(*capability)).ok_or_else(|| {
        let words: Vec<_> = Capability::ALL.iter().map(|capability| capability.word()).chain(["all"]).collect();
        let near = suggest(text, &words).map_or_else(String::new, |near| format!("did you mean {near}? "));
        format!("{near}one of {}", words.join(", "))
    })
}

impl Allow {
    /// Says whether nothing was granted.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty()
    }

    /// Adds what was granted at another place.
    pub fn and(mut self, other: Allow) -> Self {
        self.allow.extend(other.allow);
        self
    }

    /// Returns what was granted.
    pub fn grants(&self) -> Grants {
        let mut granted = Vec::new();
        for grant in &self.allow {
            match grant {
                Granted::All => return Grants::all(),
                Granted::One(capability) => granted.push(*capability),
            }
        }
        Grants::read_and(&granted)
    }
}
