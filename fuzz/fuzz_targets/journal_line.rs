//! Any line where `journalctl` should have written an entry, whole or cut.

#![no_main]
#![allow(dead_code, reason = "only what reads is looked at")]

#[path = "../../receivers/journald/src/entry.rs"]
mod entry;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let whole = entry::Entry::parse(line);
    let mut cut = line.to_vec();
    entry::repair(&mut cut);
    let beginning = entry::Entry::beginning(&cut);
    // A line that needs no repair says the same either way.
    if let Some(whole) = whole
        && cut == line
    {
        assert_eq!(beginning, Some(whole));
    }
});
