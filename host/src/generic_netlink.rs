//! Asking parts of the kernel that have no netlink protocol of their own: generic netlink.
//!
//! Such a part is a family, whose number is looked up by its name; its messages are a command, a
//! version and attributes.

use std::io;
use std::path::Path;

use rustix::net::netlink::GENERIC;

use crate::HostError;
use crate::netlink::{ACKNOWLEDGED, DUMP, ask, attributes, number16};

/// `GENL_ID_CTRL`: who knows the families.
const CONTROLLER: u16 = 16;
/// `CTRL_CMD_GETFAMILY`
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// Bytes of a command's head: command, version, and two that are reserved.
const HEAD: usize = 4;

/// A family that the kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenericFamily(u16);

impl GenericFamily {
    /// The family called `name`; `None` where the kernel has none: it was built without it, or its
    /// module is not loaded.
    ///
    /// # Errors
    ///
    /// The kernel does not let us ask.
    pub fn find(name: &str) -> Result<Option<Self>, HostError> {
        let mut request = vec![GET_FAMILY, 1, 0, 0];
        let mut content = name.as_bytes().to_vec();
        content.push(0);
        put(FAMILY_NAME, &content, &mut request);
        let mut found = None;
        let asked = ask(
            Some(GENERIC),
            CONTROLLER,
            ACKNOWLEDGED,
            &request,
            &mut |message| {
                found = found.or_else(|| id(message));
            },
        );
        match asked {
            Ok(()) => Ok(found.map(Self)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Shows the attributes of every message that answers the request `command` for all there is.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn dump(
        self,
        command: u8,
        request: &[u8],
        show: &mut dyn FnMut(&[u8]),
    ) -> Result<(), HostError> {
        let mut message = vec![command, 1, 0, 0];
        message.extend_from_slice(request);
        ask(Some(GENERIC), self.0, DUMP, &message, &mut |message| {
            if let Some(attributes) = message.get(HEAD..) {
                show(attributes);
            }
        })
        .map_err(failed)
    }
}

fn failed(source: io::Error) -> HostError {
    HostError::read(Path::new("generic netlink"), source)
}

fn id(message: &[u8]) -> Option<u16> {
    attributes(message.get(HEAD..)?)
        .find(|(kind, _)| *kind == FAMILY_ID)
        .and_then(|(_, content)| number16(content, 0))
}

/// Appends an attribute, with what aligns the next one.
pub fn put(kind: u16, content: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(content.len() + 4).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_knows_itself() {
        assert_eq!(
            GenericFamily::find("nlctrl").unwrap(),
            Some(GenericFamily(CONTROLLER))
        );
        assert_eq!(GenericFamily::find("no such family").unwrap(), None);
    }

    #[test]
    fn numbers_are_taken_from_answers() {
        let mut message = vec![1, 2, 0, 0];
        put(FAMILY_NAME, b"nl80211\0", &mut message);
        put(FAMILY_ID, &27u16.to_ne_bytes(), &mut message);
        assert_eq!(id(&message), Some(27));
        for end in 0..message.len() - 4 {
            assert_eq!(id(&message[..end]), None);
        }
    }
}
