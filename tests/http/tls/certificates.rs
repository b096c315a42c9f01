//! A certificate that changes while actord serves.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpStream;

use super::support::{Secure, get_over_http1, made, shake};
use crate::support::mirror;

#[actix_web::test]
async fn a_new_certificate_is_for_new_connections_and_those_that_are_open_go_on() {
    let secure = Secure::house(|_| {}).await;
    secure.house.publish("mirror", mirror().await);
    let (mut before, mut before2) = (secure.connect(&["http/1.1"]).await, secure.http2().await);
    assert_eq!(get_over_http1(&mut before, "/function/mirror").await.status, 200);
    assert_eq!(before2.get("/function/mirror").await.status, 200);

    let (next, next_key) = made();
    std::fs::write(&secure.files.certificate, &next).unwrap();
    std::fs::write(&secure.files.key, &next_key).unwrap();
    assert!(secure.tls.reload().unwrap());

    let connect = |certificate: String| async move {
        let tcp = TcpStream::connect(secure.house.address).await.unwrap();
        shake(tcp, &certificate, rustls::ALL_VERSIONS, &["http/1.1"]).await
    };
    let after = connect(next.clone()).await.unwrap();
    let shown = after.get_ref().1.peer_certificates().unwrap().first().unwrap().clone();
    assert_eq!(shown, CertificateDer::from_pem_slice(next.as_bytes()).unwrap());
    connect(secure.certificate.clone()).await.unwrap_err();
    assert_eq!(get_over_http1(&mut before, "/function/mirror").await.status, 200);
    assert_eq!(before2.get("/function/mirror").await.status, 200);
}

#[actix_web::test]
async fn a_certificate_that_is_broken_leaves_the_one_before() {
    let secure = Secure::house(|_| {}).await;
    std::fs::write(&secure.files.key, made().1).unwrap();
    let said = secure.tls.reload().unwrap_err().to_string();
    assert!(said.contains("tls-key") && said.contains("is not that of"), "{said}");
    let mut client = secure.connect(&["http/1.1"]).await;
    assert_eq!(get_over_http1(&mut client, "/healthz").await.status, 200);
}
