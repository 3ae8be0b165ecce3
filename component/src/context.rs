//! What a component may ask of its surroundings.

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry::metrics::Meter;

use crate::{
    ClientAuth, Closing, ComponentId, Endpoints, Extension, Health, HealthHandle, Kind, Leadership,
    Observer, ServerAuth, Services, Storage, Tasks,
};

/// The extensions of one run, by name.
#[derive(Clone, Default)]
pub struct Extensions(Arc<BTreeMap<ComponentId, Arc<dyn Extension>>>);

impl Extensions {
    /// These extensions.
    #[must_use]
    pub fn new(extensions: BTreeMap<ComponentId, Arc<dyn Extension>>) -> Self {
        Self(Arc::new(extensions))
    }

    fn find<'a, T: ?Sized + 'a>(
        &'a self,
        id: &ComponentId,
        capability: &'static str,
        get: impl Fn(&'a dyn Extension) -> Option<&'a T>,
    ) -> Result<(), MissingExtension> {
        let Some(extension) = self.0.get(id) else {
            return Err(MissingExtension::Unknown { id: id.clone() });
        };
        match get(&**extension) {
            Some(_) => Ok(()),
            None => Err(MissingExtension::Incapable {
                id: id.clone(),
                capability,
            }),
        }
    }
}

/// A component names an extension that cannot serve it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissingExtension {
    /// It is not running.
    #[error(
        "extension \"{id}\" is not running: configure it under extensions and list it in service::extensions"
    )]
    Unknown {
        /// The extension's name.
        id: ComponentId,
    },
    /// It is something else.
    #[error("extension \"{id}\" is no {capability}")]
    Incapable {
        /// The extension's name.
        id: ComponentId,
        /// What was wanted of it.
        capability: &'static str,
    },
}

/// An extension that was found to have a capability, held for as long as the component lives.
struct Held(Arc<dyn Extension>);

impl Storage for Held {
    fn directory(
        &self,
        kind: Kind,
        id: &ComponentId,
        purpose: &str,
    ) -> Result<std::path::PathBuf, crate::StorageError> {
        match self.0.storage() {
            Some(storage) => storage.directory(kind, id, purpose),
            None => Err(crate::StorageError {
                path: std::path::PathBuf::new(),
                source: std::io::Error::other("the extension gave up its storage"),
            }),
        }
    }
}

impl ClientAuth for Held {
    fn sign(&self, headers: &mut http::HeaderMap) -> Result<(), crate::BoxError> {
        match self.0.client_auth() {
            Some(auth) => auth.sign(headers),
            None => Err("the extension gave up its credentials".into()),
        }
    }

    fn rejected(&self) {
        if let Some(auth) = self.0.client_auth() {
            auth.rejected();
        }
    }
}

impl ServerAuth for Held {
    fn authenticate(&self, headers: &http::HeaderMap) -> Result<(), crate::Denied> {
        match self.0.server_auth() {
            Some(auth) => auth.authenticate(headers),
            None => Err(crate::Denied {
                reason: "the authenticator is gone".to_owned(),
                challenge: None,
            }),
        }
    }
}

impl Leadership for Held {
    fn leading(&self) -> tokio::sync::watch::Receiver<bool> {
        match self.0.leadership() {
            Some(leadership) => leadership.leading(),
            None => tokio::sync::watch::channel(false).1,
        }
    }
}

impl Observer for Held {
    fn endpoints(&self) -> tokio::sync::watch::Receiver<Arc<Endpoints>> {
        match self.0.observer() {
            Some(observer) => observer.endpoints(),
            None => tokio::sync::watch::channel(Arc::default()).1,
        }
    }
}

/// What a component may ask of its surroundings; given to it at `create`, cheap to clone.
#[derive(Clone)]
pub struct Context {
    kind: Kind,
    id: ComponentId,
    pipeline: Option<Arc<str>>,
    extensions: Extensions,
    services: Services,
    tasks: Tasks,
    health: HealthHandle,
    meter: Meter,
}

impl Context {
    /// The context of one component; the pipeline builder and tests make it.
    #[must_use]
    pub fn new(
        kind: Kind,
        id: ComponentId,
        extensions: Extensions,
        services: Services,
        health: &Health,
        meter: Meter,
    ) -> Self {
        let health = health.register(kind, id.clone());
        Self {
            kind,
            id,
            pipeline: None,
            extensions,
            services,
            tasks: Tasks::new(),
            health,
            meter,
        }
    }

    /// The same for a processor of the pipeline `name`.
    #[must_use]
    pub fn in_pipeline(mut self, name: Arc<str>) -> Self {
        self.pipeline = Some(name);
        self
    }

    /// A context of a part of this component that has a life of its own: with the same surroundings, a name for its
    /// metrics, and tasks of its own, which whoever asked for it has to end.
    #[must_use]
    pub fn part(&self, id: ComponentId) -> Self {
        Self {
            id,
            tasks: Tasks::new(),
            ..self.clone()
        }
    }

    /// The same with a place of its own on another board: for a part whose health is not its owner's.
    #[must_use]
    pub fn with_health(mut self, board: &Health) -> Self {
        self.health = board.register(self.kind, self.id.clone());
        self
    }

    /// A context for tests and tools: no extensions, metrics that go nowhere.
    ///
    /// # Panics
    ///
    /// Never; an `id` that is no component id becomes `invalid`.
    #[must_use]
    pub fn detached(kind: Kind, id: ComponentId) -> Self {
        Self::new(
            kind,
            id,
            Extensions::default(),
            Services::new(),
            &Health::new(),
            opentelemetry::metrics::MeterProvider::meter(
                &opentelemetry::metrics::noop::NoopMeterProvider::new(),
                "corten",
            ),
        )
    }

    /// What the component is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn id(&self) -> &ComponentId {
        &self.id
    }

    /// The pipeline that a processor works in; `None` for all other kinds.
    #[must_use]
    pub fn pipeline(&self) -> Option<&str> {
        self.pipeline.as_deref()
    }

    /// The component's tasks; they end when it is shut down.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Whether the whole run is about to shut down; see [`Closing`].
    #[must_use]
    pub fn closing(&self) -> Closing {
        (*self.services.get_or_insert_with(Closing::new)).clone()
    }

    /// Where the component says how it is doing.
    #[must_use]
    pub fn health(&self) -> &HealthHandle {
        &self.health
    }

    /// For what only this component can count. Names begin with `otelcol_`, or with `corten_` for
    /// what the Collector does not have.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// What the components of this run share.
    #[must_use]
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// The storage extension `id`.
    ///
    /// # Errors
    ///
    /// It is not running, or it is no storage.
    pub fn storage(&self, id: &ComponentId) -> Result<Arc<dyn Storage>, MissingExtension> {
        self.extensions
            .find(id, "storage", |extension| extension.storage())?;
        self.held(id).map(|held| held as Arc<dyn Storage>)
    }

    /// The authenticator `id` for outgoing requests.
    ///
    /// # Errors
    ///
    /// It is not running, or it cannot sign requests.
    pub fn client_auth(&self, id: &ComponentId) -> Result<Arc<dyn ClientAuth>, MissingExtension> {
        self.extensions
            .find(id, "client authenticator", |extension| {
                extension.client_auth()
            })?;
        self.held(id).map(|held| held as Arc<dyn ClientAuth>)
    }

    /// The authenticator `id` for incoming requests.
    ///
    /// # Errors
    ///
    /// It is not running, or it cannot check requests.
    pub fn server_auth(&self, id: &ComponentId) -> Result<Arc<dyn ServerAuth>, MissingExtension> {
        self.extensions
            .find(id, "server authenticator", |extension| {
                extension.server_auth()
            })?;
        self.held(id).map(|held| held as Arc<dyn ServerAuth>)
    }

    /// The leader elector `id`.
    ///
    /// # Errors
    ///
    /// It is not running, or it elects nobody.
    pub fn leadership(&self, id: &ComponentId) -> Result<Arc<dyn Leadership>, MissingExtension> {
        self.extensions
            .find(id, "leader elector", |extension| extension.leadership())?;
        self.held(id).map(|held| held as Arc<dyn Leadership>)
    }

    /// The observer `id`.
    ///
    /// # Errors
    ///
    /// It is not running, or it observes nothing.
    pub fn observer(&self, id: &ComponentId) -> Result<Arc<dyn Observer>, MissingExtension> {
        self.extensions
            .find(id, "observer", |extension| extension.observer())?;
        self.held(id).map(|held| held as Arc<dyn Observer>)
    }

    fn held(&self, id: &ComponentId) -> Result<Arc<Held>, MissingExtension> {
        match self.extensions.0.get(id) {
            Some(extension) => Ok(Arc::new(Held(Arc::clone(extension)))),
            None => Err(MissingExtension::Unknown { id: id.clone() }),
        }
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({} {})", self.kind, self.id)
    }
}
