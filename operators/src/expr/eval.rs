//! What an expression says about an entry.

use corten_config::types::Regex;
use std::borrow::Cow;
use std::cell::Cell;

use super::EvalError;
use super::ast::{Binary, Node, Unary, Variable};
use super::closures::Closure;
use super::val::Val;
use crate::entry::Entry;
use crate::value::{Map, Value};

/// Steps of one evaluation, at most; a step is an operator, or a few dozen bytes that are made.
const STEPS: u32 = 4_000_000;

/// What an expression is about.
#[derive(Clone, Copy)]
pub(super) enum Given<'a> {
    Entry(&'a Entry),
    Names(&'a Map),
}

/// One evaluation. What it allocates is bounded by its steps.
pub(super) struct Run<'a> {
    given: Given<'a>,
    left: Cell<u32>,
}

/// What `#` and `let` variables are, the innermost first.
pub(super) enum Scope<'s, 'a> {
    None,
    Element {
        element: &'s Val<'a>,
        index: usize,
        outer: &'s Scope<'s, 'a>,
    },
    Local {
        value: &'s Val<'a>,
        outer: &'s Scope<'s, 'a>,
    },
}

pub(super) type Result<T> = std::result::Result<T, EvalError>;

pub(super) fn fail<T>(why: impl Into<Cow<'static, str>>) -> Result<T> {
    Err(EvalError(why.into()))
}

/// How `?.` leaves its chain.
const SKIPPED: &str = "";

impl<'a> Run<'a> {
    pub(super) fn new(given: Given<'a>) -> Self {
        Self {
            given,
            left: Cell::new(STEPS),
        }
    }

    /// Pays for something that grows with the data.
    pub(super) fn pay(&self, steps: usize) -> Result<()> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        match self.left.get().checked_sub(steps) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => fail("it takes more than four million steps"),
        }
    }

    pub(super) fn eval(&self, node: &'a Node, scope: &Scope<'_, 'a>) -> Result<Val<'a>> {
        self.pay(1)?;
        Ok(match node {
            Node::Constant(value) => Val::from(value),
            Node::Variable(variable) => self.variable(*variable),
            Node::Name(name) => match self.given {
                Given::Names(names) => names.get(name).map_or(Val::Null, Val::from),
                Given::Entry(_) => Val::Null,
            },
            Node::Local(index) => scope.local(*index).cloned().unwrap_or(Val::Null),
            Node::Element => scope
                .element()
                .map_or(Val::Null, |(element, _)| element.clone()),
            Node::Index => scope.element().map_or(Val::Null, |(_, index)| int(index)),
            Node::Unary(unary, operand) => negate(*unary, &self.eval(operand, scope)?)?,
            Node::Binary(operator, left, right) => self.binary(*operator, left, right, scope)?,
            Node::Matches(text, regex) => match self.eval(text, scope)? {
                Val::Str(text) => Val::Bool(regex.is_match(&text)),
                Val::Null => Val::Bool(false),
                other => {
                    return fail(format!("'matches' needs text, found {}", other.type_name()));
                }
            },
            Node::Member { of, key, optional } => {
                let of = self.eval(of, scope)?;
                if *optional && matches!(of, Val::Null) {
                    return fail(SKIPPED);
                }
                let key = self.eval(key, scope)?;
                self.member(of, &key)?
            }
            Node::Chain(chain) => match self.eval(chain, scope) {
                Err(EvalError(why)) if why == SKIPPED => Val::Null,
                result => result?,
            },
            Node::Slice { of, from, to } => {
                let of = self.eval(of, scope)?;
                let bound = |node: &'a Option<Box<Node>>| match node {
                    None => Ok(None),
                    Some(node) => self.whole(node, scope, "a slice").map(Some),
                };
                let (from, to) = (bound(from)?, bound(to)?);
                self.slice(of, from, to)?
            }
            Node::If(condition, yes, no) => {
                let branch = if self.truth(condition, scope, "?")? {
                    yes
                } else {
                    no
                };
                self.eval(branch, scope)?
            }
            Node::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.push(self.owned(self.eval(item, scope)?)?);
                }
                Val::List(Cow::Owned(list))
            }
            Node::Map(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    match self.eval(key, scope)? {
                        Val::Str(key) => {
                            map.insert(key.as_ref(), self.owned(self.eval(value, scope)?)?)
                        }
                        other => {
                            return fail(format!(
                                "a key must be text, found {}",
                                other.type_name()
                            ));
                        }
                    };
                }
                Val::Map(Cow::Owned(map))
            }
            Node::Call(builtin, arguments) => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(self.eval(argument, scope)?);
                }
                (builtin.call)(self, values).map_err(|error| error.within(builtin.name))?
            }
            Node::Closure(closure, list, predicate) => {
                self.closure(*closure, list, predicate, scope)?
            }
            Node::Let(value, body) => {
                let value = self.eval(value, scope)?;
                let scope = Scope::Local {
                    value: &value,
                    outer: scope,
                };
                self.eval(body, &scope)?
            }
        })
    }

    /// A copy, which is paid for.
    pub(super) fn owned(&self, value: Val<'a>) -> Result<Value> {
        self.pay(weight(&value))?;
        Ok(value.into_value())
    }

    fn variable(&self, variable: Variable) -> Val<'a> {
        let Given::Entry(entry) = self.given else {
            return Val::Null;
        };
        match variable {
            Variable::Body => Val::from(&entry.body),
            Variable::Attributes => Val::Map(Cow::Borrowed(&entry.attributes)),
            Variable::Resource => Val::Map(Cow::Borrowed(&entry.resource)),
            Variable::Timestamp => match entry.time {
                Some(time) => Val::Time(i64::try_from(time).unwrap_or(i64::MAX)),
                None => Val::Time(i64::try_from(entry.observed).unwrap_or(i64::MAX)),
            },
            Variable::SeverityText => Val::Str(Cow::Borrowed(&entry.severity_text)),
            Variable::SeverityNumber => Val::Int(entry.severity.into()),
            Variable::ScopeName => Val::Str(Cow::Borrowed(&entry.scope_name)),
            Variable::Unknown => Val::Null,
        }
    }

    fn truth(&self, node: &'a Node, scope: &Scope<'_, 'a>, of: &str) -> Result<bool> {
        match self.eval(node, scope)? {
            Val::Bool(value) => Ok(value),
            other => fail(format!(
                "'{of}' needs true or false, found {}",
                other.type_name()
            )),
        }
    }

    fn whole(&self, node: &'a Node, scope: &Scope<'_, 'a>, of: &str) -> Result<i64> {
        match self.eval(node, scope)? {
            Val::Int(value) => Ok(value),
            other => fail(format!(
                "{of} needs a whole number, found {}",
                other.type_name()
            )),
        }
    }

    fn binary(
        &self,
        operator: Binary,
        left: &'a Node,
        right: &'a Node,
        scope: &Scope<'_, 'a>,
    ) -> Result<Val<'a>> {
        match operator {
            Binary::Or | Binary::And => {
                let short = operator == Binary::Or;
                if self.truth(left, scope, operator.symbol())? == short {
                    return Ok(Val::Bool(short));
                }
                return Ok(Val::Bool(self.truth(right, scope, operator.symbol())?));
            }
            Binary::Coalesce => {
                return match self.eval(left, scope) {
                    Ok(Val::Null) => self.eval(right, scope),
                    other => other,
                };
            }
            _ => {}
        }
        let (left, right) = (self.eval(left, scope)?, self.eval(right, scope)?);
        let wrong = |left: &Val<'_>, right: &Val<'_>| {
            fail(format!(
                "'{}' can't be done with {} and {}",
                operator.symbol(),
                left.type_name(),
                right.type_name()
            ))
        };
        Ok(match operator {
            Binary::Equal => Val::Bool(left.equals(&right)),
            Binary::NotEqual => Val::Bool(!left.equals(&right)),
            Binary::Less | Binary::Greater | Binary::LessEqual | Binary::GreaterEqual => {
                let Some(order) = left.order(&right) else {
                    return match (left.number(), right.number()) {
                        // Not a number.
                        (Some(_), Some(_)) => Ok(Val::Bool(false)),
                        _ => wrong(&left, &right),
                    };
                };
                Val::Bool(match operator {
                    Binary::Less => order.is_lt(),
                    Binary::Greater => order.is_gt(),
                    Binary::LessEqual => order.is_le(),
                    _ => order.is_ge(),
                })
            }
            Binary::In => match (&left, &right) {
                (_, Val::Null) => Val::Bool(false),
                (needle, Val::List(list)) => {
                    self.pay(list.len())?;
                    Val::Bool(list.iter().any(|item| Val::from(item).equals(needle)))
                }
                (Val::Str(key), Val::Map(map)) => Val::Bool(map.get(key).is_some()),
                _ => return wrong(&left, &right),
            },
            Binary::Matches | Binary::Contains | Binary::StartsWith | Binary::EndsWith => {
                match (&left, &right) {
                    (Val::Null, _) | (_, Val::Null) => Val::Bool(false),
                    (Val::Str(text), Val::Str(part)) => Val::Bool(match operator {
                        Binary::Contains => {
                            memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some()
                        }
                        Binary::StartsWith => text.starts_with(part.as_ref()),
                        Binary::EndsWith => text.ends_with(part.as_ref()),
                        _ => {
                            // Compiling is dear: whoever does it per record shall not do it often in one expression.
                            self.pay(10_000)?;
                            match Regex::new(part) {
                                Ok(regex) => regex.is_match(text),
                                Err(error) => return fail(error),
                            }
                        }
                    }),
                    _ => return wrong(&left, &right),
                }
            }
            Binary::Range => match (&left, &right) {
                (Val::Int(from), Val::Int(to)) => {
                    let len = usize::try_from(to.saturating_sub(*from).saturating_add(1).max(0));
                    self.pay(len.unwrap_or(usize::MAX).saturating_mul(4))?;
                    Val::List(Cow::Owned((*from..=*to).map(Value::Int).collect()))
                }
                _ => return wrong(&left, &right),
            },
            _ => match arithmetic(operator, &left, &right) {
                Some(value) => {
                    if let Val::Str(text) = &value {
                        self.pay(text.len() / 32)?;
                    }
                    value
                }
                None if matches!(operator, Binary::Remainder | Binary::Divide)
                    && matches!(right, Val::Int(0)) =>
                {
                    return fail("a whole number is divided by zero");
                }
                None => return wrong(&left, &right),
            },
        })
    }

    pub(super) fn member(&self, of: Val<'a>, key: &Val<'a>) -> Result<Val<'a>> {
        match (of, key) {
            (Val::Map(Cow::Borrowed(map)), Val::Str(key)) => Ok(match map.get(key) {
                Some(value) => Val::from(value),
                None => self.missing(map),
            }),
            (Val::Map(Cow::Owned(mut map)), Val::Str(key)) => {
                Ok(map.remove(key).map_or(Val::Null, Val::from))
            }
            (Val::List(list), Val::Int(index)) => {
                let at = if *index < 0 {
                    usize::try_from(index.unsigned_abs())
                        .ok()
                        .and_then(|back| list.len().checked_sub(back))
                } else {
                    usize::try_from(*index).ok()
                };
                let Some(at) = at.filter(|at| *at < list.len()) else {
                    return fail(format!(
                        "there is no element {index}: the list has {}",
                        list.len()
                    ));
                };
                Ok(match list {
                    Cow::Borrowed(list) => list.get(at).map_or(Val::Null, Val::from),
                    Cow::Owned(mut list) => Val::from(list.swap_remove(at)),
                })
            }
            (of, Val::Str(key)) => fail(format!("there is no '{key}' in {}", of.type_name())),
            (of, key) => fail(format!(
                "{} can't be found in {}",
                key.type_name(),
                of.type_name()
            )),
        }
    }

    /// What a map says of a key that it lacks. Upstream, labels and annotations are maps of text, where that is empty text
    /// and not nothing: `labels["app"] != ""` asks whether there is one.
    fn missing(&self, map: &Map) -> Val<'a> {
        let of_text = |map: &Map| map.iter().all(|(_, value)| matches!(value, Value::Str(_)));
        match self.given {
            Given::Names(names) if !std::ptr::eq(names, map) && of_text(map) => {
                Val::Str(Cow::Borrowed(""))
            }
            _ => Val::Null,
        }
    }

    fn slice(&self, of: Val<'a>, from: Option<i64>, to: Option<i64>) -> Result<Val<'a>> {
        let place = |at: i64, len: usize| {
            let magnitude = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
            if at < 0 {
                len.saturating_sub(magnitude)
            } else {
                magnitude.min(len)
            }
        };
        let bounds = |len: usize| {
            let from = from.map_or(0, |from| place(from, len));
            (from, to.map_or(len, |to| place(to, len)).max(from))
        };
        match of {
            Val::Str(text) => {
                let (from, to) = bounds(text.len());
                // Bytes, as upstream counts; never half of a character.
                let from = (from..=text.len()).find(|at| text.is_char_boundary(*at));
                let from = from.unwrap_or(text.len());
                let to = (from..=to.max(from))
                    .rev()
                    .find(|at| text.is_char_boundary(*at))
                    .unwrap_or(from);
                self.pay(text.len() / 32)?;
                Ok(Val::Str(match text {
                    Cow::Borrowed(text) => Cow::Borrowed(text.get(from..to).unwrap_or_default()),
                    Cow::Owned(text) => {
                        Cow::Owned(text.get(from..to).unwrap_or_default().to_owned())
                    }
                }))
            }
            Val::List(list) => {
                let (from, to) = bounds(list.len());
                Ok(Val::List(match list {
                    Cow::Borrowed(list) => Cow::Borrowed(list.get(from..to).unwrap_or_default()),
                    Cow::Owned(list) => {
                        self.pay(list.len())?;
                        Cow::Owned(list.get(from..to).unwrap_or_default().to_vec())
                    }
                }))
            }
            other => fail(format!("{} has no slices", other.type_name())),
        }
    }

    fn closure(
        &self,
        closure: Closure,
        list: &'a Node,
        predicate: &'a Node,
        scope: &Scope<'_, 'a>,
    ) -> Result<Val<'a>> {
        let list: Cow<'a, [Value]> = match self.eval(list, scope)? {
            Val::List(list) => list,
            Val::Map(map) => Cow::Owned(map.iter().map(|(_, value)| value.clone()).collect()),
            other => {
                return fail(format!(
                    "'{}' needs a list, found {}",
                    closure.name(),
                    other.type_name()
                ));
            }
        };
        let elements: Vec<Val<'a>> = match list {
            Cow::Borrowed(list) => list.iter().map(Val::from).collect(),
            Cow::Owned(list) => list.into_iter().map(Val::from).collect(),
        };
        self.pay(elements.len())?;
        let at = |index: usize, element: &Val<'a>| {
            let scope = Scope::Element {
                element,
                index,
                outer: scope,
            };
            self.eval(predicate, &scope)
        };
        closure.over(self, elements, at)
    }
}

impl<'s, 'a> Scope<'s, 'a> {
    fn element(&'s self) -> Option<(&'s Val<'a>, usize)> {
        let mut scope = self;
        loop {
            match scope {
                Self::None => return None,
                Self::Element { element, index, .. } => return Some((element, *index)),
                Self::Local { outer, .. } => scope = outer,
            }
        }
    }

    fn local(&'s self, mut index: usize) -> Option<&'s Val<'a>> {
        let mut scope = self;
        loop {
            match scope {
                Self::None => return None,
                Self::Element { outer, .. } => scope = outer,
                Self::Local { value, .. } if index == 0 => return Some(value),
                Self::Local { outer, .. } => {
                    index -= 1;
                    scope = outer;
                }
            }
        }
    }
}

/// What a copy of a value costs, in steps.
fn weight(value: &Val<'_>) -> usize {
    fn of(value: &Value) -> usize {
        1 + match value {
            Value::Str(text) => text.len() / 32,
            Value::Bytes(bytes) => bytes.len() / 32,
            Value::List(list) => list.iter().map(of).sum(),
            Value::Map(map) => map.iter().map(|(_, value)| of(value)).sum(),
            _ => 0,
        }
    }
    match value {
        Val::Str(text) => 1 + text.len() / 32,
        Val::List(list) => list.iter().map(of).sum(),
        Val::Map(map) => map.iter().map(|(_, value)| of(value)).sum(),
        _ => 1,
    }
}

pub(super) fn int(value: usize) -> Val<'static> {
    Val::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn negate(unary: Unary, value: &Val<'_>) -> Result<Val<'static>> {
    Ok(match (unary, value) {
        (Unary::Not, Val::Bool(value)) => Val::Bool(!value),
        (Unary::Minus, Val::Int(value)) => Val::Int(value.wrapping_neg()),
        (Unary::Minus, Val::Float(value)) => Val::Float(-value),
        (Unary::Plus, Val::Int(value)) => Val::Int(*value),
        (Unary::Plus, Val::Float(value)) => Val::Float(*value),
        (Unary::Not, other) => {
            return fail(format!(
                "'not' needs true or false, found {}",
                other.type_name()
            ));
        }
        (_, other) => {
            return fail(format!(
                "a sign needs a number, found {}",
                other.type_name()
            ));
        }
    })
}

/// Whole numbers wrap around as Go's do; dividing makes a floating-point number.
fn arithmetic<'a>(operator: Binary, left: &Val<'a>, right: &Val<'a>) -> Option<Val<'a>> {
    Some(match (operator, left, right) {
        (Binary::Add, Val::Str(a), Val::Str(b)) => Val::Str(Cow::Owned(format!("{a}{b}"))),
        (Binary::Add, Val::Time(a), Val::Duration(b))
        | (Binary::Add, Val::Duration(a), Val::Time(b)) => Val::Time(a.saturating_add(*b)),
        (Binary::Subtract, Val::Time(a), Val::Duration(b)) => Val::Time(a.saturating_sub(*b)),
        (Binary::Subtract, Val::Time(a), Val::Time(b)) => Val::Duration(a.saturating_sub(*b)),
        (Binary::Add, Val::Duration(a), Val::Duration(b)) => Val::Duration(a.saturating_add(*b)),
        (Binary::Subtract, Val::Duration(a), Val::Duration(b)) => {
            Val::Duration(a.saturating_sub(*b))
        }
        (Binary::Add, Val::Int(a), Val::Int(b)) => Val::Int(a.wrapping_add(*b)),
        (Binary::Subtract, Val::Int(a), Val::Int(b)) => Val::Int(a.wrapping_sub(*b)),
        (Binary::Multiply, Val::Int(a), Val::Int(b)) => Val::Int(a.wrapping_mul(*b)),
        (Binary::Remainder, Val::Int(a), Val::Int(b)) if *b != 0 => Val::Int(a.wrapping_rem(*b)),
        (Binary::Remainder, ..) => return None,
        (_, a, b) => {
            let (a, b) = (a.number()?, b.number()?);
            Val::Float(match operator {
                Binary::Add => a + b,
                Binary::Subtract => a - b,
                Binary::Multiply => a * b,
                Binary::Divide => a / b,
                Binary::Power => a.powf(b),
                _ => return None,
            })
        }
    })
}
