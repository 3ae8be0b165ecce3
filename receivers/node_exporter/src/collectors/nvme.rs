//! NVMe disks and their namespaces: `/sys/class/nvme`.

use corten_host::families::Kind::Gauge;
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Nvme {
        folder: Attributes::new(sources.roots.sys("class/nvme")),
    })
}

struct Nvme {
    folder: Attributes,
}

impl Collector for Nvme {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for device in &self.folder.names("")? {
            let mut text = |file: &str| {
                self.folder
                    .text(&format!("{device}/{file}"))
                    .map(|text| text.into_owned())
            };
            let (firmware, model, serial) =
                (text("firmware_rev")?, text("model")?, text("serial")?);
            let state = text("state")?;
            // Kernels before 4.13 have no such file.
            let cntlid = self.folder.text_or_empty(&format!("{device}/cntlid"));
            emit.put(
                Gauge,
                "node_nvme_info",
                "What each disk is: always 1.",
                &[
                    ("cntlid", &cntlid),
                    ("device", device),
                    ("firmware_revision", &firmware),
                    ("model", &model),
                    ("serial", &serial),
                    ("state", &state),
                ],
                1.0,
            );
            for name in self.folder.names(device)? {
                let Some(nsid) = namespace(&name) else {
                    continue;
                };
                let mut number =
                    |file: &str| self.folder.optional(&format!("{device}/{name}/{file}"));
                let (used, size) = (
                    number("nuse")?.unwrap_or(0.0),
                    number("size")?.unwrap_or(0.0),
                );
                let block = number("queue/logical_block_size")?.unwrap_or(0.0);
                let ana = self
                    .folder
                    .text_or_empty(&format!("{device}/{name}/ana_state"));
                let ana = if ana.is_empty() { "unknown" } else { &ana };
                emit.put(
                    Gauge,
                    "node_nvme_namespace_info",
                    "What each namespace is: always 1.",
                    &[("ana_state", ana), ("device", device), ("nsid", nsid)],
                    1.0,
                );
                for (metric, help, value) in [
                    (
                        "node_nvme_namespace_capacity_bytes",
                        "Bytes that each namespace may hold.",
                        size * block,
                    ),
                    (
                        "node_nvme_namespace_size_bytes",
                        "Size of each namespace, in bytes.",
                        size * block,
                    ),
                    (
                        "node_nvme_namespace_used_bytes",
                        "Bytes that are in use in each namespace.",
                        used * block,
                    ),
                    (
                        "node_nvme_namespace_logical_block_size_bytes",
                        "Bytes in a block of each namespace.",
                        block,
                    ),
                ] {
                    emit.put(
                        Gauge,
                        metric,
                        help,
                        &[("device", device), ("nsid", nsid)],
                        value,
                    );
                }
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}

/// The number of a namespace by its name: `nvme0n1`, or `nvme0c1n1` by one of several paths.
fn namespace(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("nvme")?;
    let (before, nsid) = rest.rsplit_once('n')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let known = match before.split_once('c') {
        Some((subsystem, path)) => digits(subsystem) && digits(path),
        None => digits(before),
    };
    (known && digits(nsid)).then_some(nsid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_told_by_their_name() {
        assert_eq!(namespace("nvme0n1"), Some("1"));
        assert_eq!(namespace("nvme10c1n12"), Some("12"));
        for other in ["nvme0", "nvme0n1p1", "ng0n1", "power", "nvmen1"] {
            assert_eq!(namespace(other), None, "{other}");
        }
    }
}
