//! TLS from settings: certificates, keys, whom to trust. Files are read again when they change.
//!
//! One crypto provider, ring, is given to every builder by hand; nothing depends on a process-wide default.

mod files;
mod verify;

use std::sync::Arc;

use corten_config::settings::{TlsClient, TlsServer, TlsVersion};
use parking_lot::Mutex;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};

use files::{Pem, Stamps};

/// Certificates, keys or TLS settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or text is no PEM of what is expected.
    #[error("{place}: expected {expected} in PEM format: {problem}")]
    Pem {
        /// The file, or the setting that holds the text.
        place: String,
        /// `a certificate`, `a private key`.
        expected: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A setting is missing.
    #[error("{0} is required")]
    Missing(&'static str),
    /// A cipher suite or a curve that is not known or not safe.
    #[error("unknown {what} \"{name}\" (known: {known})")]
    Unknown {
        /// `cipher suite`, `curve`.
        what: &'static str,
        /// As it was written.
        name: String,
        /// What could have been written.
        known: String,
    },
    /// The parts do not fit together.
    #[error("{0}")]
    Rejected(String),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Rejected(error.to_string())
    }
}

const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// The server's side, for one listener.
pub struct ServerTls {
    settings: TlsServer,
    current: Mutex<(Stamps, Arc<ServerConfig>)>,
}

impl ServerTls {
    /// Reads certificate, key and client authorities.
    ///
    /// # Errors
    ///
    /// Something is missing, unreadable or does not fit.
    pub fn new(settings: &TlsServer) -> Result<Self, TlsError> {
        let stamps = Stamps::of(server_files(settings));
        let config = Arc::new(server_config(settings)?);
        Ok(Self {
            settings: settings.clone(),
            current: Mutex::new((stamps, config)),
        })
    }

    /// The configuration for the next connection. New files that cannot be used leave the old ones in force.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        let mut current = self.current.lock();
        let interval = self.settings.reload_interval.map(Into::into);
        if let Some(stamps) = current.0.changed(interval) {
            match server_config(&self.settings) {
                Ok(config) => current.1 = Arc::new(config),
                Err(error) => {
                    tracing::warn!(%error, "the new certificate cannot be used; the old one stays")
                }
            }
            current.0 = stamps;
        }
        Arc::clone(&current.1)
    }

    /// Speaks TLS with a client that has connected.
    ///
    /// # Errors
    ///
    /// The handshake failed.
    pub async fn accept<IO>(
        &self,
        stream: IO,
    ) -> std::io::Result<tokio_rustls::server::TlsStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        tokio_rustls::TlsAcceptor::from(self.config())
            .accept(stream)
            .await
    }
}

/// The client's side, for one endpoint.
pub struct ClientTls {
    settings: TlsClient,
    http2: Http2,
    /// `None` until somebody needs it: most clients speak in the clear, and never read what a machine trusts.
    current: Mutex<Option<(Stamps, Arc<ClientConfig>)>>,
}

/// Which versions of HTTP a client offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2 {
    /// HTTP/2 alone, as gRPC needs.
    Only,
    /// HTTP/2 where the server can, HTTP/1.1 otherwise.
    Offered,
    /// HTTP/1.1.
    Never,
}

impl ClientTls {
    /// Files are not looked at: [`read`](Self::read) does, or the first connection.
    ///
    /// # Errors
    ///
    /// A setting is missing, or does not fit; a text is no certificate or key.
    pub fn new(settings: &TlsClient, http2: Http2) -> Result<Self, TlsError> {
        let this = Self {
            settings: settings.clone(),
            http2,
            current: Mutex::new(None),
        };
        provider(&settings.cipher_suites, &settings.curve_preferences)?;
        let (certificate, key) = identity(settings)?.unzip();
        let authorities = Pem::pick(&settings.ca_file, "ca_pem", &settings.ca_pem);
        for text in [authorities, certificate].into_iter().flatten() {
            if !text.is_file() {
                text.certificates()?;
            }
        }
        if let Some(key) = key
            && !key.is_file()
        {
            key.key()?;
        }
        Ok(this)
    }

    /// Reads the files that the settings name, so that one that cannot be used is found before anything is sent.
    ///
    /// # Errors
    ///
    /// Something is unreadable or does not fit.
    pub fn read(&self) -> Result<(), TlsError> {
        if !client_files(&self.settings).is_empty() {
            self.config()?;
        }
        Ok(())
    }

    /// The configuration for the next connection. New files that cannot be used leave the old ones in force.
    ///
    /// # Errors
    ///
    /// Files that have never been of use still are not.
    pub fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut current = self.current.lock();
        let Some((stamps, config)) = &mut *current else {
            let stamps = Stamps::of(client_files(&self.settings));
            let config = Arc::new(client_config(&self.settings, self.http2)?);
            *current = Some((stamps, Arc::clone(&config)));
            return Ok(config);
        };
        let interval = self.settings.reload_interval.map(Into::into);
        if let Some(changed) = stamps.changed(interval) {
            match client_config(&self.settings, self.http2) {
                Ok(new) => *config = Arc::new(new),
                Err(error) => {
                    tracing::warn!(%error, "the new certificates cannot be used; the old ones stay")
                }
            }
            *stamps = changed;
        }
        Ok(Arc::clone(config))
    }

    /// Speaks TLS with the server `host` (without brackets), whose certificate must have that name unless the settings
    /// give another.
    ///
    /// # Errors
    ///
    /// The handshake failed, or the certificate is not trusted.
    pub async fn connect<IO>(
        &self,
        host: &str,
        stream: IO,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let name = self
            .settings
            .server_name_override
            .as_deref()
            .filter(|name| !name.is_empty());
        let name = ServerName::try_from(name.unwrap_or(host).to_owned())
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))?;
        let config = self.config().map_err(std::io::Error::other)?;
        tokio_rustls::TlsConnector::from(config)
            .connect(name, stream)
            .await
    }
}

fn server_files(settings: &TlsServer) -> Vec<std::path::PathBuf> {
    [
        &settings.cert_file,
        &settings.key_file,
        &settings.client_ca_file,
    ]
    .into_iter()
    .flatten()
    .cloned()
    .collect()
}

fn client_files(settings: &TlsClient) -> Vec<std::path::PathBuf> {
    [&settings.ca_file, &settings.cert_file, &settings.key_file]
        .into_iter()
        .flatten()
        .cloned()
        .collect()
}

fn server_config(settings: &TlsServer) -> Result<ServerConfig, TlsError> {
    let provider = provider(&settings.cipher_suites, &settings.curve_preferences)?;
    let certificate = Pem::pick(&settings.cert_file, "cert_pem", &settings.cert_pem)
        .ok_or(TlsError::Missing("cert_file"))?
        .certificates()?;
    let key = Pem::pick(&settings.key_file, "key_pem", &settings.key_pem)
        .ok_or(TlsError::Missing("key_file"))?
        .key()?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(settings.min_version, settings.max_version))?;
    let clients = Pem::pick(&settings.client_ca_file, "", &None);
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for certificate in authorities.certificates()? {
                roots.add(certificate)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| TlsError::Rejected(format!("client_ca_file: {error}")))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(certificate, key)?;
    config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
    Ok(config)
}

fn client_config(settings: &TlsClient, http2: Http2) -> Result<ClientConfig, TlsError> {
    let provider = provider(&settings.cipher_suites, &settings.curve_preferences)?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(settings.min_version, settings.max_version))?;
    let builder = if settings.insecure_skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(verify::Anybody::new(provider))
    } else {
        builder.with_root_certificates(roots(settings)?)
    };
    let mut config = match identity(settings)? {
        Some((certificate, key)) => {
            builder.with_client_auth_cert(certificate.certificates()?, key.key()?)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = match http2 {
        Http2::Only => vec![HTTP_2.to_vec()],
        Http2::Offered => vec![HTTP_2.to_vec(), HTTP_1.to_vec()],
        Http2::Never => vec![HTTP_1.to_vec()],
    };
    Ok(config)
}

/// Certificate and key of the client, if it has them.
fn identity(settings: &TlsClient) -> Result<Option<(Pem<'_>, Pem<'_>)>, TlsError> {
    let certificate = Pem::pick(&settings.cert_file, "cert_pem", &settings.cert_pem);
    let key = Pem::pick(&settings.key_file, "key_pem", &settings.key_pem);
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(TlsError::Missing("key_file")),
        (None, Some(_)) => Err(TlsError::Missing("cert_file")),
    }
}

fn roots(settings: &TlsClient) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let own = Pem::pick(&settings.ca_file, "ca_pem", &settings.ca_pem);
    if own.is_none() || settings.include_system_ca_certs_pool {
        let system = rustls_native_certs::load_native_certs();
        // Stores of real systems hold certificates that rustls refuses; the others count.
        let (usable, _) = roots.add_parsable_certificates(system.certs);
        if usable == 0 && own.is_none() {
            tracing::warn!(
                "this machine has no certificate authorities; set tls::ca_file, or install ca-certificates"
            );
        }
    }
    if let Some(own) = own {
        for certificate in own.certificates()? {
            roots.add(certificate)?;
        }
    }
    Ok(roots)
}

fn versions(
    min: Option<TlsVersion>,
    max: Option<TlsVersion>,
) -> Vec<&'static SupportedProtocolVersion> {
    let min = min.unwrap_or(TlsVersion::V1_2);
    let max = max.unwrap_or(TlsVersion::V1_3);
    [
        (TlsVersion::V1_3, &rustls::version::TLS13),
        (TlsVersion::V1_2, &rustls::version::TLS12),
    ]
    .into_iter()
    .filter(|(version, _)| (min..=max).contains(version))
    .map(|(_, version)| version)
    .collect()
}

/// ring, with the suites and groups that the settings choose.
fn provider(suites: &[String], curves: &[String]) -> Result<Arc<CryptoProvider>, TlsError> {
    let mut provider = ring::default_provider();
    if !suites.is_empty() {
        let name = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite());
        let unknown = suites.iter().find(|wanted| {
            !provider
                .cipher_suites
                .iter()
                .any(|suite| name(suite) == **wanted)
        });
        if let Some(unknown) = unknown {
            return Err(TlsError::Unknown {
                what: "cipher suite",
                name: unknown.clone(),
                known: provider
                    .cipher_suites
                    .iter()
                    .map(name)
                    .collect::<Vec<_>>()
                    .join(", "),
            });
        }
        // The setting chooses among the suites of TLS 1.2 alone.
        provider
            .cipher_suites
            .retain(|suite| suite.tls13().is_some() || suites.contains(&name(suite)));
    }
    if !curves.is_empty() {
        let by_name = |name: &str| {
            Some(match name {
                "X25519" => ring::kx_group::X25519,
                "P256" => ring::kx_group::SECP256R1,
                "P384" => ring::kx_group::SECP384R1,
                _ => return None,
            })
        };
        provider.kx_groups = curves
            .iter()
            .map(|name| {
                by_name(name).ok_or_else(|| TlsError::Unknown {
                    what: "curve",
                    name: name.clone(),
                    known: "X25519, P256, P384".to_owned(),
                })
            })
            .collect::<Result<_, _>>()?;
    }
    Ok(Arc::new(provider))
}
