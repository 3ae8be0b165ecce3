//! Password files as web servers keep them, and checking against them.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA1_OUTPUT_LEN, digest};
use ring::hmac;
use ring::rand::SystemRandom;

/// Most users whose last good password is remembered.
const REMEMBERED: usize = 1024;

/// Users and how their passwords are kept.
pub(crate) struct Htpasswd {
    users: HashMap<String, Password>,
    /// Of this process alone: equal bytes are found by comparing their codes under it, which takes the same
    /// time wherever they differ.
    key: hmac::Key,
    /// bcrypt is slow by intent (50 ms and more), so a password that was good once is recognised again.
    remembered: Mutex<HashMap<String, hmac::Tag>>,
}

enum Password {
    Bcrypt(String),
    /// `{SHA}`, and `{SSHA}` with what follows the digest.
    Sha1 {
        digest: Vec<u8>,
        salt: Vec<u8>,
    },
    Plain(String),
}

/// A line that cannot be used. Says where and why, never what it holds.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum HtpasswdError {
    #[error("line {line}: expected user:password")]
    NoColon { line: usize },
    #[error(
        "line {line}: the password is kept as {scheme}, which is not supported: make it anew with `htpasswd -B` (bcrypt)"
    )]
    Unsupported { line: usize, scheme: &'static str },
    #[error("line {line}: the {scheme} digest is damaged")]
    Damaged { line: usize, scheme: &'static str },
    #[error("no user in it")]
    Empty,
    #[error("the system has no randomness to give")]
    NoRandomness,
}

impl Htpasswd {
    /// Reads `user:password` lines; empty lines and those that begin with `#` are passed over, and the last
    /// line of a user counts.
    pub(crate) fn parse(text: &str) -> Result<Self, HtpasswdError> {
        let mut users = HashMap::new();
        for (index, written) in text.lines().enumerate() {
            let (line, written) = (index + 1, written.trim());
            if written.is_empty() || written.starts_with('#') {
                continue;
            }
            let (user, password) = written
                .split_once(':')
                .filter(|(user, _)| !user.is_empty())
                .ok_or(HtpasswdError::NoColon { line })?;
            users.insert(user.to_owned(), Password::parse(password, line)?);
        }
        if users.is_empty() {
            return Err(HtpasswdError::Empty);
        }
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| HtpasswdError::NoRandomness)?;
        Ok(Self {
            users,
            key,
            remembered: Mutex::default(),
        })
    }

    /// Whether `user` has this password.
    pub(crate) fn verify(&self, user: &str, password: &str) -> bool {
        let Some(kept) = self.users.get(user) else {
            return false;
        };
        match kept {
            Password::Plain(kept) => self.same(kept.as_bytes(), password.as_bytes()),
            Password::Sha1 { digest: kept, salt } => {
                let salted = [password.as_bytes(), salt].concat();
                self.same(kept, digest(&SHA1_FOR_LEGACY_USE_ONLY, &salted).as_ref())
            }
            Password::Bcrypt(kept) => self.verify_bcrypt(user, password, kept),
        }
    }

    fn verify_bcrypt(&self, user: &str, password: &str, kept: &str) -> bool {
        if let Some(tag) = self.remembered.lock().get(user)
            && hmac::verify(&self.key, password.as_bytes(), tag.as_ref()).is_ok()
        {
            return true;
        }
        // bcrypt looks at 72 bytes at most; more would make different passwords equal.
        let good = password.len() <= 72 && bcrypt::verify(password, kept).unwrap_or(false);
        if good {
            let mut remembered = self.remembered.lock();
            if remembered.len() >= REMEMBERED {
                remembered.clear();
            }
            remembered.insert(user.to_owned(), hmac::sign(&self.key, password.as_bytes()));
        }
        good
    }

    fn same(&self, kept: &[u8], given: &[u8]) -> bool {
        let kept = hmac::sign(&self.key, kept);
        hmac::verify(&self.key, given, kept.as_ref()).is_ok()
    }
}

impl Password {
    fn parse(text: &str, line: usize) -> Result<Self, HtpasswdError> {
        let sha1 = |encoded: &str, scheme: &'static str| {
            let damaged = HtpasswdError::Damaged { line, scheme };
            let bytes = STANDARD.decode(encoded).map_err(|_| damaged)?;
            match bytes.split_at_checked(SHA1_OUTPUT_LEN) {
                Some((digest, salt)) if salt.is_empty() == (scheme == "{SHA}") => Ok(Self::Sha1 {
                    digest: digest.to_vec(),
                    salt: salt.to_vec(),
                }),
                _ => Err(HtpasswdError::Damaged { line, scheme }),
            }
        };
        let unsupported = |scheme| Err(HtpasswdError::Unsupported { line, scheme });
        if let Some(encoded) = text.strip_prefix("{SHA}") {
            sha1(encoded, "{SHA}")
        } else if let Some(encoded) = text.strip_prefix("{SSHA}") {
            sha1(encoded, "{SSHA}")
        } else if ["$2a$", "$2b$", "$2x$", "$2y$"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            text.parse::<bcrypt::HashParts>()
                .map_err(|_| HtpasswdError::Damaged {
                    line,
                    scheme: "bcrypt",
                })?;
            Ok(Self::Bcrypt(text.to_owned()))
        } else if text.starts_with("$apr1$") || text.starts_with("$1$") {
            unsupported("MD5")
        } else if text.starts_with("$5$") || text.starts_with("$6$") {
            unsupported("SHA crypt")
        } else {
            Ok(Self::Plain(text.to_owned()))
        }
    }
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Htpasswd({} users)", self.users.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // `htpasswd -nbB -C 4 ann secret`, `htpasswd -nbs bob secret`, and OpenLDAP's salted form.
    const FILE: &str = "\
# operators
ann:$2y$04$WeSUbBOMsKmsmUzKbM7DbOuHIvBNrwFQhyiv7ZUKUqoTEZQC0ngs6

bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=
cid:plain:with:colons
";

    #[test]
    fn every_way_of_keeping_a_password_is_checked() {
        let bcrypt = bcrypt::hash_with_salt("secret", 4, [7; 16])
            .unwrap()
            .to_string();
        let salted = STANDARD.encode(
            [
                digest(&SHA1_FOR_LEGACY_USE_ONLY, b"secretsalt").as_ref(),
                b"salt",
            ]
            .concat(),
        );
        let file = format!(
            "{}\ndot:{{SSHA}}{salted}\n",
            FILE.replace(
                "$2y$04$WeSUbBOMsKmsmUzKbM7DbOuHIvBNrwFQhyiv7ZUKUqoTEZQC0ngs6",
                &bcrypt
            )
        );
        let users = Htpasswd::parse(&file).unwrap();
        for (user, password) in [
            ("ann", "secret"),
            ("bob", "secret"),
            ("cid", "plain:with:colons"),
            ("dot", "secret"),
        ] {
            assert!(users.verify(user, password), "{user}");
            assert!(users.verify(user, password), "{user}, the second time");
            assert!(!users.verify(user, "wrong"), "{user}");
            assert!(!users.verify(user, ""), "{user}");
        }
        assert!(!users.verify("eve", "secret"));
        assert_eq!(format!("{users:?}"), "Htpasswd(4 users)");
    }

    #[test]
    fn a_remembered_password_is_of_its_user_alone() {
        let bcrypt = |password: &str| bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap();
        let users = Htpasswd::parse(&format!("a:{}\nb:{}", bcrypt("one"), bcrypt("two"))).unwrap();
        assert!(users.verify("a", "one"));
        assert!(!users.verify("b", "one"));
    }

    #[test]
    fn bcrypt_does_not_take_a_longer_password_for_its_beginning() {
        let long = "x".repeat(72);
        let kept = bcrypt::hash_with_salt(&long, 4, [7; 16]).unwrap();
        let users = Htpasswd::parse(&format!("a:{kept}")).unwrap();
        assert!(users.verify("a", &long));
        assert!(!users.verify("a", &format!("{long}y")));
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_line_and_without_its_secret() {
        let error = |text: &str| Htpasswd::parse(text).unwrap_err().to_string();
        assert_eq!(error("a:b\nnonsense"), "line 2: expected user:password");
        assert_eq!(error(":b"), "line 1: expected user:password");
        assert_eq!(
            error("a:$apr1$salt$hash"),
            "line 1: the password is kept as MD5, which is not supported: make it anew with `htpasswd -B` (bcrypt)"
        );
        assert_eq!(
            error("a:{SHA}hunter2"),
            "line 1: the {SHA} digest is damaged"
        );
        assert_eq!(
            error("a:$2y$05$hunter2"),
            "line 1: the bcrypt digest is damaged"
        );
        assert_eq!(error("# nobody\n"), "no user in it");
    }
}
