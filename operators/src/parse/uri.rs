//! URIs as RFC 3986 has them, absolute, relative, or a query alone.

use std::fmt::Write as _;

use crate::value::{Map, Value};

/// The parts of a URI, those it has.
pub(crate) fn read(text: &str) -> Result<Map, &'static str> {
    if text.chars().any(|c| c.is_ascii_control()) {
        return Err("a URI has no control characters");
    }
    let mut map = Map::new();
    if let Some(query) = text.strip_prefix('?') {
        put_query(&mut map, query);
        return Ok(map);
    }
    let text = text.split_once('#').map_or(text, |(text, _)| text);
    let mut rest = text;
    if let Some((scheme, after)) = text.split_once(':')
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    {
        map.insert("scheme", scheme.to_ascii_lowercase());
        rest = after;
    } else if text.starts_with(':') {
        return Err("the scheme is missing");
    }
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |parts| parts);
    let mut path = rest;
    if let Some(after) = rest.strip_prefix("//") {
        let end = after.find('/').unwrap_or(after.len());
        let (authority, after) = after.split_at_checked(end).unwrap_or((after, ""));
        path = after;
        put_authority(&mut map, authority)?;
    } else if map.is_empty()
        && rest
            .split('/')
            .next()
            .is_some_and(|first| first.contains(':'))
    {
        return Err("the first part of a relative path has a colon");
    }
    if !percents_are_fine(path) {
        return Err("a percent sign is not followed by two hexadecimal digits");
    }
    if !path.is_empty() {
        map.insert("path", escaped(path));
    }
    put_query(&mut map, query);
    Ok(map)
}

fn put_authority(map: &mut Map, authority: &str) -> Result<(), &'static str> {
    let (user, host) = authority
        .rsplit_once('@')
        .map_or(("", authority), |parts| parts);
    // Passwords are never kept.
    let user = user.split_once(':').map_or(user, |(user, _)| user);
    if !user.is_empty() {
        map.insert("user", decoded(user, false));
    }
    let (host, port) = match host.strip_prefix('[') {
        Some(literal) => {
            let (host, after) = literal
                .split_once(']')
                .ok_or("the bracket of an address is not closed")?;
            (host, after)
        }
        None => {
            let end = host.rfind(':').unwrap_or(host.len());
            host.split_at_checked(end).unwrap_or((host, ""))
        }
    };
    let port = match port.strip_prefix(':') {
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port,
        None if port.is_empty() => "",
        _ => return Err("the port is no number"),
    };
    if host.contains([' ', '<', '>', '"']) || !percents_are_fine(host) {
        return Err("the host has characters that no host has");
    }
    if !host.is_empty() {
        map.insert("host", decoded(host, false));
    }
    if !port.is_empty() {
        map.insert("port", port);
    }
    Ok(())
}

fn put_query(map: &mut Map, query: &str) {
    let mut values = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !percents_are_fine(key) || !percents_are_fine(value) {
            continue;
        }
        let (key, value) = (decoded(key, true), Value::Str(decoded(value, true)));
        match values.get_mut(&key) {
            Some(Value::List(list)) => list.push(value),
            _ => {
                values.insert(key, Value::List(vec![value]));
            }
        }
    }
    if !values.is_empty() {
        map.insert("query", values);
    }
}

fn hex(text: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(text.get(..2)?).ok()?;
    digits
        .bytes()
        .all(|b| b.is_ascii_hexdigit())
        .then(|| u8::from_str_radix(digits, 16).ok())?
}

fn percents_are_fine(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'%', bytes).all(|at| bytes.get(at + 1..).and_then(hex).is_some())
}

fn decoded(text: &str, plus: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, hex(after)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) if plus => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A path as it has to be written.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c.is_ascii_graphic()
            && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
        {
            out.push(c);
        } else {
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                let _always: std::fmt::Result = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        match read(text) {
            Ok(map) => map.to_json().to_string(),
            Err(error) => error.to_owned(),
        }
    }

    #[test]
    fn uris() {
        for (text, expected) in [
            (
                "https://dev:pass@google.com/app?user_id=2&token=001",
                r#"{"host":"google.com","path":"/app","query":{"token":["001"],"user_id":["2"]},"scheme":"https","user":"dev"}"#,
            ),
            (
                "/app?user=admin",
                r#"{"path":"/app","query":{"user":["admin"]}}"#,
            ),
            (
                "?request=681e&env=stage&env=dev",
                r#"{"query":{"env":["stage","dev"],"request":["681e"]}}"#,
            ),
            (
                "http://golang.org:8443/v1#top",
                r#"{"host":"golang.org","path":"/v1","port":"8443","scheme":"http"}"#,
            ),
            (
                "HTTP://[::1]:80",
                r#"{"host":"::1","port":"80","scheme":"http"}"#,
            ),
            ("mailto:a@b.c", r#"{"path":"a@b.c","scheme":"mailto"}"#),
            (
                "/a b?q=x%20y+z&bad=%zz",
                r#"{"path":"/a%20b","query":{"q":["x y z"]}}"#,
            ),
            ("", "{}"),
            ("http://a:b/", "the port is no number"),
            (
                "/%zz",
                "a percent sign is not followed by two hexadecimal digits",
            ),
            ("http://[::1", "the bracket of an address is not closed"),
            (":x", "the scheme is missing"),
            ("a\nb", "a URI has no control characters"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a:/?#@%\\[\\]é&=+0-9]{0,24}") {
            drop(read(&text));
        }
    }
}
