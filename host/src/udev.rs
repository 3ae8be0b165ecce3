//! udev's database of devices: what `udevadm info` knows of a block device beyond the kernel.

use crate::scan::{cut, lines};
use crate::{Buffer, Roots};

/// The properties of a block device, read into `buffer`; none when the database or the device is
/// not there.
pub fn block_device<'b>(
    roots: &Roots,
    major: u32,
    minor: u32,
    buffer: &'b mut Buffer,
) -> Properties<'b> {
    let path = roots.udev_data.join(format!("b{major}:{minor}"));
    Properties(buffer.read_quietly(&path).unwrap_or_default())
}

/// The properties of one device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Properties<'a>(&'a [u8]);

impl<'a> Properties<'a> {
    /// Of a database file's text: lines `E:NAME=value`; others are for udev itself.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Self {
        Self(text)
    }

    /// The value of `name`, the last one where it stands several times.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        lines(self.0)
            .filter_map(|(_, line)| cut(line.strip_prefix(b"E:")?, b'='))
            .filter(|(key, _)| *key == name.as_bytes())
            .last()
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The same, empty where it is not known.
    #[must_use]
    pub fn text(&self, name: &str) -> &'a str {
        self.get(name).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_properties_are_looked_at() {
        let properties = Properties::parse(
            b"S:disk/by-id/x\nE:ID_MODEL=Fast Disk\nE:ID_WWN=0x1=2\nN:sda\nE:BROKEN\n",
        );
        assert_eq!(properties.get("ID_MODEL"), Some("Fast Disk"));
        assert_eq!(properties.get("ID_WWN"), Some("0x1=2"));
        assert_eq!(properties.get("BROKEN"), None);
        assert_eq!(properties.text("ID_SERIAL"), "");
    }
}
