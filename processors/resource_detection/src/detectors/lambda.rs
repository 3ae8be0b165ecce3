//! AWS Lambda: its runtime's environment.

use corten_pdata::AnyValue;
use corten_pdata::build::OwnedValue;

use crate::detectors::{Attribute, Failure, Found, Variables, texts};

pub(crate) static ATTRIBUTES: [Attribute; 9] = [
    ("aws.log.group.names", true),
    ("aws.log.stream.names", true),
    ("cloud.platform", true),
    ("cloud.provider", true),
    ("cloud.region", true),
    ("faas.instance", true),
    ("faas.max_memory", true),
    ("faas.name", true),
    ("faas.version", true),
];

pub(crate) fn detect(variables: &Variables) -> Result<Found, Failure> {
    let name = variables("AWS_LAMBDA_FUNCTION_NAME")
        .ok_or("AWS_LAMBDA_FUNCTION_NAME is not set: this is no function of Lambda")?;
    let text = |name: &str| variables(name).unwrap_or_default();
    let stream = text("AWS_LAMBDA_LOG_STREAM_NAME");
    let mut found = texts([
        ("cloud.provider", "aws".to_owned()),
        ("cloud.platform", "aws_lambda".to_owned()),
        ("cloud.region", text("AWS_REGION")),
        ("faas.name", name),
        ("faas.version", text("AWS_LAMBDA_FUNCTION_VERSION")),
        // The semantic conventions' choice for Lambda.
        ("faas.instance", stream.clone()),
        ("faas.max_memory", text("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")),
    ]);
    for (name, value) in [
        ("aws.log.group.names", text("AWS_LAMBDA_LOG_GROUP_NAME")),
        ("aws.log.stream.names", stream),
    ] {
        if !value.is_empty() {
            let list = OwnedValue::array([AnyValue::String(&value)]);
            found.insert(name.to_owned(), list);
        }
    }
    Ok(found)
}
