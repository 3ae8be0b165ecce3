//! Any bytes as a page of a list of the API server: refused, or pods whose addresses, containers and images can be asked for.

#![no_main]
#![allow(dead_code, reason = "only what reads is looked at")]

#[path = "../../kubernetes/src/error.rs"]
mod error;
#[path = "../../processors/k8s_attributes/src/image.rs"]
mod image;
#[path = "../../kubernetes/src/object.rs"]
mod object;
#[path = "../../kubernetes/src/page.rs"]
mod page;

use image::{Image, repo_digest};
use libfuzzer_sys::fuzz_target;
use object::{Object, Partial, Pod};
use page::Page;

fuzz_target!(|body: &[u8]| {
    let pods = Page::<Pod>::parse(body, "/api/v1/pods");
    let others = Page::<Partial>::parse(body, "/api/v1/nodes");
    // Who reads less of an object reads more objects.
    if let (Ok(pods), Ok(others)) = (&pods, &others) {
        assert!(pods.items.len() <= others.items.len());
        assert_eq!((&pods.version, &pods.next), (&others.version, &others.next));
    }
    for pod in pods.map(|page| page.items).unwrap_or_default() {
        let written = pod.status.pod_ips.len() + 1;
        assert!(pod.addresses().count() <= if pod.spec.host_network { 0 } else { written });
        for status in pod.statuses() {
            assert!(status.ids().all(|id| !id.is_empty()));
            if let Some(digest) = repo_digest(&status.image_id) {
                assert!(digest.contains('@'));
            }
        }
        for container in pod.containers() {
            let image = Image::parse(&container.image);
            assert!(container.image.starts_with(image.name));
            let _ = (image.tag(), image.version());
        }
        assert!(pod.metadata().name.len() <= body.len() * 3);
    }
});
