//! Tasks that hung: `/proc/sys/kernel/hung_task_detect_count`, since Linux 6.13.

use corten_host::families::Kind::Counter;
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(KernelHung {
        kernel: Attributes::new(sources.roots.proc("sys/kernel")),
    })
}

struct KernelHung {
    kernel: Attributes,
}

impl Collector for KernelHung {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let tasks = self.kernel.required("hung_task_detect_count")?;
        emit.put(
            Counter,
            "node_kernel_hung_tasks_total",
            "Tasks that the kernel found hanging since boot.",
            &[],
            tasks,
        );
        Ok(())
    }
}
