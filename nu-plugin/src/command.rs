//! The commands: one for each operation of the catalogue, and one for each word that only holds others.

use etcdsh_core::args::Kind;
use etcdsh_core::blocking::Call;
use etcdsh_core::context::{Cancel, HookFn};
use etcdsh_core::error::{Error, Result};
use etcdsh_core::operation::Entry;
use etcdsh_core::subject::Subject;
use nu_plugin::{DynamicCompletionCall, EngineInterface, EvaluatedCall, PluginCommand};
use nu_protocol::engine::{ArgType, Closure};
use nu_protocol::{
    DynamicSuggestion, Example, HandlerGuard, IntoSpanned, LabeledError, PipelineData, ShellError, SignalAction,
    Signature, Spanned, Value as NuValue,
};

use crate::call::{Given, Spans, read};
use crate::error::labeled;
use crate::notices::Notices;
use crate::settings::{Shell, native};
use crate::value::{Reader, to_nu};
use crate::{EtcdPlugin, answer, complete, signature, syntax};

/// An operation as a command.
pub struct OpCommand {
    entry: &'static Entry,
    name: String,
    extra: String,
    examples: Vec<(String, &'static str)>,
}

impl OpCommand {
    /// Makes the command of an operation.
    pub fn new(entry: &'static Entry) -> Self {
        let examples = entry.card.examples.iter().map(|example| (syntax::example(entry, example), example.about));
        OpCommand {
            entry,
            name: format!("etcd {}", entry.card.name),
            extra: signature::extra_description(entry),
            examples: examples.collect(),
        }
    }

    fn attempt(
        &self,
        plugin: &EtcdPlugin,
        engine: &EngineInterface,
        call: &EvaluatedCall,
        spans: &mut Spans,
    ) -> Result<PipelineData> {
        let cancel = plugin.orphaned.child_token();
        let interrupts = listen(engine, &cancel)?;
        let Given { args, flags, hooks } = read(self.entry, call, spans)?;
        let shell = Shell::new(engine)?;
        let subject = self.entry.card.target.is_asked(&args).then(|| {
            let usable = shell.subject(flags).and_then(|subject| {
                if let Subject::Cluster(profile) = &subject {
                    plugin.driver()?.cluster(profile.clone())?;
                }
                Ok(subject)
            });
            usable.inspect_err(|_| spans.of_connection())
        });
        let notices = Notices::new();
        let hooks: Vec<HookFn<'_>> = hooks.iter().map(|closure| hook(engine, closure, &notices)).collect();
        let answer = plugin.driver()?.call(Call {
            entry: self.entry,
            args,
            subject: subject.transpose()?,
            places: &shell.places,
            hooks: &hooks,
            events: &|event| notices.show(event),
            cancel,
        })?;
        answer::pipeline(answer, self.entry.shape, engine, spans, interrupts)
    }
}

/// Makes Ctrl-C cancel a token, for as long as the guard lives.
fn listen(engine: &EngineInterface, cancel: &Cancel) -> Result<HandlerGuard> {
    let token = cancel.clone();
    // The handler runs on the thread that reads from the engine, under a lock: it must not ask the engine, nor wait.
    let handler = move |action| {
        if matches!(action, SignalAction::Interrupt) {
            token.cancel();
        }
    };
    let guard = engine.register_signal_handler(Box::new(handler)).map_err(native)?;
    // A Ctrl-C from before the registration is found only now; the other way round it could fall between the two.
    if engine.signals().interrupted() {
        cancel.cancel();
    }
    Ok(guard)
}

/// Makes a callback of core's out of a closure. It gets its record both as its parameter and as its input.
fn hook<'a>(engine: &'a EngineInterface, closure: &'a Spanned<Closure>, notices: &'a Notices) -> HookFn<'a> {
    Box::new(move |value| {
        // It may print.
        notices.clear();
        let value = to_nu(value, closure.span);
        let answer = call(engine, closure, value).map_err(|error| {
            let error = explain(error, closure);
            Error::from_hook(error.to_string(), error)
        })?;
        Reader::default().read_result(answer)
    })
}

/// Calls a closure. It is done by Nushell's `do`, which waits for a program that is the closure's last command and fails when
/// that does; what the engine offers to plugins for this takes its output for an answer, however it ended.
#[expect(clippy::result_large_err, reason = "it is Nushell's own error, as its engine returns it")]
fn call(engine: &EngineInterface, closure: &Spanned<Closure>, value: NuValue) -> Result<NuValue, ShellError> {
    let span = closure.span;
    let Some(run) = engine.find_decl("do")? else {
        return engine.eval_closure(closure, vec![value.clone()], Some(value));
    };
    let call = EvaluatedCall::new(span)
        .with_positional(NuValue::closure(closure.item.clone(), span))
        .with_positional(value.clone())
        .with_flag("capture-errors".into_spanned(span));
    let answer = engine.call_decl(run, call, PipelineData::value(value, None), true, false)?;
    match answer.into_value(span)? {
        NuValue::Error { error, .. } => Err(*error),
        value => Ok(value),
    }
}

/// Explains what Nushell says when a closure has a parameter that it is not given.
fn explain(error: ShellError, closure: &Spanned<Closure>) -> ShellError {
    // An error that has come over the wire has kept its code, but not its variant.
    let labeled = LabeledError::from(error.clone());
    if labeled.code.as_deref() != Some("nu::shell::missing_parameter") {
        return error;
    }
    LabeledError::new("the closure has a parameter that it is not given")
        .with_code("etcd::closure_failed")
        .with_label("this closure", closure.span)
        .with_help("it is given one record, as its first parameter and as its input; it can have no second parameter")
        .with_inner(error)
        .into()
}

impl PluginCommand for OpCommand {
    type Plugin = EtcdPlugin;

    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> Signature {
        signature::signature(self.entry, &self.name)
    }

    fn description(&self) -> &str {
        self.entry.card.summary
    }

    fn extra_description(&self) -> &str {
        &self.extra
    }

    fn search_terms(&self) -> Vec<&str> {
        self.entry.card.search.to_vec()
    }

    fn examples(&self) -> Vec<Example<'_>> {
        self.examples.iter().map(|(line, about)| Example { example: line, description: about, result: None }).collect()
    }

    fn run(
        &self,
        plugin: &EtcdPlugin,
        engine: &EngineInterface,
        call: &EvaluatedCall,
        _input: PipelineData,
    ) -> Result<PipelineData, LabeledError> {
        let mut spans = Spans::new(call.head);
        self.attempt(plugin, engine, call, &mut spans).map_err(|error| labeled(error, &spans))
    }

    #[expect(deprecated, reason = "Nushell marks its completion hook as experimental in this way")]
    fn get_dynamic_completion(
        &self,
        plugin: &EtcdPlugin,
        engine: &EngineInterface,
        call: DynamicCompletionCall,
        argument: ArgType<'_>,
        _experimental: nu_protocol::engine::ExperimentalMarker,
    ) -> Option<Vec<DynamicSuggestion>> {
        let param = complete::param(self.entry, &argument)?;
        match param.kind {
            // Files are Nushell's own business.
            Kind::Path | Kind::List(Kind::Path) => None,
            // No answer would make Nushell offer files, so what cannot be suggested is an empty list.
            kind => Some(complete::suggest(plugin, engine, self.entry, &call.call, kind).unwrap_or_default()),
        }
    }
}
