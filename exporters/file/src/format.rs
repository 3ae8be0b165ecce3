//! Telemetry as it stands in the file.

use std::io;

use corten_pdata::Data;

use crate::config::{Compression, Config, Format};

/// Turns telemetry into the bytes of one message.
pub(crate) struct Encoder {
    format: Format,
    compression: Compression,
    level: i32,
}

/// It cannot be written in this format.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0} bytes are too many for one message of a file: at most 4 GiB")]
    TooLarge(usize),
}

impl Encoder {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            format: config.format,
            compression: config.compression,
            level: config.compression_params.level,
        }
    }

    /// One line, or a message after its length.
    pub(crate) fn encode(&self, data: &Data) -> Result<Vec<u8>, EncodeError> {
        let framed = self.format == Format::Proto || self.compression == Compression::Zstd;
        let mut out = Vec::new();
        match (self.format, self.compression) {
            (Format::Json, Compression::None) => data.to_json(&mut out)?,
            (Format::Proto, Compression::None) => out.extend_from_slice(&data.to_bytes()),
            (Format::Json, Compression::Zstd) => {
                let mut json = Vec::new();
                data.to_json(&mut json)?;
                out = zstd::bulk::compress(&json, self.level)?;
            }
            (Format::Proto, Compression::Zstd) => {
                out = zstd::bulk::compress(&data.to_bytes(), self.level)?;
            }
        }
        if !framed {
            out.push(b'\n');
            return Ok(out);
        }
        let length = u32::try_from(out.len()).map_err(|_| EncodeError::TooLarge(out.len()))?;
        let mut message = Vec::with_capacity(out.len() + 4);
        message.extend_from_slice(&length.to_be_bytes());
        message.append(&mut out);
        Ok(message)
    }
}
