//! What components of one process share without knowing each other.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use corten_pdata::Metrics;
use parking_lot::Mutex;

use crate::BoxError;

/// One value per type for everything that lives in one run of the configuration: the shared
/// listeners, the ring of recent telemetry, the memory that a limiter's instances share.
///
/// The pipeline builder puts in the [`Factories`](crate::Factories) that there are.
/// The process puts in a [`Health`](crate::Health) board, an `Arc<dyn SelfMetrics>` and an
/// `Arc<dyn Reload>` (`services.get::<Arc<dyn Reload>>()`); the admin extension puts in a
/// [`Recent`](crate::Recent) ring when it is created, before any pipeline is.
#[derive(Clone, Default)]
pub struct Services(Arc<Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>);

impl Services {
    /// Nothing shared yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a value in, in place of an earlier one of the same type.
    pub fn insert<T: Any + Send + Sync>(&self, value: Arc<T>) {
        self.0.lock().insert(TypeId::of::<T>(), value);
    }

    /// The value of type `T`, if somebody put one in.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let value = Arc::clone(self.0.lock().get(&TypeId::of::<T>())?);
        value.downcast().ok()
    }

    /// The value of type `T`, made by `make` if it is not there.
    pub fn get_or_insert_with<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some(value) = self.get() {
            return value;
        }
        let value = Arc::new(make());
        self.insert(Arc::clone(&value));
        value
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Services({})", self.0.lock().len())
    }
}

/// The process's own metrics, as telemetry like any other.
pub trait SelfMetrics: Send + Sync {
    /// The present values.
    ///
    /// # Errors
    ///
    /// The metrics library failed; nothing a user can mend.
    fn collect(&self) -> Result<Metrics, BoxError>;
}

/// Reading the configuration again.
#[async_trait]
pub trait Reload: Send + Sync {
    /// Reads, checks and builds the new configuration. Resolves before the changeover begins (which
    /// takes along whoever asked: an admin server must answer first). A new configuration that
    /// then does not start gives way to the old one again, which is logged.
    ///
    /// # Errors
    ///
    /// The text for the operator, every problem in it; the old configuration goes on.
    async fn reload(&self) -> Result<(), String>;
}
