//! Suggestions while a command is typed. They must come at once and never fail: Nushell serves no other call of the plugin
//! meanwhile, and an error has nowhere to go.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use etcdsh_core::args::{Args, Kind, Param};
use etcdsh_core::change::record::{RunRecord, to_name};
use etcdsh_core::member::Member;
use etcdsh_core::operation::Entry;
use etcdsh_core::profile::{self, Settings};
use etcdsh_core::rpc::{Cluster, Consistency};
use etcdsh_core::sandbox::{MemberRow, Sandbox};
use etcdsh_core::units::escape_word;
use etcdsh_core::value::{Record, Value};
use nu_plugin::EngineInterface;
use nu_protocol::DynamicSuggestion;
use nu_protocol::ast::{Call, Expr, Expression, ListItem};
use nu_protocol::engine::ArgType;

use crate::EtcdPlugin;
use crate::settings::Shell;
use crate::signature::params;
use crate::syntax::{kebab, quote};

/// How long a cluster may take to say who its members are; together with what the shell does itself below half a second.
const PATIENCE: Duration = Duration::from_millis(350);
/// How long an answer is good for: Nushell asks anew with every letter.
const FRESH: Duration = Duration::from_secs(3);

/// The last membership that was seen.
#[derive(Default)]
pub struct MemberCache(Mutex<Option<Seen>>);

struct Seen {
    cluster: Arc<Cluster>,
    when: Instant,
    members: Arc<Vec<Member>>,
}

impl MemberCache {
    /// Returns the members of a cluster: as they were seen a moment ago, or else as `ask` finds them. While nobody answers
    /// these are the last that were seen, and nobody is asked again with every letter.
    fn of(&self, cluster: Arc<Cluster>, ask: impl FnOnce(&Cluster) -> Option<Vec<Member>>) -> Arc<Vec<Member>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.take().filter(|seen| Arc::ptr_eq(&seen.cluster, &cluster));
        let seen = match known {
            Some(seen) if seen.when.elapsed() < FRESH => seen,
            known => {
                let stale = known.map(|seen| seen.members).unwrap_or_default();
                let members = ask(&cluster).map_or(stale, Arc::new);
                Seen { cluster, when: Instant::now(), members }
            }
        };
        let members = Arc::clone(&seen.members);
        *last = Some(seen);
        members
    }
}

/// Finds the parameter that is being typed.
pub fn param(entry: &Entry, argument: &ArgType<'_>) -> Option<&'static Param> {
    match argument {
        ArgType::Positional(place) => entry.positional().nth(*place),
        ArgType::Flag(flag) => params(entry).find(|param| !param.positional && kebab(param.name) == **flag),
    }
}

/// Suggests values for an argument, or nothing when they cannot be had in time.
pub fn suggest(
    plugin: &EtcdPlugin,
    engine: &EngineInterface,
    entry: &Entry,
    call: &Call,
    kind: Kind,
) -> Option<Vec<DynamicSuggestion>> {
    let deadline = Instant::now() + PATIENCE;
    match kind {
        Kind::Profile => {
            let shell = Shell::new(engine).ok()?;
            Some(words(profile::names(shell.config().ok()?.as_ref(), &shell.places).ok()?))
        }
        Kind::Sandbox => Some(words(Sandbox::names(&Shell::new(engine).ok()?.places))),
        Kind::Run { open } => {
            let run = |run: RunRecord| suggestion(&run.id, Some(run.state.word().to_owned()));
            Some(to_name(&Shell::new(engine).ok()?.places.state, open).map(run).collect())
        }
        Kind::SandboxMember => {
            let sandbox = Sandbox::named(&Shell::new(engine).ok()?.places, &sandbox(entry, call)?).ok()?;
            let row = |row: MemberRow| suggestion(&row.name, Some(row.state.word().to_owned()));
            Some(sandbox.rows().ok()?.into_iter().map(row).collect())
        }
        Kind::Member | Kind::List(Kind::Member) => {
            let flags = settings(call)?;
            let profile = Shell::new(engine).ok()?.profile(flags).ok()?;
            let driver = plugin.driver().ok()?;
            let cluster = driver.cluster(profile).ok()?;
            let ask = |cluster: &Cluster| {
                let found = driver.block_on(cluster.membership(Consistency::Serializable, deadline));
                found.ok().map(|list| list.members)
            };
            Some(members(&plugin.members().of(cluster, ask)))
        }
        _ => None,
    }
}

fn words(names: Vec<String>) -> Vec<DynamicSuggestion> {
    names.iter().map(|name| suggestion(name, None)).collect()
}

/// Returns the name of the sandbox that is meant: what was typed, or else the default.
fn sandbox(entry: &Entry, call: &Call) -> Option<String> {
    let param = entry.all_params().find(|param| param.kind == Kind::Sandbox)?;
    let mut flags = call.named_iter();
    match flags.find(|(flag, ..)| flag.item == kebab(param.name)) {
        Some((_, _, value)) => literal(value.as_ref()?)?.as_text().map(str::to_owned),
        None => param.default.map(str::to_owned),
    }
}

/// Suggests each member by its name, where that is enough to tell it, and by its id.
fn members(members: &[Member]) -> Vec<DynamicSuggestion> {
    let known_by_name = |member: &&Member| members.iter().filter(|other| other.name == member.name).count() == 1;
    let role = |member: &Member| match (member.started(), member.is_learner) {
        (false, _) => ", unstarted",
        (true, true) => ", learner",
        (true, false) => "",
    };
    let by_name = members
        .iter()
        .filter(|member| member.started())
        .filter(known_by_name)
        .map(|member| suggestion(&member.name, Some(format!("{}{}", member.id, role(member)))));
    let by_id = members.iter().map(|member| {
        let label = if member.started() { escape_word(&member.name) } else { "no name yet".to_owned() };
        suggestion(&member.id.to_string(), Some(format!("{label}{}", role(member))))
    });
    by_name.chain(by_id).collect()
}

fn suggestion(value: &str, description: Option<String>) -> DynamicSuggestion {
    DynamicSuggestion { value: quote(value).into_owned(), description, ..DynamicSuggestion::default() }
}

/// Reads the connection's settings out of what has been typed so far. Nothing comes of it when one cannot be known yet, such
/// as a variable: a suggestion from another cluster would be worse than none.
fn settings(call: &Call) -> Option<Record> {
    let mut typed = Record::new();
    for (flag, _, value) in call.named_iter() {
        let known = Settings::PARAMS.iter().find(|param| kebab(param.name) == flag.item);
        match (known, value) {
            // How long an answer may take does not change who answers.
            (Some(Param { kind: Kind::Elapsed, .. }) | None, _) => {}
            (Some(param), Some(value)) => typed.insert(param.name, literal(value)?),
            (Some(_), None) => return None,
        }
    }
    Some(typed)
}

fn literal(expression: &Expression) -> Option<Value> {
    match &expression.expr {
        Expr::String(text) | Expr::RawString(text) | Expr::Filepath(text, _) => Some(Value::from(text.as_str())),
        Expr::FullCellPath(path) if path.tail.is_empty() => literal(&path.head),
        Expr::List(items) => {
            let item = |item: &ListItem| match item {
                ListItem::Item(expression) => literal(expression),
                ListItem::Spread(..) => None,
            };
            items.iter().map(item).collect::<Option<_>>().map(Value::List)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etcdsh_core::id::MemberId;
    use nu_protocol::{IntoSpanned, Span, Type};
    use rstest::rstest;

    fn member(id: u64, name: &str, is_learner: bool) -> Member {
        Member { id: MemberId(id), name: name.to_owned(), peer_urls: vec![], client_urls: vec![], is_learner }
    }

    #[test]
    fn members_are_suggested_by_name_and_by_id() {
        let list = [
            member(0xa, "infra1", false),
            member(0xb, "twin", false),
            member(0xc, "twin", true),
            member(0xd, "", false),
        ];
        let shown: Vec<_> = members(&list).into_iter().map(|s| (s.value, s.description.unwrap_or_default())).collect();
        let expected =
            [("infra1", "a"), ("a", "infra1"), ("b", "twin"), ("c", "twin, learner"), ("d", "no name yet, unstarted")];
        assert_eq!(shown, expected.map(|(value, description)| (value.to_owned(), description.to_owned())));
    }

    #[test]
    fn the_last_members_are_offered_while_nobody_answers() {
        let driver = etcdsh_core::blocking::Driver::new().unwrap();
        let at = |endpoint: &str| {
            let flags = [("endpoints", Value::from(endpoint))].into_iter().collect();
            let places = etcdsh_core::places::Places::from_env(std::path::PathBuf::from("/"), |_| None);
            let layers = profile::Layers { flags, env: &|_| None, shell: None };
            driver.cluster(profile::resolve(layers, &places).unwrap()).unwrap()
        };
        let names = |list: Arc<Vec<Member>>| list.iter().map(|member| member.name.clone()).collect::<Vec<_>>();
        let cache = MemberCache::default();
        let first = at("127.0.0.1:1");
        assert_eq!(names(cache.of(Arc::clone(&first), |_| Some(vec![member(1, "infra1", false)]))), ["infra1"]);
        assert_eq!(names(cache.of(Arc::clone(&first), |_| panic!("asked too soon"))), ["infra1"]);
        cache.0.lock().unwrap().as_mut().unwrap().when -= FRESH;
        assert_eq!(names(cache.of(Arc::clone(&first), |_| None)), ["infra1"]);
        assert_eq!(names(cache.of(first, |_| panic!("asked again at once"))), ["infra1"]);
        // Another cluster's members are never offered.
        assert_eq!(names(cache.of(at("127.0.0.1:2"), |_| None)), [""; 0]);
    }

    #[test]
    fn a_hostile_name_stays_one_word() {
        let shown = members(&[member(1, "x; rm -rf ~\u{1b}", false)]);
        assert_eq!(shown[0].value, "\"x; rm -rf ~\\u{1b}\"");
        assert_eq!(shown[1].description.as_deref(), Some("x; rm -rf ~\\u{1b}"));
    }

    fn expression(expr: Expr) -> Expression {
        Expression::new_unknown(expr, Span::test_data(), Type::Any)
    }

    fn typed(flag: &str, expr: Expr) -> Call {
        let mut call = Call::new(Span::test_data());
        call.add_named((flag.to_owned().into_spanned(Span::test_data()), None, Some(expression(expr))));
        call
    }

    #[test]
    fn typed_flags_choose_the_cluster() {
        let list = Expr::List(vec![ListItem::Item(expression(Expr::String("a:1".to_owned())))]);
        let read = settings(&typed("endpoints", list)).unwrap();
        assert_eq!(read.get("endpoints"), Some(&Value::List(vec![Value::from("a:1")])));
        let read = settings(&typed("server-name", Expr::String("x".to_owned()))).unwrap();
        assert_eq!(read.get("server_name"), Some(&Value::from("x")));
    }

    #[rstest]
    #[case("endpoints", Expr::Var(nu_protocol::VarId::new(9)), true)]
    #[case("timeout", Expr::Var(nu_protocol::VarId::new(9)), false)]
    #[case("no-such-flag", Expr::Var(nu_protocol::VarId::new(9)), false)]
    fn what_is_not_known_yet_is_not_guessed(#[case] flag: &str, #[case] expr: Expr, #[case] unknown: bool) {
        assert_eq!(settings(&typed(flag, expr)).is_none(), unknown);
    }
}
