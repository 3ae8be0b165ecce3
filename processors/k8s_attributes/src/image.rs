//! What an image's reference says: `registry:5000/shop/cart:1.2@sha256:…`.

/// A reference to an image, taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image<'a> {
    /// With its registry, where it is written.
    pub(crate) name: &'a str,
    /// The tag, as it is written; nothing where there is none.
    written: Option<&'a str>,
    /// `sha256:…`
    digest: Option<&'a str>,
}

impl<'a> Image<'a> {
    pub(crate) fn parse(reference: &'a str) -> Self {
        let (named, digest) = match reference.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (reference, None),
        };
        let digest = digest.filter(|digest| !digest.is_empty());
        match named.rsplit_once(':') {
            // A colon before a slash is that of a port.
            Some((name, tag)) if !tag.is_empty() && !tag.contains('/') => Self {
                name,
                written: Some(tag),
                digest,
            },
            _ => Self {
                name: named,
                written: None,
                digest,
            },
        }
    }

    /// The tag; `latest` where neither a tag nor a digest says which.
    pub(crate) fn tag(&self) -> Option<&'a str> {
        match (self.written, self.digest) {
            (None, None) if !self.name.is_empty() => Some("latest"),
            (written, _) => written,
        }
    }

    /// What `service.version` is: tag and digest, or whichever is written (semantic conventions, Kubernetes attributes).
    pub(crate) fn version(&self) -> Option<String> {
        match (self.written, self.digest) {
            (Some(tag), Some(digest)) => Some(format!("{tag}@{digest}")),
            (one, other) => one.or(other).map(str::to_owned),
        }
    }
}

/// The digest in a repository that an image's identity tells, with the registry and the folder that short names leave out. A runtime that
/// tells no repository (`sha256:…`) tells none.
pub(crate) fn repo_digest(identity: &str) -> Option<String> {
    let identity = identity
        .strip_prefix("docker-pullable://")
        .unwrap_or(identity);
    let (name, digest) = identity.split_once('@')?;
    if name.is_empty() || !digest.contains(':') || digest.ends_with(':') {
        return None;
    }
    let registry = |first: &str| first.contains(['.', ':']) || first == "localhost";
    Some(match name.split_once('/') {
        None => format!("docker.io/library/{name}@{digest}"),
        Some((first, _)) if registry(first) => identity.to_owned(),
        Some(_) => format!("docker.io/{name}@{digest}"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn images_are_taken_apart() {
        let parts = |reference| {
            let image = Image::parse(reference);
            (image.name, image.tag(), image.version())
        };
        let version = |text: &str| Some(text.to_owned());
        for (reference, name, tag, told) in [
            ("shop/cart:1.2", "shop/cart", Some("1.2"), version("1.2")),
            (
                "registry:5000/shop/cart",
                "registry:5000/shop/cart",
                Some("latest"),
                None,
            ),
            (
                "a:5000/b:1@sha256:ab",
                "a:5000/b",
                Some("1"),
                version("1@sha256:ab"),
            ),
            ("a@sha256:ab", "a", None, version("sha256:ab")),
            ("a:", "a:", Some("latest"), None),
            ("", "", None, None),
        ] {
            assert_eq!(parts(reference), (name, tag, told), "{reference}");
        }
    }

    #[test]
    fn digests_have_their_registry() {
        for (identity, digest) in [
            (
                "quay.io/shop/cart@sha256:ab",
                Some("quay.io/shop/cart@sha256:ab"),
            ),
            ("localhost/cart@sha256:ab", Some("localhost/cart@sha256:ab")),
            (
                "docker-pullable://nginx@sha256:ab",
                Some("docker.io/library/nginx@sha256:ab"),
            ),
            ("shop/cart@sha256:ab", Some("docker.io/shop/cart@sha256:ab")),
            ("sha256:ab", None),
            ("docker://sha256:ab", None),
            ("@sha256:ab", None),
            ("nginx@", None),
            ("", None),
        ] {
            assert_eq!(repo_digest(identity).as_deref(), digest, "{identity}");
        }
    }

    proptest! {
        /// What is read is what was written.
        #[test]
        fn images_are_read_as_they_are_written(
            name in "[a-z0-9.]{1,8}(:[0-9]{1,5}/[a-z]{1,5})?(/[a-z]{1,5})?",
            tag in proptest::option::of("[a-z0-9._-]{1,8}"),
            digest in proptest::option::of("sha256:[0-9a-f]{4,8}"),
        ) {
            let mut text = name.clone();
            if let Some(tag) = &tag {
                text.push_str(&format!(":{tag}"));
            }
            if let Some(digest) = &digest {
                text.push_str(&format!("@{digest}"));
            }
            let image = Image::parse(&text);
            prop_assert_eq!(image.name, &name);
            prop_assert_eq!(image.written, tag.as_deref());
            prop_assert_eq!(image.digest, digest.as_deref());
        }

        #[test]
        fn no_image_is_too_odd(text in ".{0,40}") {
            let image = Image::parse(&text);
            prop_assert!(text.starts_with(image.name));
            prop_assert!(image.tag().is_none_or(|tag| tag == "latest" || text.contains(tag)));
            prop_assert!(repo_digest(&text).is_none_or(|digest| digest.contains('@')));
        }
    }
}
