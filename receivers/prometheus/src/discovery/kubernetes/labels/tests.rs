use std::sync::Arc;

use expect_test::expect;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;

fn shelf<T: serde::de::DeserializeOwned>(objects: Vec<Value>) -> Shelves<T> {
    let keyed = objects.into_iter().map(|object| {
        let of = |name: &str| {
            object["metadata"][name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let key = (of("namespace"), of("name"));
        (key, Arc::new(serde_json::from_value(object).unwrap()))
    });
    Shelves(vec![Arc::new(Mutex::new(keyed.collect()))])
}

/// Labels without the common prefix, a target in each paragraph.
fn shown(objects: &Objects, role: Role, node: Option<&str>) -> String {
    let line = |(name, value): (&String, &String)| {
        format!("{}={value}", name.strip_prefix(META).unwrap_or(name))
    };
    let targets = objects.targets(role, node);
    let all = targets
        .iter()
        .map(|labels| labels.iter().map(line).collect::<Vec<_>>().join("\n"));
    all.collect::<Vec<_>>().join("\n\n")
}

fn pod() -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": "cart-0", "uid": "u1", "labels": {"app.kubernetes.io/name": "cart"},
            "annotations": {"prometheus.io/scrape": "true"},
            "ownerReferences": [{"kind": "StatefulSet", "name": "cart", "controller": true}]},
        "spec": {"nodeName": "n1",
            "containers": [
                {"name": "app", "image": "cart:1", "ports": [{"name": "http", "containerPort": 80}, {"containerPort": 9090, "protocol": "TCP"}]},
                {"name": "sidecar", "image": "side:1", "ports": null}],
            "initContainers": null},
        "status": {"phase": "Running", "podIP": "10.0.0.7", "hostIP": "192.168.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "app", "containerID": "containerd://c1"}]}})
}

fn node() -> Value {
    json!({
        "metadata": {"name": "n1", "labels": {"zone": "z1"}},
        "spec": {"providerID": "cloud://n1"},
        "status": {"addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "192.168.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}}})
}

#[test]
fn nodes_are_their_kubelets() {
    let objects = Objects {
        nodes: shelf(vec![node()]),
        ..Objects::default()
    };
    expect![[r#"
        __address__=192.168.0.1:10250
        node_address_Hostname=n1
        node_address_InternalIP=192.168.0.1
        node_label_zone=z1
        node_labelpresent_zone=true
        node_name=n1
        node_provider_id=cloud://n1
        instance=n1"#]]
    .assert_eq(&shown(&objects, Role::Node, None));
}

#[test]
fn pods_are_the_ports_of_their_containers() {
    let mut waiting = pod();
    waiting["metadata"]["name"] = "cart-1".into();
    waiting["status"]["podIP"] = Value::Null;
    let objects = Objects {
        pods: shelf(vec![pod(), waiting]),
        nodes: shelf(vec![node()]),
        namespaces: shelf(vec![
            json!({"metadata": {"name": "shop", "labels": {"team": "a"}}}),
        ]),
        ..Objects::default()
    };
    expect![[r#"
        __address__=10.0.0.7:80
        namespace=shop
        namespace_label_team=a
        namespace_labelpresent_team=true
        node_label_zone=z1
        node_labelpresent_zone=true
        node_name=n1
        pod_annotation_prometheus_io_scrape=true
        pod_annotationpresent_prometheus_io_scrape=true
        pod_container_id=containerd://c1
        pod_container_image=cart:1
        pod_container_init=false
        pod_container_name=app
        pod_container_port_name=http
        pod_container_port_number=80
        pod_container_port_protocol=TCP
        pod_controller_kind=StatefulSet
        pod_controller_name=cart
        pod_host_ip=192.168.0.1
        pod_ip=10.0.0.7
        pod_label_app_kubernetes_io_name=cart
        pod_labelpresent_app_kubernetes_io_name=true
        pod_name=cart-0
        pod_node_name=n1
        pod_phase=Running
        pod_ready=true
        pod_uid=u1

        __address__=10.0.0.7:9090
        namespace=shop
        namespace_label_team=a
        namespace_labelpresent_team=true
        node_label_zone=z1
        node_labelpresent_zone=true
        node_name=n1
        pod_annotation_prometheus_io_scrape=true
        pod_annotationpresent_prometheus_io_scrape=true
        pod_container_id=containerd://c1
        pod_container_image=cart:1
        pod_container_init=false
        pod_container_name=app
        pod_container_port_name=
        pod_container_port_number=9090
        pod_container_port_protocol=TCP
        pod_controller_kind=StatefulSet
        pod_controller_name=cart
        pod_host_ip=192.168.0.1
        pod_ip=10.0.0.7
        pod_label_app_kubernetes_io_name=cart
        pod_labelpresent_app_kubernetes_io_name=true
        pod_name=cart-0
        pod_node_name=n1
        pod_phase=Running
        pod_ready=true
        pod_uid=u1

        __address__=10.0.0.7
        namespace=shop
        namespace_label_team=a
        namespace_labelpresent_team=true
        node_label_zone=z1
        node_labelpresent_zone=true
        node_name=n1
        pod_annotation_prometheus_io_scrape=true
        pod_annotationpresent_prometheus_io_scrape=true
        pod_container_image=side:1
        pod_container_init=false
        pod_container_name=sidecar
        pod_controller_kind=StatefulSet
        pod_controller_name=cart
        pod_host_ip=192.168.0.1
        pod_ip=10.0.0.7
        pod_label_app_kubernetes_io_name=cart
        pod_labelpresent_app_kubernetes_io_name=true
        pod_name=cart-0
        pod_node_name=n1
        pod_phase=Running
        pod_ready=true
        pod_uid=u1"#]]
    .assert_eq(&shown(&objects, Role::Pod, None));
}

#[test]
fn services_are_their_ports() {
    let objects = Objects {
        services: shelf(vec![
            json!({"metadata": {"namespace": "shop", "name": "cart", "labels": {"a": "b"}},
                "spec": {"type": "ClusterIP", "clusterIP": "10.1.0.1", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}}),
            json!({"metadata": {"namespace": "shop", "name": "out"},
                "spec": {"type": "ExternalName", "externalName": "example.org", "ports": [{"port": 443}]}}),
        ]),
        ..Objects::default()
    };
    expect![[r#"
        __address__=cart.shop.svc:80
        namespace=shop
        service_cluster_ip=10.1.0.1
        service_label_a=b
        service_labelpresent_a=true
        service_name=cart
        service_port_name=http
        service_port_number=80
        service_port_protocol=TCP
        service_type=ClusterIP

        __address__=out.shop.svc:443
        namespace=shop
        service_external_name=example.org
        service_name=out
        service_port_name=
        service_port_number=443
        service_port_protocol=TCP
        service_type=ExternalName"#]]
    .assert_eq(&shown(&objects, Role::Service, None));
}

fn behind_a_service() -> Objects {
    let elsewhere =
        json!({"ip": "10.0.9.9", "nodeName": "n2", "targetRef": {"kind": "Pod", "name": "cart-9"}});
    Objects {
        pods: shelf(vec![pod()]),
        services: shelf(vec![
            json!({"metadata": {"namespace": "shop", "name": "cart", "labels": {"a": "b"}}}),
        ]),
        endpoints: shelf(vec![
            json!({"metadata": {"namespace": "shop", "name": "cart"},
            "subsets": [{
                "addresses": [{"ip": "10.0.0.7", "nodeName": "n1", "hostname": "cart-0", "targetRef": {"kind": "Pod", "name": "cart-0", "namespace": "shop"}}],
                "notReadyAddresses": [elsewhere],
                "ports": [{"name": "http", "port": 80}]}]}),
        ]),
        slices: shelf(vec![
            json!({"metadata": {"namespace": "shop", "name": "cart-x1", "labels": {"kubernetes.io/service-name": "cart"}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["10.0.0.7"], "nodeName": "n1", "zone": "z1", "conditions": {"ready": true, "serving": null}, "targetRef": {"kind": "Pod", "name": "cart-0", "namespace": "shop"}},
                {"addresses": ["10.0.9.9"], "nodeName": "n2", "conditions": {"ready": false}}],
            "ports": [{"name": "http", "port": 80, "appProtocol": "http"}]}),
        ]),
        ..Objects::default()
    }
}

#[test]
fn endpoints_are_addresses_and_the_other_ports_of_their_pods() {
    expect![[r#"
        __address__=10.0.0.7:80
        endpoint_address_target_kind=Pod
        endpoint_address_target_name=cart-0
        endpoint_hostname=cart-0
        endpoint_node_name=n1
        endpoint_port_name=http
        endpoint_port_protocol=TCP
        endpoint_ready=true
        endpoints_name=cart
        namespace=shop
        pod_annotation_prometheus_io_scrape=true
        pod_annotationpresent_prometheus_io_scrape=true
        pod_container_id=containerd://c1
        pod_container_image=cart:1
        pod_container_init=false
        pod_container_name=app
        pod_container_port_name=http
        pod_container_port_number=80
        pod_container_port_protocol=TCP
        pod_controller_kind=StatefulSet
        pod_controller_name=cart
        pod_host_ip=192.168.0.1
        pod_ip=10.0.0.7
        pod_label_app_kubernetes_io_name=cart
        pod_labelpresent_app_kubernetes_io_name=true
        pod_name=cart-0
        pod_node_name=n1
        pod_phase=Running
        pod_ready=true
        pod_uid=u1
        service_label_a=b
        service_labelpresent_a=true
        service_name=cart

        __address__=10.0.0.7:9090
        endpoints_name=cart
        namespace=shop
        pod_annotation_prometheus_io_scrape=true
        pod_annotationpresent_prometheus_io_scrape=true
        pod_container_id=containerd://c1
        pod_container_image=cart:1
        pod_container_init=false
        pod_container_name=app
        pod_container_port_name=
        pod_container_port_number=9090
        pod_container_port_protocol=TCP
        pod_controller_kind=StatefulSet
        pod_controller_name=cart
        pod_host_ip=192.168.0.1
        pod_ip=10.0.0.7
        pod_label_app_kubernetes_io_name=cart
        pod_labelpresent_app_kubernetes_io_name=true
        pod_name=cart-0
        pod_node_name=n1
        pod_phase=Running
        pod_ready=true
        pod_uid=u1
        service_label_a=b
        service_labelpresent_a=true
        service_name=cart"#]]
    .assert_eq(&shown(&behind_a_service(), Role::Endpoints, Some("n1")));
    let everywhere = behind_a_service().targets(Role::Endpoints, None);
    assert_eq!(everywhere.len(), 3);
    assert_eq!(everywhere[1]["__meta_kubernetes_endpoint_ready"], "false");
}

#[test]
fn slices_are_addresses_and_the_other_ports_of_their_pods() {
    expect![[r#"
        __address__=10.0.0.7:80
        endpointslice_address_target_kind=Pod
        endpointslice_address_target_name=cart-0
        endpointslice_address_type=IPv4
        endpointslice_endpoint_conditions_ready=true
        endpointslice_endpoint_node_name=n1
        endpointslice_endpoint_zone=z1
        endpointslice_label_kubernetes_io_service_name=cart
        endpointslice_labelpresent_kubernetes_io_service_name=true
        endpointslice_name=cart-x1
        endpointslice_port=80
        endpointslice_port_app_protocol=http
        endpointslice_port_name=http
        endpointslice_port_protocol=TCP
        namespace=shop
        pod_annotation_prometheus_io_scrape=true
        pod_annotationpresent_prometheus_io_scrape=true
        pod_container_id=containerd://c1
        pod_container_image=cart:1
        pod_container_init=false
        pod_container_name=app
        pod_container_port_name=http
        pod_container_port_number=80
        pod_container_port_protocol=TCP
        pod_controller_kind=StatefulSet
        pod_controller_name=cart
        pod_host_ip=192.168.0.1
        pod_ip=10.0.0.7
        pod_label_app_kubernetes_io_name=cart
        pod_labelpresent_app_kubernetes_io_name=true
        pod_name=cart-0
        pod_node_name=n1
        pod_phase=Running
        pod_ready=true
        pod_uid=u1
        service_label_a=b
        service_labelpresent_a=true
        service_name=cart

        __address__=10.0.0.7:9090
        endpointslice_address_type=IPv4
        endpointslice_label_kubernetes_io_service_name=cart
        endpointslice_labelpresent_kubernetes_io_service_name=true
        endpointslice_name=cart-x1
        namespace=shop
        pod_annotation_prometheus_io_scrape=true
        pod_annotationpresent_prometheus_io_scrape=true
        pod_container_id=containerd://c1
        pod_container_image=cart:1
        pod_container_init=false
        pod_container_name=app
        pod_container_port_name=
        pod_container_port_number=9090
        pod_container_port_protocol=TCP
        pod_controller_kind=StatefulSet
        pod_controller_name=cart
        pod_host_ip=192.168.0.1
        pod_ip=10.0.0.7
        pod_label_app_kubernetes_io_name=cart
        pod_labelpresent_app_kubernetes_io_name=true
        pod_name=cart-0
        pod_node_name=n1
        pod_phase=Running
        pod_ready=true
        pod_uid=u1
        service_label_a=b
        service_labelpresent_a=true
        service_name=cart"#]]
    .assert_eq(&shown(&behind_a_service(), Role::EndpointSlice, Some("n1")));
    assert_eq!(
        behind_a_service().targets(Role::EndpointSlice, None).len(),
        3
    );
}

#[test]
fn ingresses_are_their_paths() {
    let objects = Objects {
        ingresses: shelf(vec![
            json!({"metadata": {"namespace": "shop", "name": "front"},
            "spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["*.example.org"]}],
                "rules": [
                    {"host": "shop.example.org", "http": {"paths": [{"path": "/cart"}, {"path": ""}]}},
                    {"host": "plain.example.com", "http": null}]}}),
        ]),
        ..Objects::default()
    };
    expect![[r#"
        __address__=shop.example.org
        ingress_class_name=nginx
        ingress_host=shop.example.org
        ingress_name=front
        ingress_path=/cart
        ingress_scheme=https
        namespace=shop

        __address__=shop.example.org
        ingress_class_name=nginx
        ingress_host=shop.example.org
        ingress_name=front
        ingress_path=/
        ingress_scheme=https
        namespace=shop

        __address__=plain.example.com
        ingress_class_name=nginx
        ingress_host=plain.example.com
        ingress_name=front
        ingress_path=/
        ingress_scheme=http
        namespace=shop"#]]
    .assert_eq(&shown(&objects, Role::Ingress, None));
}
