//! OpenStack Nova: its metadata service, and the part of it that is like EC2's.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::Labeled;
use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, matches, texts};

pub(crate) static ATTRIBUTES: [Attribute; 8] = [
    ("cloud.account.id", true),
    ("cloud.availability_zone", true),
    ("cloud.platform", true),
    ("cloud.provider", true),
    ("cloud.region", true),
    ("host.id", true),
    ("host.name", true),
    ("host.type", true),
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    uuid: String,
    project_id: String,
    availability_zone: String,
    hostname: String,
    name: String,
    meta: BTreeMap<String, serde_json::Value>,
}

pub(crate) async fn detect(service: Service<'_>, config: &Labeled) -> Result<Found, Failure> {
    let path = "/openstack/latest/meta_data.json";
    let document: Document = service.json(path).await?;
    service.is_named(&document.uuid)?;
    // Not every installation offers it.
    let kind = service.text("/latest/meta-data/instance-type").await;
    let name = if document.hostname.is_empty() {
        document.name
    } else {
        document.hostname
    };
    let mut found = texts([
        ("cloud.provider", "openstack".to_owned()),
        ("cloud.platform", "openstack_nova".to_owned()),
        ("cloud.account.id", document.project_id),
        ("cloud.availability_zone", document.availability_zone),
        ("host.id", document.uuid),
        ("host.name", name),
        ("host.type", kind.unwrap_or_default()),
    ]);
    for (key, value) in document.meta {
        if let Some(value) = value.as_str()
            && matches(&config.labels, &key)
        {
            found.insert(format!("openstack.nova.meta.{key}"), value.into());
        }
    }
    Ok(found)
}
