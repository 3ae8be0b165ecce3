//! AWS Elastic Beanstalk: the file that is there where X-Ray is on.

use std::path::Path;

use serde::Deserialize;

use crate::detectors::{Attribute, Failure, Found, texts};

pub(crate) static ATTRIBUTES: [Attribute; 5] = [
    ("cloud.platform", true),
    ("cloud.provider", true),
    ("deployment.environment", true),
    ("service.instance.id", true),
    ("service.version", true),
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Environment {
    deployment_id: i64,
    environment_name: String,
    version_label: String,
}

pub(crate) fn detect(root: &Path) -> Result<Found, Failure> {
    let path = root.join("var/elasticbeanstalk/xray/environment.conf");
    let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let environment: Environment = serde_json::from_slice(&text)
        .map_err(|error| format!("{}: expected JSON: {error}", path.display()))?;
    Ok(texts([
        ("cloud.provider", "aws".to_owned()),
        ("cloud.platform", "aws_elastic_beanstalk".to_owned()),
        ("deployment.environment", environment.environment_name),
        ("service.instance.id", environment.deployment_id.to_string()),
        ("service.version", environment.version_label),
    ]))
}
