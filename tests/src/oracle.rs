//! The oracle of lost logs: who wrote what, what Loki got, and whether it is the same.
//!
//! A [`Writer`] does to log files what container runtimes, kubelet, logrotate and faulty disks do to them. An
//! [`Endpoint`] is a Loki with Loki's own limits, which fails as it is told. [`Books`] are told of every line by both and
//! know what is lost, duplicated, out of order or corrupted. A [`World`] has all three and the agent, and plays scripts.
//!
//! Every choice comes from a seed, and everything that is done is written down as an [`Action`], a line of text each: a
//! run that fails prints both. `CORTEN_ORACLE_SEED=<n>` runs a test with that seed, `CORTEN_ORACLE_SCRIPT=<file>` plays the
//! printed script in place of one that a seed would make.

mod books;
mod endpoint;
mod limits;
mod random;
mod script;
mod world;
mod writer;

pub use books::{Books, Received, Verdict, Wrote};
pub use endpoint::{Endpoint, Fault};
pub use limits::Limits;
pub use random::Random;
pub use script::{Action, Who};
pub use world::{Setup, World};
pub use writer::Writer;
