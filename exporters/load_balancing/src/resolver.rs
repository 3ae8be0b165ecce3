//! Who is there: a list, the addresses of a name, or the pods of a service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use corten_component::BoxError;
use corten_kubernetes::object::{Metadata, Object};
use corten_kubernetes::{ApiClient, ApiConfig, Keep, Selection, Surroundings, Timing};
use serde::Deserialize;
use tokio::sync::watch;

use crate::balancer::Balancer;
use crate::config::{Dns, K8s, Resolver};

/// What `0` stands for, as in the Collector.
const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(1);
/// Where a pod finds its own namespace.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Asks once, where that takes no time to speak of: the list.
///
/// # Errors
///
/// The settings do not make a client of a name.
pub(crate) async fn begin(resolver: &Resolver, balancer: &Balancer) -> Result<(), BoxError> {
    if let Some(fixed) = resolver.fixed.as_ref() {
        balancer.metrics.resolved("static", true);
        balancer.change("static", fixed.hostnames.clone()).await?;
    }
    if let Some(dns) = resolver.dns.as_ref() {
        ask_dns(dns, balancer).await;
    }
    Ok(())
}

/// Keeps asking, for ever.
pub(crate) async fn follow(resolver: Resolver, balancer: Arc<Balancer>) {
    if let Some(dns) = resolver.dns.as_ref() {
        let interval = dns.interval.non_zero().unwrap_or(INTERVAL);
        loop {
            tokio::time::sleep(interval).await;
            ask_dns(dns, &balancer).await;
        }
    }
    if let Some(k8s) = resolver.k8s.as_ref() {
        let client = ApiClient::new(ApiConfig::default(), Surroundings::of_pod());
        follow_service(k8s, &client, &balancer).await;
    }
}

/// Looks the name up. Whatever goes wrong, those that were there stay.
async fn ask_dns(dns: &Dns, balancer: &Balancer) {
    let lookup = tokio::net::lookup_host((dns.hostname.as_str(), 0));
    let limit = dns.timeout.non_zero().unwrap_or(TIMEOUT);
    let found = match tokio::time::timeout(limit, lookup).await {
        Ok(found) => found,
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    };
    let names: Vec<String> = match found {
        Ok(found) => found.map(|address| dns_name(address, &dns.port)).collect(),
        Err(error) => {
            balancer.metrics.resolved("dns", false);
            tracing::warn!(hostname = dns.hostname, %error, "the backends' name could not be looked up");
            return;
        }
    };
    balancer.metrics.resolved("dns", !names.is_empty());
    if names.is_empty() {
        tracing::warn!(hostname = dns.hostname, "the backends' name has no address");
    } else {
        change(balancer, "dns", names).await;
    }
}

/// An address as the Collector writes it on its ring: the port only where one is set.
fn dns_name(address: SocketAddr, port: &str) -> String {
    let host = match address.ip().to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    };
    if port.is_empty() {
        host
    } else {
        format!("{host}:{port}")
    }
}

async fn change(balancer: &Balancer, resolver: &'static str, names: Vec<String>) {
    if let Err(error) = balancer.change(resolver, names).await {
        tracing::error!(%error, "the backends stay as they were");
    }
}

/// Watches the service's `EndpointSlice`s.
pub(crate) async fn follow_service(k8s: &K8s, client: &ApiClient, balancer: &Balancer) {
    let (name, namespace) = match k8s.service.split_once('.') {
        Some((name, namespace)) => (name, namespace.to_owned()),
        None => {
            let own = tokio::fs::read_to_string(OWN_NAMESPACE).await;
            let own = own.map(|text| text.trim().to_owned());
            (k8s.service.as_str(), own.unwrap_or_default())
        }
    };
    let namespace = match namespace.as_str() {
        "" => "default",
        namespace => namespace,
    };
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    let selection = Selection {
        labels: format!("kubernetes.io/service-name={name}"),
        ..Selection::all(&path)
    };
    let (told, mut names) = watch::channel(Vec::new());
    let mut slices = Slices::new(k8s.ports.clone(), told);
    let watching =
        corten_kubernetes::run::<Slice, _>(client, &selection, &mut slices, Timing::default());
    let following = async {
        while names.changed().await.is_ok() {
            let now = names.borrow_and_update().clone();
            balancer.metrics.resolved("k8s", !now.is_empty());
            if !now.is_empty() {
                change(balancer, "k8s", now).await;
            }
        }
    };
    tokio::join!(watching, following);
}

/// `discovery.k8s.io/v1 EndpointSlice`, as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Slice {
    metadata: Metadata,
    endpoints: Option<Vec<SliceEndpoint>>,
}

impl Object for Slice {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SliceEndpoint {
    addresses: Option<Vec<IpAddr>>,
    conditions: Option<Conditions>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Conditions {
    /// Not known counts as ready.
    ready: Option<bool>,
}

impl Slice {
    /// The addresses of what is ready.
    fn ready(&self) -> BTreeSet<IpAddr> {
        let endpoints = self.endpoints.iter().flatten();
        let ready = endpoints.filter(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            conditions.and_then(|conditions| conditions.ready) != Some(false)
        });
        let addresses = ready.filter_map(|endpoint| endpoint.addresses.as_ref());
        addresses.flatten().copied().collect()
    }
}

/// A service's slices by name, and who hears of what is in them.
struct Slices {
    ports: Vec<u16>,
    known: BTreeMap<String, BTreeSet<IpAddr>>,
    /// What a list has named so far.
    listing: Option<BTreeMap<String, BTreeSet<IpAddr>>>,
    told: watch::Sender<Vec<String>>,
}

impl Slices {
    fn new(ports: Vec<u16>, told: watch::Sender<Vec<String>>) -> Self {
        Self {
            ports,
            known: BTreeMap::new(),
            listing: None,
            told,
        }
    }

    fn tell(&self) {
        let addresses: BTreeSet<IpAddr> = self.known.values().flatten().copied().collect();
        let mut names = Vec::with_capacity(addresses.len() * self.ports.len());
        for address in addresses {
            for port in &self.ports {
                names.push(dns_name(SocketAddr::new(address, 0), &port.to_string()));
            }
        }
        names.sort();
        self.told.send_if_modified(|before| {
            let changed = *before != names;
            *before = names;
            changed
        });
    }
}

impl Keep<Slice> for Slices {
    fn listing(&mut self) {
        self.listing = Some(BTreeMap::new());
    }

    fn put(&mut self, slice: Slice) {
        let ready = slice.ready();
        let name = slice.metadata.name;
        match &mut self.listing {
            Some(listing) => {
                listing.insert(name, ready);
            }
            None => {
                self.known.insert(name, ready);
                self.tell();
            }
        }
    }

    fn listed(&mut self) {
        if let Some(listing) = self.listing.take() {
            self.known = listing;
            self.tell();
        }
    }

    fn delete(&mut self, slice: Slice) {
        self.known.remove(&slice.metadata.name);
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(json: &str) -> Slice {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn ready_pods_of_all_slices_are_backends() {
        let (told, names) = watch::channel(Vec::new());
        let mut slices = Slices::new(vec![4317, 4318], told);
        let one = r#"{"metadata":{"name":"a"},"endpoints":[
            {"addresses":["10.0.0.2"],"conditions":{"ready":true}},
            {"addresses":["10.0.0.3"],"conditions":{"ready":false}},
            {"addresses":["10.0.0.1"]}]}"#;
        slices.listing();
        slices.put(slice(one));
        assert!(names.borrow().is_empty(), "the list is not complete");
        slices.listed();
        let four = [
            "10.0.0.1:4317",
            "10.0.0.1:4318",
            "10.0.0.2:4317",
            "10.0.0.2:4318",
        ];
        assert_eq!(*names.borrow(), four);
        slices.put(slice(
            r#"{"metadata":{"name":"b"},"endpoints":[{"addresses":["::1"],"conditions":{"ready":null}}]}"#,
        ));
        assert_eq!(names.borrow().len(), 6);
        assert_eq!(names.borrow()[4], "[::1]:4317");
        slices.delete(slice(one));
        assert_eq!(names.borrow().len(), 2);
        slices.put(slice(r#"{"metadata":{"name":"b"},"endpoints":null}"#));
        assert!(names.borrow().is_empty());
    }

    #[test]
    fn addresses_are_written_as_on_the_collectors_ring() {
        for (address, port, name) in [
            ("10.0.0.1:0", "", "10.0.0.1"),
            ("10.0.0.1:0", "4317", "10.0.0.1:4317"),
            ("[::1]:0", "", "[::1]"),
            ("[::1]:0", "4317", "[::1]:4317"),
        ] {
            assert_eq!(dns_name(address.parse().unwrap(), port), name);
        }
    }
}
