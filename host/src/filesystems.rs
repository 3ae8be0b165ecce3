//! `/proc/filesystems`: the types of file system that the kernel knows.

use crate::scan::{fields, lines};

/// The types that live on a device, and so hold data that outlasts the mount. ZFS does too, though
/// it asks for no device.
pub fn on_devices(file: &[u8]) -> impl Iterator<Item = &str> {
    lines(file).filter_map(|(_, line)| {
        let mut parts = fields(line);
        let kind = match (parts.next()?, parts.next()) {
            (kind, None) => kind,
            (_, Some(b"zfs")) => b"zfs",
            _ => return None,
        };
        std::str::from_utf8(kind).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_without_a_device_are_left_out() {
        let text = b"nodev\tsysfs\nnodev\ttmpfs\n\text4\n\txfs\nnodev\tzfs\n";
        assert_eq!(on_devices(text).collect::<Vec<_>>(), ["ext4", "xfs", "zfs"]);
    }
}
