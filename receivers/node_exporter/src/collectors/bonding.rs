//! Interfaces that are bound together: `/sys/class/net/bonding_masters`.

use corten_host::families::Kind::Gauge;
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Bonding {
        net: Attributes::new(sources.roots.sys("class/net")),
    })
}

struct Bonding {
    net: Attributes,
}

impl Collector for Bonding {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let masters = self.net.text("bonding_masters")?.into_owned();
        for master in masters.split_ascii_whitespace() {
            let slaves = self
                .net
                .text(&format!("{master}/bonding/slaves"))?
                .into_owned();
            let (mut all, mut up) = (0.0, 0.0);
            for slave in slaves.split_ascii_whitespace() {
                // Kernels before 3.13 wrote the link's name differently.
                let lower = format!("{master}/lower_{slave}");
                let link = if self.net.has(&lower) {
                    lower
                } else {
                    format!("{master}/slave_{slave}")
                };
                let state = self.net.text(&format!("{link}/bonding_slave/mii_status"))?;
                all += 1.0;
                if state == "up" {
                    up += 1.0;
                }
            }
            let labels = [("master", master)];
            emit.put(
                Gauge,
                "node_bonding_slaves",
                "Interfaces that each bond is made of.",
                &labels,
                all,
            );
            emit.put(
                Gauge,
                "node_bonding_active",
                "Interfaces of each bond that are up.",
                &labels,
                up,
            );
        }
        self.net.forget_unused();
        Ok(())
    }
}
