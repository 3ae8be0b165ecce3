//! The parsers: text in one field becomes fields.

use std::collections::{HashMap, VecDeque};

use corten_config::types::{ByteSize, Regex};
use corten_config::{Checker, Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chain::{Built, Edit, Work};
use crate::embedded::{
    MakeBody, ScopeNameParser, SeverityParser, TimeParser, TraceParser, now_of, required, set_time,
    text,
};
use crate::entry::Entry;
use crate::failure::{Failure, Reason};
use crate::field::Field;
use crate::parse::csv::Csv;
use crate::parse::json::Json;
use crate::parse::key_value::Pairs;
use crate::parse::keys::Keys;
use crate::parse::uri;
use crate::settings::{
    Common, Defaults, Parser, Parsing, Plain, ScopeName, Severity, Timestamp, Trace,
};
use crate::syslog::{self, without_octet_count};
use crate::time::{Location, short};
use crate::value::{Key, Map, Value};

/// What a parser makes of a text.
pub(crate) struct Parsed {
    value: Value,
    /// Nanoseconds since 1970.
    time: Option<i128>,
    severity: Option<(i32, &'static str)>,
}

impl From<Map> for Parsed {
    fn from(map: Map) -> Self {
        Self::from(Value::Map(map))
    }
}

impl From<Value> for Parsed {
    fn from(value: Value) -> Self {
        Self {
            value,
            time: None,
            severity: None,
        }
    }
}

/// Reads one format.
pub(crate) trait Parse: Send {
    /// The entry is there for those whose format it tells.
    fn parse(&mut self, text: &str, entry: &Entry) -> Result<Parsed, Failure>;
}

/// A parser with what comes before and after it.
struct Step {
    from: Field,
    to: Field,
    preserve_to: Option<Field>,
    parser: Box<dyn Parse>,
    after: Vec<Box<dyn Edit>>,
}

impl Edit for Step {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        let parsed = self.parser.parse(text(&self.from, entry)?, entry)?;
        if let Some(field) = &self.preserve_to {
            let original = required(&self.from, entry)?.to_value();
            put(field, entry, original)?;
        }
        put(&self.to, entry, parsed.value)?;
        if let Some(time) = parsed.time {
            set_time(entry, time)?;
        }
        if let Some((number, text)) = parsed.severity {
            entry.severity = number;
            text.clone_into(&mut entry.severity_text);
        }
        // Each on its own: a time that can't be read does not keep the severity from being read.
        let mut first = Ok(());
        for edit in &mut self.after {
            first = first.and(edit.edit(entry));
        }
        first
    }
}

/// Puts a value somewhere.
pub(crate) fn put(field: &Field, entry: &mut Entry, value: Value) -> Result<(), Failure> {
    field
        .set(entry, value)
        .map_err(|error| Failure::new(Reason::Type, format!("{field}: {error}")))
}

/// What a parser does besides parsing.
fn after(parsing: &Parsing, at: &mut Checker<'_>) -> Option<Vec<Box<dyn Edit>>> {
    let mut after: Vec<Box<dyn Edit>> = Vec::new();
    let mut complete = true;
    if let Some(field) = &parsing.body {
        after.push(Box::new(MakeBody(field.clone())));
    }
    if let Some(timestamp) = &parsing.timestamp {
        match TimeParser::build(timestamp, &mut at.section("timestamp")) {
            Some(parser) => after.push(Box::new(parser)),
            None => complete = false,
        }
    }
    if let Some(severity) = &parsing.severity {
        match SeverityParser::build(severity, &mut at.section("severity")) {
            Some(parser) => after.push(Box::new(parser)),
            None => complete = false,
        }
    }
    if let Some(trace) = &parsing.trace {
        after.push(Box::new(TraceParser::build(trace)));
    }
    if let Some(scope) = &parsing.scope_name {
        after.push(Box::new(ScopeNameParser::build(scope)));
    }
    complete.then_some(after)
}

/// Decodes a parser's settings and builds it with what comes before and after it.
fn build<T, P>(
    section: &Section,
    problems: &mut Problems,
    make: impl FnOnce(&T, &Parsing, &mut Checker<'_>) -> Option<P>,
) -> Option<Built>
where
    T: Default + Serialize + serde::de::DeserializeOwned + Defaults,
    P: Parse + 'static,
{
    let settings: Parser<T> = section.decode(problems)?;
    let mut at = Checker::new(section, problems);
    let after = after(&settings.parsing, &mut at);
    let parser = make(&settings.own, &settings.parsing, &mut at)?;
    let Parsing {
        parse_from,
        parse_to,
        preserve_to,
        ..
    } = settings.parsing;
    Some(Built {
        common: settings.common,
        work: Work::Edit(Box::new(Step {
            from: parse_from,
            to: parse_to,
            preserve_to,
            parser: Box::new(parser),
            after: after?,
        })),
    })
}

/// The steps that a container's parser has after it.
pub(crate) fn embedded(parsing: &Parsing, at: &mut Checker<'_>) -> Option<Vec<Box<dyn Edit>>> {
    after(parsing, at)
}

fn format(detail: impl Into<String>) -> Failure {
    Failure::new(Reason::Format, detail)
}

/// Settings of `json_parser`: an object in JSON becomes a map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct JsonSettings {
    /// Of `json_parser`: whole numbers stay whole; otherwise all numbers are floating-point ones.
    pub(crate) parse_ints: bool,
}

impl Defaults for JsonSettings {}

pub(crate) fn json_parser(section: &Section, problems: &mut Problems) -> Option<Built> {
    build(section, problems, |own: &JsonSettings, _, _| {
        Some(JsonParser(Json::new(own.parse_ints)))
    })
}

struct JsonParser(Json);

impl Parse for JsonParser {
    fn parse(&mut self, text: &str, _: &Entry) -> Result<Parsed, Failure> {
        self.0.map(text).map(Parsed::from).map_err(format)
    }
}

/// Settings of `json_array_parser`: a list in JSON becomes a list, or with a header a map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct JsonArraySettings {
    /// Of `json_array_parser`: the names of the elements, separated by commas.
    pub(crate) header: String,
}

impl Defaults for JsonArraySettings {
    fn parsing() -> Parsing {
        Parsing {
            parse_to: Field::body(),
            ..Parsing::default()
        }
    }
}

pub(crate) fn json_array_parser(section: &Section, problems: &mut Problems) -> Option<Built> {
    build(section, problems, |own: &JsonArraySettings, parsing, at| {
        let header: Vec<Key> = own.header.split(',').map(Key::from).collect();
        if own.header.is_empty() && parsing.parse_to.is_whole_map() {
            at.field("parse_to").error(
                "must be a field such as body or attributes.list: without a header the result is a list",
            );
            return None;
        }
        Some(JsonArrayParser {
            json: Json::new(false),
            header: (!own.header.is_empty()).then_some(header),
        })
    })
}

struct JsonArrayParser {
    json: Json,
    header: Option<Vec<Key>>,
}

impl Parse for JsonArrayParser {
    fn parse(&mut self, text: &str, _: &Entry) -> Result<Parsed, Failure> {
        let list = match self.json.value(text).map_err(format)? {
            Value::List(list) => list,
            other => {
                return Err(format(format!(
                    "expected a list, found {}",
                    other.type_name()
                )));
            }
        };
        // What is nested stays JSON, as upstream has it.
        let flat = list.into_iter().map(|value| match value {
            value @ (Value::List(_) | Value::Map(_)) => Value::Str(value.to_json().to_string()),
            value => value,
        });
        match &self.header {
            None => Ok(Value::List(flat.collect()).into()),
            Some(header) => {
                let values: Vec<Value> = flat.collect();
                if values.len() != header.len() {
                    return Err(wrong_number(header.len(), values.len()));
                }
                let map: Map = header.iter().cloned().zip(values).collect();
                Ok(map.into())
            }
        }
    }
}

fn wrong_number(expected: usize, found: usize) -> Failure {
    format(format!(
        "wrong number of fields: expected {expected}, found {found}"
    ))
}

/// Settings of `regex_parser`: the named groups of a regular expression become fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct RegexSettings {
    /// Of `regex_parser`: a regular expression with named groups, `^(?P<level>\w+) (?P<message>.*)$`.
    pub(crate) regex: Option<Regex>,
    /// Results that are remembered.
    pub(crate) cache: Cache,
}

/// Results that are remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Cache {
    /// How many, at most 65535. For few different texts, such as paths of files.
    pub(crate) size: u16,
}

impl Defaults for RegexSettings {}

pub(crate) fn regex_parser(section: &Section, problems: &mut Problems) -> Option<Built> {
    build(section, problems, |own: &RegexSettings, _, at| {
        let Some(regex) = &own.regex else {
            at.on("regex").error("missing required field `regex`");
            return None;
        };
        let regex = regex.clone();
        let groups: Vec<(usize, Key)> = regex
            .capture_names()
            .enumerate()
            .filter_map(|(index, name)| Some((index, Key::from(name?))))
            .collect();
        if groups.is_empty() {
            at.field("regex")
                .error("has no named capture groups, such as (?P<message>.*)");
            return None;
        }
        Some(RegexParser {
            found: regex.capture_locations(),
            regex,
            groups,
            cache: HashMap::new(),
            order: VecDeque::new(),
            cache_size: own.cache.size.into(),
        })
    })
}

struct RegexParser {
    regex: Regex,
    found: regex::CaptureLocations,
    groups: Vec<(usize, Key)>,
    cache: HashMap<String, Map>,
    /// The oldest first.
    order: VecDeque<String>,
    cache_size: usize,
}

impl RegexParser {
    fn captures(&mut self, text: &str) -> Result<Map, Failure> {
        if self.regex.captures_read(&mut self.found, text).is_none() {
            return Err(format("the regular expression does not match"));
        }
        let group = |index: usize| {
            let (from, to) = self.found.get(index)?;
            text.get(from..to)
        };
        Ok(self
            .groups
            .iter()
            .map(|(index, name)| (name.clone(), Value::from(group(*index).unwrap_or_default())))
            .collect())
    }
}

impl Parse for RegexParser {
    fn parse(&mut self, text: &str, _: &Entry) -> Result<Parsed, Failure> {
        /// Longer texts are not remembered: what is remembered has to be bounded.
        const LONGEST: usize = 1024;
        if self.cache_size == 0 || text.len() > LONGEST {
            return self.captures(text).map(Parsed::from);
        }
        if let Some(map) = self.cache.get(text) {
            return Ok(map.clone().into());
        }
        let map = self.captures(text)?;
        if self.order.len() >= self.cache_size
            && let Some(oldest) = self.order.pop_front()
        {
            self.cache.remove(&oldest);
        }
        self.order.push_back(text.to_owned());
        self.cache.insert(text.to_owned(), map.clone());
        Ok(map.into())
    }
}

/// Settings of `csv_parser`: separated values become fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct CsvSettings {
    /// Of `csv_parser`: the names of the fields, separated by the delimiter.
    pub(crate) header: String,
    /// The attribute that has the header of each entry, instead of `header`.
    pub(crate) header_attribute: String,
    /// Of `csv_parser`: what separates the fields, one character.
    pub(crate) delimiter: String,
    /// What separates the header's names; the delimiter when it is not given.
    pub(crate) header_delimiter: String,
    /// Quotes may stand within fields.
    pub(crate) lazy_quotes: bool,
    /// Quotes mean nothing.
    pub(crate) ignore_quotes: bool,
}

impl Default for CsvSettings {
    fn default() -> Self {
        Self {
            header: String::new(),
            header_attribute: String::new(),
            delimiter: ",".to_owned(),
            header_delimiter: String::new(),
            lazy_quotes: false,
            ignore_quotes: false,
        }
    }
}

impl Defaults for CsvSettings {}

pub(crate) fn csv_parser(section: &Section, problems: &mut Problems) -> Option<Built> {
    build(section, problems, |own: &CsvSettings, _, at| {
        let mut chars = own.delimiter.chars();
        let (Some(delimiter), None) = (chars.next(), chars.next()) else {
            at.field("delimiter").error("must be a single character");
            return None;
        };
        if matches!(delimiter, '\r' | '\n' | '"') {
            at.field("delimiter")
                .error("can't be a line break or a quote");
            return None;
        }
        if own.lazy_quotes && own.ignore_quotes {
            at.field("lazy_quotes")
                .error("and ignore_quotes can't both be set");
            return None;
        }
        match (own.header.is_empty(), own.header_attribute.is_empty()) {
            (true, true) => {
                at.on("header")
                    .error("missing required field `header`, or `header_attribute`");
                return None;
            }
            (false, false) => {
                at.field("header")
                    .error("and header_attribute can't both be set");
                return None;
            }
            _ => {}
        }
        let separator = if own.header_delimiter.is_empty() {
            own.delimiter.clone()
        } else {
            own.header_delimiter.clone()
        };
        Some(CsvParser {
            csv: Csv {
                delimiter,
                lazy_quotes: own.lazy_quotes,
                ignore_quotes: own.ignore_quotes,
            },
            names: names(&own.header, &separator),
            header: own.header.clone(),
            separator,
            attribute: (!own.header_attribute.is_empty()).then(|| own.header_attribute.clone()),
        })
    })
}

struct CsvParser {
    csv: Csv,
    /// Of the header.
    names: Vec<Key>,
    header: String,
    separator: String,
    attribute: Option<String>,
}

fn names(header: &str, separator: &str) -> Vec<Key> {
    header.split(separator).map(Key::from).collect()
}

impl Parse for CsvParser {
    fn parse(&mut self, text: &str, entry: &Entry) -> Result<Parsed, Failure> {
        if let Some(attribute) = &self.attribute {
            let header = entry.attributes.get(attribute).and_then(Value::as_str);
            let header = header.ok_or_else(|| {
                Failure::new(
                    Reason::Missing,
                    format!(
                        "there is no text in the attribute '{}' for a header",
                        short(attribute)
                    ),
                )
            })?;
            if header != self.header {
                header.clone_into(&mut self.header);
                self.names = names(header, &self.separator);
            }
        }
        let fields = self.csv.row(text).map_err(format)?;
        if fields.len() != self.names.len() {
            return Err(wrong_number(self.names.len(), fields.len()));
        }
        let values = fields.into_iter().map(Value::Str);
        let map: Map = self.names.iter().cloned().zip(values).collect();
        Ok(map.into())
    }
}

/// Settings of `key_value_parser`: `key=value` pairs become fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct KeyValueSettings {
    /// Of `key_value_parser`: what stands between a key and its value.
    pub(crate) delimiter: String,
    /// What stands between pairs; white space when it is not given.
    pub(crate) pair_delimiter: String,
}

impl Default for KeyValueSettings {
    fn default() -> Self {
        Self {
            delimiter: "=".to_owned(),
            pair_delimiter: String::new(),
        }
    }
}

impl Defaults for KeyValueSettings {}

pub(crate) fn key_value_parser(section: &Section, problems: &mut Problems) -> Option<Built> {
    build(section, problems, |own: &KeyValueSettings, _, at| {
        if own.delimiter.is_empty() {
            at.field("delimiter").error("can't be empty");
            return None;
        }
        if own.delimiter == own.pair_delimiter {
            at.field("delimiter")
                .error("and pair_delimiter can't be the same");
            return None;
        }
        let pair_delimiter = (!own.pair_delimiter.is_empty()).then(|| own.pair_delimiter.clone());
        Some(Pairs {
            delimiter: own.delimiter.clone(),
            pair_delimiter,
            keys: Keys::remembered(),
        })
    })
}

impl Parse for Pairs {
    fn parse(&mut self, text: &str, _: &Entry) -> Result<Parsed, Failure> {
        self.read(text).map(Parsed::from).map_err(format)
    }
}

/// Settings of `uri_parser`: a URI becomes `scheme`, `user`, `host`, `port`, `path` and `query`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct UriSettings {}

impl Defaults for UriSettings {}

pub(crate) fn uri_parser(section: &Section, problems: &mut Problems) -> Option<Built> {
    build(section, problems, |_: &UriSettings, _, _| Some(UriParser))
}

struct UriParser;

impl Parse for UriParser {
    fn parse(&mut self, text: &str, _: &Entry) -> Result<Parsed, Failure> {
        uri::read(text).map(Parsed::from).map_err(format)
    }
}

/// Which form messages have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Protocol {
    /// Not said.
    #[default]
    #[serde(rename = "")]
    Unset,
    /// `<34>Oct 11 22:14:15 host app[7]: message`
    Rfc3164,
    /// `<34>1 2003-10-11T22:14:15.003Z host app 7 ID47 [id key="value"] message`
    Rfc5424,
}

/// Settings of `syslog_parser`: a syslog message becomes fields, a time and a severity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct SyslogSettings {
    /// Of `syslog_parser`: `rfc3164` or `rfc5424`.
    pub(crate) protocol: Protocol,
    /// Of `syslog_parser`: where times of RFC 3164 are, such as `Europe/Berlin`.
    pub(crate) location: Location,
    /// A message may begin without its priority.
    pub(crate) allow_skip_pri_header: bool,
    /// A message begins with its length.
    pub(crate) enable_octet_counting: bool,
    /// With octet counting: the longest message.
    pub(crate) max_octets: ByteSize,
    /// What ends a message besides: `LF` or `NUL`.
    pub(crate) non_transparent_framing_trailer: Option<Trailer>,
}

/// What ends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Trailer {
    /// A newline.
    #[serde(rename = "LF")]
    Lf,
    /// A zero byte.
    #[serde(rename = "NUL")]
    Nul,
}

impl Default for SyslogSettings {
    fn default() -> Self {
        Self {
            protocol: Protocol::Unset,
            location: Location::utc(),
            allow_skip_pri_header: false,
            enable_octet_counting: false,
            max_octets: ByteSize::new(8192),
            non_transparent_framing_trailer: None,
        }
    }
}

impl Defaults for SyslogSettings {}

pub(crate) fn syslog_parser(section: &Section, problems: &mut Problems) -> Option<Built> {
    build(section, problems, |own: &SyslogSettings, _, at| {
        if own.protocol == Protocol::Unset {
            at.on("protocol")
                .error("missing required field `protocol`: rfc3164 or rfc5424");
            return None;
        }
        if own.protocol == Protocol::Rfc3164
            && (own.enable_octet_counting || own.non_transparent_framing_trailer.is_some())
        {
            at.field("protocol")
                .error("must be rfc5424 for octet counting and for a framing trailer");
            return None;
        }
        if own.enable_octet_counting && own.non_transparent_framing_trailer.is_some() {
            at.field("enable_octet_counting")
                .error("and non_transparent_framing_trailer can't both be set");
            return None;
        }
        let protocol = match own.protocol {
            Protocol::Rfc5424 => syslog::Protocol::Rfc5424,
            Protocol::Rfc3164 | Protocol::Unset => syslog::Protocol::Rfc3164,
        };
        let parser = syslog::Parser::new(protocol, &own.location.to_string());
        Some(SyslogParser {
            parser: parser.ok()?.allow_skip_pri(own.allow_skip_pri_header),
            counted: own.enable_octet_counting,
            most: own.max_octets,
            trailer: own
                .non_transparent_framing_trailer
                .map(|trailer| match trailer {
                    Trailer::Lf => '\n',
                    Trailer::Nul => '\0',
                }),
        })
    })
}

struct SyslogParser {
    parser: syslog::Parser,
    counted: bool,
    most: ByteSize,
    trailer: Option<char>,
}

impl Parse for SyslogParser {
    fn parse(&mut self, mut text: &str, entry: &Entry) -> Result<Parsed, Failure> {
        if self.counted {
            text = without_octet_count(text)
                .ok_or_else(|| format("expected the message's length before it"))?;
            if text.len() > self.most.as_usize() {
                let most = self.most;
                return Err(format(format!(
                    "the message is longer than max_octets ({most})"
                )));
            }
        }
        if let Some(trailer) = self.trailer {
            text = text.strip_suffix(trailer).unwrap_or(text);
        }
        let now = u64::try_from(now_of(entry)).unwrap_or(0);
        let message = self
            .parser
            .parse(text, now)
            .map_err(|error| format(error.to_string()))?;
        Ok(Parsed {
            time: message.time.map(i128::from),
            severity: message.priority.map(syslog::severity),
            value: fields(&message).into(),
        })
    }
}

/// A syslog message's fields under upstream's names.
fn fields(message: &syslog::Message<'_>) -> Map {
    let mut fields = Map::new();
    for (name, number) in [
        ("priority", message.priority.map(i64::from)),
        ("facility", message.facility().map(i64::from)),
        ("version", message.version.map(i64::from)),
    ] {
        if let Some(number) = number {
            fields.insert(name, number);
        }
    }
    for (name, text) in [
        ("hostname", message.hostname),
        ("appname", message.appname),
        ("proc_id", message.proc_id),
        ("msg_id", message.msg_id),
        ("message", message.message),
    ] {
        if let Some(text) = text {
            fields.insert(name, text);
        }
    }
    if !message.structured_data.is_empty() {
        let mut data = Map::new();
        for element in &message.structured_data {
            let params = data.nested(&Key::from(element.id));
            for (name, value) in &element.params {
                params.insert(*name, value.as_ref());
            }
        }
        fields.insert("structured_data", data);
    }
    fields
}

pub(crate) fn time_parser(section: &Section, problems: &mut Problems) -> Option<Built> {
    let settings: Plain<Timestamp> = section.decode(problems)?;
    let parser = TimeParser::build(&settings.own, &mut Checker::new(section, problems))?;
    Some(Built::edit(settings.common, parser))
}

pub(crate) fn severity_parser(section: &Section, problems: &mut Problems) -> Option<Built> {
    let settings: Plain<Severity> = section.decode(problems)?;
    let parser = SeverityParser::build(&settings.own, &mut Checker::new(section, problems))?;
    Some(Built::edit(settings.common, parser))
}

pub(crate) fn trace_parser(section: &Section, problems: &mut Problems) -> Option<Built> {
    let settings: Plain<Trace> = section.decode(problems)?;
    Some(Built::edit(
        settings.common,
        TraceParser::build(&settings.own),
    ))
}

pub(crate) fn scope_name_parser(section: &Section, problems: &mut Problems) -> Option<Built> {
    let settings: Plain<ScopeName> = section.decode(problems)?;
    Some(Built::edit(
        settings.common,
        ScopeNameParser::build(&settings.own),
    ))
}

impl Built {
    pub(crate) fn edit(common: Common, edit: impl Edit + 'static) -> Self {
        Self {
            common,
            work: Work::Edit(Box::new(edit)),
        }
    }
}
