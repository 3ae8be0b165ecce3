//! What the memory management has done: `/proc/vmstat`.

use corten_config::types::Regex;
use corten_host::{HostError, HostFile, float, vmstat};

use crate::collector::{Collector, Emit, single};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Vmstat {
        fields: config.vmstat.fields.clone(),
        file: HostFile::new(sources.roots.proc("vmstat")),
        name: String::new(),
        help: String::new(),
    })
}

struct Vmstat {
    fields: Regex,
    file: HostFile,
    name: String,
    help: String,
}

impl Collector for Vmstat {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for field in vmstat::parse(self.file.read()?) {
            let (field, value) = field?;
            if !self.fields.is_match(field) {
                continue;
            }
            self.name.clear();
            self.name.push_str("node_vmstat_");
            self.name.push_str(field);
            self.help.clear();
            self.help.push_str(field);
            self.help.push_str(" of /proc/vmstat.");
            single(emit.untyped(&self.name, &self.help), float(value));
        }
        Ok(())
    }
}
