//! Whether SELinux is on: `/sys/fs/selinux` and `/etc/selinux/config`.

use corten_host::families::Kind::Gauge;
use corten_host::{Attributes, HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Selinux {
        mounted: Attributes::new(sources.roots.sys("fs/selinux")),
        config: HostFile::new(sources.roots.on_host("/etc/selinux/config".as_ref())),
    })
}

struct Selinux {
    mounted: Attributes,
    config: HostFile,
}

impl Collector for Selinux {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        // The folder is always there where the kernel can; the file only where it does.
        let current = self.mounted.number("enforce");
        let enabled = if current.is_some() { 1.0 } else { 0.0 };
        emit.put(
            Gauge,
            "node_selinux_enabled",
            "Whether SELinux is on.",
            &[],
            enabled,
        );
        if let Some(current) = current {
            let configured = self.config.read().map_or(-1.0, mode);
            emit.put(
                Gauge,
                "node_selinux_config_mode",
                "The mode that is configured: 1 enforcing, 0 permissive, -1 off.",
                &[],
                configured,
            );
            emit.put(
                Gauge,
                "node_selinux_current_mode",
                "The mode that it is in: 1 enforcing, 0 permissive.",
                &[],
                current,
            );
        }
        Ok(())
    }
}

/// The line `SELINUX=…`.
fn mode(config: &[u8]) -> f64 {
    let value = config
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.trim_ascii().strip_prefix(b"SELINUX="));
    match value.map(<[u8]>::trim_ascii) {
        Some(b"enforcing") => 1.0,
        Some(b"permissive") => 0.0,
        _ => -1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_numbers() {
        assert_eq!(mode(b"# x\nSELINUX=enforcing\nSELINUXTYPE=targeted\n"), 1.0);
        assert_eq!(mode(b"SELINUX=permissive"), 0.0);
        assert_eq!(mode(b""), -1.0);
    }
}
