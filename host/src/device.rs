//! One number for every device of a class, each in a file of its own.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::scan::only_number;
use crate::{Buffer, HostFile};

/// The same file of every device below a folder of sysfs, such as
/// `/sys/class/net/<device>/statistics/rx_nohandler`. Descriptors are kept while their device is
/// asked for.
#[derive(Debug)]
pub struct DeviceNumbers {
    folder: PathBuf,
    file: &'static str,
    kept: HashMap<String, (HostFile, bool)>,
    buffer: Buffer,
}

/// Descriptors kept for one class; a node of many pods has more interfaces than a process may have
/// descriptors.
const MOST_KEPT: usize = 128;

impl DeviceNumbers {
    /// The file `file` of every device below `folder`.
    #[must_use]
    pub fn new(folder: PathBuf, file: &'static str) -> Self {
        Self {
            folder,
            file,
            kept: HashMap::new(),
            buffer: Buffer::default(),
        }
    }

    /// The number of `device`; `None` where the device or its kernel has no such file.
    pub fn read(&mut self, device: &str) -> Option<u64> {
        if let Some((file, used)) = self.kept.get_mut(device) {
            *used = true;
            return file.read().ok().and_then(only_number);
        }
        // sysfs writes the slashes of a device's name as exclamation marks.
        let mut path = self.folder.join(device.replace('/', "!"));
        path.push(self.file);
        if self.kept.len() < MOST_KEPT {
            let mut file = HostFile::new(path);
            let value = file.read().ok().and_then(only_number);
            self.kept.insert(device.to_owned(), (file, true));
            value
        } else {
            self.buffer.read_quietly(&path).ok().and_then(only_number)
        }
    }

    /// Closes the files of devices that nobody asked for since the last call.
    pub fn forget_unused(&mut self) {
        self.kept
            .retain(|_, (_, used)| std::mem::replace(used, false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_gone_devices_are_closed() {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("eth0/statistics");
        std::fs::create_dir_all(&statistics).unwrap();
        std::fs::write(statistics.join("rx_nohandler"), "7\n").unwrap();
        let mut counters = DeviceNumbers::new(folder.path().into(), "statistics/rx_nohandler");
        assert_eq!(counters.read("eth0"), Some(7));
        assert_eq!(counters.read("absent"), None);
        counters.forget_unused();
        assert_eq!(counters.read("eth0"), Some(7));
        counters.forget_unused();
        assert_eq!(counters.kept.len(), 1);
    }

    #[test]
    fn devices_beyond_the_kept_ones_are_read_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..MOST_KEPT + 3).map(|n| format!("cciss/c{n}")).collect();
        for name in &names {
            let device = folder.path().join(name.replace('/', "!"));
            std::fs::create_dir_all(&device).unwrap();
            std::fs::write(device.join("size"), "9\n").unwrap();
        }
        let mut sizes = DeviceNumbers::new(folder.path().into(), "size");
        assert!(names.iter().all(|name| sizes.read(name) == Some(9)));
        assert_eq!(sizes.kept.len(), MOST_KEPT);
    }
}
