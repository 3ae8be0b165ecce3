//! Who a component is, and how its configuration becomes one.

use std::sync::Arc;

use corten_config::{Check, Problems, Section};
use corten_pdata::Signal;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    BoxError, Connector, Consumer, Context, Exporter, Extension, Kind, Next, Processor, Receiver,
};

/// How far a component can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// Works, and its configuration may still change.
    Beta,
    /// Its configuration stays.
    Stable,
}

impl Stability {
    /// `beta`, `stable`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Beta => "beta",
            Self::Stable => "stable",
        }
    }
}

/// Who a component is: one constant per crate, `METADATA`.
#[derive(Clone, Copy, Debug)]
pub struct Metadata {
    /// Which kind of component.
    pub kind: Kind,
    /// Its type in the configuration, `lower_snake_case`.
    pub type_name: &'static str,
    /// Older spellings that are accepted with a warning.
    pub aliases: &'static [&'static str],
    /// The signals that it takes or brings; for a connector those it takes. Empty for an
    /// extension.
    pub signals: &'static [Signal],
    /// For a connector, the signals it brings; empty otherwise.
    pub produces: &'static [Signal],
    /// How far it can be relied on.
    pub stability: Stability,
    /// What it does, in one line without a full stop.
    pub summary: &'static str,
}

/// How a component comes into being, its configuration already bound. Called once per instance:
/// once for every id, and for a processor once for every pipeline that names it. Creating does no
/// IO and starts no task.
pub enum Create {
    /// A receiver, given where its batches go.
    Receiver(CreateFn<Next, dyn Receiver>),
    /// A processor, given what stands behind it in its pipeline.
    Processor(CreateFn<Arc<dyn Consumer>, dyn Processor>),
    /// An exporter.
    Exporter(CreateFn<(), dyn Exporter>),
    /// A connector, given the pipelines that it begins.
    Connector(CreateFn<Next, dyn Connector>),
    /// An extension.
    Extension(CreateFn<(), dyn Extension>),
}

/// Makes a component from its context and what stands behind it.
pub type CreateFn<N, C> = Box<dyn Fn(Context, N) -> Result<Arc<C>, BoxError> + Send + Sync>;

/// A component's configuration, read and checked.
pub struct Prepared {
    /// Makes the component.
    pub create: Create,
    /// Every setting with the value in force, secrets redacted.
    pub effective: serde_json::Value,
}

type DecodeFn = dyn Fn(&Section, &mut Problems) -> Option<Prepared> + Send + Sync;

/// What `distro` lists: a component type and how to make instances of it.
#[derive(Clone)]
pub struct Factory {
    metadata: &'static Metadata,
    decode: Arc<DecodeFn>,
    schema: fn() -> Schema,
}

macro_rules! constructor {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $trait:ident, next: $next:ty) => {
        $(#[$doc])*
        pub fn $name<C, T, F>(metadata: &'static Metadata, create: F) -> Self
        where
            C: Settings,
            T: $trait,
            F: Fn(Context, C, $next) -> Result<T, BoxError> + Send + Sync + 'static,
        {
            let create = Arc::new(create);
            Self::new::<C>(metadata, move |config| {
                let create = Arc::clone(&create);
                Create::$variant(Box::new(move |cx, next| {
                    Ok(Arc::new(create(cx, config.clone(), next)?) as Arc<dyn $trait>)
                }))
            })
        }
    };
    ($(#[$doc:meta])* $name:ident, $variant:ident, $trait:ident) => {
        $(#[$doc])*
        pub fn $name<C, T, F>(metadata: &'static Metadata, create: F) -> Self
        where
            C: Settings,
            T: $trait,
            F: Fn(Context, C) -> Result<T, BoxError> + Send + Sync + 'static,
        {
            let create = Arc::new(create);
            Self::new::<C>(metadata, move |config| {
                let create = Arc::clone(&create);
                Create::$variant(Box::new(move |cx, ()| {
                    Ok(Arc::new(create(cx, config.clone())?) as Arc<dyn $trait>)
                }))
            })
        }
    };
}

/// What a component's configuration type must be; implemented by every type that has these traits.
pub trait Settings:
    DeserializeOwned + Serialize + JsonSchema + Check + Clone + Send + Sync + 'static
{
}

impl<T> Settings for T where
    T: DeserializeOwned + Serialize + JsonSchema + Check + Clone + Send + Sync + 'static
{
}

impl Factory {
    constructor!(
        /// The factory of a receiver whose configuration is `C`.
        receiver, Receiver, Receiver, next: Next
    );
    constructor!(
        /// The factory of a processor whose configuration is `C`.
        processor, Processor, Processor, next: Arc<dyn Consumer>
    );
    constructor!(
        /// The factory of a connector whose configuration is `C`.
        connector, Connector, Connector, next: Next
    );
    constructor!(
        /// The factory of an exporter whose configuration is `C`.
        exporter, Exporter, Exporter
    );
    constructor!(
        /// The factory of an extension whose configuration is `C`.
        extension, Extension, Extension
    );

    fn new<C: Settings>(
        metadata: &'static Metadata,
        create: impl Fn(C) -> Create + Send + Sync + 'static,
    ) -> Self {
        Self {
            metadata,
            decode: Arc::new(move |section, problems| {
                let config: C = section.decode_checked(problems)?;
                let effective = serde_json::to_value(&config).unwrap_or(serde_json::Value::Null);
                Some(Prepared {
                    create: create(config),
                    effective,
                })
            }),
            schema: || schemars::schema_for!(C),
        }
    }

    /// Who it is.
    #[must_use]
    pub fn metadata(&self) -> &'static Metadata {
        self.metadata
    }

    /// Reads and checks the configuration of one component. `None` when it has errors; they are
    /// among the problems then, with warnings that do not stop it.
    pub fn decode(&self, section: &Section, problems: &mut Problems) -> Option<Prepared> {
        (self.decode)(section, problems)
    }

    /// The JSON Schema of the configuration.
    #[must_use]
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }
}

impl std::fmt::Debug for Factory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Factory({} {})",
            self.metadata.kind, self.metadata.type_name
        )
    }
}

/// The component types that there are. A component that makes others while it runs finds them among the
/// [`Services`](crate::Services) of its run.
#[derive(Clone, Debug, Default)]
pub struct Factories(Vec<Factory>);

impl Factories {
    /// These.
    #[must_use]
    pub fn new(factories: Vec<Factory>) -> Self {
        Self(factories)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Factory] {
        &self.0
    }

    /// The component of this type or with this older spelling.
    #[must_use]
    pub fn find(&self, kind: Kind, type_name: &str) -> Option<&Factory> {
        self.of_kind(kind).find(|factory| {
            let metadata = factory.metadata();
            metadata.type_name == type_name || metadata.aliases.contains(&type_name)
        })
    }

    /// Those of one kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Factory> {
        let of_kind = move |factory: &&Factory| factory.metadata().kind == kind;
        self.0.iter().filter(of_kind)
    }
}
