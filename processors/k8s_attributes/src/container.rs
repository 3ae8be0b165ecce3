//! Which container of a pod a resource is from.

use corten_kubernetes::object::{ContainerStatus, Pod};
use corten_pdata::{AnyValue, Attributes};

use crate::image::{Image, repo_digest};

/// A container of a pod, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Container<'p> {
    pub(crate) name: &'p str,
    /// The image, as it was asked for.
    pub(crate) image: Image<'p>,
    pub(crate) run: Run,
    status: Option<&'p ContainerStatus>,
}

/// Which run of a container: it is started again and gets another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Run {
    /// The one that runs.
    Current,
    /// The one before it.
    Previous,
    /// One that is not known any more.
    Unknown,
}

impl<'p> Container<'p> {
    /// The one that the resource names, by its id or by its name, or the only one.
    pub(crate) fn find(pod: &'p Pod, attributes: &Attributes<'_>) -> Option<Self> {
        let text = |key: &str| attributes.get_str(key).filter(|text| !text.is_empty());
        let id = text("container.id");
        let restarts = attributes.get("k8s.container.restart_count");
        Self::named(pod, id, text("k8s.container.name"), restarts)
    }

    fn named(
        pod: &'p Pod,
        id: Option<&str>,
        name: Option<&str>,
        restarts: Option<AnyValue<'_>>,
    ) -> Option<Self> {
        if let Some(id) = id
            && let Some(status) = pod
                .statuses()
                .find(|status| status.ids().any(|own| own == id))
        {
            let run = if status.bare_id() == id {
                Run::Current
            } else {
                Run::Previous
            };
            return Self::of(pod, &status.name, run);
        }
        let found = Self::of(pod, name.or_else(|| sole(pod))?, Run::Unknown)?;
        let restarts = match restarts {
            // An id that is not known is that of an earlier run.
            None if id.is_some() => return Some(found),
            None => None,
            Some(AnyValue::Int(count)) => Some(count),
            Some(AnyValue::String(text)) => match text.parse() {
                Ok(count) => Some(count),
                Err(_) => return Some(found),
            },
            Some(_) => return Some(found),
        };
        let present = found.status.map(|status| i64::from(status.restart_count));
        let run = match (restarts, present) {
            (None, _) => Run::Current,
            (Some(count), Some(present)) if count == present => Run::Current,
            (Some(count), Some(present)) if present.checked_sub(1) == Some(count) => Run::Previous,
            _ => Run::Unknown,
        };
        Some(Self { run, ..found })
    }

    fn of(pod: &'p Pod, name: &str, run: Run) -> Option<Self> {
        let status = pod.statuses().find(|status| status.name == name);
        let spec = pod.containers().find(|spec| spec.name == name);
        let (name, running) = match (spec, status) {
            (Some(spec), _) => (&spec.name, ""),
            (None, Some(status)) => (&status.name, status.image.as_str()),
            (None, None) => return None,
        };
        // A runtime may name an image by its identity alone, so what was asked for counts.
        let image = spec.map_or(running, |spec| spec.image.as_str());
        Some(Self {
            name,
            image: Image::parse(image),
            run,
            status,
        })
    }

    /// Its id, without the name of its runtime; nothing where it is not known.
    pub(crate) fn id(&self) -> &'p str {
        match (self.status, self.run) {
            (Some(status), Run::Current) => status.bare_id(),
            (Some(status), Run::Previous) => status.previous_id(),
            _ => "",
        }
    }

    /// The digest of its image in the repository that it was pulled from.
    pub(crate) fn repo_digest(&self) -> Option<String> {
        let status = self.status.filter(|_| self.run == Run::Current)?;
        repo_digest(&status.image_id)
    }
}

/// The name of the only container that can have sent something: init containers have ended, but sidecars run beside it.
fn sole(pod: &Pod) -> Option<&str> {
    let spec = &pod.spec;
    if spec.containers.is_empty() {
        return match pod.status.container_statuses.as_slice() {
            [only] => Some(&only.name),
            _ => None,
        };
    }
    let sidecar = |restarts: &str| restarts == "Always";
    match spec.containers.as_slice() {
        [only]
            if !spec
                .init_containers
                .iter()
                .any(|init| sidecar(&init.restart_policy)) =>
        {
            Some(&only.name)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "spec": {
                "containers": [{"name": "main", "image": "cart:1.2"}],
                "initContainers": [{"name": "prepare", "image": "busybox"}],
                "ephemeralContainers": [{"name": "debugger", "image": "busybox"}],
            },
            "status": {
                "containerStatuses": [{
                    "name": "main", "image": "sha256:0123", "imageID": "quay.io/cart@sha256:ab", "containerID": "containerd://main-2",
                    "restartCount": 2, "lastState": {"terminated": {"containerID": "containerd://main-1"}},
                }],
                "initContainerStatuses": [{"name": "prepare", "image": "docker.io/library/busybox:latest", "containerID": "containerd://prepare-0"}],
            },
        }))
        .unwrap()
    }

    #[test]
    fn containers_of_every_kind_are_found_by_id_and_by_name() {
        let pod = pod();
        let find = |id, name, restarts| {
            let found = Container::named(&pod, id, name, restarts)?;
            Some((found.name, found.run, found.id().to_owned()))
        };
        let main = |run, id: &str| Some(("main", run, id.to_owned()));
        assert_eq!(find(None, None, None), main(Run::Current, "main-2"));
        assert_eq!(
            find(Some("main-1"), None, None),
            main(Run::Previous, "main-1")
        );
        assert_eq!(find(Some("main-0"), None, None), main(Run::Unknown, ""));
        for (count, run, id) in [
            (AnyValue::Int(2), Run::Current, "main-2"),
            (AnyValue::String("1"), Run::Previous, "main-1"),
            (AnyValue::Int(0), Run::Unknown, ""),
            (AnyValue::Int(i64::MIN), Run::Unknown, ""),
            (AnyValue::String("x"), Run::Unknown, ""),
            (AnyValue::Bool(true), Run::Unknown, ""),
        ] {
            assert_eq!(
                find(None, Some("main"), Some(count)),
                main(run, id),
                "{count:?}"
            );
        }
        let prepare = Some(("prepare", Run::Current, "prepare-0".to_owned()));
        assert_eq!(find(Some("prepare-0"), Some("main"), None), prepare);
        assert_eq!(find(None, Some("prepare"), None), prepare);
        let debugger = Some(("debugger", Run::Current, String::new()));
        assert_eq!(find(None, Some("debugger"), None), debugger);
        assert_eq!(find(None, Some("other"), None), None);
    }

    #[test]
    fn an_image_is_the_one_that_was_asked_for_and_a_digest_the_running_ones() {
        let pod = pod();
        let main = Container::named(&pod, Some("main-2"), None, None).unwrap();
        assert_eq!((main.image.name, main.image.tag()), ("cart", Some("1.2")));
        assert_eq!(
            main.repo_digest().as_deref(),
            Some("quay.io/cart@sha256:ab")
        );
        let before = Container::named(&pod, Some("main-1"), None, None).unwrap();
        assert_eq!(before.repo_digest(), None);
    }

    #[test]
    fn beside_a_sidecar_no_container_is_the_only_one() {
        let mut pod = pod();
        pod.spec.init_containers[0].restart_policy = "Always".to_owned();
        assert_eq!(Container::named(&pod, None, None, None), None);
    }
}
