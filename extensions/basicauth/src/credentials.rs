//! What a client sends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// User and password of a `Basic` header (RFC 7617).
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Credentials {
    /// `Basic <base64 of user:password>`, the scheme in any case. `None`: something else.
    pub(crate) fn parse(header: &[u8]) -> Option<Self> {
        let (scheme, encoded) = header.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
        let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        Some(Self {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    /// The header's value.
    pub(crate) fn header(user: &str, password: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let header = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(Credentials::header("Aladdin", "open sesame"), header);
        for header in [header, "bAsIc  QWxhZGRpbjpvcGVuIHNlc2FtZQ== "] {
            let credentials = Credentials::parse(header.as_bytes()).unwrap();
            assert_eq!(
                (&*credentials.user, &*credentials.password),
                ("Aladdin", "open sesame")
            );
        }
    }

    #[test]
    fn anything_else_is_nobody() {
        for header in [
            "",
            "Basic",
            "Basic ",
            "Basic !!",
            "Basic dXNlcg==",
            "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ] {
            assert!(Credentials::parse(header.as_bytes()).is_none(), "{header}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(user in "[^:]*", password in ".*") {
            let read = Credentials::parse(Credentials::header(&user, &password).as_bytes()).unwrap();
            prop_assert_eq!((read.user, read.password), (user, password));
        }

        #[test]
        fn no_header_panics(header in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Credentials::parse(&header);
        }
    }
}
