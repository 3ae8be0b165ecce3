//! NVMe disks that are reached by several paths: `/sys/class/nvme-subsystem`.

use corten_host::families::Kind::Gauge;
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(NvmeSubsystem {
        folder: Attributes::new(sources.roots.sys("class/nvme-subsystem")),
    })
}

struct NvmeSubsystem {
    folder: Attributes,
}

impl Collector for NvmeSubsystem {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for subsystem in &self.folder.names("")? {
            let mut text = |file: &str| self.folder.text_or_empty(&format!("{subsystem}/{file}"));
            let (nqn, model, serial, policy) = (
                text("subsysnqn"),
                text("model"),
                text("serial"),
                text("iopolicy"),
            );
            emit.put(
                Gauge,
                "node_nvmesubsystem_info",
                "What each subsystem is: always 1.",
                &[
                    ("iopolicy", &policy),
                    ("model", &model),
                    ("nqn", &nqn),
                    ("serial", &serial),
                    ("subsystem", subsystem),
                ],
                1.0,
            );
            let (mut paths, mut live) = (0.0, 0.0);
            for name in &self.folder.names(subsystem)? {
                let Some(rest) = name.strip_prefix("nvme") else {
                    continue;
                };
                if rest.parse::<u32>().is_ok() {
                    let state = self
                        .folder
                        .text_or_empty(&format!("{subsystem}/{name}/state"));
                    let transport = self
                        .folder
                        .text_or_empty(&format!("{subsystem}/{name}/transport"));
                    paths += 1.0;
                    if state == "live" {
                        live += 1.0;
                    }
                    emit.put(
                        Gauge,
                        "node_nvmesubsystem_path_state",
                        "The state of each path: always 1.",
                        &[
                            ("controller", name),
                            ("state", &state),
                            ("subsystem", subsystem),
                            ("transport", &transport),
                        ],
                        1.0,
                    );
                } else if rest.split_once('n').is_some_and(|(disk, number)| {
                    disk.parse::<u32>().is_ok() && number.parse::<u32>().is_ok()
                }) {
                    emit.put(
                        Gauge,
                        "node_nvmesubsystem_namespace_info",
                        "The disks of each subsystem: always 1.",
                        &[("device", name), ("subsystem", subsystem)],
                        1.0,
                    );
                }
            }
            emit.put(
                Gauge,
                "node_nvmesubsystem_paths",
                "Paths to each subsystem.",
                &[("subsystem", subsystem)],
                paths,
            );
            emit.put(
                Gauge,
                "node_nvmesubsystem_paths_live",
                "Paths to each subsystem that work.",
                &[("subsystem", subsystem)],
                live,
            );
        }
        self.folder.forget_unused();
        Ok(())
    }
}
