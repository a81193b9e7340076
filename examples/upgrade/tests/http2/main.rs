//! WebSockets over HTTP/2 (RFC 8441): the servers of hyper, axum and h2, with the clients of h2 and hyper.

mod clients;
mod endings;
mod flow;
mod handshake;
mod support;
