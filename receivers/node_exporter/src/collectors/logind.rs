//! Who is logged in: the sessions of `org.freedesktop.login1`, over D-Bus.

use std::collections::HashMap;
use std::path::PathBuf;

use corten_host::HostError;

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::dbus::{Answer, Body, Bus, Call, Value, system_bus};
use crate::shared::Sources;

pub(crate) fn make(_: &Config, _: &Sources) -> Box<dyn Collector> {
    Box::new(Logind::at(system_bus()))
}

struct Logind {
    bus: Bus,
}

const SERVICE: &str = "org.freedesktop.login1";
const OBJECT: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";

/// What is none of these counts as the first.
const TYPES: [&str; 7] = [
    "other",
    "unspecified",
    "tty",
    "x11",
    "wayland",
    "mir",
    "web",
];
const CLASSES: [&str; 5] = ["other", "user", "greeter", "lock-screen", "background"];

impl Logind {
    fn at(socket: PathBuf) -> Self {
        Self {
            bus: Bus::new(socket),
        }
    }
}

fn list(member: &'static str) -> Call<'static> {
    Call {
        destination: SERVICE,
        path: OBJECT,
        interface: MANAGER,
        member,
        arguments: Vec::new(),
    }
}

fn values(answer: Option<&Answer>) -> Result<&Body, HostError> {
    match answer {
        Some(Answer::Values(body)) => Ok(body),
        _ => Err(HostError::Missing {
            file: SERVICE,
            expected: "lists of seats and of sessions",
        }),
    }
}

impl Collector for Logind {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let calls = [list("ListSeats"), list("ListSessions")];
        let lists = self.bus.call(&calls, emit.deadline)?;
        let wrong = || HostError::Missing {
            file: SERVICE,
            expected: "lists of seats and of sessions",
        };
        let mut seats = values(lists.first())?
            .reader()
            .structures(|reader| {
                let name = reader.text()?;
                reader.text()?;
                Some(name.to_owned())
            })
            .ok_or_else(wrong)?;
        // Sessions from elsewhere have none.
        seats.push(String::new());
        // Name, user's number and name, seat, object.
        let sessions = values(lists.get(1))?
            .reader()
            .structures(|reader| {
                reader.text()?;
                reader.u32()?;
                reader.text()?;
                Some((reader.text()?.to_owned(), reader.text()?.to_owned()))
            })
            .ok_or_else(wrong)?;
        let calls: Vec<Call<'_>> = sessions
            .iter()
            .flat_map(|(_, object)| {
                ["Remote", "Type", "Class"]
                    .map(|name| Call::property(SERVICE, object, SESSION, name))
            })
            .collect();
        let answers = self.bus.call(&calls, emit.deadline)?;
        let mut counts: HashMap<(&str, bool, &str, &str), f64> = HashMap::new();
        for ((seat, _), answers) in sessions.iter().zip(answers.chunks(3)) {
            let mut answers = answers.iter().map(|answer| match answer {
                Answer::Values(body) => body.variant(),
                Answer::Refused(_) => None,
            });
            let mut next = || answers.next().flatten();
            // A session that ended in between is not counted.
            if let (Some(Value::Truth(remote)), Some(Value::Text(kind)), Some(Value::Text(class))) =
                (next(), next(), next())
            {
                let key = (
                    seat.as_str(),
                    remote,
                    known(kind, &TYPES),
                    known(class, &CLASSES),
                );
                *counts.entry(key).or_default() += 1.0;
            }
        }
        let mut family = emit.gauge("node_logind_sessions", "Sessions of users.");
        for remote in [true, false] {
            for kind in TYPES {
                for class in CLASSES {
                    for seat in &seats {
                        let count = counts.get(&(seat.as_str(), remote, kind, class));
                        let labels = [
                            ("class", class),
                            ("remote", if remote { "true" } else { "false" }),
                            ("seat", seat.as_str()),
                            ("type", kind),
                        ];
                        family.add(&labels, count.copied().unwrap_or(0.0));
                    }
                }
            }
        }
        Ok(())
    }
}

fn known(value: &str, all: &[&'static str]) -> &'static str {
    all.iter()
        .find(|known| **known == value)
        .copied()
        .unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::shown;
    use crate::dbus::scripted::{Inner, Put, serve};

    #[test]
    fn sessions_are_counted_by_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let session = |id, seat, object| {
            vec![
                Put::Text(id),
                Put::U32(1000),
                Put::Text("alice"),
                Put::Text(seat),
                Put::Text(object),
            ]
        };
        let mut answers = HashMap::from([
            (
                format!("{OBJECT} ListSeats"),
                vec![Put::Structures(vec![vec![
                    Put::Text("seat0"),
                    Put::Text("/seat/seat0"),
                ]])],
            ),
            (
                format!("{OBJECT} ListSessions"),
                vec![Put::Structures(vec![
                    session("1", "seat0", "/s/1"),
                    session("2", "", "/s/2"),
                    session("3", "", "/s/3"),
                    session("4", "", "/s/gone"),
                ])],
            ),
        ]);
        for (object, remote, kind, class) in [
            ("/s/1", false, "wayland", "user"),
            ("/s/2", true, "tty", "user"),
            ("/s/3", true, "tty", "manager"),
        ] {
            for (name, value) in [
                ("Remote", Inner::Truth(remote)),
                ("Type", Inner::Text(kind)),
                ("Class", Inner::Text(class)),
            ] {
                answers.insert(
                    format!("{object} Get {SESSION} {name}"),
                    vec![Put::Variant(value)],
                );
            }
        }
        let (socket, server) = serve(folder.path(), answers, 1);
        let mut logind = Logind::at(socket);
        for _ in 0..2 {
            let text = shown(&mut logind).unwrap();
            let counted: Vec<_> = text.lines().filter(|line| line.ends_with(" 1.0")).collect();
            assert_eq!(
                counted,
                [
                    r#"node_logind_sessions{class="other",remote="true",seat="",type="tty"} 1.0"#,
                    r#"node_logind_sessions{class="user",remote="true",seat="",type="tty"} 1.0"#,
                    r#"node_logind_sessions{class="user",remote="false",seat="seat0",type="wayland"} 1.0"#,
                ]
            );
            assert_eq!(
                text.lines().filter(|line| !line.starts_with('#')).count(),
                2 * 7 * 5 * 2
            );
        }
        drop(logind);
        server.join().unwrap();
    }
}
