//! The units of `org.freedesktop.systemd1`, over D-Bus.

use std::path::PathBuf;
use std::time::Instant;

use corten_config::types::Regex;
use corten_host::HostError;
use corten_host::families::Kind::{Counter, Gauge};
use corten_host::scan::float;

use crate::collector::{Collector, Emit};
use crate::config::{Config, constant};
use crate::dbus::{Answer, Bus, Call, Reader, Value, system_bus};
use crate::shared::Sources;

pub(crate) fn make(config: &Config, _: &Sources) -> Box<dyn Collector> {
    Box::new(Systemd::at(system_bus(), config))
}

struct Systemd {
    bus: Bus,
    include: Regex,
    exclude: Regex,
    restarts: bool,
    start_times: bool,
    tasks: bool,
}

const SERVICE: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const STATES: [&str; 5] = ["active", "activating", "deactivating", "inactive", "failed"];
/// Timers' last triggers and the system's state are told since then.
const TELLS_STATE: f64 = 212.0;

/// An expression that matches whole names.
fn whole(expression: &Regex) -> Regex {
    constant(&format!("^(?:{})$", expression.as_str()))
}

impl Systemd {
    fn at(socket: PathBuf, config: &Config) -> Self {
        let config = &config.systemd;
        Self {
            bus: Bus::new(socket),
            include: whole(&config.unit_include),
            exclude: whole(&config.unit_exclude),
            restarts: config.enable_restarts_metrics,
            start_times: config.enable_start_time_metrics,
            tasks: config.enable_task_metrics,
        }
    }

    fn units(&mut self, deadline: Instant) -> Result<Vec<Unit>, HostError> {
        let list = Call {
            destination: SERVICE,
            path: OBJECT,
            interface: MANAGER,
            member: "ListUnits",
            arguments: Vec::new(),
        };
        let answers = self.bus.call(&[list], deadline)?;
        let units = match answers.first() {
            Some(Answer::Values(body)) => body.reader().structures(Unit::read),
            _ => None,
        };
        units.ok_or(HostError::Missing {
            file: SERVICE,
            expected: "a list of units",
        })
    }
}

/// A unit as `ListUnits` has it.
#[derive(Debug)]
struct Unit {
    name: String,
    loaded: bool,
    state: String,
    object: String,
}

impl Unit {
    /// Name, description, load state, active state, sub state, whom it follows, object, then the
    /// job: number, type, object.
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let name = reader.text()?.to_owned();
        reader.text()?;
        let loaded = reader.text()? == "loaded";
        let state = reader.text()?.to_owned();
        reader.text()?;
        reader.text()?;
        let object = reader.text()?.to_owned();
        reader.u32()?;
        reader.text()?;
        reader.text()?;
        Some(Self {
            name,
            loaded,
            state,
            object,
        })
    }

    fn is(&self, kind: &str) -> bool {
        self.name
            .strip_suffix(kind)
            .is_some_and(|name| name.ends_with('.'))
    }
}

fn value(answer: &Answer) -> Option<Value<'_>> {
    match answer {
        Answer::Values(body) => body.variant(),
        // The property is newer than this systemd, or the unit has just gone.
        Answer::Refused(_) => None,
    }
}

fn text(answer: Option<&Answer>) -> Option<&str> {
    match value(answer?)? {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn number(answer: &Answer) -> Option<u64> {
    match value(answer)? {
        Value::Number(number) => Some(number),
        _ => None,
    }
}

/// The version of `255.4-1ubuntu8`: the first three digits or more in a row, and a fraction.
fn version(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let digits = |from: usize| {
            let rest = bytes.get(from..).unwrap_or_default();
            rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let count = digits(at);
        if count < 3 {
            at += count.max(1);
            continue;
        }
        let mut end = at + count;
        if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
        }
        return text.get(at..end)?.parse().ok();
    }
    None
}

/// What is asked of a unit, and what becomes of the answer.
#[derive(Clone, Copy)]
enum Asked {
    Type,
    Restarts,
    Accepted,
    Connections,
    Refused,
    Tasks,
    TasksMax,
    LastTrigger,
    StartTime,
}

impl Asked {
    /// The interface and the property.
    fn property(self, unit: &Unit) -> (&'static str, &'static str) {
        match self {
            Self::Type if unit.is("mount") => ("org.freedesktop.systemd1.Mount", "Type"),
            Self::Type => ("org.freedesktop.systemd1.Service", "Type"),
            Self::Restarts => ("org.freedesktop.systemd1.Service", "NRestarts"),
            Self::Accepted => ("org.freedesktop.systemd1.Socket", "NAccepted"),
            Self::Connections => ("org.freedesktop.systemd1.Socket", "NConnections"),
            Self::Refused => ("org.freedesktop.systemd1.Socket", "NRefused"),
            Self::Tasks => ("org.freedesktop.systemd1.Service", "TasksCurrent"),
            Self::TasksMax => ("org.freedesktop.systemd1.Service", "TasksMax"),
            Self::LastTrigger => ("org.freedesktop.systemd1.Timer", "LastTriggerUSec"),
            Self::StartTime => (UNIT, "ActiveEnterTimestamp"),
        }
    }
}

impl Collector for Systemd {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let deadline = emit.deadline;
        let properties = ["Version", "Virtualization", "SystemState"];
        let calls = properties.map(|name| Call::property(SERVICE, OBJECT, MANAGER, name));
        let answers = self.bus.call(&calls, deadline)?;
        let told = text(answers.first());
        let version = told.and_then(version);
        emit.put(
            Gauge,
            "node_systemd_version",
            "Version of systemd.",
            &[("version", version.and(told).unwrap_or_default())],
            version.unwrap_or(0.0),
        );
        let tells_state = version.is_some_and(|version| version >= TELLS_STATE);
        let virtualization = match text(answers.get(1)) {
            None => "unknown",
            // Nothing is told of a machine that is one.
            Some("") => "none",
            Some(kind) => kind.trim_matches('"'),
        };
        emit.put(
            Gauge,
            "node_systemd_virtualization_info",
            "What the system runs in: always 1.",
            &[("virtualization_type", virtualization)],
            1.0,
        );
        let all = self.units(deadline)?;
        summary(&all, emit);
        let units: Vec<&Unit> = all
            .iter()
            .filter(|unit| {
                unit.loaded
                    && self.include.is_match(&unit.name)
                    && !self.exclude.is_match(&unit.name)
            })
            .collect();
        self.show(&units, tells_state, emit)?;
        if !tells_state {
            return Ok(());
        }
        let Some(state) = text(answers.get(2)) else {
            return Err(HostError::Missing {
                file: SERVICE,
                expected: "the state of the system",
            });
        };
        emit.put(
            Gauge,
            "node_systemd_system_running",
            "Whether the system is up and no unit has failed.",
            &[],
            f64::from(u8::from(state == "running")),
        );
        Ok(())
    }
}

/// How many units are in each state, whichever are reported.
fn summary(units: &[Unit], emit: &mut Emit<'_>) {
    let mut counts = STATES.map(|state| (state, 0.0)).to_vec();
    for unit in units {
        match counts.iter_mut().find(|(state, _)| *state == unit.state) {
            Some((_, count)) => *count += 1.0,
            None => counts.push((&unit.state, 1.0)),
        }
    }
    let mut family = emit.gauge("node_systemd_units", "Units in each state.");
    for (state, count) in counts {
        family.add(&[("state", state)], count);
    }
}

impl Systemd {
    fn asks(&self, unit: &Unit, tells_state: bool) -> Vec<Asked> {
        let mut asked = Vec::new();
        if unit.is("service") {
            asked.push(Asked::Type);
            if self.restarts {
                asked.push(Asked::Restarts);
            }
            if self.tasks {
                asked.extend([Asked::Tasks, Asked::TasksMax]);
            }
        } else if unit.is("mount") {
            asked.push(Asked::Type);
        } else if unit.is("socket") {
            asked.extend([Asked::Accepted, Asked::Connections, Asked::Refused]);
        } else if unit.is("timer") && tells_state {
            asked.push(Asked::LastTrigger);
        }
        if self.start_times && unit.state == "active" {
            asked.push(Asked::StartTime);
        }
        asked
    }

    fn show(
        &mut self,
        units: &[&Unit],
        tells_state: bool,
        emit: &mut Emit<'_>,
    ) -> Result<(), HostError> {
        let asked: Vec<(usize, Asked)> = units
            .iter()
            .enumerate()
            .flat_map(|(index, unit)| {
                let asked = self.asks(unit, tells_state);
                asked.into_iter().map(move |asked| (index, asked))
            })
            .collect();
        let calls: Vec<Call<'_>> = asked
            .iter()
            .filter_map(|(index, asked)| {
                let unit = units.get(*index)?;
                let (interface, name) = asked.property(unit);
                Some(Call::property(SERVICE, &unit.object, interface, name))
            })
            .collect();
        let answers = self.bus.call(&calls, emit.deadline)?;
        let mut rest = asked.iter().zip(&answers).peekable();
        for (index, unit) in units.iter().enumerate() {
            let name = ("name", unit.name.as_str());
            let mut kind = "";
            while let Some(((_, asked), answer)) = rest.next_if(|((of, _), _)| *of == index) {
                match asked {
                    Asked::Type => kind = text(Some(answer)).unwrap_or_default(),
                    asked => property(*asked, answer, name, emit),
                }
            }
            if self.start_times && unit.state != "active" {
                start_time(name, 0.0, emit);
            }
            for state in STATES {
                emit.put(
                    Gauge,
                    "node_systemd_unit_state",
                    "The state that each unit is in.",
                    &[name, ("state", state), ("type", kind)],
                    f64::from(u8::from(unit.state == state)),
                );
            }
        }
        Ok(())
    }
}

fn start_time(name: (&str, &str), seconds: f64, emit: &mut Emit<'_>) {
    emit.put(
        Gauge,
        "node_systemd_unit_start_time_seconds",
        "When each unit was started, in seconds since 1970.",
        &[name],
        seconds,
    );
}

/// Metrics of one property; none where it was not told.
fn property(asked: Asked, answer: &Answer, name: (&str, &str), emit: &mut Emit<'_>) {
    let Some(value) = number(answer) else { return };
    let (kind, metric, help) = match asked {
        Asked::Type => return,
        Asked::StartTime => return start_time(name, float(value) / 1e6, emit),
        Asked::Restarts => (
            Counter,
            "node_systemd_service_restart_total",
            "Times that systemd has restarted each service.",
        ),
        Asked::Accepted => (
            Counter,
            "node_systemd_socket_accepted_connections_total",
            "Connections accepted on each socket.",
        ),
        Asked::Connections => (
            Gauge,
            "node_systemd_socket_current_connections",
            "Connections that are open on each socket.",
        ),
        Asked::Refused => (
            Gauge,
            "node_systemd_socket_refused_connections_total",
            "Connections refused on each socket.",
        ),
        // No limit, or nobody counts.
        Asked::Tasks | Asked::TasksMax if value == u64::MAX => return,
        Asked::Tasks => (
            Gauge,
            "node_systemd_unit_tasks_current",
            "Tasks of each unit.",
        ),
        Asked::TasksMax => (
            Gauge,
            "node_systemd_unit_tasks_max",
            "Tasks that each unit may have.",
        ),
        Asked::LastTrigger => (
            Gauge,
            "node_systemd_timer_last_trigger_seconds",
            "When each timer last went off, in seconds since 1970.",
        ),
    };
    let factor = if matches!(asked, Asked::LastTrigger) {
        1e6
    } else {
        1.0
    };
    emit.put(kind, metric, help, &[name], float(value) / factor);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::collector::shown;
    use crate::dbus::scripted::{Inner, Put, serve};

    #[test]
    fn versions_are_three_digits_or_more() {
        assert_eq!(version("255.4-1ubuntu8"), Some(255.4));
        assert_eq!(version("v252 (252.22-1~deb12u1)"), Some(252.0));
        assert_eq!(version("systemd 12.1 1000."), Some(1000.0));
        assert_eq!(version("42"), None);
    }

    fn unit(
        name: &'static str,
        load: &'static str,
        state: &'static str,
        object: &'static str,
    ) -> Vec<Put> {
        [name, "What it is", load, state, "sub", "", object]
            .map(Put::Text)
            .into_iter()
            .chain([Put::U32(0), Put::Text(""), Put::Text("/")])
            .collect()
    }

    #[test]
    fn units_are_shown_with_what_their_kind_tells() {
        let folder = tempfile::tempdir().unwrap();
        let get = |object: &str, kind: &str, name: &str, value: Inner| {
            (
                format!("{object} Get org.freedesktop.systemd1.{kind} {name}"),
                vec![Put::Variant(value)],
            )
        };
        let mut answers = HashMap::from([
            get(OBJECT, "Manager", "Version", Inner::Text("255.4-1")),
            get(OBJECT, "Manager", "Virtualization", Inner::Text("")),
            get(OBJECT, "Manager", "SystemState", Inner::Text("running")),
            get("/u/a", "Service", "Type", Inner::Text("notify")),
            get("/u/a", "Service", "NRestarts", Inner::U32(3)),
            get("/u/a", "Service", "TasksCurrent", Inner::U64(17)),
            get("/u/a", "Service", "TasksMax", Inner::U64(u64::MAX)),
            get(
                "/u/a",
                "Unit",
                "ActiveEnterTimestamp",
                Inner::U64(1_700_000_000_500_000),
            ),
            get("/u/s", "Socket", "NAccepted", Inner::U32(5)),
            get("/u/s", "Socket", "NConnections", Inner::U32(2)),
            get(
                "/u/t",
                "Timer",
                "LastTriggerUSec",
                Inner::U64(1_600_000_000_000_000),
            ),
        ]);
        answers.insert(
            format!("{OBJECT} ListUnits"),
            vec![Put::Structures(vec![
                unit("a.service", "loaded", "active", "/u/a"),
                unit("b.service", "not-found", "inactive", "/u/b"),
                unit("s.socket", "loaded", "failed", "/u/s"),
                unit("t.timer", "loaded", "active", "/u/t"),
                unit("m.mount", "loaded", "active", "/u/m"),
                unit("x.target", "loaded", "reloading", "/u/x"),
            ])],
        );
        let (socket, server) = serve(folder.path(), answers, 1);
        let mut config = Config::default();
        config.systemd.enable_restarts_metrics = true;
        config.systemd.enable_task_metrics = true;
        config.systemd.enable_start_time_metrics = true;
        let mut systemd = Systemd::at(socket, &config);
        let text = shown(&mut systemd).unwrap();
        let has = |line: &str| assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
        has(r#"node_systemd_version{version="255.4-1"} 255.4"#);
        has(r#"node_systemd_virtualization_info{virtualization_type="none"} 1.0"#);
        has("node_systemd_system_running 1.0");
        has(r#"node_systemd_units{state="active"} 3.0"#);
        has(r#"node_systemd_units{state="inactive"} 1.0"#);
        has(r#"node_systemd_units{state="reloading"} 1.0"#);
        has(r#"node_systemd_unit_state{name="a.service",state="active",type="notify"} 1.0"#);
        has(r#"node_systemd_unit_state{name="s.socket",state="failed",type=""} 1.0"#);
        has(r#"node_systemd_unit_state{name="s.socket",state="active",type=""} 0.0"#);
        has(r#"node_systemd_service_restart_total{name="a.service"} 3.0"#);
        has(r#"node_systemd_socket_accepted_connections_total{name="s.socket"} 5.0"#);
        has(r#"node_systemd_socket_current_connections{name="s.socket"} 2.0"#);
        has(r#"node_systemd_timer_last_trigger_seconds{name="t.timer"} 1600000000.0"#);
        has(r#"node_systemd_unit_start_time_seconds{name="a.service"} 1700000000.5"#);
        has(r#"node_systemd_unit_start_time_seconds{name="s.socket"} 0.0"#);
        has(r#"node_systemd_unit_tasks_current{name="a.service"} 17.0"#);
        for absent in ["b.service", "m.mount", "tasks_max", "refused_connections"] {
            assert!(!text.contains(absent), "{absent}\n{text}");
        }
        drop(systemd);
        server.join().unwrap();
    }
}
