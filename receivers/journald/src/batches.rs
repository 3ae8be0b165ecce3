//! Entries become OTLP bytes.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use corten_operators::syslog::severity;
use corten_operators::{Chain, Entry as Operand, EntryWriter, Map, Origin, Origins, Value};
use corten_pdata::build::{AttributesBuilder, LogRecordBuilder, LogsBuilder, OwnedValue};
use corten_pdata::{AnyValue, Logs};

use crate::config::{Body, Config};
use crate::entry::{Entry, Field};
use crate::progress::{Answer, Page, Position, Progress};

/// A batch goes out when it has this many bytes.
const FULL: usize = 256 << 10;

/// The batch that is being filled.
#[derive(Debug)]
pub(crate) struct Batches {
    body: Body,
    lossy: bool,
    attributes: Vec<(String, String)>,
    resource: Vec<(String, String)>,
    way: Way,
    progress: Arc<Progress>,
    last: Position,
}

/// How entries become records.
#[derive(Debug)]
enum Way {
    /// At once.
    Straight(LogsBuilder),
    /// Through operators, which may hold or drop them.
    Operated(Box<Operated>),
}

#[derive(Debug)]
struct Operated {
    chain: Chain,
    writer: EntryWriter,
    resource: Arc<Map>,
    /// That of the entries that are read now.
    page: Option<Arc<Page>>,
}

impl Batches {
    /// Of entries behind `last`.
    pub(crate) fn new(
        config: &Config,
        chain: Option<Chain>,
        progress: &Arc<Progress>,
        last: Position,
    ) -> Self {
        let pairs = |map: &std::collections::BTreeMap<String, String>| -> Vec<_> {
            map.iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        let way = match chain {
            None => Way::Straight(LogsBuilder::new()),
            Some(chain) => {
                let mut resource = Map::new();
                for (key, value) in &config.resource {
                    resource.insert(key.as_str(), value.as_str());
                }
                Way::Operated(Box::new(Operated {
                    chain,
                    writer: EntryWriter::default(),
                    resource: Arc::new(resource),
                    page: None,
                }))
            }
        };
        Self {
            body: config.body,
            lossy: config.convert_message_bytes,
            attributes: pairs(&config.attributes),
            resource: pairs(&config.resource),
            way,
            progress: Arc::clone(progress),
            last,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match &self.way {
            Way::Straight(builder) => builder.is_empty(),
            Way::Operated(operated) => operated.writer.is_empty() && operated.page.is_none(),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        let bytes = match &self.way {
            Way::Straight(builder) => builder.len_bytes(),
            Way::Operated(operated) => operated.writer.len_bytes(),
        };
        bytes >= FULL
    }

    /// Whether operators may hold entries; then [`flush`](Self::flush) has to be called now and then.
    pub(crate) fn holds(&self) -> bool {
        matches!(self.way, Way::Operated(_))
    }

    /// Takes from the operators what they held for long enough.
    pub(crate) fn flush(&mut self) {
        if let Way::Operated(operated) = &mut self.way {
            let Operated { chain, writer, .. } = &mut **operated;
            chain.flush(Instant::now(), &mut |entry| writer.write(entry));
        }
    }

    /// Adds an entry, and returns where it is in the journal.
    pub(crate) fn add(&mut self, entry: &Entry<'_>) -> &Position {
        let micros = entry.number("__REALTIME_TIMESTAMP");
        match &mut self.way {
            Way::Straight(builder) => {
                if builder.is_empty() {
                    let resource = &self.resource;
                    builder.resource(|out| {
                        for (key, value) in resource {
                            out.attribute_str(key, value);
                        }
                    });
                }
                builder.record(|out| {
                    if let Some(micros) = micros {
                        out.time(micros.saturating_mul(1000));
                    }
                    out.observed_time(now());
                    if let Some((number, text)) = severity_of(entry) {
                        out.severity(number, text);
                    }
                    write(out, entry, self.body, self.lossy);
                    for (key, value) in &self.attributes {
                        out.attribute_str(key, value);
                    }
                });
            }
            Way::Operated(operated) => {
                let Operated {
                    chain,
                    writer,
                    resource,
                    page,
                } = &mut **operated;
                let page = page.get_or_insert_default();
                let mut made = convert(entry, self.body, self.lossy);
                made.time = micros.map(|micros| micros.saturating_mul(1000));
                made.observed = now();
                if let Some((number, text)) = severity_of(entry) {
                    made.severity = number;
                    made.severity_text = text.to_owned();
                }
                for (key, value) in &self.attributes {
                    made.attributes.insert(key.as_str(), value.as_str());
                }
                made.resource = Arc::clone(resource);
                made.origins = Origins::of(Arc::clone(page) as Arc<dyn Origin>);
                chain.process(made, Instant::now(), &mut |entry| writer.write(entry));
            }
        }
        // One that was cut may have lost its cursor: if it is the last, it is read again after a restart.
        if let Some(cursor) = entry.text("__CURSOR") {
            self.last = Position {
                cursor: cursor.to_owned(),
                micros: micros.unwrap_or(self.last.micros),
            };
        }
        &self.last
    }

    /// The batch, and what it answers for. A new one begins.
    pub(crate) fn take(&mut self) -> Option<(Logs, Answer)> {
        match &mut self.way {
            Way::Straight(builder) => {
                if builder.is_empty() {
                    return None;
                }
                let logs = std::mem::take(builder).finish();
                let delivery = self.progress.begin(self.last.clone());
                Some((logs, Answer::Page(delivery)))
            }
            Way::Operated(operated) => {
                let (logs, origins) = std::mem::take(&mut operated.writer).finish();
                if let Some(page) = operated.page.take() {
                    page.close(self.progress.begin(self.last.clone()));
                }
                if logs.is_empty() {
                    origins.settle();
                    return None;
                }
                Some((logs, Answer::Entries(origins)))
            }
        }
    }
}

/// Severity's number and word.
fn severity_of(entry: &Entry<'_>) -> Option<(i32, &'static str)> {
    let priority = entry.number("PRIORITY")?;
    let priority = u8::try_from(priority).ok().filter(|priority| *priority < 8);
    priority.map(severity)
}

/// Body and attributes of an entry's record.
fn write(out: &mut LogRecordBuilder<'_>, entry: &Entry<'_>, body: Body, lossy: bool) {
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
                None | Some(Field::Absent) => out.body_str(""),
                Some(Field::Text(text)) => out.body_str(text),
                Some(field) => out.body(&value(field, lossy).get()),
            };
            for (key, field) in &entry.fields {
                if is_content(key) {
                    match field {
                        Field::Text(text) => out.attribute_str(key, text),
                        field => out.attribute(key, &value(field, false).get()),
                    };
                }
            }
        }
    }
}

/// Whether a field is an attribute beside the message. Those with two underscores are the journal's own: addresses, not content.
fn is_content(key: &str) -> bool {
    key != "MESSAGE" && !key.starts_with("__")
}

/// The same for operators.
fn convert(entry: &Entry<'_>, body: Body, lossy: bool) -> Operand {
    let mut map = Map::new();
    let mut message = Value::from("");
    for (key, field) in &entry.fields {
        let value = operand(field, lossy && key == "MESSAGE");
        if body == Body::Message && key == "MESSAGE" {
            message = value;
        } else if body == Body::Entry && key != "__REALTIME_TIMESTAMP"
            || body == Body::Message && is_content(key)
        {
            map.insert(&**key, value);
        }
    }
    match body {
        Body::Entry => Operand {
            body: Value::Map(map),
            ..Operand::default()
        },
        Body::Message => Operand {
            body: message,
            attributes: map,
            ..Operand::default()
        },
    }
}

fn operand(field: &Field<'_>, lossy: bool) -> Value {
    match field {
        Field::Absent => Value::Null,
        Field::Text(text) => Value::from(&**text),
        Field::Bytes(bytes) if lossy => Value::from(String::from_utf8_lossy(bytes).into_owned()),
        Field::Bytes(bytes) => Value::Bytes(bytes.clone()),
        Field::List(fields) => {
            Value::List(fields.iter().map(|field| operand(field, lossy)).collect())
        }
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
        let config: Config = from_str(yaml).unwrap();
        let mut problems = corten_config::Problems::new();
        let chain =
            (!config.operators.is_empty()).then(|| config.operators.build(&mut problems).unwrap());
        let progress = Progress::new(None);
        let mut batches = Batches::new(&config, chain, &progress, Position::default());
        let entry = Entry::parse(LINE.as_bytes()).unwrap();
        assert_eq!(batches.add(&entry).micros, 1_700_000_000_000_042);
        let (logs, answer) = batches.take().unwrap();
        assert!(batches.is_empty());
        assert!(batches.take().is_none());
        drop(answer);
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

    /// What operators get is what would be written without them.
    #[test]
    fn operators_change_nothing_by_themselves() {
        for yaml in [
            "{}",
            "body: message",
            "convert_message_bytes: true",
            "body: message\nconvert_message_bytes: true",
            "resource: {a: b}\nattributes: {c: d}",
        ] {
            let sorted = |text: String| {
                let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            let straight = render(yaml);
            let through = if yaml == "{}" {
                render("operators: [{type: noop}]")
            } else {
                render(&format!("{yaml}\noperators: [{{type: noop}}]"))
            };
            assert_eq!(sorted(straight), sorted(through), "{yaml}");
        }
    }
}
