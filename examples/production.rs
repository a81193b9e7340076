//! An echo server for production: sockets of systemd, signals, a drain, pages for health and statistics, and limits that suit a
//! server behind a reverse proxy. `docs/production.md` contains the configuration files for this program.
//!
//! ```text
//! cargo run --features permessage-deflate,signals,systemd --example production [ADDRESS]
//! cargo run --example cli
//! ```

#![expect(clippy::print_stdout, reason = "systemd and container runtimes collect what a service prints")]

mod support;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs};

use sockeye::signals::Signals;
use sockeye::{
    Builder, CloseCode, Deflate, Drain, Factory, Handler, Handshake, Message, Request, Response, Result,
    Sender, Settings, TrustedProxies, systemd,
};

const USAGE: &str = "\
Usage: production [ADDRESS] [--proxy-protocol]

Returns every message to its sender. Listens on the sockets of systemd, if there are any. /health answers 200, and 503 during a
drain. /live always answers 200. /metrics contains statistics for Prometheus. SIGTERM drains the server, and SIGHUP reads the notice again.

ADDRESS           where to listen without systemd [127.0.0.1:3012]
--proxy-protocol  programs on this machine must send a PROXY header; otherwise, their X-Forwarded-For is used

These environment variables change the behavior:
NOTICE         a file with a text that each new client receives
DRAIN_SECONDS  the time over which a drain closes connections [10]
PING_SECONDS   the time of silence after which a client receives a Ping [30]";

/// A text that each new client receives. Empty without one.
type Notice = Arc<Mutex<String>>;

struct Connection {
    out: Sender,
    notice: Notice,
    address: String,
}

impl Handler for Connection {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        match req.resource() {
            "/health" => {
                let health = self.out.health();
                let (status, reason) = match health.is_responsive(Duration::from_secs(1)) {
                    true => (200, "OK"),
                    false => (503, "Service Unavailable"),
                };
                Ok(Response::new(status, reason, health.to_string().into()))
            }
            "/live" => Ok(Response::new(200, "OK", b"alive".to_vec())),
            "/metrics" => Ok(self.out.stats().to_response()),
            _ => Response::from_request(req),
        }
    }

    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.address = shake.remote_addr()?.unwrap_or_else(|| "an unknown address".into());
        println!("{} connected", self.address);
        let notice = self.notice.lock().unwrap_or_else(PoisonError::into_inner);
        if notice.is_empty() { Ok(()) } else { self.out.send(notice.as_str()) }
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.out.send(msg)
    }

    fn on_close(&mut self, code: CloseCode, _reason: &str) {
        println!("{} disconnected: {}", self.address, u16::from(code));
    }
}

struct Server {
    notice: Notice,
}

impl Factory for Server {
    type Handler = Connection;

    fn connection_made(&mut self, out: Sender) -> Connection {
        Connection { out, notice: Arc::clone(&self.notice), address: String::new() }
    }

    // A drain begins.
    fn on_shutdown(&mut self) {
        if let Err(error) = systemd::stopping() {
            println!("{error}");
        }
    }
}

/// Reads a number of seconds from an environment variable.
fn seconds(variable: &str, default: u64) -> support::Result<Duration> {
    let Some(value) = env::var_os(variable) else { return Ok(Duration::from_secs(default)) };
    let parsed = value.to_str().and_then(|value| value.parse().ok());
    parsed
        .map(Duration::from_secs)
        .ok_or_else(|| support::Failure::new(format!("{variable} is not a number of seconds")))
}

fn read_notice(notice: &Notice) {
    let Some(path) = env::var_os("NOTICE") else { return };
    match fs::read_to_string(path) {
        Ok(text) => {
            *notice.lock().unwrap_or_else(PoisonError::into_inner) = text.trim_end().to_owned();
            println!("the notice has been read");
        }
        // The text that was read before remains.
        Err(error) => println!("the notice cannot be read: {error}"),
    }
}

/// The settings for a server behind a proxy on the same machine.
fn settings(uses_proxy_protocol: bool) -> support::Result<Settings> {
    let (proxy_protocol, trusted_proxies) = match uses_proxy_protocol {
        true => (TrustedProxies::Loopback, TrustedProxies::None),
        false => (TrustedProxies::None, TrustedProxies::Loopback),
    };
    Ok(Settings {
        max_connections: 10_000,
        max_connections_per_address: Some(100),
        ping_interval: Some(seconds("PING_SECONDS", 30)?),
        deflate: Some(Deflate::default()),
        // A panic of a handler must not disconnect all clients.
        catch_panics: true,
        proxy_protocol,
        trusted_proxies,
        ..Settings::default()
    })
}

fn main() -> support::Result {
    support::init_logger();
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    let settings = settings(arguments.has("--proxy-protocol"))?;
    arguments.end()?;
    let over = seconds("DRAIN_SECONDS", 10)?;

    let notice = Notice::default();
    read_notice(&notice);
    let socket = Builder::new().with_settings(settings).build(Server { notice: Arc::clone(&notice) })?;
    let socket = match env::var_os("LISTEN_FDS") {
        Some(_) => socket.bind_systemd()?,
        None => socket.bind(address)?,
    };
    // After the last Close frame, its client has `close_timeout` to answer. Five seconds are left for slow readers.
    let drain = Drain::new().code(CloseCode::Restart).over(over).deadline(over + Duration::from_secs(15));
    let signals = Signals::new(&socket.broadcaster(), drain).on_hangup(move || read_notice(&notice));
    let _signals = signals.start()?;

    match socket.local_addr() {
        Ok(address) => println!("listening on ws://{address}"),
        Err(_) => println!("listening on a Unix domain socket"),
    }
    systemd::ready()?;
    socket.run()?;
    Ok(())
}
