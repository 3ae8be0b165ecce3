//! The configuration file.

mod decode;
#[doc(hidden)]
pub mod defaults;
mod expand;
mod merge;
pub mod model;
mod node;
mod parse;
mod problem;
mod resolve;
mod section;
pub mod settings;
pub mod types;

pub use defaults::over;
pub use model::Document;
pub use node::{Entry, Map, Node, Scalar, Source, Span, Style, Value};
pub use problem::{Problem, Problems, Severity, nearest};
pub use resolve::{Environment, Process, Sources};
pub use section::{Check, Checker, Section, Spot, from_str, section};
