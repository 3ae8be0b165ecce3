//! The pages that only the start needed.
//!
//! Half of the program's code runs once, at the start: reading the configuration, building the graph, the first handshakes. The
//! kernel maps 64 KiB around every function that runs and keeps them mapped, so that an agent that has long been idle
//! still counts 17 MiB of its own file as resident. And what was allocated for that and freed again, the allocator gives back only
//! when it is used again.

use std::ffi::c_void;
use std::fs;
use std::io;
use std::ptr;

use rustix::mm::{Advice, madvise};

/// Lets go of freed memory and of the pages of code and constants, the libraries' too. What is needed again is mapped again when it is, mostly
/// from the page cache: some fifty faults for an agent at work.
///
/// # Errors
///
/// `/proc/self` is not there or cannot be read; nothing is lost by that.
pub(crate) fn let_go() -> io::Result<()> {
    #[expect(
        unsafe_code,
        reason = "the allocator's own crate has no safe form of it"
    )]
    // SAFETY: it has no requirement; what is in use is not touched.
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
    let maps = fs::read_to_string("/proc/self/maps")?;
    for (start, len) in maps.lines().filter_map(unchanging) {
        let start: *mut c_void = ptr::with_exposed_provenance_mut(start);
        #[expect(
            unsafe_code,
            reason = "no crate makes this call safe for what it has not mapped itself"
        )]
        // SAFETY: the pages are read-only and were never written: they hold what the file does, also after the
        // next access has mapped them again. The loader writes addresses into other mappings (`.data.rel.ro`), which
        // `unchanging` leaves out. Whoever overwrote such a file in place would change what is mapped just the same.
        unsafe { madvise(start, len, Advice::LinuxDontNeed) }?;
    }
    Ok(())
}

/// Where a mapping of a file's code or constants is and how long, from a line of `/proc/self/maps`:
/// `start-end perms offset device inode path`.
fn unchanging(line: &str) -> Option<(usize, usize)> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let (permissions, offset) = (words.next()?, words.next()?);
    let path = words.nth(2)?.trim_start();
    let is_code = permissions == "r-xp";
    // The first mapping: the headers, relocations, constants and tables for unwinding.
    let is_constants = permissions == "r--p" && offset.bytes().all(|digit| digit == b'0');
    // What is no file has no path or `[its name]`.
    if !path.starts_with('/') || !(is_code || is_constants) {
        return None;
    }
    let [start, end] = [start, end].map(|address| usize::from_str_radix(address, 16).ok());
    Some((start?, end?.checked_sub(start?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_never_written_is_let_go() {
        let maps = "\
55f52d866000-55f52e38b000 r--p 00000000 fe:00 10039302                   /usr/bin/corten
55f52eeb1000-55f53133c000 r-xp 00b25000 fe:00 10039302                   /usr/bin/corten
55f53133c000-55f531463000 r--p 02faf000 fe:00 10039302                   /usr/bin/corten
55f531463000-55f53146b000 rw-p 030d5000 fe:00 10039302                   /usr/bin/corten
7fb6988b5000-7fb698a0b000 r-xp 00026000 fe:00 326279                     /usr/lib/libc.so.6
7fb698a0b000-7fb698a0f000 r--p 001fc000 fe:00 326279                     /usr/lib/libc.so.6
7fb698b00000-7fb698b01000 r--p 00000000 00:00 0 
7ffd2a5f6000-7ffd2a5f8000 r-xp 00000000 00:00 0                          [vdso]
nonsense";
        let found: Vec<_> = maps.lines().filter_map(unchanging).collect();
        assert_eq!(
            found,
            [
                (0x55f5_2d86_6000, 0xb2_5000),
                (0x55f5_2eeb_1000, 0x248_b000),
                (0x7fb6_988b_5000, 0x15_6000),
            ]
        );
    }

    #[test]
    fn the_program_goes_on_with_fewer_pages() {
        let resident = || {
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let line = status
                .lines()
                .find(|line| line.starts_with("RssFile:"))
                .unwrap();
            line.split_whitespace()
                .nth(1)
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        // Constants that are read, so that there is something to let go.
        let text = format!("{:?}", "corten".chars().rev().collect::<String>());
        let before = resident();
        let_go().unwrap();
        let after = resident();
        assert!(after < before, "{after} of {before} KiB");
        assert_eq!(
            format!("{:?}", "corten".chars().rev().collect::<String>()),
            text
        );
    }
}
