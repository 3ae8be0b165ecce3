//! Layouts: how a time is written. Both languages, strptime's and Go's, become the same list of items.
//!
//! What is read is what Go's `time.Parse` reads: a space of the layout stands for any number of them, a fraction of any length may follow seconds, names are
//! read in any case, numbers without padding may have one digit.

/// One thing after the other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    text: String,
    items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq)]
enum Item {
    Literal(String),
    /// Four digits.
    Year,
    /// Two digits: 69 to 99 are of the last century.
    ShortYear,
    /// One or two digits.
    Month(Width),
    MonthName,
    Day(Width),
    DayOfYear,
    WeekdayName,
    Hour(Width),
    /// 12 and AM is midnight.
    HalfHour(Width),
    Minute(Width),
    Second(Width),
    /// With its point or comma.
    Fraction,
    /// Digits alone.
    Digits,
    Afternoon,
    /// `Z`, `+0200`, `+02:00`, `+02`.
    Offset,
    ZoneName,
}

/// How many digits a number has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    /// Two.
    Two,
    /// One or two.
    Any,
    /// One or two, a space before the one.
    Space,
}

/// What a text said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parts<'t> {
    pub(super) year: Option<i16>,
    pub(super) month: Option<i8>,
    pub(super) day: Option<i8>,
    pub(super) day_of_year: Option<i16>,
    pub(super) hour: i8,
    pub(super) minute: i8,
    pub(super) second: i8,
    pub(super) nanos: i32,
    pub(super) afternoon: Option<bool>,
    pub(super) offset: Option<i32>,
    pub(super) zone: Option<&'t str>,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];

impl Layout {
    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A layout of `%` directives.
    pub(crate) fn strptime(text: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                literal(&mut items, c);
                continue;
            }
            let directive = chars
                .next()
                .ok_or_else(|| format!("the layout '{text}' ends with a '%'"))?;
            let composed = match directive {
                'D' => "%m/%d/%y",
                'F' => "%Y-%m-%d",
                'T' => "%H:%M:%S",
                'r' => "%l:%M:%S %p",
                'c' => "%a %b %d %H:%M:%S %Y",
                'R' => "%H:%M",
                'v' => "%e-%b-%Y",
                _ => "",
            };
            if !composed.is_empty() {
                items.extend(Self::strptime(composed)?.items);
                continue;
            }
            items.push(match directive {
                'Y' => Item::Year,
                'y' => Item::ShortYear,
                'm' => Item::Month(Width::Two),
                'o' => Item::Month(Width::Space),
                'q' => Item::Month(Width::Any),
                'b' | 'B' | 'h' => Item::MonthName,
                'd' => Item::Day(Width::Two),
                'e' => Item::Day(Width::Space),
                'g' => Item::Day(Width::Any),
                'a' | 'A' => Item::WeekdayName,
                'H' => Item::Hour(Width::Any),
                'I' => Item::HalfHour(Width::Any),
                'l' => Item::HalfHour(Width::Any),
                'p' | 'P' => Item::Afternoon,
                'M' => Item::Minute(Width::Two),
                'S' => Item::Second(Width::Two),
                'L' | 'f' | 's' => {
                    let item = fraction(&mut items);
                    items.push(item);
                    continue;
                }
                'Z' => Item::ZoneName,
                'z' | 'i' | 'j' | 'k' | 'w' => Item::Offset,
                'n' => {
                    literal(&mut items, '\n');
                    continue;
                }
                't' => {
                    literal(&mut items, '\t');
                    continue;
                }
                '%' => {
                    literal(&mut items, '%');
                    continue;
                }
                other => {
                    return Err(format!(
                        "the layout '{text}' has the directive '%{other}', which does not exist; there are %Y %m %d %H %M %S %L %f %s %b %a %p %z %Z and others"
                    ));
                }
            });
        }
        Self::of(text, items)
    }

    /// A layout as Go writes it: an example of the time `Mon Jan 2 15:04:05 MST 2006`.
    pub(crate) fn gotime(text: &str) -> Result<Self, String> {
        // The longest first where one begins with another.
        const WORDS: [(&str, Item); 35] = [
            ("January", Item::MonthName),
            ("Jan", Item::MonthName),
            ("Monday", Item::WeekdayName),
            ("Mon", Item::WeekdayName),
            ("MST", Item::ZoneName),
            ("2006", Item::Year),
            ("_2006", Item::Year),
            ("002", Item::DayOfYear),
            ("__2", Item::DayOfYear),
            ("01", Item::Month(Width::Two)),
            ("02", Item::Day(Width::Two)),
            ("03", Item::HalfHour(Width::Two)),
            ("04", Item::Minute(Width::Two)),
            ("05", Item::Second(Width::Two)),
            ("06", Item::ShortYear),
            ("15", Item::Hour(Width::Any)),
            ("_2", Item::Day(Width::Space)),
            ("_1", Item::Month(Width::Space)),
            ("Z07:00:00", Item::Offset),
            ("Z070000", Item::Offset),
            ("Z07:00", Item::Offset),
            ("Z0700", Item::Offset),
            ("Z07", Item::Offset),
            ("-07:00:00", Item::Offset),
            ("-070000", Item::Offset),
            ("-07:00", Item::Offset),
            ("-0700", Item::Offset),
            ("-07", Item::Offset),
            ("PM", Item::Afternoon),
            ("pm", Item::Afternoon),
            ("1", Item::Month(Width::Any)),
            ("2", Item::Day(Width::Any)),
            ("3", Item::HalfHour(Width::Any)),
            ("4", Item::Minute(Width::Any)),
            ("5", Item::Second(Width::Any)),
        ];
        let mut items = Vec::new();
        let mut rest = text;
        'items: while let Some(c) = rest.chars().next() {
            // `_2006` is a literal and a year.
            if rest.starts_with("_2006") {
                literal(&mut items, '_');
                rest = rest.strip_prefix('_').unwrap_or_default();
                continue;
            }
            if matches!(c, '.' | ',') {
                let digits = rest.get(1..).unwrap_or_default();
                let zeros = digits.len() - digits.trim_start_matches('0').len();
                let nines = digits.len() - digits.trim_start_matches('9').len();
                let len = zeros.max(nines);
                let after = digits.get(len..).unwrap_or_default();
                if len > 0 && !after.starts_with(|c: char| c.is_ascii_digit()) {
                    items.push(Item::Fraction);
                    rest = after;
                    continue;
                }
            }
            for (word, item) in &WORDS {
                if let Some(after) = rest.strip_prefix(word) {
                    // `Janet` is no month; Go looks at the next letter, too.
                    let letters = matches!(item, Item::MonthName | Item::WeekdayName)
                        && word.len() == 3
                        && after.starts_with(|c: char| c.is_ascii_lowercase());
                    if !letters {
                        items.push(item.clone());
                        rest = after;
                        continue 'items;
                    }
                }
            }
            literal(&mut items, c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
        Self::of(text, items)
    }

    fn of(text: &str, items: Vec<Item>) -> Result<Self, String> {
        if items.iter().all(|item| matches!(item, Item::Literal(_))) {
            return Err(format!("the layout '{text}' says nothing of a time"));
        }
        Ok(Self {
            text: text.to_owned(),
            items,
        })
    }

    /// `None` when the text is not of the layout.
    pub(super) fn read<'t>(&self, text: &'t str) -> Option<Parts<'t>> {
        let mut rest = Rest(text);
        let mut parts = Parts::default();
        let mut items = self.items.iter().peekable();
        while let Some(item) = items.next() {
            match item {
                Item::Literal(literal) => rest.literal(literal)?,
                Item::Year => parts.year = i16::try_from(rest.exactly(4)?).ok(),
                Item::ShortYear => {
                    let year = rest.exactly(2)?;
                    let year = if year >= 69 { 1900 + year } else { 2000 + year };
                    parts.year = i16::try_from(year).ok();
                }
                Item::Month(width) => parts.month = Some(rest.number(*width, 1, 12)?),
                Item::MonthName => {
                    let index = rest.name(&MONTHS)?;
                    parts.month = i8::try_from(index + 1).ok();
                }
                Item::Day(width) => parts.day = Some(rest.number(*width, 1, 31)?),
                Item::DayOfYear => {
                    let day = rest.exactly(3)?;
                    parts.day_of_year = i16::try_from(day).ok().filter(|day| *day > 0);
                    parts.day_of_year?;
                }
                Item::WeekdayName => {
                    rest.name(&WEEKDAYS)?;
                }
                Item::Hour(width) => parts.hour = rest.number(*width, 0, 23)?,
                Item::HalfHour(width) => parts.hour = rest.number(*width, 0, 12)?,
                Item::Minute(width) => parts.minute = rest.number(*width, 0, 59)?,
                Item::Second(width) => {
                    parts.second = rest.number(*width, 0, 60)?;
                    // One may follow that the layout does not know of.
                    if !matches!(items.peek(), Some(Item::Fraction | Item::Digits))
                        && !matches!(items.peek(), Some(Item::Literal(text)) if text.starts_with(['.', ',']))
                        && let Some(nanos) = rest.fraction()
                    {
                        parts.nanos = nanos;
                    }
                }
                Item::Fraction => {
                    if let Some(nanos) = rest.fraction() {
                        parts.nanos = nanos;
                    }
                }
                Item::Digits => parts.nanos = rest.digits()?,
                Item::Afternoon => {
                    let half = rest.take(2)?;
                    parts.afternoon = Some(match half {
                        _ if half.eq_ignore_ascii_case("pm") => true,
                        _ if half.eq_ignore_ascii_case("am") => false,
                        _ => return None,
                    });
                }
                Item::Offset => parts.offset = Some(rest.offset()?),
                Item::ZoneName => {
                    if rest.0.starts_with(['+', '-']) {
                        parts.offset = Some(rest.offset()?);
                    } else {
                        parts.zone = Some(rest.zone()?);
                    }
                }
            }
        }
        rest.0.is_empty().then_some(parts)
    }
}

/// What fractions of seconds are: with the point that stands before them, which then is no literal.
fn fraction(items: &mut Vec<Item>) -> Item {
    if let Some(Item::Literal(text)) = items.last_mut()
        && text.ends_with(['.', ','])
    {
        text.pop();
        if text.is_empty() {
            items.pop();
        }
        return Item::Fraction;
    }
    Item::Digits
}

fn literal(items: &mut Vec<Item>, c: char) {
    match items.last_mut() {
        Some(Item::Literal(text)) => text.push(c),
        _ => items.push(Item::Literal(c.to_string())),
    }
}

/// What is left of a text.
struct Rest<'t>(&'t str);

impl<'t> Rest<'t> {
    fn take(&mut self, bytes: usize) -> Option<&'t str> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn literal(&mut self, literal: &str) -> Option<()> {
        let mut chars = literal.chars().peekable();
        while let Some(c) = chars.next() {
            if c == ' ' {
                if !self.0.is_empty() && !self.0.starts_with(' ') {
                    return None;
                }
                while chars.peek() == Some(&' ') {
                    chars.next();
                }
                self.0 = self.0.trim_start_matches(' ');
            } else {
                self.0 = self.0.strip_prefix(c)?;
            }
        }
        Some(())
    }

    fn exactly(&mut self, digits: usize) -> Option<u16> {
        let text = self.take(digits)?;
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse().ok())?
    }

    fn number(&mut self, width: Width, least: i8, most: i8) -> Option<i8> {
        if width == Width::Space {
            self.0 = self.0.strip_prefix(' ').unwrap_or(self.0);
        }
        let digit = |at: usize| self.0.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
        let len = match (digit(0), digit(1)) {
            (true, true) => 2,
            (true, false) if width != Width::Two => 1,
            _ => return None,
        };
        let value = self.take(len)?.parse().ok()?;
        (least..=most).contains(&value).then_some(value)
    }

    /// The whole name or its first three letters.
    fn name(&mut self, names: &[&str]) -> Option<usize> {
        let begins = |name: &str| {
            self.0
                .get(..name.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(name))
        };
        let (index, len) = names.iter().enumerate().find_map(|(index, name)| {
            if begins(name) {
                return Some((index, name.len()));
            }
            let short = name.get(..3)?;
            begins(short).then_some((index, 3))
        })?;
        self.take(len)?;
        Some(index)
    }

    /// A point or comma and digits, as nanoseconds.
    fn fraction(&mut self) -> Option<i32> {
        let digits = self.0.strip_prefix(['.', ','])?;
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.0 = digits;
        self.digits()
    }

    fn digits(&mut self) -> Option<i32> {
        let len = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let digits = self.take(len)?;
        if digits.is_empty() {
            return None;
        }
        let nanos = digits.bytes().chain(std::iter::repeat(b'0')).take(9);
        Some(nanos.fold(0, |nanos, digit| nanos * 10 + i32::from(digit - b'0')))
    }

    fn offset(&mut self) -> Option<i32> {
        if let Some(rest) = self.0.strip_prefix('Z') {
            self.0 = rest;
            return Some(0);
        }
        let sign = match self.take(1)? {
            "+" => 1,
            "-" => -1,
            _ => return None,
        };
        let hours = i32::from(self.exactly(2)?);
        let mut seconds = hours * 3600;
        for unit in [60, 1] {
            let rest = self.0.strip_prefix(':').unwrap_or(self.0);
            if !rest.starts_with(|c: char| c.is_ascii_digit()) {
                break;
            }
            self.0 = rest;
            seconds += i32::from(self.exactly(2)?) * unit;
        }
        Some(sign * seconds)
    }

    /// An abbreviation: three to five capital letters, or `GMT+3`.
    fn zone(&mut self) -> Option<&'t str> {
        let mut len = self.0.bytes().take_while(u8::is_ascii_alphabetic).count();
        if !(1..=5).contains(&len) || (len < 3 && !self.0.starts_with('Z')) {
            return None;
        }
        if len == 3 && self.0.starts_with("GMT") {
            let rest = self.0.get(3..).unwrap_or_default();
            if let Some(hours) = rest.strip_prefix(['+', '-']) {
                let digits = hours.bytes().take(2).take_while(u8::is_ascii_digit).count();
                if digits > 0 {
                    len += 1 + digits;
                }
            }
        }
        self.take(len)
    }
}
