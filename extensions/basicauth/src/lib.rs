//! Extension `basicauth`: HTTP basic authentication (RFC 7617).
//!
//! With `client_auth` it signs the requests of exporters; files are read again when they change, so a rotated
//! password is used with the next request. With `htpasswd` it checks the requests that receivers get. Passwords
//! are compared in constant time and appear in no message.
//!
//! ```yaml
//! extensions:
//!   basicauth/loki:
//!     client_auth: {username: node, password_file: /etc/corten/loki-password}
//! exporters:
//!   loki:
//!     endpoint: https://loki.example.com
//!     auth: {authenticator: basicauth/loki}
//! ```

mod client;
mod config;
mod credentials;
mod htpasswd;
mod server;

use std::sync::Arc;

use corten_component::{
    BoxError, ClientAuth, Component, Extension, Factory, Kind, Metadata, ServerAuth, Stability,
    async_trait,
};

use crate::client::Client;
use crate::config::Config;
use crate::server::Server;

/// Who this component is.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Extension,
    type_name: "basicauth",
    aliases: &["basic_auth"],
    signals: &[],
    produces: &[],
    stability: Stability::Beta,
    summary: "Signs requests with, or lets them in by, user name and password",
};

/// Makes instances of it.
#[must_use]
pub fn factory() -> Factory {
    Factory::extension(&METADATA, |_cx, config: Config| {
        Ok(BasicAuth {
            client: config.client_auth.into_option().map(Client::new),
            server: config.htpasswd.into_option().map(Server::new),
        })
    })
}

/// One of the two.
struct BasicAuth {
    client: Option<Client>,
    server: Option<Server>,
}

#[async_trait]
impl Component for BasicAuth {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        match &self.server {
            Some(server) => Ok(server.load()?),
            None => Ok(()),
        }
    }
}

impl Extension for BasicAuth {
    fn client_auth(&self) -> Option<&dyn ClientAuth> {
        self.client.as_ref().map(|client| client as _)
    }

    fn server_auth(&self) -> Option<&dyn ServerAuth> {
        self.server.as_ref().map(|server| server as _)
    }
}

#[cfg(test)]
mod tests {
    use corten_testing::{conforms, decode};

    use super::*;

    #[tokio::test]
    async fn conforms_as_a_client() {
        conforms(factory(), "client_auth:\n  username: a\n  password: b").await;
    }

    #[tokio::test]
    async fn conforms_as_a_server() {
        conforms(factory(), "htpasswd:\n  inline: 'a:b'").await;
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let problem = |yaml: &str| decode(&factory(), yaml).map(|_| ()).unwrap_err();
        assert!(problem("{}").contains("no credentials source provided"));
        let both = problem("{client_auth: {username: a}, htpasswd: {inline: 'a:b'}}");
        assert!(
            both.contains("only one of `htpasswd` and `client_auth` can be specified"),
            "{both}"
        );
        assert!(
            problem("client_auth: {password: x}").contains("expected username or username_file")
        );
        assert!(problem("client_auth: {username: 'a:b'}").contains("must not contain a colon"));
        assert!(problem("htpasswd: {}").contains("expected file or inline"));
        let secret = problem("htpasswd: {inline: 'a:$1$hunter2'}");
        assert!(
            secret.contains("which is not supported") && !secret.contains("hunter2"),
            "{secret}"
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let effective = |yaml: &str| {
            decode(&factory(), yaml)
                .map(|prepared| prepared.effective.to_string())
                .unwrap()
        };
        assert!(!effective("client_auth: {username: a, password: hunter2}").contains("hunter2"));
        assert!(!effective("htpasswd: {inline: 'a:hunter2'}").contains("hunter2"));
    }
}
