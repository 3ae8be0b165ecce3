//! Open files: `/proc/sys/fs/file-nr`.

use corten_host::families::Kind::Gauge;
use corten_host::scan::{fields, value};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Filefd {
        file: HostFile::of_short_lines(sources.roots.proc("sys/fs/file-nr")),
    })
}

struct Filefd {
    file: HostFile,
}

impl Collector for Filefd {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let (allocated, maximum) = parse(self.file.read()?)?;
        emit.put(
            Gauge,
            "node_filefd_allocated",
            "Files that are open.",
            &[],
            allocated,
        );
        emit.put(
            Gauge,
            "node_filefd_maximum",
            "Files that may be open.",
            &[],
            maximum,
        );
        Ok(())
    }
}

/// The first and the third number; the second one has been 0 since Linux 2.6.
fn parse(text: &[u8]) -> Result<(f64, f64), HostError> {
    let mut columns = fields(text.trim_ascii());
    let (allocated, maximum) = (
        columns.next().and_then(value),
        columns.nth(1).and_then(value),
    );
    allocated
        .zip(maximum)
        .ok_or_else(|| HostError::malformed("sys/fs/file-nr", 1, "three numbers", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_third_number_count() {
        assert_eq!(parse(b"1024\t0\t1631329\n").unwrap(), (1024.0, 1_631_329.0));
        assert!(parse(b"1024\t0\n").is_err());
    }
}
