//! The properties that hold for all telemetry, for the property tests and the fuzz targets.
//!
//! The owned model and its decoder are the oracle: whatever this crate reads or changes in place is
//! compared with the same done to decoded objects. Inputs are either any bytes, or requests that are
//! made up from bytes (an [`Entropy`]) and use every freedom that the wire format leaves.

#![expect(clippy::expect_used, reason = "properties panic when they do not hold")]

mod entropy;
mod generate;
mod properties;
mod reference;
mod view;

pub use entropy::Entropy;
pub use generate::{generate, inject_unknown};
pub use properties::{
    check_edits, check_generated, check_json_input, check_raw, check_split, unknown_fields,
};
pub use view::{logs_model, metrics_model, traces_model};
