//! How much there is to do: `/proc/loadavg`.

use corten_host::loadavg::LoadAverage;
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit, single};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Loadavg {
        file: HostFile::of_short_lines(sources.roots.proc("loadavg")),
    })
}

struct Loadavg {
    file: HostFile,
}

impl Collector for Loadavg {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let load = LoadAverage::parse(self.file.read()?)?;
        for (name, help, value) in [
            ("node_load1", "Load average over one minute.", load.one),
            ("node_load5", "Load average over five minutes.", load.five),
            (
                "node_load15",
                "Load average over fifteen minutes.",
                load.fifteen,
            ),
        ] {
            single(emit.gauge(name, help), value);
        }
        Ok(())
    }
}
