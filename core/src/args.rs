//! What an operation takes. [`args!`](crate::args!) declares a struct once and yields both the type that the operation reads
//! and the parameters that its card shows; missing, unknown and default arguments are handled here, once for every face.

mod bad;

pub use bad::{BadArgument, CLOSURE_RESULT};

use crate::error::suggest;
use crate::units::{parse_elapsed, parse_size};
use crate::value::{Record, Value};

/// One parameter of an operation.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name in snake_case; Nushell shows it in kebab-case.
    pub name: &'static str,
    /// One sentence that says what it is for.
    pub doc: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether it is given by its place rather than by its name.
    pub positional: bool,
    /// Whether a call without it is refused.
    pub required: bool,
    /// What holds when it is not given, as a user would write it.
    pub default: Option<&'static str>,
}

impl Param {
    /// Returns the name without the doubled spaces and leading blanks that doc comments bring along.
    pub fn doc(&self) -> &'static str {
        self.doc.trim()
    }

    /// Returns what holds when it is not given, as a value of its kind.
    pub fn default_value(&self) -> Option<Value> {
        self.default.map(|text| self.kind.read(text))
    }
}

/// What a parameter takes, or a column holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A switch, or a truth value.
    Bool,
    /// A whole number.
    Int,
    /// A number with a fraction.
    Float,
    /// Text.
    Text,
    /// A key or a value of the store: text, or bytes where it is not clean text.
    Octets,
    /// A size in bytes.
    Size,
    /// A span of time.
    Elapsed,
    /// A point in time.
    Time,
    /// A file or folder; a relative one is taken from the caller's folder.
    Path,
    /// A member: its name, its id in hex, or one of its URLs.
    Member,
    /// The name of a profile.
    Profile,
    /// The name of a sandbox.
    Sandbox,
    /// The name of a member of a sandbox.
    SandboxMember,
    /// A run of a change: its name, or a beginning that no other run has.
    Run {
        /// Whether it has to be one that can be gone on with.
        open: bool,
    },
    /// A callback.
    Hook,
    /// One word of a closed set.
    Choice(&'static [&'static str]),
    /// Several of a kind.
    List(&'static Kind),
    /// A record with these columns.
    Record(&'static [crate::report::Column]),
    /// A record whose fields depend on the case.
    Map,
}

impl Kind {
    /// Reads a text of the program's own, a default or a sample, as a value of this kind; what does not fit stays text.
    pub fn read(self, text: &str) -> Value {
        let value = Value::from(text);
        match self {
            Kind::Int => text.parse().ok().map(Value::Int),
            Kind::Bool => Some(Value::Bool(text == "true")),
            Kind::Elapsed => parse_elapsed(&value).map(Value::Elapsed),
            Kind::Size => parse_size(&value).map(Value::Size),
            _ => None,
        }
        .unwrap_or(value)
    }
}

/// A type that can stand in a parameter or a column.
pub trait Typed {
    /// What it takes or holds.
    const KIND: Kind;
    /// Whether it may be left out.
    const OPTIONAL: bool = false;
    /// Whether it may be null where it stands in a report. A switch that may be left out is still either on or off.
    const NULLABLE: bool = false;
}

macro_rules! typed {
    ($($type:ty = $kind:ident),* $(,)?) => { $(impl Typed for $type { const KIND: Kind = Kind::$kind; })* };
}

typed! {
    i64 = Int, u32 = Int, f64 = Float, String = Text, Value = Map, std::path::PathBuf = Path,
    crate::units::Bytes = Size, crate::units::Elapsed = Elapsed, crate::units::Timestamp = Time,
    crate::units::Octets = Octets, crate::units::Hook = Hook,
    crate::id::MemberId = Text, crate::id::ClusterId = Text, crate::id::LeaseId = Text, crate::id::Revision = Int,
    crate::member::MemberRef = Member,
}

impl Typed for bool {
    const KIND: Kind = Kind::Bool;
    const OPTIONAL: bool = true;
}

impl<T: Typed> Typed for Option<T> {
    const KIND: Kind = T::KIND;
    const OPTIONAL: bool = true;
    const NULLABLE: bool = true;
}

impl<T: Typed> Typed for Vec<T> {
    const KIND: Kind = Kind::List(&T::KIND);
    const OPTIONAL: bool = true;
}

/// The arguments of an operation.
pub trait Args: Sized {
    /// Its own parameters, positional ones first.
    const PARAMS: &'static [Param];
    /// Parameters that it shares with a family of operations.
    const SHARED: &'static [Param] = &[];

    /// Reads them from a record in which every parameter has its value or default.
    ///
    /// # Errors
    /// The argument that does not fit, what was expected of it, and what was found.
    fn read(record: Record) -> Result<Self, BadArgument>;

    /// Says whether a value fits one of the parameters, as far as that can be said without the others. A parameter that is
    /// not there fits anything.
    ///
    /// # Errors
    /// What was expected, and what was found.
    fn fits(name: &str, value: Value) -> Result<(), BadArgument>;
}

/// Completes what the caller gave: refuses unknown names, fills in defaults, and asks for what is missing. Paths are made
/// absolute here, because the process may live in another folder than its caller.
///
/// # Errors
/// The first argument that is unknown or missing.
pub fn complete(
    params: &[&[Param]],
    mut given: Record,
    absolute: &dyn Fn(&str) -> std::path::PathBuf,
) -> Result<Record, BadArgument> {
    let all = || params.iter().flat_map(|group| group.iter());
    if let Some(unknown) = given.iter().find_map(|(name, _)| unknown(params, name)) {
        return Err(unknown);
    }
    let mut complete = Record::with_capacity(all().count());
    for param in all() {
        complete.push(param.name, settle(param, given.remove(param.name), absolute)?);
    }
    Ok(complete)
}

/// Refuses a name that no parameter has.
fn unknown(params: &[&[Param]], name: &str) -> Option<BadArgument> {
    let known: Vec<_> = params.iter().flat_map(|group| group.iter()).map(|param| param.name).collect();
    let unknown =
        || BadArgument::Unknown { name: name.to_owned(), suggestion: suggest(name, &known), known: known.clone() };
    (!known.contains(&name)).then(unknown)
}

/// Returns the value of one parameter: what was given, or what holds without it.
fn settle(
    param: &Param,
    given: Option<Value>,
    absolute: &dyn Fn(&str) -> std::path::PathBuf,
) -> Result<Value, BadArgument> {
    match given {
        Some(Value::Null) | None => match (param.default_value(), param.required) {
            (Some(default), _) => Ok(default),
            (None, true) => Err(BadArgument::Missing { name: param.name, doc: param.doc }),
            (None, false) => Ok(absent(param.kind)),
        },
        Some(Value::Text(path)) if param.kind == Kind::Path => {
            if path.is_empty() {
                return Err(BadArgument::invalid(param.name, "is an empty path", "give a file or folder"));
            }
            Ok(Value::Text(absolute(&path).to_string_lossy().into_owned()))
        }
        Some(value) => Ok(value),
    }
}

/// The parameters of a function, without its types: enough to look at a call before it is made.
#[derive(Clone, Copy)]
pub struct Takes {
    /// Its own parameters, and those that it shares.
    pub params: [&'static [Param]; 2],
    fits: fn(&str, Value) -> Result<(), BadArgument>,
}

impl Takes {
    /// Returns what `A` declares.
    pub const fn of<A: Args>() -> Self {
        Takes { params: [A::PARAMS, A::SHARED], fits: A::fits }
    }

    /// Returns all parameters: positional, named, shared.
    pub fn all(&self) -> impl Iterator<Item = &'static Param> + use<> {
        self.params.into_iter().flatten()
    }

    /// Returns the positional parameters in order.
    pub fn positional(&self) -> impl Iterator<Item = &'static Param> + use<> {
        self.all().filter(|param| param.positional)
    }

    /// Joins positional values and named ones into one record.
    ///
    /// # Errors
    /// More values than places, or a parameter that is given twice.
    pub fn join(
        &self,
        operation: &'static str,
        positional: Vec<Value>,
        mut named: Record,
    ) -> Result<Record, BadArgument> {
        let (takes, given) = (self.positional().count(), positional.len());
        if given > takes {
            return Err(BadArgument::TooMany { operation, takes, given });
        }
        for (param, value) in self.positional().zip(positional) {
            if named.get(param.name).is_some() {
                return Err(BadArgument::invalid(param.name, "is given twice", "give it once, by place or by name"));
            }
            named.insert(param.name, value);
        }
        Ok(named)
    }

    /// Looks at one argument of a call that is still to be made: its name, and its value where that is known already.
    ///
    /// # Errors
    /// There is no such parameter, or the value does not fit it.
    pub fn check(&self, name: &str, value: Option<Value>) -> Result<(), BadArgument> {
        if let Some(unknown) = unknown(&self.params, name) {
            return Err(unknown);
        }
        let (Some(param), Some(value)) = (self.all().find(|param| param.name == name), value) else { return Ok(()) };
        let value = settle(param, Some(value), &|path| path.into())?;
        (self.fits)(name, value).map_err(|bad| bad.of(name))
    }

    /// Returns the first parameter that a call with these arguments lacks.
    pub fn missing(&self, given: &[&str]) -> Option<BadArgument> {
        let lacking = self.all().find(|param| param.required && !given.contains(&param.name))?;
        Some(BadArgument::Missing { name: lacking.name, doc: lacking.doc })
    }
}

fn absent(kind: Kind) -> Value {
    match kind {
        Kind::Bool => Value::Bool(false),
        _ => Value::Null,
    }
}

/// Declares the arguments of an operation: positional ones in parentheses, named ones in braces, each with its doc comment,
/// its type and, after `=`, its default.
///
/// ```
/// etcdsh_core::args! {
///     /// What to read.
///     pub struct ReadArgs(
///         /// The key to read.
///         key: String,
///     ) {
///         /// Read as of this revision.
///         revision: Option<i64>,
///         /// At most this many.
///         limit: i64 = 10,
///     }
/// }
/// ```
#[macro_export]
macro_rules! args {
    (
        $(#[$meta:meta])*
        pub struct $name:ident (
            $( $(#[doc = $pdoc:literal])* $pos:ident : $ptype:ty $(= $pdefault:literal)? ),* $(,)?
        ) {
            $( $(#[doc = $doc:literal])* $field:ident : $type:ty $(= $default:literal)? ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $( $(#[doc = $pdoc])* pub $pos: $ptype, )*
            $( $(#[doc = $doc])* pub $field: $type, )*
        }

        impl $crate::args::Args for $name {
            const PARAMS: &'static [$crate::args::Param] = &[
                $( $crate::args!(@param $pos, $ptype, true, concat!($($pdoc),*), $($pdefault)?), )*
                $( $crate::args!(@param $field, $type, false, concat!($($doc),*), $($default)?), )*
            ];

            fn read(record: $crate::value::Record) -> Result<Self, $crate::args::BadArgument> {
                $crate::value::from_record(record)
            }

            fn fits(name: &str, value: $crate::value::Value) -> Result<(), $crate::args::BadArgument> {
                let given = (name, value);
                match given.0 {
                    $( stringify!($pos) => $crate::value::from_value::<$ptype>(given.1).map(drop), )*
                    $( stringify!($field) => $crate::value::from_value::<$type>(given.1).map(drop), )*
                    _ => Ok(()),
                }
            }
        }
    };
    (@param $name:ident, $type:ty, $positional:literal, $doc:expr, $($default:literal)?) => {
        $crate::args::Param {
            name: stringify!($name),
            doc: $doc,
            kind: <$type as $crate::args::Typed>::KIND,
            positional: $positional,
            required: !<$type as $crate::args::Typed>::OPTIONAL $( && concat!($default).is_empty() )?,
            default: $crate::args!(@default $($default)?),
        }
    };
    (@default) => { None };
    (@default $default:literal) => { Some(concat!($default)) };
}

crate::args! {
    /// The arguments of an operation that takes none.
    pub struct NoArgs() {}
}

/// Declares a closed set of words: an enum whose variants are snake_case text everywhere outside Rust.
#[macro_export]
macro_rules! choice {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[doc = $doc:literal])* $variant:ident = $word:literal ),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $( $(#[doc = $doc])* #[serde(rename = $word)] $variant ),* }

        impl $name {
            /// Every member of the set.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// Returns the word for it.
            pub const fn word(self) -> &'static str {
                match self { $( $name::$variant => $word ),* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl $crate::args::Typed for $name {
            const KIND: $crate::args::Kind = $crate::args::Kind::Choice(&[$($word),*]);
        }
    };
}
