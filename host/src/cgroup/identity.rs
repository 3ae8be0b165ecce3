//! What a group's path tells of the container in it.

/// Who made a group, as far as its path tells. Container runtimes below Kubernetes name groups
/// `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/cri-containerd-<id>.scope`
/// (systemd) or `/kubepods/burstable/pod<uid>/<id>`; without Kubernetes there is no pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The pod's uid as the path has it: systemd's form writes `_` for `-`.
    pub pod_uid: Option<&'a str>,
    /// The container's id: 64 hexadecimal digits.
    pub container_id: Option<&'a str>,
    /// `cri-containerd`, `crio`, `docker`, …: what stands before the id in systemd's form.
    pub runtime: Option<&'a str>,
}

impl<'a> Identity<'a> {
    /// Reads the path of a group.
    #[must_use]
    pub fn of(id: &'a str) -> Self {
        let mut identity = Self::default();
        let last = id.rsplit('/').next().unwrap_or_default();
        let name = last.strip_suffix(".scope").unwrap_or(last);
        let (runtime, container) = match name.rsplit_once('-') {
            Some((runtime, container)) => (Some(runtime), container),
            None => (None, name),
        };
        // The monitor process of a container is no container.
        if is_container_id(container) && runtime != Some("crio-conmon") {
            identity.container_id = Some(container);
            identity.runtime = runtime;
        }
        identity.pod_uid = id.split('/').rev().find_map(pod_uid);
        identity
    }

    /// The pod's uid as Kubernetes writes it.
    #[must_use]
    pub fn pod_uid(&self) -> Option<String> {
        self.pod_uid.map(|uid| uid.replace('_', "-"))
    }
}

fn is_container_id(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

fn pod_uid(part: &str) -> Option<&str> {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let uid = match name.rsplit_once("-pod") {
        Some((group, uid)) if group.starts_with("kubepods") => uid,
        _ => name.strip_prefix("pod")?,
    };
    // Static pods have a hash of 32 digits, all others a UUID of 36 characters.
    (uid.len() >= 32
        && uid
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_')))
    .then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn both_drivers_layouts_are_understood() {
        let systemd = format!(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0aa1_b_c_d_0123456789abcdefabcdef.slice/cri-containerd-{ID}.scope"
        );
        let identity = Identity::of(&systemd);
        assert_eq!(identity.container_id, Some(ID));
        assert_eq!(identity.runtime, Some("cri-containerd"));
        assert_eq!(
            identity.pod_uid().as_deref(),
            Some("0aa1-b-c-d-0123456789abcdefabcdef")
        );
        let plain = format!("/kubepods/besteffort/pod11111111-2222-3333-4444-555555555555/{ID}");
        let identity = Identity::of(&plain);
        assert_eq!((identity.container_id, identity.runtime), (Some(ID), None));
        assert_eq!(
            identity.pod_uid,
            Some("11111111-2222-3333-4444-555555555555")
        );
    }

    #[test]
    fn other_groups_are_nobodys() {
        let conmon = format!("/kubepods.slice/crio-conmon-{ID}.scope");
        for id in [
            "/",
            "/system.slice/ssh.service",
            "/user.slice/podman",
            conmon.as_str(),
        ] {
            assert_eq!(Identity::of(id), Identity::default(), "{id}");
        }
    }
}
