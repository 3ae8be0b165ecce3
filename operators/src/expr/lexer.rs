//! Words of an expression.

use super::ParseExprError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Int(i64),
    Float(f64),
    Str(String),
    Name(String),
    /// An operator, a bracket, a comma.
    Op(&'static str),
}

/// A word and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) token: Token,
    pub(super) at: usize,
}

/// The longest first.
const OPERATORS: [&str; 36] = [
    "?.", "??", "**", "==", "!=", "<=", ">=", "&&", "||", "..", "(", ")", "[", "]", "{", "}", ",",
    ":", ";", "?", ".", "<", ">", "=", "!", "+", "-", "*", "/", "%", "^", "|", "#", "::", "->",
    "$",
];

pub(super) fn words(text: &str) -> Result<Vec<Word>, ParseExprError> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        let Some(first) = rest.chars().next() else {
            return Ok(words);
        };
        if let Some(after) = rest.strip_prefix("/*") {
            rest = after
                .split_once("*/")
                .ok_or(ParseExprError::new(at, "a comment is not closed"))?
                .1;
            continue;
        }
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
            continue;
        }
        let (token, after) = match first {
            '"' | '\'' | '`' => string(rest, first).map_err(|why| ParseExprError::new(at, why))?,
            '0'..='9' => number(rest).map_err(|why| ParseExprError::new(at, why))?,
            '.' if rest
                .strip_prefix('.')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) =>
            {
                number(rest).map_err(|why| ParseExprError::new(at, why))?
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = rest
                    .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .unwrap_or(rest.len());
                let (name, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                (Token::Name(name.to_owned()), after)
            }
            _ => {
                let found = OPERATORS
                    .iter()
                    .find_map(|op| Some((*op, rest.strip_prefix(op)?)));
                let (op, after) = found.ok_or_else(|| {
                    ParseExprError::new(at, format!("'{first}' has no meaning here"))
                })?;
                (Token::Op(op), after)
            }
        };
        words.push(Word { token, at });
        rest = after;
    }
}

fn number(rest: &str) -> Result<(Token, &str), &'static str> {
    let wrong = "a number can't be read";
    for (prefix, radix) in [("0x", 16), ("0X", 16), ("0b", 2), ("0o", 8)] {
        if let Some(digits) = rest.strip_prefix(prefix) {
            let end = digits
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(digits.len());
            let (digits, after) = digits.split_at_checked(end).ok_or(wrong)?;
            let value = i64::from_str_radix(&digits.replace('_', ""), radix).map_err(|_| wrong)?;
            return Ok((Token::Int(value), after));
        }
    }
    let bytes = rest.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
    let digits = |mut at: usize| {
        while byte(at).is_ascii_digit() || byte(at) == b'_' {
            at += 1;
        }
        at
    };
    let mut end = digits(0);
    let mut float = false;
    // `1..3` is a range.
    if byte(end) == b'.' && byte(end + 1) != b'.' {
        float = true;
        end = digits(end + 1);
    }
    if matches!(byte(end), b'e' | b'E') {
        let sign = usize::from(matches!(byte(end + 1), b'+' | b'-'));
        if byte(end + 1 + sign).is_ascii_digit() {
            float = true;
            end = digits(end + 1 + sign);
        }
    }
    let (digits, after) = rest.split_at_checked(end).ok_or(wrong)?;
    if after.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        return Err(wrong);
    }
    let digits = digits.replace('_', "");
    let token = if float {
        Token::Float(digits.parse().map_err(|_| wrong)?)
    } else {
        Token::Int(digits.parse().map_err(|_| "a number is too large")?)
    };
    Ok((token, after))
}

fn string(rest: &str, quote: char) -> Result<(Token, &str), &'static str> {
    const OPEN: &str = "a quote is not closed";
    let inner = rest.strip_prefix(quote).ok_or(OPEN)?;
    if quote == '`' {
        let (text, after) = inner.split_once('`').ok_or(OPEN)?;
        return Ok((Token::Str(text.to_owned()), after));
    }
    let mut text = String::new();
    let mut chars = inner.chars();
    loop {
        match chars.next().ok_or(OPEN)? {
            c if c == quote => return Ok((Token::Str(text), chars.as_str())),
            '\\' => text.push(match chars.next().ok_or(OPEN)? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'a' => '\x07',
                'b' => '\x08',
                'f' => '\x0c',
                'v' => '\x0b',
                'x' => code(&mut chars, 2)?,
                'u' => code(&mut chars, 4)?,
                'U' => code(&mut chars, 8)?,
                c @ ('\\' | '"' | '\'' | '`') => c,
                _ => return Err("an escape is unknown: for a backslash write two (as in \"\\\\d\"), or quote with `"),
            }),
            c => text.push(c),
        }
    }
}

fn code(chars: &mut std::str::Chars<'_>, digits: usize) -> Result<char, &'static str> {
    let wrong = "an escape names no character";
    let mut value = 0;
    for _ in 0..digits {
        let digit = chars.next().and_then(|c| c.to_digit(16)).ok_or(wrong)?;
        value = value * 16 + digit;
    }
    char::from_u32(value).ok_or(wrong)
}
