//! Configurations as guides, charts and blogs publish them for the Collector run here as they are.
//!
//! Each file of `tests/configs` is valid, warns of nothing but older spellings (what it warns of stands beside
//! it), starts and ends. To start them side by side, listeners get ports of the system's choice and directories
//! go to a place of the test; nothing else is changed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use expect_test::expect_file;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs")
}

fn published() -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    assert!(names.len() >= 10, "{names:?}");
    names
}

fn corten(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corten"));
    command
        .args(args)
        .current_dir(folder())
        .env_remove("RUST_LOG")
        // What the files expect of their surroundings, and no more of the machine's own.
        .env_remove("HOSTNAME")
        .env("API_KEY", "key");
    command
}

#[test]
fn they_are_valid_and_warn_of_older_spellings_only() {
    for name in published() {
        let output = corten(&["validate", "--config", &name]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{name}:\n{said}");
        for line in said.lines() {
            assert!(
                line.contains(" alias is deprecated") || line.contains("is deprecated; use"),
                "{line}"
            );
        }
        expect_file![folder().join(name.replace(".yaml", ".txt"))].assert_eq(&said);
    }
}

/// The same settings with other addresses and directories: what one machine cannot have ten of.
fn moved(value: &mut Value, key: &str, to: &Path) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                moved(value, key, to);
            }
        }
        Value::String(text) if key == "directory" || key == "path" && text.contains("json") => {
            let name = text.replace('/', "_");
            let path = to.join(name);
            if key == "directory" {
                std::fs::create_dir_all(&path).unwrap();
            }
            *value = path.display().to_string().into();
        }
        Value::String(_) if key == "root_path" => *value = "".into(),
        _ => {}
    }
}

/// Puts every server of a configuration to a port of the system's choice.
fn unbound(config: &mut Value) {
    for section in ["receivers", "extensions", "exporters"] {
        for (id, settings) in config[section].as_object_mut().into_iter().flatten() {
            if section == "exporters" && !id.starts_with("prometheus") {
                continue;
            }
            if id.starts_with("health_check") && settings.is_null() {
                *settings = json!({"endpoint": ""});
            }
            for protocol in ["grpc", "http"] {
                if let Some(settings) = settings.pointer_mut(&format!("/protocols/{protocol}"))
                    && settings.is_null()
                {
                    *settings = json!({"endpoint": ""});
                }
            }
            listen(settings);
        }
    }
    let readers = config.pointer_mut("/service/telemetry/metrics/readers");
    for reader in readers.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = reader.pointer_mut("/pull/exporter/prometheus/port") {
            *port = 0.into();
        }
    }
    if let Some(address) = config.pointer_mut("/service/telemetry/metrics/address") {
        *address = "127.0.0.1:0".into();
    }
}

fn listen(settings: &mut Value) {
    let Value::Object(map) = settings else { return };
    for (key, value) in map {
        match value {
            Value::String(_) if key == "endpoint" => *value = "127.0.0.1:0".into(),
            value => listen(value),
        }
    }
}

/// Server certificates and their like, which a guide's reader has to make.
fn credentials(config: &mut Value, dir: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (name, text) in [
        ("cert", made.cert.pem()),
        ("key", made.signing_key.serialize_pem()),
        ("users", "user:secret\n".to_owned()),
        ("token", "abc\n".to_owned()),
    ] {
        std::fs::write(dir.join(name), text).unwrap();
    }
    fn fill(value: &mut Value, dir: &Path) {
        let Value::Object(map) = value else { return };
        for (key, value) in map {
            let file = match key.as_str() {
                "cert_file" | "ca_file" | "client_ca_file" => "cert",
                "key_file" => "key",
                "file" => "users",
                "filename" => "token",
                _ => {
                    fill(value, dir);
                    continue;
                }
            };
            if value.as_str().is_some_and(|text| text.starts_with('/')) {
                *value = dir.join(file).display().to_string().into();
            }
        }
    }
    fill(config, dir);
}

/// What has to be merged into `from` to make it `to`.
fn changes(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        return to.clone();
    };
    let differing = to
        .iter()
        .filter(|(key, value)| from.get(*key) != Some(*value));
    differing
        .map(|(key, value)| {
            (
                key.clone(),
                changes(from.get(key).unwrap_or(&Value::Null), value),
            )
        })
        .collect()
}

#[test]
fn they_start_and_end() {
    for name in published() {
        let dir = tempfile::tempdir().unwrap();
        let printed = corten(&[
            "print-config",
            "--mode",
            "unredacted",
            "--format",
            "json",
            "--config",
            &name,
        ])
        .output()
        .unwrap();
        let written: Value = serde_json::from_slice(&printed.stdout).unwrap();
        let mut config = written.clone();
        unbound(&mut config);
        credentials(&mut config, dir.path());
        moved(&mut config, "", dir.path());
        config["service"]["telemetry"]["logs"] = json!({"level": "info"});
        let path = dir.path().join(&name);
        std::fs::write(&path, changes(&written, &config).to_string()).unwrap();

        let changes = path.to_str().unwrap();
        let mut agent = corten(&[
            "--shutdown-grace",
            "2",
            "--config",
            &name,
            "--config",
            changes,
        ])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
        let mut log = BufReader::new(agent.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("everything is ready") {
            let read = log.read_line(&mut said).unwrap();
            assert!(read > 0, "{name} did not start:\n{said}");
        }
        let begun = Instant::now();
        let pid = agent.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(killed.unwrap().success());
        log.read_to_string(&mut said).unwrap();
        assert!(agent.wait().unwrap().success(), "{name}:\n{said}");
        // The grace, the last of the own telemetry, and a slow machine.
        assert!(begun.elapsed() < Duration::from_secs(12), "{name}:\n{said}");
        assert!(!said.contains("ERROR"), "{name}:\n{said}");
    }
}
