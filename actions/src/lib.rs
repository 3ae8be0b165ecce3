//! Attribute actions: the list that the processors `attributes` and `resource` share.
//!
//! An [`Action`] is what users write; [`Actions`] is the list made ready: one pass over the
//! attributes of a resource or a record carries out all of them, on the OTLP bytes.
//!
//! ```
//! use corten_actions::{Action, Actions, Literal, Verb};
//! use corten_component::ClientMetadata;
//! use corten_pdata::build::LogsBuilder;
//! use corten_pdata::edit::edit_resource_attributes;
//!
//! let actions = Actions::new(&[Action {
//!     key: "cluster".to_owned(),
//!     action: Verb::Insert,
//!     value: Some(Literal::String("eu-1".to_owned())),
//!     ..Action::default()
//! }]);
//! let mut logs = LogsBuilder::new();
//! logs.resource(|_| {});
//! logs.scope("", "");
//! logs.record(|record| {
//!     record.body_str("hello");
//! });
//! let edits = actions.edits(&ClientMetadata::none());
//! let logs = edit_resource_attributes(&logs.finish(), &edits);
//! let resource = logs.resources().next().unwrap().resource();
//! assert_eq!(resource.attributes().get_str("cluster"), Some("eu-1"));
//! ```

mod config;
mod ready;

pub use config::{Action, Converted, Literal, Verb};
pub use ready::Actions;
