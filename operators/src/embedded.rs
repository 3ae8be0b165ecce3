//! What a parser may do after it has parsed, and what some operators do alone: time, severity, trace, scope.

use corten_config::Checker;

use crate::chain::Edit;
use crate::entry::Entry;
use crate::failure::{Failure, Reason};
use crate::field::{Field, Found};
use crate::settings::{LayoutType, Preset, ScopeName, Severity, Timestamp, Trace};
use crate::severity::{Mapping, short_name};
use crate::time::{Epoch, Layout, Zones, short};
use crate::value::Value;

/// What stands at a field that has to be there.
pub(crate) fn required<'e>(field: &Field, entry: &'e Entry) -> Result<Found<'e>, Failure> {
    field
        .get(entry)
        .ok_or_else(|| Failure::new(Reason::Missing, format!("there is no {field}")))
}

/// The text at a field that has to be one.
pub(crate) fn text<'e>(field: &Field, entry: &'e Entry) -> Result<&'e str, Failure> {
    let found = required(field, entry)?;
    found.as_str().ok_or_else(|| {
        Failure::new(
            Reason::Type,
            format!("{field} must be text, found {}", found.type_name()),
        )
    })
}

/// When an entry was read, or now, in nanoseconds since 1970.
pub(crate) fn now_of(entry: &Entry) -> i128 {
    match entry.observed {
        0 => jiff::Timestamp::now().as_nanosecond(),
        observed => i128::from(observed),
    }
}

/// Takes the time from a field.
#[derive(Debug)]
pub(crate) struct TimeParser {
    from: Field,
    how: How,
}

#[derive(Debug)]
enum How {
    Layout(Layout, Zones),
    Epoch(Epoch),
}

impl TimeParser {
    pub(crate) fn build(settings: &Timestamp, at: &mut Checker<'_>) -> Option<Self> {
        let from = settings.parse_from.clone();
        if from.is_none() {
            at.on("parse_from")
                .error("missing required field `parse_from`");
        }
        if settings.layout.is_empty() {
            at.on("layout").error("missing required field `layout`");
            return None;
        }
        let how = match settings.layout_type {
            LayoutType::Epoch => Epoch::of(&settings.layout).map(How::Epoch).ok_or_else(|| {
                format!(
                    "for epoch must be s, ms, us, ns, s.ms, s.us or s.ns, found '{}'",
                    settings.layout
                )
            }),
            LayoutType::Strptime => Layout::strptime(&settings.layout)
                .map(|layout| How::Layout(layout, zones(settings)))
                .map_err(|error| format!("can't be read: {error}")),
            LayoutType::Gotime | LayoutType::Native => Layout::gotime(&settings.layout)
                .map(|layout| How::Layout(layout, zones(settings)))
                .map_err(|error| format!("can't be read: {error}")),
        };
        match how {
            Ok(how) => Some(Self { from: from?, how }),
            Err(error) => {
                at.field("layout").error(error);
                None
            }
        }
    }
}

fn zones(settings: &Timestamp) -> Zones {
    Zones {
        location: settings.location.clone(),
        by_name: settings.time_zone_locations.clone(),
    }
}

/// Sets the time of an entry.
pub(crate) fn set_time(entry: &mut Entry, nanos: i128) -> Result<(), Failure> {
    match u64::try_from(nanos) {
        Ok(nanos) => {
            entry.time = Some(nanos);
            Ok(())
        }
        Err(_) => Err(Failure::new(
            Reason::Time,
            "the time is before 1970 or after 2554",
        )),
    }
}

impl Edit for TimeParser {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        let wrong = |detail: String| Failure::new(Reason::Time, detail);
        let nanos = match &self.how {
            How::Layout(layout, zones) => {
                let text = text(&self.from, entry)?;
                crate::time::parse(layout, zones, text, now_of(entry)).map_err(wrong)?
            }
            How::Epoch(epoch) => match required(&self.from, entry)? {
                Found::Value(value) => epoch.parse(value).map_err(wrong)?,
                Found::Map(_) => return Err(wrong("a map is no time".to_owned())),
            },
        };
        set_time(entry, nanos)
    }
}

/// Takes the severity from a field.
#[derive(Debug)]
pub(crate) struct SeverityParser {
    from: Field,
    mapping: Mapping,
    overwrite_text: bool,
}

impl SeverityParser {
    pub(crate) fn build(settings: &Severity, at: &mut Checker<'_>) -> Option<Self> {
        if settings.parse_from.is_none() {
            at.on("parse_from")
                .error("missing required field `parse_from`");
        }
        let mut mapping = match settings.preset {
            Preset::Default => Mapping::preset(),
            Preset::None => Mapping::default(),
        };
        if let Err(error) = mapping.extend(&settings.mapping) {
            at.field("mapping").error(format!("can't be read: {error}"));
            return None;
        }
        Some(Self {
            from: settings.parse_from.clone()?,
            mapping,
            overwrite_text: settings.overwrite_text,
        })
    }
}

impl Edit for SeverityParser {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        let found = required(&self.from, entry)?;
        let severity = match found {
            Found::Value(value) => self.mapping.find(value),
            Found::Map(_) => None,
        };
        let (number, text) = severity.ok_or_else(|| {
            Failure::new(
                Reason::Type,
                format!(
                    "{} must be text or a number, found {}",
                    self.from,
                    found.type_name()
                ),
            )
        })?;
        entry.severity = number;
        entry.severity_text = if self.overwrite_text {
            short_name(number)
        } else {
            text
        };
        Ok(())
    }
}

/// Takes a trace's context from fields; those that are not there are left out.
#[derive(Debug)]
pub(crate) struct TraceParser {
    trace_id: Option<Field>,
    span_id: Option<Field>,
    flags: Option<Field>,
}

impl TraceParser {
    pub(crate) fn build(settings: &Trace) -> Self {
        Self {
            trace_id: settings.trace_id.parse_from.clone(),
            span_id: settings.span_id.parse_from.clone(),
            flags: settings.trace_flags.parse_from.clone(),
        }
    }
}

/// The bytes of `N * 2` hexadecimal digits.
fn id<const N: usize>(field: Option<&Field>, entry: &Entry) -> Result<Option<[u8; N]>, Failure> {
    let Some(field) = field.filter(|field| field.get(entry).is_some()) else {
        return Ok(None);
    };
    let text = text(field, entry)?;
    let wrong = || {
        let digits = N * 2;
        Failure::new(
            Reason::Trace,
            format!(
                "{field} must have {digits} hexadecimal digits, found '{}'",
                short(text)
            ),
        )
    };
    if text.len() != N * 2 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut id = [0; N];
    for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(Some(id))
}

impl Edit for TraceParser {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        let trace = id::<16>(self.trace_id.as_ref(), entry);
        let span = id::<8>(self.span_id.as_ref(), entry);
        let flags = id::<1>(self.flags.as_ref(), entry);
        // Each on its own: a bad one leaves the others.
        if let Ok(Some(trace)) = &trace {
            entry.trace_id = trace.to_vec();
        }
        if let Ok(Some(span)) = &span {
            entry.span_id = span.to_vec();
        }
        if let Ok(Some([flags])) = &flags {
            entry.flags = u32::from(*flags);
        }
        trace.map(drop).and(span.map(drop)).and(flags.map(drop))
    }
}

/// Takes the name of the scope from a field.
#[derive(Debug)]
pub(crate) struct ScopeNameParser {
    from: Field,
}

impl ScopeNameParser {
    pub(crate) fn build(settings: &ScopeName) -> Self {
        Self {
            from: settings.parse_from.clone(),
        }
    }
}

impl Edit for ScopeNameParser {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        entry.scope_name = text(&self.from, entry)?.to_owned();
        Ok(())
    }
}

/// Copies a field over the body.
#[derive(Debug)]
pub(crate) struct MakeBody(pub(crate) Field);

impl Edit for MakeBody {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        if let Some(found) = self.0.get(entry) {
            let body: Value = found.to_value();
            entry.body = body;
        }
        Ok(())
    }
}
