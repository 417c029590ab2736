//! One error for the whole of core. Each area has its own `thiserror` enum whose variants carry the facts; [`Fault`] gives it
//! a stable code and a remedy; [`Error`] carries any of them to a face, together with what the way up adds.

use std::any::Any;
use std::fmt;

/// What core returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether a request left this machine. It decides what may be repeated: only what was never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    /// Nothing was sent; repeating it is harmless.
    Never,
    /// It was sent, and no answer came: it may have been applied.
    Maybe,
    /// The server answered.
    Answered,
}

impl Sent {
    /// Returns the word for it.
    pub fn word(self) -> &'static str {
        match self {
            Sent::Never => "never",
            Sent::Maybe => "maybe",
            Sent::Answered => "answered",
        }
    }
}

/// What an area's error enum says about itself.
pub trait Fault: std::error::Error + Send + Sync + 'static {
    /// A stable word that scripts branch on; shown as `etcd::CODE` in Nushell.
    fn code(&self) -> &'static str;

    /// What to do about it, as a sentence fragment or a command.
    fn help(&self) -> Option<String> {
        None
    }

    /// The parameter that it belongs to.
    fn argument(&self) -> Option<&str> {
        None
    }

    /// Whether the request left this machine.
    fn sent(&self) -> Option<Sent> {
        None
    }

    /// Whether the same call may succeed a moment later.
    fn retryable(&self) -> bool {
        false
    }

    /// The member that it is about.
    fn member(&self) -> Option<String> {
        None
    }

    /// The endpoint that it came from.
    fn endpoint(&self) -> Option<String> {
        None
    }

    /// What became of a change, in words, where more is known of it than whether it was sent.
    fn outcome(&self) -> Option<String> {
        None
    }

    /// Where things stand, when work was under way: the report so far, in the operation's own columns.
    fn report(&self) -> Option<crate::value::Value> {
        None
    }
}

/// An error on its way to a face.
pub struct Error(Box<Inner>);

struct Inner {
    fault: Box<dyn Fault>,
    argument: Option<String>,
    endpoint: Option<String>,
    advice: Option<&'static str>,
    sent: Option<Sent>,
    changes: bool,
    native: Option<Native>,
}

/// An error of a face's own.
type Native = Box<dyn Any + Send + Sync>;

impl<F: Fault> From<F> for Error {
    fn from(fault: F) -> Self {
        Error(Box::new(Inner {
            fault: Box::new(fault),
            argument: None,
            endpoint: None,
            advice: None,
            sent: None,
            changes: false,
            native: None,
        }))
    }
}

impl Error {
    /// Reports a mistake of ours: a broken promise between two parts of the program.
    pub fn internal(problem: impl fmt::Display) -> Self {
        Internal(problem.to_string()).into()
    }

    /// Carries an error of a face's own through core, so that it comes out on the other side whole.
    pub fn from_hook(message: impl Into<String>, native: impl Any + Send + Sync) -> Self {
        let mut error = Error::from(HookFailed(message.into()));
        error.0.native = Some(Box::new(native));
        error
    }

    /// Says which parameter this belongs to, unless that is known already.
    #[must_use]
    pub fn for_argument(mut self, name: impl Into<String>) -> Self {
        self.0.argument.get_or_insert_with(|| name.into());
        self
    }

    /// Says which parameter of the caller's stands for one of whoever failed.
    #[must_use]
    pub(crate) fn with_argument_named(mut self, from: &str, to: &str) -> Self {
        if self.argument() == Some(from) {
            self.0.argument = Some(to.to_owned());
        }
        self
    }

    /// Says which endpoint this came from, unless that is known already.
    #[must_use]
    pub fn at_endpoint(mut self, endpoint: impl fmt::Display) -> Self {
        self.0.endpoint.get_or_insert_with(|| endpoint.to_string());
        self
    }

    /// Says that what was to be sent had not been sent yet when a look at the cluster failed.
    #[must_use]
    pub fn before_sending(mut self) -> Self {
        let about_sending = self.0.fault.sent().is_some() || self.code() == Interrupted::CODE;
        self.0.sent = about_sending.then_some(Sent::Never);
        self
    }

    /// Says that this ended something that changes things, so that it matters what became of it.
    #[must_use]
    pub fn of_a_change(mut self) -> Self {
        self.0.changes = true;
        self
    }

    /// Returns the stable word that scripts branch on.
    pub fn code(&self) -> &'static str {
        self.0.fault.code()
    }

    /// Says what else to do about it, which only the caller of what failed can know.
    #[must_use]
    pub fn advise(mut self, advice: &'static str) -> Self {
        self.0.advice = Some(advice);
        self
    }

    /// Returns what to do about it.
    pub fn help(&self) -> Option<String> {
        match (self.0.fault.help(), self.0.advice) {
            (Some(help), Some(advice)) => Some(format!("{help}; {advice}")),
            (help, advice) => help.or_else(|| advice.map(str::to_owned)),
        }
    }

    /// Returns the parameter that it belongs to.
    pub fn argument(&self) -> Option<&str> {
        self.0.argument.as_deref().or_else(|| self.0.fault.argument())
    }

    /// Returns the member that it is about.
    pub fn member(&self) -> Option<String> {
        self.0.fault.member()
    }

    /// Returns the endpoint that it came from.
    pub fn endpoint(&self) -> Option<String> {
        self.0.endpoint.clone().or_else(|| self.0.fault.endpoint())
    }

    /// Returns whether the request left this machine, where there was one.
    pub fn sent(&self) -> Option<Sent> {
        self.0.sent.or_else(|| self.0.fault.sent())
    }

    /// Returns what became of a change, where its user would have to guess. What only reads can always be repeated.
    pub fn outcome(&self) -> Option<String> {
        let sent = match self.sent().filter(|_| self.0.changes) {
            Some(Sent::Never) => Some("it was not sent, so it was not applied"),
            Some(Sent::Maybe) => Some("it was sent and no answer came, so it may have been applied"),
            Some(Sent::Answered) | None => None,
        };
        let lines: Vec<_> = self.0.fault.outcome().into_iter().chain(sent.map(str::to_owned)).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// Says whether the same call may succeed a moment later.
    pub fn retryable(&self) -> bool {
        self.0.fault.retryable()
    }

    /// Returns where things stand, when work was under way.
    pub fn report(&self) -> Option<crate::value::Value> {
        self.0.fault.report()
    }

    /// Returns what lies behind this, outermost first, without the error itself.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = self.0.fault.source();
        while let Some(cause) = next {
            causes.push(crate::units::escape(&cause.to_string()));
            next = cause.source();
        }
        causes
    }

    /// Returns the message and all causes in one line, for the error column of a row.
    pub fn in_one_line(&self) -> String {
        let mut line = self.to_string();
        for cause in self.causes() {
            // Transport errors like to repeat themselves on the way up.
            if !line.contains(&cause) {
                line.push_str(": ");
                line.push_str(&cause);
            }
        }
        line
    }

    /// Takes a face's own error out, for whoever says more about it.
    pub(crate) fn take_native(&mut self) -> Option<Native> {
        self.0.native.take()
    }

    /// Carries a face's own error beside this one, which says what became of the work that it ended.
    pub(crate) fn with_native(mut self, native: Option<Native>) -> Self {
        self.0.native = native;
        self
    }

    /// Takes a face's own error out, and leaves what core says about it.
    pub fn split_native<N: Any>(mut self) -> (Option<N>, Error) {
        let native = self.0.native.take().map(|native| native.downcast::<N>());
        match native {
            Some(Ok(native)) => (Some(*native), self),
            other => {
                self.0.native = other.and_then(std::result::Result::err);
                (None, self)
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some of the text came from a server, and an error is printed on a terminal.
        f.write_str(&crate::units::escape(&self.0.fault.to_string()))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.in_one_line(), self.code())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.fault.source()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a mistake inside etcdsh: {0}")]
struct Internal(String);

impl Fault for Internal {
    fn code(&self) -> &'static str {
        "internal"
    }

    fn help(&self) -> Option<String> {
        Some("this is a bug; please report it with the command that led here".to_owned())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct HookFailed(String);

impl Fault for HookFailed {
    fn code(&self) -> &'static str {
        "closure_failed"
    }
}

/// The call was interrupted.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

impl Interrupted {
    /// Its code, for whoever tells it from a failure.
    pub(crate) const CODE: &str = "interrupted";
}

impl Fault for Interrupted {
    fn code(&self) -> &'static str {
        Self::CODE
    }
}

/// Returns the nearest of the known names, if one is near enough to be meant, and no other is as near: who misses infra4 gets
/// none of infra1, infra2 and infra3 named.
pub fn suggest(name: &str, known: &[&str]) -> Option<String> {
    let likeness = |known: &&str| strsim::jaro_winkler(name, known);
    let near = known.iter().filter(|known| likeness(known) > 0.75);
    let nearest = near.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    let others = known.iter().filter(|other| *other != nearest);
    let alone = others.map(&likeness).all(|other| other < likeness(nearest));
    alone.then(|| (*nearest).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("infra4", &["infra1", "infra2", "infra3"], None)]
    #[case("infra4", &["infra1"], Some("infra1"))]
    #[case("infar1", &["infra1", "infra2"], Some("infra1"))]
    #[case("lerner", &["learner", "leader", "learner"], Some("learner"))]
    #[case("x", &["learner"], None)]
    fn the_nearest_name_is_suggested_where_one_is_meant(
        #[case] name: &str,
        #[case] known: &[&str],
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(suggest(name, known).as_deref(), expected);
    }
}
