//! Which processes make a group.

use corten_config::types::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::template::{Template, base};

/// One or more groups: those whose names come out of `name` for the processes that match. All of `comm`, `exe` and
/// `cmdline` that are set must match.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Selector {
    /// The group's name. `{{.Comm}}` is the process's name, `{{.ExeFull}}` the program as it was called and `{{.ExeBase}}` that
    /// without its folder, `{{.Username}}` its effective user, `{{.Matches.x}}` what `(?P<x>…)` of a `cmdline` matched;
    /// `{{.PID}}`, `{{.StartTime}}` and `{{.Cgroups}}` make many groups.
    pub(crate) name: Template,
    /// Names of the process (`/proc/<pid>/comm`, at most 15 characters); one of them.
    pub(crate) comm: Vec<String>,
    /// Programs as they were called (the first word of the command line), with or without their folder; one of them.
    pub(crate) exe: Vec<String>,
    /// Regular expressions for the command line, its words separated by one space; all of them.
    pub(crate) cmdline: Vec<Regex>,
}

impl Default for Selector {
    fn default() -> Self {
        Self {
            name: program_name("{{.ExeBase}}"),
            comm: Vec::new(),
            exe: Vec::new(),
            cmdline: Vec::new(),
        }
    }
}

fn program_name(text: &str) -> Template {
    #[expect(clippy::unwrap_used, reason = "written above")]
    text.parse().unwrap()
}

/// What a selector looks at.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) comm: &'a str,
    pub(crate) words: &'a [String],
    /// The words, separated by one space.
    pub(crate) line: &'a str,
}

impl Selector {
    /// A group for each program, under its name; kernel threads are none.
    pub(crate) fn each_program() -> Self {
        #[expect(clippy::unwrap_used, reason = "an expression written here")]
        let any: Regex = ".+".parse().unwrap();
        Self {
            name: program_name("{{.Comm}}"),
            cmdline: vec![any],
            ..Self::default()
        }
    }

    /// Whether it selects at all.
    pub(crate) fn selects(&self) -> bool {
        !(self.comm.is_empty() && self.exe.is_empty() && self.cmdline.is_empty())
    }

    /// What named groups of the expressions matched, when the process matches.
    pub(crate) fn matches(&self, seen: &Seen<'_>) -> Option<Vec<(String, String)>> {
        if !self.comm.is_empty() && !self.comm.iter().any(|comm| comm == seen.comm) {
            return None;
        }
        if !self.exe.is_empty() {
            let called = seen.words.first()?;
            let fits = |exe: &String| match exe.contains('/') {
                true => exe == called,
                false => exe == base(called),
            };
            if !self.exe.iter().any(fits) {
                return None;
            }
        }
        let mut matches = Vec::new();
        for expression in &self.cmdline {
            let found = expression.captures(seen.line)?;
            for name in expression.capture_names().flatten() {
                let text = found.name(name).map_or("", |text| text.as_str());
                matches.push((name.to_owned(), text.to_owned()));
            }
        }
        Some(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(yaml: &str, comm: &str, words: &[&str]) -> Option<Vec<(String, String)>> {
        let yaml = format!("process_names: [{yaml}]");
        let config: crate::config::Config = corten_config::from_str(&yaml).unwrap();
        let selector = &config.process_names[0];
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let line = words.join(" ");
        selector.matches(&Seen {
            comm,
            words: &words,
            line: &line,
        })
    }

    #[test]
    fn each_kind_and_all_together() {
        let none = Some(Vec::new());
        let nginx = ["/usr/sbin/nginx", "-c", "main.conf"];
        assert_eq!(matches("{comm: [bash, nginx]}", "nginx", &nginx), none);
        assert_eq!(matches("{comm: [bash]}", "nginx", &nginx), None);
        assert_eq!(matches("{exe: [nginx]}", "x", &nginx), none);
        assert_eq!(matches("{exe: [/usr/sbin/nginx]}", "x", &nginx), none);
        assert_eq!(matches("{exe: [/bin/nginx]}", "x", &nginx), None);
        assert_eq!(matches("{exe: [kthreadd]}", "kthreadd", &[]), None);
        assert_eq!(matches("{cmdline: ['.+']}", "kthreadd", &[]), None);
        assert_eq!(
            matches("{cmdline: ['-c (?P<Cfg>\\w+)', 'nginx']}", "x", &nginx),
            Some(vec![("Cfg".to_owned(), "main".to_owned())])
        );
        assert_eq!(matches("{cmdline: ['nginx', 'nope']}", "x", &nginx), None);
        assert_eq!(
            matches("{comm: [nginx], cmdline: [nope]}", "nginx", &nginx),
            None
        );
    }
}
