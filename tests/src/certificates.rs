//! Certificates, and TLS in front of servers that have none.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::http::{self, Reply};

/// An authority that everybody trusts who has its certificate.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, in files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate's file.
    pub cert: PathBuf,
    /// The key's file.
    pub key: PathBuf,
}

impl Authority {
    /// A new one; two of the same name are still strangers.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Writes its certificate.
    pub fn write(&self, path: &Path) {
        replace(path, &self.pem);
    }

    /// Writes `<name>.crt` and `<name>.key` for a server at `localhost` and `127.0.0.1`, or a client.
    #[must_use]
    pub fn issue(&self, dir: &Path, name: &str) -> Identity {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let identity = Identity {
            cert: dir.join(format!("{name}.crt")),
            key: dir.join(format!("{name}.key")),
        };
        replace(&identity.cert, &certificate.pem());
        replace(&identity.key, &key.serialize_pem());
        identity
    }
}

/// Puts a file in the place of another at once, as tools do that rotate.
fn replace(path: &Path, text: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, text).unwrap();
    std::fs::rename(&next, path).unwrap();
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

fn roots(authority: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority) {
        roots.add(certificate).unwrap();
    }
    roots
}

impl Identity {
    fn read(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::from_pem_file(&self.key).unwrap();
        (certificates(&self.cert), key)
    }
}

/// Speaks TLS with clients and hands what they say to a server in the clear. Files are read for every connection. Its
/// server ends when it is dropped.
pub struct TlsFront {
    port: u16,
    connections: Arc<AtomicUsize>,
    cut: Arc<Notify>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl TlsFront {
    /// In front of `127.0.0.1:behind`; lets only those in whose certificate is by the authority `clients`.
    #[must_use]
    pub fn start(behind: u16, identity: Identity, clients: PathBuf) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let cut = Arc::new(Notify::new());
        let (counted, cutting) = (Arc::clone(&connections), Arc::clone(&cut));
        let serve = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (identity, clients) = (identity.clone(), clients.clone());
                let (counted, cutting) = (Arc::clone(&counted), Arc::clone(&cutting));
                let relay = async move {
                    let mut client = acceptor(&identity, &clients).accept(stream).await?;
                    counted.fetch_add(1, Ordering::Relaxed);
                    let mut server = tokio::net::TcpStream::connect(("127.0.0.1", behind)).await?;
                    tokio::select! {
                        ended = tokio::io::copy_bidirectional(&mut client, &mut server) => ended,
                        () = cutting.notified() => Ok((0, 0)),
                    }
                };
                #[expect(
                    clippy::disallowed_methods,
                    reason = "ends with the runtime that it runs on"
                )]
                tokio::spawn(relay);
            }
        };
        runtime.spawn(serve);
        Self {
            port,
            connections,
            cut,
            runtime: Some(runtime),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends every connection.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// How many clients it has let in.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn acceptor(identity: &Identity, clients: &Path) -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots(clients)),
        Arc::clone(&provider),
    );
    let (certificates, key) = identity.read();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(certificates, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// GETs `path` of `https://localhost:port`, trusting `authority` alone, as `identity`.
///
/// # Errors
///
/// There is no answer: one of the two does not trust the other.
pub fn https_get(
    port: u16,
    path: &str,
    headers: &[(&str, &str)],
    authority: &Path,
    identity: Option<&Identity>,
) -> io::Result<Reply> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(authority));
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (certificates, key) = identity.read();
            builder.with_client_auth_cert(certificates, key).unwrap()
        }
    };
    let mut request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await?;
        stream.write_all(request.as_bytes()).await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        http::parse(&reply).ok_or_else(|| io::Error::other("no HTTP reply"))
    })
}
