//! What happens to Kubernetes objects, written down as log records.
//!
//! The API server is the queue: a watch goes on from a version, and that version moves only when the pipeline has kept what
//! was told before it. Kept by a storage extension, it is where the next process goes on; without one a new process
//! begins with what comes.
//!
//! ```text
//! Changes ──▶ write: Round → Logs ──▶ shipper: consume … Ok ──▶ position ──▶ checkpoint
//!    ▲ only while this agent leads, where a leader elector is named
//! ```
//!
//! [`Chronicle`] is the life that such receivers have in common; what a record looks like is theirs.

mod json;
mod positions;
mod runner;

pub use json::any_value;
pub use positions::Positions;
pub use runner::{Chronicle, Scribe, Settings, Watched};
