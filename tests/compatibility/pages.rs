//! Plain HTTP on the same port: `on_request` answers with a page.

use ws::{CloseCode, Handler, Message, Request, Response, Result, Sender, connect};

use crate::support::{Peer, Server, guarded};

const PAGE: &str = "<!doctype html>\n<title>Both</title>\n<p>One port for both.</p>\n";

struct Both {
    out: Sender,
}

impl Handler for Both {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        match req.resource() {
            "/ws" => Response::from_request(req),
            "/" => {
                let mut res = Response::new(200, "OK", PAGE.as_bytes().to_vec());
                res.headers_mut().push(("Content-Type".into(), b"text/html; charset=utf-8".to_vec()));
                Ok(res)
            }
            _ => Ok(Response::new(404, "Not Found", b"404 - Not Found".to_vec())),
        }
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.out.broadcast(msg)
    }

    fn on_close(&mut self, code: CloseCode, _: &str) {
        assert_eq!(code, CloseCode::Normal);
    }
}

fn get(server: &Server, resource: &str) -> (String, String) {
    let mut peer = Peer::connect(server.addr);
    peer.send(format!("GET {resource} HTTP/1.1\r\nHost: {}\r\n\r\n", server.addr).as_bytes());
    (peer.head().text, peer.rest_text())
}

#[test]
fn a_page_and_the_web_socket_share_a_port() {
    guarded(|| {
        let server = Server::run(|| |out| Both { out });
        let (head, body) = get(&server, "/");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("Content-Type: text/html; charset=utf-8\r\n"), "{head}");
        assert!(head.to_ascii_lowercase().contains(&format!("content-length: {}\r\n", PAGE.len())), "{head}");
        assert_eq!(body, PAGE);
        let (head, body) = get(&server, "/favicon.ico");
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
        assert_eq!(body, "404 - Not Found");
        connect(server.at("/ws"), |out| {
            out.send("to all").unwrap();
            move |msg: Message| {
                assert_eq!(msg.as_text()?, "to all");
                out.close(CloseCode::Normal)
            }
        })
        .unwrap();
        server.stop();
    });
}
