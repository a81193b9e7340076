//! A program that runs the handler of a library, in a server of its own.

use std::thread;

fn main() -> ws::Result<()> {
    let server = ws::WebSocket::new(|out| library::Echo { out })?.bind("127.0.0.1:0")?;
    let address = server.local_addr()?;
    let server = thread::spawn(move || server.run().map(drop));

    ws::connect(format!("ws://{}/", address), |out| {
        out.send("hello").expect("the message should be queued");
        move |msg| {
            println!("client: received {}", msg);
            assert_eq!(msg, ws::Message::text("hello"));
            out.close(ws::CloseCode::Normal)
        }
    })?;
    server.join().expect("the server should not panic")
}
