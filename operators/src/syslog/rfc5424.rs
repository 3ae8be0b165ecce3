//! `VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MESSAGE]`

use std::borrow::Cow;

use super::fields::Fields;
use super::{Element, Message, ParseError};

/// Elements and parameters of one message, at most: what a hostile one costs is bounded.
const MOST: usize = 4096;

/// What follows the priority.
pub(super) fn parse<'a>(fields: &mut Fields<'a>) -> Result<Message<'a>, ParseError> {
    const VERSION: &str = "a version such as 1 (is this RFC 3164?)";
    let version = match fields.number(3).map(u16::try_from) {
        Some(Ok(version)) if version > 0 => version,
        _ => return fields.expected(VERSION),
    };
    fields.space()?;
    let time = if nil(fields) {
        None
    } else {
        let start = fields.clone();
        match fields.rfc3339() {
            Some(time) => Some(time),
            None => return start.expected("a time such as 2003-10-11T22:14:15.003Z, or -,"),
        }
    };
    fields.space()?;
    let mut words = [None; 4];
    for (word, expected) in words.iter_mut().zip([
        "a hostname or -",
        "an app-name or -",
        "a procid or -",
        "a msgid or -",
    ]) {
        *word = Some(fields.word(expected)?).filter(|word| *word != "-");
        fields.space()?;
    }
    let [hostname, appname, proc_id, msg_id] = words;
    let structured_data = if fields.peek() == Some(b'[') {
        elements(fields)?
    } else if fields.take(b'-') {
        Vec::new()
    } else {
        return fields.expected("structured data or -");
    };
    let message = match fields.peek() {
        None => None,
        Some(_) => {
            fields.space()?;
            let text = fields.rest();
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            Some(text).filter(|text| !text.is_empty())
        }
    };
    Ok(Message {
        priority: None,
        version: Some(version),
        time,
        hostname,
        appname,
        proc_id,
        msg_id,
        structured_data,
        message,
    })
}

/// Takes a `-` that is a whole field.
fn nil(fields: &mut Fields<'_>) -> bool {
    let found = fields.rest().starts_with("- ");
    fields.skip(usize::from(found));
    found
}

fn elements<'a>(fields: &mut Fields<'a>) -> Result<Vec<Element<'a>>, ParseError> {
    let mut elements = Vec::new();
    let mut params = 0;
    while fields.take(b'[') {
        let id = name(fields, "the id of an element")?;
        let mut element = Element {
            id,
            params: Vec::new(),
        };
        loop {
            if fields.take(b']') {
                break;
            }
            if !fields.take(b' ') {
                return fields.expected("a space, or ] at the end of the element");
            }
            // Some senders put a space before the bracket, or several between parameters.
            if matches!(fields.peek(), Some(b' ' | b']')) {
                continue;
            }
            let key = name(fields, "the name of a parameter")?;
            if !(fields.take(b'=') && fields.take(b'"')) {
                return fields.expected("=\" before the value of the parameter");
            }
            element.params.push((key, value(fields)?));
            params += 1;
            if params > MOST {
                return fields.expected("at most 4096 parameters");
            }
        }
        elements.push(element);
        if elements.len() > MOST {
            return fields.expected("at most 4096 elements");
        }
    }
    Ok(elements)
}

fn name<'a>(fields: &mut Fields<'a>, expected: &'static str) -> Result<&'a str, ParseError> {
    let name = fields.take_while(|byte| !matches!(byte, b' ' | b'=' | b']' | b'"'));
    if name.is_empty() {
        return fields.expected(expected);
    }
    Ok(name)
}

/// Up to the closing quote. `\"`, `\\` and `\]` are what follows the backslash; any other backslash is one.
fn value<'a>(fields: &mut Fields<'a>) -> Result<Cow<'a, str>, ParseError> {
    let mut text = Cow::Borrowed("");
    loop {
        let plain = fields.take_while(|byte| !matches!(byte, b'"' | b'\\'));
        if text.is_empty() {
            text = Cow::Borrowed(plain);
        } else {
            text.to_mut().push_str(plain);
        }
        if fields.take(b'"') {
            return Ok(text);
        }
        if !fields.take(b'\\') {
            return fields.expected("a closing quote");
        }
        let character = match fields.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b']') => ']',
            _ => {
                text.to_mut().push('\\');
                continue;
            }
        };
        fields.skip(1);
        text.to_mut().push(character);
    }
}

#[cfg(test)]
mod tests {
    use crate::syslog::{Message, Parser, Protocol};

    fn parse(text: &str) -> Message<'_> {
        Parser::new(Protocol::Rfc5424, "")
            .unwrap()
            .parse(text, 0)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn error(text: &str) -> String {
        Parser::new(Protocol::Rfc5424, "")
            .unwrap()
            .parse(text, 0)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_standards_examples() {
        let message = parse(
            "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick on /dev/pts/8",
        );
        assert_eq!(message.priority, Some(34));
        assert_eq!(message.version, Some(1));
        assert_eq!(message.time, Some(1_065_910_455_003_000_000));
        assert_eq!(message.hostname, Some("mymachine.example.com"));
        assert_eq!(
            (message.appname, message.proc_id, message.msg_id),
            (Some("su"), None, Some("ID47"))
        );
        assert!(message.message.unwrap().starts_with("'su root'"));

        let message =
            parse("<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time");
        assert_eq!(message.time, Some(1_061_727_255_000_003_000));
        assert_eq!(message.proc_id, Some("8710"));

        let message = parse(
            "<165>1 2003-10-11T22:14:15.003Z host evntslog - ID47 [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"][examplePriority@32473 class=\"high\"]",
        );
        assert_eq!(message.message, None);
        let ids: Vec<_> = message
            .structured_data
            .iter()
            .map(|element| element.id)
            .collect();
        assert_eq!(ids, ["exampleSDID@32473", "examplePriority@32473"]);
        assert_eq!(
            message.structured_data[0].params[2],
            ("eventID", "1011".into())
        );
    }

    #[test]
    fn everything_may_be_nil() {
        let message = parse("<0>1 - - - - - -");
        assert_eq!(
            message,
            Message {
                priority: Some(0),
                version: Some(1),
                ..Message::default()
            }
        );
        // A message may be empty, or begin with a space.
        assert_eq!(parse("<0>1 - - - - - - ").message, None);
        assert_eq!(parse("<0>1 - - - - - -  x").message, Some(" x"));
        // A hostname may begin with the nil value.
        assert_eq!(parse("<0>1 - -a - - - -").hostname, Some("-a"));
    }

    #[test]
    fn values_are_unescaped() {
        let message = parse(r#"<0>1 - - - - - [a b="\"\\\]\n]é" c="" ][d] m"#);
        let params = &message.structured_data[0].params;
        assert_eq!(params[0].1, "\"\\]\\n]é");
        assert_eq!(params[1], ("c", "".into()));
        assert!(message.structured_data[1].params.is_empty());
        assert_eq!(message.message, Some("m"));
    }

    #[test]
    fn what_is_wrong_says_where() {
        for (text, expected) in [
            ("", "a priority such as <34>, at most <191>, at byte 0"),
            ("<192>1 - - - - - -", "a priority"),
            ("<1234>1 - - - - - -", "a priority"),
            (
                "<34>Oct 11 22:14:15 host x",
                "a version such as 1 (is this RFC 3164?) at byte 4",
            ),
            ("<34>0 - - - - - -", "a version"),
            ("<34>1", "a space at byte 5"),
            (
                "<34>1 2003-13-11T22:14:15Z - - - - -",
                "a time such as 2003-10-11T22:14:15.003Z, or -, at byte 6",
            ),
            ("<34>1 2003-10-11T22:14:15 - - - - -", "a time"),
            ("<34>1 - ", "a hostname or - at byte 8"),
            ("<34>1 - - - - - x", "structured data or - at byte 16"),
            ("<34>1 - - - - - [", "the id of an element"),
            ("<34>1 - - - - - [a b]", "=\" before the value"),
            ("<34>1 - - - - - [a b=\"c]", "a closing quote"),
            ("<34>1 - - - - - [a b=\"c\"", "a space, or ]"),
            ("<34>1 - - - - - [a]x", "a space at byte 19"),
        ] {
            let found = error(text);
            assert!(found.contains(expected), "{text}: {found}");
        }
    }

    #[test]
    fn parameters_are_bounded() {
        let many = format!("<1>1 - - - - - [a{}]", " b=\"\"".repeat(5000));
        assert!(error(&many).contains("4096 parameters"));
        let many = format!("<1>1 - - - - - {}", "[a]".repeat(5000));
        assert!(error(&many).contains("4096 elements"));
    }
}
