//! The command line of `journalctl`.

use std::ffi::OsString;

use crate::config::Config;
use crate::progress::Position;

/// From where to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// From the oldest entry.
    Beginning,
    /// What is not older than this many microseconds since 1970.
    Since(u64),
    /// What follows the entry with this cursor.
    After(String),
}

impl From {
    /// From where to go on. A cursor that `journalctl` does not want is replaced by its entry's time: that entry, and others of the
    /// same time, come again.
    pub(crate) fn position(position: &Position, trusted: bool) -> Self {
        if trusted && !position.cursor.is_empty() {
            Self::After(position.cursor.clone())
        } else if position.micros > 0 {
            Self::Since(position.micros)
        } else {
            Self::Beginning
        }
    }
}

/// The program and its arguments.
pub(crate) fn command(config: &Config, from: &From) -> (OsString, Vec<OsString>) {
    let mut arguments: Vec<OsString> = Vec::new();
    let program = match &config.root_path {
        None => config.journalctl_path.clone().into_os_string(),
        Some(root) => {
            arguments.push(root.clone().into_os_string());
            arguments.push(config.journalctl_path.clone().into_os_string());
            OsString::from("chroot")
        }
    };
    // Without a limit on what is shown of the past: the position alone says where to begin.
    for argument in ["--output=json", "--follow", "--no-tail", "--no-pager"] {
        arguments.push(argument.into());
    }
    let mut option = |name: &str, value: &std::ffi::OsStr| {
        let mut argument = OsString::from(name);
        argument.push("=");
        argument.push(value);
        arguments.push(argument);
    };
    match from {
        From::Beginning => {}
        From::Since(micros) => option(
            "--since",
            format!("@{}.{:06}", micros / 1_000_000, micros % 1_000_000).as_ref(),
        ),
        From::After(cursor) => option("--after-cursor", cursor.as_ref()),
    }
    if let Some(directory) = &config.directory {
        option("--directory", directory.as_os_str());
    }
    for file in &config.files {
        option("--file", file.as_os_str());
    }
    for unit in &config.units {
        option("--unit", unit.as_ref());
    }
    for identifier in &config.identifiers {
        option("--identifier", identifier.as_ref());
    }
    if !config.priority.is_empty() {
        option("--priority", config.priority.as_ref());
    }
    if !config.grep.is_empty() {
        option("--grep", config.grep.as_ref());
    }
    if !config.namespace.is_empty() {
        option("--namespace", config.namespace.as_ref());
    }
    for (wanted, argument) in [
        (config.dmesg, "--dmesg"),
        (config.all, "--all"),
        (config.merge, "--merge"),
    ] {
        if wanted {
            arguments.push(argument.into());
        }
    }
    for (index, fields) in config.matches.iter().enumerate() {
        if index > 0 {
            arguments.push("+".into());
        }
        arguments.extend(
            fields
                .iter()
                .map(|(name, value)| format!("{name}={value}").into()),
        );
    }
    (program, arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_config::from_str;

    fn line(yaml: &str, from: &From) -> String {
        let (program, arguments) = command(&from_str(yaml).unwrap(), from);
        let mut words = vec![program.into_string().unwrap()];
        words.extend(
            arguments
                .into_iter()
                .map(|word| word.into_string().unwrap()),
        );
        words.join(" ")
    }

    #[test]
    fn settings_become_options() {
        assert_eq!(
            line("{}", &From::Beginning),
            "journalctl --output=json --follow --no-tail --no-pager --priority=info --all"
        );
        assert_eq!(
            line(
                "files: [/a, /b]\nunits: [ssh, kubelet]\nidentifiers: [sudo]\npriority: '0..3'\ngrep: a b\ndmesg: true\nall: false\nmerge: true\nnamespace: x\nmatches: [{_SYSTEMD_UNIT: ssh}, {_SYSTEMD_UNIT: kubelet, _UID: '1000'}]",
                &From::After("s=1;i=2".to_owned())
            ),
            "journalctl --output=json --follow --no-tail --no-pager --after-cursor=s=1;i=2 --file=/a --file=/b --unit=ssh --unit=kubelet \
             --identifier=sudo --priority=0..3 --grep=a b --namespace=x --dmesg --merge _SYSTEMD_UNIT=ssh + _SYSTEMD_UNIT=kubelet _UID=1000"
        );
        assert_eq!(
            line(
                "root_path: /host\njournalctl_path: /usr/bin/journalctl\ndirectory: /var/log/journal\npriority: ''",
                &From::Since(1_700_000_000_000_042)
            ),
            "chroot /host /usr/bin/journalctl --output=json --follow --no-tail --no-pager --since=@1700000000.000042 --directory=/var/log/journal --all"
        );
    }

    #[test]
    fn a_position_is_a_cursor_or_a_time() {
        let mut position = Position::default();
        assert_eq!(From::position(&position, true), From::Beginning);
        position.micros = 7;
        assert_eq!(From::position(&position, true), From::Since(7));
        position.cursor = "c".to_owned();
        assert_eq!(From::position(&position, true), From::After("c".to_owned()));
        assert_eq!(From::position(&position, false), From::Since(7));
    }
}
