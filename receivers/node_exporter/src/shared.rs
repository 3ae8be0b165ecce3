//! What several collectors need and is read for all of them once.

use std::sync::Arc;

use corten_host::stat::Stat;
use corten_host::{HostError, HostFile, Roots};
use parking_lot::Mutex;

/// What collectors are made from.
pub(crate) struct Sources {
    /// Where the host's file systems are.
    pub(crate) roots: Roots,
    /// `/proc/stat`.
    pub(crate) stat: SharedStat,
}

impl Sources {
    pub(crate) fn new(roots: Roots) -> Self {
        let stat = Inner {
            file: HostFile::of_short_lines(roots.proc("stat")),
            stat: Stat::default(),
            scrape: None,
        };
        Self {
            roots,
            stat: SharedStat(Arc::new(Mutex::new(stat))),
        }
    }
}

/// `/proc/stat`, which costs the kernel a walk over all CPUs and interrupts: milliseconds on a
/// large host. It is read by the first collector of a scrape that needs it.
#[derive(Clone)]
pub(crate) struct SharedStat(Arc<Mutex<Inner>>);

struct Inner {
    file: HostFile,
    stat: Stat,
    /// The scrape that `stat` is of.
    scrape: Option<u64>,
}

impl SharedStat {
    /// Shows the file as of the scrape with this number.
    pub(crate) fn read<T>(
        &self,
        scrape: u64,
        show: impl FnOnce(&Stat) -> T,
    ) -> Result<T, HostError> {
        let mut inner = self.0.lock();
        let inner = &mut *inner;
        if inner.scrape != Some(scrape) {
            inner.scrape = None;
            inner.stat.parse(inner.file.read()?)?;
            inner.scrape = Some(scrape);
        }
        Ok(show(&inner.stat))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_reads_once_and_the_next_one_again() {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots::below(folder.path());
        let sources = Sources::new(roots.clone());
        let forks = |scrape| sources.stat.read(scrape, |stat| stat.forks);
        assert!(forks(1).is_err());
        std::fs::create_dir(&roots.procfs).unwrap();
        let write = |forks: u32| {
            let text = format!("cpu0 1 2 3 4\nprocesses {forks}\n");
            std::fs::write(roots.proc("stat"), text).unwrap();
        };
        write(5);
        assert_eq!(forks(1).unwrap(), 5, "a failure is not kept");
        write(6);
        assert_eq!(forks(1).unwrap(), 5);
        assert_eq!(forks(2).unwrap(), 6);
    }
}
