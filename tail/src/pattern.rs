//! Include patterns, taken apart so that a walk enters only directories that can match.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

/// A glob that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{pattern:?}: {source}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub source: globset::Error,
}

/// One pattern without braces: a literal directory, and how each component below it must look.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) base: PathBuf,
    components: Vec<Component>,
}

#[derive(Debug)]
enum Component {
    /// `**`: any number of directories.
    Any,
    /// One name.
    Name(GlobMatcher),
}

/// What a name in a directory can be to a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fit {
    /// As a file, it matches.
    pub(crate) file: bool,
    /// The name itself fits a component (not just `**`), so a link of that name may be followed.
    pub(crate) named: bool,
}

impl Pattern {
    /// Reads a pattern; braces make several of it.
    pub(crate) fn parse(pattern: &str) -> Result<Vec<Self>, PatternError> {
        expand(pattern)
            .iter()
            .map(|plain| Self::plain(plain))
            .collect()
    }

    fn plain(pattern: &str) -> Result<Self, PatternError> {
        let absolute = std::path::absolute(pattern).unwrap_or_else(|_| PathBuf::from(pattern));
        let text = absolute.to_string_lossy();
        let mut parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        let file = parts.pop().unwrap_or("*");
        let literal = parts.iter().take_while(|part| !has_meta(part)).count();
        let (base, below) = parts.split_at(literal);
        let base = PathBuf::from(format!("/{}", base.join("/")));
        let mut components = Vec::new();
        for part in below.iter().copied().chain([file]) {
            components.push(match part {
                "**" => Component::Any,
                part => Component::Name(glob(part)?.compile_matcher()),
            });
        }
        if matches!(components.last(), Some(Component::Any)) {
            components.push(Component::Name(glob("*")?.compile_matcher()));
        }
        Ok(Self { base, components })
    }

    /// The states of the base directory.
    pub(crate) fn start(&self) -> Vec<usize> {
        let mut states = Vec::new();
        self.enter(0, &mut states);
        states
    }

    fn enter(&self, state: usize, states: &mut Vec<usize>) {
        if !states.contains(&state) {
            states.push(state);
            if matches!(self.components.get(state), Some(Component::Any)) {
                self.enter(state + 1, states);
            }
        }
    }

    /// What `name` is in a directory of `states`; the states of the directory of that name are added to `below`.
    pub(crate) fn step(&self, states: &[usize], name: &OsStr, below: &mut Vec<usize>) -> Fit {
        let mut fit = Fit::default();
        for state in states {
            match self.components.get(*state) {
                Some(Component::Any) => self.enter(*state, below),
                Some(Component::Name(matcher)) if matcher.is_match(Path::new(name)) => {
                    if state + 1 == self.components.len() {
                        fit.file = true;
                    } else {
                        fit.named = true;
                        self.enter(state + 1, below);
                    }
                }
                _ => {}
            }
        }
        fit
    }
}

/// What is excluded: whole paths, and directories that need not be entered.
#[derive(Debug)]
pub(crate) struct Exclude {
    paths: GlobSet,
    directories: GlobSet,
}

impl Exclude {
    pub(crate) fn parse(patterns: &[String]) -> Result<Self, PatternError> {
        let mut paths = GlobSetBuilder::new();
        let mut directories = GlobSetBuilder::new();
        for pattern in patterns {
            let absolute = std::path::absolute(pattern).unwrap_or_else(|_| PathBuf::from(pattern));
            let pattern = absolute.to_string_lossy();
            paths.add(glob(&pattern)?);
            if let Some(directory) = pattern.strip_suffix("/**") {
                directories.add(glob(directory)?);
            }
        }
        let failed = |source| PatternError {
            pattern: patterns.join(", "),
            source,
        };
        Ok(Self {
            paths: paths.build().map_err(failed)?,
            directories: directories.build().map_err(failed)?,
        })
    }

    pub(crate) fn file(&self, path: &Path) -> bool {
        self.paths.is_match(path)
    }

    pub(crate) fn directory(&self, path: &Path) -> bool {
        self.directories.is_match(path)
    }
}

fn glob(pattern: &str) -> Result<globset::Glob, PatternError> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|source| PatternError {
            pattern: pattern.to_owned(),
            source,
        })
}

fn has_meta(part: &str) -> bool {
    part.contains(['*', '?', '[', '\\'])
}

/// `a{b,c/d}e` → `abe`, `ac/de`. What isn't closed stays.
fn expand(pattern: &str) -> Vec<String> {
    const MAX: usize = 1024;
    let mut done = Vec::new();
    let mut waiting = vec![pattern.to_owned()];
    while let Some(pattern) = waiting.pop() {
        match brace(&pattern) {
            Some((before, choices, after)) if done.len() + waiting.len() < MAX => {
                waiting.extend(
                    choices
                        .iter()
                        .rev()
                        .map(|choice| format!("{before}{choice}{after}")),
                );
            }
            _ => done.push(pattern),
        }
    }
    done
}

/// The first pair of braces: what is before, between the commas of its own level, and behind.
fn brace(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let (mut open, mut depth, mut from) = (None, 0, 0);
    let mut choices = Vec::new();
    let mut escaped = false;
    for (at, character) in pattern.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match character {
            '\\' => escaped = true,
            '{' => {
                if depth == 0 {
                    open = Some(at);
                    from = at + 1;
                }
                depth += 1;
            }
            ',' if depth == 1 => {
                choices.push(pattern.get(from..at)?);
                from = at + 1;
            }
            '}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    choices.push(pattern.get(from..at)?);
                    return Some((pattern.get(..open?)?, choices, pattern.get(at + 1..)?));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern).unwrap().iter().any(|pattern| {
            let base = pattern.base.to_str().unwrap().trim_end_matches('/');
            let Some(below) = path
                .strip_prefix(base)
                .and_then(|path| path.strip_prefix('/'))
            else {
                return false;
            };
            let mut states = pattern.start();
            let mut parts = below.split('/').peekable();
            while let Some(part) = parts.next() {
                let mut next = Vec::new();
                let fit = pattern.step(&states, OsStr::new(part), &mut next);
                if parts.peek().is_none() {
                    return fit.file;
                }
                states = next;
            }
            false
        })
    }

    #[test]
    fn walks_component_by_component() {
        for (pattern, path, expected) in [
            (
                "/var/log/pods/*/*/*.log",
                "/var/log/pods/a_b_c/d/0.log",
                true,
            ),
            ("/var/log/pods/*/*/*.log", "/var/log/pods/a/0.log", false),
            (
                "/var/log/pods/*/*/*.log",
                "/var/log/pods/a/b/c/0.log",
                false,
            ),
            (
                "/var/log/pods/*/*/*.log",
                "/var/log/pods/a/b/0.log.1",
                false,
            ),
            ("/var/log/**/*.log", "/var/log/a.log", true),
            ("/var/log/**/*.log", "/var/log/a/b/c.log", true),
            ("/var/log/**/x/*.log", "/var/log/x/x/y.log", true),
            ("/var/log/**/x/*.log", "/var/log/x/y/y.log", false),
            ("/var/log/**", "/var/log/a/b", true),
            ("/var/log/syslog", "/var/log/syslog", true),
            ("/var/log/{a,b/c}/*.{log,txt}", "/var/log/b/c/x.txt", true),
            ("/var/log/{a,b/c}/*.{log,txt}", "/var/log/b/x.txt", false),
            ("/var/{log/{x,y},z}/f", "/var/log/y/f", true),
            ("/v/[ab]?.log", "/v/a1.log", true),
            ("/v/[!ab]?.log", "/v/a1.log", false),
            ("/v/*.log", "/v/.hidden.log", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn bases_are_the_literal_part() {
        let base = |pattern: &str| Pattern::parse(pattern).unwrap()[0].base.clone();
        assert_eq!(base("/var/log/pods/*/*/*.log"), Path::new("/var/log/pods"));
        assert_eq!(base("/var/log/syslog"), Path::new("/var/log"));
        assert_eq!(base("/*"), Path::new("/"));
        assert!(base("relative/*.log").is_absolute());
    }

    #[test]
    fn exclusions() {
        let exclude = Exclude::parse(&[
            "/var/log/pods/kube-system_*/**".to_owned(),
            "/var/log/pods/*/istio-proxy/*.log".to_owned(),
        ])
        .unwrap();
        assert!(exclude.directory(Path::new("/var/log/pods/kube-system_a_b")));
        assert!(!exclude.directory(Path::new("/var/log/pods/other_a_b")));
        assert!(exclude.file(Path::new("/var/log/pods/x/istio-proxy/0.log")));
        assert!(exclude.file(Path::new("/var/log/pods/kube-system_a_b/c/0.log")));
        assert!(!exclude.file(Path::new("/var/log/pods/x/app/0.log")));
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = Pattern::parse("/var/[").unwrap_err().to_string();
        assert!(error.contains('['), "{error}");
    }
}
