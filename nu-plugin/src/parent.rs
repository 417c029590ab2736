//! The words that only hold other commands. Alone they show their help.

use etcdsh_core::error::suggest;
use nu_plugin::{DynamicCompletionCall, EngineInterface, EvaluatedCall, PluginCommand};
use nu_protocol::engine::ArgType;
use nu_protocol::{DynamicSuggestion, LabeledError, PipelineData, Signature, SyntaxShape, Type, Value as NuValue};

use crate::{EtcdPlugin, signature};

/// What stands in the help of the first word, where whoever is new here looks first.
const START: &str = "`etcd sandbox start` makes a cluster to try things on; `etcd health --profile sandbox` looks at it. For a cluster of your \
own, give `--endpoints` and, where it has them, `--cacert`, `--cert` and `--key`, or write them down once as a profile, in \
`$env.config.plugins.etcd` or in `config.toml`. Settings are looked for in this order: flags, ETCDCTL_* variables, \
`$env.config.plugins.etcd`, `config.toml`. Whatever changes a cluster takes `--dry-run`. To run the etcd server itself, call \
it `^etcd`.";

/// A word, or several, that only hold other commands.
pub struct HelpCommand {
    name: String,
    description: String,
    extra: String,
    next: Vec<String>,
}

impl HelpCommand {
    /// Makes the command of the words `name`; `commands` are the names of all commands.
    pub fn new<'a>(name: String, commands: impl Iterator<Item = &'a str>) -> Self {
        let prefix = format!("{name} ");
        let next = commands.filter_map(|command| command.strip_prefix(&prefix)?.split(' ').next());
        let mut next: Vec<String> = next.map(str::to_owned).collect();
        next.sort();
        next.dedup();
        let help = "You must use one of the following subcommands. Using this command as-is will only produce this help message.";
        let extra = if name.contains(' ') { help.to_owned() } else { format!("{START}\n\n{help}") };
        HelpCommand { description: format!("Show the commands that begin with `{name}`."), name, extra, next }
    }

    /// Says that there is no such command, and which one may be meant. Nushell itself would only say that there is an argument
    /// too many.
    fn unknown(&self, word: &NuValue) -> LabeledError {
        let (name, span) = (&self.name, word.span());
        let word = word.coerce_str().unwrap_or_default();
        let next: Vec<&str> = self.next.iter().map(String::as_str).collect();
        let help = match suggest(&word, &next) {
            Some(near) => format!("did you mean `{name} {near}`?"),
            None => format!("`{name} --help` shows the commands"),
        };
        LabeledError::new(format!("there is no command `{name} {word}`"))
            .with_code("etcd::unknown_command")
            .with_label("not a command", span)
            .with_help(help)
    }
}

impl PluginCommand for HelpCommand {
    type Plugin = EtcdPlugin;

    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> Signature {
        Signature::build(&self.name)
            .category(signature::category())
            .input_output_type(Type::Nothing, Type::String)
            .rest("command", SyntaxShape::String, "One of the subcommands.")
            .allows_unknown_args()
    }

    fn description(&self) -> &str {
        &self.description
    }

    fn extra_description(&self) -> &str {
        &self.extra
    }

    fn search_terms(&self) -> Vec<&str> {
        // A term that is a part of the name finds nothing more.
        ["etcdctl", "cluster", "raft"].into_iter().filter(|term| !self.name().contains(term)).collect()
    }

    fn run(
        &self,
        _plugin: &EtcdPlugin,
        engine: &EngineInterface,
        call: &EvaluatedCall,
        _input: PipelineData,
    ) -> Result<PipelineData, LabeledError> {
        match call.positional.first() {
            Some(word) => Err(self.unknown(word)),
            None => Ok(PipelineData::value(NuValue::string(engine.get_help()?, call.head), None)),
        }
    }

    #[expect(deprecated, reason = "Nushell marks its completion hook as experimental in this way")]
    fn get_dynamic_completion(
        &self,
        _plugin: &EtcdPlugin,
        _engine: &EngineInterface,
        _call: DynamicCompletionCall,
        _argument: ArgType<'_>,
        _experimental: nu_protocol::engine::ExperimentalMarker,
    ) -> Option<Vec<DynamicSuggestion>> {
        // The subcommands are offered by Nushell itself; without an answer it would offer files too.
        Some(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_says_what_it_is_for() {
        let command = HelpCommand::new("etcd member".to_owned(), ["etcd member list"].into_iter());
        assert_eq!(
            (command.description.as_str(), command.next.as_slice()),
            ("Show the commands that begin with `etcd member`.", &["list".to_owned()][..])
        );
        let nu = "You must use one of the following subcommands. Using this command as-is will only produce this help message.";
        assert_eq!(command.extra, nu);
    }
}
