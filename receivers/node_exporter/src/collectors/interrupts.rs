//! Interrupts by CPU, kind and device: `/proc/interrupts`.

use corten_host::families::Kind::Counter;
use corten_host::scan::{cut, fields, float, lines, number, valid};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::filter::Filter;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    let config = &config.interrupts;
    Box::new(Interrupts {
        names: Filter::new(
            config.name_exclude.as_ref(),
            config.name_include.as_ref(),
            None,
        ),
        include_zeros: config.include_zeros,
        file: HostFile::new(sources.roots.proc("interrupts")),
    })
}

struct Interrupts {
    names: Filter,
    include_zeros: bool,
    file: HostFile,
}

impl Collector for Interrupts {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let text = self.file.read()?;
        let cpus = lines(text)
            .next()
            .map_or(0, |(_, heading)| fields(heading).count());
        let mut shown = itoa::Buffer::new();
        for (at, line) in lines(text).skip(1) {
            let wrong = || {
                HostError::malformed(
                    "interrupts",
                    at,
                    "an interrupt and a number for each CPU",
                    line,
                )
            };
            let (kind, rest) = cut(line, b':').ok_or_else(wrong)?;
            let kind = valid(kind);
            let counts: Vec<u64> = fields(rest).take(cpus).map_while(number).collect();
            // Errors are counted for all CPUs together, and said nothing else of.
            if fields(rest).nth(cpus).is_none() {
                continue;
            }
            if counts.len() < cpus {
                return Err(wrong());
            }
            let mut words = fields(rest).skip(cpus);
            let is_number = number(kind.as_bytes()).is_some();
            // `0:  18  5031  IO-APIC-edge  timer`, or `NMI: 1 2 Non-maskable interrupts`.
            let (info, devices) = if is_number {
                let info = valid(words.next().unwrap_or_default()).into_owned();
                (
                    info,
                    words.map(|word| valid(word)).collect::<Vec<_>>().join(" "),
                )
            } else {
                (
                    words.map(|word| valid(word)).collect::<Vec<_>>().join(" "),
                    String::new(),
                )
            };
            if !self.names.lets_in(&format!("{kind};{info};{devices}")) {
                continue;
            }
            for (cpu, count) in counts.into_iter().enumerate() {
                if count > 0 || self.include_zeros {
                    emit.put(
                        Counter,
                        "node_interrupts_total",
                        "Interrupts by CPU, kind and device.",
                        &[
                            ("cpu", shown.format(cpu)),
                            ("devices", &devices),
                            ("info", &info),
                            ("type", &kind),
                        ],
                        float(count),
                    );
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::shown;

    #[test]
    fn what_is_told_of_no_cpu_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("interrupts");
        let text = "           CPU0\n  1:         10   IO-APIC   1-edge      i8042\nERR:          3\nLOC:          7   Local timer interrupts\n";
        std::fs::write(&path, text).unwrap();
        let mut interrupts = Interrupts {
            names: Filter::None,
            include_zeros: true,
            file: HostFile::new(path),
        };
        let text = shown(&mut interrupts).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                r#"node_interrupts_total{cpu="0",devices="1-edge i8042",info="IO-APIC",type="1"} 10.0"#,
                r#"node_interrupts_total{cpu="0",devices="",info="Local timer interrupts",type="LOC"} 7.0"#,
            ]
        );
    }
}
