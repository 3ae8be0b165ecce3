//! Processes and threads by state: `/proc/<pid>/stat`.

use std::collections::BTreeMap;

use corten_host::families::Kind::Gauge;
use corten_host::scan::{fields, float, number};
use corten_host::{Attributes, Buffer, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Processes {
        folder: Attributes::new(sources.roots.procfs.clone()),
        buffer: Buffer::default(),
    })
}

struct Processes {
    folder: Attributes,
    /// Processes' files are not kept: there are more of them than there may be descriptors.
    buffer: Buffer,
}

impl Collector for Processes {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let (mut pids, mut threads) = (0.0, 0.0);
        let (mut states, mut thread_states) = (BTreeMap::new(), BTreeMap::new());
        for pid in self
            .folder
            .names("")?
            .iter()
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        {
            let folder = self.folder.folder().join(pid);
            // One that has ended in the meantime is no error.
            let Ok(text) = self.buffer.read(&folder.join("stat")) else {
                continue;
            };
            let Some((state, count)) = parse(text) else {
                continue;
            };
            pids += 1.0;
            threads += float(count);
            *states.entry(state).or_insert(0.0) += 1.0;
            let Ok(tasks) = std::fs::read_dir(folder.join("task")) else {
                continue;
            };
            for task in tasks.flatten() {
                // The first thread is the process.
                if task.file_name() == pid.as_str() {
                    *thread_states.entry(state).or_insert(0.0) += 1.0;
                } else if let Ok(text) = self.buffer.read(&task.path().join("stat"))
                    && let Some((state, _)) = parse(text)
                {
                    *thread_states.entry(state).or_insert(0.0) += 1.0;
                }
            }
        }
        emit.put(
            Gauge,
            "node_processes_threads",
            "Threads of all processes.",
            &[],
            threads,
        );
        let most = self.folder.required("sys/kernel/threads-max")?;
        emit.put(
            Gauge,
            "node_processes_max_threads",
            "Threads that there may be.",
            &[],
            most,
        );
        for (state, count) in &states {
            emit.put(
                Gauge,
                "node_processes_state",
                "Processes by state.",
                &[("state", state.encode_utf8(&mut [0; 4]))],
                *count,
            );
        }
        for (state, count) in &thread_states {
            emit.put(
                Gauge,
                "node_processes_threads_state",
                "Threads by state.",
                &[("thread_state", state.encode_utf8(&mut [0; 4]))],
                *count,
            );
        }
        let most = self.folder.required("sys/kernel/pid_max")?;
        emit.put(
            Gauge,
            "node_processes_max_processes",
            "Processes that there may be.",
            &[],
            most,
        );
        emit.put(Gauge, "node_processes_pids", "Processes.", &[], pids);
        Ok(())
    }
}

/// The state and the number of threads. The command before them may hold anything, even brackets.
fn parse(text: &[u8]) -> Option<(char, u64)> {
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let mut words = fields(text.get(end + 1..)?.trim_ascii());
    let state = char::from(*words.next()?.first()?);
    Some((state, number(words.nth(16)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_may_hold_brackets() {
        let text = b"17 (a) b (c) S 1 17 17 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0 123\n";
        assert_eq!(parse(text), Some(('S', 9)));
        assert_eq!(parse(b"17 (a) S 1"), None);
    }
}
