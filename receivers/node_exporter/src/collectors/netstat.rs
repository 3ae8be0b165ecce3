//! Counters of the network's protocols: `/proc/net/netstat`, `snmp` and `snmp6`.

use corten_config::types::Regex;
use corten_host::families::Kind::Untyped;
use corten_host::scan::{cut, fields, lines, valid, value};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::remembered::{Name, Remembered};
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    let file = |name| HostFile::of_short_lines(sources.roots.proc(name));
    Box::new(Netstat {
        wanted: config.netstat.fields.clone(),
        netstat: (file("net/netstat"), Remembered::default()),
        snmp: (file("net/snmp"), Remembered::default()),
        snmp6: (file("net/snmp6"), Remembered::default()),
    })
}

struct Netstat {
    wanted: Regex,
    netstat: (HostFile, Remembered<Columns>),
    snmp: (HostFile, Remembered<Columns>),
    snmp6: (HostFile, Remembered<Name>),
}

/// What is told of a counter that is wanted: its name and its value.
type Show<'a> = &'a mut dyn FnMut(&Name, f64);

/// The metric of a counter, if the user wants it.
fn wanted(wanted: &Regex, protocol: &[u8], field: &[u8]) -> Option<Name> {
    let (protocol, field) = (valid(protocol), valid(field));
    let key = format!("{protocol}_{field}");
    // A copy takes its memory for matching with it: names are decided about once.
    wanted.clone().is_match(&key).then(|| Name {
        name: format!("node_netstat_{key}"),
        help: format!("The counter {field} of {protocol}, as the kernel has it."),
    })
}

impl Collector for Netstat {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let Self {
            wanted,
            netstat,
            snmp,
            snmp6,
        } = self;
        let show = &mut |name: &Name, value: f64| {
            emit.put(Untyped, &name.name, &name.help, &[], value);
        };
        pairs(
            "net/netstat",
            netstat.0.read()?,
            wanted,
            &mut netstat.1,
            show,
        )?;
        pairs("net/snmp", snmp.0.read()?, wanted, &mut snmp.1, show)?;
        match snmp6.0.read() {
            Ok(text) => snmp6_lines(text, wanted, &mut snmp6.1, show),
            // A kernel without IPv6.
            Err(error) if error.is_absent() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What a line of names says: how many there are, and the wanted ones with their places.
struct Columns {
    count: usize,
    wanted: Vec<(usize, Name)>,
}

impl Columns {
    fn of(wanted: &Regex, protocol: &[u8], names: &[u8]) -> Self {
        let found = fields(names).enumerate();
        Self {
            count: fields(names).count(),
            wanted: found
                .filter_map(|(at, field)| Some((at, self::wanted(wanted, protocol, field)?)))
                .collect(),
        }
    }
}

/// Lines in pairs: `TcpExt: name name …` and `TcpExt: value value …`. The lines of names hardly ever change, so what
/// they say is remembered.
fn pairs(
    file: &'static str,
    text: &[u8],
    wanted: &Regex,
    known: &mut Remembered<Columns>,
    show: Show<'_>,
) -> Result<(), HostError> {
    let mut all = lines(text);
    let mut number_of_pair = 0;
    while let Some((at, line)) = all.next() {
        let wrong = |expected, found| HostError::malformed(file, at, expected, found);
        let (protocol, names) =
            cut(line, b':').ok_or_else(|| wrong("a protocol and names", line))?;
        let (_, values) = all
            .next()
            .ok_or_else(|| wrong("a line of values after it", names))?;
        let (_, values) =
            cut(values, b':').ok_or_else(|| wrong("a protocol and values", values))?;
        let columns = known.at(number_of_pair, line, || {
            Some(Columns::of(wanted, protocol, names))
        });
        number_of_pair += 1;
        let Some(columns) = columns else {
            continue;
        };
        let mut next = columns.wanted.iter().peekable();
        let mut count = 0;
        for number in fields(values) {
            if let Some((_, name)) = next.next_if(|(place, _)| *place == count) {
                let number = value(number);
                show(
                    name,
                    number.ok_or_else(|| wrong("a number for each name", values))?,
                );
            } else if !is_whole(number) {
                return Err(wrong("a number for each name", values));
            }
            count += 1;
        }
        if count != columns.count {
            return Err(wrong("as many numbers as names", values));
        }
    }
    Ok(())
}

/// Whether these are digits, maybe behind a sign: what the kernel writes for all that nobody wants.
fn is_whole(number: &[u8]) -> bool {
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    digits.iter().all(u8::is_ascii_digit)
}

/// Lines `Ip6InReceives 17`: the protocol ends with the first `6`.
fn snmp6_lines(
    text: &[u8],
    wanted: &Regex,
    known: &mut Remembered<Name>,
    show: Show<'_>,
) -> Result<(), HostError> {
    for (place, (at, line)) in lines(text).enumerate() {
        let mut columns = fields(line);
        let (Some(name), Some(number)) = (columns.next(), columns.next()) else {
            // The places behind it stay what they are.
            known.at(place, line, || None);
            continue;
        };
        let wanted = known.at(place, name, || {
            // Names without a 6 belong to no protocol.
            let six = name.iter().position(|byte| *byte == b'6')?;
            let (protocol, field) = name.split_at_checked(six + 1)?;
            self::wanted(wanted, protocol, field)
        });
        let wrong = || HostError::malformed("net/snmp6", at, "a name and a number", line);
        match wanted {
            Some(name) => show(name, value(number).ok_or_else(wrong)?),
            None if is_whole(number) => {}
            None => return Err(wrong()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Regex {
        ".".parse().unwrap()
    }

    fn shown(read: impl FnOnce(Show<'_>) -> Result<(), HostError>) -> Vec<String> {
        let mut shown = Vec::new();
        read(&mut |name, value| shown.push(format!("{} {value}", name.name))).unwrap();
        shown
    }

    #[test]
    fn names_go_with_values() {
        let text = b"TcpExt: SyncookiesSent Pruned\nTcpExt: 1 2\nIpExt: InOctets\nIpExt: -3\n";
        let mut known = Remembered::default();
        for _ in 0..2 {
            assert_eq!(
                shown(|show| pairs("f", text, &everything(), &mut known, show)),
                [
                    "node_netstat_TcpExt_SyncookiesSent 1",
                    "node_netstat_TcpExt_Pruned 2",
                    "node_netstat_IpExt_InOctets -3"
                ]
            );
        }
        let text = b"Ip6InReceives  7\nIcmp6OutType135 3\nUdpLite6InErrors 0\n";
        assert_eq!(
            shown(|show| snmp6_lines(text, &everything(), &mut Remembered::default(), show)),
            [
                "node_netstat_Ip6_InReceives 7",
                "node_netstat_Icmp6_OutType135 3",
                "node_netstat_UdpLite6_InErrors 0"
            ]
        );
    }

    #[test]
    fn torn_files_are_refused() {
        for torn in [
            "TcpExt: A B\n",
            "TcpExt: A B\nTcpExt: 1\n",
            "TcpExt: A\nTcpExt: 1 2\n",
            "TcpExt: A\nTcpExt: x\n",
            "x\n",
        ] {
            for regex in [everything(), "^none$".parse().unwrap()] {
                let mut known = Remembered::default();
                assert!(
                    pairs("f", torn.as_bytes(), &regex, &mut known, &mut |_, _| {}).is_err(),
                    "{torn}"
                );
            }
        }
    }

    #[test]
    fn names_that_move_are_followed() {
        let wanted: Regex = "^Tcp_(Cur|New)".parse().unwrap();
        let mut known = Remembered::default();
        let mut read =
            |text: &str| shown(|show| pairs("f", text.as_bytes(), &wanted, &mut known, show));
        assert_eq!(
            read("Tcp: MaxConn CurrEstab\nTcp: 1 2\n"),
            ["node_netstat_Tcp_CurrEstab 2"]
        );
        assert_eq!(
            read("Udp: X\nUdp: 1\nTcp: CurrEstab New\nTcp: 3 4\n"),
            ["node_netstat_Tcp_CurrEstab 3", "node_netstat_Tcp_New 4"]
        );
    }
}
