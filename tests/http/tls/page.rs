//! The dashboard, where the public port speaks TLS.

use tokio::net::TcpStream;

use super::support::{Http2Client, Secure, get_over_http1, shake};
use crate::support::ask;

#[actix_web::test]
async fn the_dashboard_shows_the_public_ports_certificate_and_is_led_to_by_https() {
    let secure = Secure::house(|settings| settings.dashboard = Some("0.0.0.0:8083".parse().unwrap())).await;
    let page = secure.house.dashboard();
    let connect = async |protocol: &str| {
        let tcp = TcpStream::connect(page).await.unwrap();
        shake(tcp, &secure.certificate, rustls::ALL_VERSIONS, &[protocol]).await.unwrap()
    };
    let index = get_over_http1(&mut connect("http/1.1").await, "/").await;
    let mut client = Http2Client::new(connect("h2").await, &h2::client::Builder::new()).await;
    let same = client.get("/").await;
    for reply in [&index, &same] {
        assert!(reply.status == 200 && reply.header("content-security-policy").is_some(), "{reply:?}");
    }
    assert_eq!(index.body, same.body);
    let head = client.ask("HEAD", "/", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(client.get("/function/any").await.status, 404);
    assert_eq!(ask(page, "GET / HTTP/1.1\r\nHost: h\r\n", "").await.status, 400, "it says that TLS is spoken");
    let led = get_over_http1(&mut secure.connect(&["http/1.1"]).await, "/ui/").await;
    assert_eq!((led.status, led.header("location").as_deref()), (307, Some("https://faas.example:8083/")));
    let mut client = secure.http2().await;
    assert_eq!(client.get("/ui/").await.header("location").as_deref(), Some("https://faas.example:8083/"));
}
