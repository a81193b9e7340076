//! A web page and a WebSocket on the same port: plain requests get the page, upgrades get the chat.
//!
//! ```text
//! cargo run --example html_chat [ADDRESS]
//! ```
//!
//! Open http://127.0.0.1:3012 in two tabs. The example `chat` is a complete program of this kind.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use sockeye::{Handler, Message, Request, Response, Result, Sender, WebSocket};

const USAGE: &str = "\
Usage: html_chat [ADDRESS]

Serves a page on which all visitors chat with each other.

ADDRESS  where to listen [127.0.0.1:3012]";

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sockeye: html_chat</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
  form { display: flex; gap: .5rem; }
  input { flex: 1; font: inherit; padding: .4rem; }
  button { font: inherit; padding: .4rem 1rem; }
</style>
<h1>html_chat</h1>
<form><input placeholder="Message" aria-label="Message" autofocus><button>Send</button></form>
<ul></ul>
<script>
  const list = document.querySelector("ul"), input = document.querySelector("input");
  const show = text => {
    const line = document.createElement("li");
    line.textContent = text;
    list.prepend(line);
  };
  const socket = new WebSocket(`ws://${location.host}/ws`);
  socket.onopen = () => show("Connected.");
  socket.onclose = () => show("The connection is closed.");
  socket.onmessage = event => show(event.data);
  document.querySelector("form").onsubmit = event => {
    event.preventDefault();
    if (input.value) socket.send(input.value);
    input.value = "";
  };
</script>
</html>
"#;

struct Connection {
    out: Sender,
}

impl Handler for Connection {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        match req.resource() {
            "/ws" => Response::from_request(req),
            "/" => {
                let mut page = Response::new(200, "OK", PAGE.into());
                page.headers_mut().push(("Content-Type".into(), b"text/html; charset=utf-8".to_vec()));
                Ok(page)
            }
            _ => Ok(Response::new(404, "Not Found", b"not found\n".to_vec())),
        }
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        // To all connections of this server, including this one.
        self.out.broadcast(msg)
    }
}

fn main() -> support::Result {
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    arguments.end()?;

    let socket = WebSocket::new(|out| Connection { out })?.bind(address)?;
    support::shut_down_on_interrupt(&socket.broadcaster());
    println!("open http://{}", socket.local_addr()?);
    socket.run()?;
    Ok(())
}
