//! S16: a blocking server from start to end: any number of threads, accepting without waiting, and a shutdown that closes all
//! connections.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockeye::CloseCode;
use sockeye::blocking::{Socket, WebSocket};

use crate::LIMIT;

/// A pool of threads that accept and serve, as the example `blocking-server` has it.
struct Pool {
    address: SocketAddr,
    is_stopping: Arc<AtomicBool>,
    most_at_once: Arc<AtomicUsize>,
    open: Arc<Mutex<Vec<WebSocket<Socket>>>>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    fn start(size: usize) -> Self {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let (is_stopping, open) =
            (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<WebSocket<Socket>>>>::default());
        let (now, most_at_once) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let workers = (0..size)
            .map(|_| {
                let (listener, is_stopping, open) =
                    (Arc::clone(&listener), Arc::clone(&is_stopping), Arc::clone(&open));
                let (now, most_at_once) = (Arc::clone(&now), Arc::clone(&most_at_once));
                thread::spawn(move || {
                    while let Ok((stream, _)) = listener.accept() {
                        if is_stopping.load(Ordering::SeqCst) {
                            return;
                        }
                        let Ok(mut socket) = WebSocket::accept(stream) else { continue };
                        open.lock().unwrap().push(socket.try_clone().unwrap());
                        most_at_once.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        while let Ok(Some(message)) = socket.receive() {
                            let _ = socket.send(message);
                        }
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        Self { address, is_stopping, most_at_once, open, workers }
    }

    fn connect(&self) -> WebSocket<Socket> {
        WebSocket::connect(&format!("ws://{}/", self.address)).unwrap()
    }

    /// Closes every connection, wakes the accepting thread, and waits for all threads.
    fn stop(self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        for mut socket in self.open.lock().unwrap().drain(..) {
            socket.close(CloseCode::Away, "the server stops").unwrap();
        }
        self.workers.iter().for_each(|_| drop(TcpStream::connect(self.address)));
        self.workers.into_iter().for_each(|worker| worker.join().unwrap());
    }
}

#[test]
fn s16_a_thread_pool_serves_clients_and_shuts_down() {
    let pool = Pool::start(2);
    for round in 0..3 {
        let mut clients = [pool.connect(), pool.connect()];
        for client in &mut clients {
            client.send(format!("{round}")).unwrap();
            assert_eq!(client.receive().unwrap(), Some(format!("{round}").into()));
        }
        for mut client in clients {
            assert!(client.close(CloseCode::Normal, "").unwrap().was_clean);
        }
    }
    let mut last = pool.connect();
    let hearing = thread::spawn(move || {
        assert_eq!(last.receive().unwrap(), None);
        last.closed().unwrap()
    });
    // It is served, and not merely accepted, before the pool stops.
    while pool.open.lock().unwrap().iter().filter(|socket| socket.is_open()).count() == 0 {
        thread::yield_now();
    }
    let (address, most) = (pool.address, Arc::clone(&pool.most_at_once));
    pool.stop();
    let closed = hearing.join().unwrap();
    assert_eq!((closed.code, closed.reason.as_str()), (CloseCode::Away, "the server stops"));
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert!(TcpStream::connect(address).is_err(), "the listener is closed");
}

#[test]
fn s16_accepting_without_waiting() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let client = thread::spawn(move || WebSocket::connect(&format!("ws://{address}/")).unwrap());
    let stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(err) => assert_eq!(err.kind(), ErrorKind::WouldBlock),
        }
        thread::yield_now();
    };
    // On some systems it has inherited that.
    stream.set_nonblocking(false).unwrap();
    let mut socket = WebSocket::accept(stream).unwrap();
    socket.send("welcome").unwrap();
    assert_eq!(client.join().unwrap().receive().unwrap(), Some("welcome".into()));
}

/// A bounded wait, since another thread accepts.
#[test]
fn s16_accepting_with_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, waiting) = channel();
    thread::spawn(move || listener.incoming().try_for_each(|stream| accepted.send(stream.ok()?).ok()));
    assert_eq!(waiting.recv_timeout(Duration::from_millis(20)).unwrap_err(), RecvTimeoutError::Timeout);
    let client = thread::spawn(move || WebSocket::connect(&format!("ws://{address}/")).unwrap());
    let mut socket = WebSocket::accept(waiting.recv_timeout(LIMIT).unwrap()).unwrap();
    drop(client.join().unwrap());
    assert_eq!(socket.receive().unwrap(), None);
    assert_eq!(socket.closed().unwrap().code, CloseCode::Away);
}
