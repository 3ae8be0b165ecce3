//! Extensions for tests of components that name some.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use corten_component::{
    Component, ComponentId, Context, Extension, Extensions, Health, Kind, Leadership, Services,
    Storage, StorageError,
};
use tokio::sync::watch;

/// Storage in a folder.
#[derive(Debug)]
pub struct Disk(pub PathBuf);

impl Component for Disk {}

impl Extension for Disk {
    fn storage(&self) -> Option<&dyn Storage> {
        Some(self)
    }
}

impl Storage for Disk {
    fn directory(
        &self,
        kind: Kind,
        id: &ComponentId,
        purpose: &str,
    ) -> Result<PathBuf, StorageError> {
        let id = id.to_string().replace('/', "_");
        let path = self.0.join(format!("{}_{id}_{purpose}", kind.plural()));
        match fs::create_dir_all(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(StorageError { path, source }),
        }
    }
}

/// A leader elector that elects as the test says.
#[derive(Debug)]
pub struct Elected(watch::Sender<bool>);

impl Elected {
    /// One that begins so.
    #[must_use]
    pub fn new(leading: bool) -> Arc<Self> {
        Arc::new(Self(watch::channel(leading).0))
    }

    /// Whether this agent leads from now on.
    pub fn set(&self, leading: bool) {
        self.0.send_replace(leading);
    }
}

impl Component for Elected {}

impl Extension for Elected {
    fn leadership(&self) -> Option<&dyn Leadership> {
        Some(self)
    }
}

impl Leadership for Elected {
    fn leading(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }
}

/// A context with extensions; whoever asks for another one is told that it is not running. Metrics go nowhere.
///
/// # Panics
///
/// When a name is none.
#[must_use]
#[expect(clippy::expect_used, reason = "a test's arrangement has failed")]
pub fn context_with(
    kind: Kind,
    id: &str,
    extensions: &[(&str, Arc<dyn Extension>)],
    health: &Health,
) -> Context {
    let name = |text: &str| text.parse::<ComponentId>().expect("the id of a component");
    let extensions = extensions
        .iter()
        .map(|(id, extension)| (name(id), Arc::clone(extension)));
    Context::new(
        kind,
        name(id),
        Extensions::new(extensions.collect()),
        Services::new(),
        health,
        opentelemetry::metrics::MeterProvider::meter(
            &opentelemetry::metrics::noop::NoopMeterProvider::new(),
            "test",
        ),
    )
}
