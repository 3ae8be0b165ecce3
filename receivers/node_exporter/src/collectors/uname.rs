//! What the kernel is called: `uname(2)`.

use corten_host::HostError;
use corten_host::uname::Uname;

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, _: &Sources) -> Box<dyn Collector> {
    Box::new(UnameCollector)
}

struct UnameCollector;

impl Collector for UnameCollector {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let uname = Uname::read();
        emit.gauge("node_uname_info", "What the kernel is: always 1.")
            .add(
                &[
                    ("domainname", &uname.domainname),
                    ("machine", &uname.machine),
                    ("nodename", &uname.nodename),
                    ("release", &uname.release),
                    ("sysname", &uname.sysname),
                    ("version", &uname.version),
                ],
                1.0,
            );
        Ok(())
    }
}
