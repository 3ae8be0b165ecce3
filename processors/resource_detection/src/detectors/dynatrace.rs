//! Dynatrace: what its agent writes down about the host.

use std::path::Path;

use crate::detectors::{Attribute, Failure, Found};

pub(crate) static ATTRIBUTES: [Attribute; 3] = [
    ("dt.entity.host", true),
    ("dt.smartscape.host", true),
    ("host.name", true),
];

pub(crate) fn detect(root: &Path) -> Result<Found, Failure> {
    let path = root.join("var/lib/dynatrace/enrichment/dt_host_metadata.properties");
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(parse(&text))
}

/// `key=value` in each line; other keys than the attributes' are none of a resource's.
fn parse(text: &str) -> Found {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .filter(|(key, value)| !value.is_empty() && ATTRIBUTES.iter().any(|(name, _)| name == key))
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_lines_are_taken() {
        let found = parse(
            "dt.entity.host=HOST-1\n host.name = web=1 \nother=x\nlonely\ndt.smartscape.host=\n",
        );
        let text = |name: &str| found.get(name).and_then(|value| value.get().as_str());
        assert_eq!(found.len(), 2);
        assert_eq!(text("dt.entity.host"), Some("HOST-1"));
        assert_eq!(text("host.name"), Some("web=1"));
    }

    proptest::proptest! {
        #[test]
        fn no_file_is_too_odd(text in "(.{0,20}[=\n]?){0,5}") {
            proptest::prop_assert!(parse(&text).len() <= ATTRIBUTES.len());
        }
    }
}
