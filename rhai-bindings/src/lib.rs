//! The Rhai face of etcdsh: an engine with the catalogue bound, a script runner and a REPL.
//!
//! In reading order: what all functions share ([`session`], [`interrupt`]), values ([`value`], [`stream`], [`cluster`],
//! [`error`], [`stop`]), how the catalogue becomes functions ([`bind`], [`docs`], [`functions`], [`options`], [`command`], [`json`], [`sized`]), and
//! the engine with its imports and its bounds ([`engine`], [`resolver`], [`source`], [`memory`]). Then what a person meets: the command line ([`app`], [`cli`],
//! [`signals`], [`logging`], [`output`]), failures ([`report`], [`check`]) and results ([`show`], [`table`]), and the shell
//! ([`repl`]).

pub mod app;
pub mod bind;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod command;
pub mod docs;
pub mod engine;
pub mod error;
pub mod functions;
pub mod interrupt;
pub mod json;
pub mod logging;
pub mod memory;
pub mod options;
pub mod output;
pub mod repl;
pub mod report;
pub mod resolver;
pub mod session;
pub mod show;
pub mod signals;
pub mod sized;
pub mod source;
pub mod stop;
pub mod stream;
pub mod table;
pub mod value;

#[cfg(test)]
mod tests;
