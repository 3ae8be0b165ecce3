//! bcachefs file systems: `/sys/fs/bcachefs`.

use corten_host::families::Kind::{Counter, Gauge};
use corten_host::scan::{cut, fields, float, lines, number, valid, value};
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit, sanitized};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Bcachefs {
        folder: Attributes::new(sources.roots.sys("fs/bcachefs")),
    })
}

struct Bcachefs {
    folder: Attributes,
}

impl Collector for Bcachefs {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let mut found = false;
        for uuid in &self.folder.names("")? {
            if self.folder.has_folder(uuid) {
                found = true;
                self.filesystem(emit, uuid)?;
            }
        }
        self.folder.forget_unused();
        if found {
            Ok(())
        } else {
            Err(HostError::NoData("no bcachefs is mounted"))
        }
    }
}

impl Bcachefs {
    /// The text of a file, empty where this version has none.
    fn read(&mut self, path: &str) -> Result<&[u8], HostError> {
        match self.folder.bytes(path) {
            Err(error) if error.is_absent() => Ok(&[]),
            other => other,
        }
    }

    fn filesystem(&mut self, emit: &mut Emit<'_>, uuid: &str) -> Result<(), HostError> {
        let path = format!("{uuid}/btree_cache_size");
        let text = self.read(&path)?;
        let size = if text.trim_ascii().is_empty() {
            Some(0.0)
        } else {
            amount(text)
        };
        let size = size.ok_or_else(|| self.folder.no_number(&path))?;
        emit.put(
            Gauge,
            "node_bcachefs_info",
            "The file systems that are mounted: always 1.",
            &[("uuid", uuid)],
            1.0,
        );
        emit.put(
            Gauge,
            "node_bcachefs_btree_cache_size_bytes",
            "Memory that the trees' cache uses, in bytes.",
            &[("uuid", uuid)],
            size,
        );
        let text = self.read(&format!("{uuid}/compression_stats"))?;
        // A heading, then: algorithm, compressed, uncompressed, average extent.
        for (at, line) in lines(text).skip(1) {
            let columns: Vec<_> = fields(line).collect();
            let [algorithm, compressed, uncompressed, ..] = columns.as_slice() else {
                continue;
            };
            let wrong = || HostError::malformed("compression_stats", at, "two amounts", line);
            let algorithm = valid(algorithm.strip_suffix(b":").unwrap_or(algorithm));
            let labels = [("algorithm", &*algorithm), ("uuid", uuid)];
            emit.put(
                Gauge,
                "node_bcachefs_compression_compressed_bytes",
                "Bytes after compression.",
                &labels,
                amount(compressed).ok_or_else(wrong)?,
            );
            emit.put(
                Gauge,
                "node_bcachefs_compression_uncompressed_bytes",
                "Bytes before compression.",
                &labels,
                amount(uncompressed).ok_or_else(wrong)?,
            );
        }
        let text = self.read(&format!("{uuid}/errors"))?;
        for (at, line) in lines(text) {
            let mut columns = fields(line);
            let (Some(name), Some(count)) = (columns.next(), columns.next()) else {
                continue;
            };
            let count = number(count)
                .ok_or_else(|| HostError::malformed("errors", at, "a name and a number", line))?;
            emit.put(
                Counter,
                "node_bcachefs_errors_total",
                "Errors by kind.",
                &[("error_type", &valid(name)), ("uuid", uuid)],
                float(count),
            );
        }
        for counter in self
            .folder
            .names(&format!("{uuid}/counters"))
            .unwrap_or_default()
        {
            let path = format!("{uuid}/counters/{counter}");
            let text = self.read(&path)?;
            let of = |start: &[u8]| lines(text).find_map(|(_, line)| line.strip_prefix(start));
            let created = of(b"since filesystem creation:");
            if created.is_none() && of(b"since mount:").is_none() {
                return Err(self.folder.no_number(&path));
            }
            let count = created.map_or(Some(0.0), amount);
            let count = count.ok_or_else(|| self.folder.no_number(&path))?;
            let name = format!("node_bcachefs_{}_total", sanitized(&counter));
            emit.put(
                Counter,
                &name,
                "A counter of each file system since it was made.",
                &[("uuid", uuid)],
                count,
            );
        }
        let text = self.read(&format!("{uuid}/btree_write_stats"))?;
        for (at, line) in lines(text).skip(1) {
            let columns: Vec<_> = fields(line).collect();
            let [kind, count, size, ..] = columns.as_slice() else {
                continue;
            };
            let wrong =
                || HostError::malformed("btree_write_stats", at, "a number and an amount", line);
            let kind = valid(kind.strip_suffix(b":").unwrap_or(kind));
            let labels = [("type", &*kind), ("uuid", uuid)];
            emit.put(
                Counter,
                "node_bcachefs_btree_writes_total",
                "Writes of the trees by kind.",
                &labels,
                float(number(count).ok_or_else(wrong)?),
            );
            emit.put(
                Gauge,
                "node_bcachefs_btree_write_average_size_bytes",
                "Bytes in a write of the trees, on average.",
                &labels,
                amount(size).ok_or_else(wrong)?,
            );
        }
        for folder in self.folder.names(uuid)? {
            if let Some(device) = folder.strip_prefix("dev-")
                && self.folder.has_folder(&format!("{uuid}/{folder}"))
            {
                self.device(emit, uuid, &format!("{uuid}/{folder}"), device)?;
            }
        }
        Ok(())
    }

    fn device(
        &mut self,
        emit: &mut Emit<'_>,
        uuid: &str,
        path: &str,
        device: &str,
    ) -> Result<(), HostError> {
        let (label, state) = (
            self.folder.text_or_empty(&format!("{path}/label")),
            self.folder.text_or_empty(&format!("{path}/state")),
        );
        emit.put(
            Gauge,
            "node_bcachefs_device_info",
            "What each device is: always 1.",
            &[
                ("device", device),
                ("label", &label),
                ("state", &state),
                ("uuid", uuid),
            ],
            1.0,
        );
        for (file, name, help) in [
            (
                "bucket_size",
                "node_bcachefs_device_bucket_size_bytes",
                "Bytes in a bucket of each device.",
            ),
            (
                "nbuckets",
                "node_bcachefs_device_buckets",
                "Buckets of each device.",
            ),
            (
                "durability",
                "node_bcachefs_device_durability",
                "How many copies one on this device counts for.",
            ),
        ] {
            let path = format!("{path}/{file}");
            let text = self.read(&path)?;
            let number = if text.trim_ascii().is_empty() {
                Some(0.0)
            } else {
                amount(text)
            };
            let number = number.ok_or_else(|| self.folder.no_number(&path))?;
            emit.put(
                Gauge,
                name,
                help,
                &[("device", device), ("uuid", uuid)],
                number,
            );
        }
        let text = self.read(&format!("{path}/io_done"))?;
        let mut operation = None;
        for (at, line) in lines(text) {
            match line.trim_ascii() {
                b"read:" => operation = Some("read"),
                b"write:" => operation = Some("write"),
                pair => {
                    if let (Some(operation), Some((kind, bytes))) = (operation, cut(pair, b':')) {
                        let bytes = number(bytes.trim_ascii())
                            .ok_or_else(|| HostError::malformed("io_done", at, "a number", line))?;
                        let labels = [
                            ("data_type", &*valid(kind)),
                            ("device", device),
                            ("operation", operation),
                            ("uuid", uuid),
                        ];
                        emit.put(
                            Counter,
                            "node_bcachefs_device_io_done_bytes_total",
                            "Bytes read and written by what they were.",
                            &labels,
                            float(bytes),
                        );
                    }
                }
            }
        }
        let text = self.read(&format!("{path}/io_errors"))?;
        let mut since_creation = false;
        for (at, line) in lines(text) {
            if line.starts_with(b"IO errors since ") {
                if since_creation {
                    break;
                }
                since_creation = line.starts_with(b"IO errors since filesystem creation");
            } else if let (true, Some((kind, count))) =
                (since_creation, cut(line.trim_ascii(), b':'))
            {
                let count = number(count.trim_ascii())
                    .ok_or_else(|| HostError::malformed("io_errors", at, "a number", line))?;
                emit.put(
                    Counter,
                    "node_bcachefs_device_io_errors_total",
                    "Errors of each device by kind, since the file system was made.",
                    &[("device", device), ("type", &valid(kind)), ("uuid", uuid)],
                    float(count),
                );
            }
        }
        Ok(())
    }
}

/// A number that may end with a power of 1024: `4.5M`.
fn amount(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii();
    let (unit, number) = text.split_last()?;
    let exponent = match unit.to_ascii_lowercase() {
        b'k' => 10,
        b'm' => 20,
        b'g' => 30,
        b't' => 40,
        b'p' => 50,
        b'e' => 60,
        _ => return value(text).map(f64::trunc),
    };
    Some((value(number)? * 2f64.powi(exponent)).trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        assert_eq!(amount(b"512k\n"), Some(524_288.0));
        assert_eq!(amount(b" 1.5M"), Some(1_572_864.0));
        assert_eq!(amount(b"17"), Some(17.0));
        assert_eq!(amount(b"M"), None);
    }
}
