//! What is read of an image's documents, as containerd itself counts it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use actord::host::PullPolicy;

use crate::Machine;
use crate::private_containerd::PrivateContainerd;
use crate::registry::{BuiltImage, Compression, Layer, Registry};

/// How many blobs were read through containerd's API.
fn reads(metrics: SocketAddr) -> u32 {
    let mut stream = TcpStream::connect(metrics).unwrap();
    stream.write_all(b"GET /v1/metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let counts = |line: &&str| line.starts_with("grpc_server_started_total{") && line.contains("content.v1.Content");
    let line = answer.lines().filter(counts).find(|line| line.contains("grpc_method=\"Read\"")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_an_image_is_made_of_is_read_once() {
    let metrics = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let machine = Machine::on(PrivateContainerd::start_with(&format!("[metrics]\naddress = \"{metrics}\"\n")));
    let registry = Registry::start(machine.daemon.directory()).await;
    let built = BuiltImage::new(vec![Layer::new("hello", b"hello", Compression::Gzip)]);
    let reference = registry.push("fn", "v1", &built).await;
    let before = reads(metrics);
    let pulled = machine.pull(&reference).await;
    assert_eq!(reads(metrics) - before, 1, "its config: the manifest came from the registry just now");
    let here = machine.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    assert_eq!(reads(metrics) - before, 3, "its manifest and its config");
    assert_eq!(here, pulled);
    for policy in [PullPolicy::IfNotPresent, PullPolicy::Never] {
        assert_eq!(machine.ensure(&reference, policy).await.unwrap(), pulled);
    }
    assert_eq!(reads(metrics) - before, 3, "what is known is only looked for");
    assert_eq!(pulled.chain_id, pulled.config.rootfs().diff_ids()[0]);
}
