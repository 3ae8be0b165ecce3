//! Extension `bearertokenauth`: tokens in a header.
//!
//! Signs the requests of exporters and checks those that receivers get. A token in a file is read again when the
//! file changes, so a rotated one (a Kubernetes service account's, say) is used with the next request. Tokens are
//! compared in constant time and appear in no message.
//!
//! ```yaml
//! extensions:
//!   bearertokenauth:
//!     filename: /var/run/secrets/loki/token
//! exporters:
//!   loki:
//!     endpoint: https://loki.example.com
//!     auth: {authenticator: bearertokenauth}
//! ```

mod config;
mod tokens;

use corten_component::{
    ClientAuth, Component, Extension, Factory, Kind, Metadata, ServerAuth, Stability,
};

use crate::config::Config;
use crate::tokens::Tokens;

/// Who this component is.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Extension,
    type_name: "bearertokenauth",
    aliases: &["bearer_token_auth"],
    signals: &[],
    produces: &[],
    stability: Stability::Beta,
    summary: "Signs requests with, or lets them in by, a token in a header",
};

/// Makes instances of it.
#[must_use]
pub fn factory() -> Factory {
    Factory::extension(&METADATA, |_cx, config: Config| {
        Ok(BearerTokenAuth {
            tokens: Tokens::new(&config)?,
        })
    })
}

/// The running extension.
struct BearerTokenAuth {
    tokens: Tokens,
}

impl Component for BearerTokenAuth {}

impl Extension for BearerTokenAuth {
    fn client_auth(&self) -> Option<&dyn ClientAuth> {
        Some(&self.tokens)
    }

    fn server_auth(&self) -> Option<&dyn ServerAuth> {
        Some(&self.tokens)
    }
}

#[cfg(test)]
mod tests {
    use corten_testing::{conforms, decode};

    use super::*;

    #[tokio::test]
    async fn conforms_to_the_contract() {
        conforms(factory(), "token: abc").await;
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let problem = |yaml: &str| decode(&factory(), yaml).map(|_| ()).unwrap_err();
        assert!(problem("{}").contains("no bearer token provided"));
        assert!(
            problem("{token: a, tokens: [b]}")
                .contains("either token or tokens should be provided, not both")
        );
        assert!(problem("{token: a, header: 'a b'}").contains("header is not a header's name"));
        let secret = problem("{token: \"hunter2\\nx\"}");
        assert!(
            secret.contains("control character") && !secret.contains("hunter2"),
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
        assert!(!effective("token: hunter2").contains("hunter2"));
        assert!(!effective("tokens: [hunter2]").contains("hunter2"));
    }
}
