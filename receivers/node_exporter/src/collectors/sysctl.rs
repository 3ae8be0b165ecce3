//! Settings of the kernel: `/proc/sys`, those that the user names.

use corten_host::families::Kind::{Gauge, Untyped};
use corten_host::scan::{valid, value};
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit, sanitized};
use crate::config::{Config, Sysctls};
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Sysctl {
        config: config.sysctl.clone(),
        folder: Attributes::new(sources.roots.proc("sys")),
    })
}

struct Sysctl {
    config: Sysctls,
    folder: Attributes,
}

const HELP: &str = "A setting of the kernel.";

impl Collector for Sysctl {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for include in &self.config.include {
            // `fs.file-nr:total,current,max` names what stands beside each other.
            let (name, keys) = include.split_once(':').unwrap_or((include, ""));
            let path = name.replace('.', "/");
            let text = valid(self.folder.bytes(&path)?).into_owned();
            let values: Vec<&str> = text.split_ascii_whitespace().collect();
            let metric = format!("node_sysctl_{}", sanitized(name));
            let number =
                |text: &str| value(text.as_bytes()).ok_or_else(|| self.folder.no_number(&path));
            if keys.is_empty() {
                for (index, text) in values.iter().enumerate() {
                    let index = index.to_string();
                    let labels = [("index", index.as_str())];
                    let labels = if values.len() > 1 { &labels[..] } else { &[] };
                    emit.put(Untyped, &metric, HELP, labels, number(text)?);
                }
                continue;
            }
            let keys: Vec<&str> = keys.split(',').collect();
            if keys.len() != values.len() {
                return Err(HostError::malformed(
                    "sys",
                    1,
                    "as many values as there are names",
                    text.as_bytes(),
                ));
            }
            for (key, text) in keys.into_iter().zip(values) {
                emit.put(
                    Untyped,
                    &format!("{metric}_{}", sanitized(key)),
                    HELP,
                    &[],
                    number(text)?,
                );
            }
        }
        for name in &self.config.include_info {
            let text = valid(self.folder.bytes(&name.replace('.', "/"))?).into_owned();
            for (index, value) in text.split_ascii_whitespace().enumerate() {
                emit.put(
                    Gauge,
                    "node_sysctl_info",
                    "Settings of the kernel that are words: always 1.",
                    &[
                        ("index", &index.to_string()),
                        ("name", name),
                        ("value", value),
                    ],
                    1.0,
                );
            }
        }
        Ok(())
    }
}
