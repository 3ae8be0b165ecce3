//! Faults of the CPUs and what is done about them: `/sys/devices/system/cpu/vulnerabilities`.

use corten_host::families::Kind::Gauge;
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(CpuVulnerabilities {
        folder: Attributes::new(sources.roots.sys("devices/system/cpu/vulnerabilities")),
    })
}

struct CpuVulnerabilities {
    folder: Attributes,
}

impl Collector for CpuVulnerabilities {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for codename in &self.folder.names("")? {
            let text = self.folder.text(codename)?.into_owned();
            let (state, mitigation) = told(&text);
            emit.put(
                Gauge,
                "node_cpu_vulnerabilities_info",
                "What the kernel says of each fault: always 1.",
                &[
                    ("codename", codename),
                    ("mitigation", mitigation),
                    ("state", state),
                ],
                1.0,
            );
        }
        self.folder.forget_unused();
        Ok(())
    }
}

/// The state, and what is done: `Mitigation: PTI`, `Vulnerable: no microcode`, `Not affected`.
fn told(text: &str) -> (&'static str, &str) {
    let (start, rest) = text.split_once(": ").unwrap_or((text, ""));
    if start.contains("Not affected") {
        ("not affected", "")
    } else if start.contains("Mitigation") {
        ("mitigation", rest)
    } else if start.contains("Vulnerable") {
        ("vulnerable", rest)
    } else {
        ("unknown", rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_first() {
        assert_eq!(
            told("Mitigation: usercopy/swapgs barriers"),
            ("mitigation", "usercopy/swapgs barriers")
        );
        assert_eq!(told("Not affected"), ("not affected", ""));
        assert_eq!(told("Vulnerable"), ("vulnerable", ""));
    }
}
