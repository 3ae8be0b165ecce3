//! Clients of Kafka, as the receiver and the exporter share them.
//!
//! Kafka's protocol is librdkafka's business. What stands here is what both components say to it in the same way: which
//! brokers and as whom ([`settings`], [`auth`]), what a topic's messages are ([`Encoding`]), and what a client says about itself
//! ([`Events`]: its log lines become this process's, its last error explains why nothing moves).
//!
//! The idea: users write the Collector's settings, [`settings::Client::config`] turns them into librdkafka's properties, and
//! [`Check`](corten_config::Check) refuses before anything starts what librdkafka could not do, instead of passing over it.
//!
//! TLS and SCRAM come with the feature `tls`, which links OpenSSL; without it a configuration that asks for them is
//! refused with the remedy.

pub mod auth;
mod encoding;
mod events;
mod farewell;
pub mod settings;

pub use encoding::{Encoding, UnknownEncoding};
pub use events::{Events, Seldom};
pub use farewell::let_go;
