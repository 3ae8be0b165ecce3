//! The tokens, signing with one of them and comparing against all.

use corten_component::{BoxError, ClientAuth, Denied, SecretFile, ServerAuth};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use ring::hmac;
use ring::rand::SystemRandom;

use crate::config::Config;

/// Signs and checks.
pub(crate) struct Tokens {
    header: HeaderName,
    /// With its space, or empty.
    prefix: String,
    source: Source,
    /// Of this process alone: tokens are compared by their codes under it, which takes the same time wherever
    /// they differ.
    key: hmac::Key,
}

enum Source {
    Fixed(Vec<String>),
    File(SecretFile),
}

impl Tokens {
    pub(crate) fn new(config: &Config) -> Result<Self, BoxError> {
        let source = match &config.filename {
            Some(path) => Source::File(SecretFile::new(path)),
            None => Source::Fixed(
                std::iter::once(&config.token)
                    .chain(&config.tokens)
                    .filter(|token| !token.is_empty())
                    .map(|token| token.expose().to_owned())
                    .collect(),
            ),
        };
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| "the system has no randomness to give")?;
        Ok(Self {
            header: HeaderName::try_from(&config.header)?,
            prefix: if config.scheme.is_empty() {
                String::new()
            } else {
                format!("{} ", config.scheme)
            },
            source,
            key,
        })
    }

    /// Calls `f` with the tokens there are now.
    fn with<T>(&self, f: impl FnOnce(&mut dyn Iterator<Item = &str>) -> T) -> Result<T, BoxError> {
        Ok(match &self.source {
            Source::Fixed(tokens) => f(&mut tokens.iter().map(String::as_str)),
            Source::File(file) => {
                let text = file.read()?;
                f(&mut text.lines().map(str::trim).filter(|line| !line.is_empty()))
            }
        })
    }
}

impl ClientAuth for Tokens {
    fn sign(&self, headers: &mut HeaderMap) -> Result<(), BoxError> {
        let value =
            self.with(|tokens| tokens.next().map(|token| format!("{}{token}", self.prefix)))?;
        let mut value = HeaderValue::try_from(value.ok_or("no bearer token")?)?;
        value.set_sensitive(true);
        headers.insert(self.header.clone(), value);
        Ok(())
    }

    fn rejected(&self) {
        if let Source::File(file) = &self.source {
            file.forget();
        }
    }
}

impl ServerAuth for Tokens {
    fn authenticate(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let denied = |reason: String| Denied {
            reason,
            challenge: Some("Bearer"),
        };
        let Some(given) = headers
            .get(&self.header)
            .map(HeaderValue::as_bytes)
            .filter(|value| !value.is_empty())
        else {
            return Err(denied(format!(
                "missing or empty authorization header: {}",
                self.header
            )));
        };
        let known = given
            .split_at_checked(self.prefix.len())
            .filter(|(prefix, _)| prefix.eq_ignore_ascii_case(self.prefix.as_bytes()));
        let matches = known.is_some_and(|(_, given)| {
            let given = hmac::sign(&self.key, given);
            // Every token is looked at, so that the time does not tell which one it was.
            self.with(|tokens| {
                tokens.fold(false, |found, token| {
                    hmac::verify(&self.key, token.as_bytes(), given.as_ref()).is_ok() | found
                })
            })
            .unwrap_or(false)
        });
        if matches {
            Ok(())
        } else {
            Err(denied("scheme or token does not match".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(config: &Config) -> Tokens {
        Tokens::new(config).unwrap()
    }

    fn signed(tokens: &Tokens, header: &str) -> Result<HeaderValue, BoxError> {
        let mut headers = HeaderMap::new();
        tokens.sign(&mut headers)?;
        Ok(headers.remove(header).unwrap())
    }

    fn answer(tokens: &Tokens, value: &str) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", value.parse().unwrap());
        tokens
            .authenticate(&headers)
            .map_err(|denied| denied.reason)
    }

    #[test]
    fn a_request_carries_the_token() {
        let plain = tokens(&Config {
            token: "abc".into(),
            ..Config::default()
        });
        let header = signed(&plain, "authorization").unwrap();
        assert_eq!(header, "Bearer abc");
        assert!(header.is_sensitive());
        let odd = Config {
            header: "X-Api-Key".to_owned(),
            scheme: String::new(),
            tokens: vec!["one".into(), "two".into()],
            ..Config::default()
        };
        assert_eq!(signed(&tokens(&odd), "x-api-key").unwrap(), "one");
    }

    #[test]
    fn any_of_the_tokens_lets_in() {
        let tokens = tokens(&Config {
            tokens: vec!["one".into(), "two".into()],
            ..Config::default()
        });
        for good in ["Bearer one", "bearer two"] {
            assert_eq!(answer(&tokens, good), Ok(()), "{good}");
        }
        for bad in [
            "Bearer three",
            "Bearer ",
            "Bearer onetwo",
            "one",
            "Basic one",
            "Bear",
        ] {
            assert_eq!(
                answer(&tokens, bad).unwrap_err(),
                "scheme or token does not match",
                "{bad}"
            );
        }
        let missing = tokens.authenticate(&HeaderMap::new()).unwrap_err();
        assert_eq!(
            missing.reason,
            "missing or empty authorization header: authorization"
        );
    }

    #[test]
    fn a_rotated_file_is_used_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let tokens = tokens(&Config {
            filename: Some(file.clone()),
            token: "unused".into(),
            ..Config::default()
        });
        assert!(
            signed(&tokens, "authorization")
                .unwrap_err()
                .to_string()
                .contains("token")
        );
        assert!(answer(&tokens, "Bearer unused").is_err());
        std::fs::write(&file, "one\n").unwrap();
        assert_eq!(signed(&tokens, "authorization").unwrap(), "Bearer one");
        std::fs::write(&file, "three\n\nfour\n").unwrap();
        assert_eq!(signed(&tokens, "authorization").unwrap(), "Bearer three");
        assert_eq!(answer(&tokens, "Bearer four"), Ok(()));
        assert!(answer(&tokens, "Bearer one").is_err());
        tokens.rejected();
        assert_eq!(signed(&tokens, "authorization").unwrap(), "Bearer three");
    }
}
