//! Graphics cards of AMD: `/sys/class/drm`.

use corten_host::families::Kind::Gauge;
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Drm {
        folder: Attributes::new(sources.roots.sys("class/drm")),
    })
}

struct Drm {
    folder: Attributes,
}

impl Collector for Drm {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for card in &self.folder.names("")? {
            let is_card = card
                .strip_prefix("card")
                .is_some_and(|number| number.parse::<u32>().is_ok());
            let uevent = self.folder.text_or_empty(&format!("{card}/device/uevent"));
            if !is_card || !uevent.lines().any(|line| line == "DRIVER=amdgpu") {
                continue;
            }
            let mut text = |file: &str| self.folder.text_or_empty(&format!("{card}/device/{file}"));
            let (vendor, level, id) = (
                text("mem_info_vram_vendor"),
                text("power_dpm_force_performance_level"),
                text("unique_id"),
            );
            emit.put(
                Gauge,
                "node_drm_card_info",
                "What each card is: always 1.",
                &[
                    ("card", card),
                    ("memory_vendor", &vendor),
                    ("power_performance_level", &level),
                    ("unique_id", &id),
                    ("vendor", "amd"),
                ],
                1.0,
            );
            for (file, name, help) in NUMBERS {
                let number = self
                    .folder
                    .optional(&format!("{card}/device/{file}"))?
                    .unwrap_or(0.0);
                emit.put(Gauge, name, help, &[("card", card)], number);
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}

const NUMBERS: [(&str, &str, &str); 7] = [
    (
        "gpu_busy_percent",
        "node_drm_gpu_busy_percent",
        "How busy each card is, in percent.",
    ),
    (
        "mem_info_gtt_total",
        "node_drm_memory_gtt_size_bytes",
        "The host's memory that each card may use, in bytes.",
    ),
    (
        "mem_info_gtt_used",
        "node_drm_memory_gtt_used_bytes",
        "The host's memory that each card uses, in bytes.",
    ),
    (
        "mem_info_vis_vram_total",
        "node_drm_memory_vis_vram_size_bytes",
        "Memory of each card that the host sees, in bytes.",
    ),
    (
        "mem_info_vis_vram_used",
        "node_drm_memory_vis_vram_used_bytes",
        "Memory of each card that the host sees and that is used, in bytes.",
    ),
    (
        "mem_info_vram_total",
        "node_drm_memory_vram_size_bytes",
        "Memory of each card, in bytes.",
    ),
    (
        "mem_info_vram_used",
        "node_drm_memory_vram_used_bytes",
        "Memory of each card that is used, in bytes.",
    ),
];
