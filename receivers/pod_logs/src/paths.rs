//! Namespaces and containers, said in globs of paths.
//!
//! A pod's directory is `<namespace>_<pod>_<uid>`, and none of the three has a `_`. So a glob with both of them written out
//! matches part by part, and no `*` of one part reaches into the next.

use std::path::Path;

use crate::config::Names;

/// The globs to follow.
pub(crate) fn include(root: &Path, namespaces: &Names, containers: &Names) -> Vec<String> {
    let mut globs = Vec::new();
    for namespace in or_all(&namespaces.include) {
        for container in or_all(&containers.include) {
            globs.push(format!(
                "{}/{namespace}_*_*/{container}/*.log",
                root.display()
            ));
        }
    }
    globs
}

/// The globs to leave out, whole directories each.
pub(crate) fn exclude(root: &Path, namespaces: &Names, containers: &Names) -> Vec<String> {
    let root = root.display();
    let of_namespaces = namespaces
        .exclude
        .iter()
        .map(|namespace| format!("{root}/{namespace}_*_*/**"));
    let of_containers = containers
        .exclude
        .iter()
        .map(|container| format!("{root}/*/{container}/**"));
    of_namespaces.chain(of_containers).collect()
}

fn or_all(globs: &[String]) -> Vec<&str> {
    if globs.is_empty() {
        vec!["*"]
    } else {
        globs.iter().map(String::as_str).collect()
    }
}

/// What is wrong with the glob of a name, if anything is.
pub(crate) fn wrong(glob: &str) -> Option<String> {
    if glob.is_empty() {
        return Some("has an empty name".to_owned());
    }
    if let Some(found) = glob.chars().find(|c| matches!(c, '/' | '_')) {
        return Some(format!(
            "has '{glob}': names in Kubernetes have no '{found}'; expected one such as kube-system or team-*"
        ));
    }
    corten_tail::check_pattern(&format!("/{glob}"))
        .err()
        .map(|error| format!("has a glob that can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(include: &[&str], exclude: &[&str]) -> Names {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Names {
            include: owned(include),
            exclude: owned(exclude),
        }
    }

    #[test]
    fn every_pair_is_a_glob() {
        let root = Path::new("/var/log/pods");
        let all = Names::default();
        assert_eq!(include(root, &all, &all), ["/var/log/pods/*_*_*/*/*.log"]);
        assert!(exclude(root, &all, &all).is_empty());
        assert_eq!(
            include(
                root,
                &names(&["shop", "team-*"], &[]),
                &names(&["app"], &[])
            ),
            [
                "/var/log/pods/shop_*_*/app/*.log",
                "/var/log/pods/team-*_*_*/app/*.log"
            ]
        );
        assert_eq!(
            exclude(
                root,
                &names(&[], &["kube-*"]),
                &names(&[], &["istio-proxy"])
            ),
            [
                "/var/log/pods/kube-*_*_*/**",
                "/var/log/pods/*/istio-proxy/**"
            ]
        );
    }

    #[test]
    fn what_is_no_name_is_told() {
        assert!(wrong("team-*").is_none());
        assert!(wrong("{a,b}").is_none());
        assert!(wrong("").unwrap().contains("empty"));
        assert!(wrong("a/b").unwrap().contains("'/'"));
        assert!(wrong("a_b").unwrap().contains("'_'"));
        assert!(wrong("[").unwrap().contains("can't be read"));
    }
}
