//! The functions that look at every element of a list: `any(body.tags, # == "x")`.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::eval::{Result, Run, fail, int};
use super::functions::{list, needs, shown};
use super::val::Val;
use crate::value::{Map, Value};

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    CLOSURES.iter().map(|(name, _)| *name)
}

/// A function that looks at every element of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closure {
    All,
    Any,
    One,
    None,
    Map,
    Filter,
    Find,
    FindIndex,
    FindLast,
    FindLastIndex,
    Count,
    Sum,
    GroupBy,
    SortBy,
}

static CLOSURES: [(&str, Closure); 14] = [
    ("all", Closure::All),
    ("any", Closure::Any),
    ("one", Closure::One),
    ("none", Closure::None),
    ("map", Closure::Map),
    ("filter", Closure::Filter),
    ("find", Closure::Find),
    ("findIndex", Closure::FindIndex),
    ("findLast", Closure::FindLast),
    ("findLastIndex", Closure::FindLastIndex),
    ("count", Closure::Count),
    ("sum", Closure::Sum),
    ("groupBy", Closure::GroupBy),
    ("sortBy", Closure::SortBy),
];

impl Closure {
    pub(super) fn of(name: &str) -> Option<Self> {
        let found = CLOSURES.iter().find(|(known, _)| *known == name);
        found.map(|(_, closure)| *closure)
    }

    pub(super) fn name(self) -> &'static str {
        let found = CLOSURES.iter().find(|(_, closure)| *closure == self);
        found.map_or("", |(name, _)| name)
    }

    pub(super) fn needs_predicate(self) -> bool {
        !matches!(self, Self::Count | Self::Sum)
    }

    /// What it makes of the elements; `of` evaluates the predicate.
    pub(super) fn over<'a>(
        self,
        run: &Run<'a>,
        elements: Vec<Val<'a>>,
        of: impl Fn(usize, &Val<'a>) -> Result<Val<'a>>,
    ) -> Result<Val<'a>> {
        let holds = |index: usize, element: &Val<'a>| match of(index, element)? {
            Val::Bool(value) => Ok(value),
            other => fail(format!(
                "the predicate of '{}' must be true or false, found {}",
                self.name(),
                other.type_name()
            )),
        };
        let mut matching = 0;
        Ok(match self {
            Self::All | Self::Any | Self::None => {
                let wanted = self != Self::All;
                for (index, element) in elements.iter().enumerate() {
                    if holds(index, element)? == wanted {
                        return Ok(Val::Bool(self == Self::Any));
                    }
                }
                Val::Bool(self != Self::Any)
            }
            Self::One | Self::Count => {
                for (index, element) in elements.iter().enumerate() {
                    matching += usize::from(holds(index, element)?);
                }
                match self {
                    Self::One => Val::Bool(matching == 1),
                    _ => int(matching),
                }
            }
            Self::Map | Self::Filter => {
                let mut made = Vec::new();
                for (index, element) in elements.into_iter().enumerate() {
                    if self == Self::Map {
                        made.push(run.owned(of(index, &element)?)?);
                    } else if holds(index, &element)? {
                        made.push(run.owned(element)?);
                    }
                }
                list(made)
            }
            Self::Find | Self::FindIndex => {
                for (index, element) in elements.into_iter().enumerate() {
                    if holds(index, &element)? {
                        return Ok(if self == Self::Find {
                            element
                        } else {
                            int(index)
                        });
                    }
                }
                if self == Self::Find {
                    Val::Null
                } else {
                    Val::Int(-1)
                }
            }
            Self::FindLast | Self::FindLastIndex => {
                for (index, element) in elements.into_iter().enumerate().rev() {
                    if holds(index, &element)? {
                        return Ok(if self == Self::FindLast {
                            element
                        } else {
                            int(index)
                        });
                    }
                }
                if self == Self::FindLast {
                    Val::Null
                } else {
                    Val::Int(-1)
                }
            }
            Self::Sum => {
                let (mut whole, mut float) = (Some(0_i64), 0.0);
                for (index, element) in elements.iter().enumerate() {
                    let value = of(index, element)?;
                    whole = match (whole, &value) {
                        (Some(sum), Val::Int(value)) => Some(sum.wrapping_add(*value)),
                        _ => None,
                    };
                    float += match value.number() {
                        Some(value) => value,
                        None => return needs("numbers", &value),
                    };
                }
                whole.map_or(Val::Float(float), Val::Int)
            }
            Self::GroupBy => {
                let mut groups = Map::new();
                for (index, element) in elements.into_iter().enumerate() {
                    let key = shown(of(index, &element)?);
                    let element = run.owned(element)?;
                    match groups.get_mut(&key) {
                        Some(Value::List(group)) => group.push(element),
                        _ => {
                            groups.insert(key.as_ref(), Value::List(vec![element]));
                        }
                    }
                }
                Val::Map(Cow::Owned(groups))
            }
            Self::SortBy => {
                let mut keyed = Vec::with_capacity(elements.len());
                for (index, element) in elements.into_iter().enumerate() {
                    keyed.push((of(index, &element)?, run.owned(element)?));
                }
                keyed.sort_by(|(a, _), (b, _)| a.order(b).unwrap_or(Ordering::Equal));
                list(keyed.into_iter().map(|(_, element)| element).collect())
            }
        })
    }
}
