//! What the memory management has done: `/proc/vmstat`.

use corten_config::types::Regex;
use corten_host::{HostError, HostFile, vmstat};

use crate::collector::{Collector, Emit, single};
use crate::config::Config;
use crate::remembered::{Name, Remembered};
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Vmstat {
        fields: config.vmstat.fields.clone(),
        file: HostFile::of_short_lines(sources.roots.proc("vmstat")),
        names: Remembered::default(),
    })
}

struct Vmstat {
    fields: Regex,
    file: HostFile,
    names: Remembered<Name>,
}

impl Collector for Vmstat {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for (at, field) in vmstat::parse(self.file.read()?).enumerate() {
            let (field, value) = field?;
            let name = self.names.at(at, field.as_bytes(), || {
                // A copy takes its memory for matching with it: names are decided about once.
                self.fields.clone().is_match(field).then(|| Name {
                    name: format!("node_vmstat_{field}"),
                    help: format!("{field} of /proc/vmstat."),
                })
            });
            if let Some(name) = name {
                single(emit.untyped(&name.name, &name.help), value);
            }
        }
        Ok(())
    }
}
