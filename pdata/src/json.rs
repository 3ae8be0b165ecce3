//! OTLP/JSON, both ways, streaming: no document tree in between.
//!
//! The format is protobuf's JSON mapping as the OTLP specification changes it
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>): trace and span ids are
//! hexadecimal, enumerations are numbers. Written are `lowerCamelCase` names, 64-bit integers as
//! strings, other bytes as base64, and no fields that hold their default. Read is also what other
//! writers make of it: `snake_case` names, integers either way, enumerations by name, base64 in both
//! alphabets with or without padding. Names that are not known are skipped, `null` means absent.
//! Unknown fields of the wire format have no names and are left out.
//!
//! ```
//! use corten_pdata::{Logs, LogsSignal, json};
//!
//! let text = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"hi"}}]}]}]}"#;
//! let logs: Logs = json::from_json::<LogsSignal>(text)?;
//! assert_eq!(logs.items(), 1);
//! let mut out = Vec::new();
//! json::to_json(&logs, &mut out)?;
//! assert_eq!(out, text);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod parser;
mod read;
mod write;

use std::io::{self, Write};

use bytes::Bytes;
use thiserror::Error;

use crate::rope::{Rope, Segment};
use crate::signal::SignalKind;
use crate::{Data, Signal, schema};

/// Why a text is not OTLP/JSON.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("malformed OTLP/JSON at line {line}, column {column}: {what}")]
pub struct JsonError {
    /// The line, from 1.
    pub line: usize,
    /// The column, in bytes, from 1.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
}

/// Writes a rope as one JSON document, without a line break.
///
/// # Errors
///
/// The writer's own.
pub fn to_json<S: SignalKind>(rope: &Rope<S>, out: &mut impl Write) -> io::Result<()> {
    write::write(S::SIGNAL, rope.segments(), out)
}

/// Reads a JSON document.
///
/// # Errors
///
/// [`JsonError`] with the first problem.
pub fn from_json<S: SignalKind>(text: &[u8]) -> Result<Rope<S>, JsonError> {
    Ok(segment_from_json(S::SIGNAL, text)?.into())
}

impl Data {
    /// Writes it as one JSON document; see [`to_json`].
    ///
    /// # Errors
    ///
    /// The writer's own.
    pub fn to_json(&self, out: &mut impl Write) -> io::Result<()> {
        write::write(self.signal(), self.segments(), out)
    }

    /// Reads a JSON document; see [`from_json`].
    ///
    /// # Errors
    ///
    /// [`JsonError`] with the first problem.
    pub fn from_json(signal: Signal, text: &[u8]) -> Result<Self, JsonError> {
        Ok(Self::from_segments(
            signal,
            [segment_from_json(signal, text)?],
        ))
    }
}

fn segment_from_json(signal: Signal, text: &[u8]) -> Result<Segment, JsonError> {
    let bytes = read::read(schema::request(signal), text)?;
    // What has just been written is well formed; the pass counts, and merges what JSON allowed to
    // occur twice.
    Segment::validate(signal, Bytes::from(bytes)).map_err(|malformed| JsonError {
        line: 1,
        column: 1,
        what: malformed.what.to_owned(),
    })
}
