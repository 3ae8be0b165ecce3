//! Signing outgoing requests.

use corten_component::{BoxError, ClientAuth, SecretFile};
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use crate::config;
use crate::credentials::Credentials;

/// Puts user and password into every request.
pub(crate) struct Client {
    config: config::ClientAuth,
    username: Option<SecretFile>,
    password: Option<SecretFile>,
}

impl Client {
    pub(crate) fn new(config: config::ClientAuth) -> Self {
        Self {
            username: config.username_file.clone().map(SecretFile::new),
            password: config.password_file.clone().map(SecretFile::new),
            config,
        }
    }

    fn header(&self) -> Result<HeaderValue, BoxError> {
        let username = self.username.as_ref().map(SecretFile::read).transpose()?;
        let password = self.password.as_ref().map(SecretFile::read).transpose()?;
        let header = Credentials::header(
            username.as_deref().unwrap_or(&self.config.username),
            password.as_deref().unwrap_or(self.config.password.expose()),
        );
        let mut value = HeaderValue::try_from(header)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl ClientAuth for Client {
    fn sign(&self, headers: &mut HeaderMap) -> Result<(), BoxError> {
        headers.insert(AUTHORIZATION, self.header()?);
        Ok(())
    }

    fn rejected(&self) {
        for file in [&self.username, &self.password].into_iter().flatten() {
            file.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(client: &Client) -> Result<HeaderValue, BoxError> {
        let mut headers = HeaderMap::new();
        client.sign(&mut headers)?;
        Ok(headers.remove(AUTHORIZATION).unwrap())
    }

    #[test]
    fn a_request_carries_user_and_password() {
        let client = Client::new(config::ClientAuth {
            username: "Aladdin".to_owned(),
            password: "open sesame".into(),
            ..config::ClientAuth::default()
        });
        let header = signed(&client).unwrap();
        assert_eq!(header, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(header.is_sensitive());
    }

    #[test]
    fn a_rotated_password_is_used_with_the_next_request() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        let client = Client::new(config::ClientAuth {
            username: "a".to_owned(),
            password: "unused".into(),
            password_file: Some(file.clone()),
            ..config::ClientAuth::default()
        });
        assert!(
            signed(&client)
                .unwrap_err()
                .to_string()
                .contains("password")
        );
        std::fs::write(&file, "one\n").unwrap();
        assert_eq!(signed(&client).unwrap(), &*Credentials::header("a", "one"));
        std::fs::write(&file, "three\n").unwrap();
        assert_eq!(
            signed(&client).unwrap(),
            &*Credentials::header("a", "three")
        );
    }
}
