//! Control groups by controller: `/proc/cgroups`.

use corten_host::families::Kind::Gauge;
use corten_host::scan::{fields, lines, valid, value};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Cgroups {
        file: HostFile::of_short_lines(sources.roots.proc("cgroups")),
    })
}

struct Cgroups {
    file: HostFile,
}

impl Collector for Cgroups {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let text = self.file.read()?;

        for (at, line) in lines(text).filter(|(_, line)| !line.starts_with(b"#")) {
            let wrong =
                || HostError::malformed("cgroups", at, "a controller and three numbers", line);
            let mut words = fields(line);
            let name = valid(words.next().ok_or_else(wrong)?);
            let mut next = || words.next().and_then(value).ok_or_else(wrong);
            let (_, groups, enabled) = (next()?, next()?, next()?);
            let labels = [("subsys_name", &*name)];
            emit.put(
                Gauge,
                "node_cgroups_cgroups",
                "Groups of each controller.",
                &labels,
                groups,
            );
            emit.put(
                Gauge,
                "node_cgroups_enabled",
                "Whether each controller is on.",
                &labels,
                enabled,
            );
        }
        Ok(())
    }
}
