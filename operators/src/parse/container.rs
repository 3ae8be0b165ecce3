//! The lines that container runtimes write.

use jiff::Timestamp;

use crate::parse::json::Json;
use crate::value::{Map, Value};

/// Which runtime wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Auto,
    Docker,
    /// CRI-O and containerd.
    Cri,
}

/// One line.
#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) time: u64,
    pub(crate) stream: String,
    /// CRI's alone.
    pub(crate) tag: Option<String>,
    pub(crate) message: String,
    /// What docker's drivers add.
    pub(crate) more: Map,
}

impl Line {
    /// The rest of the message follows.
    pub(crate) fn is_partial(&self) -> bool {
        match &self.tag {
            Some(tag) => tag == "P" || tag.starts_with("P:"),
            None => !self.message.ends_with('\n'),
        }
    }
}

pub(crate) fn read(format: Format, json: &mut Json, text: &str) -> Result<Line, String> {
    let docker = match format {
        Format::Auto => text.starts_with('{'),
        Format::Docker => true,
        Format::Cri => false,
    };
    if docker {
        read_docker(json, text)
    } else {
        read_cri(text)
    }
}

fn read_docker(json: &mut Json, text: &str) -> Result<Line, String> {
    let mut map = json.map(text)?;
    let mut part = |name: &str| match map.remove(name) {
        Some(Value::Str(text)) => Ok(text),
        _ => Err(format!("a line of docker has a text '{name}'")),
    };
    Ok(Line {
        message: part("log")?,
        stream: part("stream")?,
        time: time(&part("time")?)?,
        tag: None,
        more: map,
    })
}

fn read_cri(text: &str) -> Result<Line, String> {
    const EXPECTED: &str = "expected a line of a container: time, stdout or stderr, tag, message";
    let mut parts = text.splitn(3, ' ');
    let (Some(at), Some(stream @ ("stdout" | "stderr")), Some(rest)) =
        (parts.next(), parts.next(), parts.next())
    else {
        return Err(EXPECTED.to_owned());
    };
    let (tag, message) = rest.split_once(' ').unwrap_or((rest, ""));
    Ok(Line {
        time: time(at)?,
        stream: stream.to_owned(),
        tag: Some(tag.to_owned()),
        message: message.to_owned(),
        more: Map::new(),
    })
}

fn time(text: &str) -> Result<u64, String> {
    let time = text.parse::<Timestamp>().ok();
    time.and_then(|time| u64::try_from(time.as_nanosecond()).ok())
        .ok_or_else(|| format!("expected a time, found '{}'", crate::time::short(text)))
}

/// What kubelet's path says: resource attributes of the pod and the container.
pub(crate) fn path(path: &str) -> Option<[(&'static str, &str); 5]> {
    let mut parts = path.rsplit(['/', '\\']);
    let (file, container, pod) = (parts.next()?, parts.next()?, parts.next()?);
    let restart = file.strip_suffix(".log")?;
    let mut names = pod.splitn(3, '_');
    let (namespace, name, uid) = (names.next()?, names.next()?, names.next()?);
    let digits = !restart.is_empty() && restart.bytes().all(|b| b.is_ascii_digit());
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b) || b == b'-';
    let known = digits
        && !namespace.is_empty()
        && !name.is_empty()
        && !uid.is_empty()
        && uid.bytes().all(hex)
        && !container.is_empty()
        && !container.contains(['.', '_']);
    known.then_some([
        ("k8s.namespace.name", namespace),
        ("k8s.pod.name", name),
        ("k8s.pod.uid", uid),
        ("k8s.container.name", container),
        ("k8s.container.restart_count", restart),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(text: &str) -> Result<Line, String> {
        read(Format::Auto, &mut Json::new(false), text)
    }

    #[test]
    fn lines_of_all_runtimes() {
        let crio = line(
            "2024-04-13T07:59:37.505201169-05:00 stdout F standalone crio line which is awesome",
        )
        .unwrap();
        assert_eq!(crio.message, "standalone crio line which is awesome");
        assert_eq!(
            (crio.stream.as_str(), crio.tag.as_deref()),
            ("stdout", Some("F"))
        );
        assert_eq!(crio.time, 1_713_013_177_505_201_169);
        assert!(!crio.is_partial());
        assert!(
            line("2023-06-22T10:27:25.8Z stderr P part")
                .unwrap()
                .is_partial()
        );
        assert_eq!(line("2023-06-22T10:27:25Z stderr F").unwrap().message, "");
        let docker = r#"{"log":"INFO: line\n","stream":"stdout","time":"2024-03-30T08:31:20.545192187Z","attrs":{"a":"b"}}"#;
        let docker = line(docker).unwrap();
        assert_eq!(docker.message, "INFO: line\n");
        assert_eq!(docker.more.to_json().to_string(), r#"{"attrs":{"a":"b"}}"#);
        assert!(!docker.is_partial());
        for bad in [
            "",
            "x",
            "x stdout F y",
            "2023-06-22T10:27:25Z stdin F y",
            "{}",
            "{\"log\":1}",
        ] {
            assert!(line(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_of_kubelet() {
        let found =
            path("/var/log/pods/some-ns_kube-controller_49cc7c1fd3702c40/kube-controller/1.log")
                .unwrap();
        assert_eq!(
            found.map(|(_, value)| value),
            [
                "some-ns",
                "kube-controller",
                "49cc7c1fd3702c40",
                "kube-controller",
                "1"
            ]
        );
        for bad in [
            "",
            "/a/b/c.log",
            "/p/a_b_XYZ/c/1.log",
            "/p/a_b_c/c/x.log",
            "/p/a_b_c/c.d/1.log",
        ] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[{}\":a-z0-9 ,_/.]{0,40}") {
            drop(line(&text));
            let _parts = path(&text);
        }
    }
}
