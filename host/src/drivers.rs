//! What drivers of network interfaces say of themselves and count: `ethtool -i`, `ethtool -S`.
//!
//! The kernel's family `ethtool` of generic netlink has no counters of drivers: they are told by the ioctl `SIOCETHTOOL`
//! alone (`linux/ethtool.h`), which writes through a pointer. It is the one call of this project that no crate
//! makes safe, so it stands here by itself. rustix makes the call; what is left to see to is that
//! the buffer is as large as what the kernel writes: see [`Drivers::ask`].

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::HostError;

/// `SIOCETHTOOL` of `linux/sockios.h`.
const SIOCETHTOOL: Opcode = 0x8946;
/// `ETHTOOL_GDRVINFO`, `ETHTOOL_GSTRINGS`, `ETHTOOL_GSTATS`, `ETH_SS_STATS`.
const GET_DRIVER: u32 = 0x03;
const GET_STRINGS: u32 = 0x1b;
const GET_COUNTERS: u32 = 0x1d;
const NAMES_OF_COUNTERS: u32 = 1;
/// `ETH_GSTRING_LEN`.
const NAME: usize = 32;
/// Counters that are asked for. Drivers of the largest cards have a few thousand.
const MOST: usize = 16_384;
/// The buffer in words: the names of twice as many counters, and a header. What is never written costs no memory.
const WORDS: usize = 2 * MOST * NAME / 8 + 2;

/// `struct ifreq` of `linux/if.h`, its union being the pointer that `SIOCETHTOOL` reads.
#[repr(C)]
struct Request {
    name: [u8; 16],
    data: *mut u64,
    rest: [u64; 2],
}

/// Asks drivers.
#[derive(Debug)]
pub struct Drivers {
    socket: OwnedFd,
    /// What is asked and answered, as the kernel lays it out.
    words: Vec<u64>,
}

/// A driver: `struct ethtool_drvinfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    /// Its name, `virtio_net`.
    pub name: String,
    /// Its version; the kernel's where it has none.
    pub version: String,
    /// The firmware's version.
    pub firmware: String,
    /// Where the hardware is, `0000:00:03.0`.
    pub bus: String,
    /// The version of the expansion ROM.
    pub rom: String,
    /// How many counters it has.
    pub counters: u32,
}

impl Drivers {
    /// Opens a socket, which is all that asking needs.
    ///
    /// # Errors
    ///
    /// There is none to be had.
    pub fn open() -> Result<Self, HostError> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None);
        Ok(Self {
            socket: socket.map_err(|error| failed(error.into()))?,
            words: Vec::new(),
        })
    }

    /// The driver of an interface; `None` where nothing drives it or the driver says nothing.
    ///
    /// # Errors
    ///
    /// The kernel does not answer.
    pub fn driver(&mut self, interface: &str) -> Result<Option<Driver>, HostError> {
        if !self.ask(interface, &[GET_DRIVER])? {
            return Ok(None);
        }
        // cmd, driver[32], version[32], fw_version[32], bus_info[32], erom_version[32], reserved2[12], n_priv_flags, n_stats.
        let text = |at: usize| self.text(4 + at * NAME);
        Ok(Some(Driver {
            name: text(0),
            version: text(1),
            firmware: text(2),
            bus: text(3),
            rom: text(4),
            counters: self.number(4 + 5 * NAME + 12 + 4),
        }))
    }

    /// Tells `visit` of every counter of an interface's driver.
    ///
    /// # Errors
    ///
    /// The kernel does not answer, or the driver has more counters than are read.
    pub fn counters(
        &mut self,
        interface: &str,
        driver: &Driver,
        visit: &mut dyn FnMut(&str, u64),
    ) -> Result<(), HostError> {
        let count = usize::try_from(driver.counters).unwrap_or(usize::MAX);
        if count > MOST {
            return Err(HostError::NoData("a driver has too many counters"));
        }
        let asked = [GET_STRINGS, NAMES_OF_COUNTERS, driver.counters];
        if count == 0 || !self.ask(interface, &asked)? {
            return Ok(());
        }
        let count = count.min(self.number(8).try_into().unwrap_or(usize::MAX));
        let names: Vec<String> = (0..count).map(|at| self.text(12 + at * NAME)).collect();
        if !self.ask(interface, &[GET_COUNTERS, driver.counters])? {
            return Ok(());
        }
        let count = count.min(self.number(4).try_into().unwrap_or(usize::MAX));
        let values = self.words.iter().skip(1).take(count);
        for (name, value) in names.iter().zip(values) {
            visit(name, *value);
        }
        Ok(())
    }

    /// Has the kernel answer in place of what is asked; whether it did: `false` where the interface has no such thing.
    fn ask(&mut self, interface: &str, asked: &[u32]) -> Result<bool, HostError> {
        let mut name = [0; 16];
        // The last byte ends the name.
        if interface.len() >= name.len() {
            return Ok(false);
        }
        for (to, byte) in name.iter_mut().zip(interface.bytes()) {
            *to = byte;
        }
        // Anew each time: memory that is zero by itself costs only where it is written.
        self.words = vec![0; WORDS];
        for (at, pair) in asked.chunks(2).enumerate() {
            let bytes = |number: Option<&u32>| number.copied().unwrap_or_default().to_ne_bytes();
            let [first, second] = [bytes(pair.first()), bytes(pair.get(1))];
            let mut word = [0; 8];
            for (to, byte) in word.iter_mut().zip(first.iter().chain(&second)) {
                *to = *byte;
            }
            if let Some(to) = self.words.get_mut(at) {
                *to = u64::from_ne_bytes(word);
            }
        }
        let mut request = Request {
            name,
            data: self.words.as_mut_ptr(),
            rest: [0; 2],
        };
        #[expect(unsafe_code, reason = "no crate makes this call safe")]
        // SAFETY: the kernel reads and writes `request`, which is a whole `ifreq`, and what its `data` points to, which
        // outlives the call. There it writes 196 bytes for GET_DRIVER, and for the others a header and 32 or 8
        // bytes for every counter that the driver has at that moment, whatever was asked. Those are asked only after
        // the driver has said that it has at most MOST, and there is room for twice as many.
        let answer = unsafe {
            ioctl(
                &self.socket,
                Updater::<SIOCETHTOOL, Request>::new(&mut request),
            )
        };
        match answer {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NODEV | Errno::PERM) => Ok(false),
            Err(error) => Err(failed(error.into())),
        }
    }

    fn byte(&self, at: usize) -> u8 {
        let word = self.words.get(at / 8).copied().unwrap_or_default();
        word.to_ne_bytes().get(at % 8).copied().unwrap_or_default()
    }

    fn number(&self, at: usize) -> u32 {
        u32::from_ne_bytes([0, 1, 2, 3].map(|byte| self.byte(at + byte)))
    }

    /// A name, which ends with its first zero byte or where it has no more room.
    fn text(&self, at: usize) -> String {
        let bytes = (at..at + NAME).map(|at| self.byte(at));
        let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn failed(source: io::Error) -> HostError {
    HostError::Read {
        path: "SIOCETHTOOL".into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_drives_has_nothing() {
        let mut drivers = Drivers::open().unwrap();
        for interface in ["", "no-such-0", "a-name-that-is-far-too-long-for-one"] {
            assert_eq!(drivers.driver(interface).unwrap(), None, "{interface}");
        }
    }

    #[test]
    fn every_interface_of_this_host_answers() {
        let mut drivers = Drivers::open().unwrap();
        let mut counted = 0;
        for entry in std::fs::read_dir("/sys/class/net").unwrap() {
            let interface = entry.unwrap().file_name().into_string().unwrap();
            let Some(driver) = drivers.driver(&interface).unwrap() else {
                continue;
            };
            assert!(!driver.name.is_empty(), "{interface}");
            let mut names = Vec::new();
            let mut visit = |name: &str, _| names.push(name.to_owned());
            drivers.counters(&interface, &driver, &mut visit).unwrap();
            assert_eq!(names.len(), driver.counters as usize, "{interface}");
            assert!(names.iter().all(|name| !name.is_empty()), "{names:?}");
            counted += names.len();
            // Counters can be read again, and the names are those of before.
            let mut again = Vec::new();
            let mut visit = |name: &str, _| again.push(name.to_owned());
            drivers.counters(&interface, &driver, &mut visit).unwrap();
            assert_eq!(again, names);
        }
        println!("{counted} counters");
    }

    #[test]
    fn a_driver_with_too_many_counters_is_refused() {
        let mut drivers = Drivers::open().unwrap();
        let driver = Driver {
            counters: 1 << 20,
            ..Driver::default()
        };
        let refused = drivers.counters("lo", &driver, &mut |_, _| panic!("nothing was read"));
        assert!(refused.is_err());
    }
}
