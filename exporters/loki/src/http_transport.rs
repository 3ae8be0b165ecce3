//! Pushing over HTTP.

use std::borrow::Cow;

use bytes::Bytes;
use corten_component::{BoxError, Context, async_trait};
use corten_net::client::HttpClient;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{HeaderName, Uri};

use crate::config::Config;
use crate::transport::{Answer, Transport};

const TENANT: HeaderName = HeaderName::from_static("x-scope-orgid");

/// What of an answer's text is looked at. Loki lists at most ten entries per stream, and sums up the rest.
const LONGEST_ANSWER: usize = 256 << 10;

/// One URL of one Loki.
pub(crate) struct HttpTransport {
    client: HttpClient,
    url: Uri,
    address: String,
    headers: HeaderMap,
}

impl HttpTransport {
    pub(crate) fn new(cx: &Context, config: &Config) -> Result<Self, BoxError> {
        let settings = config.client();
        let url: Uri = settings
            .endpoint
            .parse()
            .map_err(|error| format!("endpoint: {error}"))?;
        let authority = url.authority().map_or("", |authority| authority.as_str());
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let address = format!(
            "{}://{host}{}",
            url.scheme_str().unwrap_or("http"),
            url.path()
        );
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-protobuf"),
        );
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        Ok(Self {
            client: HttpClient::new(cx, &settings)?,
            url,
            address,
            headers,
        })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    fn start(&self) -> Result<(), BoxError> {
        Ok(self.client.read_certificates()?)
    }

    async fn post(&self, tenant: Option<&str>, body: Bytes) -> Result<Answer, BoxError> {
        let mut headers = self.headers.clone();
        if let Some(tenant) = tenant {
            headers.insert(TENANT, HeaderValue::from_str(tenant)?);
        }
        let response = self
            .client
            .post(&self.url, headers, body)
            .await
            .map_err(|error| error.cause)?;
        let body = response
            .body
            .get(..LONGEST_ANSWER)
            .unwrap_or(&response.body);
        Ok(Answer {
            status: response.status,
            retry_after: response.retry_after(),
            body: String::from_utf8_lossy(body).into_owned(),
        })
    }

    fn address(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.address)
    }
}
