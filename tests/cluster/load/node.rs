//! A node: a pool of two workers, whose handlers and threads publish.

use std::path::PathBuf;
use std::process::exit;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sockeye::cluster::{BrokerState, Cluster, Redis};
use sockeye::signals::Signals;
use sockeye::{Builder, ClientTls, CloseCode, Drain, Result, Sender, Settings, TlsEngine, Workers};

use crate::ledger::{Ledger, WORKERS};
use crate::process;
use crate::publishers::{Defect, Publishers, Publishing};
use crate::serving::Serving;
use crate::topics::{self, Topics};
use crate::words::Words;

/// What a node is asked to do.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The place of the node in the order in which all nodes of the row were started.
    pub(crate) node: usize,
    pub(crate) address: String,
    pub(crate) server: String,
    /// The certificate of the server, or `-`.
    pub(crate) root: String,
    pub(crate) ledger: PathBuf,
    pub(crate) topics: Topics,
    /// The milliseconds between two messages of a thread, and between two heartbeats.
    pub(crate) pause: u64,
    pub(crate) heartbeat: u64,
    /// The number of publications that wait for the server, at most.
    pub(crate) unacknowledged: usize,
    pub(crate) max_connections: usize,
    /// The milliseconds over which a drain closes the connections.
    pub(crate) drain: u64,
    pub(crate) defect: Option<Defect>,
}

impl Plan {
    pub(crate) fn arguments(&self) -> Vec<String> {
        let defect = self.defect.map(|defect| format!("{defect:?}").to_lowercase());
        let numbers = [self.pause, self.heartbeat, self.drain].map(|number| number.to_string());
        let sizes =
            [self.topics.count(), self.unacknowledged, self.max_connections].map(|size| size.to_string());
        let words = [self.node.to_string(), self.address.clone(), self.server.clone(), self.root.clone()];
        let ledger = self.ledger.to_str().unwrap().to_owned();
        words.into_iter().chain([ledger]).chain(numbers).chain(sizes).chain(defect).collect()
    }

    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> std::result::Result<Self, String> {
        let mut words = Words(arguments);
        Ok(Self {
            node: words.next()?,
            address: words.next()?,
            server: words.next()?,
            root: words.next()?,
            ledger: words.next()?,
            pause: words.next()?,
            heartbeat: words.next()?,
            drain: words.next()?,
            topics: words.next()?,
            unacknowledged: words.next()?,
            max_connections: words.next()?,
            defect: words.rest()?.pop(),
        })
    }
}

/// Runs a node until it was drained, or until the row has ended.
pub(crate) fn run(plan: &Plan) {
    let ledger = Ledger::open(&plan.ledger).unwrap();
    let publishing = Arc::new(Publishing::new(ledger, plan.node, plan.topics, plan.defect));
    let settings = Settings {
        max_connections: plan.max_connections,
        handshake_timeout: Duration::from_secs(60),
        ..Settings::default()
    };
    let shared = Arc::clone(&publishing);
    let pool = Builder::new().with_settings(settings).workers(Workers::Exactly(WORKERS), move |worker| {
        let publishing = Arc::clone(&shared);
        move |out: Sender| Serving::new(out, worker.index(), &publishing)
    });
    let cluster = cluster(plan).unwrap();
    let pool = pool.unwrap().with_broker(cluster).bind(&plan.address).unwrap();
    let all = pool.broadcaster();
    let over = Duration::from_millis(plan.drain);
    let _signals = Signals::new(&all, Drain::new().code(CloseCode::Restart).over(over)).start().unwrap();
    println!("{}", pool.local_addr().unwrap());
    let publishers = Publishers::start(&all, &publishing, Duration::from_millis(plan.pause));
    thread::spawn(move || follow(&all, &publishers));
    pool.run().unwrap();
}

fn cluster(plan: &Plan) -> Result<Cluster> {
    let mut redis = Redis::new(&plan.server)?;
    if plan.root != "-" {
        let tls = ClientTls::builder().engine(TlsEngine::Rustls).trust_only(&plan.root).alpn([]);
        redis = redis.with_client_tls(tls.build()?);
    }
    let bytes = 16 * 1024 * 1024;
    let heartbeat = Duration::from_millis(plan.heartbeat);
    Ok(Cluster::new(redis)
        .heartbeat(heartbeat)
        .unacknowledged(plan.unacknowledged, bytes)
        .order(topics::order))
}

/// Follows the orders of the row.
fn follow(all: &Sender, publishers: &Publishers) {
    for order in process::orders() {
        match order.as_str() {
            "round" => publishers.round(),
            "act" => publishers.act(),
            "rest" => publishers.rest(),
            "state" => {
                let is_up = all.health().broker == Some(BrokerState::Up);
                println!("{}", if is_up { "up" } else { "down" });
                continue;
            }
            "counts" => {
                let stats = all.stats().cluster.unwrap();
                println!("{} {} {}", stats.reconnects, stats.duplicates, stats.lost);
                continue;
            }
            other => panic!("{other} is no order"),
        }
        println!("done");
    }
    exit(0);
}
