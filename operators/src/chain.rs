//! Operators in their order, and what becomes of an entry in them.
//!
//! Each operator sends to the next, or to those that its `output` names; what the last ones send leaves the chain. The ways
//! are a graph without cycles: that is checked when it is built, so an entry passes every operator once at most.

use std::sync::Arc;
use std::time::Instant;

use corten_config::{Checker, Problems, Section};
use smallvec::SmallVec;

use crate::container::Container;
use crate::entry::Entry;
use crate::expr::Expr;
use crate::failure::{Failure, OperatorStats, Reason, Report};
use crate::kinds::{self, Kind};
use crate::recombine::Recombine;
use crate::route::{Filter, Router};
use crate::settings::{Common, OnError, check_names};

/// Changes an entry in place.
pub(crate) trait Edit: Send {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure>;
}

/// What an operator does.
pub(crate) enum Work {
    /// Nothing: `noop`, and a `container` that the receiver does itself.
    Nothing,
    Edit(Box<dyn Edit>),
    Filter(Filter),
    Router(Router),
    Recombine(Box<Recombine>),
    Container(Box<Container>),
    /// Writes entries to the standard output; they end there.
    Stdout,
}

/// An operator that knows nothing of the others yet.
pub(crate) struct Built {
    pub(crate) common: Common,
    pub(crate) work: Work,
}

struct Node {
    condition: Option<Expr>,
    on_error: OnError,
    work: Work,
    /// Who gets its entries; the number of all operators stands for the end of the chain.
    outputs: Arc<[usize]>,
    report: Report,
}

/// Operators, ready to work.
pub struct Chain {
    nodes: Vec<Node>,
    /// Those that hold entries, each before those that it sends to.
    holding: Vec<usize>,
    /// Reused.
    made: Vec<Entry>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids = self.nodes.iter().map(|node| node.report.stats.id());
        f.debug_list().entries(ids).finish()
    }
}

type Stack = SmallVec<[(usize, Entry); 4]>;

impl Chain {
    /// Builds the operators of `sections`; the first `done` of them are done by the receiver itself. Adds everything that is wrong to `problems`.
    pub(crate) fn build(
        sections: &[Section],
        done: usize,
        problems: &mut Problems,
    ) -> Option<Self> {
        let mut builts = Vec::new();
        let mut complete = true;
        for (index, section) in sections.iter().enumerate() {
            match operator(section, problems) {
                Some(mut built) => {
                    if index < done {
                        built.0.work = Work::Nothing;
                    }
                    builts.push(Some(built));
                }
                None => {
                    complete = false;
                    builts.push(None);
                }
            }
        }
        let ids = ids(sections, &builts, problems)?;
        let nodes = connect(sections, builts, &ids, problems)?;
        let order = order(sections, &nodes, &ids, problems)?;
        let holds = |index: &usize| {
            let work = nodes.get(*index).map(|node| &node.work);
            matches!(work, Some(Work::Recombine(_) | Work::Container(_)))
        };
        let holding = order.into_iter().filter(holds).collect();
        complete.then_some(Self {
            nodes,
            holding,
            made: Vec::new(),
        })
    }

    /// What each operator counts, in their order.
    #[must_use]
    pub fn stats(&self) -> Vec<Arc<OperatorStats>> {
        self.nodes
            .iter()
            .map(|node| Arc::clone(&node.report.stats))
            .collect()
    }

    /// Sends an entry through the operators. What leaves them goes to `out`: none, one or several entries, some of which came earlier.
    pub fn process(&mut self, entry: Entry, now: Instant, out: &mut impl FnMut(Entry)) {
        self.run(0, entry, now, out);
    }

    /// Sends on what has been held long enough. To be called every now and then.
    pub fn flush(&mut self, now: Instant, out: &mut impl FnMut(Entry)) {
        for index in 0..self.holding.len() {
            let Some(at) = self.holding.get(index).copied() else {
                return;
            };
            let mut made = std::mem::take(&mut self.made);
            if let Some(node) = self.nodes.get_mut(at) {
                match &mut node.work {
                    Work::Recombine(recombine) => recombine.expire(now, &mut made),
                    Work::Container(container) => container.expire(now, &mut made),
                    _ => {}
                }
            }
            if !made.is_empty() {
                let mut stack = Stack::new();
                self.pass_all(at, &mut made, &mut stack);
                self.drain(&mut stack, now, out);
            }
            self.made = made;
        }
    }

    /// When [`flush`](Self::flush) has something to send on next.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let nodes = self.holding.iter().filter_map(|at| self.nodes.get(*at));
        nodes
            .filter_map(|node| match &node.work {
                Work::Recombine(recombine) => recombine.due(),
                Work::Container(container) => container.due(),
                _ => None,
            })
            .min()
    }

    fn run(&mut self, start: usize, entry: Entry, now: Instant, out: &mut impl FnMut(Entry)) {
        let mut stack = Stack::new();
        stack.push((start, entry));
        self.drain(&mut stack, now, out);
    }

    fn drain(&mut self, stack: &mut Stack, now: Instant, out: &mut impl FnMut(Entry)) {
        while let Some((at, entry)) = stack.pop() {
            if at >= self.nodes.len() {
                out(entry);
            } else {
                self.step(at, entry, now, stack);
            }
        }
    }

    /// One operator's work on one entry; who is next, and with what, goes on the stack.
    fn step(&mut self, at: usize, mut entry: Entry, now: Instant, stack: &mut Stack) {
        let Some(node) = self.nodes.get_mut(at) else {
            return;
        };
        if let Some(condition) = &node.condition {
            match condition.matches(&entry) {
                Ok(true) => {}
                Ok(false) => return pass(&node.outputs, entry, stack),
                Err(error) => {
                    let failure = Failure::new(Reason::Expression, format!("if: {error}"));
                    return node.failed(entry, &failure, now, stack);
                }
            }
        }
        match &mut node.work {
            Work::Nothing => pass(&node.outputs, entry, stack),
            Work::Edit(edit) => match edit.edit(&mut entry) {
                Ok(()) => pass(&node.outputs, entry, stack),
                Err(failure) => node.failed(entry, &failure, now, stack),
            },
            Work::Filter(filter) => match filter.drops(&entry) {
                Ok(false) => pass(&node.outputs, entry, stack),
                Ok(true) => node.end(entry),
                // What can't be judged stays.
                Err(failure) => node.failed(entry, &failure, now, stack),
            },
            Work::Router(router) => {
                let (outputs, failure) = router.route(&mut entry);
                if let Some(failure) = failure {
                    let on_error = node.on_error;
                    node.report.failed(&failure, &entry, on_error, now);
                }
                if outputs.is_empty() {
                    node.end(entry);
                } else {
                    pass(&outputs, entry, stack);
                }
            }
            Work::Recombine(_) | Work::Container(_) => {
                let mut made = std::mem::take(&mut self.made);
                let taken = match &mut node.work {
                    Work::Recombine(recombine) => recombine.take(entry, now, &mut made),
                    Work::Container(container) => container.take(entry, now, &mut made),
                    _ => Ok(()),
                };
                // What it lets go came before the one that it can't take.
                if let Err(failed) = taken {
                    let (entry, failure) = *failed;
                    node.failed(entry, &failure, now, stack);
                }
                self.pass_all(at, &mut made, stack);
                self.made = made;
            }
            Work::Stdout => {
                write_out(&entry);
                entry.origins.settle();
            }
        }
    }

    /// Sends on several entries, the first of which is to be worked on first.
    fn pass_all(&self, at: usize, made: &mut Vec<Entry>, stack: &mut Stack) {
        let outputs = self.nodes.get(at).map(|node| &node.outputs);
        for entry in made.drain(..).rev() {
            match outputs {
                Some(outputs) => pass(outputs, entry, stack),
                None => entry.origins.settle(),
            }
        }
    }
}

impl Node {
    /// The entry goes no further, as the user wants it.
    fn end(&self, entry: Entry) {
        self.report.stats.count_dropped();
        entry.origins.settle();
    }

    fn failed(&mut self, entry: Entry, failure: &Failure, now: Instant, stack: &mut Stack) {
        self.report.failed(failure, &entry, self.on_error, now);
        if self.on_error.drops() {
            self.end(entry);
        } else {
            pass(&self.outputs, entry, stack);
        }
    }
}

/// Sends an entry to all outputs, the first of which is to be worked on first.
fn pass(outputs: &[usize], entry: Entry, stack: &mut Stack) {
    let Some((first, others)) = outputs.split_first() else {
        entry.origins.settle();
        return;
    };
    for other in others.iter().rev() {
        stack.push((*other, entry.clone()));
    }
    stack.push((*first, entry));
}

fn write_out(entry: &Entry) {
    use std::io::Write as _;
    let line = serde_json::json!({
        "timestamp": entry.time,
        "severity": entry.severity,
        "severity_text": entry.severity_text,
        "body": entry.body.to_json(),
        "attributes": entry.attributes.to_json(),
        "resource": entry.resource.to_json(),
    });
    // A standard output that is closed is nothing to stop for.
    let _written = writeln!(std::io::stdout().lock(), "{line}");
}

fn kind_of(section: &Section) -> Option<&str> {
    let node = section.node().get("type")?;
    match &node.value {
        corten_config::Value::Scalar(scalar) => Some(scalar.text.as_str()),
        _ => None,
    }
}

fn operator(section: &Section, problems: &mut Problems) -> Option<(Built, &'static str)> {
    let mut at = Checker::new(section, problems);
    let Some(name) = kind_of(section) else {
        at.on("type").error("missing required field `type`");
        return None;
    };
    match kinds::find(name) {
        Some(Kind { name, build }) => {
            let built = build(section, problems)?;
            if let Some(condition) = &built.common.condition {
                check_names(&mut Checker::new(section, problems), "if", condition);
            }
            Some((built, name))
        }
        None => {
            at.on("type").error(kinds::unknown(name));
            None
        }
    }
}

/// The id of every operator: its own, or its type, with a number where there are several.
fn ids(
    sections: &[Section],
    builts: &[Option<(Built, &'static str)>],
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let mut ids: Vec<String> = Vec::new();
    let given = |index: usize| match builts.get(index) {
        Some(Some((built, _))) if !built.common.id.is_empty() => Some(built.common.id.as_str()),
        _ => None,
    };
    let mut unique = true;
    for (index, section) in sections.iter().enumerate() {
        let taken = |ids: &[String], id: &str| {
            ids.iter().any(|known| known == id)
                || (index + 1..sections.len()).any(|later| given(later) == Some(id))
        };
        let id = match given(index) {
            Some(id) => {
                if ids.iter().any(|known| known == id) {
                    Checker::new(section, problems)
                        .field("id")
                        .error(format!("'{id}' is given to two operators"));
                    unique = false;
                }
                id.to_owned()
            }
            None => {
                let name = kind_of(section).unwrap_or_default();
                let mut id = name.to_owned();
                let mut number = 0;
                while taken(&ids, &id) {
                    number += 1;
                    id = format!("{name}{number}");
                }
                id
            }
        };
        ids.push(id);
    }
    unique.then_some(ids)
}

fn connect(
    sections: &[Section],
    builts: Vec<Option<(Built, &'static str)>>,
    ids: &[String],
    problems: &mut Problems,
) -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    let mut complete = true;
    for (index, (section, built)) in sections.iter().zip(builts).enumerate() {
        let mut resolve = |names: &[String], field: &str, place: Option<usize>| {
            let mut outputs = Vec::new();
            for name in names {
                match ids.iter().position(|id| id == name) {
                    Some(output) => outputs.push(output),
                    None => {
                        let near = corten_config::nearest(name, ids.iter().map(String::as_str));
                        let near = near
                            .map_or_else(String::new, |near| format!(", did you mean '{near}'?"));
                        let mut at = Checker::new(section, problems);
                        let message =
                            format!("names the operator '{name}', which does not exist{near}");
                        match place {
                            Some(route) => at.item("routes", route).field(field).error(message),
                            None => at.field(field).error(message),
                        }
                        complete = false;
                    }
                }
            }
            Arc::<[usize]>::from(outputs)
        };
        let Some((Built { common, mut work }, kind)) = built else {
            continue;
        };
        let outputs = match (&mut work, common.output.is_empty()) {
            (Work::Router(router), _) => {
                for (place, route) in router.routes.iter_mut().enumerate() {
                    route.outputs = resolve(&route.to, "output", Some(place));
                }
                router.default = resolve(&router.to, "default", None);
                // Without a meaning of its own: what it fails on takes the default's way.
                Arc::clone(&router.default)
            }
            (_, true) => Arc::from([index + 1]),
            (_, false) => resolve(&common.output.0, "output", None),
        };
        let id = ids.get(index).map_or("", String::as_str);
        nodes.push(Node {
            condition: common.condition,
            on_error: common.on_error,
            work,
            outputs,
            report: Report::new(OperatorStats::new(id, kind)),
        });
    }
    // Places stand for all sections: with one missing they would be wrong, and it has been reported.
    (complete && nodes.len() == sections.len()).then_some(nodes)
}

impl Node {
    /// Everyone that it may send to.
    fn all_outputs(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.outputs.to_vec();
        if let Work::Router(router) = &self.work {
            for route in &router.routes {
                all.extend_from_slice(&route.outputs);
            }
        }
        all
    }
}

/// The operators, each before those that it sends to; `None` when there is a cycle.
fn order(
    sections: &[Section],
    nodes: &[Node],
    ids: &[String],
    problems: &mut Problems,
) -> Option<Vec<usize>> {
    let outputs: Vec<Vec<usize>> = nodes.iter().map(Node::all_outputs).collect();
    let mut waiting = vec![0_usize; nodes.len()];
    for to in outputs.iter().flatten() {
        if let Some(count) = waiting.get_mut(*to) {
            *count += 1;
        }
    }
    let mut ready: Vec<usize> = (0..nodes.len())
        .rev()
        .filter(|index| waiting.get(*index) == Some(&0))
        .collect();
    let mut order = Vec::new();
    while let Some(index) = ready.pop() {
        order.push(index);
        for to in outputs.get(index).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(*to) {
                *count -= 1;
                if *count == 0 {
                    ready.push(*to);
                }
            }
        }
    }
    if order.len() == nodes.len() {
        return Some(order);
    }
    let stuck: Vec<&str> = ids
        .iter()
        .zip(&waiting)
        .filter(|(_, count)| **count > 0)
        .map(|(id, _)| id.as_str())
        .collect();
    let first = waiting.iter().position(|count| *count > 0);
    if let Some(section) = first.and_then(|index| sections.get(index)) {
        Checker::new(section, problems).error(format!(
            "the operators send to each other in a circle: {}",
            stuck.join(", ")
        ));
    }
    None
}
