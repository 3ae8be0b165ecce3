//! Entries become OTLP bytes.

use std::time::SystemTime;

use corten_operators::syslog::severity;
use corten_pdata::build::{AttributesBuilder, LogsBuilder, OwnedValue};
use corten_pdata::{AnyValue, Logs};

use crate::config::{Body, Config};
use crate::entry::{Entry, Field};
use crate::progress::Position;

/// A batch goes out when it has this many bytes.
const FULL: usize = 256 << 10;

/// The batch that is being filled.
#[derive(Debug)]
pub(crate) struct Batches {
    body: Body,
    lossy: bool,
    attributes: Vec<(String, String)>,
    resource: Vec<(String, String)>,
    builder: LogsBuilder,
    last: Position,
}

impl Batches {
    /// Of entries behind `last`.
    pub(crate) fn new(config: &Config, last: Position) -> Self {
        let pairs = |map: &std::collections::BTreeMap<String, String>| {
            map.iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        Self {
            body: config.body,
            lossy: config.convert_message_bytes,
            attributes: pairs(&config.attributes),
            resource: pairs(&config.resource),
            builder: LogsBuilder::new(),
            last,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.builder.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.builder.len_bytes() >= FULL
    }

    /// Adds an entry, and returns where it is in the journal.
    pub(crate) fn add(&mut self, entry: &Entry<'_>) -> &Position {
        if self.builder.is_empty() {
            let resource = &self.resource;
            self.builder.resource(|out| {
                for (key, value) in resource {
                    out.attribute_str(key, value);
                }
            });
        }
        let micros = entry.number("__REALTIME_TIMESTAMP");
        let priority = entry
            .number("PRIORITY")
            .and_then(|priority| u8::try_from(priority).ok())
            .filter(|priority| *priority < 8);
        let (body, lossy, attributes) = (self.body, self.lossy, &self.attributes);
        self.builder.record(|out| {
            if let Some(micros) = micros {
                out.time(micros.saturating_mul(1000));
            }
            out.observed_time(now());
            if let Some(priority) = priority {
                let (number, text) = severity(priority);
                out.severity(number, text);
            }
            match body {
                Body::Entry => {
                    let map = OwnedValue::map(|map| {
                        for (key, field) in &entry.fields {
                            if key != "__REALTIME_TIMESTAMP" {
                                put(map, key, field, lossy && key == "MESSAGE");
                            }
                        }
                    });
                    out.body(&map.get());
                }
                Body::Message => {
                    let message = entry.fields.iter().find(|(key, _)| key == "MESSAGE");
                    match message.map(|(_, field)| field) {
                        None | Some(Field::Absent) => {
                            out.body_str("");
                        }
                        Some(Field::Text(text)) => {
                            out.body_str(text);
                        }
                        Some(Field::Bytes(bytes)) if lossy => {
                            out.body_str(&String::from_utf8_lossy(bytes));
                        }
                        Some(field) => {
                            out.body(&value(field, false).get());
                        }
                    }
                    for (key, field) in &entry.fields {
                        // Those with two underscores are the journal's own: addresses, not content.
                        if key != "MESSAGE" && !key.starts_with("__") {
                            match field {
                                Field::Text(text) => {
                                    out.attribute_str(key, text);
                                }
                                field => {
                                    out.attribute(key, &value(field, false).get());
                                }
                            }
                        }
                    }
                }
            }
            for (key, value) in attributes {
                out.attribute_str(key, value);
            }
        });
        // One that was cut may have lost its cursor: if it is the last, it is read again after a restart.
        if let Some(cursor) = entry.text("__CURSOR") {
            self.last = Position {
                cursor: cursor.to_owned(),
                micros: micros.unwrap_or(self.last.micros),
            };
        }
        &self.last
    }

    /// The batch, and where its last entry is. A new one begins.
    pub(crate) fn take(&mut self) -> (Logs, Position) {
        let builder = std::mem::take(&mut self.builder);
        (builder.finish(), self.last.clone())
    }
}

fn put(out: &mut AttributesBuilder<'_>, key: &str, field: &Field<'_>, lossy: bool) {
    match field {
        Field::Text(text) => {
            out.attribute_str(key, text);
        }
        field => {
            out.attribute(key, &value(field, lossy).get());
        }
    }
}

fn value(field: &Field<'_>, lossy: bool) -> OwnedValue {
    match field {
        Field::Absent => OwnedValue::new(&AnyValue::Empty),
        Field::Text(text) => OwnedValue::from(&**text),
        Field::Bytes(bytes) if lossy => OwnedValue::from(&*String::from_utf8_lossy(bytes)),
        Field::Bytes(bytes) => OwnedValue::new(&AnyValue::Bytes(bytes)),
        Field::List(fields) => {
            let values: Vec<_> = fields.iter().map(|field| value(field, lossy)).collect();
            OwnedValue::array(values.iter().map(OwnedValue::get))
        }
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_config::from_str;

    const LINE: &str = r#"{"__CURSOR":"c1","__REALTIME_TIMESTAMP":"1700000000000042","PRIORITY":"4","MESSAGE":[104,255],"_SYSTEMD_UNIT":"ssh.service","TWO":["a","b"],"NONE":null}"#;

    fn render(yaml: &str) -> String {
        let mut batches = Batches::new(&from_str(yaml).unwrap(), Position::default());
        let entry = Entry::parse(LINE.as_bytes()).unwrap();
        assert_eq!(batches.add(&entry).micros, 1_700_000_000_000_042);
        let (logs, last) = batches.take();
        assert_eq!(last.cursor, "c1");
        assert!(batches.is_empty());
        let mut out = String::new();
        for resource in logs.resources() {
            for attribute in resource.resource().attributes() {
                out.push_str(&format!("resource {}\n", attribute.key()));
            }
            for scope in resource.scopes() {
                for record in scope.records() {
                    assert_eq!(record.time_unix_nano(), 1_700_000_000_000_042_000);
                    out.push_str(&format!(
                        "{} {}\n",
                        record.severity_number(),
                        record.severity_text()
                    ));
                    match record.body() {
                        Some(AnyValue::KvList(fields)) => {
                            for field in fields {
                                out.push_str(&format!(
                                    "body {}={}\n",
                                    field.key(),
                                    corten_pdata_text(field.value())
                                ));
                            }
                        }
                        Some(other) => {
                            out.push_str(&format!("body {}\n", corten_pdata_text(other)))
                        }
                        None => out.push_str("no body\n"),
                    }
                    for attribute in record.attributes() {
                        out.push_str(&format!(
                            "{}={}\n",
                            attribute.key(),
                            corten_pdata_text(attribute.value())
                        ));
                    }
                }
            }
        }
        out
    }

    fn corten_pdata_text(value: AnyValue<'_>) -> String {
        match value {
            AnyValue::String(text) => text.to_owned(),
            AnyValue::Bytes(bytes) => format!("{bytes:?}"),
            AnyValue::Array(values) => values
                .iter()
                .map(corten_pdata_text)
                .collect::<Vec<_>>()
                .join("+"),
            AnyValue::Empty => "nothing".to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_fields_are_the_body() {
        assert_eq!(
            render("resource: {cluster: a}\nattributes: {x: y}"),
            "resource cluster\n13 warning\nbody __CURSOR=c1\nbody PRIORITY=4\nbody MESSAGE=[104, 255]\nbody _SYSTEMD_UNIT=ssh.service\nbody TWO=a+b\nbody NONE=nothing\nx=y\n"
        );
        assert!(render("convert_message_bytes: true").contains("body MESSAGE=h\u{fffd}\n"));
    }

    #[test]
    fn the_message_is_the_body() {
        assert_eq!(
            render("body: message\nconvert_message_bytes: true"),
            "13 warning\nbody h\u{fffd}\nPRIORITY=4\n_SYSTEMD_UNIT=ssh.service\nTWO=a+b\nNONE=nothing\n"
        );
        assert!(render("body: message").contains("body [104, 255]\n"));
    }
}
