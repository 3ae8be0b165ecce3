//! The host itself.

use std::path::Path;

use corten_host::cpuinfo;
use corten_host::links;
use corten_host::uname::Uname;
use corten_pdata::AnyValue;
use corten_pdata::build::OwnedValue;

use crate::config::HostnameSource;
use crate::detectors::{Attribute, Found, texts};

pub(crate) static ATTRIBUTES: [Attribute; 17] = [
    ("host.arch", false),
    ("host.cpu.cache.l2.size", false),
    ("host.cpu.family", false),
    ("host.cpu.model.id", false),
    ("host.cpu.model.name", false),
    ("host.cpu.stepping", false),
    ("host.cpu.vendor.id", false),
    ("host.id", false),
    ("host.interface", false),
    ("host.ip", false),
    ("host.mac", false),
    ("host.name", true),
    ("os.build.id", false),
    ("os.description", false),
    ("os.name", false),
    ("os.type", true),
    ("os.version", false),
];

/// `IFF_UP` and `IFF_LOOPBACK`.
const UP: u32 = 1;
const LOOPBACK: u32 = 8;

/// What the host below `root` says of itself.
pub(crate) fn detect(root: &Path, sources: &[HostnameSource]) -> Found {
    let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap_or_default();
    let uname = Uname::read();
    let release = read("etc/os-release");
    let of = |key: &str| value_of(&release, key);
    let id = ["etc/machine-id", "var/lib/dbus/machine-id"]
        .into_iter()
        .map(read)
        .map(|id| id.trim().to_owned())
        .find(|id| !id.is_empty());
    // A distribution that is built as a whole says so; the others are as old as their kernel.
    let build = Some(of("BUILD_ID")).filter(|id| !id.is_empty());
    let build = build.unwrap_or_else(|| uname.release.clone());
    let mut found = texts([
        (
            "host.name",
            hostname(&uname.nodename, &read("etc/hosts"), sources),
        ),
        ("os.type", "linux".to_owned()),
        ("host.id", id.unwrap_or_default()),
        ("host.arch", arch(std::env::consts::ARCH).to_owned()),
        ("os.build.id", build),
        ("os.description", description(&of("PRETTY_NAME"), &uname)),
        ("os.name", of("NAME")),
        ("os.version", of("VERSION_ID")),
    ]);
    if let Ok(processors) = cpuinfo::parse(read("proc/cpuinfo").as_bytes())
        && let Some(first) = processors.first()
    {
        found.extend(texts([
            ("host.cpu.vendor.id", first.vendor.to_owned()),
            ("host.cpu.family", first.family.to_owned()),
            ("host.cpu.model.id", first.model.to_owned()),
            ("host.cpu.model.name", first.model_name.to_owned()),
            ("host.cpu.stepping", first.stepping.to_owned()),
        ]));
        // In KiB, as the kernel and the Collector have it: `512 KB`.
        let size = first.cache_size.split(' ').next().unwrap_or_default();
        if let Ok(size) = size.parse::<i64>() {
            found.insert("host.cpu.cache.l2.size".to_owned(), size.into());
        }
    }
    let (mut hardware, mut addresses, mut interfaces) = (Vec::new(), Vec::new(), Vec::new());
    let mut written = String::new();
    // A kernel that does not answer has none.
    drop(links::each(&mut |link| {
        if link.flags & (UP | LOOPBACK) == UP {
            interfaces.push(link.name.clone().into_owned());
        }
        if !link.address.is_empty() && link.address.iter().any(|byte| *byte != 0) {
            links::write_address(link.address, &mut written);
            hardware.push(written.to_uppercase().replace(':', "-"));
        }
    }));
    drop(links::each_address(&mut |found| {
        if !found.address.is_loopback() {
            addresses.push(found.address.to_string());
        }
    }));
    for (name, mut all) in [
        ("host.mac", hardware),
        ("host.ip", addresses),
        ("host.interface", interfaces),
    ] {
        all.sort();
        all.dedup();
        if !all.is_empty() {
            let list = OwnedValue::array(all.iter().map(|text| AnyValue::String(text)));
            found.insert(name.to_owned(), list);
        }
    }
    found
}

/// The first answer of the sources. A name with its domain stands in `/etc/hosts` before the name alone.
fn hostname(own: &str, hosts: &str, sources: &[HostnameSource]) -> String {
    let full = || {
        hosts.lines().find_map(|line| {
            let line = line.split_once('#').map_or(line, |(line, _)| line);
            let mut names = line.split_whitespace().skip(1);
            let first = names.next()?;
            let full = first.contains('.') && first.split('.').next() == Some(own);
            (full && names.any(|name| name == own)).then(|| first.to_owned())
        })
    };
    sources
        .iter()
        .find_map(|source| match source {
            HostnameSource::Os => Some(own.to_owned()),
            HostnameSource::Dns | HostnameSource::Cname | HostnameSource::Lookup => full(),
        })
        .unwrap_or_else(|| own.to_owned())
}

/// The value of a line `KEY="value"` of `os-release`.
fn value_of(release: &str, key: &str) -> String {
    release
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(|value| value.trim_matches(['"', '\'']).to_owned())
        .unwrap_or_default()
}

fn description(pretty: &str, uname: &Uname) -> String {
    format!(
        "{pretty} ({} {} {} {} {})",
        uname.sysname, uname.nodename, uname.release, uname.version, uname.machine
    )
    .trim()
    .to_owned()
}

/// What semantic conventions call an architecture.
fn arch(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "x86",
        "arm" => "arm32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_says_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("etc/machine-id", "0123abcd\n"),
            (
                "etc/os-release",
                "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nPRETTY_NAME='Debian 12'\nBUILD_ID=2026.11\n",
            ),
            (
                "proc/cpuinfo",
                "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel name\t: EPYC\ncache size\t: 512 KB\n",
            ),
        ] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let found = detect(folder.path(), &[HostnameSource::Os]);
        for (name, value) in [
            ("host.id", "0123abcd"),
            ("os.name", "Debian GNU/Linux"),
            ("os.version", "12"),
            ("host.cpu.vendor.id", "AuthenticAMD"),
            ("host.cpu.model.name", "EPYC"),
            ("os.type", "linux"),
            ("os.build.id", "2026.11"),
        ] {
            assert_eq!(found[name].get().as_str(), Some(value), "{name}");
        }
        let AnyValue::Int(512) = found["host.cpu.cache.l2.size"].get() else {
            panic!("{:?}", found["host.cpu.cache.l2.size"]);
        };
        assert!(
            found
                .keys()
                .all(|key| ATTRIBUTES.iter().any(|(name, _)| name == key))
        );
        assert!(
            found["os.description"]
                .get()
                .as_str()
                .unwrap()
                .starts_with("Debian 12 (Linux ")
        );
        assert_eq!(
            found["host.name"].get().as_str().unwrap(),
            Uname::read().nodename
        );
    }

    #[test]
    fn a_name_with_its_domain_is_preferred_where_it_is_known() {
        let hosts = "127.0.0.1 localhost\n10.0.0.1 web.shop.example web # me\n";
        let both = [HostnameSource::Dns, HostnameSource::Os];
        assert_eq!(hostname("web", hosts, &both), "web.shop.example");
        assert_eq!(hostname("db", hosts, &both), "db");
        assert_eq!(hostname("web", hosts, &[HostnameSource::Os]), "web");
    }
}
