//! What metadata services have in common: a few small documents over HTTP, at an address that only the machine itself reaches.

use bytes::Bytes;
use corten_net::body::Body;
use corten_net::client::HttpClient;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::detectors::Failure;

/// A metadata service, and what every request to it says.
pub(crate) struct Service<'c> {
    client: &'c HttpClient,
    endpoint: &'c str,
    headers: HeaderMap,
}

impl<'c> Service<'c> {
    /// `endpoint`: an address without a path at its end.
    pub(crate) fn new(client: &'c HttpClient, endpoint: &'c str) -> Self {
        Self {
            client,
            endpoint: endpoint.trim_end_matches('/'),
            headers: HeaderMap::new(),
        }
    }

    /// Says this with every request from now on.
    ///
    /// # Errors
    ///
    /// A value that is no header's.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Result<Self, Failure> {
        let value = HeaderValue::from_str(value)?;
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(self)
    }

    /// The endpoint that is asked.
    pub(crate) fn endpoint(&self) -> &str {
        self.endpoint
    }

    /// The text at this path, without what surrounds it.
    pub(crate) async fn text(&self, path: &str) -> Result<String, Failure> {
        let body = self.ask(Method::GET, path, Body::empty()).await?;
        Ok(std::str::from_utf8(&body)?.trim().to_owned())
    }

    /// The document at this path.
    pub(crate) async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let body = self.ask(Method::GET, path, Body::empty()).await?;
        read(&body).map_err(|error| {
            let endpoint = self.endpoint;
            format!("{endpoint}{path}: not what is said there: {error}").into()
        })
    }

    /// What the service answers to a `PUT`: a token, as a rule.
    pub(crate) async fn put(&self, path: &str, body: &'static str) -> Result<String, Failure> {
        let body = Body::full(Bytes::from_static(body.as_bytes()));
        let answer = self.ask(Method::PUT, path, body).await?;
        Ok(std::str::from_utf8(&answer)?.trim().to_owned())
    }

    /// An answer that names no machine is not a cloud's.
    pub(crate) fn is_named(&self, id: &str) -> Result<(), Failure> {
        if id.is_empty() {
            return Err(format!("{}: the answer names no instance", self.endpoint).into());
        }
        Ok(())
    }

    /// One request; an answer of another status than 200 is a failure.
    async fn ask(&self, method: Method, path: &str, body: Body) -> Result<Bytes, Failure> {
        let url = format!("{}{path}", self.endpoint);
        let uri: Uri = url.parse()?;
        let headers = self.headers.clone();
        let response = self.client.send(method, &uri, headers, body).await?;
        match response.status {
            200 => Ok(response.body),
            status => Err(format!("{url}: answered {status}").into()),
        }
    }
}

/// A document of JSON, in which `null` is as good as nothing.
fn read<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    fn without_nulls(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|_, value| !value.is_null());
                fields.values_mut().for_each(without_nulls);
            }
            Value::Array(all) => all.iter_mut().for_each(without_nulls),
            _ => {}
        }
    }
    let mut value: Value = serde_json::from_slice(body)?;
    // A list would be taken for the fields in their order.
    if !value.is_object() {
        return Err(serde::de::Error::custom("expected an object"));
    }
    without_nulls(&mut value);
    serde_json::from_value(value)
}
