//! The kernel's random numbers: `/proc/sys/kernel/random`.

use corten_host::families::Kind::Gauge;
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Entropy {
        random: Attributes::new(sources.roots.proc("sys/kernel/random")),
    })
}

struct Entropy {
    random: Attributes,
}

impl Collector for Entropy {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let bits = self.random.required("entropy_avail")?;
        emit.put(
            Gauge,
            "node_entropy_available_bits",
            "Bits of entropy that are there.",
            &[],
            bits,
        );
        let bits = self.random.required("poolsize")?;
        emit.put(
            Gauge,
            "node_entropy_pool_size_bits",
            "Bits of entropy that the pool has room for.",
            &[],
            bits,
        );
        Ok(())
    }
}
