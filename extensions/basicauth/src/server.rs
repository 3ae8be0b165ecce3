//! Checking incoming requests.

use std::path::PathBuf;
use std::sync::OnceLock;

use corten_component::{Denied, ServerAuth};
use http::header::{AUTHORIZATION, HeaderMap};

use crate::config;
use crate::credentials::Credentials;
use crate::htpasswd::{Htpasswd, HtpasswdError};

/// Lets in who is in the list.
pub(crate) struct Server {
    config: config::Htpasswd,
    users: OnceLock<Htpasswd>,
}

/// The list cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("htpasswd::file: {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("htpasswd: {0}")]
    Parse(#[from] HtpasswdError),
}

impl Server {
    pub(crate) fn new(config: config::Htpasswd) -> Self {
        Self {
            config,
            users: OnceLock::new(),
        }
    }

    /// Reads the file.
    pub(crate) fn load(&self) -> Result<(), LoadError> {
        let mut text = match &self.config.file {
            Some(path) => std::fs::read_to_string(path).map_err(|source| LoadError::Read {
                path: path.clone(),
                source,
            })?,
            None => String::new(),
        };
        // The last line of a user counts, and what stands in the configuration wins.
        text.push('\n');
        text.push_str(self.config.inline.expose());
        let users = Htpasswd::parse(&text)?;
        // Started once.
        drop(self.users.set(users));
        Ok(())
    }
}

impl ServerAuth for Server {
    fn authenticate(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let denied = |reason: &str| Denied {
            reason: reason.to_owned(),
            challenge: Some("Basic realm=\"corten\""),
        };
        let Some(header) = headers.get(AUTHORIZATION) else {
            return Err(denied("no basic auth provided"));
        };
        let Some(credentials) = Credentials::parse(header.as_bytes()) else {
            return Err(denied(
                "invalid authorization header: expected Basic with user:password in base64",
            ));
        };
        match self.users.get() {
            Some(users) if users.verify(&credentials.user, &credentials.password) => Ok(()),
            // Not which of the two was wrong.
            _ => Err(denied("invalid credentials")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(server: &Server, header: Option<&str>) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, header.parse().unwrap());
        }
        server.authenticate(&headers).map_err(|denied| {
            assert_eq!(denied.challenge, Some("Basic realm=\"corten\""));
            denied.reason
        })
    }

    #[test]
    fn only_who_is_listed_comes_in() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "ann:old\nbob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        )
        .unwrap();
        let server = Server::new(config::Htpasswd {
            file: Some(file.path().to_owned()),
            inline: "ann:new".into(),
        });
        let header = Credentials::header;
        assert_eq!(
            answer(&server, Some(&header("ann", "new"))).unwrap_err(),
            "invalid credentials",
            "not loaded yet"
        );
        server.load().unwrap();
        assert_eq!(answer(&server, Some(&header("ann", "new"))), Ok(()));
        assert_eq!(answer(&server, Some(&header("bob", "secret"))), Ok(()));
        assert_eq!(
            answer(&server, Some(&header("ann", "old"))).unwrap_err(),
            "invalid credentials"
        );
        assert_eq!(
            answer(&server, Some(&header("eve", "x"))).unwrap_err(),
            "invalid credentials"
        );
        assert_eq!(answer(&server, None).unwrap_err(), "no basic auth provided");
        assert!(
            answer(&server, Some("Bearer x"))
                .unwrap_err()
                .starts_with("invalid authorization header")
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let server = Server::new(config::Htpasswd {
            file: Some("/nonexistent/htpasswd".into()),
            inline: Default::default(),
        });
        let error = server.load().unwrap_err().to_string();
        assert!(
            error.starts_with("htpasswd::file: /nonexistent/htpasswd: "),
            "{error}"
        );
    }
}
