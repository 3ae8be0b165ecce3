//! `/sys/devices/system/cpu`: which CPUs there are, which are online or isolated, which core and
//! package each belongs to and how often those were slowed down for heat.
//!
//! Only the throttle counters change without notice. All else changes when a CPU is plugged, taken
//! offline or brought back, so it is read again when the kernel's list of online CPUs is another.

use std::path::PathBuf;

use crate::scan::{lines, number, only_number};
use crate::{Buffer, HostError, HostFile, Roots};

/// One CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub number: u32,
    /// Whether it is online; `None` where it cannot be taken offline and no file says so.
    pub online: Option<bool>,
    /// The package it is in, where known.
    pub package: Option<u64>,
    /// The core within the package, where known.
    pub core: Option<u64>,
}

/// A counter of times that a core or a whole package was slowed down.
#[derive(Debug)]
struct Throttle {
    package: u64,
    /// `None` for the package as a whole.
    core: Option<u64>,
    count: HostFile,
}

/// How often something was slowed down for heat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// The package.
    pub package: u64,
    /// The core within it; `None` for the package as a whole.
    pub core: Option<u64>,
    /// How often, since boot.
    pub count: u64,
}

/// The CPUs of the host.
#[derive(Debug)]
pub struct Topology {
    folder: PathBuf,
    online: HostFile,
    /// The text of `online` when the rest was read; `None` before that or without such a file.
    seen: Option<Vec<u8>>,
    cpus: Vec<Cpu>,
    throttles: Vec<Throttle>,
    buffer: Buffer,
}

impl Topology {
    /// The CPUs below these roots.
    #[must_use]
    pub fn new(roots: &Roots) -> Self {
        let folder = roots.sys("devices/system/cpu");
        Self {
            online: HostFile::new(folder.join("online")),
            folder,
            seen: None,
            cpus: Vec::new(),
            throttles: Vec::new(),
            buffer: Buffer::default(),
        }
    }

    /// The CPUs as of now, by number; none on a host without this folder.
    ///
    /// # Errors
    ///
    /// The folder is there but cannot be read.
    pub fn read(&mut self) -> Result<&[Cpu], HostError> {
        let online = self.online.read().ok();
        if online.is_none() || self.seen.as_deref() != online {
            let online = online.map(<[u8]>::to_vec);
            self.find()?;
            self.seen = online;
        }
        Ok(&self.cpus)
    }

    /// How often each package (`core` is `None`) and each core was slowed down, as of now: packages
    /// first. Of the CPUs that the last [`read`](Self::read) found.
    pub fn throttles(&mut self) -> impl Iterator<Item = Throttled> + Clone {
        for throttle in &mut self.throttles {
            // One that cannot be read any more has no content.
            drop(throttle.count.read());
        }
        self.throttles.iter().filter_map(|throttle| {
            Some(Throttled {
                package: throttle.package,
                core: throttle.core,
                count: only_number(throttle.count.content())?,
            })
        })
    }

    fn find(&mut self) -> Result<(), HostError> {
        self.cpus.clear();
        self.throttles.clear();
        let folder = match std::fs::read_dir(&self.folder) {
            Ok(folder) => folder,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(HostError::read(&self.folder, error)),
        };
        for entry in folder.flatten() {
            let name = entry.file_name();
            let Some(number) = name
                .to_str()
                .and_then(|name| name.strip_prefix("cpu"))
                .and_then(|digits| number(digits.as_bytes()))
                .and_then(|number| u32::try_from(number).ok())
            else {
                continue;
            };
            let path = entry.path();
            let mut value = |file: &str| {
                let text = self.buffer.read_quietly(&path.join(file)).ok()?;
                only_number(text)
            };
            self.cpus.push(Cpu {
                number,
                online: value("online").map(|online| online == 1),
                package: value("topology/physical_package_id"),
                core: value("topology/core_id"),
            });
        }
        self.cpus.sort_by_key(|cpu| cpu.number);
        for cpu in &self.cpus {
            let (Some(package), Some(core)) = (cpu.package, cpu.core) else {
                continue;
            };
            let folder = self
                .folder
                .join(format!("cpu{}/thermal_throttle", cpu.number));
            for (core, file) in [
                (None, "package_throttle_count"),
                (Some(core), "core_throttle_count"),
            ] {
                let known =
                    |throttle: &Throttle| throttle.package == package && throttle.core == core;
                if !self.throttles.iter().any(known) && folder.join(file).exists() {
                    self.throttles.push(Throttle {
                        package,
                        core,
                        count: HostFile::new(folder.join(file)),
                    });
                }
            }
        }
        self.throttles
            .sort_by_key(|throttle| (throttle.core.is_some(), throttle.package, throttle.core));
        Ok(())
    }
}

/// The CPUs that the scheduler leaves alone, set by a boot option: read once.
///
/// # Errors
///
/// The list is there but not as the kernel writes lists. Kernels without it isolate none.
pub fn isolated(roots: &Roots) -> Result<Vec<u32>, HostError> {
    let mut buffer = Buffer::default();
    match buffer.read_quietly(&roots.sys("devices/system/cpu/isolated")) {
        Ok(text) => list(text),
        Err(_) => Ok(Vec::new()),
    }
}

/// A list of CPUs as the kernel writes it: `0,2-5,8-15:2/4` is not used in sysfs, ranges are.
fn list(text: &[u8]) -> Result<Vec<u32>, HostError> {
    /// More CPUs than any kernel can be built for.
    const MOST: u64 = 1 << 16;
    let (_, line) = lines(text).next().unwrap_or((1, &[]));
    let line = line.trim_ascii();
    let mut cpus = Vec::new();
    if line.is_empty() {
        return Ok(cpus);
    }
    for range in line.split(|byte| *byte == b',') {
        let mut ends = range.splitn(2, |byte| *byte == b'-').map(number);
        let (first, last) = match (ends.next().flatten(), ends.next()) {
            (Some(only), None) => (only, only),
            (Some(first), Some(Some(last))) if first <= last && last < MOST => (first, last),
            _ => {
                return Err(HostError::malformed(
                    "isolated",
                    1,
                    "a list of CPUs such as 0,2-5",
                    line,
                ));
            }
        };
        cpus.extend((first..=last).filter_map(|cpu| u32::try_from(cpu).ok()));
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_ranges() {
        assert_eq!(list(b"0,2-4,9\n").unwrap(), [0, 2, 3, 4, 9]);
        assert!(list(b"\n").unwrap().is_empty());
        for bad in ["a", "1-", "5-2", "1-99999999999", "1,,2"] {
            assert!(list(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cpu_that_goes_offline_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots::below(folder.path());
        let cpus = roots.sys("devices/system/cpu");
        for (cpu, core) in [(0, 0), (1, 0), (10, 1)] {
            let path = cpus.join(format!("cpu{cpu}"));
            std::fs::create_dir_all(path.join("topology")).unwrap();
            std::fs::create_dir_all(path.join("thermal_throttle")).unwrap();
            std::fs::write(path.join("topology/physical_package_id"), "0\n").unwrap();
            std::fs::write(path.join("topology/core_id"), format!("{core}\n")).unwrap();
            std::fs::write(path.join("online"), "1\n").unwrap();
            std::fs::write(
                path.join("thermal_throttle/core_throttle_count"),
                format!("{}\n", cpu + 5),
            )
            .unwrap();
            std::fs::write(path.join("thermal_throttle/package_throttle_count"), "3\n").unwrap();
        }
        std::fs::create_dir(cpus.join("cpufreq")).unwrap();
        std::fs::write(cpus.join("online"), "0-1,10\n").unwrap();
        let mut topology = Topology::new(&roots);
        let online = |topology: &mut Topology| -> Vec<_> {
            let cpus = topology.read().unwrap();
            cpus.iter().map(|cpu| (cpu.number, cpu.online)).collect()
        };
        assert_eq!(
            online(&mut topology),
            [(0, Some(true)), (1, Some(true)), (10, Some(true))]
        );
        let throttles: Vec<_> = topology
            .throttles()
            .map(|throttled| (throttled.package, throttled.core, throttled.count))
            .collect();
        assert_eq!(throttles, [(0, None, 3), (0, Some(0), 5), (0, Some(1), 15)]);
        std::fs::write(cpus.join("cpu10/online"), "0\n").unwrap();
        assert_eq!(
            online(&mut topology).last(),
            Some(&(10, Some(true))),
            "not looked at yet"
        );
        std::fs::write(cpus.join("online"), "0-1\n").unwrap();
        assert_eq!(online(&mut topology).last(), Some(&(10, Some(false))));
    }

    #[test]
    fn a_host_without_the_folder_has_no_cpus_to_show() {
        let mut topology = Topology::new(&Roots::below(std::path::Path::new("/absent")));
        assert!(topology.read().unwrap().is_empty());
        assert!(
            isolated(&Roots::below(std::path::Path::new("/absent")))
                .unwrap()
                .is_empty()
        );
    }
}
