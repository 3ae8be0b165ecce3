//! `/sys/devices/system/clocksource`: which clock the kernel tells the time by, and which it could.

use crate::{HostError, HostFile, Roots};

/// One `clocksource<n>` folder.
#[derive(Debug)]
struct Device {
    number: String,
    available: HostFile,
    current: HostFile,
}

/// The clock sources; the folders are looked for once, by the first read that finds any.
#[derive(Debug)]
pub struct Clocksources {
    root: std::path::PathBuf,
    devices: Vec<Device>,
}

/// What one device says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocksource<'a> {
    /// The device's number, as text.
    pub device: &'a str,
    /// The clocks to choose from, separated by blanks.
    pub available: &'a str,
    /// The clock in use.
    pub current: &'a str,
}

impl Clocksources {
    /// The clock sources below these roots.
    #[must_use]
    pub fn new(roots: &Roots) -> Self {
        Self {
            root: roots.sys("devices/system/clocksource"),
            devices: Vec::new(),
        }
    }

    /// Reads every device anew; [`iter`](Self::iter) then shows them.
    ///
    /// # Errors
    ///
    /// There are none, or a file of one cannot be read.
    pub fn read(&mut self) -> Result<(), HostError> {
        if self.devices.is_empty() {
            self.find()?;
        }
        for device in &mut self.devices {
            device.available.read()?;
            device.current.read()?;
        }
        Ok(())
    }

    /// The devices as of the last read.
    pub fn iter(&self) -> impl Iterator<Item = Clocksource<'_>> {
        self.devices.iter().map(|device| Clocksource {
            device: &device.number,
            available: text_of(&device.available),
            current: text_of(&device.current),
        })
    }

    fn find(&mut self) -> Result<(), HostError> {
        let folder =
            std::fs::read_dir(&self.root).map_err(|source| HostError::read(&self.root, source))?;
        for entry in folder.flatten() {
            let name = entry.file_name();
            let Some(number) = name
                .to_str()
                .and_then(|name| name.strip_prefix("clocksource"))
            else {
                continue;
            };
            self.devices.push(Device {
                number: number.to_owned(),
                available: HostFile::new(entry.path().join("available_clocksource")),
                current: HostFile::new(entry.path().join("current_clocksource")),
            });
        }
        self.devices.sort_by(|a, b| a.number.cmp(&b.number));
        Ok(())
    }
}

fn text_of(file: &HostFile) -> &str {
    std::str::from_utf8(file.content())
        .unwrap_or_default()
        .trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        for (number, available, current) in
            [(1, "hpet \n", "hpet\n"), (0, "tsc acpi_pm \n", "tsc\n")]
        {
            let device = folder.path().join(format!(
                "sys/devices/system/clocksource/clocksource{number}"
            ));
            std::fs::create_dir_all(&device).unwrap();
            std::fs::write(device.join("available_clocksource"), available).unwrap();
            std::fs::write(device.join("current_clocksource"), current).unwrap();
        }
        let mut sources = Clocksources::new(&Roots::below(folder.path()));
        sources.read().unwrap();
        let seen: Vec<_> = sources.iter().map(|source| format!("{source:?}")).collect();
        assert_eq!(
            seen,
            [
                r#"Clocksource { device: "0", available: "tsc acpi_pm", current: "tsc" }"#,
                r#"Clocksource { device: "1", available: "hpet", current: "hpet" }"#
            ]
        );
        let mut none = Clocksources::new(&Roots::below(std::path::Path::new("/absent")));
        assert!(none.read().unwrap_err().is_absent());
    }
}
