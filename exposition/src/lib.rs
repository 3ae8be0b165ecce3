//! Prometheus's exposition formats, written straight from OTLP.
//!
//! A page is made in two steps. [`Translation`] walks OTLP metrics and says what they are in
//! Prometheus's terms: name, type, labels ([`naming`] has the rules). What it finds goes to a
//! [`Sink`]. One sink is the [`Page`], which keeps references into the telemetry, sorts, and writes
//! text 0.0.4, OpenMetrics 1.0 or protobuf; another is the store of an exporter that remembers what it was
//! pushed. No data model stands in between: rendering a node's 600 samples takes less time than
//! reading their files.
//!
//! Metrics that came from Prometheus, or were made in its terms, say so in their OTLP metadata
//! (`prometheus.type`). Their names, types and labels are left alone, and nothing is added but, where their resource is a target that
//! was scraped (it has `service.instance.id` and `url.scheme`), what tells one from another.
//!
//! One bad family never costs the page: what cannot be shown beside the rest (a second type for
//! the same name, the same series twice, a histogram with a label `le`) is left out and reported as a
//! [`Problem`].
//!
//! ```
//! use corten_exposition::{Format, Page, Translation};
//! use corten_pdata::Metrics;
//!
//! let metrics = Metrics::new();
//! let translation = Translation::default();
//! let mut page = Page::new(Format::TEXT);
//! translation.visit(&metrics, &mut page);
//! let mut text = Vec::new();
//! let report = page.write(&mut text);
//! assert!(report.problems.is_empty());
//! ```

mod encoding;
mod escaping;
mod labels;
pub mod naming;
mod negotiation;
mod number;
mod page;
mod template;
pub mod text;
mod translated;
mod translation;
mod value;

pub use encoding::Encoding;
pub use escaping::Escaping;
pub use labels::{LabelSet, PackedLabels};
pub use negotiation::{Format, Syntax};
pub use page::{Page, Problem, Report, units_clash};
pub use template::Template;
pub use translated::Translated;
pub use translation::{Family, Kind, Point, ResourceLabels, Sink, Translation};
pub use value::{Exemplar, Exponential, Held, Histogram, Run, Summary, Value, number};
