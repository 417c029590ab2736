//! What holds for every command, whatever operations there are. Nushell demands much the same of its own.

use std::collections::HashSet;

use etcdsh_core::args::Param;
use etcdsh_core::catalogue::CATALOGUE;
use etcdsh_core::operation::Entry;
use nu_plugin::{Plugin, PluginCommand};
use nu_protocol::{Category, Signature, Type};

use crate::EtcdPlugin;
use crate::signature::params;

type Command = Box<dyn PluginCommand<Plugin = EtcdPlugin>>;

fn commands() -> Vec<Command> {
    EtcdPlugin::of(CATALOGUE).commands()
}

fn is_sentence(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_uppercase());
    starts && text.ends_with(['.', '?']) && text.trim() == text
}

#[test]
fn every_operation_is_a_command_once() {
    let names: Vec<_> = commands().iter().map(|command| command.name().to_owned()).collect();
    let distinct: HashSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
    for entry in CATALOGUE {
        assert!(names.contains(&format!("etcd {}", entry.card.name)), "{}", entry.card.name);
    }
}

#[test]
fn every_word_on_the_way_to_a_command_shows_help() {
    let names: HashSet<_> = commands().iter().map(|command| command.name().to_owned()).collect();
    for name in &names {
        for (end, _) in name.match_indices(' ') {
            assert!(names.contains(&name[..end]), "{name}");
        }
    }
}

#[test]
fn descriptions_are_sentences() {
    for command in commands() {
        let Signature { required_positional, optional_positional, named, .. } = command.signature();
        assert!(is_sentence(command.description()), "{}: {}", command.name(), command.description());
        let positional = required_positional.into_iter().chain(optional_positional);
        let arguments = positional.map(|a| (a.name, a.desc)).chain(named.into_iter().map(|f| (f.long, f.desc)));
        for (argument, text) in arguments.filter(|(argument, _)| argument != "help") {
            assert!(is_sentence(&text), "{} {argument}: {text:?}", command.name());
        }
    }
}

#[test]
fn search_terms_say_more_than_the_name() {
    for command in commands() {
        for term in command.search_terms() {
            assert!(!command.name().contains(term), "{}: {term}", command.name());
        }
    }
}

#[test]
fn types_and_categories_are_declared() {
    for command in commands() {
        let signature = command.signature();
        assert_eq!(signature.category, Category::Custom("etcd".to_owned()));
        let [(Type::Nothing, output)] = signature.input_output_types.as_slice() else {
            panic!("{}: {:?}", command.name(), signature.input_output_types);
        };
        assert_ne!(*output, Type::Any, "{}", command.name());
    }
}

#[test]
fn flags_are_kebab_case_and_distinct() {
    for command in commands() {
        let flags: Vec<_> = command.signature().named.into_iter().map(|flag| flag.long).collect();
        let distinct: HashSet<_> = flags.iter().collect();
        assert_eq!(distinct.len(), flags.len(), "{}: {flags:?}", command.name());
        for flag in &flags {
            let kebab = flag.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            assert!(kebab && !flag.starts_with('-') && !flag.ends_with('-'), "{}: {flag}", command.name());
        }
    }
}

#[test]
fn connection_flags_are_the_same_everywhere() {
    let with_profile = |command: &Command| command.signature().named.iter().any(|flag| flag.long == "profile");
    let mut described = HashSet::new();
    for command in commands().iter().filter(|command| with_profile(command)) {
        let flags = command.signature().named;
        let settings =
            flags.iter().skip_while(|flag| flag.long != "profile").map(|flag| (flag.long.clone(), flag.desc.clone()));
        described.insert(settings.collect::<Vec<_>>());
    }
    assert_eq!(described.len(), 1);
}

#[test]
fn examples_give_what_is_there_and_what_is_required() {
    let given = |entry: &Entry, param: &Param| {
        entry.card.examples.iter().all(|example| example.args.iter().any(|(name, _)| *name == param.name))
    };
    for entry in CATALOGUE {
        assert!(!entry.card.examples.is_empty(), "{} has no example", entry.card.name);
        for (name, _) in entry.card.examples.iter().flat_map(|example| example.args) {
            assert!(params(entry).any(|param| param.name == *name), "{}: {name}", entry.card.name);
        }
        for param in params(entry).filter(|param| param.required) {
            assert!(given(entry, param), "{}: an example lacks {}", entry.card.name, param.name);
        }
    }
}

#[test]
fn the_help_names_every_column() {
    for (entry, command) in CATALOGUE.iter().map(|entry| (entry, crate::command::OpCommand::new(entry))) {
        for column in entry.shape.columns() {
            let line = command.extra_description().lines().find(|line| line.trim().starts_with(column.name));
            let line = line.unwrap_or_else(|| panic!("{}: {}", command.name(), column.name));
            assert!(is_sentence(column.doc.trim()), "{}: {line}", command.name());
        }
    }
}
