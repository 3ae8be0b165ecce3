//! The `batch` processor.
//!
//! Small batches are gathered until there are `send_batch_size` items, `timeout` has passed since
//! the first of them, nothing has come for a tenth of it, or everybody who could send is waiting, and go on as one. Because a batch is OTLP bytes and repeated fields
//! concatenate, gathering is appending references: nothing is decoded and nothing is copied.
//!
//! The one idea that sets it apart from others of its name: *every sender hears what became of its
//! own data*. A call to `consume` resolves when every piece of its batch has been answered for
//! downstream, so acknowledgements, back-pressure and refusals pass through this processor as if
//! it were not there. That is also why it never merges data that its sender can replay with data
//! that it cannot, nor requests with different metadata: they deserve different answers.
//!
//! ```text
//! callers     A ──┐                          ┌── A hears Ok
//!             B ──┼─▶ group ─▶ one batch ─▶ next
//!             C ──┘                          └── C hears Refused, with C's data
//! ```

mod config;
mod crowd;
mod group;
mod metadata;
mod processor;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `batch`.
#[must_use]
pub fn factory() -> Factory {
    Factory::processor(&METADATA, processor::BatchProcessor::create)
}
