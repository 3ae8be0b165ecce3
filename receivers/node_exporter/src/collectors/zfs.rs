//! ZFS: `/proc/spl/kstat/zfs`.

use corten_host::families::Kind::{Gauge, Untyped};
use corten_host::scan::{fields, lines, valid, value};
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Zfs {
        kstat: Attributes::new(sources.roots.proc("spl/kstat/zfs")),
    })
}

struct Zfs {
    kstat: Attributes,
}

/// The files with the start of their metrics' names. Versions of ZFS have more or fewer of them.
const FILES: [(&str, &str); 11] = [
    ("abdstats", "node_zfs_abd_"),
    ("arcstats", "node_zfs_arc_"),
    ("dbufstats", "node_zfs_dbuf_"),
    ("dmu_tx", "node_zfs_dmu_tx_"),
    ("dnodestats", "node_zfs_dnode_"),
    ("fm", "node_zfs_fm_"),
    ("vdev_cache_stats", "node_zfs_vdev_cache_"),
    ("vdev_mirror_stats", "node_zfs_vdev_mirror_"),
    ("xuio_stats", "node_zfs_xuio_"),
    ("zfetchstats", "node_zfs_zfetch_"),
    ("zil", "node_zfs_zil_"),
];

const STATES: [&str; 7] = [
    "online",
    "degraded",
    "faulted",
    "offline",
    "removed",
    "unavail",
    "suspended",
];
const HELP: &str = "A value of ZFS, under the name that it has in kstat.";

impl Collector for Zfs {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let entries = self.kstat.names("")?;
        for (file, prefix) in FILES {
            match self.kstat.bytes(file) {
                Ok(text) => named(file, text, &[b"3", b"4"], &mut |name, number| {
                    emit.put(Untyped, &metric(prefix, name), HELP, &[], number);
                })?,
                Err(error) if error.is_absent() => {}
                Err(error) => return Err(error),
            }
        }
        for pool in entries
            .iter()
            .filter(|name| !FILES.iter().any(|(file, _)| file == name))
        {
            if self.kstat.has_folder(pool) {
                self.pool(emit, pool)?;
            }
        }
        self.kstat.forget_unused();
        Ok(())
    }
}

impl Zfs {
    fn pool(&mut self, emit: &mut Emit<'_>, pool: &str) -> Result<(), HostError> {
        for file in self.kstat.names(pool)? {
            let path = format!("{pool}/{file}");
            if file == "io" {
                table(self.kstat.bytes(&path)?, &mut |name, number| {
                    emit.put(
                        Untyped,
                        &metric("node_zfs_zpool_", name),
                        HELP,
                        &[("zpool", pool)],
                        number,
                    );
                })?;
            } else if file.starts_with("objset-") {
                let text = self.kstat.bytes(&path)?;
                let name = lines(text).find_map(|(_, line)| {
                    let mut words = fields(line);
                    (words.next()? == b"dataset_name").then(|| words.nth(1))?
                });
                let dataset = valid(name.unwrap_or_default());
                named("objset", text, &[b"4"], &mut |name, number| {
                    emit.put(
                        Untyped,
                        &metric("node_zfs_zpool_dataset_", name),
                        HELP,
                        &[("dataset", &dataset), ("zpool", pool)],
                        number,
                    );
                })?;
            } else if file == "state" {
                let actual = self.kstat.text(&path)?.to_lowercase();
                for state in STATES {
                    let is = if actual == state { 1.0 } else { 0.0 };
                    emit.put(
                        Gauge,
                        "node_zfs_zpool_state",
                        "The state of each pool: 1 for the one that it is in.",
                        &[("state", state), ("zpool", pool)],
                        is,
                    );
                }
            }
        }
        Ok(())
    }
}

fn metric(prefix: &str, name: &[u8]) -> String {
    format!("{prefix}{}", valid(name).replace('-', "_"))
}

/// Lines `name type data` after a line that says so; types 3 and 4 are whole numbers, with a sign and
/// without. Other types than `kinds` are left out.
fn named(
    file: &'static str,
    text: &[u8],
    kinds: &[&[u8]],
    show: &mut dyn FnMut(&[u8], f64),
) -> Result<(), HostError> {
    let mut begun = false;
    for (at, line) in lines(text) {
        let mut words = fields(line);
        let (Some(name), Some(kind), Some(data)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        if !begun {
            begun = (name, kind, data) == (b"name", b"type", b"data");
        } else if kinds.contains(&kind) {
            let wrong = || HostError::malformed(file, at, "a number", line);
            show(name, value(data).ok_or_else(wrong)?);
        }
    }
    if begun {
        Ok(())
    } else {
        Err(HostError::Missing {
            file,
            expected: "the line 'name type data'",
        })
    }
}

/// A line of twelve names or more that begins with `nread`, and one of values.
fn table(text: &[u8], show: &mut dyn FnMut(&[u8], f64)) -> Result<(), HostError> {
    let mut all = lines(text)
        .skip_while(|(_, line)| fields(line).next() != Some(b"nread") || fields(line).count() < 12);
    let Some((_, names)) = all.next() else {
        return Ok(());
    };
    for (at, line) in all {
        let mut values = fields(line);
        for name in fields(names) {
            let number = values.next().and_then(value);
            show(
                name,
                number.ok_or_else(|| {
                    HostError::malformed("zfs/io", at, "a number for each name", line)
                })?,
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_values_and_tables() {
        let mut all = Vec::new();
        let text =
            b"6 1 0x01\nname type data\nhits 4 8772612\nl2-size 3 -1\ndataset_name 7 pool/a\n";
        named("f", text, &[b"3", b"4"], &mut |name, value| {
            all.push(format!("{} {value}", metric("p_", name)))
        })
        .unwrap();
        assert_eq!(all, ["p_hits 8772612", "p_l2_size -1"]);
        assert!(named("f", b"hits 4 1\n", &[b"4"], &mut |_, _| {}).is_err());
        all.clear();
        let text = b"12 3\nnread nwritten c d e f g h i j k l\n1 2 3 4 5 6 7 8 9 10 11 12\n";
        table(text, &mut |name, value| {
            all.push(format!("{} {value}", metric("", name)))
        })
        .unwrap();
        assert_eq!(all.first().map(String::as_str), Some("nread 1"));
        assert_eq!(all.len(), 12);
        let torn = text.strip_suffix(b" 12\n").unwrap();
        assert!(table(torn, &mut |_, _| {}).is_err());
        // Fewer names are another table.
        table(b"nread nwritten\n1 2\n", &mut |_, _| panic!("no values")).unwrap();
    }
}
