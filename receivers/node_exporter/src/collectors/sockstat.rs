//! Sockets in use: `/proc/net/sockstat` and `sockstat6`.

use corten_host::families::Kind::Gauge;
use corten_host::scan::{cut, fields, float, lines, valid, value};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Sockstat {
        v4: HostFile::of_short_lines(sources.roots.proc("net/sockstat")),
        v6: HostFile::of_short_lines(sources.roots.proc("net/sockstat6")),
        page: float(u64::try_from(rustix::param::page_size()).unwrap_or(4096)),
        name: String::new(),
        help: String::new(),
    })
}

struct Sockstat {
    v4: HostFile,
    v6: HostFile,
    /// Bytes in a page.
    page: f64,
    name: String,
    help: String,
}

impl Collector for Sockstat {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let mut found = false;
        for (file, name) in [
            (&mut self.v4, "net/sockstat"),
            (&mut self.v6, "net/sockstat6"),
        ] {
            let text = match file.read() {
                Ok(text) => text,
                // A kernel without this version of IP.
                Err(error) if error.is_absent() => continue,
                Err(error) => return Err(error),
            };
            found = true;
            let page = self.page;
            let (metric, help) = (&mut self.name, &mut self.help);
            parse(name, text, &mut |protocol, key, value| {
                if protocol == b"sockets" {
                    // Of all protocols together; the file for IPv6 has none.
                    emit.put(
                        Gauge,
                        "node_sockstat_sockets_used",
                        "Sockets in use, of all protocols.",
                        &[],
                        value,
                    );
                    return;
                }
                metric.clear();
                metric.push_str("node_sockstat_");
                metric.push_str(&valid(protocol));
                metric.push('_');
                metric.push_str(&valid(key));
                let (shown, state) = (valid(protocol), valid(key));
                help.clear();
                help.push_str(&shown);
                match key {
                    b"mem" => help.push_str(" sockets: pages of memory."),
                    b"memory" => help.push_str(" sockets: bytes of memory."),
                    _ => help.extend([" sockets that are counted as ", &*state, "."]),
                }
                emit.put(Gauge, metric, help, &[], value);
                if key == b"mem" {
                    metric.push_str("_bytes");
                    emit.put(
                        Gauge,
                        metric,
                        "Memory of this protocol's sockets, in bytes.",
                        &[],
                        value * page,
                    );
                }
            })?;
        }
        if found {
            Ok(())
        } else {
            Err(HostError::NoData("neither IPv4 nor IPv6"))
        }
    }
}

/// What is told of a number: its protocol, its name and its value.
type Show<'a> = &'a mut dyn FnMut(&[u8], &[u8], f64);

/// Lines `TCP: inuse 4 orphan 0 …`.
fn parse(file: &'static str, text: &[u8], show: Show<'_>) -> Result<(), HostError> {
    for (at, line) in lines(text) {
        let wrong = || HostError::malformed(file, at, "a protocol, and names with numbers", line);
        let (protocol, pairs) = cut(line, b':').ok_or_else(wrong)?;
        let mut pairs = fields(pairs);
        while let Some(key) = pairs.next() {
            let value = pairs.next().and_then(value).ok_or_else(wrong)?;
            show(protocol, key, value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_shown() {
        let mut all = Vec::new();
        let text = b"sockets: used 229\nTCP: inuse 4 mem 1\n";
        parse("f", text, &mut |protocol, key, value| {
            all.push(format!("{} {} {value}", valid(protocol), valid(key)));
        })
        .unwrap();
        assert_eq!(all, ["sockets used 229", "TCP inuse 4", "TCP mem 1"]);
        assert!(parse("f", b"TCP: inuse\n", &mut |_, _, _| {}).is_err());
        assert!(parse("f", b"TCP\n", &mut |_, _, _| {}).is_err());
    }
}
