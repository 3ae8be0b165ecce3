//! One row of separated values.

/// How a row is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Csv {
    pub(crate) delimiter: char,
    /// Quotes may stand anywhere.
    pub(crate) lazy_quotes: bool,
    /// Quotes mean nothing.
    pub(crate) ignore_quotes: bool,
}

impl Csv {
    /// The fields. A newline within the row goes on with the last field of the line before it.
    pub(crate) fn row(self, text: &str) -> Result<Vec<String>, &'static str> {
        if self.ignore_quotes {
            return Ok(text.split(self.delimiter).map(str::to_owned).collect());
        }
        let mut fields = Vec::new();
        let mut rest = text;
        loop {
            let (field, after) = match rest.strip_prefix('"') {
                Some(quoted) => self.quoted(quoted)?,
                None => {
                    let end = rest.find(self.delimiter).unwrap_or(rest.len());
                    let (field, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                    if field.contains('"') && !self.lazy_quotes {
                        return Err(
                            "a quote stands within a field that has none around it (see lazy_quotes)",
                        );
                    }
                    (field.to_owned(), after)
                }
            };
            fields.push(field);
            match after.strip_prefix(self.delimiter) {
                Some(more) => rest = more,
                None => return Ok(fields),
            }
        }
    }

    /// After the first quote; what is left begins with a delimiter or is empty.
    fn quoted(self, mut rest: &str) -> Result<(String, &str), &'static str> {
        let mut field = String::new();
        loop {
            let Some((text, after)) = rest.split_once('"') else {
                if self.lazy_quotes {
                    field.push_str(rest);
                    return Ok((field, ""));
                }
                return Err("a quote is not closed");
            };
            field.push_str(text);
            if let Some(more) = after.strip_prefix('"') {
                field.push('"');
                rest = more;
            } else if after.is_empty() || after.starts_with(self.delimiter) {
                return Ok((field, after));
            } else if self.lazy_quotes {
                field.push('"');
                rest = after;
            } else {
                // A line of its own that goes on with this field.
                let line = after.starts_with(['\n', '\r']);
                if !line {
                    return Err("text follows a field's closing quote (see lazy_quotes)");
                }
                let end = after.find(self.delimiter).unwrap_or(after.len());
                let (text, after) = after.split_at_checked(end).unwrap_or((after, ""));
                field.push_str(text);
                return Ok((field, after));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(text: &str) -> Result<Vec<String>, &'static str> {
        Csv {
            delimiter: ',',
            lazy_quotes: false,
            ignore_quotes: false,
        }
        .row(text)
    }

    #[test]
    fn rows() {
        for (text, expected) in [
            ("a,b,c", vec!["a", "b", "c"]),
            ("", vec![""]),
            (",", vec!["", ""]),
            ("\"a,b\",c", vec!["a,b", "c"]),
            ("\"say \"\"hi\"\"\",", vec!["say \"hi\"", ""]),
            ("aa,b\nb,cc", vec!["aa", "b\nb", "cc"]),
            ("\"a\nb\",c", vec!["a\nb", "c"]),
            (" a , b", vec![" a ", " b"]),
        ] {
            assert_eq!(row(text).unwrap(), expected, "{text}");
        }
        assert!(row("a\"b,c").unwrap_err().contains("lazy_quotes"));
        assert!(row("\"a\"b,c").unwrap_err().contains("lazy_quotes"));
        assert!(row("\"a").unwrap_err().contains("not closed"));
    }

    #[test]
    fn quotes_may_be_taken_lightly() {
        let lazy = Csv {
            delimiter: '\t',
            lazy_quotes: true,
            ignore_quotes: false,
        };
        assert_eq!(
            lazy.row("a\"b\t\"c\" d\"\te").unwrap(),
            ["a\"b", "c\" d", "e"]
        );
        assert_eq!(lazy.row("\"a").unwrap(), ["a"]);
        let ignore = Csv {
            delimiter: ',',
            lazy_quotes: false,
            ignore_quotes: true,
        };
        assert_eq!(ignore.row("\"a,b\",c").unwrap(), ["\"a", "b\"", "c"]);
    }

    proptest! {
        #[test]
        fn reads_what_is_written(fields in prop::collection::vec("[a,\"\n é]{0,6}", 1..5)) {
            let quoted = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\"")));
            let text = quoted.collect::<Vec<_>>().join(",");
            prop_assert_eq!(row(&text).unwrap(), fields);
        }

        #[test]
        fn never_panics(text in "[a,\"\n é]{0,20}", lazy_quotes: bool) {
            drop(Csv { delimiter: ',', lazy_quotes, ignore_quotes: false }.row(&text));
        }
    }
}
