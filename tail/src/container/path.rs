//! What kubelet's log paths say.

/// The container whose log a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPath {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid (of a static pod: the hash of its manifest).
    pub uid: String,
    /// The container's name.
    pub container: String,
    /// How often the container was restarted before.
    pub restart: u32,
}

/// Reads `…/<namespace>_<pod>_<uid>/<container>/<restart>.log`. Rotated generations (`0.log.20260101-000000`, with `.gz` or not) say the same.
#[must_use]
pub fn parse(path: &str) -> Option<ContainerPath> {
    let mut parts = path.rsplit('/');
    let (file, container, pod) = (parts.next()?, parts.next()?, parts.next()?);
    let (restart, after) = file.split_once(".log")?;
    if !(after.is_empty() || after.starts_with('.')) {
        return None;
    }
    let restart = restart
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| restart.parse().ok())??;
    let mut fields = pod.split('_');
    let (namespace, name, uid) = (fields.next()?, fields.next()?, fields.next()?);
    let legal = fields.next().is_none()
        && [namespace, name, uid, container]
            .iter()
            .all(|field| !field.is_empty())
        && uid
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    legal.then(|| ContainerPath {
        namespace: namespace.to_owned(),
        pod: name.to_owned(),
        uid: uid.to_owned(),
        container: container.to_owned(),
        restart,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_kubelets_paths() {
        let expected = ContainerPath {
            namespace: "kube-system".to_owned(),
            pod: "coredns-7db6d8ff4d-abcde".to_owned(),
            uid: "49cc7c1f-d370-4a1c-ad3f-41a3b5a39e6c".to_owned(),
            container: "coredns".to_owned(),
            restart: 3,
        };
        let directory = "/var/log/pods/kube-system_coredns-7db6d8ff4d-abcde_49cc7c1f-d370-4a1c-ad3f-41a3b5a39e6c/coredns";
        for file in ["3.log", "3.log.20260101-000000", "3.log.20260101-000000.gz"] {
            assert_eq!(
                parse(&format!("{directory}/{file}")),
                Some(expected.clone()),
                "{file}"
            );
        }
    }

    #[test]
    fn other_paths_say_nothing() {
        for path in [
            "",
            "/var/log/syslog",
            "/a_b_c/d/0.log2",
            "/a_b_c/d/x.log",
            "/a_b_c/d/.log",
            "/a_b/d/0.log",
            "/a_b_c_d/d/0.log",
            "/_b_c/d/0.log",
            "/a_b_xyz/d/0.log",
            "/a_b_c//0.log",
            "/a_b_c/d/99999999999.log",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
