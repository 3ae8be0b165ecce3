//! The receiver against a node's log directory and a scripted pipeline.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use corten_pdata::{AnyValue, Data};
use corten_pod_logs_receiver::factory;
use corten_testing::{RecordingSink, conforms, create};

const UID: &str = "49cc7c1f-d370-4a1c-ad3f-41a3b5a39e6c";

fn log(root: &Path, namespace: &str, pod: &str, container: &str, restart: u32) {
    let directory = root
        .join(format!("{namespace}_{pod}_{UID}"))
        .join(container);
    fs::create_dir_all(&directory).unwrap();
    fs::write(
        directory.join(format!("{restart}.log")),
        format!(
            "2026-01-01T00:00:00.000000001Z stdout P {namespace}/{pod}\n\
             2026-01-01T00:00:00.000000002Z stdout F :{container}\n\
             2026-01-01T00:00:00.000000003Z stderr F oh\n"
        ),
    )
    .unwrap();
}

async fn lines(
    yaml: &str,
    wanted: usize,
) -> Vec<(Vec<(String, String)>, Vec<(String, String)>, String)> {
    let sink = RecordingSink::new();
    let receiver = create(&factory(), yaml, &sink);
    std::sync::Arc::clone(&receiver).start().await.unwrap();
    sink.wait_for_items(wanted).await;
    receiver.shutdown().await.unwrap();
    let pairs = |attributes: corten_pdata::Attributes<'_>| {
        attributes
            .iter()
            .map(|attribute| match attribute.value() {
                AnyValue::String(text) => (attribute.key().to_owned(), text.to_owned()),
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    let mut lines = Vec::new();
    for batch in sink.batches() {
        assert!(batch.replayable);
        let Data::Logs(logs) = &batch.data else {
            panic!("no logs")
        };
        for resource in logs.resources() {
            let of = pairs(resource.resource().attributes());
            for scope in resource.scopes() {
                for record in scope.records() {
                    let Some(AnyValue::String(body)) = record.body() else {
                        panic!("no text")
                    };
                    lines.push((of.clone(), pairs(record.attributes()), body.to_owned()));
                }
            }
        }
    }
    lines
}

#[tokio::test]
async fn keeps_the_contract() {
    let root = tempfile::tempdir().unwrap();
    conforms(factory(), &format!("path: {}\n", root.path().display())).await;
}

#[tokio::test]
async fn the_path_says_whose_line_it_is() {
    let root = tempfile::tempdir().unwrap();
    log(root.path(), "shop", "web-0", "app", 3);
    let found = lines(&format!("path: {}\n", root.path().display()), 2).await;
    assert_eq!(found.len(), 2);
    let (resource, attributes, body) = &found[0];
    let resource: Vec<_> = resource
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(
        resource,
        [
            "k8s.namespace.name=shop".to_owned(),
            "k8s.pod.name=web-0".to_owned(),
            format!("k8s.pod.uid={UID}"),
            "k8s.container.name=app".to_owned(),
            "k8s.container.restart_count=3".to_owned(),
        ]
    );
    assert_eq!(body, "shop/web-0:app");
    assert_eq!(
        attributes[..],
        [("log.iostream".to_owned(), "stdout".to_owned())]
    );
    assert_eq!(found[1].1[0].1, "stderr");
}

#[tokio::test]
async fn namespaces_and_containers_are_chosen() {
    let root = tempfile::tempdir().unwrap();
    // The second pod's name ends like the namespace that is wanted.
    for (namespace, pod, container) in [
        ("a-prod", "web", "app"),
        ("dev", "x-prod", "app"),
        ("b-prod", "web", "istio-proxy"),
        ("c-prod", "web", "app"),
        ("other", "web", "app"),
        ("b-prod", "web", "app"),
    ] {
        log(root.path(), namespace, pod, container, 0);
    }
    let yaml = format!(
        "root: {}\nnamespaces: {{include: ['*-prod', other], exclude: [c-*]}}\ncontainers: {{exclude: [istio-*]}}\nresource: {{cluster: one}}\ninclude_file_path: true\n",
        root.path().display()
    );
    let found = lines(&yaml, 6).await;
    let bodies: BTreeSet<_> = found
        .iter()
        .filter(|(_, _, body)| body != "oh")
        .map(|(_, _, body)| body.as_str())
        .collect();
    assert_eq!(
        bodies.into_iter().collect::<Vec<_>>(),
        ["a-prod/web:app", "b-prod/web:app", "other/web:app"]
    );
    for (resource, attributes, _) in &found {
        assert!(resource.contains(&("cluster".to_owned(), "one".to_owned())));
        assert!(
            attributes
                .iter()
                .any(|(key, path)| key == "log.file.path" && path.ends_with("/0.log"))
        );
    }
}
