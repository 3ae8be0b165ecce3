//! Which handler listens where, from start to shutdown.

use std::sync::Arc;

use corten_component::{
    BoxError, Component, Context, Next, Receiver, ServerAuth, Signal, async_trait,
};
use corten_config::settings::{Auth, GrpcServer};
use corten_config::types::Optional;
use corten_net::body::Limits;
use corten_net::listen::{Guard, ListenError, Listener, Listeners};
use http::Method;

use crate::config::{Config, Http, Paths};
use crate::intake::Intake;
use crate::{grpc, http as otlp_http};

/// The receiver: its listeners, which hold the handlers.
pub(crate) struct Otlp {
    pub(crate) listeners: Vec<Listener>,
}

impl Otlp {
    pub(crate) fn create(cx: Context, config: Config, next: Next) -> Result<Self, BoxError> {
        let intake = Arc::new(Intake::new(&cx, &config, next));
        let mut listeners = Vec::new();
        if let Some(settings) = config.protocols.grpc.as_ref() {
            listeners.push(listen_grpc(&cx, settings, &intake)?);
        }
        if let Some(settings) = config.protocols.http.as_ref() {
            listeners.push(listen_http(&cx, settings, &intake)?);
        }
        Ok(Self { listeners })
    }
}

fn listen_grpc(
    cx: &Context,
    settings: &GrpcServer,
    intake: &Arc<Intake>,
) -> Result<Listener, BoxError> {
    let listener = Listeners::of(cx).grpc(cx, "protocols::grpc", settings)?;
    let auth = authenticator(cx, &settings.auth)?;
    for signal in intake.signals() {
        let service = grpc::Service {
            signal,
            intake: Arc::clone(intake),
            limits: Limits::new(usize::try_from(settings.max_message_size())?),
            auth: auth.clone(),
            include_metadata: settings.include_metadata,
        };
        listener.route(&[Method::POST], grpc::path(signal), Arc::new(service))?;
    }
    Ok(listener)
}

fn listen_http(cx: &Context, settings: &Http, intake: &Arc<Intake>) -> Result<Listener, BoxError> {
    let Http { server, paths } = settings;
    let listener = Listeners::of(cx).http(cx, "protocols::http", server)?;
    let guard = Guard::new(cx, server)?;
    let limits = Limits {
        total: server.read_timeout.non_zero(),
        ..Limits::new(usize::try_from(server.max_request_body_size)?)
    };
    let compression: Arc<[String]> = server.compression_algorithms.clone().into();
    for signal in intake.signals() {
        let path = match signal {
            Signal::Logs => &paths.logs_url_path,
            Signal::Metrics => &paths.metrics_url_path,
            Signal::Traces => &paths.traces_url_path,
        };
        let service = otlp_http::Service {
            signal,
            intake: Arc::clone(intake),
            limits,
            include_metadata: server.include_metadata,
            compression: Arc::clone(&compression),
        };
        let handler = guard.wrap(Arc::new(service));
        // Every method: the handler says in its own words that it wants POST, and answers browsers' questions.
        listener.route(&[], &Paths::normal(path), handler)?;
    }
    Ok(listener)
}

fn authenticator(
    cx: &Context,
    auth: &Optional<Auth>,
) -> Result<Option<Arc<dyn ServerAuth>>, BoxError> {
    let id = auth.as_ref().and_then(|auth| auth.authenticator.as_ref());
    Ok(id.map(|id| cx.server_auth(id)).transpose()?)
}

#[async_trait]
impl Component for Otlp {
    /// Binds every address; what was bound is given back when one of them cannot be.
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        for listener in &self.listeners {
            let started: Result<(), ListenError> = listener.start().await;
            if let Err(error) = started {
                self.shutdown().await?;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Takes nothing new, and waits until every request under way has its answer.
    async fn shutdown(&self) -> Result<(), BoxError> {
        futures_util::future::join_all(self.listeners.iter().map(Listener::shutdown)).await;
        Ok(())
    }
}

impl Receiver for Otlp {}
