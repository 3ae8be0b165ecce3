//! `corten queue`: queues on disk and dead letters, of an agent that runs or does not.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::bail;
use corten_component::Kind;
use corten_config::Problems;
use corten_config::print as text;
use corten_delivery::queues::{self, Content, Entry, Place};
use serde_json::{Value, json};

use crate::cli::{Format, QueueAction, QueueOf, StorageArgs};
use crate::{print, setup};

/// Where `file_storage` keeps everything unless it is told otherwise.
const DEFAULT: &str = "/var/lib/corten";

pub(crate) fn run(action: &QueueAction) -> anyhow::Result<ExitCode> {
    match action {
        QueueAction::Ls { storage, format } => list(storage, *format),
        QueueAction::Show {
            which,
            dead_letters,
            limit,
            data,
        } => {
            let mut all = String::new();
            for place in find(which, content(*dead_letters))? {
                show(&place, *limit, *data, &mut all)?;
            }
            print::write(&all)
        }
        QueueAction::Retry { which, last } => {
            let mut all = String::new();
            for place in find(which, Content::DeadLetters)? {
                let moved = place.retry(*last)?;
                writeln!(all, "{}: {moved} put into the queue", title(&place))?;
            }
            print::write(&all)
        }
        QueueAction::Drop {
            which,
            dead_letters,
            last,
            all: _,
        } => {
            let mut all = String::new();
            for place in find(which, content(*dead_letters))? {
                let gone = place.discard(*last)?;
                writeln!(all, "{}: {gone} dropped", title(&place))?;
            }
            print::write(&all)
        }
    }
}

fn content(dead_letters: bool) -> Content {
    if dead_letters {
        Content::DeadLetters
    } else {
        Content::Queue
    }
}

fn title(place: &Place) -> String {
    format!(
        "{} {} ({})",
        place.exporter,
        place.signal,
        place.content.name()
    )
}

fn list(storage: &StorageArgs, format: Option<Format>) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    for place in places(storage)? {
        let summary = place.summary()?;
        rows.push((place, summary));
    }
    if let Some(format) = format {
        let all: Vec<Value> = rows
            .iter()
            .map(|(place, summary)| {
                json!({
                    "directory": place.path().display().to_string(),
                    "exporter": place.exporter,
                    "content": place.content.name(),
                    "signal": place.signal.as_str(),
                    "records": summary.records,
                    "items": summary.items,
                    "bytes": summary.bytes,
                    "oldest_seconds": summary.oldest.map(age),
                    "damaged": summary.damaged,
                })
            })
            .collect();
        return print::write(&text::write(&Value::Array(all), format.into())?);
    }
    let mut table = format!(
        "{:<40} {:<8} {:<12} {:>9} {:>11} {:>13} {:>9} {:>8}\n",
        "EXPORTER", "SIGNAL", "CONTENT", "RECORDS", "ITEMS", "BYTES", "OLDEST", "DAMAGED"
    );
    for (place, summary) in rows {
        let oldest = summary
            .oldest
            .map_or_else(|| "-".to_owned(), |at| format!("{}s", age(at)));
        writeln!(
            table,
            "{:<40} {:<8} {:<12} {:>9} {:>11} {:>13} {oldest:>9} {:>8}",
            place.exporter,
            place.signal.as_str(),
            place.content.name(),
            summary.records,
            summary.items,
            summary.bytes,
            summary.damaged,
        )?;
    }
    print::write(&table)
}

fn show(place: &Place, limit: u64, data: bool, out: &mut String) -> anyhow::Result<()> {
    writeln!(out, "{}", title(place))?;
    let mut left = limit;
    let mut shown = Ok(());
    place.entries(|entry| {
        if left == 0 {
            return false;
        }
        left -= 1;
        shown = line(&entry, data, out);
        shown.is_ok()
    })?;
    shown
}

fn line(entry: &Entry, data: bool, out: &mut String) -> anyhow::Result<()> {
    write!(
        out,
        "  {:>10}  {:>7} items  {:>9} bytes  {}s ago",
        entry.number,
        entry.items,
        entry.bytes,
        age(entry.at)
    )?;
    if let Some((reason, message)) = &entry.refused {
        write!(out, "  {reason}: {message}")?;
    }
    writeln!(out)?;
    match &entry.batch {
        Err(error) => writeln!(out, "              {error}")?,
        Ok(batch) if data => {
            let mut json = Vec::new();
            batch.data.to_json(&mut json)?;
            writeln!(out, "{}", String::from_utf8_lossy(&json))?;
        }
        Ok(_) => {}
    }
    Ok(())
}

fn age(at: SystemTime) -> u64 {
    at.elapsed().map_or(0, |age| age.as_secs())
}

/// Every place of the storages that are named.
fn places(storage: &StorageArgs) -> anyhow::Result<Vec<Place>> {
    let mut all = Vec::new();
    for root in roots(storage)? {
        all.extend(queues::places(&root)?);
    }
    Ok(all)
}

fn roots(storage: &StorageArgs) -> anyhow::Result<Vec<PathBuf>> {
    if !storage.directory.is_empty() {
        return Ok(storage.directory.clone());
    }
    if storage.config.config.is_empty() {
        return Ok(vec![DEFAULT.into()]);
    }
    let mut problems = Problems::new();
    let (.., plan) = setup::check(&storage.config, &mut problems);
    let Some(plan) = plan else {
        bail!("the configuration can't be used; name the directory with --directory\n{problems}");
    };
    let roots: Vec<PathBuf> = plan
        .effective()
        .filter(|(kind, id, _)| *kind == Kind::Extension && id.component_type() == "file_storage")
        .filter_map(|(.., settings)| Some(settings.get("directory")?.as_str()?.into()))
        .collect();
    if roots.is_empty() {
        bail!("the configuration has no file_storage");
    }
    Ok(roots)
}

/// What is asked for; at least one place.
fn find(which: &QueueOf, content: Content) -> anyhow::Result<Vec<Place>> {
    let mut all = places(&which.storage)?;
    all.retain(|place| place.content == content);
    // `otlp_grpc/tempo`, or as `ls` has it.
    let (of_type, name) = which
        .exporter
        .split_once('/')
        .unwrap_or((&which.exporter, ""));
    let spelled = format!("exporter_{of_type}_{name}");
    all.retain(|place| place.exporter == spelled || place.exporter == which.exporter);
    if let Some(signal) = &which.signal {
        all.retain(|place| place.signal.as_str() == signal);
    }
    if all.is_empty() {
        bail!(
            "{} has no {} here; see `corten queue ls`",
            which.exporter,
            content.name()
        );
    }
    Ok(all)
}
