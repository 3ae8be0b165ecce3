//! Targets that the name service has addresses of.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::{Complaint, Tell, pause};
use crate::config::{DnsDiscovery, Record};
use crate::target::{ADDRESS, LabelMap};

/// Names that are looked up.
pub(crate) struct Names(DnsDiscovery);

impl Names {
    pub(super) fn new(config: DnsDiscovery) -> Self {
        Self(config)
    }

    pub(super) async fn run(self, tell: Tell) {
        let config = &self.0;
        let mut known: BTreeMap<&str, Vec<LabelMap>> = BTreeMap::new();
        let mut complaints: BTreeMap<&str, Complaint> = BTreeMap::new();
        loop {
            let before = known.clone();
            for name in &config.names {
                let complaint = complaints.entry(name).or_default();
                let what = format!("dns_sd_configs: {name}");
                match tokio::net::lookup_host((name.as_str(), config.port)).await {
                    Ok(addresses) => {
                        complaint.worked(&what);
                        known.insert(name, of(name, addresses, config.kind));
                    }
                    Err(error) => complaint.failed(&what, &error),
                }
            }
            if known != before {
                tell.all(known.values().flatten().cloned().collect()).await;
            }
            pause(config.refresh_interval.get()).await;
        }
    }
}

fn of(name: &str, addresses: impl Iterator<Item = SocketAddr>, kind: Record) -> Vec<LabelMap> {
    let mut targets: Vec<LabelMap> = addresses
        .filter(|address| match address.ip() {
            IpAddr::V4(_) => kind == Record::A,
            IpAddr::V6(_) => kind == Record::Aaaa,
        })
        .map(|address| {
            LabelMap::from([
                (ADDRESS.to_owned(), address.to_string()),
                ("__meta_dns_name".to_owned(), name.to_owned()),
            ])
        })
        .collect();
    targets.sort();
    targets.dedup();
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_kind_that_was_asked_for() {
        let all = || {
            [
                "10.0.0.2:9100",
                "[fd00::1]:9100",
                "10.0.0.1:9100",
                "10.0.0.2:9100",
            ]
            .into_iter()
            .map(|address| address.parse().unwrap())
        };
        let found = |kind| {
            let targets = of("web", all(), kind);
            let addresses = targets.iter().map(|labels| labels[ADDRESS].clone());
            addresses.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found(Record::A), "10.0.0.1:9100 10.0.0.2:9100");
        assert_eq!(found(Record::Aaaa), "[fd00::1]:9100");
    }
}
