//! A web page and a WebSocket on the same port: plain requests get the page, upgrades get the chat.
//!
//! ```text
//! cargo run --example html_chat [ADDRESS]
//! ```
//!
//! Open http://127.0.0.1:3012 in two tabs. The example `chat` is the one to start a real program from; this one
//! shows the principle.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::env;

use sockeye::{Handler, Message, Request, Response, Result, Sender, WebSocket};

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
<form><input placeholder="Say something" aria-label="Message" autofocus><button>Send</button></form>
<ul></ul>
<script>
  const list = document.querySelector("ul"), input = document.querySelector("input");
  const say = text => {
    const line = document.createElement("li");
    line.textContent = text;
    list.prepend(line);
  };
  const socket = new WebSocket(`ws://${location.host}/ws`);
  socket.onopen = () => say("You are in.");
  socket.onclose = () => say("The server is gone.");
  socket.onmessage = event => say(event.data);
  document.querySelector("form").onsubmit = event => {
    event.preventDefault();
    if (input.value) socket.send(input.value);
    input.value = "";
  };
</script>
</html>
"#;

struct Visitor {
    out: Sender,
}

impl Handler for Visitor {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        match req.resource() {
            "/ws" => Response::from_request(req),
            "/" => {
                let mut page = Response::new(200, "OK", PAGE.into());
                page.headers_mut().push(("Content-Type".into(), b"text/html; charset=utf-8".to_vec()));
                Ok(page)
            }
            _ => Ok(Response::new(404, "Not Found", b"there is nothing here\n".to_vec())),
        }
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        // To every connection of this server, the one it came from included.
        self.out.broadcast(msg)
    }
}

fn main() -> Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    let socket = WebSocket::new(|out| Visitor { out })?.bind(address)?;
    println!("open http://{}", socket.local_addr()?);
    socket.run()?;
    Ok(())
}
