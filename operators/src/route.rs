//! The operators that decide where an entry goes, if anywhere.

use std::sync::Arc;

use corten_config::{Checker, Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chain::{Built, Work};
use crate::entry::Entry;
use crate::expr::Expr;
use crate::failure::Failure;
use crate::settings::{Plain, check_names};
use crate::template::Template;
use crate::transform::{failed, missing};
use crate::value::Key;

/// Settings of `filter`: drops entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct FilterSettings {
    /// Of `filter`: an expression; entries for which it is true are dropped.
    pub(crate) expr: Option<Expr>,
    /// Of `filter`: how many of them, from 0 to 1.
    pub(crate) drop_ratio: f64,
}

impl Default for FilterSettings {
    fn default() -> Self {
        Self {
            expr: None,
            drop_ratio: 1.0,
        }
    }
}

pub(crate) fn filter(section: &Section, problems: &mut Problems) -> Option<Built> {
    let settings: Plain<FilterSettings> = section.decode(problems)?;
    let mut at = Checker::new(section, problems);
    let FilterSettings { expr, drop_ratio } = settings.own;
    if !(0.0..=1.0).contains(&drop_ratio) {
        at.field("drop_ratio").error("must be from 0.0 to 1.0");
    }
    let Some(expr) = expr else {
        missing(&mut at, "expr");
        return None;
    };
    check_names(&mut at, "expr", &expr);
    Some(Built {
        common: settings.common,
        work: Work::Filter(Filter {
            expr,
            drop_ratio,
            random: seed(),
        }),
    })
}

/// Decides which entries go.
pub(crate) struct Filter {
    expr: Expr,
    drop_ratio: f64,
    random: u64,
}

fn seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0) | 1
}

impl Filter {
    pub(crate) fn drops(&mut self, entry: &Entry) -> Result<bool, Failure> {
        if !self.expr.matches(entry).map_err(|error| failed(&error))? {
            return Ok(false);
        }
        if self.drop_ratio >= 1.0 {
            return Ok(true);
        }
        // xorshift: good enough for a sample.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let drawn = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        Ok(drawn < self.drop_ratio)
    }
}

/// Settings of `router`: the first route whose expression is true gets the entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct RouterSettings {
    /// Of `router`: where entries go; the first route whose expression is true gets the entry.
    pub(crate) routes: Vec<RouteSettings>,
    /// Of `router`: who gets an entry that no route wants, by id; nobody when it is not given.
    pub(crate) default: corten_config::types::OneOrMany<String>,
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct RouteSettings {
    /// Who gets the entry, by id.
    pub(crate) output: corten_config::types::OneOrMany<String>,
    /// For which entries.
    pub(crate) expr: Option<Expr>,
    /// Attributes that they get; values may have `EXPR(…)`.
    pub(crate) attributes: std::collections::BTreeMap<String, String>,
}

pub(crate) fn router(section: &Section, problems: &mut Problems) -> Option<Built> {
    let settings: Plain<RouterSettings> = section.decode(problems)?;
    let mut at = Checker::new(section, problems);
    if settings.own.routes.is_empty() {
        missing(&mut at, "routes");
        return None;
    }
    if !settings.common.output.is_empty() {
        at.field("output")
            .error("has no meaning for a router: name the outputs of its routes, and 'default'");
    }
    let mut routes = Vec::new();
    for (index, route) in settings.own.routes.iter().enumerate() {
        let mut at = at.item("routes", index);
        if route.output.is_empty() {
            missing(&mut at, "output");
        }
        let mut attributes = Vec::new();
        for (name, value) in &route.attributes {
            match Template::parse(value.as_str().into()) {
                Ok(value) => attributes.push((Key::from(name.as_str()), value)),
                Err(error) => at
                    .field("attributes")
                    .error(format!("can't be read: {error}")),
            }
        }
        let Some(expr) = &route.expr else {
            missing(&mut at, "expr");
            continue;
        };
        check_names(&mut at, "expr", expr);
        routes.push(Route {
            expr: expr.clone(),
            attributes,
            to: route.output.0.clone(),
            outputs: Arc::default(),
        });
    }
    Some(Built {
        common: settings.common,
        work: Work::Router(Router {
            routes,
            to: settings.own.default.0,
            default: Arc::default(),
        }),
    })
}

/// Sends entries here or there.
pub(crate) struct Router {
    pub(crate) routes: Vec<Route>,
    /// The ids of the default's outputs.
    pub(crate) to: Vec<String>,
    pub(crate) default: Arc<[usize]>,
}

/// One way.
pub(crate) struct Route {
    expr: Expr,
    attributes: Vec<(Key, Template)>,
    /// The ids of its outputs.
    pub(crate) to: Vec<String>,
    pub(crate) outputs: Arc<[usize]>,
}

impl Router {
    /// Where an entry goes. A route whose expression can't be evaluated is not taken, as upstream has it.
    pub(crate) fn route(&self, entry: &mut Entry) -> (Arc<[usize]>, Option<Failure>) {
        let mut failure = None;
        for route in &self.routes {
            match route.expr.matches(entry) {
                Ok(false) => {}
                Ok(true) => {
                    for (name, value) in &route.attributes {
                        match value.text(entry) {
                            Ok(value) => drop(entry.attributes.insert(name.clone(), value)),
                            Err(error) => failure = Some(failed(&error)),
                        }
                    }
                    return (Arc::clone(&route.outputs), failure);
                }
                Err(error) => failure = Some(failed(&error)),
            }
        }
        (Arc::clone(&self.default), failure)
    }
}
