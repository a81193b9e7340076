//! The server.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

#[path = "../tls/certificate.rs"]
mod certificate;

use std::{io, thread};

use sockeye::{Sender, ServerTls, WebSocket};

use crate::support;

const USAGE: &str = "\
Usage: ssl-server [ADDRESS [CHAIN KEY]]

Sends every message back, over TLS.

ADDRESS  where to listen [127.0.0.1:3012]
CHAIN    a PEM file with the server's certificate and the intermediate ones
KEY      a PEM file with the private key

Without files, the server has a certificate for localhost that no client trusts.";

pub(crate) fn run() -> support::Result {
    support::init_logger();
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    let files = (arguments.next(), arguments.next());
    arguments.end()?;

    let tls = match files {
        (Some(chain), Some(key)) => {
            let tls = ServerTls::from_pem_files(&chain, &key)?;
            renew_on_enter(tls.clone(), chain, key);
            tls
        }
        (Some(_), None) => return Err(support::Failure::new("CHAIN requires KEY; see --help")),
        (None, _) => certificate::localhost()?,
    };

    let socket =
        WebSocket::new(|out: Sender| move |msg| out.send(msg))?.with_server_tls(tls).bind(address)?;
    support::shut_down_on_interrupt(&socket.broadcaster());
    println!("echoing on wss://{}", socket.local_addr()?);
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
                Err(err) => println!("the certificate is unchanged: {err}"),
            }
        }
    });
}
