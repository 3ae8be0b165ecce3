//! Counters of the network's protocols: `/proc/net/netstat`, `snmp` and `snmp6`.

use std::collections::HashMap;

use corten_config::types::Regex;
use corten_host::families::Kind::Untyped;
use corten_host::scan::{cut, fields, lines, valid, value};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    let file = |name| HostFile::new(sources.roots.proc(name));
    Box::new(Netstat {
        wanted: config.netstat.fields.clone(),
        netstat: file("net/netstat"),
        snmp: file("net/snmp"),
        snmp6: file("net/snmp6"),
        names: Names::default(),
    })
}

struct Netstat {
    wanted: Regex,
    netstat: HostFile,
    snmp: HostFile,
    snmp6: HostFile,
    names: Names,
}

/// What is made of `protocol` and `field`: the metric's name and description, or nothing where the
/// user does not want it. Remembered, as the expression and the text cost more than the rest.
#[derive(Default)]
struct Names(HashMap<Box<[u8]>, Fields>);

/// The names of a protocol's counters.
type Fields = HashMap<Box<[u8]>, Option<Name>>;

/// A metric's name and description.
type Name = (String, String);

/// What is told of a counter: its protocol, its name and its value.
type Show<'a> = &'a mut dyn FnMut(&[u8], &[u8], f64);

/// Names that are remembered; a kernel has some hundred.
const MOST: usize = 4096;

impl Names {
    fn of(&mut self, wanted: &Regex, protocol: &[u8], field: &[u8]) -> Option<&Name> {
        if self.0.len() > MOST {
            self.0.clear();
        }
        if !self.0.contains_key(protocol) {
            self.0.insert(protocol.into(), HashMap::new());
        }
        let fields = self.0.get_mut(protocol)?;
        if fields.len() > MOST {
            fields.clear();
        }
        if !fields.contains_key(field) {
            let (shown, name) = (valid(protocol), valid(field));
            let key = format!("{shown}_{name}");
            let made = wanted.is_match(&key).then(|| {
                (
                    format!("node_netstat_{key}"),
                    format!("The counter {name} of {shown}, as the kernel has it."),
                )
            });
            fields.insert(field.into(), made);
        }
        fields.get(field)?.as_ref()
    }
}

impl Collector for Netstat {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let Self {
            wanted,
            netstat,
            snmp,
            snmp6,
            names,
        } = self;
        let mut show = |protocol: &[u8], field: &[u8], value: f64| {
            if let Some((name, help)) = names.of(wanted, protocol, field) {
                emit.put(Untyped, name, help, &[], value);
            }
        };
        pairs("net/netstat", netstat.read()?, &mut show)?;
        pairs("net/snmp", snmp.read()?, &mut show)?;
        match snmp6.read() {
            Ok(text) => snmp6_lines(text, &mut show),
            // A kernel without IPv6.
            Err(error) if error.is_absent() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Lines in pairs: `TcpExt: name name …` and `TcpExt: value value …`.
fn pairs(file: &'static str, text: &[u8], show: Show<'_>) -> Result<(), HostError> {
    let mut all = lines(text);
    while let Some((at, names)) = all.next() {
        let wrong = |expected, found| HostError::malformed(file, at, expected, found);
        let (protocol, names) =
            cut(names, b':').ok_or_else(|| wrong("a protocol and names", names))?;
        let (_, values) = all
            .next()
            .ok_or_else(|| wrong("a line of values after it", names))?;
        let (_, values) =
            cut(values, b':').ok_or_else(|| wrong("a protocol and values", values))?;
        let mut values = fields(values);
        for name in fields(names) {
            let number = values.next().and_then(value);
            let number = number.ok_or_else(|| wrong("a number for each name", name))?;
            show(protocol, name, number);
        }
        if let Some(more) = values.next() {
            return Err(wrong("a name for each number", more));
        }
    }
    Ok(())
}

/// Lines `Ip6InReceives 17`: the protocol ends with the first `6`.
fn snmp6_lines(text: &[u8], show: Show<'_>) -> Result<(), HostError> {
    for (at, line) in lines(text) {
        let mut columns = fields(line);
        let (Some(name), Some(number)) = (columns.next(), columns.next()) else {
            continue;
        };
        // Names without a 6 belong to no protocol.
        let Some(six) = memchr_six(name) else {
            continue;
        };
        let number = value(number)
            .ok_or_else(|| HostError::malformed("net/snmp6", at, "a name and a number", line))?;
        let (protocol, field) = name.split_at_checked(six + 1).unwrap_or((name, b""));
        show(protocol, field, number);
    }
    Ok(())
}

fn memchr_six(name: &[u8]) -> Option<usize> {
    name.iter().position(|byte| *byte == b'6')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(read: impl FnOnce(Show<'_>) -> Result<(), HostError>) -> Vec<String> {
        let mut shown = Vec::new();
        let mut show = |protocol: &[u8], field: &[u8], value: f64| {
            shown.push(format!("{}_{} {value}", valid(protocol), valid(field)));
        };
        read(&mut show).unwrap();
        shown
    }

    #[test]
    fn names_go_with_values() {
        let text = b"TcpExt: SyncookiesSent Pruned\nTcpExt: 1 2\nIpExt: InOctets\nIpExt: -3\n";
        assert_eq!(
            shown(|show| pairs("f", text, show)),
            [
                "TcpExt_SyncookiesSent 1",
                "TcpExt_Pruned 2",
                "IpExt_InOctets -3"
            ]
        );
        let text = b"Ip6InReceives  7\nIcmp6OutType135 3\nUdpLite6InErrors 0\n";
        assert_eq!(
            shown(|show| snmp6_lines(text, show)),
            [
                "Ip6_InReceives 7",
                "Icmp6_OutType135 3",
                "UdpLite6_InErrors 0"
            ]
        );
    }

    #[test]
    fn torn_files_are_refused() {
        for torn in [
            "TcpExt: A B\n",
            "TcpExt: A B\nTcpExt: 1\n",
            "TcpExt: A\nTcpExt: 1 2\n",
            "x\n",
        ] {
            assert!(
                pairs("f", torn.as_bytes(), &mut |_, _, _| {}).is_err(),
                "{torn}"
            );
        }
    }

    #[test]
    fn names_are_made_once_and_unwanted_ones_never() {
        let mut names = Names::default();
        let wanted = "^Tcp_Cur".parse().unwrap();
        let (name, _) = names.of(&wanted, b"Tcp", b"CurrEstab").unwrap();
        assert_eq!(name, "node_netstat_Tcp_CurrEstab");
        assert!(names.of(&wanted, b"Tcp", b"MaxConn").is_none());
    }
}
