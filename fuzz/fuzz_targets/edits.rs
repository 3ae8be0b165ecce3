//! Made-up requests of all signals: read, joined, edited and cut as prost's objects are.

#![no_main]

use corten_pdata::{Signal, testing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, entropy)) = bytes.split_first() else {
        return;
    };
    let signal = Signal::ALL[usize::from(choice & 3) % 3];
    match choice >> 2 & 3 {
        0 => testing::check_generated(signal, entropy),
        1 => testing::check_split(signal, entropy),
        _ => testing::check_edits(signal, entropy),
    }
});
