//! Any bytes as what the kubelet says of its node's consumption and of its pods.

#![no_main]
#![allow(dead_code, reason = "only what reads is looked at")]

// What is read names this crate for what it takes from it.
extern crate self as corten_kubernetes;

#[path = "../../receivers/kubelet_stats/src/pods.rs"]
mod pods;
#[path = "../../kubernetes/src/quantity.rs"]
mod quantity;
#[path = "../../receivers/kubelet_stats/src/summary.rs"]
mod summary;

use libfuzzer_sys::fuzz_target;
pub use quantity::parse_quantity;

fuzz_target!(|body: &[u8]| {
    if let Ok(summary) = serde_json::from_slice::<summary::Summary>(body) {
        let times = summary
            .pods
            .iter()
            .flatten()
            .map(|pod| pod.start_time.as_deref());
        for time in times.chain([summary.node.start_time.as_deref()]) {
            let _ = summary::nanos(time);
        }
    }
    let _ = pods::parse(body);
    if let Ok(text) = std::str::from_utf8(body)
        && let Some(quantity) = parse_quantity(text)
    {
        assert!(!quantity.is_nan(), "{text}");
    }
});
