//! `/proc/cpuinfo`: what the kernel says of each processor. Its fields differ by architecture.

use std::collections::HashSet;

use crate::HostError;
use crate::scan::{cut, lines, number};

const FILE: &str = "cpuinfo";

/// One logical processor; what its architecture does not say is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Processor<'a> {
    /// `processor`, its number.
    pub number: u32,
    /// `vendor_id`.
    pub vendor: &'a str,
    /// `cpu family`.
    pub family: &'a str,
    /// `model`.
    pub model: &'a str,
    /// `model name`.
    pub model_name: &'a str,
    /// `microcode`.
    pub microcode: &'a str,
    /// `stepping`.
    pub stepping: &'a str,
    /// `cache size`, with its unit.
    pub cache_size: &'a str,
    /// `physical id`: the package it is in.
    pub physical_id: &'a str,
    /// `core id`: the core within the package.
    pub core_id: &'a str,
    /// `cpu MHz`.
    pub megahertz: Option<f64>,
    /// `flags`, separated by blanks.
    pub flags: &'a str,
    /// `bugs`, separated by blanks.
    pub bugs: &'a str,
}

/// The processors in the order of the file.
///
/// # Errors
///
/// A processor's number is none.
pub fn parse(file: &[u8]) -> Result<Vec<Processor<'_>>, HostError> {
    let mut processors: Vec<Processor<'_>> = Vec::new();
    for (at, line) in lines(file) {
        let Some((name, value)) = cut(line, b':') else {
            continue;
        };
        let value = value.trim_ascii();
        let name = name.trim_ascii();
        if name == b"processor" {
            let number = number(value)
                .and_then(|number| u32::try_from(number).ok())
                .ok_or_else(|| HostError::malformed(FILE, at, "the number of a processor", line))?;
            processors.push(Processor {
                number,
                ..Processor::default()
            });
            continue;
        }
        // Some architectures begin with lines about all processors.
        let Some(processor) = processors.last_mut() else {
            continue;
        };
        let value = std::str::from_utf8(value).unwrap_or_default();
        match name {
            b"vendor_id" => processor.vendor = value,
            b"cpu family" => processor.family = value,
            b"model" => processor.model = value,
            b"model name" => processor.model_name = value,
            b"microcode" => processor.microcode = value,
            b"stepping" => processor.stepping = value,
            b"cache size" => processor.cache_size = value,
            b"physical id" => processor.physical_id = value,
            b"core id" => processor.core_id = value,
            b"cpu MHz" => processor.megahertz = value.parse().ok(),
            b"flags" => processor.flags = value,
            b"bugs" => processor.bugs = value,
            _ => {}
        }
    }
    Ok(processors)
}

/// Cores, counted once however many processors share them; `None` where the architecture does not
/// say which processors do.
#[must_use]
pub fn physical_cores(processors: &[Processor<'_>]) -> Option<usize> {
    if processors
        .iter()
        .any(|processor| processor.core_id.is_empty())
    {
        return None;
    }
    let cores: HashSet<_> = processors
        .iter()
        .map(|processor| (processor.physical_id, processor.core_id))
        .collect();
    (!cores.is_empty()).then_some(cores.len())
}

/// Packages; at least one where there is a processor.
#[must_use]
pub fn sockets(processors: &[Processor<'_>]) -> usize {
    let packages: HashSet<_> = processors
        .iter()
        .map(|processor| processor.physical_id)
        .collect();
    packages.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"processor\t: 0\nvendor_id\t: Maker\ncpu family\t: 6\nmodel name\t: Fast: very\ncpu MHz\t\t: 2596.098\nphysical id\t: 0\ncore id\t\t: 0\nflags\t\t: fpu vme\n\n\
        processor\t: 2\nphysical id\t: 0\ncore id\t\t: 0\n\nprocessor\t: 3\nphysical id\t: 1\ncore id\t\t: 0\npower management:\n";

    #[test]
    fn processors_keep_their_numbers() {
        let processors = parse(TEXT).unwrap();
        let numbers: Vec<_> = processors
            .iter()
            .map(|processor| processor.number)
            .collect();
        assert_eq!(numbers, [0, 2, 3]);
        assert_eq!(processors[0].model_name, "Fast: very");
        assert_eq!(processors[0].megahertz, Some(2596.098));
        assert_eq!(processors[1].vendor, "");
        assert_eq!(physical_cores(&processors), Some(2));
        assert_eq!(sockets(&processors), 2);
    }

    #[test]
    fn cores_are_unknown_where_nothing_is_said() {
        let processors = parse(b"processor : 0\nBogoMIPS : 50\nprocessor : 1\n").unwrap();
        assert_eq!(physical_cores(&processors), None);
        assert_eq!(physical_cores(&[]), None);
        assert!(parse(b"processor : x\n").is_err());
    }
}
