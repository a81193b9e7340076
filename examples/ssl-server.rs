//! An encrypted echo server: one call more than a plain one.
//!
//! ```text
//! cargo run --features ssl --example ssl-server -- [ADDRESS] [CHAIN KEY]
//! cargo run --features ssl --example unsafe-ssl-client
//! ```
//!
//! CHAIN and KEY are PEM files: the server's certificate with those that lead to its root, and its private key. While it
//! runs, Enter reads them again, for all connections from then on. Without files it makes a certificate for localhost
//! itself, which only a client can like that trusts everyone.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

#[path = "tls/certificate.rs"]
mod certificate;

use std::{env, io, thread};

use sockeye::{Result, Sender, ServerTls, WebSocket};

fn main() -> Result<()> {
    env_logger::init();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let address = arguments.first().map_or("127.0.0.1:3012", String::as_str);

    let tls = match &arguments[..] {
        [_, chain, key] => {
            let tls = ServerTls::from_pem_files(chain, key)?;
            renew_on_enter(tls.clone(), chain.clone(), key.clone());
            tls
        }
        _ => certificate::acceptor()?.into(),
    };

    let socket =
        WebSocket::new(|out: Sender| move |msg| out.send(msg))?.with_server_tls(tls).bind(address)?;
    println!("wss://{}", socket.local_addr()?);
    socket.run()?;
    Ok(())
}

fn renew_on_enter(tls: ServerTls, chain: String, key: String) {
    thread::spawn(move || {
        for _ in io::stdin().lines() {
            match ServerTls::from_pem_files(&chain, &key) {
                Ok(new) => {
                    tls.replace(new);
                    println!("the certificate has been replaced");
                }
                Err(err) => println!("the certificate stays as it was: {err}"),
            }
        }
    });
}
