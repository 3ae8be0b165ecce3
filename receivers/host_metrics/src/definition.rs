//! What a metric is: one table per scraper holds names, units and defaults, and nothing else does.

/// What a metric's points are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A present value.
    Gauge,
    /// A present amount that can be added up.
    UpDown,
    /// A sum since boot.
    Counter,
}

/// One metric.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) description: &'static str,
    pub(crate) shape: Shape,
    /// Whether it is reported unless the user says otherwise.
    pub(crate) on: bool,
    /// The attributes that its points have.
    pub(crate) attributes: &'static [&'static str],
    /// Those that they have when the user asks for them.
    pub(crate) more: &'static [&'static str],
}

impl Definition {
    /// Those of the scraper's points: all that it writes.
    pub(crate) fn all_attributes(&self) -> impl Iterator<Item = &'static str> {
        self.attributes.iter().chain(self.more).copied()
    }

    pub(crate) fn knows(&self, attribute: &str) -> bool {
        self.all_attributes().any(|known| known == attribute)
    }

    /// One that is reported.
    pub(crate) const fn new(
        name: &'static str,
        unit: &'static str,
        shape: Shape,
        attributes: &'static [&'static str],
        description: &'static str,
    ) -> Self {
        Self {
            name,
            unit,
            description,
            shape,
            on: true,
            attributes,
            more: &[],
        }
    }

    /// The same, reported only when the user asks for it.
    pub(crate) const fn off(self) -> Self {
        Self { on: false, ..self }
    }

    /// The same with attributes that its points have when the user asks for them.
    pub(crate) const fn optional(self, more: &'static [&'static str]) -> Self {
        Self { more, ..self }
    }
}
