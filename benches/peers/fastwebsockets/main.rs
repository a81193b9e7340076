//! `fastwebsockets` on one thread, as in its example `echo_server`: hyper performs the handshake, each reply is written
//! immediately, and the task is `unconstrained`. The library does not check the UTF-8 of unfragmented text until a
//! program reads it as text.

#[path = "../../shared/arguments.rs"]
mod arguments;
#[path = "../../shared/hall.rs"]
mod hall;

use arguments::{Result, arguments};
use bytes::Bytes;
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload, WebSocketError};
use futures_util::{StreamExt, future, pin_mut};
use hall::Hall;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone)]
enum Mode {
    Echo,
    Broadcast(Hall<Bytes>),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (address, mode) = arguments()?;
    let mode = match mode.as_str() {
        "echo" => Mode::Echo,
        "broadcast" => Mode::Broadcast(Hall::new()),
        _ => return Err("unknown mode".into()),
    };
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream, mode.clone()));
    }
}

async fn serve(stream: TcpStream, mode: Mode) -> Result<()> {
    let service = service_fn(move |request| {
        let mode = mode.clone();
        async move { open(request, mode) }
    });
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await?;
    Ok(())
}

fn open(
    mut request: Request<Incoming>,
    mode: Mode,
) -> std::result::Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, socket) = upgrade(&mut request)?;
    match mode {
        Mode::Echo => drop(tokio::spawn(tokio::task::unconstrained(echo(socket)))),
        Mode::Broadcast(hall) => drop(tokio::spawn(tokio::task::unconstrained(broadcast(socket, hall)))),
    }
    Ok(response)
}

async fn echo(socket: UpgradeFut) -> Result<()> {
    let mut socket = FragmentCollector::new(socket.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

async fn broadcast(socket: UpgradeFut, hall: Hall<Bytes>) -> Result<()> {
    let (read, mut write) = socket.await?.split(tokio::io::split);
    let mut read = FragmentCollectorRead::new(read);
    let (number, mut messages) = hall.enter();
    let speak = async {
        // Control frames are not answered here: the load generator sends none.
        while let Ok(frame) = read.read_frame::<_, WebSocketError>(&mut |_| future::ok(())).await {
            match frame.opcode {
                OpCode::Close => return,
                OpCode::Text | OpCode::Binary => hall.say(&Bytes::from(Vec::from(frame.payload))),
                _ => {}
            }
        }
    };
    let hear = async {
        while let Some(message) = messages.next().await {
            if write.write_frame(Frame::binary(Payload::Borrowed(&message))).await.is_err() {
                return;
            }
        }
    };
    pin_mut!(speak, hear);
    future::select(speak, hear).await;
    hall.leave(number);
    Ok(())
}
