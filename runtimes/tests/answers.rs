//! Scripted runtimes on real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test's failure is a panic, and its tasks end with it"
)]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use corten_component::{Context, Kind};
use corten_net::body::Body;
use corten_net::grpc::reply;
use corten_runtimes::{Config, Directory, Known};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::{TcpListener, UnixListener};

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn context() -> Context {
    Context::detached(Kind::Receiver, "container_metrics".parse().unwrap())
}

/// What is known once `enough` of it is.
async fn known(directory: &Directory, enough: impl Fn(&Known) -> bool) -> Arc<Known> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let known = directory.known();
        if enough(&known) {
            return known;
        }
        assert!(Instant::now() < deadline, "{known:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn start(config: &Config) -> (Arc<Directory>, Context) {
    let cx = context();
    let directory = Arc::new(Directory::new(&cx, config, Path::new("/")).unwrap());
    Arc::clone(&directory).start(cx.tasks());
    (directory, cx)
}

#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    uid: String,
    #[prost(string, tag = "3")]
    namespace: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sandbox {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "2")]
    metadata: Option<Named>,
    #[prost(map = "string, string", tag = "5")]
    labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct Sandboxes {
    #[prost(message, repeated, tag = "1")]
    items: Vec<Sandbox>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerName {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(string, tag = "1")]
    image: String,
}

#[derive(Clone, PartialEq, Message)]
struct Container {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    sandbox: String,
    #[prost(message, optional, tag = "3")]
    metadata: Option<ContainerName>,
    #[prost(message, optional, tag = "4")]
    image: Option<Image>,
    #[prost(int32, tag = "6")]
    state: i32,
    #[prost(int64, tag = "7")]
    created_at: i64,
    #[prost(map = "string, string", tag = "8")]
    labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct Containers {
    #[prost(message, repeated, tag = "1")]
    items: Vec<Container>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, optional, tag = "8")]
    image: Option<Image>,
}

#[derive(Clone, PartialEq, Message)]
struct StatusAnswer {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(map = "string, string", tag = "2")]
    info: HashMap<String, String>,
}

fn labels(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn cri(path: &str) -> Vec<u8> {
    let of_pod = [
        ("io.kubernetes.pod.name", "web-1"),
        ("io.kubernetes.pod.namespace", "shop"),
        ("io.kubernetes.pod.uid", "u-1"),
    ];
    let image = |image: &str| {
        Some(Image {
            image: image.to_owned(),
        })
    };
    match path.rsplit('/').next().unwrap() {
        "ListPodSandbox" => Sandboxes {
            items: vec![Sandbox {
                id: id('a'),
                metadata: Some(Named {
                    name: "web-1".into(),
                    uid: "u-1".into(),
                    namespace: "shop".into(),
                }),
                labels: labels(&of_pod),
            }],
        }
        .encode_to_vec(),
        "ListContainers" => {
            let mut all = labels(&of_pod);
            all.insert("io.kubernetes.container.name".into(), "nginx".into());
            Containers {
                items: vec![Container {
                    id: id('b'),
                    sandbox: id('a'),
                    metadata: Some(ContainerName {
                        name: "nginx".into(),
                    }),
                    image: image("sha256:0123"),
                    state: 1,
                    created_at: 1_700_000_000_500_000_000,
                    labels: all,
                }],
            }
            .encode_to_vec()
        }
        "PodSandboxStatus" => StatusAnswer {
            status: None,
            info: labels(&[("info", r#"{"pid":41,"image":"registry.k8s.io/pause:3.9"}"#)]),
        }
        .encode_to_vec(),
        "ContainerStatus" => StatusAnswer {
            status: Some(Status {
                image: image("docker.io/library/nginx:1.27"),
            }),
            info: labels(&[("info", r#"{"pid":42,"sandboxID":"x"}"#)]),
        }
        .encode_to_vec(),
        other => panic!("{other}"),
    }
}

fn serve_cri(socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|request: Request<Incoming>| async move {
                let answer: Response<Body> = reply(&cri(request.uri().path()));
                Ok::<_, std::convert::Infallible>(answer)
            });
            tokio::spawn(
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
}

#[tokio::test]
async fn the_cri_names_containers_and_sandboxes() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("containerd.sock");
    serve_cri(&socket);
    let config = Config {
        endpoint: format!("unix://{}", socket.display()),
        ..Config::default()
    };
    let (directory, cx) = start(&config);
    let known = known(&directory, |known| known.containers.len() == 2).await;
    let nginx = &known.containers[&id('b')];
    assert_eq!(
        (
            &*nginx.namespace,
            &*nginx.pod,
            &*nginx.container,
            &*nginx.image
        ),
        ("shop", "web-1", "nginx", "docker.io/library/nginx:1.27")
    );
    assert_eq!((nginx.pid, nginx.created), (Some(42), Some(1_700_000_000)));
    assert_eq!(nginx.name, id('b'));
    assert!(!nginx.has_network);
    let sandbox = &known.containers[&id('a')];
    assert_eq!(
        (
            &*sandbox.namespace,
            &*sandbox.pod,
            &*sandbox.container,
            &*sandbox.image
        ),
        ("shop", "web-1", "", "registry.k8s.io/pause:3.9")
    );
    assert!(sandbox.has_network && sandbox.pid == Some(41));
    assert_eq!(known.pods["u-1"].name, "web-1");
    cx.tasks().stop();
}

#[tokio::test]
async fn a_runtime_that_comes_later_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("crio.sock");
    let config = Config {
        endpoint: socket.display().to_string(),
        ..Config::default()
    };
    let (directory, cx) = start(&config);
    assert!(directory.known().containers.is_empty());
    serve_cri(&socket);
    let known = known(&directory, |known| !known.containers.is_empty()).await;
    assert_eq!(
        known.containers[&id('b')].name,
        "k8s_nginx_web-1_shop_u-1_0"
    );
    cx.tasks().stop();
}

#[tokio::test]
async fn docker_names_containers() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|request: Request<Incoming>| async move {
                let body = match request.uri().path() {
                    "/containers/json" => format!(r#"[{{"Id":"{}"}},{{"Id":"gone"}}]"#, id('d')),
                    path if path.contains(&id('d')) => r#"{"Name":"/shop-db","Created":"2023-11-14T22:13:20.5Z","State":{"Pid":77,"Health":{"Status":"healthy"}},
                        "Config":{"Image":"postgres:16","Env":["PGDATA=/data","X"],"Labels":{"com.example/team":"a"}},"HostConfig":{"NetworkMode":"bridge"}}"#.to_owned(),
                    _ => {
                        let mut gone = Response::new(Full::new(Bytes::new()));
                        *gone.status_mut() = http::StatusCode::NOT_FOUND;
                        return Ok::<_, std::convert::Infallible>(gone);
                    }
                };
                Ok(Response::new(Full::new(Bytes::from(body))))
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    let config = Config {
        endpoint: socket.display().to_string(),
        ..Config::default()
    };
    let (directory, cx) = start(&config);
    let known = known(&directory, |known| !known.containers.is_empty()).await;
    assert_eq!(known.containers.len(), 1);
    let db = &known.containers[&id('d')];
    assert_eq!(
        (&*db.name, &*db.image, &*db.health),
        ("shop-db", "postgres:16", "healthy")
    );
    assert_eq!((db.pid, db.created), (Some(77), Some(1_700_000_000)));
    assert_eq!(db.label("com.example/team"), "a");
    assert_eq!(db.env, [("PGDATA".to_owned(), "/data".to_owned())]);
    assert!(db.has_network);
    cx.tasks().stop();
}

#[tokio::test]
async fn the_kubelet_is_asked_until_it_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            let service = service_fn(move |_: Request<Incoming>| {
                let first = count.fetch_add(1, Ordering::Relaxed) == 0;
                async move {
                    let mut answer = Response::new(Full::new(Bytes::from(format!(
                        r#"{{"items":[{{"metadata":{{"name":"p","namespace":"n","uid":"u"}},"status":{{"containerStatuses":[{{"name":"c","image":"i","containerID":"containerd://{}"}}]}}}}]}}"#,
                        id('e')
                    ))));
                    if first {
                        *answer.status_mut() = http::StatusCode::FORBIDDEN;
                    }
                    Ok::<_, std::convert::Infallible>(answer)
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    let mut config = Config {
        kind: corten_runtimes::Kind::Kubelet,
        ..Config::default()
    };
    config.kubelet.endpoint = format!("http://{address}");
    let (directory, cx) = start(&config);
    let known = known(&directory, |known| !known.containers.is_empty()).await;
    assert_eq!(known.containers[&id('e')].container, "c");
    assert!(asked.load(Ordering::Relaxed) >= 2);
    cx.tasks().stop();
}
